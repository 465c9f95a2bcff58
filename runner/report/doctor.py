"""What `runner doctor` found: a line for each check, and below it what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from runner.checks.doctor import Health
from runner.report.colour import NO_PAINT
from runner.report.safe_text import columns, pad, plain, wrap
from runner.text import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.checks.doctor import Finding
    from runner.report.colour import Paint

DOCTOR_FORMAT: Final = 1
_STATE: Final = 4
_GAP: Final = 2


def render_checkup(
    findings: Sequence[Finding], *, width: int | None = None, paint: Paint = NO_PAINT
) -> str:
    """Render all findings; `width` is the number of columns to keep to, None for no limit."""
    name_width = max((columns(plain(finding.check)) for finding in findings), default=0)
    indent = _STATE + _GAP + name_width + _GAP
    lines = []
    for finding in findings:
        state = finding.health.ljust(_STATE)
        what = wrap(
            f"{state}  {pad(plain(finding.check), name_width)}  {plain(finding.what)}",
            width,
            indent=indent,
        )
        lines.append(_painted(finding.health, state, paint) + what[_STATE:])
        if finding.remedy is not None:
            remedy = f"{' ' * indent}→ {plain(finding.remedy)}"
            lines.append(wrap(remedy, width, indent=indent + _GAP))
    return "\n".join([*lines, "", _summary(findings, paint)]) + "\n"


def _painted(health: Health, text: str, paint: Paint) -> str:
    match health:
        case Health.OK:
            return paint.good(text)
        case Health.WARN:
            return paint.warning(text)
        case Health.FAIL:
            return paint.bad(text)


def _summary(findings: Sequence[Finding], paint: Paint) -> str:
    failed, warned = (
        sum(finding.health is health for finding in findings)
        for health in (Health.FAIL, Health.WARN)
    )
    told = plural(len(findings), "check")
    if failed:
        warnings = f", {plural(warned, 'warning')}" if warned else ""
        return paint.bad(f"{told}: {failed:,} failed{warnings}")
    if warned:
        return paint.warning(f"{told}: none failed, {plural(warned, 'warning')}")
    return paint.good(f"{told}: all is well")


def checkup_shape(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return `doctor --json`; stable: a field is added, never changed or removed."""
    return {
        "format_version": DOCTOR_FORMAT,
        "healthy": not any(finding.health is Health.FAIL for finding in findings),
        "checks": [
            {
                "check": finding.check,
                "health": str(finding.health),
                "what": finding.what,
                "remedy": finding.remedy,
            }
            for finding in findings
        ],
    }
