"""The Pythons that runner is for, and where this machine has them.

As a program it prints a line for each but the one it runs on, `VERSION WHICH PATH`, and says on
stderr which are missing. WHICH is `all` for the oldest and the newest Python here and `some` for
those between: which of the tests are worth their time there. `.ci/run` runs it with any Python, so
it does with the standard library.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[2]
AWAITED: Final = "3.14"
"""The version that the pins have wheels for already, and that nothing was run on yet."""

OWN: Final = f"{sys.version_info.major}.{sys.version_info.minor}"

_WHICH: Final = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"


def classified() -> list[str]:
    """Return the versions that the project's classifiers name, oldest first: `3.11`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = "\n".join(project["classifiers"])
    found = re.findall(r"(?m)^Programming Language :: Python :: (3\.\d+)$", named)
    return sorted(found, key=lambda version: int(version.partition(".")[2]))


@functools.cache
def interpreter(version: str) -> Path | None:
    """Find a CPython of a version, this one's own first; None where there is none."""
    if version == OWN:
        return Path(sys.executable)
    for candidate in _candidates(version):
        said = _said(candidate, "-c", _WHICH).split(maxsplit=1)
        if said[:1] == [version]:
            return Path(said[1].strip())
    return None


def _candidates(version: str) -> Iterator[str]:
    """Name where to look. A command that pyenv has put on PATH need not run, hence its prefix."""
    yield f"python{version}"
    prefix = _said("pyenv", "prefix", version).strip()
    if prefix:
        yield f"{prefix}/bin/python"
    yield _said("uv", "python", "find", "--no-python-downloads", version).strip()


def _said(*command: str) -> str:
    """Return what a command prints; nothing where it fails or does not exist."""
    program = shutil.which(command[0])
    if program is None:
        return ""
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


if __name__ == "__main__":
    places = {wanted: interpreter(wanted) for wanted in (*classified(), AWAITED)}
    here = [wanted for wanted, place in places.items() if place is not None]
    for wanted, place in places.items():
        if place is None:
            sys.stderr.write(f"No Python {wanted} on this machine: the tests are not run on it.\n")
        elif wanted != OWN:
            which = "all" if wanted in (here[0], here[-1]) else "some"
            sys.stdout.write(f"{wanted} {which} {place}\n")
