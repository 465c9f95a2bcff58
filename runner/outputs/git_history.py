"""Earlier contents of a file, as the project's git repository has them.

Only what is there is read: nothing is fetched, no filter, hook or other program of a repository's
configuration is started.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final, cast

from runner.outputs.provenance import PATIENCE, git_command, git_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


_COMMITS: Final = 50
"""How many commits that touched the file are considered, from the newest back."""

_FOUND: Final = re.compile(rb"([0-9a-f]{40,64}) blob ([0-9]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """One content that a file once had; `commit` is one that has it, `size` its bytes."""

    commit: str
    name: str
    size: int


def blobs(root: Path, path: str, *, commit: str | None) -> tuple[Blob, ...]:
    """List what the file at `path`, relative to `root`, held in the last commits that touched it.

    `commit` is looked at first: the file need not have been touched by it. Each content is named
    once. Empty where there is no repository, no git, or it takes too long.
    """
    if "\n" in path:
        return ()
    touched = _ask(
        root,
        ("--literal-pathspecs", "rev-list", f"--max-count={_COMMITS}", "HEAD", "--", path),
    )
    commits = [*([commit.encode()] if commit else []), *(touched or b"").split()]
    place = path.encode(errors="surrogateescape")
    asked = b"".join(name + b":./" + place + b"\n" for name in commits)
    told = _ask(
        root, ("cat-file", "--batch-check=%(objectname) %(objecttype) %(objectsize)"), asked
    )
    found: dict[str, Blob] = {}
    for name, line in zip(commits, (told or b"").splitlines(), strict=False):
        if match := _FOUND.fullmatch(line):
            blob = Blob(commit=name.decode(), name=match[1].decode(), size=int(match[2]))
            found.setdefault(blob.name, blob)
    return tuple(found.values())


@contextlib.contextmanager
def content(root: Path, blob: Blob) -> Iterator[IO[bytes]]:
    """Give the bytes of a blob as a stream. Raises OSError where git cannot be started."""
    with subprocess.Popen(  # noqa: S603
        git_command(root, "cat-file", "blob", blob.name),
        env=git_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield cast("IO[bytes]", process.stdout)
        finally:
            # Whoever has read enough leaves git with a pipe that nobody empties.
            process.kill()


def _ask(root: Path, arguments: Sequence[str], given: bytes = b"") -> bytes | None:
    """Run git and return what it printed; None if it failed, is not there or took too long."""
    try:
        done = subprocess.run(  # noqa: S603
            git_command(root, *arguments),
            env=git_environment(),
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
