"""An API key that a provider echoes in an error is stored and printed nowhere."""

from __future__ import annotations

import json
import traceback
from typing import TYPE_CHECKING, Final

import pytest

from runner.cli.session import open_project
from runner.errors import InvalidInput
from tests.cli.conftest import FINISH
from tests.simulation.exchange import Content, Response
from tests.simulation.faults import Drop, on_the_wire
from tests.simulation.http import serve
from tests.simulation.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cli.conftest import Run
    from tests.cli.shell import Folder
    from tests.simulation.exchange import Request
    from tests.simulation.faults import Sent
    from tests.simulation.http import Server
    from tests.simulation.world import VirtualClock

SECRET: Final = "sk-distinctive/0d5bb1+7e2f4c-Zz"
COMMANDS: Final = (
    ("validate",),
    ("plan",),
    ("plan", "--json"),
    ("plan", "-o", "plan.json"),
    ("reconcile",),
    ("reconcile", "-v"),
    ("status",),
    ("status", "--json"),
    ("show", "hello"),
    ("show", "hello", "--json"),
    ("report",),
    ("verify",),
    ("cancel", "hello"),
    ("retry", "hello"),
)


def _reply(status: int, body: str, **headers: str) -> Response:
    return Response(status=status, headers=headers, body=Content.of(body.encode()))


def _as_json(status: int) -> Callable[[str], Response]:
    def reply(given: str) -> Response:
        fault = {"message": f"bad key: {given}", "code": given, "type": given, "param": given}
        return _reply(status, json.dumps({"error": fault}), **{"X-Request-Id": given})

    return reply


TROUBLES: Final[dict[str, Callable[[str], Response]]] = {
    "401": _as_json(401),
    "403": _as_json(403),
    "400": _as_json(400),
    "404": _as_json(404),
    "402": _as_json(402),
    "500": _as_json(500),
    "page": lambda given: _reply(502, f"<html><title>{given}</title>{given}</html>"),
    "text": lambda given: _reply(400, given),
    "list": lambda given: _reply(422, json.dumps({"detail": [{"msg": given}]})),
    "page-200": lambda given: _reply(200, f"<html>{given}</html>", **{"Set-Cookie": given}),
    "other-200": lambda given: _reply(200, json.dumps({"message": given})),
}


class Echo(World):
    """A provider that answers calls of one method by throwing the key back."""

    trouble: Callable[[str], Response] | None = None
    method = "POST"
    moved_to: str | None = None

    def exchange(self, request: Request) -> Sent:
        """Echo what the client has for authorization, if this is the time for it."""
        given = request.headers.get("authorization", "")
        assert given == f"Bearer {SECRET}"
        if self.moved_to is not None and request.path.endswith("/content"):
            return on_the_wire(None, _reply(302, "", Location=self.moved_to + request.path))
        if self.trouble is None or request.method != self.method:
            return super().exchange(request)
        return on_the_wire(None, self.trouble(given))


@pytest.fixture
def world(clock: VirtualClock) -> Echo:
    return Echo(clock)


@pytest.fixture
def keyed(lab: Folder, monkeypatch: pytest.MonkeyPatch) -> Folder:
    lab.env["LAB_KEY"] = SECRET
    monkeypatch.setenv("LAB_KEY", SECRET)
    lab.job()
    return lab


def sweep(run: Run, folder: Folder) -> None:
    """Run every command, and search every byte that it prints or leaves."""
    for command in COMMANDS:
        done = run(*command)
        assert SECRET not in done.out + done.err, command
    wanted = SECRET.encode()
    forms = {wanted, wanted.replace(b"/", b"\\/")}
    for path in folder.root.parent.rglob("*"):
        assert not [form for form in forms if form.decode() in str(path)]
        if path.is_file():
            assert not [form for form in forms if form in path.read_bytes()], path


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("trouble", TROUBLES)
def test_an_echo(run: Run, keyed: Folder, world: Echo, trouble: str, method: str) -> None:
    world.trouble, world.method = TROUBLES[trouble], method

    sweep(run, keyed)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("trouble", ["401", "500", "page-200"])
def test_an_echo_while_something_is_in_flight(
    run: Run, keyed: Folder, world: Echo, trouble: str
) -> None:
    assert run("reconcile").code == 0
    world.trouble, world.method = TROUBLES[trouble], "GET"

    sweep(run, keyed)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("acted", [True, False])
def test_an_answer_that_is_lost(run: Run, keyed: Folder, world: Echo, *, acted: bool) -> None:
    world.faults = lambda request, _: Drop(acted=acted) if request.method == "POST" else None

    sweep(run, keyed)


@pytest.fixture
def elsewhere(clock: VirtualClock) -> Iterator[tuple[Server, list[Request]]]:
    """Serve as another provider, which writes down what it is asked."""
    asked: list[Request] = []

    class Listener(World):
        def exchange(self, request: Request) -> Sent:
            asked.append(request)
            return super().exchange(request)

    with serve(Listener(clock)) as server:
        yield server, asked


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_redirect(
    run: Run,
    keyed: Folder,
    world: Echo,
    elsewhere: tuple[Server, list[Request]],
    status: int,
    method: str,
) -> None:
    server, asked = elsewhere
    world.method = method
    world.trouble = lambda given: _reply(
        status, given, Location=f"{server.base_url}/x?key={given.split()[1]}"
    )

    sweep(run, keyed)

    assert asked == []


@pytest.mark.usefixtures("keyed")
def test_a_redirect_of_results(
    run: Run, world: Echo, elsewhere: tuple[Server, list[Request]]
) -> None:
    server, asked = elsewhere
    world.moved_to = server.base_url

    run(*FINISH[:1])
    run(*FINISH[:1])

    assert [request.path for request in asked if request.path.endswith("/content")]
    assert not [request for request in asked if SECRET in repr(request)]
    assert not [request for request in asked if "authorization" in request.headers]


# Keys from elsewhere, and dumps of what went wrong.


def config(lab: Folder, key: str) -> None:
    """Put another place for the key into the project's file."""
    path = lab.root / "runner.yaml"
    path.write_text(path.read_text("utf-8").replace("api_key_env: LAB_KEY", key), "utf-8")


@pytest.mark.usefixtures("quick", "agreed")
@pytest.mark.parametrize("key", ["api_key_file: key", "api_key_command: [cat, key]"])
def test_a_key_from_a_file_or_a_command_is_used(run: Run, keyed: Folder, key: str) -> None:
    keyed.write("key", SECRET + "\n").chmod(0o600)
    config(keyed, key)
    del keyed.env["LAB_KEY"]

    assert run(*FINISH).code == 0
    (keyed.root / "key").unlink()
    sweep(run, keyed)


@pytest.mark.parametrize("command", [("plan",), ("reconcile",), ("reconcile", "--wait")])
def test_a_key_file_that_is_open_to_others_is_not_used(
    run: Run, keyed: Folder, world: Echo, command: tuple[str, ...]
) -> None:
    keyed.write("key", SECRET).chmod(0o644)
    config(keyed, "api_key_file: key")

    done = run(*command)

    assert f"run `chmod 600 {keyed.root}/key`" in " ".join((done.out + done.err).split())
    assert done.code == (0 if command == ("plan",) else 1)
    assert world.requests == []


@pytest.mark.parametrize(
    "command", [("validate",), ("status",), ("show", "hello"), ("report",), ("verify",)]
)
def test_what_needs_no_key_asks_for_none(run: Run, keyed: Folder, command: tuple[str, ...]) -> None:
    config(keyed, "api_key_command: [touch, asked]")

    assert run(*command).code == 0
    assert not (keyed.root / "asked").exists()


def test_a_dump_of_a_failure_shows_no_variable_of_the_environment(
    keyed: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_KEY", SECRET)
    keyed.write("runner.yaml", "nonsense: 1")

    with pytest.raises(InvalidInput) as caught:
        open_project(keyed.root)

    dump = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    shown = [frame for frame in dump.stack if "cli/test_secrets" not in frame.filename]
    assert [frame for frame in shown if "environ" in (frame.locals or {})]
    assert not [frame for frame in shown if SECRET in str(frame.locals)]
