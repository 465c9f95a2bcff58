"""The delivery of messages to hooks: each message at least once, in order.

There is one message for each event that `runner.ledger.notifications` selects, whichever pass
records it and however many passes follow. After a failure, later passes try again, with pauses that
double from a minute to an hour; after eight attempts a message is given up. The first failure of a
hook is printed, and each message that is given up. A failure changes neither a pass nor its exit
code.
"""

from __future__ import annotations

import time
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, assert_never

from runner.errors import MissingExtra, NotDelivered
from runner.ledger import notifications
from runner.notify.message import make_message
from runner.reconcile.lock import locked
from runner.spec.notifications import ChatChannel, CommandChannel, WebhookChannel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from runner.ledger.notifications import PendingEvent, Subscriber
    from runner.ledger.store import Ledger
    from runner.notify.message import Message
    from runner.spec.notifications import Channel, Hook
    from runner.spec.project import Project

MAX_TRIES: Final = 8
FIRST_PAUSE: Final = 60.0
LONGEST_PAUSE: Final = 3600.0
_TIME_PER_HOOK: Final = 60.0
"""Seconds of a pass after which a hook gets no further message; the next pass continues."""


def deliver(
    ledger: Ledger,
    project: Project,
    *,
    environ: Mapping[str, str],
    warn: Callable[[str], None],
) -> None:
    """Send each hook the messages that it has not got yet; `warn` gets the failures as text.

    A lock keeps two processes from sending the same message. Raises LedgerError.
    """
    if not any(_has_pending(ledger, project)):
        return
    with locked(ledger.path.with_name("hooks"), wait=True):
        delivery = _Delivery(ledger, project, environ=environ, warn=warn)
        subscribers = notifications.subscribers(ledger)
        for hook in project.hooks:
            if hook.id in subscribers:
                delivery.send_pending(hook, subscribers[hook.id])


def _has_pending(ledger: Ledger, project: Project) -> Iterator[bool]:
    """Yield for each hook whether it has messages that can be sent now."""
    through, now = notifications.newest_event_number(ledger), ledger.clock()
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


class _Delivery:
    """The delivery of the pending messages of one pass, to one hook after the other."""

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
        self._through = notifications.newest_event_number(ledger)
        self._runs = {(run.job, run.short): run for run in ledger.runs()}

    def send_pending(self, hook: Hook, subscriber: Subscriber) -> None:
        """Send a hook its pending messages, oldest first, until one fails or the time is up."""
        pending_events = notifications.pending_events(
            self._ledger, after=subscriber.delivered, through=self._through
        )
        subscribed = [pending for pending in pending_events if _is_subscribed(hook, pending)]
        if subscribed and subscriber.not_before > self._ledger.clock():
            return
        deadline = time.monotonic() + _TIME_PER_HOOK
        for pending in subscribed:
            if time.monotonic() > deadline:
                return
            if not self._send_one(hook, subscriber, pending):
                return
            subscriber = replace(subscriber, tries=0, failures=0)
        notifications.mark_delivered(self._ledger, subscriber.id, self._through)

    def _send_one(self, hook: Hook, subscriber: Subscriber, pending: PendingEvent) -> bool:
        """Send the message of one event and record the result; returns whether it was delivered."""
        run = self._runs.get((pending.event.job or "", pending.event.revision or ""))
        message = make_message(pending, run, project=self._project.root.name)
        notifications.record_try(self._ledger, subscriber.id)
        try:
            send(hook.channel, message, self._project, self._environ)
        except (NotDelivered, MissingExtra) as error:
            self._record_failure(hook, subscriber, pending, message, error)
            return False
        notifications.record_delivery(self._ledger, subscriber, pending)
        return True

    def _record_failure(
        self,
        hook: Hook,
        subscriber: Subscriber,
        pending: PendingEvent,
        message: Message,
        error: NotDelivered | MissingExtra,
    ) -> None:
        pause = min(FIRST_PAUSE * 2.0**subscriber.failures, LONGEST_PAUSE)
        given_up = subscriber.tries + 1 >= MAX_TRIES
        notifications.record_failed_delivery(
            self._ledger,
            subscriber,
            str(error),
            not_before=self._ledger.clock() + pause,
            given_up=pending if given_up else None,
        )
        if given_up:
            self._warn(
                f"notify: {hook}: {error_with_output(error)}; given up after {MAX_TRIES} tries: "
                f"{message.text}"
            )
        elif not subscriber.failures:
            self._warn(f"notify: {hook}: {error_with_output(error)}; a later pass tries again")


def send(channel: Channel, message: Message, project: Project, environ: Mapping[str, str]) -> None:
    """Send a message over a channel. Raises NotDelivered or MissingExtra."""
    match channel:
        case CommandChannel():
            from runner.notify.command import run

            run(
                channel,
                message.to_json_line(),
                environment_without_secrets(project, environ) | message.variables(),
            )
        case WebhookChannel():
            from runner.api.webhook import post

            post(
                channel.address.read(environ),
                message.without_markup().to_json_line(),
                content_type="application/json",
                headers={"Idempotency-Key": message.id},
            )
        case ChatChannel():
            from runner.notify.chat import send as send_by_apprise

            url = channel.address.read(environ)
            text = message.without_markup().text
            send_by_apprise(url, kind=message.kind, title=message.title, text=text)
        case _:
            assert_never(channel)


def error_with_output(error: NotDelivered | MissingExtra) -> str:
    """Return the text of an error, with the output of a command that failed."""
    printed = error.printed if isinstance(error, NotDelivered) else ""
    return f"{error}: {printed}" if printed else str(error)


def environment_without_secrets(project: Project, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without API keys and secret URLs.

    Variables of another name with the same value are left out too.
    """
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


def _is_subscribed(hook: Hook, pending: PendingEvent) -> bool:
    if pending.kind not in hook.when:
        return False
    job = pending.event.job
    return hook.jobs is None or job is None or fnmatchcase(job, hook.jobs)
