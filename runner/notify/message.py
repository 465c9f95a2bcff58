"""A notification message: a sentence for users, and fields for programs.

The fields are stable: new ones may be added, but none is changed or removed unless `version`
changes. Chats with webhooks (Slack, Mattermost and similar) show the field `text`, so a webhook of
theirs can be used directly.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from runner.ledger.notifications import RECOVERED, TROUBLE
from runner.report.history import describe_event
from runner.text import plural, printable, timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.ledger.notifications import PendingEvent
    from runner.ledger.records import Run

VERSION: Final = 1
_MAX_TEXT: Final = 2_000
"""Characters of a text: it can contain an error message of a provider, of any length."""

_JOINER: Final = "\N{WORD JOINER}"
_MARKUP: Final = str.maketrans(
    "<>",
    "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}",
)
_MENTION: Final = re.compile(
    r"(?<![\w.+-])@(?=\w)|@(?=(?:all|channel|everyone|here)\b)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message. `id` is the same each time that the same message is sent.

    `at` is the time of the event in Unix seconds, `project` the name of the project folder, and
    `requests` the counts by result of a finished run.
    """

    id: str
    at: float
    kind: str
    project: str
    text: str
    job: str | None = None
    revision: str | None = None
    output_dir: str | None = None
    requests: Mapping[str, int] | None = None

    @property
    def title(self) -> str:
        """The title: the job or project, and the kind."""
        return f"runner: {self.job or self.project} {self.kind}"

    def fields(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return {
            "version": VERSION,
            "id": self.id,
            "at": timestamp(self.at),
            "kind": self.kind,
            "project": self.project,
            "job": self.job,
            "revision": self.revision,
            "text": self.text,
            "requests": None if self.requests is None else dict(self.requests),
            "output_dir": self.output_dir,
        }

    def to_json_line(self) -> bytes:
        """Return the fields as one line of JSON."""
        return json.dumps(self.fields(), ensure_ascii=False).encode() + b"\n"

    def without_markup(self) -> Message:
        """Return the message for a chat: nothing in its text mentions people or hides a link.

        A provider's words are part of the text. Chats read `<!channel>`, `@everyone` and
        `[text](address)` as commands; similar characters and an invisible joiner make them plain.
        Sources: https://docs.slack.dev/messaging/formatting-message-text, Mattermost's and
        Discord's documentation of mentions.
        """
        plain = self.text.translate(_MARKUP).replace("](", f"]{_JOINER}(")
        return replace(self, text=_MENTION.sub(f"@{_JOINER}", plain))

    def variables(self) -> dict[str, str]:
        """Return the fields as environment variables; a missing field is empty."""
        return {
            "RUNNER_ID": self.id,
            "RUNNER_KIND": self.kind,
            "RUNNER_PROJECT": self.project,
            "RUNNER_JOB": self.job or "",
            "RUNNER_REVISION": self.revision or "",
            "RUNNER_TEXT": self.text,
            "RUNNER_OUTPUT_DIR": self.output_dir or "",
        }


def make_message(pending: PendingEvent, run: Run | None, *, project: str) -> Message:
    """Return the message of an event; `run` is the run that the event is about, if any."""
    event, detail = pending.event, pending.event.detail
    identity = json.dumps([event.at, pending.number, event.kind, event.job, event.revision])
    what = str(detail.get("what") or detail.get("problem") or "")
    requests = None
    match event.kind:
        case "run_finished":
            requests = _request_counts(detail, run)
            what = _finished_text(pending.kind, requests, detail.get("reason"), run)
        case "trouble":
            pass
        case "recovered":
            what = describe_event(event)
        case _:
            pass
    prefix = (
        None
        if event.kind == RECOVERED
        else event.job or (None if event.kind == TROUBLE else project)
    )
    text = printable(f"{prefix}: {what}" if prefix else what)
    return Message(
        id=sha256(identity.encode()).hexdigest()[:16],
        at=event.at,
        kind=pending.kind,
        project=printable(project),
        text=text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…",
        job=event.job,
        revision=event.revision,
        output_dir=None if run is None else run.folder,
        requests=requests,
    )


def sample_message(*, project: str, at: float) -> Message:
    """Return the message of `runner notify --test`."""
    return Message(
        id="test",
        at=at,
        kind="test",
        project=printable(project),
        text=f"{printable(project)}: this is a test message of runner; nothing has happened",
    )


def _request_counts(detail: Mapping[str, object], run: Run | None) -> dict[str, int]:
    succeeded, failed = _count(detail.get("succeeded")), _count(detail.get("failed"))
    total = run.requests if run is not None else succeeded + failed
    return {"total": total, "succeeded": succeeded, "failed": failed}


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _finished_text(state: str, requests: Mapping[str, int], reason: object, run: Run | None) -> str:
    text = f"{state}: {requests['succeeded']:,} of {plural(requests['total'], 'request')} succeeded"
    if requests["failed"]:
        text += f", {requests['failed']:,} failed"
    if reason:
        text += f" ({reason})"
    return text if run is None else f"{text}; see {run.folder}"
