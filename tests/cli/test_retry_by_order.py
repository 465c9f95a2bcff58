"""`runner retry --by-order`: result lines that name no request, matched on request only."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.conftest import KEY, states
from tests.failures.scene import Dialect, Gateway, each_line
from tests.simulation.behaviour import AnswerLocation, Behaviour, HttpError, by_id
from tests.simulation.http import serve
from tests.simulation.world import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import Run
    from tests.cli.shell import Folder
    from tests.simulation.http import Server

ROWS = 6
RAW = "raw/0001-1.output.jsonl"
MATCHED = "raw/0001-1.by-order.jsonl"
ALL = [f"one-{number}" for number in range(ROWS)]

LOST = each_line(lambda line: line.pop("custom_id"))
NULL = each_line(lambda line: line.update(custom_id=None))
ALTERED = each_line(lambda line: line.update(custom_id=f"gw-{line['custom_id']}"))


def refused(status: int) -> HttpError:
    return HttpError(status=status, place=AnswerLocation.OUTPUT)


def some_lost(content: bytes) -> bytes:
    """Leave the ids of the last two lines alone."""
    lines = content.splitlines(keepends=True)
    return LOST(b"".join(lines[:-2])) + b"".join(lines[-2:])


@pytest.fixture
def gateway() -> Gateway:
    return Gateway(LOST)


@pytest.fixture
def world(gateway: Gateway) -> Dialect:
    world = Dialect(gateway, behaviour=Behaviour(shuffled=False))
    world.key = KEY
    return world


@pytest.fixture
def server(world: Dialect) -> Iterator[Server]:
    with serve(world) as server:
        yield server


@pytest.fixture
def impatient(lab: Folder) -> Folder:
    """Make a project of one job whose files are not waited for."""
    config = lab.root / "runner.yaml"
    config.write_text(config.read_text("utf-8").replace("grace: 5", "grace: 0"), encoding="utf-8")
    lab.job("one", rows=ROWS)
    return lab


def end(run: Run) -> str:
    """See the job to its end without a match, and return what was said."""
    said = ""
    for _ in range(6):
        said += run("reconcile").err
    assert states(run) == {"one": "partial"}
    return said


def latest(folder: Folder, name: str) -> Path:
    return folder.root / "outputs" / "one" / "latest" / name


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def names(path: Path) -> list[str]:
    return [line["custom_id"] for line in lines(path)]


def without_id(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name != "custom_id"}


@pytest.mark.parametrize("change", [LOST, NULL, ALTERED, some_lost])
def test_lines_are_matched_on_request_and_nothing_is_asked(
    run: Run,
    impatient: Folder,
    world: Dialect,
    gateway: Gateway,
    change: Callable[[bytes], bytes],
) -> None:
    gateway.change = change
    assert "`runner retry one --by-order` matches them by it" in end(run)
    raw = latest(impatient, RAW).read_bytes()
    calls = len(world.requests)

    done = run("retry", "one", "--by-order")

    assert (done.code, done.out) == (0, "")
    assert "named no request; on request they were matched by their order" in done.err
    assert "succeeded: 6 of 6 requests succeeded" in done.err
    assert len(world.requests) == calls
    assert states(run) == {"one": "succeeded"}
    assert names(latest(impatient, "output.jsonl")) == ALL
    assert latest(impatient, "errors.jsonl").read_bytes() == b""
    assert latest(impatient, RAW).read_bytes() == raw
    for ours, theirs in zip(
        lines(latest(impatient, "output.jsonl")), lines(latest(impatient, RAW)), strict=True
    ):
        assert without_id(ours) == without_id(theirs)
    run("reconcile")
    assert len(world.submissions()) == 1


def test_the_record_and_the_commands_say_which_lines_they_were(
    run: Run, impatient: Folder, gateway: Gateway
) -> None:
    gateway.change = some_lost
    end(run)
    run("retry", "one", "--by-order")

    assert names(latest(impatient, MATCHED)) == ALL[:4]
    [shard] = lines_of_record(impatient)["shards"]
    [submission] = shard["submissions"]
    assert [(each["kind"], each["path"]) for each in submission["results"]] == [
        ("output", RAW),
        ("by_order", MATCHED),
    ]
    assert submission["problem"].startswith(f"4 lines of {RAW} named no request; on request")
    verified = run("verify")
    assert verified.code == 0
    assert f"{MATCHED} has 4 lines that named no request: matched by order" in " ".join(
        verified.out.split()
    )
    assert "4 lines named no request: matched by order, on request" in run("show", "one").out
    shown = json.loads(run("show", "one", "--json").out)
    [attempt] = shown["submissions"]
    assert (attempt["answered"], attempt["unanswered"], attempt["by_order"]) == (6, 0, 4)
    assert "matched_by_order" in [event["kind"] for event in shown["events"]]


def lines_of_record(folder: Folder) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(latest(folder, "run.json").read_bytes())
    return document


def test_failures_among_the_lines_are_matched_and_not_asked_again(
    run: Run, impatient: Folder, world: Dialect
) -> None:
    failing = {"one-1": refused(400), "one-2": refused(500)}
    world.behaviour = Behaviour(shuffled=False, answer=by_id(failing))
    end(run)

    done = run("retry", "one", "--by-order")

    assert done.code == 1
    assert names(latest(impatient, "output.jsonl")) == ["one-0", *ALL[3:]]
    assert [
        (line["custom_id"], line["response"]["status_code"])
        for line in lines(latest(impatient, "errors.jsonl"))
    ] == [("one-1", 400), ("one-2", 500)]
    run("reconcile")
    assert len(world.submissions()) == 1
    assert run("verify").code == 0


def test_it_is_done_once(run: Run, impatient: Folder, world: Dialect) -> None:
    end(run)
    run("retry", "one", "--by-order")
    before = {path: path.read_bytes() for path in latest(impatient, "").rglob("*.json*")}

    again = run("retry", "one", "--by-order")

    assert (again.code, again.err) == (0, "one: all requests succeeded; nothing to match\n")
    assert {path: path.read_bytes() for path in latest(impatient, "").rglob("*.json*")} == before
    assert len(world.submissions()) == 1


def test_a_plain_retry_afterwards_asks_only_what_failed(
    run: Run, impatient: Folder, world: Dialect, gateway: Gateway
) -> None:
    world.behaviour = Behaviour(shuffled=False, answer=by_id({"one-1": refused(400)}))
    end(run)
    run("retry", "one", "--by-order")
    world.behaviour = Behaviour(shuffled=False)
    for name in (RAW, MATCHED):
        latest(impatient, name).unlink()
    run("retry", "one")
    gateway.broken = False
    for _ in range(3):
        run("reconcile")

    assert [batch.rows for batch in world.submissions()] == [tuple(ALL), ("one-1",)]


def test_a_canary_is_matched_and_the_rest_is_left_to_reconcile(
    run: Run, impatient: Folder, world: Dialect, gateway: Gateway
) -> None:
    impatient.job("one", rows=ROWS, more="canary: 2\n")
    for _ in range(6):
        run("reconcile")
    assert states(run) == {"one": "failed"}
    gateway.broken = False

    done = run("retry", "one", "--by-order")

    assert done.code == 0
    assert "`runner reconcile one` goes on with 4 requests that have no response yet" in done.err
    assert [len(batch.rows) for batch in world.submissions()] == [2]
    for _ in range(3):
        run("reconcile")
    assert [batch.rows for batch in world.submissions()] == [tuple(ALL[:2]), tuple(ALL[2:])]
    assert names(latest(impatient, "output.jsonl")) == ALL


def test_a_cancelled_job_is_matched_and_stays_cancelled(
    run: Run, impatient: Folder, world: Dialect
) -> None:
    world.behaviour = Behaviour(shuffled=False, working=1000, cancel_loses=True)
    run("reconcile")
    run("cancel", "one")
    assert isinstance(world.clock, VirtualClock)
    world.clock.sleep(2000)
    run("reconcile")
    run("reconcile")
    assert states(run) == {"one": "cancelled"}

    assert run("retry", "one", "--by-order").code == 0

    assert states(run) == {"one": "succeeded"}
    assert names(latest(impatient, "output.jsonl")) == ALL
    assert len(world.submissions()) == 1


def test_a_raw_file_that_was_changed_is_downloaded_again(run: Run, impatient: Folder) -> None:
    end(run)
    raw = latest(impatient, RAW)
    before = raw.read_bytes()
    raw.write_bytes(b"".join(reversed(before.splitlines(keepends=True))))

    assert run("retry", "one", "--by-order").code == 0

    assert raw.read_bytes() == before
    assert run("verify").code == 0


def test_ids_of_another_batch_are_no_order(run: Run, impatient: Folder, gateway: Gateway) -> None:
    config = impatient.root / "runner.yaml"
    config.write_text(f"{config.read_text('utf-8')}    max_requests_per_batch: 3\n", "utf-8")
    others = dict(zip(ALL, [*ALL[3:], *ALL[:3]], strict=True))
    gateway.change = each_line(lambda line: line.update(custom_id=others[str(line["custom_id"])]))
    end(run)

    done = run("retry", "one", "--by-order")

    assert done.code == 2
    assert "has a line of one-3, which is request 4 of the input and not of this batch" in done.err
    assert "has a line of one-0, which is request 1 of the input and not of this batch" in done.err


def test_what_fits_is_matched_and_what_does_not_is_a_problem(
    run: Run, impatient: Folder, gateway: Gateway, world: Dialect
) -> None:
    config = impatient.root / "runner.yaml"
    config.write_text(f"{config.read_text('utf-8')}    max_requests_per_batch: 3\n", "utf-8")
    gateway.change = lambda content: LOST(content if b"one-0" in content else content * 2)
    end(run)

    done = run("retry", "one", "--by-order")

    assert done.code == 1
    assert "raw/0002-1.output.jsonl cannot be matched by order: it has 6 lines for 3" in done.err
    assert names(latest(impatient, "output.jsonl")) == ALL[:3]
    assert names(latest(impatient, "errors.jsonl")) == ALL[3:]
    assert len(world.submissions()) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: LOST(b"".join(content.splitlines(keepends=True)[:-1])), "has 5 lines for"),
        (lambda content: LOST(content) + LOST(content)[:0] + b'{"response": 1}\n', "has 7 lines"),
        (
            lambda content: (
                LOST(b"".join(content.splitlines(keepends=True)[:4]))
                + b"".join(reversed(content.splitlines(keepends=True)[4:]))
            ),
            "contradicts the order: its line 5 is of one-5, which is request 6",
        ),
        (lambda content: b"<p>\n" * content.count(b"\n"), "has no JSON object in line 1"),
        (lambda content: b'{"error": "no"}\n' * content.count(b"\n"), "has no result of a request"),
    ],
)
def test_what_cannot_be_by_order_is_refused_and_stays(
    run: Run,
    impatient: Folder,
    world: Dialect,
    gateway: Gateway,
    change: Callable[[bytes], bytes],
    words: str,
) -> None:
    gateway.change = change
    assert "--by-order" not in end(run)
    before = {path: path.read_bytes() for path in latest(impatient, "").rglob("*.json*")}

    done = run("retry", "one", "--by-order")

    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert {path: path.read_bytes() for path in latest(impatient, "").rglob("*.json*")} == before
    assert states(run) == {"one": "partial"}
    assert len(world.submissions()) == 1


@pytest.mark.usefixtures("impatient")
def test_what_was_asked_again_is_not_matched(run: Run, world: Dialect, gateway: Gateway) -> None:
    first: list[bytes] = []

    def change(content: bytes) -> bytes:
        first[:] = first or [content]
        return LOST(content) if content in first else content

    gateway.change = change
    end(run)
    world.behaviour = Behaviour(answer=by_id({"one-1": refused(400)}))
    run("retry", "one")
    for _ in range(3):
        run("reconcile")
    assert len(world.submissions()) == 2

    done = run("retry", "one", "--by-order")

    assert done.code == 2
    assert f"{RAW} cannot be matched by order: it stands for requests that were" in done.err
    assert "submitted again, and paid for again, as one/" in done.err


def test_what_was_asked_again_in_vain_is_matched_in_its_last_attempt(
    run: Run, world: Dialect, impatient: Folder
) -> None:
    end(run)
    run("retry", "one")
    for _ in range(3):
        run("reconcile")
    assert len(world.submissions()) == 2

    done = run("retry", "one", "--by-order")

    assert done.code == 0
    assert "cannot be matched" not in done.err
    assert names(latest(impatient, "raw/0001-2.by-order.jsonl")) == ALL
    assert not latest(impatient, MATCHED).exists()
    assert len(world.submissions()) == 2
    assert run("verify").code == 0


@pytest.mark.usefixtures("impatient")
def test_a_job_with_nothing_to_match(run: Run, gateway: Gateway) -> None:
    gateway.change = lambda content: b"".join(content.splitlines(keepends=True)[:4])
    end(run)
    done = run("retry", "one", "--by-order")
    assert (done.code, done.out) == (2, "")
    assert "one: nothing was matched: no output file has lines that name no request" in done.err


@pytest.mark.usefixtures("impatient")
def test_a_job_that_has_not_ended(run: Run, world: Dialect) -> None:
    world.behaviour = Behaviour(working=1000)
    run("reconcile")
    done = run("retry", "one", "--by-order")
    assert (done.code, done.out) == (2, "")
    assert "one is running, and can be matched when it has ended" in done.err


def test_a_file_of_lines_that_somebody_has_edited_is_noticed(run: Run, impatient: Folder) -> None:
    end(run)
    run("retry", "one", "--by-order")
    path = latest(impatient, MATCHED)
    path.write_bytes(b"".join(reversed(path.read_bytes().splitlines(keepends=True))))

    done = run("verify")

    assert done.code == 1
    assert f"{MATCHED} has lines that are not those of {RAW}" in " ".join(done.out.split())


def test_final_files_are_made_again_from_what_was_downloaded(
    run: Run, impatient: Folder, world: Dialect
) -> None:
    end(run)
    run("retry", "one", "--by-order")
    for name in ("output.jsonl", MATCHED, RAW):
        latest(impatient, name).unlink()

    assert run("reconcile").code == 0

    assert names(latest(impatient, "output.jsonl")) == ALL
    assert run("verify").code == 0
    assert len(world.submissions()) == 1


def test_a_rebuilt_ledger_knows_it(run: Run, impatient: Folder, world: Dialect) -> None:
    world.behaviour = Behaviour(shuffled=False, answer=by_id({"one-1": refused(400)}))
    end(run)
    run("retry", "one", "--by-order")
    for path in (impatient.root / ".runner").glob("ledger*"):
        path.unlink()

    assert run("rebuild").code == 0

    assert run("verify").code == 0
    again = run("retry", "one", "--by-order")
    assert again.code == 2
    assert "nothing was matched" in again.err
    assert len(world.submissions()) == 1
