"""What a provider refuses, immediately or hours later: failure modes 9 to 12."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from runner.inputs.tokens import token_counter
from runner.ledger.records import RunState
from runner.planning.state import tokens
from tests.failures.scene import REMOTE, Dialect, asked, error_lines, ids, told
from tests.simulation import faults as trouble
from tests.simulation.behaviour import (
    CANNOT_FIND_FILE,
    TOKEN_LIMIT,
    Behaviour,
    Conditions,
    Fail,
    Problem,
)
from tests.simulation.exchange import Content, Response
from tests.simulation.faults import Status, on
from tests.simulation.replies import Refusal
from tests.simulation.scene import CHAT, request_line
from tests.simulation.site import SPEC

if TYPE_CHECKING:
    from tests.failures.conftest import MakeSite
    from tests.failures.scene import Retell
    from tests.simulation.exchange import Request
    from tests.simulation.site import Site
    from tests.simulation.world import Exchange

ONCE = SPEC + "retry: {attempts: 1}\n"


def posts(site: Site, path: str = "/batches") -> list[Exchange]:
    return site.world.calls("POST", path)


def files_named(site: Site) -> list[str]:
    """Return the input file that each creation of a batch named, in order."""
    return [json.loads(post.body)["input_file_id"] for post in posts(site)]


# 9: a file just uploaded that nobody knows ----------------------------------------------------


def test_09_a_file_not_known_yet_is_tried_again_with_backoff(make_site: MakeSite) -> None:
    """Failure mode 9: 400 that names the file, right after its upload, is waited out.

    The same file id every time, nothing uploaded again, a handful of tries a pass with growing
    pauses, and more in later passes.
    """
    site = make_site(conditions=Conditions(create_blind=100), base_url=REMOTE)
    report = site.reconcile()
    assert report.has_problem
    assert "does not know the uploaded file yet" in told(site)
    times = [post.at for post in posts(site)]
    assert 2 <= len(times) <= 5
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses == sorted(pauses)
    assert pauses[-1] > 2 * pauses[0]
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert len(posts(site, "/files")) == 1
    assert len(set(files_named(site))) == 1
    assert {post.status for post in posts(site)[:-1]} == {400}
    assert asked(site) == [tuple(ids())]
    site.check(ids())


@pytest.mark.parametrize(
    "words",
    [
        Status(status=404, body={"detail": "File file-1 not found."}),
        Status(status=400, message="The file is not yet processed.", code="invalid_request"),
        Status(status=400, message="No such file.", param="input_file_id"),
        Status(status=404, message="File does not exist.", param="input_file_id"),
    ],
)
def test_09_other_servers_say_it_otherwise(make_site: MakeSite, words: Status) -> None:
    """Failure mode 9: Voyage answers 404, Azure that the file is not processed: it is the same."""
    site = make_site(base_url=REMOTE)
    site.world.faults = on("POST", "/batches", *[words] * 8)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert len(posts(site)) == 9
    assert len(posts(site, "/files")) == 1
    assert len(set(files_named(site))) == 1
    assert asked(site) == [tuple(ids())]


def test_09_a_file_that_was_deleted_meanwhile_is_uploaded_again(make_site: MakeSite) -> None:
    """Failure mode 9: where the provider says of the file itself that it is not there, it is sent.

    That is not the case that patience helps; still there is only one batch.
    """
    site = make_site(base_url=REMOTE)
    site.world.faults = on("POST", "/batches", *[trouble.Refuse()] * 5)
    site.reconcile()
    [file] = [each for each in site.world.files() if each.purpose == "batch"]
    file.deleted = site.clock()
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert len(posts(site, "/files")) == 2
    assert len(asked(site)) == 1
    site.check(ids())


@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_09_no_other_refusal_is_tried_again(make_site: MakeSite, status: int) -> None:
    """Failure mode 9: exactly this error is repeated; any other refusal is made once a pass."""
    site = make_site(base_url=REMOTE)
    site.world.faults = on("POST", "/batches", Status(status=status, message="Unknown endpoint."))
    site.reconcile()
    assert len(posts(site)) == 1


# 10: a file that is there and not found -------------------------------------------------------

UNFOUND = Behaviour(ending=Fail(problems=(CANNOT_FIND_FILE,)))


def test_10_a_file_not_found_by_its_batch_is_looked_for_and_sent_again(
    make_site: MakeSite,
) -> None:
    """Failure mode 10: the batch failed, the file is there: a bounded number of new attempts.

    Each time the file is retrieved, so that the problem can say whether it is there; when the
    attempts of the spec are used up the run ends, with that problem.
    """
    site = make_site(UNFOUND, base_url=REMOTE)
    assert site.until_done().states == {"job": RunState.PARTIAL}
    assert len(asked(site)) == 3
    for batch in site.world.submissions():
        looks = [each.at for each in site.world.calls("GET", f"/files/{batch.input_file_id}")]
        assert [at for at in looks if at >= batch.over_at], "the file was looked for"
        words = f"the provider does show {batch.input_file_id} (912 bytes), so the problem is on"
        assert words in told(site)
    [view] = site.views()
    assert "the problem is on its side" in (view.note or "")
    for line in error_lines(site).values():
        assert line["error"]["code"] == "runner_batch_failed"
        assert "Cannot find file" in line["error"]["message"]
        assert "on its side" in line["error"]["message"]
    for _ in range(3):
        site.clock.sleep(3600)
        site.reconcile()
    assert len(asked(site)) == 3


def test_10_a_passing_incident_costs_one_attempt(make_site: MakeSite) -> None:
    """Failure mode 10: once the provider finds its files again, everything is answered once."""
    site = make_site(UNFOUND, UNFOUND, Behaviour(), base_url=REMOTE)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert [batch.status for batch in site.world.submissions()] == ["failed", "failed", "completed"]
    site.check(ids())


def test_10_a_file_that_is_really_gone_is_told_as_gone(make_site: MakeSite) -> None:
    """Failure mode 10: if the provider does not have the file, the problem says that instead."""
    late = Behaviour(validating=50, ending=Fail(problems=(CANNOT_FIND_FILE,)))
    site = make_site(late, Behaviour(), base_url=REMOTE)
    site.reconcile()
    [file] = site.world.files()
    file.deleted = site.clock()
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert f"the provider does not have {file.id} any more" in told(site)
    assert "on its side" not in told(site)
    assert len(posts(site, "/files")) == 2
    site.check(ids())


# 11: limits that are met hours later ----------------------------------------------------------

LIMITED = Behaviour(validating=10, ending=Fail(problems=(TOKEN_LIMIT,)))


def test_11_a_token_limit_is_waited_out_with_the_same_file(make_site: MakeSite) -> None:
    """Failure mode 11: accepted, failed later for enqueued tokens: backed off, and sent again.

    Nothing is uploaded again, the pauses double from a minute, no attempt is lost (the spec
    allows one), and no request is in two batches at a time.
    """
    site = make_site(*[LIMITED] * 5, Behaviour(), spec=ONCE, base_url=REMOTE)
    assert site.until_done(passes=200, pause=25).states == {"job": RunState.SUCCEEDED}
    assert len(posts(site, "/files")) == 1
    assert len(set(files_named(site))) == 1
    batches = site.world.submissions()
    assert [batch.status for batch in batches] == ["failed"] * 5 + ["completed"]
    pauses = [later.created - earlier.over_at for earlier, later in pairwise(batches)]
    for pause, least in zip(pauses, (60, 120, 240, 480, 960), strict=True):
        assert least <= pause < least + 50
    assert len({batch.key for batch in batches}) == 6
    assert "Enqueued token limit reached" in told(site)
    site.check(ids())


@pytest.mark.parametrize("counted", [True, False])
def test_11_a_thousand_tokens_go_through_a_small_tier(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch, *, counted: bool
) -> None:
    """Failure mode 11: with `max_enqueued_tokens` no more is in flight than the tier takes.

    Counted exactly where the extra for it is installed, else estimated from bytes; no batch is
    turned away, and nothing is forgotten.
    """
    if not counted:
        monkeypatch.setitem(sys.modules, "toktok", None)
    counter = token_counter(CHAT)
    if counted and counter is None:
        pytest.skip("the extra `tokens` is not installed")
    limit = 40 if counted else 150
    config = f"    max_enqueued_tokens: {limit}\n"
    site = make_site(Behaviour(working=20), rows=12, shard=1, config=config, base_url=REMOTE)
    size: dict[str, int] = {}
    for name in ids(12):
        line = request_line(name)
        known = None if counter is None else counter.count("gpt-4o-mini", [line])
        size[name] = tokens(len(line)) if known is None else known
    most = 0
    for _ in range(30):
        site.reconcile()
        now = site.clock()
        flying = [batch.rows[0] for batch in site.world.submissions() if batch.in_flight(now)]
        assert sum(size[name] for name in flying) <= limit
        most = max(most, len(flying))
        site.clock.sleep(30)
    assert 3 <= most <= 6
    assert [view.state for view in site.views()] == [RunState.SUCCEEDED]
    site.check(ids(12))
    assert len(asked(site)) == 12


@pytest.mark.parametrize("code", ["insufficient_quota", "billing_hard_limit_reached"])
def test_11_a_batch_turned_away_for_money_stops_its_provider(
    make_site: MakeSite, code: str
) -> None:
    """Failure mode 11, without credit: waiting does not help, so nothing else is sent in that pass.

    The message is the provider's own; nothing is lost: once the user has paid, the same file is
    submitted again, and no attempt was used up.
    """
    broke = Behaviour(ending=Fail(problems=(Problem(code=code, message="No credit left."),)))
    config = "    max_active_batches: 1\n"
    site = make_site(broke, Behaviour(), rows=4, shard=2, spec=ONCE, config=config, base_url=REMOTE)
    site.reconcile()
    site.clock.sleep(5)
    report = site.reconcile()
    assert len(posts(site)) == 1, "the next shard had its turn, and was held back"
    assert report.unusable == {"openai"}
    assert report.has_problem
    assert "No credit left." in told(site)
    assert any("add credit or raise the limit" in wait.reason for wait in report.waits)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert len(posts(site, "/files")) == 2
    site.check(ids(4))


@pytest.mark.parametrize("path", ["/files", "/batches"])
def test_11_a_call_refused_for_money_is_made_once_a_pass(make_site: MakeSite, path: str) -> None:
    """Failure mode 11, with money: 429 for want of it is not repeated like one for haste."""
    site = make_site(rows=6, shard=2, base_url=REMOTE)
    site.world.faults = on("POST", path, trouble.out_of_money(), trouble.out_of_money())
    for times in (1, 2):
        report = site.reconcile()
        assert len(posts(site, path)) == times
        assert asked(site) == []
        assert report.unusable == {"openai"}
        assert "You exceeded your current quota" in told(site)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert len(asked(site)) == 3
    site.check(ids())


# 12: files that are too large after all -------------------------------------------------------


def said_with_400(request: Request, response: Response) -> Response:
    """Refuse as some providers do: 400, and the reason only in the message."""
    if response.status == 413 and request.path == "/files":
        return Refusal(400, "File is too large.").reply()
    return response


def said_by_a_proxy(request: Request, response: Response) -> Response:
    """Refuse in a proxy's own way."""
    if response.status == 413 and request.path == "/files":
        page = b"<html><head><title>413 Request Entity Too Large</title></head></html>"
        return Response(status=413, headers={"content-type": "text/html"}, body=Content.of(page))
    return response


@pytest.mark.parametrize("dialect", [None, said_with_400, said_by_a_proxy])
def test_12_a_file_refused_for_its_size_goes_out_in_parts(
    make_site: MakeSite, dialect: Retell | None
) -> None:
    """Failure mode 12: the provider takes less than it documents: halves, until they pass.

    Every request is in exactly one batch and succeeds; the refusals use up no attempt.
    """
    names = [f"r{number}-{'x' * (37 * number % 200)}" for number in range(24)]
    lines = b"".join(map(request_line, names))
    world = None if dialect is None else Dialect(dialect)
    site = make_site(lines=lines, world=world, spec=ONCE, base_url=REMOTE)
    site.world.conditions = Conditions(max_bytes=len(lines) // 5)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    refused = [post for post in posts(site, "/files") if post.status != 200]
    assert 1 <= len(refused) <= 5
    assert max(len(rows) for rows in asked(site)) <= len(names) // 2
    assert sorted(name for rows in asked(site) for name in rows) == sorted(names)
    assert set(site.world.paid().values()) == {1}
    site.check(names)


def test_12_one_request_that_is_too_large_ends_in_words(make_site: MakeSite) -> None:
    """Failure mode 12: where nothing is left to divide, the run says so and stops trying."""
    site = make_site(rows=2, base_url=REMOTE)
    site.world.conditions = Conditions(max_bytes=20)
    assert site.until_done().states == {"job": RunState.FAILED}
    assert len(posts(site, "/files")) <= 3
    assert asked(site) == []
    assert "File is too large." in told(site)
    assert "max_bytes_per_batch" in told(site)
    site.check(ids(2))
