"""Providers that are slow, stall, or never finish: the pass ends, and nothing is doubled.

The command's own time-outs are minutes; here they are shortened to a fraction of a second.
"""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

import pytest

from tests.faults.project import WAITING, Project, ids, long_lines
from tests.faults.sweeping import check_words
from tests.faults.wire import CREATION, DOWNLOAD, LIST, UPLOAD, wired
from tests.faults.worlds import check_all_asked_once
from tests.simulation.http import serve

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.faults.launching import Launcher
    from tests.faults.wire import Transport
    from tests.simulation.world import World

TIMEOUT = 0.4
SOON = 10.0
CALLS = pytest.mark.parametrize(
    "call", [LIST, UPLOAD, CREATION, DOWNLOAD], ids=["list", "upload", "creation", "download"]
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.fixture
def wire(world: World) -> Iterator[Transport]:
    with serve(world) as server, wired(server) as wire:
        yield wire


@pytest.fixture
def project(memory_path: Path, wire: Transport) -> Project:
    return Project.at(memory_path / "project", wire)


def check_ends_well(launcher: Launcher, project: Project, world: World, wire: Transport) -> None:
    wire.mend()
    launcher.finish(project)
    project.check_results(ids(12))
    check_all_asked_once(world, ids(12), batches=4)
    launcher.check_idle(project, world)
    assert project.litter() == []


@CALLS
def test_answers_byte_by_byte_are_answers(
    launcher: Launcher, project: Project, world: World, wire: Transport, call: re.Pattern[bytes]
) -> None:
    wire.slow(call, piece=1, pause=0.0001)
    end = launcher.run(project, *WAITING, hurry=TIMEOUT)
    assert end.code == 0, end
    assert wire.held.is_set()
    check_ends_well(launcher, project, world, wire)


def test_an_upload_taken_slowly_is_an_upload(
    launcher: Launcher, project: Project, world: World, wire: Transport
) -> None:
    project.write("requests.jsonl", long_lines(12, 1_000_000))
    wire.slow(UPLOAD, piece=4096, pause=0.0003, back=False)
    begun = time.monotonic()
    end = launcher.run(project, *WAITING, hurry=TIMEOUT)
    assert end.code == 0, end
    assert time.monotonic() - begun > 2 * TIMEOUT
    check_ends_well(launcher, project, world, wire)


@CALLS
@pytest.mark.parametrize("after", [0, 10, 120], ids=["nothing", "a word", "a piece"])
def test_an_answer_that_stalls(
    launcher: Launcher,
    project: Project,
    world: World,
    wire: Transport,
    call: re.Pattern[bytes],
    after: int,
) -> None:
    """A lost reply to a read is retried; one to a creation leaves a reported, unknown outcome."""
    wire.hold(call, after=after, back=True)
    begun = time.monotonic()
    end = launcher.run(project, "reconcile", hurry=TIMEOUT)
    while not wire.held.is_set():
        assert end.code == 0, end
        end = launcher.run(project, "reconcile", hurry=TIMEOUT)
    assert "Traceback" not in end.err, end
    assert time.monotonic() - begun < SOON
    if call in (UPLOAD, CREATION):
        check_words(end)
        assert "it may have been carried out" in end.err, end
    else:
        assert (end.code, end.out) == (0, "")
    check_ends_well(launcher, project, world, wire)


def test_an_upload_that_stalls(
    launcher: Launcher, project: Project, world: World, wire: Transport
) -> None:
    project.write("requests.jsonl", long_lines(12, 2_000_000))
    wire.hold(UPLOAD, after=100_000)
    begun = time.monotonic()
    end = launcher.run(project, "reconcile", hurry=TIMEOUT)
    assert time.monotonic() - begun < SOON
    check_words(end)
    assert "it may have been carried out" in end.err, end
    check_ends_well(launcher, project, world, wire)


def endless_header() -> Iterator[bytes]:
    yield HEAD
    yield b"X-Trouble: "
    yield from itertools.repeat(b"a" * 1000)


def endless_headers() -> Iterator[bytes]:
    yield HEAD
    for number in itertools.count():
        yield b"X-Trouble-%d: a\r\n" % number


def endless_status() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 "
    yield from itertools.repeat(b"O" * 1000)


def endless_body() -> Iterator[bytes]:
    yield HEAD + b"Connection: close\r\n\r\n["
    yield from itertools.repeat(b" " * 65536)


@pytest.mark.parametrize("call", [LIST, CREATION], ids=["list", "creation"])
@pytest.mark.parametrize("answer", [endless_header, endless_headers, endless_status, endless_body])
def test_an_answer_without_end(
    launcher: Launcher,
    project: Project,
    world: World,
    wire: Transport,
    call: re.Pattern[bytes],
    answer: Callable[[], Iterator[bytes]],
) -> None:
    wire.lie(call, answer)
    begun = time.monotonic()
    end = launcher.run(project, "reconcile", hurry=TIMEOUT)
    assert time.monotonic() - begun < SOON
    check_words(end)
    assert wire.held.is_set()
    assert world.submissions() == ()
    check_ends_well(launcher, project, world, wire)
