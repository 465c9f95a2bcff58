"""A ledger in which things happen, and a hook that takes messages or fails."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from runner.errors import NotDelivered
from runner.ledger import run_transitions
from runner.ledger.records import RunState
from runner.ledger.store import Ledger
from runner.notify import deliver as delivering
from runner.notify.alerts import register
from runner.notify.deliver import deliver
from runner.spec.notifications import Address, Hook, WebhookChannel
from runner.spec.project import find_project
from tests.ledger.entries import Clock, start

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from runner.notify.message import Message
    from runner.spec.notifications import Channel
    from runner.spec.project import Project


@dataclass
class Post:
    """Takes the place of sending: keeps what is sent, or fails as often as it is told."""

    failures: int = 0
    error: Exception = field(default_factory=lambda: NotDelivered("nobody is at home"))
    sent: list[tuple[str, Message]] = field(default_factory=list)
    tried: int = 0

    def __call__(
        self, channel: Channel, message: Message, _project: Project, _environ: Mapping[str, str]
    ) -> None:
        """Send a message."""
        self.tried += 1
        if self.failures > 0:
            self.failures -= 1
            raise self.error
        self.sent.append((str(channel), message))

    @property
    def kinds(self) -> list[str]:
        """The kinds of what was sent, in order."""
        return [message.kind for _way, message in self.sent]


@dataclass
class House:
    """A project, its ledger, the post, and what was said of hooks that fail."""

    project: Project
    ledger: Ledger
    clock: Clock
    post: Post
    repeated: list[str] = field(default_factory=list)

    def tells(self, *hooks: Hook) -> None:
        """Let the project have these hooks from now on."""
        self.project = replace(self.project, hooks=hooks)
        register(self.ledger, self.project)

    def passes(self) -> None:
        """End a pass."""
        register(self.ledger, self.project)
        deliver(self.ledger, self.project, environ={}, warn=self.repeated.append)

    def ends(self, state: RunState = RunState.SUCCEEDED, reason: str | None = None) -> None:
        """Let the one run end."""
        run = self.ledger.run(1) if self.ledger.runs() else start(self.ledger)
        run_transitions.finish_run(
            self.ledger,
            run,
            state=state,
            reason=reason,
            succeeded=6 if state is RunState.SUCCEEDED else 4,
            failed=0 if state is RunState.SUCCEEDED else 2,
            superseded=False,
        )


def webhook(name: str = "A", **values: object) -> Hook:
    """Return a hook by its variable."""
    return replace(Hook(channel=WebhookChannel(address=Address(variable=name))), **values)  # type: ignore[arg-type]  # tests name fields


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    post = Post()
    monkeypatch.setattr(delivering, "send", post)
    clock = Clock()
    with Ledger.open(tmp_path / ".runner" / "ledger.db", clock=clock) as ledger:
        yield House(project=find_project(tmp_path, {}), ledger=ledger, clock=clock, post=post)
