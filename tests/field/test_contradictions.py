"""A batch that reports answers, and files that do not hold them: nothing is paid for again.

The public reports are of gateways that lose or alter `custom_id`, that answer a download with an
error object or a page, and that cut a file short for good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runner.ledger.records import RunState, SubmissionState
from runner.reconcile import collect
from tests.failures.scene import (
    REMOTE,
    Dialect,
    Gateway,
    ask_again,
    asked,
    each_batch,
    each_line,
    error_lines,
    ids,
    known,
    latest,
    told,
)
from tests.simulation.behaviour import (
    AnswerLocation,
    Behaviour,
    Cancelled,
    Counts,
    Expire,
    HttpError,
    Malformed,
    Spoil,
    Spoiled,
    by_id,
)
from tests.simulation.faults import Status
from tests.simulation.scene import request_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.failures.conftest import MakeSite
    from tests.simulation.behaviour import Ending
    from tests.simulation.exchange import Request

HOUR = 3600


CONTENTS: dict[str, Callable[[bytes], bytes]] = {
    "lines without custom_id": each_line(lambda line: line.pop("custom_id")),
    "altered custom_ids": each_line(lambda line: line.update(custom_id=f"gw-{line['custom_id']}")),
    "nothing": lambda _content: b"",
    "an error object": lambda _content: b'{"error": {"message": "not ready", "code": "early"}}',
    "a page": lambda _content: b"<html><title>Bad gateway</title></html>\n",
    "all but the end of the last line": lambda content: content[:-40],
    "the first two lines": lambda content: b"".join(content.splitlines(keepends=True)[:2]),
}
CAME = {"all but the end of the last line": 5, "the first two lines": 2}


@pytest.mark.parametrize("counts", [Counts.TRUE, Counts.ALL_WELL])
@pytest.mark.parametrize("name", CONTENTS)
def test_what_comes_late_is_waited_for(make_site: MakeSite, name: str, counts: Counts) -> None:
    gateway = Gateway(CONTENTS[name])
    site = make_site(world=Dialect(gateway, behaviour=Behaviour(counts=counts)), base_url=REMOTE)
    site.reconcile()
    site.clock.sleep(60)
    report = site.reconcile()
    assert report.states == {"job": RunState.RUNNING}
    assert report.has_problem
    assert "nothing is submitted again" in told(site)
    gateway.broken = False
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == [tuple(ids())]
    site.check(ids())


@pytest.mark.parametrize("name", CONTENTS)
def test_what_never_comes_ends_in_words_and_one_payment(make_site: MakeSite, name: str) -> None:
    site = make_site(world=Dialect(Gateway(CONTENTS[name])), base_url=REMOTE)
    assert site.until_done(pause=900).states == {"job": RunState.PARTIAL}
    assert site.clock() - site.world.submissions()[0].over_at >= HOUR
    assert asked(site) == [tuple(ids())]
    [submission] = known(site).submissions
    assert submission.state is SubmissionState.COLLECTED
    succeeded, failed = site.results()
    assert len(succeeded) == CAME.get(name, 0)
    assert sorted([*succeeded, *failed]) == ids()
    for line in error_lines(site).values():
        if "all but the end" in name:
            assert line["error"]["code"] == "runner_malformed_line"
        else:
            assert line["error"]["code"] == "runner_unmatched_response"
            assert submission.batch_id in line["error"]["message"]
    assert "runner retry job" in told(site)
    assert latest(site, "raw/0001-1.output.jsonl").is_file()
    site.clock.sleep(86_400)
    site.reconcile()
    assert asked(site) == [tuple(ids())]


def test_an_error_line_is_no_response_that_was_reported(make_site: MakeSite) -> None:
    """Five are completed and one failed: four answers and an error leave one out."""
    cut = Gateway(
        lambda content: (
            b"".join(content.splitlines(keepends=True)[:4])
            if content.count(b"\n") == 5
            else content
        )
    )
    one_fails = Behaviour(answer=by_id({"r0": HttpError(status=400)}))
    site = make_site(world=Dialect(cut, behaviour=one_fails), base_url=REMOTE)
    assert site.until_done(pause=900).states == {"job": RunState.PARTIAL}
    assert asked(site) == [tuple(ids())]
    lines = error_lines(site)
    assert lines.pop("r0")["response"]["status_code"] == 400
    [unmatched] = lines.values()
    assert unmatched["error"]["code"] == "runner_unmatched_response"
    assert "it reports 5 responses, and its files hold 4" in told(site)


NOT_READY = b'{"error": {"message": "not ready", "type": "server_error", "code": "not_ready"}}'


@pytest.mark.parametrize("lasting", [False, True])
def test_an_error_with_a_known_code_is_waited_for_as_long(
    make_site: MakeSite,
    lasting: bool,  # noqa: FBT001
) -> None:
    gateway = Gateway(lambda _content: NOT_READY)
    site = make_site(world=Dialect(gateway), base_url=REMOTE)
    site.reconcile()
    site.clock.sleep(60)
    report = site.reconcile()
    assert report.states == {"job": RunState.RUNNING}
    assert report.has_problem
    assert "with 200 and an error: not ready" in told(site)
    gateway.broken = lasting
    report = site.until_done(pause=900)
    assert asked(site) == [tuple(ids())]
    if not lasting:
        assert report.states == {"job": RunState.SUCCEEDED}
        return
    assert site.clock() - site.world.submissions()[0].over_at >= HOUR
    [submission] = known(site).submissions
    assert submission.state is SubmissionState.LOST
    assert f"results of {submission.batch_id} could not be downloaded" in told(site)
    assert {line["error"]["code"] for line in error_lines(site).values()} == {"runner_batch_lost"}
    gateway.broken = False
    ask_again(site)
    assert site.until_done(pause=900).states == {"job": RunState.SUCCEEDED}


@pytest.mark.parametrize("place", AnswerLocation)
def test_an_error_line_is_no_response_in_whichever_file_it_is(
    make_site: MakeSite, place: AnswerLocation
) -> None:
    """Three are completed and three failed: three errors and an answer leave two out."""

    def shorten(content: bytes) -> bytes:
        lines = content.splitlines(keepends=True)
        good = [line for line in lines if b'"status_code": 200' in line]
        return b"".join(line for line in lines if line not in good[1:])

    failing = HttpError(status=400, place=place)
    some_fail = Behaviour(answer=by_id(dict.fromkeys(ids(3), failing)), shuffled=False)
    site = make_site(world=Dialect(Gateway(shorten), behaviour=some_fail), base_url=REMOTE)
    assert site.until_done(pause=900).states == {"job": RunState.PARTIAL}
    assert asked(site) == [tuple(ids())]
    assert "it reports 3 responses, and its files hold 1" in told(site)


@pytest.mark.parametrize("ending", [Cancelled(fraction=0.5), Expire(fraction=0.5)])
def test_a_request_that_was_not_run_is_no_response(make_site: MakeSite, ending: Ending) -> None:
    """Three are completed, none failed, and three were not run: an answer is left out."""

    def shorten(content: bytes) -> bytes:
        good = [line for line in content.splitlines(keepends=True) if b'"status_code": 200' in line]
        return b"".join(good[1:]) if good else content

    world = Dialect(Gateway(shorten), behaviour=Behaviour(ending=ending))
    site = make_site(world=world, base_url=REMOTE)
    site.reconcile()
    site.clock.sleep(60)
    site.reconcile()
    assert asked(site) == [tuple(ids())]
    assert "it reports 3 responses, and its files hold 2" in told(site)


@pytest.mark.parametrize("counts", [Counts.EMPTY, Counts.NULL, Counts.NULL_MEMBERS])
def test_a_last_line_that_is_cut_is_weighed_against_the_size_of_the_file(
    make_site: MakeSite, counts: Counts
) -> None:
    cut = Behaviour(counts=counts, spoiled=Spoiled(how=Spoil.CUT))
    site = make_site(cut, Behaviour(), base_url=REMOTE, lines=request_lines(1))
    assert site.until_done(pause=900).states == {"job": RunState.PARTIAL}
    assert asked(site) == [("r0",)]
    assert "a result file is not as long as the provider says, and lacks 1 request" in told(site)
    ask_again(site)
    assert site.until_done(pause=900).states == {"job": RunState.SUCCEEDED}


@pytest.mark.parametrize("status", [429, 404, 405])
def test_a_size_that_is_said_once_counts_where_it_is_not_said_again(
    make_site: MakeSite, status: int
) -> None:
    cut = Behaviour(counts=Counts.EMPTY, spoiled=Spoiled(how=Spoil.SHORTENED))
    site = make_site(cut, Behaviour(), base_url=REMOTE)
    sizes = 0

    def refuse_the_second(request: Request, _number: int) -> Status | None:
        nonlocal sizes
        if (request.method, request.path.count("/")) != ("GET", 2) or "file" not in request.path:
            return None
        sizes += 1
        return Status(status=status) if sizes == 2 or (sizes > 2 and status == 429) else None

    site.world.faults = refuse_the_second
    for _ in range(3):
        site.reconcile()
        site.clock.sleep(60)
    assert sizes > 1
    assert asked(site) == [tuple(ids())]


@pytest.mark.parametrize("place", AnswerLocation)
def test_a_line_that_the_provider_itself_has_broken_is_asked_for_again(
    make_site: MakeSite, place: AnswerLocation
) -> None:
    broken = Behaviour(answer=by_id({"r0": Malformed(place=place)}))
    site = make_site(broken, Behaviour(), base_url=REMOTE)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == [tuple(ids()), ("r0",)]


def test_lines_that_match_nothing_are_counted_and_one_is_shown(make_site: MakeSite) -> None:
    site = make_site(world=Dialect(Gateway(CONTENTS["altered custom_ids"])), base_url=REMOTE)
    site.until_done(pause=900)
    words = told(site)
    assert f"{len(ids())} lines whose custom_id is that of no request" in words
    assert "custom_id gw-r0" in words


def test_a_key_that_a_gateway_repeats_in_such_a_line_is_shown_nowhere(make_site: MakeSite) -> None:
    def change(line: dict[str, object]) -> None:
        line.pop("custom_id")
        line["id"] = "Bearer sk-test\x1b[2J"

    site = make_site(world=Dialect(Gateway(each_line(change))), base_url=REMOTE)
    site.until_done(pause=900)
    assert "custom_id is that of no request" in told(site)
    ledger = b"".join(path.read_bytes() for path in (site.root / ".runner").glob("ledger*"))
    for text in (told(site), latest(site, "errors.jsonl").read_text(), ledger.decode("latin-1")):
        assert "Bearer ***" in text
        assert "sk-test" not in text


@pytest.mark.parametrize("counts", [Counts.EMPTY, Counts.NULL, Counts.NULL_MEMBERS])
def test_lines_without_custom_id_need_no_counts(make_site: MakeSite, counts: Counts) -> None:
    gateway = Gateway(CONTENTS["lines without custom_id"])
    site = make_site(world=Dialect(gateway, behaviour=Behaviour(counts=counts)), base_url=REMOTE)
    assert site.until_done(pause=900).states == {"job": RunState.PARTIAL}
    assert asked(site) == [tuple(ids())]


@pytest.mark.parametrize("name", CONTENTS)
def test_a_retry_takes_the_answers_that_are_there_now(make_site: MakeSite, name: str) -> None:
    gateway = Gateway(CONTENTS[name])
    site = make_site(world=Dialect(gateway), base_url=REMOTE)
    assert site.until_done(pause=900).states == {"job": RunState.PARTIAL}
    gateway.broken = False
    ask_again(site)
    assert "are read once more" in told(site)
    assert site.reconcile().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == [tuple(ids())]
    site.check(ids())


@pytest.mark.parametrize("name", CONTENTS)
def test_a_retry_asks_again_only_for_what_is_still_not_there(
    make_site: MakeSite, name: str
) -> None:
    gateway = Gateway(CONTENTS[name])
    site = make_site(world=Dialect(gateway), base_url=REMOTE)
    site.until_done(pause=900)
    failed = site.results()[1]
    ask_again(site)
    site.reconcile()
    assert [sorted(rows) for rows in asked(site)] == [ids(), sorted(failed)]
    gateway.broken = False
    assert site.until_done(pause=900).states == {"job": RunState.SUCCEEDED}
    assert site.results() == (ids(), [])


@pytest.mark.parametrize("worse", [b"", b"<html></html>\n"])
def test_a_retry_keeps_what_came_before_where_less_comes_now(
    make_site: MakeSite, worse: bytes
) -> None:
    gateway = Gateway(CONTENTS["the first two lines"])
    site = make_site(world=Dialect(gateway), base_url=REMOTE)
    site.until_done(pause=900)
    came = site.results()[0]
    gateway.change = lambda _content: worse
    ask_again(site)
    site.reconcile()
    gateway.broken = False
    assert site.until_done(pause=900).states == {"job": RunState.SUCCEEDED}
    assert sorted(asked(site)[1]) == sorted(set(ids()) - set(came))
    assert site.results() == (ids(), [])


def test_a_retry_keeps_what_came_before_where_nothing_comes_now(make_site: MakeSite) -> None:
    gateway = Gateway(CONTENTS["the first two lines"])
    site = make_site(world=Dialect(gateway), base_url=REMOTE)
    site.until_done(pause=900)
    first = site.world.calls("GET", "/files/*")[-1].path
    site.world.faults = lambda request, _number: (
        Status(status=500) if request.path == first else None
    )
    ask_again(site)
    gateway.broken = False
    assert site.until_done(pause=900).states == {"job": RunState.SUCCEEDED}
    assert len(asked(site)[1]) == len(ids()) - 2
    assert site.results() == (ids(), [])


def test_a_retry_reads_nothing_again_of_plain_failures(make_site: MakeSite) -> None:
    failing = Behaviour(answer=by_id({"r0": HttpError(status=400)}))
    site = make_site(failing, Behaviour(), base_url=REMOTE)
    assert site.until_done().states == {"job": RunState.PARTIAL}
    reads = len(site.world.calls("GET", "/files/*"))
    ask_again(site)
    site.reconcile()
    assert len(site.world.calls("GET", "/files/*")) == reads
    assert asked(site)[1:] == [("r0",)]


def test_a_plan_that_waits_for_the_output_file_decides(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The patience may end between the plan, which is early, and the download."""
    unnamed = True

    def hide(batch: dict[str, Any]) -> None:
        if unnamed:
            batch["output_file_id"] = None
            batch["request_counts"]["completed"] = 0

    failing = Behaviour(answer=by_id({"r0": HttpError(status=400)}))
    site = make_site(world=Dialect(each_batch(hide), behaviour=failing), base_url=REMOTE)
    monkeypatch.setattr(collect, "is_given_up", lambda *_arguments: True)
    site.reconcile()
    site.reconcile()
    assert [each.state for each in known(site).submissions] == [SubmissionState.SUBMITTED]
    unnamed = False
    assert site.until_done().states == {"job": RunState.PARTIAL}
    assert sorted(site.results()[0]) == ids()[1:]
