"""Who is told, when, and how often: one message for each transition, at least once, in order."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from runner.errors import LedgerError, MissingExtra, NotDelivered
from runner.ledger import notifications, submission_transitions
from runner.ledger.records import RunState, SubmissionState
from runner.ledger.store import Ledger
from runner.notify.alerts import register
from runner.notify.deliver import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    MAX_TRIES,
    deliver,
    environment_without_secrets,
)
from runner.spec.project import find_project
from tests.ledger.entries import KEY, bring_to, kinds
from tests.notify.conftest import webhook
from tests.spec.folders import lay_out

if TYPE_CHECKING:
    from pathlib import Path

    from tests.notify.conftest import House


def test_each_transition_is_told_once_however_many_passes_follow(house: House) -> None:
    house.tells(webhook())

    house.ends(RunState.PARTIAL)
    for _ in range(3):
        house.passes()
    house.ends(RunState.SUCCEEDED)
    house.passes()

    assert house.post.kinds == ["partial", "succeeded"]
    assert kinds(house.ledger).count("told") == 2
    assert house.repeated == []


def test_each_hook_hears_of_what_it_wants_to_hear_of(house: House) -> None:
    house.tells(
        webhook("ALL"),
        webhook("BAD", when=("failed", "partial")),
        webhook("GOOD", when=("succeeded",)),
        webhook("MINE", jobs="hel*"),
        webhook("OTHERS", jobs="acl-*"),
    )

    house.ends(RunState.FAILED)
    notifications.record_problems(house.ledger, began={"provider lab": "lab is away"}, over=())
    house.passes()

    heard = [(way.removeprefix("webhook in "), message.kind) for way, message in house.post.sent]
    assert heard == [
        ("ALL", "failed"),
        ("ALL", "trouble"),
        ("BAD", "failed"),
        ("MINE", "failed"),
        ("MINE", "trouble"),
        ("OTHERS", "trouble"),
    ]


def test_a_new_hook_hears_nothing_of_what_was_before(house: House) -> None:
    house.ends(RunState.PARTIAL)
    house.tells(webhook("A"))
    house.passes()
    assert house.post.sent == []

    house.ends(RunState.SUCCEEDED)
    house.tells(webhook("A"), webhook("B"))
    house.passes()

    assert [way for way, _ in house.post.sent] == ["webhook in A"]


def test_a_hook_that_is_taken_out_and_put_back_is_a_new_one(house: House) -> None:
    house.tells(webhook())
    house.tells()
    house.ends()
    house.tells(webhook())
    house.passes()

    assert house.post.sent == []


def test_a_batch_that_takes_too_long_is_told_of(house: House) -> None:
    house.tells(webhook())
    bring_to(house.ledger, SubmissionState.SUBMITTED)
    submission_transitions.overdue(house.ledger, KEY, "batch_1 takes longer than it should")
    house.passes()

    [(_, message)] = house.post.sent
    assert (message.kind, message.job) == ("overdue", "hello")
    assert message.text == "hello: batch_1 takes longer than it should"


def test_a_hook_that_fails_is_tried_again_later_and_told_of_once(house: House) -> None:
    house.tells(webhook())
    house.post.failures = 2
    house.ends()

    house.passes()
    assert house.repeated == ["notify: webhook in A: nobody is at home; a later pass tries again"]
    house.clock.now += FIRST_PAUSE - 1
    house.passes()
    assert house.post.tried == 1
    house.clock.now += 1
    house.passes()
    assert house.post.tried == 2
    house.clock.now += 2 * FIRST_PAUSE
    house.passes()

    assert house.post.kinds == ["succeeded"]
    assert len(house.repeated) == 1
    [subscriber] = notifications.subscribers(house.ledger).values()
    assert (subscriber.failures, subscriber.tries, subscriber.problem) == (0, 0, None)


def test_what_is_not_taken_after_eight_tries_is_given_up_and_that_is_told(house: House) -> None:
    house.tells(webhook())
    house.post.failures = MAX_TRIES
    house.ends(RunState.PARTIAL)
    house.ends(RunState.SUCCEEDED)

    for _ in range(MAX_TRIES):
        house.passes()
        house.clock.now += LONGEST_PAUSE
    assert house.post.tried == MAX_TRIES
    house.passes()

    assert house.post.kinds == ["succeeded"]
    assert kinds(house.ledger).count("not_told") == 1
    assert len(house.repeated) == 2
    assert house.repeated[1].startswith(
        "notify: webhook in A: nobody is at home; given up after 8 tries: hello: partial"
    )


def test_a_hook_that_fails_is_in_nobodys_way(house: House) -> None:
    house.tells(webhook("A"), webhook("B"))
    house.post.failures = 1
    house.ends()
    house.passes()

    assert [way for way, _ in house.post.sent] == ["webhook in B"]


def test_a_missing_extra_is_a_failure_in_words(house: House) -> None:
    house.tells(webhook())
    house.post.failures, house.post.error = 1, MissingExtra("pip install it")
    house.ends()
    house.passes()

    assert house.repeated == ["notify: webhook in A: pip install it; a later pass tries again"]


def test_what_a_command_printed_is_shown_and_not_kept(house: House, tmp_path: Path) -> None:
    house.tells(webhook())
    house.post.failures, house.post.error = 1, NotDelivered("failed", printed="5ecre7")
    house.ends()
    house.passes()

    assert house.repeated == ["notify: webhook in A: failed: 5ecre7; a later pass tries again"]
    with closing(sqlite3.connect(tmp_path / ".runner" / "ledger.db")) as connection:
        assert "5ecre7" not in "".join(connection.iterdump())


def test_a_crash_after_a_message_sends_it_again_under_the_same_id(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_arguments: object) -> None:
        raise KeyboardInterrupt

    house.tells(webhook())
    house.ends()
    with monkeypatch.context() as broken:
        broken.setattr(notifications, "record_delivery", crash)
        with pytest.raises(KeyboardInterrupt):
            house.passes()
    house.passes()
    house.passes()

    first, second = (message for _way, message in house.post.sent)
    assert first == second


def test_a_ledger_that_cannot_be_written_sends_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.tells(webhook())
    house.ends()

    def full(*_arguments: object, **_more: object) -> None:
        raise LedgerError("the disk is full")

    monkeypatch.setattr(Ledger, "transaction", full)
    with pytest.raises(LedgerError):
        deliver(house.ledger, house.project, environ={}, warn=house.repeated.append)

    assert house.post.tried == 0


def test_a_pass_without_news_writes_nothing(house: House) -> None:
    house.tells(webhook())
    house.ends()
    house.passes()
    house.passes()

    before = house.ledger.query("PRAGMA data_version")[0][0], _changes(house)
    house.passes()

    assert (house.ledger.query("PRAGMA data_version")[0][0], _changes(house)) == before


def _changes(house: House) -> int:
    return house.ledger._connection.total_changes


def test_a_hook_that_takes_its_time_leaves_the_rest_to_the_next_pass(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter([0.0, 1.0, 61.0, 100.0, 101.0])
    monkeypatch.setattr("time.monotonic", lambda: next(moments))
    house.tells(webhook())
    house.ends(RunState.PARTIAL)
    house.ends(RunState.SUCCEEDED)

    house.passes()
    assert house.post.kinds == ["partial"]
    house.passes()
    assert house.post.kinds == ["partial", "succeeded"]


def test_who_is_known_follows_the_project(house: House) -> None:
    house.tells(webhook("A"), webhook("B"))
    assert {one.name for one in notifications.subscribers(house.ledger).values()} == {
        "webhook in A",
        "webhook in B",
    }
    house.tells(webhook("B"))
    register(house.ledger, house.project)
    assert [one.name for one in notifications.subscribers(house.ledger).values()] == [
        "webhook in B"
    ]


def test_a_command_gets_no_key_and_no_secret_address(tmp_path: Path) -> None:
    lay_out(
        tmp_path,
        {
            "runner.yaml": "providers:\n"
            "  lab: {base_url: 'http://[::1]/v1', api_key_env: LAB_KEY}\n"
            "notify:\n  - webhook_env: HOOK_URL\n  - command: [x]\nping: {url_env: PING_URL}\n"
        },
    )
    environ = {
        "OPENAI_API_KEY": "sk-1",
        "LAB_KEY": "sk-2",
        "HOOK_URL": "https://x",
        "PING_URL": "https://y",
        "COPY": "sk-2",
        "EMPTY": "",
        "HOME": "~",
    }

    kept = environment_without_secrets(find_project(tmp_path, {}), environ)

    assert kept == {"EMPTY": "", "HOME": "~"}
