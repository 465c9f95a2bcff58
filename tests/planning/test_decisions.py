"""Every decision with all that it says: golden/decisions.txt, as it was at the last review.

`UPDATE_GOLDEN=1 pytest tests/planning` writes it again; review the difference like any other. It
holds what the tables of test_plan.py leave out: reasons, moments, rows and files.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.planning.decisions import SCENES, shown
from tests.report.golden_files import check_golden_blocks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.planning.decisions import Scene

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize(("name", "scenes"), SCENES.items(), ids=SCENES)
def test_every_decision_says_what_it_said_at_the_last_review(
    tmp_path: Path, name: str, scenes: Mapping[str, Scene]
) -> None:
    blocks = {
        title: "".join(f"    {line}\n" for line in shown(scene.plan(tmp_path)) or ["nothing"])
        for title, scene in scenes.items()
    }
    check_golden_blocks(GOLDEN / f"{name.replace(' ', '-')}.txt", blocks)
