"""What the doctor says, whole."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from runner.checks.doctor import fail, ok, warn
from runner.report.colour import Colours
from runner.report.doctor import doctor_json, render_doctor
from runner.report.safe_text import columns
from tests.report.golden_files import check_golden
from tests.report.scenes import HOSTILE

GOLDEN: Final = Path(__file__).parent / "golden"
FINDINGS: Final = (
    ok("python", "3.12.4 on Linux x86_64"),
    ok("specs", "12 jobs, no problem"),
    warn(
        "git",
        "not committed: specs/sentiment.yaml, specs/summaries.yaml, specs/a.yaml and 7 more",
        "commit the specs before you reconcile, so that results can be traced to them",
    ),
    ok("ledger", ".runner/ledger.db: whole, 48 runs"),
    fail(
        "openai: list",
        "openai answered GET /batches with 401 Unauthorized: Incorrect API key provided: ***. "
        "(check that the key in OPENAI_API_KEY is right and may do this) [request req_1]",
        "another key, or more rights for this one",
    ),
    warn("lab: list", HOSTILE, "look at it"),
)


@pytest.mark.parametrize("colour", [False, True], ids=["plain", "colour"])
@pytest.mark.parametrize("width", [80, 200])
def test_doctor(width: int, *, colour: bool) -> None:
    text = render_doctor(FINDINGS, width=width, colours=Colours(on=colour))

    check_golden(GOLDEN / f"doctor-{width}{'-colour' if colour else ''}.txt", text)
    bare = re.sub(r"\x1b\[\d+m", "", text)
    assert max(map(columns, bare.splitlines())) <= width
    assert bare == render_doctor(FINDINGS, width=width)


@pytest.mark.parametrize(
    ("findings", "summary"),
    [
        (FINDINGS[:2], "2 checks: all is well"),
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
