"""Messages to hooks: at least once each, in order, and never in the way of the work.

A message is what an event of the ledger says (`runner.ledger.notifications`): there is one for
each transition, whichever pass brings it and however many passes follow. A hook that fails is tried
again by later passes, after pauses that double from a minute to an hour, and what it has not
taken at the eighth try it will not be told of any more. Its first failure is told, and each
message that is given up. No failure of a hook changes what a pass does, or its exit code.
"""

from __future__ import annotations

import time
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, assert_never

from runner.errors import MissingExtra, NotDelivered
from runner.ledger import notifications
from runner.notify.message import message_of
from runner.reconcile.lock import locked
from runner.spec.notifications import ChatChannel, CommandChannel, WebhookChannel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from runner.ledger.notifications import PendingEvent, Subscriber
    from runner.ledger.store import Ledger
    from runner.notify.message import Message
    from runner.spec.notifications import Channel, Hook
    from runner.spec.project import Project

MOST_TRIES: Final = 8
FIRST_PAUSE: Final = 60.0
LONGEST_PAUSE: Final = 3600.0
_SHARE: Final = 60.0
"""Seconds that one hook may take of a pass; the next pass tells it the rest."""


def deliver(
    ledger: Ledger,
    project: Project,
    *,
    environ: Mapping[str, str],
    warn: Callable[[str], None],
) -> None:
    """Tell each hook what it has not heard of yet; `warn` hears of hooks that fail.

    One process at a time, so that no message is sent by two. Raises LedgerError.
    """
    if not any(_waiting(ledger, project)):
        return
    with locked(ledger.path.with_name("hooks"), wait=True):
        telling = _Telling(ledger, project, environ=environ, warn=warn)
        subscribers = notifications.subscribers(ledger)
        for hook in project.hooks:
            if hook.id in subscribers:
                telling.tell(hook, subscribers[hook.id])


def _waiting(ledger: Ledger, project: Project) -> Iterator[bool]:
    """Yield, hook by hook, whether there is anything that it may have to be told of now."""
    through, now = notifications.newest(ledger), ledger.clock()
    subscribers = notifications.subscribers(ledger)
    for hook in project.hooks:
        subscriber = subscribers.get(hook.id)
        yield (
            subscriber is not None
            and subscriber.not_before <= now
            and bool(
                notifications.pending_events(ledger, after=subscriber.delivered, through=through)
            )
        )


class _Telling:
    """One round of messages: what is the same for all hooks."""

    def __init__(
        self,
        ledger: Ledger,
        project: Project,
        *,
        environ: Mapping[str, str],
        warn: Callable[[str], None],
    ) -> None:
        self._ledger = ledger
        self._project = project
        self._environ = environ
        self._warn = warn
        self._through = notifications.newest(ledger)
        self._runs = {(run.job, run.short): run for run in ledger.runs()}

    def tell(self, hook: Hook, subscriber: Subscriber) -> None:
        """Tell a hook what it has not heard of, oldest first, until that fails or takes long."""
        pending_events = notifications.pending_events(
            self._ledger, after=subscriber.delivered, through=self._through
        )
        wanted = [piece for piece in pending_events if _concerns(hook, piece)]
        if wanted and subscriber.not_before > self._ledger.clock():
            return
        enough = time.monotonic() + _SHARE
        for piece in wanted:
            if time.monotonic() > enough:
                return
            if not self._told(hook, subscriber, piece):
                return
            subscriber = replace(subscriber, tries=0, failures=0)
        notifications.mark_delivered(self._ledger, subscriber.id, self._through)

    def _told(self, hook: Hook, subscriber: Subscriber, piece: PendingEvent) -> bool:
        """Tell one piece of news, and record what came of it."""
        run = self._runs.get((piece.event.job or "", piece.event.revision or ""))
        message = message_of(piece, run, project=self._project.root.name)
        notifications.record_try(self._ledger, subscriber.id)
        try:
            send(hook.channel, message, self._project, self._environ)
        except (NotDelivered, MissingExtra) as error:
            self._failed(hook, subscriber, piece, message, error)
            return False
        notifications.record_delivery(self._ledger, subscriber, piece)
        return True

    def _failed(
        self,
        hook: Hook,
        subscriber: Subscriber,
        piece: PendingEvent,
        message: Message,
        error: NotDelivered | MissingExtra,
    ) -> None:
        pause = min(FIRST_PAUSE * 2.0**subscriber.failures, LONGEST_PAUSE)
        given_up = subscriber.tries + 1 >= MOST_TRIES
        notifications.record_failed_delivery(
            self._ledger,
            subscriber,
            str(error),
            not_before=self._ledger.clock() + pause,
            given_up=piece if given_up else None,
        )
        if given_up:
            self._warn(
                f"notify: {hook}: {in_full(error)}; after {MOST_TRIES} tries it will not be told: "
                f"{message.text}"
            )
        elif not subscriber.failures:
            self._warn(f"notify: {hook}: {in_full(error)}; it is tried again")


def send(channel: Channel, message: Message, project: Project, environ: Mapping[str, str]) -> None:
    """Send one message one way. Raises NotDelivered or MissingExtra."""
    match channel:
        case CommandChannel():
            from runner.notify.command import run

            run(channel, message.content(), without_secrets(project, environ) | message.variables())
        case WebhookChannel():
            from runner.api.webhook import post

            post(
                channel.address.read(environ),
                message.content(),
                content_type="application/json",
                headers={"Idempotency-Key": message.id},
            )
        case ChatChannel():
            from runner.notify.chat import send as send_by_apprise

            url = channel.address.read(environ)
            send_by_apprise(url, kind=message.kind, title=message.title, text=message.text)
        case _:
            assert_never(channel)


def in_full(error: NotDelivered | MissingExtra) -> str:
    """Write an error with what a command has printed, for the person who runs it."""
    printed = error.printed if isinstance(error, NotDelivered) else ""
    return f"{error}: {printed}" if printed else str(error)


def without_secrets(project: Project, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables but for keys of providers and secret URLs, under whatever name."""
    names = {provider.api_key_env for provider in project.providers.values()}
    names |= {
        hook.channel.address.variable
        for hook in project.hooks
        if not isinstance(hook.channel, CommandChannel)
    }
    names.add(project.ping.variable if project.ping is not None else None)
    secrets = {environ.get(name, "") for name in names if name is not None} - {""}
    return {
        name: value for name, value in environ.items() if name not in names and value not in secrets
    }


def _concerns(hook: Hook, piece: PendingEvent) -> bool:
    if piece.kind not in hook.when:
        return False
    job = piece.event.job
    return hook.jobs is None or job is None or fnmatchcase(job, hook.jobs)
