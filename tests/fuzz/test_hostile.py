"""Make calls to hostile servers for seconds, and prove that this finds planted bugs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.fuzz import hostile
from tests.fuzz.misconduct import Case


def test_every_call_ends_within_its_deadlines_and_memory_with_words() -> None:
    command = [sys.executable, "-m", "tests.fuzz.hostile", "--runs", "8", "--jobs", "2"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    *each, total = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in each] == list(hostile.CALLS)
    assert f"{8 * len(hostile.CALLS)} cases" in total
    for outcome in ("accepted", "Transient", "MayHaveActed", "UnexpectedReply"):
        assert f"{outcome} " in total


def test_a_case_is_always_the_same_and_no_other() -> None:
    origins = ["http://127.0.0.1:1", "http://127.0.0.1:2"]
    cases = [str(Case("list", number, origins=origins)) for number in range(200)]
    assert cases == [str(Case("list", number, origins=origins)) for number in range(200)]
    assert len(set(cases)) == 200


def test_a_broken_promise_is_told_with_its_case(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("not an error of runner")

    monkeypatch.setitem(hostile.CALLS, "list", broken)
    with pytest.raises(RuntimeError) as caught:
        hostile.run("list", [7])
    assert "KeyError: 'not an error of runner'" in str(caught.value)
    assert "python -m tests.fuzz.hostile --call list --first 7 --runs 1" in str(caught.value)


def test_a_call_that_does_not_end_in_time_is_a_broken_promise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hostile, "LONGEST_CALL", 0.0)
    with pytest.raises(RuntimeError, match=r"AssertionError: it took \d"):
        hostile.run("list", [1])


def test_memory_beyond_the_bound_is_a_broken_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostile, "MOST_MEMORY", hostile.peak_memory())
    with pytest.raises(AssertionError, match="bytes of memory"):
        hostile.run("list", range(1))
