"""One message: what has changed, for a person in a sentence and for a program in fields.

The fields are stable: one is added, none changed or removed, unless `version` says so. `text`
is what chats that take a webhook show (Slack, Mattermost and their like), so that their URL can be
named as it is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from runner.ledger.notifications import RECOVERED, TROUBLE
from runner.report.safe_text import plain
from runner.text import plural, span, timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.ledger.notifications import PendingEvent
    from runner.ledger.records import Run

VERSION: Final = 1
_LONGEST: Final = 2_000
"""Characters of a sentence: a provider's own words are in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is told. `id` is the same each time that the same thing is told.

    `at` is when it happened, in Unix seconds; `project` the name of the project's folder.
    `requests` are counts by outcome, for a job that has ended.
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
        """What it is about, in a few words."""
        return f"runner: {self.job or self.project} {self.kind}"

    def shape(self) -> dict[str, Any]:
        """Return the fields, as JSON has them."""
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

    def content(self) -> bytes:
        """Return the fields as one line of JSON."""
        return json.dumps(self.shape(), ensure_ascii=False).encode() + b"\n"

    def variables(self) -> dict[str, str]:
        """Return the fields as variables for a command; those that say nothing are empty."""
        return {
            "RUNNER_ID": self.id,
            "RUNNER_KIND": self.kind,
            "RUNNER_PROJECT": self.project,
            "RUNNER_JOB": self.job or "",
            "RUNNER_REVISION": self.revision or "",
            "RUNNER_TEXT": self.text,
            "RUNNER_OUTPUT_DIR": self.output_dir or "",
        }


def message_of(pending_events: PendingEvent, run: Run | None, *, project: str) -> Message:
    """Say what an event tells; `run` is the one it is about, None if it is about none."""
    event, detail = pending_events.event, pending_events.event.detail
    identity = json.dumps([event.at, pending_events.number, event.kind, event.job, event.revision])
    what = str(detail.get("what") or detail.get("problem") or "")
    requests = None
    match event.kind:
        case "run_finished":
            requests = _requests(detail, run)
            what = _ending(pending_events.kind, requests, detail.get("reason"), run)
        case "trouble":
            pass
        case "recovered":
            since = detail.get("since")
            lasted = event.at - since if isinstance(since, float | int) else 0.0
            what = f"over after {span(lasted)}: {what}"
        case _:
            pass
    about = event.job or (None if event.kind in (TROUBLE, RECOVERED) else project)
    said = plain(f"{about}: {what}" if about else what)
    return Message(
        id=sha256(identity.encode()).hexdigest()[:16],
        at=event.at,
        kind=pending_events.kind,
        project=plain(project),
        text=said if len(said) <= _LONGEST else said[: _LONGEST - 1] + "…",
        job=event.job,
        revision=event.revision,
        output_dir=None if run is None else run.folder,
        requests=requests,
    )


def sample(*, project: str, at: float) -> Message:
    """Return a message that tells nothing but that messages arrive."""
    return Message(
        id="test",
        at=at,
        kind="test",
        project=plain(project),
        text=f"{plain(project)}: this is how messages of runner arrive; nothing has happened",
    )


def _requests(detail: Mapping[str, object], run: Run | None) -> dict[str, int]:
    succeeded, failed = _count(detail.get("succeeded")), _count(detail.get("failed"))
    total = run.requests if run is not None else succeeded + failed
    return {"total": total, "succeeded": succeeded, "failed": failed}


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _ending(state: str, requests: Mapping[str, int], reason: object, run: Run | None) -> str:
    said = f"{state}: {requests['succeeded']:,} of {plural(requests['total'], 'request')} answered"
    if requests["failed"]:
        said += f", {requests['failed']:,} without success"
    if reason:
        said += f" ({reason})"
    return said if run is None else f"{said}; see {run.folder}"
