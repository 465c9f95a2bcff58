"""The output of `runner notify`: the hooks, and whether their messages arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.report.colour import NO_COLOURS
from runner.report.text_width import wrap
from runner.text import moment, plural, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.ledger.notifications import Subscriber
    from runner.report.colour import Colours
    from runner.spec.notifications import Hook


def render_hooks(
    hooks: Sequence[tuple[Hook, Subscriber | None]],
    *,
    width: int | None = None,
    colours: Colours = NO_COLOURS,
) -> str:
    """Render the hooks, each with its state in the ledger; None before the first pass with it."""
    lines = []
    for hook, subscriber in hooks:
        jobs = "" if hook.jobs is None else f", for jobs {hook.jobs}"
        lines.append(colours.bold(wrap(printable(str(hook)), width, indent=2)))
        lines.append(wrap(printable(f"  on {', '.join(hook.when)}{jobs}"), width, indent=4))
        lines.append(wrap(printable(f"  {_delivery(subscriber)}"), width, indent=4))
    return "\n".join(lines) + "\n"


def render_sample(hook: Hook, problem: str | None, *, colours: Colours = NO_COLOURS) -> str:
    """Render whether a hook accepted its sample message."""
    outcome = "accepted" if problem is None else f"not accepted: {printable(problem)}"
    return f"{colours.bold(printable(str(hook)))}: {outcome}\n"


def _delivery(subscriber: Subscriber | None) -> str:
    if subscriber is None:
        return "no message yet: it starts with the next pass"
    if subscriber.failures:
        tries = plural(subscriber.failures, "time")
        return f"failed {tries} in a row: {subscriber.problem}"
    if subscriber.last_sent_at is None:
        return "no message yet"
    return f"last message at {moment(subscriber.last_sent_at)} UTC"
