"""What a message says: to a person in one sentence, to a program in fields that stay."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from runner.ledger.notifications import PendingEvent
from runner.ledger.records import Event
from runner.notify.message import make_message, sample_message
from tests.ledger.entries import RUN

if TYPE_CHECKING:
    from runner.ledger.records import Run
    from runner.notify.message import Message

AT = 1_769_860_800.0


def message_for(
    kind: str, *, run: Run | None = None, job: str | None = None, **detail: object
) -> Message:
    event = Event(at=AT, kind=kind, job=job, revision=run.short if run else None, detail=detail)
    return make_message(PendingEvent(number=17, event=event), run, project="project")


def test_the_fields_of_a_message() -> None:
    message = message_for(
        "run_finished", run=RUN, job="hello", state="partial", succeeded=4, failed=2, reason="x" * 3
    )

    assert json.loads(message.to_json_line()) == {
        "version": 1,
        "id": message.id,
        "at": "2026-01-31T12:00:00Z",
        "kind": "partial",
        "project": "project",
        "job": "hello",
        "revision": RUN.short,
        "text": f"hello: partial: 4 of 6 requests succeeded, 2 failed (xxx); see {RUN.folder}",
        "requests": {"total": 6, "succeeded": 4, "failed": 2},
        "output_dir": RUN.folder,
    }
    assert message.to_json_line().endswith(b"}\n")
    assert message.title == "runner: hello partial"


def test_the_variables_of_a_message() -> None:
    message = message_for("trouble", subject="provider lab", what="lab is away")

    assert message.variables() == {
        "RUNNER_ID": message.id,
        "RUNNER_KIND": "trouble",
        "RUNNER_PROJECT": "project",
        "RUNNER_JOB": "",
        "RUNNER_REVISION": "",
        "RUNNER_TEXT": "lab is away",
        "RUNNER_OUTPUT_DIR": "",
    }


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (message_for("trouble", job="hello", what="it waits"), "hello: it waits"),
        (
            message_for(
                "recovered", subject="provider lab", what="lab is away", since=AT - 3 * 3600
            ),
            "lab works again, after 3 h; the problem was: lab is away",
        ),
        (
            message_for(
                "recovered", job="hello", subject="job hello", what="it waits", since=AT - 90
            ),
            "hello works again, after 1 min 30 s; the problem was: it waits",
        ),
        (
            message_for(
                "recovered",
                job="hello",
                subject="job hello",
                what="it waits",
                since=AT - 90,
                gone=True,
            ),
            "hello is not needed any more, after 1 min 30 s; the problem was: it waits",
        ),
        (message_for("overdue", job="hello", problem="late"), "hello: late"),
        (
            message_for("run_finished", job="gone", state="succeeded", succeeded=1, failed=0),
            "gone: succeeded: 1 of 1 request succeeded",
        ),
    ],
)
def test_the_sentence_of_a_message(message: Message, text: str) -> None:
    assert message.text == text


def test_what_a_provider_says_is_made_fit_to_be_shown() -> None:
    message = message_for("trouble", what="\x1b[2Jgone\nfor \u202egood" + "x" * 3000)

    assert message.text.isprintable()
    assert len(message.text) == 2000


def test_the_same_thing_has_the_same_id_and_another_has_another() -> None:
    one, again, other = (message_for("trouble", what=what) for what in ("a", "a", "b"))
    later = make_message(
        PendingEvent(number=18, event=Event(at=AT, kind="trouble", detail={})),
        None,
        project="project",
    )

    assert one.id == again.id == other.id
    assert later.id != one.id


def test_a_folder_whose_name_is_no_utf_8_can_be_told_of() -> None:
    event = PendingEvent(number=1, event=Event(at=AT, kind="trouble", detail={"what": "x"}))

    for message in (
        make_message(event, None, project="caf\udce9"),
        sample_message(project="\udce9", at=AT),
    ):
        message.to_json_line().decode()
        assert all(value.isprintable() for value in message.variables().values())


def test_a_sample_says_that_it_is_one() -> None:
    message = sample_message(project="project", at=AT)

    assert message.kind == "test"
    assert "nothing has happened" in message.text


@pytest.mark.parametrize(
    "words",
    [
        "<!channel> pay here",
        "<!here|all>",
        "<https://evil.example|your results>",
        "[your results](https://evil.example)",
        "@everyone",
        "x@here!",
        "@channel and @All",
        "@somebody",
        "<@U123>",
    ],
)
def test_a_chat_takes_nothing_in_the_words_of_a_provider_for_a_command(words: str) -> None:
    plain = message_for("trouble", subject="provider lab", what=words).without_markup().text

    for sign in ("<", ">", "](", "@e", "@h", "@c", "@A", "@s", "@U"):
        assert sign not in plain
    assert plain.translate({0x2039: "<", 0x203A: ">", 0x2060: None}) == words


@pytest.mark.parametrize(
    "text", ["12 of 14 requests; see outputs/job/1", "write to me@example.org"]
)
def test_other_text_is_the_same_in_a_chat(text: str) -> None:
    assert message_for("trouble", subject="job", what=text).without_markup().text == text
