"""Every kind of broken reply to every kind of call, over real sockets: an error, then results."""

from __future__ import annotations

import socket
import threading
import zlib
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.faults.project import KEY, WAITING, Project, ids
from tests.faults.sweeping import check_words
from tests.faults.wire import CREATION, DOWNLOAD, LIST, UPLOAD, wired
from tests.faults.worlds import check_all_asked_once, stepping_world
from tests.simulation.faults import EVERY_KIND, Garbage, Html, Status, chaos, never, on
from tests.simulation.http import serve

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.launching import Launcher
    from tests.faults.project import Ended
    from tests.faults.sweeping import Sweep
    from tests.faults.wire import Transport
    from tests.simulation.faults import Fault
    from tests.simulation.world import World

TIMEOUT = 0.2
CALLS = [
    "GET /batches",
    "POST /files",
    "POST /batches",
    "GET /files/*",
]
KINDS: list[Fault] = [
    *EVERY_KIND,
    Garbage(body=b""),
    Garbage(body=b"[" * 100_000, acted=True),
    Garbage(body=b'{"data": "none"'),
    Garbage(body=b'{"data": "none"}'),
    Garbage(body=b"null"),
    Html(status=200, acted=True),
    Status(status=404, body=b""),
    Status(status=418, body="a teapot"),
    Status(status=599, body={"error": {"message": 17, "code": []}}),
]
MOST_KILOBYTES = 600 * 1024
WHOLE_LIFE = 6
"""Passes in which a job comes to its end here."""


def one_pass(launcher: Launcher, project: Project, *command: str) -> Ended:
    """Make one pass, or run another command, and assert that it ends with a message."""
    end = launcher.run(project, *(command or ("reconcile",)), hurry=TIMEOUT)
    assert end.code in (0, 1), end
    assert end.out == ""
    assert "Traceback" not in end.err, end.err
    assert KEY not in end.err
    return end


def check_ends_well(
    launcher: Launcher, project: Project, world: World, *, rows: int = 12, batches: int = 4
) -> None:
    launcher.finish(project)
    project.check_results(ids(rows))
    check_all_asked_once(world, ids(rows), batches=batches)
    launcher.check_idle(project, world)
    assert project.litter() == []


def test_every_fault_at_every_exchange(launcher: Launcher, memory_path: Path, sweep: Sweep) -> None:
    """Each fault at each call, twice in a row."""

    def strike_at(number: int) -> bool:
        kind, call = KINDS[number % len(KINDS)], CALLS[number // len(KINDS) % len(CALLS)]
        world = stepping_world()
        with serve(world) as server:
            project = Project.small(memory_path / str(number), server)
            method, path = call.split()
            world.faults = on(method, path, kind, kind)
            one_pass(launcher, project, *WAITING)
            world.faults = never
            if isinstance(kind, Status) and 400 <= kind.status < 429 and method == "POST":
                world.check_exactly_once()  # refused as such, and that is the end of it
            else:
                check_ends_well(launcher, project, world, rows=6, batches=2)
        return number < len(KINDS) * len(CALLS)

    sweep(len(KINDS) * len(CALLS), strike_at)


@pytest.mark.parametrize("seed", range(5))
def test_storms(launcher: Launcher, memory_path: Path, seed: int) -> None:
    world = stepping_world()
    with serve(world) as server:
        project = Project.at(memory_path / "project", server)
        world.faults = chaos(seed, 0.4)
        for _ in range(3 * WHOLE_LIFE):
            one_pass(launcher, project)
        world.faults = never
        check_ends_well(launcher, project, world)


# Answers that are meant badly ------------------------------------------------------------------


@contextmanager
def stranger() -> Iterator[tuple[int, list[bytes]]]:
    """Listen on a port of another host, and keep what is said to it."""
    heard: list[bytes] = []
    listener = socket.create_server(("127.0.0.2", 0))

    def listen() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with closing(connection):
                heard.append(connection.recv(65536))
                connection.sendall(
                    b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                )

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        yield listener.getsockname()[1], heard
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.fixture
def wire(world: World) -> Iterator[Transport]:
    with serve(world) as server, wired(server) as wire:
        yield wire


@pytest.fixture
def project(memory_path: Path, wire: Transport) -> Project:
    return Project.at(memory_path / "project", wire)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "call", [LIST, UPLOAD, CREATION, DOWNLOAD], ids=["list", "upload", "creation", "download"]
)
def test_a_redirect_to_another_host_gets_no_key(
    launcher: Launcher,
    project: Project,
    world: World,
    wire: Transport,
    call: re.Pattern[bytes],
    status: int,
) -> None:
    with stranger() as (port, heard):
        moved = (
            f"HTTP/1.1 {status} Moved\r\nLocation: http://127.0.0.2:{port}/v1/there\r\n"
            f"Content-Length: 0\r\nConnection: close\r\n\r\n"
        ).encode()
        wire.lie(call, lambda: [moved], times=6)
        ends = [one_pass(launcher, project) for _ in range(WHOLE_LIFE)]
    assert wire.held.is_set()
    assert not any(KEY.encode() in said or b"uthorization" in said for said in heard)
    if call is not DOWNLOAD:  # which may be kept elsewhere, for everybody who knows the address
        assert heard == []
        assert any(f"127.0.0.2:{port}" in end.err for end in ends), ends
    project.check_nothing_secret(*ends)
    world.check_exactly_once()


def bomb(beginning: bytes) -> bytes:
    """Return an answer of a gigabyte, packed into a thousandth of that."""
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    begun = packer.compress(beginning) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(b" " * (1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = begun + block * 1024
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
        f"Content-Length: {len(packed)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + packed


@pytest.mark.parametrize("call", [LIST, UPLOAD, CREATION], ids=["list", "upload", "creation"])
def test_a_packed_gigabyte_is_not_unpacked(
    launcher: Launcher, project: Project, world: World, wire: Transport, call: re.Pattern[bytes]
) -> None:
    answer = bomb(b'{"object": "list", "data": [')
    wire.lie(call, lambda: [answer])
    process = launcher.start(project, "reconcile", hurry=TIMEOUT)
    check_words(process.ended())
    assert process.kilobytes.result() < MOST_KILOBYTES
    wire.mend()
    check_ends_well(launcher, project, world)
