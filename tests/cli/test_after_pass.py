"""What follows a pass: messages, pings, metrics, and reports of ongoing problems."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import pytest

from runner.cli import after_pass
from tests.cli.conftest import BAD_SPEC, FINISH
from tests.notify.catcher import catching
from tests.simulation.behaviour import Behaviour, HttpError, by_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.reconcile.passes import PassReport
    from tests.cli.conftest import Run
    from tests.cli.shell import Folder
    from tests.notify.catcher import Catcher
    from tests.simulation.world import VirtualClock, World

pytestmark = pytest.mark.usefixtures("agreed")

REFUSED = "key"
DAY = 86_400.0


@pytest.fixture
def catcher() -> Iterator[Catcher]:
    with catching() as catcher:
        yield catcher


@pytest.fixture
def told(lab: Folder, catcher: Catcher) -> Folder:
    """Make a project that tells a webhook of everything."""
    config = (lab.root / "runner.yaml").read_text()
    lab.write("runner.yaml", config + "notify:\n  - webhook_env: HOOK_URL\n")
    lab.env["HOOK_URL"] = catcher.url
    return lab


@pytest.fixture
def pinged(lab: Folder, catcher: Catcher) -> Folder:
    """Make a project that pings a check."""
    config = (lab.root / "runner.yaml").read_text()
    lab.write("runner.yaml", config + "ping: {url_env: PING_URL}\n")
    lab.env["PING_URL"] = catcher.url
    return lab


def messages(catcher: Catcher) -> list[dict[str, Any]]:
    return [json.loads(caught.body) for caught in catcher.caught]


def kinds(catcher: Catcher) -> list[str]:
    return [message["kind"] for message in messages(catcher)]


def refuse_the_key(world: World) -> None:
    world.key = "another"


def test_how_a_job_ended_is_told_once(run: Run, told: Folder, catcher: Catcher) -> None:
    told.job("one")

    done = run(*FINISH)
    run("reconcile")

    assert done.code == 0
    [message] = messages(catcher)
    assert (message["kind"], message["job"]) == ("succeeded", "one")
    assert message["text"].startswith("one: succeeded: 3 of 3 requests succeeded; see outputs/one/")
    assert message["requests"] == {"total": 3, "succeeded": 3, "failed": 0}
    assert (told.root / message["output_dir"] / "output.jsonl").is_file()
    assert catcher.caught[0].headers["idempotency-key"] == message["id"]
    assert "told            webhook in HOOK_URL: succeeded" in run("show", "one").out


def test_a_job_is_told_of_as_soon_as_it_has_ended(
    run: Run,
    told: Folder,
    catcher: Catcher,
    world: World,
    quick: VirtualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []
    real = after_pass.after_pass

    def watch(*arguments: Any, **more: Any) -> PassReport:  # noqa: ANN401 -- as it is called
        report = real(*arguments, **more)
        seen.append((arguments[3].all_final, kinds(catcher)))
        return report

    told.job("one")
    world.behaviour = Behaviour(working=5)
    run("reconcile")
    quick.sleep(10)
    told.job("two")
    monkeypatch.setattr(after_pass, "after_pass", watch)

    assert run("reconcile", "--wait").code == 0

    assert seen[0] == (False, ["succeeded"])
    assert seen[-1] == (True, ["succeeded", "succeeded"])


def test_a_hook_that_fails_changes_neither_the_work_nor_the_exit_code(
    run: Run, told: Folder, catcher: Catcher
) -> None:
    told.job("one")
    catcher.status = 500

    done, later = run(*FINISH), run("reconcile")

    assert (done.code, later.code, later.err) == (0, 0, "")
    assert done.err.splitlines()[-1].startswith("warning: notify: webhook in HOOK_URL: 127.0.0.1:")
    assert done.err.endswith("answered 500 Internal Server Error; a later pass tries again\n")
    assert "failed 1 time in a row: 127.0.0.1" in run("notify").out


def test_trouble_is_told_when_it_begins_and_when_it_is_over(
    run: Run, told: Folder, catcher: Catcher, world: World
) -> None:
    told.job("one")
    told.job("two")
    key, world.key = world.key, "another"

    codes = [run("reconcile").code for _ in range(3)]
    assert codes == [1, 1, 1]
    assert kinds(catcher) == ["trouble"]
    assert "lab" in messages(catcher)[0]["text"]
    world.key = key
    assert run(*FINISH).code == 0

    assert sorted(kinds(catcher)) == ["recovered", "succeeded", "succeeded", "trouble"]
    [over] = [one for one in messages(catcher) if one["kind"] == "recovered"]
    assert over["text"].startswith("lab works again, after ")
    assert "; the problem was: " in over["text"]


def test_a_file_with_other_problems_is_told_of_anew(
    run: Run, told: Folder, catcher: Catcher
) -> None:
    told.job("good")
    told.write("specs/bad.yaml", BAD_SPEC)
    assert run(*FINISH).code == run("reconcile").code == 2
    told.write("specs/bad.yaml", BAD_SPEC.replace("inptu", "input") + "replicate: no\n")
    assert run("reconcile").code == 2
    told.write("specs/bad.yaml", BAD_SPEC.replace("inptu", "input").replace("hello", "good"))
    assert run(*FINISH).code == 0

    texts = [one["text"] for one in messages(catcher) if one["kind"] in ("trouble", "recovered")]
    assert len(texts) == 3
    assert texts[0].startswith("specs/bad.yaml:1: input: is missing; ")
    assert texts[0].endswith("; and 1 more")
    assert texts[1].startswith("specs/bad.yaml:3:8: input: no such file")
    assert texts[2].startswith("specs/bad.yaml has no problem any more, after ")


def test_a_pass_over_some_jobs_says_nothing_of_the_trouble_of_others(
    run: Run, told: Folder, catcher: Catcher
) -> None:
    told.job("good")
    run(*FINISH)
    told.write("specs/bad.yaml", BAD_SPEC)
    assert run("reconcile").code == 2

    assert run("reconcile", "good").code == 0
    assert kinds(catcher) == ["succeeded", "trouble"]
    (told.root / "specs" / "bad.yaml").unlink()
    assert run("reconcile").code == 0
    assert kinds(catcher) == ["succeeded", "trouble", "recovered"]


def test_trouble_that_lasts_is_told_in_each_pass_unless_reminders_are_asked_for(
    run: Run, lab: Folder, world: World
) -> None:
    lab.job("one")
    refuse_the_key(world)

    told = [run("reconcile").err for _ in range(2)]

    assert told[0] == told[1] != ""


def test_with_reminders_trouble_is_told_when_it_begins_daily_and_when_it_is_over(
    run: Run, lab: Folder, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_769_860_800.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    lab.job("one")
    lab.write("specs/bad.yaml", BAD_SPEC)
    key, world.key = world.key, "another"

    def mail(after: float) -> tuple[int, list[str]]:
        now[0] += after
        done = run("reconcile", "--remind", "1d")
        return done.code, done.err.splitlines()

    code, first = mail(0)
    assert code == 2
    assert [line.partition(" ")[0] for line in first] == [
        "specs/bad.yaml:1:",
        "specs/bad.yaml:3:1:",
        "error:",
    ]
    assert mail(600) == (2, [])
    assert mail(DAY - 700) == (2, [])
    code, again = mail(100)
    assert (code, sorted(again)) == (2, sorted(first))
    assert mail(600) == (2, [])
    assert "specs/bad.yaml:3:1: " in run("reconcile", "--remind", "1d", "-v").err

    world.key = key
    (lab.root / "specs" / "bad.yaml").unlink()
    code, over = mail(0)
    assert code == 0
    assert [line for line in over if ", after 1 d; the problem was: " in line] == over[-2:]
    assert not [line for line in mail(600)[1] if "the problem was" in line]


def test_with_reminders_how_a_job_ended_is_told_at_once(
    run: Run, lab: Folder, world: World
) -> None:
    lab.job("one")
    world.behaviour = Behaviour(answer=by_id({"one-1": HttpError(status=400, code="bad")}))

    done = run(*FINISH, "--remind", "1d")

    assert done.code == 1
    assert "one: partial: 2 of 3 requests succeeded" in done.err
    assert run("reconcile", "--remind", "1d").err == ""


def test_in_a_terminal_trouble_is_shown_each_time(lab: Folder, run: Run, world: World) -> None:
    lab.job("one")
    refuse_the_key(world)
    assert run("reconcile", "--remind", "1d").err != ""

    assert "lab" in lab.terminal("reconcile", "--remind", "1d").text


@pytest.mark.parametrize("time", ["soon", "1", "0h", "1w", "-1d", "1.5h"])
def test_a_reminder_needs_a_time(run: Run, lab: Folder, time: str) -> None:
    assert lab.root.exists()
    done = run("reconcile", "--remind", time)

    assert (done.code, done.out) == (2, "")
    assert "is not a duration; write one such as 12h or 1d" in done.err


def test_each_pass_pings(run: Run, pinged: Folder, catcher: Catcher, world: World) -> None:
    pinged.job("one")
    assert run(*FINISH).code == 0
    refuse_the_key(world)
    pinged.job("two")
    assert run("reconcile").code == 1

    assert catcher.paths == ["/hook/5ecre7", "/hook/5ecre7/fail"]
    good, bad = (caught.body.decode().splitlines() for caught in catcher.caught)
    assert good == ["exit code 0", "1 job: 1 succeeded"]
    assert bad[:2] == ["exit code 1", "2 jobs: 1 pending, 1 succeeded"]
    assert bad[2].startswith("two: ")


@pytest.mark.usefixtures("quick")
def test_a_ping_names_what_is_wrong_with_a_spec(run: Run, pinged: Folder, catcher: Catcher) -> None:
    pinged.write("specs/bad.yaml", "name: bad\nfrob: 1\n")
    assert run("reconcile").code == 2

    [caught] = catcher.caught
    assert b"exit code 2" in caught.body
    assert b"specs/bad.yaml:2:1: frob: unknown field" in caught.body


def test_a_ping_is_tried_twice_and_then_told_of_once(
    run: Run, pinged: Folder, catcher: Catcher
) -> None:
    pinged.job("one")
    catcher.statuses = [500]
    assert run(*FINISH).err.count("ping") == 0
    assert len(catcher.caught) == 2

    catcher.status = 404
    first, second = run("reconcile"), run("reconcile")
    assert (first.code, second.code) == (0, 0)
    assert first.err.startswith("warning: ping: 127.0.0.1:")
    assert second.err == ""
    catcher.status = 200
    assert run("reconcile").err == ""
    catcher.status = 404
    assert run("reconcile").err.startswith("warning: ping: 127.0.0.1:")


def test_a_pass_that_cannot_be_made_pings_too(run: Run, pinged: Folder, catcher: Catcher) -> None:
    pinged.job("one")
    pinged.write(".runner/ledger.db", b"no database, whatever its name says" * 100)

    assert run("reconcile").code == 1

    [caught] = catcher.caught
    assert caught.path.endswith("/fail")
    assert caught.body.decode().startswith("exit code 1\nerror: ")


def test_metrics_are_written_by_each_pass(run: Run, lab: Folder) -> None:
    lab.job("one")
    lab.job("two", rows=2)

    assert run("reconcile", "--metrics", "node/runner.prom").code == 0
    file = lab.root / "node" / "runner.prom"
    before = file.read_text()
    assert run(*FINISH, "--metrics", "node/runner.prom").code == 0
    after = file.read_text()

    label = f'project="{lab.root}"'
    assert f'runner_batches_in_flight{{{label},provider="lab",status="' in before
    assert f'runner_jobs{{{label},state="running"}} 2\n' in before
    assert f'runner_jobs{{{label},state="succeeded"}} 2\n' in after
    assert f'runner_job_requests{{{label},job="two",outcome="succeeded"}} 2\n' in after
    assert "in_flight" not in after
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert [path.name for path in file.parent.iterdir()] == ["runner.prom"]


def test_metrics_that_cannot_be_written_are_told_of_once(run: Run, lab: Folder) -> None:
    config = (lab.root / "runner.yaml").read_text()
    lab.write("runner.yaml", config + "metrics: data/one.jsonl/runner.prom\n")
    lab.job("one")

    done, later = run(*FINISH), run("reconcile")

    assert (done.code, later.code, later.err) == (0, 0, "")
    [told] = [line for line in done.err.splitlines() if line.startswith("warning: metrics: ")]
    assert "data/one.jsonl cannot be written: " in told
    assert told.endswith("; the next pass tries again")


def test_who_is_told_is_listed(run: Run, told: Folder) -> None:
    assert run("notify").out == (
        "webhook in HOOK_URL\n"
        "  on succeeded, partial, failed, cancelled, overdue, trouble, recovered\n"
        "  no message yet: it starts with the next pass\n"
    )
    told.job("one")
    run("reconcile")
    assert run("notify").out.endswith("\n  no message yet\n")
    run(*FINISH)
    assert "last message at " in run("notify").out


def test_a_sample_is_sent_to_each(run: Run, told: Folder, catcher: Catcher) -> None:
    config = (told.root / "runner.yaml").read_text()
    told.write("runner.yaml", config + "  - command: [sh, -c, 'echo boom; exit 3']\n")

    done = run("notify", "--test")

    assert (done.code, done.err) == (1, "")
    assert done.out == (
        "webhook in HOOK_URL: accepted\ncommand sh: not accepted: failed with exit code 3: boom\n"
    )
    assert kinds(catcher) == ["test"]
    assert not (told.root / ".runner").exists()


def test_where_nobody_is_told_that_is_said(run: Run, lab: Folder) -> None:
    assert lab.root.exists()
    done = run("notify")

    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("no notification hooks; ")
