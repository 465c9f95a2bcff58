"""Who is told of what has changed, and whether that works: `runner notify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.report.colour import NO_PAINT
from runner.report.safe_text import plain, wrap
from runner.text import moment, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.ledger.notifications import Listener
    from runner.report.colour import Paint
    from runner.spec.notifications import Hook


def render_hooks(
    hooks: Sequence[tuple[Hook, Listener | None]],
    *,
    width: int | None = None,
    paint: Paint = NO_PAINT,
) -> str:
    """Render the list; a hook that no pass has met yet has nothing for the ledger's part."""
    lines = []
    for hook, listener in hooks:
        jobs = "" if hook.jobs is None else f", of jobs {hook.jobs}"
        lines.append(paint.bold(wrap(plain(str(hook)), width, indent=2)))
        lines.append(wrap(plain(f"  hears of {', '.join(hook.when)}{jobs}"), width, indent=4))
        lines.append(wrap(plain(f"  {_standing(listener)}"), width, indent=4))
    return "\n".join(lines) + "\n"


def render_sample(hook: Hook, problem: str | None, *, paint: Paint = NO_PAINT) -> str:
    """Say whether a hook took its sample."""
    came = "taken" if problem is None else f"not taken: {plain(problem)}"
    return f"{paint.bold(plain(str(hook)))}: {came}\n"


def _standing(listener: Listener | None) -> str:
    if listener is None:
        return "hears of what happens from the next pass on"
    if listener.failures:
        tries = plural(listener.failures, "time")
        return f"failed {tries} in a row: {listener.problem}"
    if listener.told_at is None:
        return "was told nothing yet"
    return f"was last told at {moment(listener.told_at)} UTC"
