"""Untrusted text: it names no path outside its folder, controls no terminal and forges no line.

The provider here gives every id, code, message, name and status a hostile text, and so does the
input with its custom_ids. Each command is run against it over real HTTP.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.cli.conftest import FINISH, KEY
from tests.simulation.behaviour import Behaviour, Fail, HttpError, Missing, Problem, Succeed
from tests.simulation.exchange import Content, Response
from tests.simulation.world import World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Run
    from tests.cli.shell import Folder
    from tests.simulation.behaviour import Answer, Row
    from tests.simulation.exchange import Request
    from tests.simulation.world import VirtualClock

POISONS: Final = {
    "terminal": (
        "\x1b]52;c;cHduZWQ=\x07\x1b]8;;http://evil.example\x1b\\\x1b[2J\x1b[31m\x9b31m\x90\x85"
        "\u202egnp\u2066\u200f\x00\x08\x7f"
    ),
    "lines": "x\nhello  succeeded\r\nerror: all is lost\u2028fake\u2029\x0b\x0c",
    "path": "../../../../../escape/%2e%2e/~/$HOME/",
    "long": "x" * 10_000,
    "markup": "[red]%s%n{0}{job}[/red]</title><script>`id`$(id)",
}
IDS: Final = frozenset(
    {"id", "input_file_id", "output_file_id", "error_file_id", "first_id", "last_id"}
)
COMMANDS: Final = (
    ("validate",),
    ("plan",),
    ("plan", "--json"),
    ("status",),
    ("status", "--json"),
    ("status", "-o", "wide"),
    ("show", "hello"),
    ("show", "hello", "--all"),
    ("events",),
    ("events", "-o", "jsonl"),
    ("events", "--json"),
    ("show", "hello", "--json"),
    ("report", "-o", "-"),
    ("verify",),
    ("verify", "--json"),
    ("reconcile", "-v"),
)


class HostileWorld(World):
    """The simulated provider, with poison in whatever it says."""

    poison = ""
    refusal: tuple[int, bytes] | None = None

    def handle(self, request: Request) -> Response:
        """Answer as the provider does, about ids without poison, and poison the answer."""
        if self.refusal is not None and request.method == "POST":
            status, body = self.refusal
            return Response(status=status, headers={}, body=Content.of(body))
        clean = replace(
            request,
            path=request.path.replace(self.poison, ""),
            query={name: text.replace(self.poison, "") for name, text in request.query.items()},
            body=request.body.replace(json.dumps(self.poison)[1:-1].encode(), b"").replace(
                json.dumps(self.poison, ensure_ascii=False)[1:-1].encode(), b""
            ),
        )
        if clean.body.startswith(b"{"):
            document = json.loads(clean.body)
            for name in IDS & document.keys():
                document[name] = document[name].replace(self.poison, "")
            clean = replace(clean, body=json.dumps(document).encode())
        reply = super().handle(clean)
        if request.path.endswith("/content") or not reply.body.whole().startswith(b"{"):
            return reply
        body = json.dumps(self._poisoned(reply.document())).encode()
        return replace(reply, body=Content.of(body))

    def _poisoned(self, value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, list):
            return [self._poisoned(one) for one in value]
        if not isinstance(value, dict):
            return value
        made = {
            name: self.poison + one if name in IDS and isinstance(one, str) else self._poisoned(one)
            for name, one in value.items()
        }
        if value.get("object") == "batch":
            made |= {self.poison: self.poison, "model": self.poison}
            made["metadata"] = {**(value.get("metadata") or {}), self.poison: self.poison}
            made["usage"] = {self.poison: 3, "total_tokens": 1}
        if value.get("object") == "file":
            made["status_details"] = self.poison
        return made


@pytest.fixture(params=POISONS)
def poison(request: pytest.FixtureRequest) -> str:
    return POISONS[request.param]


@pytest.fixture
def world(clock: VirtualClock, poison: str) -> HostileWorld:
    world = HostileWorld(clock, key=KEY)
    world.poison = poison
    return world


@pytest.fixture
def hostile(lab: Folder, poison: str) -> Folder:
    """Make a project whose input has poisoned custom_ids."""
    lab.job(more="retry: {attempts: 1}\n")
    lines = []
    for number, line in enumerate((lab.root / "data/hello.jsonl").read_bytes().splitlines()):
        asked = json.loads(line)
        lines.append(json.dumps({**asked, "custom_id": f"{poison[:400]}{number}"}))
    lab.write("data/hello.jsonl", "\n".join(lines) + "\n")
    return lab


def harmless(text: str) -> None:
    """Insist that a terminal shows every character and obeys none but the line feed."""
    seen = {character for character in text if character not in "\n\u200c\u200d"}
    bad = {one for one in seen if unicodedata.category(one)[0] == "C" or one in "\u2028\u2029"}
    assert not bad, f"{sorted(map(ascii, bad))} in {text[:2000]!r}"


def outside(project: Path) -> dict[str, bytes | None]:
    """Return what lies beside a project and in it, but for what runner may write."""
    ours = (project / ".runner", project / "outputs")
    return {
        str(path): path.read_bytes() if path.is_file() else None
        for path in project.parent.rglob("*")
        if not any(path == one or path.is_relative_to(one) for one in ours)
    }


def look_everywhere(run: Run, project: Folder) -> None:
    """Run every command that looks, and hold what it prints and leaves against the rules."""
    for command in COMMANDS:
        done = run(*command)
        assert done.code in (0, 1), (command, done)
        harmless(done.out)
        harmless(done.err)
        if "--json" in command:
            json.loads(done.out)
    for path in (project.root / "outputs").rglob("*"):
        below = path.relative_to(project.root / "outputs").as_posix()
        assert re.fullmatch(
            r"hello(/latest|/[0-9a-f]{12}(/raw(/\d{4}-\d+\.(output|error)\.jsonl)?|/run\.json"
            r"|/output\.jsonl|/errors\.jsonl)?)?",
            below,
        ), below
    for record in (project.root / "outputs").glob("hello/*/run.json"):
        json.loads(record.read_text("utf-8"))


def answers(poison: str) -> Callable[[Row], Answer]:
    """Answer one row well, refuse another with poison, leave the third without a line."""

    def answer(row: Row) -> Answer:
        match int(row.custom_id[-1]):
            case 0:
                return Succeed(text=poison)
            case 1:
                return HttpError(status=400, code=poison, message=poison)
            case _:
                return Missing()

    return answer


def test_a_run_that_ends(run: Run, hostile: Folder, world: HostileWorld, poison: str) -> None:
    world.behaviour = Behaviour(answer=answers(poison))
    before = outside(hostile.root)

    done = run(*FINISH)

    assert done.code == 1
    assert "partial: 1 of 3 requests succeeded" in done.err
    harmless(done.out + done.err)
    look_everywhere(run, hostile)
    harmless(run("retry", "hello").err)
    assert outside(hostile.root) == before


def test_a_batch_that_fails_as_a_whole(
    run: Run, hostile: Folder, world: HostileWorld, poison: str
) -> None:
    problem = Problem(code=poison, message=poison, param=poison, line=1)
    world.behaviour = Behaviour(ending=Fail(problems=(problem,)))
    before = outside(hostile.root)

    done = run(*FINISH)

    assert done.code == 1
    harmless(done.out + done.err)
    look_everywhere(run, hostile)
    assert outside(hostile.root) == before


@pytest.mark.parametrize(
    ("status", "form"), [(400, "json"), (400, "html"), (400, "text"), (401, "json"), (404, "html")]
)
def test_a_refusal(
    run: Run, hostile: Folder, world: HostileWorld, poison: str, status: int, form: str
) -> None:
    fault = {"message": poison, "code": poison, "type": poison, "param": poison}
    bodies = {
        "json": json.dumps({"error": fault}).encode(),
        "html": f"<html><title>{poison}</title>".encode(),
        "text": poison.encode(),
    }
    world.refusal = status, bodies[form]
    before = outside(hostile.root)

    done = run("reconcile")

    assert done.code == 1
    harmless(done.out + done.err)
    look_everywhere(run, hostile)
    assert outside(hostile.root) == before


NAMES: Final = (
    b"\x1b]0;owned\x07.yaml",
    b"a\nb.yaml:1:1: fake\r.yaml",
    b"\xe2\x80\xae.yaml",
    b"\xff\xc2\x9b31m.yaml",
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("content", [b"name: [", b"endpoint: /v1/x\ninput: x\n", b"\xff"])
def test_names_of_files(run: Run, folder: Folder, name: bytes, content: bytes) -> None:
    (folder.root / "specs" / os.fsdecode(name)).write_bytes(content)
    folder.job()
    before = outside(folder.root)

    for command in (*COMMANDS, ("validate", os.fsdecode(name)), ("verify", os.fsdecode(name))):
        done = run(*command)
        harmless(done.out)
        harmless(done.err)
        if "--json" in command and done.code != 1:
            json.loads(done.out)
    assert outside(folder.root) == before


@pytest.mark.parametrize("key", ["name", "input", "output", "endpoint", "provider", "metadata"])
def test_what_specs_say(run: Run, lab: Folder, key: str, poison: str) -> None:
    lab.job()
    spec = {"endpoint": "/v1/chat/completions", "input": "data/hello.jsonl", "name": "hello"}
    lab.write("specs/hello.yaml", json.dumps({**spec, key: poison}))
    before = outside(lab.root)

    for command in COMMANDS:
        done = run(*command)
        harmless(done.out)
        harmless(done.err)
    named = str(lab.root / poison.split("/", maxsplit=1)[0]) if key == "output" else None
    after = {
        path: content
        for path, content in outside(lab.root).items()
        if named is None or not path.startswith(named)
    }
    assert after == before


def test_strays_in_the_outputs(run: Run, finished: Folder) -> None:
    [folder] = (finished.root / "outputs/hello").glob("[0-9a-f]*")
    for name in NAMES:
        (folder / "raw" / os.fsdecode(name)).write_bytes(b"")
        (folder / os.fsdecode(name)).write_bytes(b"")
    hostile = finished.root / "outputs" / os.fsdecode(NAMES[0]) / os.fsdecode(NAMES[3])
    hostile.mkdir(parents=True)
    (hostile / "run.json").write_bytes((folder / "run.json").read_bytes())

    for done in (run("verify"), run("verify", "--json")):
        assert done.code == 1
        harmless(done.out + done.err)
    assert json.loads(run("verify", "--json").out)["matches"] is False


def test_in_a_terminal(hostile: Folder, run: Run, world: HostileWorld, poison: str) -> None:
    world.behaviour = Behaviour(answer=answers(poison))
    seen = hostile.terminal(*FINISH).text
    for told in ("\x1b]", "\x9b", "\x90", "\x85", "\x07", "\x00", "\x08", "\u202e", "\u2066"):
        assert told not in seen
    for command in (("status",), ("show", "hello"), ("plan",), ("verify",)):
        coloured = hostile.terminal(*command).text
        harmless(re.sub(r"\x1b\[[0-9]*m", "", coloured))
    assert run("status").code == 0
