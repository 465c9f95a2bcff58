"""Fuzz the four parsers for seconds, and prove that fuzzing finds planted bugs."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import inputs, outputs, replies, specs
from tests.fuzz.driving import Bout, Hang, blind
from tests.fuzz.mutation import LONGEST, mutate
from tests.fuzz.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

TARGETS: Final = tuple(module.TARGET for module in (specs, inputs, outputs, replies))
by_name: Final = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    # Where to sync a file costs nothing: a publication does it ten times.
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


def bout(
    target: Target, folder: Path, *, runs: int = 150, seed: int = 0, minutes: float = 1.0
) -> Bout:
    until = time.monotonic() + minutes * 60
    return Bout(target=target, folder=folder, until=until, runs=runs, seed=seed)


@by_name
@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(random=st.randoms(use_true_random=False), changes=st.integers(1, 3))
def test_whatever_comes_is_accepted_or_refused(
    target: Target, folder: Path, random: Random, changes: int
) -> None:
    data = target.seeds[random.randrange(len(target.seeds))]
    for _ in range(changes):
        data = mutate(data, target, random)
    assert target.check(data, folder)


@by_name
@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(data=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode()))
def test_what_is_no_text_of_its_kind_is_refused(target: Target, folder: Path, data: bytes) -> None:
    assert target.check(data, folder)


@by_name
def test_the_same_seed_makes_the_same_run(target: Target, tmp_path: Path) -> None:
    def inputs_of(seed: int) -> list[bytes]:
        seen: list[bytes] = []

        def check(data: bytes, folder: Path) -> str:  # noqa: ARG001
            seen.append(data)
            return "accepted"

        assert blind(bout(replace(target, check=check), tmp_path, seed=seed))
        return seen

    assert inputs_of(1) == inputs_of(1) != inputs_of(2)


@by_name
def test_a_run_reaches_both_what_is_accepted_and_what_is_not(target: Target, folder: Path) -> None:
    run = bout(target, folder)
    assert blind(run)
    good = {"accepted", "succeeded", "succeeded+transient+permanent"}
    assert good & run.outcomes.keys()
    assert run.outcomes.keys() - good


def test_a_broken_promise_is_reported_and_its_input_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def check(data: bytes, folder: Path) -> str:  # noqa: ARG001
        if b"b" in data:
            raise KeyError("not an error of runner")
        return "accepted"

    target = Target(name="broken", check=check, seeds=(b"a a a",), words=(b"b",))
    run = bout(target, tmp_path)
    assert not blind(run)
    (kept,) = tmp_path.iterdir()
    told = capsys.readouterr().out
    assert "KeyError: 'not an error of runner'" in told
    assert f"--input {kept}" in told
    with pytest.raises(KeyError):
        target.check(kept.read_bytes(), tmp_path)


def test_a_hang_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tests.fuzz.driving.SLOWEST", 0.05)

    def check(data: bytes, folder: Path) -> str:  # noqa: ARG001
        while data:
            pass
        return "accepted"

    assert not blind(bout(Target(name="slow", check=check, seeds=(b"a",), words=(b"b",)), tmp_path))
    assert Hang.__name__ in capsys.readouterr().out


def test_a_run_ends_when_its_time_is_up(tmp_path: Path) -> None:
    target = Target(name="idle", check=lambda *_: "accepted", seeds=(b"a",), words=(b"b",))
    run = bout(target, tmp_path, runs=10**9, minutes=0.002)
    assert blind(run)
    assert 0 < run.done < 10**9


def test_the_command_runs_a_target_and_one_input(tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "tests.fuzz", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert "inputs: 20 executions" in run("inputs", "--blind", "--runs", "20")
    path = tmp_path / "input"
    path.write_bytes(inputs.SEEDS[0])
    assert run("inputs", "--input", str(path)) == ""


@settings(derandomize=True, database=None)
@given(data=st.binary(max_size=300), random=st.randoms(use_true_random=False))
def test_a_mutation_keeps_to_its_length(data: bytes, random: Random) -> None:
    assert len(mutate(data, inputs.TARGET, random)) <= LONGEST
    assert len(mutate(data, inputs.TARGET, random, longest=10)) <= 10
