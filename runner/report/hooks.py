"""Who is told of what has changed, and whether that works: `runner notify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.report.colour import NO_COLOURS
from runner.report.safe_text import plain, wrap
from runner.text import moment, plural

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
    """Render the list; a hook that no pass has met yet has nothing for the ledger's part."""
    lines = []
    for hook, subscriber in hooks:
        jobs = "" if hook.jobs is None else f", of jobs {hook.jobs}"
        lines.append(colours.bold(wrap(plain(str(hook)), width, indent=2)))
        lines.append(wrap(plain(f"  hears of {', '.join(hook.when)}{jobs}"), width, indent=4))
        lines.append(wrap(plain(f"  {_standing(subscriber)}"), width, indent=4))
    return "\n".join(lines) + "\n"


def render_sample(hook: Hook, problem: str | None, *, colours: Colours = NO_COLOURS) -> str:
    """Say whether a hook took its sample."""
    came = "taken" if problem is None else f"not taken: {plain(problem)}"
    return f"{colours.bold(plain(str(hook)))}: {came}\n"


def _standing(subscriber: Subscriber | None) -> str:
    if subscriber is None:
        return "hears of what happens from the next pass on"
    if subscriber.failures:
        tries = plural(subscriber.failures, "time")
        return f"failed {tries} in a row: {subscriber.problem}"
    if subscriber.told_at is None:
        return "was told nothing yet"
    return f"was last told at {moment(subscriber.told_at)} UTC"
