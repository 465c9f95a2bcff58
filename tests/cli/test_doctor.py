"""`runner doctor`: what is wrong, and how to fix it."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

from runner.api import transport
from runner.checks import doctor
from runner.extras import how_to_install
from runner.ledger import connection
from runner.ledger.migrations import MIGRATIONS
from runner.reconcile.lock import locked
from tests.api.scripted import Server as Scripted
from tests.api.scripted import answer
from tests.cli.conftest import KEY
from tests.report.schemas import check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import Run
    from tests.cli.shell import Folder
    from tests.simulation.world import World

GIT: Final = ("git", "-c", "user.name=you", "-c", "user.email=you@example.org")


class Check(NamedTuple):
    health: str
    what: str
    remedy: str | None


@pytest.fixture
def checks(run: Run) -> Callable[..., dict[str, Check]]:
    """Return a function that runs the doctor and returns what it found, by check."""

    def look(*arguments: str, code: int = 0) -> dict[str, Check]:
        done = run("doctor", "--json", *arguments)
        shape: dict[str, Any] = json.loads(done.out)
        assert (done.code, done.err) == (code, "")
        assert shape["healthy"] is (code == 0)
        assert shape["format_version"] == 1
        check("doctor", shape)
        return {
            each["check"]: Check(each["health"], each["what"], each["remedy"])
            for each in shape["checks"]
        }

    return look


def commit(folder: Folder) -> None:
    for arguments in (("init", "-q"), ("add", "."), ("commit", "-qm", "Ask")):
        subprocess.run([*GIT, *arguments], cwd=folder.root, check=True)


def state(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_healthy_project(checks: Callable[..., dict[str, Check]], finished: Folder) -> None:
    finished.write(".gitignore", ".runner/\noutputs/\n")
    commit(finished)
    before = state(finished.root)

    found = checks()

    assert {name: check for name, check in found.items() if check.health != "ok"} == {}
    assert list(found) == [
        "python", "versions", "project", "specs", "git", "ledger", "file system", "lock",
        "outputs", "disk", "latest", "lab: key", "lab: list",
    ]  # fmt: skip
    assert found["specs"].what == "1 job, no problem"
    assert found["ledger"].what == ".runner/ledger.db: intact, 1 run"
    assert found["lock"].what == "free"
    assert found["latest"].what == "1 link to results"
    assert found["lab: key"].what == "from LAB_KEY; it is not shown"
    assert KEY not in repr(found)
    assert state(finished.root) == before


def test_nothing_but_lists_is_asked_for_and_offline_nothing(
    run: Run, lab: Folder, world: World
) -> None:
    lab.job()

    assert run("doctor", "--offline").code == 0
    assert world.requests == []
    assert run("doctor").code == 0
    assert [(request.method, request.path) for request in world.requests] == [("GET", "/batches")]


def test_a_terminal_is_kept_to_and_every_warning_says_what_to_do(folder: Folder) -> None:
    folder.job()
    screen = folder.terminal("doctor", columns=60)

    assert screen.code == 0
    assert "\x1b[33mwarn\x1b[0m  git" in screen.text
    assert "→ commit the specs" in screen.text
    assert screen.text.count("warn\x1b[0m") == screen.text.count("→")
    assert "none failed, 1 warning" in screen.text


# The project


def test_problems_of_specs_are_counted(
    checks: Callable[..., dict[str, Check]], folder: Folder
) -> None:
    folder.job()
    folder.write("specs/a.yaml", "endpoint: x\n")

    found = checks(code=1)

    assert found["specs"] == ("fail", "2 problems in the specs", "`runner validate` shows where")


@pytest.mark.parametrize("there", [True, False])
def test_a_project_without_jobs(
    checks: Callable[..., dict[str, Check]], folder: Folder, *, there: bool
) -> None:
    if not there:
        (folder.root / "specs").rmdir()

    found = checks()

    assert found["specs"].health == "warn"
    assert found["local: extra"].health == "ok", "of the default provider"


def test_a_broken_project_file_ends_it(
    checks: Callable[..., dict[str, Check]], folder: Folder
) -> None:
    folder.write("runner.yaml", f"providers:\n  lab:\n    api_key: {KEY}\nx: 1\n")

    found = checks(code=1)

    assert list(found) == ["python", "versions", "project"]
    assert found["project"].what.startswith("runner.yaml:3:5: providers.lab.api_key: ")
    assert found["project"].what.endswith(", and 1 more")
    assert KEY not in repr(found)


def test_a_provider_that_is_none(run: Run, folder: Folder) -> None:
    folder.job()
    done = run("doctor", "--provider", "opnai")

    assert (done.code, done.out) == (2, "")
    assert done.err == (
        'error: "opnai" is not a provider of this project; did you mean "openai"?\n'
    )


def test_what_git_does_not_have(checks: Callable[..., dict[str, Check]], folder: Folder) -> None:
    folder.job()
    assert checks()["git"].what.startswith("the project is in no git repository")

    commit(folder)
    folder.write("notes.txt", "not a spec")
    assert checks()["git"].what.startswith("the specs are as in commit ")

    folder.job("b c")
    folder.write("specs/hello.yaml", "endpoint: /v1/embeddings\ninput: data/hello.jsonl\n")
    found = checks(code=1)["git"]  # a name with a space is none
    assert found.health == "warn"
    assert found.what == "not committed: specs/hello.yaml, specs/b c.yaml"


# The ledger and the disk


def test_a_damaged_ledger(checks: Callable[..., dict[str, Check]], finished: Folder) -> None:
    path = finished.root / ".runner" / "ledger.db"
    path.write_bytes(path.read_bytes()[:5000] + b"\0" * 5000)
    before = state(finished.root)

    found = checks(code=1)

    assert found["ledger"].health == "fail"
    assert found["ledger"].remedy == "`runner rebuild`"
    assert state(finished.root) == before


def test_a_ledger_of_an_earlier_version_stays_one(
    checks: Callable[..., dict[str, Check]], finished: Folder
) -> None:
    path = finished.root / ".runner" / "ledger.db"
    with closing(sqlite3.connect(path)) as ledger:
        ledger.execute(f"PRAGMA user_version = {len(MIGRATIONS) - 1}")

    found = checks()

    assert found["ledger"].health == "warn"
    with closing(sqlite3.connect(path)) as ledger:
        assert ledger.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) - 1,)


def test_a_ledger_of_a_later_version(
    checks: Callable[..., dict[str, Check]], finished: Folder
) -> None:
    with closing(sqlite3.connect(finished.root / ".runner" / "ledger.db")) as ledger:
        ledger.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")

    assert "upgrade runner" in checks(code=1)["ledger"].what


def test_who_holds_the_lock(checks: Callable[..., dict[str, Check]], finished: Folder) -> None:
    with locked(finished.root / ".runner" / "ledger.db"):
        found = checks()["lock"]
    assert (found.health, found.remedy) == ("ok", None)
    assert re.fullmatch(
        rf"held by process {os.getpid()}, for \d+ s: a reconcile is running", found.what
    )
    assert checks()["lock"].what == "free"


def test_a_ledger_on_a_network(
    checks: Callable[..., dict[str, Check]], folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.job()
    monkeypatch.setattr(connection, "file_system", lambda _: "nfs4")
    monkeypatch.setattr(doctor, "file_system", lambda _: "nfs4")

    found = checks()["file system"]

    assert found.health == "warn"
    assert "nfs4" in found.what
    assert "`ledger:` in runner.yaml" in (found.remedy or "")


def test_a_file_where_results_should_go(
    checks: Callable[..., dict[str, Check]], folder: Folder
) -> None:
    folder.job()
    folder.write("outputs", "not a folder")

    assert checks(code=1)["outputs"].health == "fail"


def test_a_folder_that_cannot_be_written(
    checks: Callable[..., dict[str, Check]], folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.job()
    monkeypatch.setattr(os, "access", lambda path, _: path != folder.root)  # root may do all

    found = checks(code=1)["outputs"]

    assert found.what == f"{folder.root} cannot be written"


def test_a_disk_with_too_little_room(
    checks: Callable[..., dict[str, Check]], finished: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 500_000_000
    monkeypatch.setattr(
        shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 10**12 - free, free)
    )
    with (finished.root / "data" / "hello.jsonl").open("ab") as finished_input:
        finished_input.truncate(10**10)
    assert checks()["disk"] == ("ok", "0.5 GB free", None)

    finished.job("large")
    with (finished.root / "data" / "large.jsonl").open("ab") as file:
        file.truncate(10**9)
    found = checks()["disk"]
    assert found.health == "warn"
    assert found.what == "0.5 GB free; the jobs that are not finished may take 3.0 GB"


def test_a_link_that_leads_nowhere(
    checks: Callable[..., dict[str, Check]], finished: Folder
) -> None:
    link = finished.root / "outputs" / "hello" / "latest"
    link.unlink()
    link.symlink_to("gone")

    assert checks()["latest"].what == "no link to results: outputs/hello/latest"


# Providers


@pytest.fixture
def scripted(folder: Folder) -> Iterator[Scripted]:
    """Serve as a provider whose clock is at a day in 2027."""
    with Scripted() as server:
        folder.write(
            "runner.yaml",
            f"default_provider: lab\nproviders: {{lab: {{base_url: {server.origin}/v1}}}}\n",
        )
        folder.job()
        yield server


def test_a_key_that_is_not_set(
    checks: Callable[..., dict[str, Check]], lab: Folder, world: World
) -> None:
    lab.job()
    lab.env["LAB_KEY"] = ""

    found = checks(code=1)

    assert found["lab: key"].what == "LAB_KEY is not set"
    assert "export LAB_KEY=..." in (found["lab: key"].remedy or "")
    assert "lab: list" not in found
    assert world.requests == []


def test_a_key_file_that_is_open_to_others(
    checks: Callable[..., dict[str, Check]], lab: Folder
) -> None:
    lab.job()
    path = lab.root / "runner.yaml"
    path.write_text(path.read_text("utf-8").replace("api_key_env: LAB_KEY", "api_key_file: key"))
    lab.write("key", KEY).chmod(0o644)

    assert "chmod 600" in checks(code=1)["lab: key"].what


def test_a_key_that_is_refused(checks: Callable[..., dict[str, Check]], lab: Folder) -> None:
    lab.job()
    lab.env["LAB_KEY"] = "sk-another-0123456789"

    found = checks(code=1)["lab: list"]

    assert found.health == "fail"
    assert "401 Unauthorized" in found.what
    assert "sk-another" not in repr(found)


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_a_key_that_is_thrown_back_is_not_shown(
    run: Run, folder: Folder, scripted: Scripted, arguments: tuple[str, ...]
) -> None:
    config = folder.root / "runner.yaml"
    config.write_text(config.read_text("utf-8").replace("/v1}", "/v1, api_key_env: LAB_KEY}"))
    folder.env["LAB_KEY"] = KEY
    fault = {"message": f"bad key {KEY}", "code": KEY, "type": KEY, "param": KEY}
    scripted.will(answer(401, {"error": fault}, {"x-request-id": KEY}))

    done = run("doctor", *arguments)

    assert (done.code, done.err) == (1, "")
    assert "bad key ***" in done.out
    assert KEY not in done.out
    assert scripted.received[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_provider_in_trouble_is_tried_once(
    checks: Callable[..., dict[str, Check]], scripted: Scripted
) -> None:
    scripted.will(*[answer(503, "upstream connect error")] * 5)

    found = checks(code=1)["lab: list"]

    assert "503 Service Unavailable: upstream connect error" in found.what
    assert len(scripted.received) == 1


def test_nobody_at_the_address(checks: Callable[..., dict[str, Check]], folder: Folder) -> None:
    folder.job()
    folder.write("runner.yaml", "providers: {lab: {base_url: http://127.0.0.1:1/v1}}\n")

    found = checks("--provider", "lab", code=1)

    assert found["lab: key"].what == "none is configured, and none is sent"
    assert "nothing listens there" in found["lab: list"].what


def test_clocks_that_differ(
    checks: Callable[..., dict[str, Check]], scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart = 0.0
    monkeypatch.setattr(transport, "sent_at", lambda _: time.time() + apart)

    for apart, health in ((90.0, "warn"), (-90.0, "warn"), (20.0, "ok"), (-20.0, "ok")):
        scripted.will(answer(200, {"object": "list", "data": [], "has_more": False}))
        found = checks()["lab: clock"]
        assert found.health == health
        if health == "warn":
            which = "behind" if apart > 0 else "ahead of"
            assert found.what == f"this machine's clock is 90 s {which} the provider's"


def test_a_list_that_is_none(checks: Callable[..., dict[str, Check]], scripted: Scripted) -> None:
    scripted.will(answer(404, {"detail": "Not Found"}))
    assert checks()["lab: list"].health == "warn"

    scripted.will(answer(404, {"detail": "Not Found"}), answer(405, {"detail": "No"}))
    assert checks()["lab: list"].health == "warn"

    scripted.will(answer(200, {"object": "list", "data": [{"a": 1}], "has_more": False}))
    found = checks()["lab: list"]
    assert found.health == "warn"
    assert found.what == (
        "answers, but 1 of the entries in its list cannot be read as a batch "
        "(entry 1: a Batch object without an id)"
    )


def test_a_server_that_only_chats(
    checks: Callable[..., dict[str, Check]], scripted: Scripted
) -> None:
    scripted.will(*[answer(404, {"error": {"message": "404 page not found"}})] * 2)

    found = checks(code=1)["lab: list"]

    assert found.health == "fail"
    assert found.what.startswith("this server has no Batch API: it knows neither GET /batches nor")
    assert [each.path for each in scripted.received] == ["/v1/batches", "/v1/files"]


def test_libraries_that_are_missing(
    checks: Callable[..., dict[str, Check]], folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runner.checks import doctor

    folder.job()
    folder.write(
        "runner.yaml",
        "default_provider: local\nproviders: {local: {max_enqueued_tokens: 1000}}\n",
    )
    monkeypatch.setattr(doctor, "find_spec", lambda _: None)

    found = checks(code=1)

    assert found["local: extra"].remedy == how_to_install("local")
    assert found["local: tokens"].health == "warn"


def test_what_people_are_told_by_is_looked_at(
    checks: Callable[..., dict[str, Check]],
    finished: Folder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    finished.write(
        "runner.yaml",
        "default_provider: local\n"
        "notify:\n"
        "  - command: [./told.sh]\n"
        "  - command: [git]\n"
        "  - webhook_env: CHAT_URL\n"
        "ping: {url_env: PING_URL}\n"
        "metrics: .runner\n",
    )

    found = checks("--offline")

    assert found["notify"].health == "warn"
    assert found["notify"].what == (
        "command told.sh: the program does not exist or is not executable; "
        "webhook in CHAT_URL: CHAT_URL is not set"
    )
    assert found["ping"][:2] == ("warn", "PING_URL is not set")
    assert found["metrics"].health == "warn"

    finished.write("told.sh", "#!/bin/sh\n").chmod(0o755)
    for name in ("CHAT_URL", "PING_URL"):
        monkeypatch.setenv(name, f"http://127.0.0.1:9/{KEY}")
    found = checks("--offline")

    assert (found["notify"].health, found["ping"].health) == ("ok", "ok")
    assert not any(KEY in told for check in found.values() for told in check if told)


def test_the_account_that_pays_is_shown(
    checks: Callable[..., dict[str, Check]], lab: Folder
) -> None:
    lab.write("runner.yaml", "{}\n")
    lab.env |= {"OPENAI_API_KEY": "sk-x", "OPENAI_PROJECT_ID": "proj_7"}

    found = checks("--provider", "openai", "--offline")["openai: key"]

    assert found.what == "from OPENAI_API_KEY; it is not shown; OPENAI_PROJECT_ID is 'proj_7'"
