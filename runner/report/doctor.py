"""What `runner doctor` found: a line for each check, and below it what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.checks.doctor import CheckStatus
from runner.report.colour import NO_COLOURS
from runner.report.safe_text import columns, pad, plain, wrap
from runner.text import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.checks.doctor import CheckResult
    from runner.report.colour import Colours
    from runner.report.schemas.doctor import DoctorOutput

DOCTOR_FORMAT: Final = 1
_STATE: Final = 4
_GAP: Final = 2


def render_doctor(
    findings: Sequence[CheckResult], *, width: int | None = None, colours: Colours = NO_COLOURS
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
        lines.append(_coloured(finding.health, state, colours) + what[_STATE:])
        if finding.remedy is not None:
            remedy = f"{' ' * indent}→ {plain(finding.remedy)}"
            lines.append(wrap(remedy, width, indent=indent + _GAP))
    return "\n".join([*lines, "", _summary(findings, colours)]) + "\n"


def _coloured(health: CheckStatus, text: str, colours: Colours) -> str:
    match health:
        case CheckStatus.OK:
            return colours.good(text)
        case CheckStatus.WARN:
            return colours.warning(text)
        case CheckStatus.FAIL:
            return colours.bad(text)


def _summary(findings: Sequence[CheckResult], colours: Colours) -> str:
    failed, warned = (
        sum(finding.health is health for finding in findings)
        for health in (CheckStatus.FAIL, CheckStatus.WARN)
    )
    told = plural(len(findings), "check")
    if failed:
        warnings = f", {plural(warned, 'warning')}" if warned else ""
        return colours.bad(f"{told}: {failed:,} failed{warnings}")
    if warned:
        return colours.warning(f"{told}: none failed, {plural(warned, 'warning')}")
    return colours.good(f"{told}: all is well")


def doctor_json(findings: Sequence[CheckResult]) -> DoctorOutput:
    """Return `doctor --json`; stable: a field is added, never changed or removed."""
    return {
        "format_version": DOCTOR_FORMAT,
        "healthy": not any(finding.health is CheckStatus.FAIL for finding in findings),
        "checks": [
            {
                "check": finding.check,
                "health": finding.health,
                "what": finding.what,
                "remedy": finding.remedy,
            }
            for finding in findings
        ],
    }
