"""The earlier contents of a file in the project's git repository.

Only local objects are read: nothing is fetched, and no filter, hook or other program of the
repository's configuration is started.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final, cast

from runner.outputs.provenance import GIT_TIMEOUT, git_command, git_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


_COMMITS: Final = 50
"""The number of commits that are searched: the newest ones that changed the file."""

_FOUND: Final = re.compile(rb"([0-9a-f]{40,64}) blob ([0-9]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """An earlier content of a file; `commit` is a commit that has it, `size` counts bytes."""

    commit: str
    name: str
    size: int


def blobs(root: Path, path: str, *, commit: str | None) -> tuple[Blob, ...]:
    """List the contents of the file at `path`, relative to `root`, in the commits that changed it.

    Newest first, each content once. `commit` comes before all others: it need not be one that
    changed the file. Empty where there is no repository, no git, or git takes too long.
    """
    if "\n" in path:
        return ()
    changed = _run(
        root,
        ("--literal-pathspecs", "rev-list", f"--max-count={_COMMITS}", "HEAD", "--", path),
    )
    commits = [*([commit.encode()] if commit else []), *(changed or b"").split()]
    encoded = path.encode(errors="surrogateescape")
    names = b"".join(name + b":./" + encoded + b"\n" for name in commits)
    listed = _run(
        root, ("cat-file", "--batch-check=%(objectname) %(objecttype) %(objectsize)"), names
    )
    found: dict[str, Blob] = {}
    for name, line in zip(commits, (listed or b"").splitlines(), strict=False):
        if match := _FOUND.fullmatch(line):
            blob = Blob(commit=name.decode(), name=match[1].decode(), size=int(match[2]))
            found.setdefault(blob.name, blob)
    return tuple(found.values())


@contextlib.contextmanager
def content(root: Path, blob: Blob) -> Iterator[IO[bytes]]:
    """Open the content of a blob for reading. Raises OSError where git cannot be started."""
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
            # A caller that has read enough leaves git blocked on a full pipe.
            process.kill()


def _run(root: Path, arguments: Sequence[str], stdin: bytes = b"") -> bytes | None:
    """Run git and return its output; None if it failed, is not installed or took too long."""
    try:
        done = subprocess.run(  # noqa: S603
            git_command(root, *arguments),
            env=git_environment(),
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=GIT_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
