"""Act as a second real user of the machine; only root can, so such tests are skipped elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

UID: Final = 65_534
"""The user `nobody`, who owns no files."""

as_root = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("bash") or not shutil.which("flock"),
    reason="only root can become a second user, who runs bash and flock",
)


@contextmanager
def as_another_user(script: str, *arguments: object) -> Iterator[str]:
    """Run a script of bash as another user, and return its first line, or else its error.

    A script that ends with `cat` keeps what it has opened and locked until the block ends. Python
    itself may be installed where another user cannot run it.
    """
    with subprocess.Popen(
        ["bash", "-c", script, "bash", *map(str, arguments)],
        user=UID,
        group=UID,
        extra_groups=[],
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        yield process.stdout.readline() or process.stderr.read()
        process.stdin.close()
