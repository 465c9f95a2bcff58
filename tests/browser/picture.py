"""Write docs/report.png: the report of the jobs of `make demo`, as a browser shows it.

    python -m tests.browser.picture

Runs the demo in a folder of its own, so that the picture has no other results.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.browser.driving import Visit, chromium

ROOT: Final = Path(__file__).resolve().parents[2]
PICTURE: Final = ROOT / "docs" / "report.png"

_SIZE: Final = {"width": 1200, "height": 1190}
_LARGEST: Final = 150_000
_PATIENCE: Final = 240.0


def main() -> int:
    """Make the picture; return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "demo"
        shutil.copytree(ROOT / "specs", project / "specs")
        _runner(project, "reconcile", "--wait", "specs/banking77/embeddings.yaml")
        _runner(project, "report")
        with chromium() as browser:
            visit = Visit(browser, project / "report.html", color_scheme="light", viewport=_SIZE)
            visit.go().locator("summary", has_text="banking77-embeddings").click()
            visit.page.evaluate("scrollTo(0, 0)")
            picture = visit.page.screenshot()
    if len(picture) > _LARGEST:
        sys.stderr.write(f"{len(picture):,} bytes are too many for a picture in git\n")
        return 1
    PICTURE.write_bytes(picture)
    sys.stderr.write(f"{PICTURE.relative_to(ROOT)}: {len(picture):,} bytes\n")
    return 0


def _runner(project: Path, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-c", "from runner.cli import main; main()", *arguments],
        cwd=project,
        env={"PATH": os.environ["PATH"], "HOME": str(project)},
        check=True,
        timeout=_PATIENCE,
    )


if __name__ == "__main__":
    sys.exit(main())
