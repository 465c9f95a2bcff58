"""The output of `runner doctor`: a line for each check, and below it what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.checks.doctor import CheckStatus
from runner.report.colour import NO_COLOURS
from runner.report.text_width import columns, pad, wrap
from runner.text import plural, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.checks.doctor import CheckResult
    from runner.report.colour import Colours
    from runner.report.schemas.doctor import DoctorOutput

DOCTOR_FORMAT: Final = 1
_STATE: Final = 4
_GAP: Final = 2


def render_doctor(
    results: Sequence[CheckResult], *, width: int | None = None, colours: Colours = NO_COLOURS
) -> str:
    """Render the results of all checks in at most `width` columns; None for no limit."""
    name_width = max((columns(printable(result.check)) for result in results), default=0)
    indent = _STATE + _GAP + name_width + _GAP
    lines = []
    for result in results:
        state = result.health.ljust(_STATE)
        what = wrap(
            f"{state}  {pad(printable(result.check), name_width)}  {printable(result.what)}",
            width,
            indent=indent,
        )
        lines.append(_colour(result.health, state, colours) + what[_STATE:])
        if result.remedy is not None:
            remedy = f"{' ' * indent}→ {printable(result.remedy)}"
            lines.append(wrap(remedy, width, indent=indent + _GAP))
    return "\n".join([*lines, "", _summary(results, colours)]) + "\n"


def _colour(health: CheckStatus, text: str, colours: Colours) -> str:
    match health:
        case CheckStatus.OK:
            return colours.good(text)
        case CheckStatus.WARN:
            return colours.warning(text)
        case CheckStatus.FAIL:
            return colours.bad(text)


def _summary(results: Sequence[CheckResult], colours: Colours) -> str:
    failed, warned = (
        sum(result.health is health for result in results)
        for health in (CheckStatus.FAIL, CheckStatus.WARN)
    )
    count = plural(len(results), "check")
    if failed:
        warnings = f", {plural(warned, 'warning')}" if warned else ""
        return colours.bad(f"{count}: {failed:,} failed{warnings}")
    if warned:
        return colours.warning(f"{count}: none failed, {plural(warned, 'warning')}")
    return colours.good(f"{count}: all passed")


def doctor_json(results: Sequence[CheckResult]) -> DoctorOutput:
    """Return `doctor --json`. Stable: fields are added, never changed or removed."""
    return {
        "format_version": DOCTOR_FORMAT,
        "healthy": not any(result.health is CheckStatus.FAIL for result in results),
        "checks": [
            {
                "check": result.check,
                "health": result.health,
                "what": result.what,
                "remedy": result.remedy,
            }
            for result in results
        ],
    }
