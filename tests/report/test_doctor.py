"""The output of `runner doctor`."""

from __future__ import annotations

from typing import Final

import pytest

from runner.checks.doctor import fail, ok, warn
from runner.report.doctor import doctor_json, render_doctor
from tests.report.golden_files import WIDTHS, check_rendering
from tests.report.scenes import HOSTILE

FINDINGS: Final = (
    ok("python", "3.12.4 on Linux x86_64"),
    ok("specs", "12 jobs, no problem"),
    warn(
        "git",
        "not committed: specs/sentiment.yaml, specs/summaries.yaml, specs/a.yaml and 7 more",
        "commit the specs before you reconcile, so that results can be traced to them",
    ),
    ok("ledger", ".runner/ledger.db: intact, 48 runs"),
    fail(
        "openai: list",
        "openai answered GET /batches with 401 Unauthorized: Incorrect API key provided: ***. "
        "(check that the key in OPENAI_API_KEY is right and may do this) [request req_1]",
        "use another API key, or give this one more rights",
    ),
    warn("lab: list", HOSTILE, "look at it"),
)


@pytest.mark.parametrize("width", WIDTHS)
def test_doctor(width: int) -> None:
    check_rendering(
        "doctor", width, lambda colours: render_doctor(FINDINGS, width=width, colours=colours)
    )


@pytest.mark.parametrize(
    ("findings", "summary"),
    [
        (FINDINGS[:2], "2 checks: all passed"),
        (FINDINGS[:3], "3 checks: none failed, 1 warning"),
        (FINDINGS[3:5], "2 checks: 1 failed"),
        (FINDINGS, "6 checks: 1 failed, 2 warnings"),
    ],
)
def test_the_last_line_sums_it_up(findings: tuple[object, ...], summary: str) -> None:
    assert render_doctor(findings).splitlines()[-1] == summary  # type: ignore[arg-type]


def test_a_warning_is_no_failure() -> None:
    assert doctor_json(FINDINGS[:4])["healthy"]
    assert not doctor_json(FINDINGS)["healthy"]
