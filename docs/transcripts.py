"""Write the transcripts of README.md and docs by running what they show.

    python docs/transcripts.py            write them
    python docs/transcripts.py --check    show what is out of date; exit with 1 if anything is

A block between `<!-- transcript: NAME -->` and `<!-- end -->` is what a terminal shows of the
commands in `sessions.py`: real ones, run by `sh` in a folder of their own with the `runner` of
this Python. What differs from run to run (moments, the ids of batches and files) is given stable
values, so that a difference means that runner, or a session, has changed.
"""
# ruff: noqa: INP001 -- a script, run by its path

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pages import ROOT, checking, files_of, keep
from sessions import SCRIPTS, SESSIONS, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pages import Contents
    from sessions import Session

PATIENCE: Final = 240.0
"""Seconds for one session; the demo embeds 3,080 questions."""

_AT_ONCE: Final = 3

_STEP: Final = "\x1e"
"""What parts one command's output from the next one's: no command prints it."""

_IDENTIFIER: Final = re.compile(r"\b(batch_req_|batch_|file-|req_)([0-9a-f]{32})")
_STABLE: Final[Sequence[tuple[re.Pattern[str], str]]] = (
    (re.compile(r"\b20\d\d-\d\d-\d\d([ T])\d\d:\d\d:\d\d"), r"2026-01-31\g<1>12:00:00"),
    (re.compile(r"\b(after|in|for|took|validating|in_progress|finalizing) \d+ s\b"), r"\1 1 s"),
    (re.compile(r"(\.html: .+?, )[\d.]+ kB"), r"\g<1>27 kB"),  # a page's drawings differ
    (re.compile(r"\b(expected|found) [0-9a-f]{64}\b"), rf"\1 {'d1' * 32}"),
    (re.compile(r'("\w+_at": )[\d.]+'), r"\g<1>1769860800"),
    (re.compile(r'("commit": ")[0-9a-f]{40}'), r"\g<1>d0c5d0c5d0c5d0c5d0c5d0c5d0c5d0c5d0c5d0c5"),
)
_PASSING: Final = re.compile(
    r"^.*\bbatch_changed\b.*\b(validating|in_progress|finalizing)\b.*\n", re.MULTILINE
)
"""States that a pass may or may not catch the provider `local` in."""


def play(session: Session) -> dict[str, str]:
    """Run a session and return the content of each of its blocks."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder).resolve() / "home"
        home.mkdir()
        for name in session.copies:
            source = ROOT / name
            left_out = shutil.ignore_patterns("__pycache__")
            if source.is_dir():
                shutil.copytree(source, home / name, ignore=left_out)
            else:
                shutil.copy(source, home / name)
        for name, content in {**files_of(session.page), **session.files}.items():
            path = home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        steps = [
            command if isinstance(command, Step) else Step(shown=command, run=command)
            for block in session.blocks.values()
            for command in block
        ]
        # A command may not read the script that it is part of; `$?` is that of the one before it.
        lines = [session.prepare]
        for step in steps:
            lines += [f"code=$?; printf '{_STEP}'; (exit $code)", f"{{ {step.run}\n}} </dev/null"]
        done = subprocess.run(
            ["/bin/sh", "-s"],
            cwd=home / session.start,
            env=_environment(home),
            input="\n".join(lines),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE,
            check=False,
            text=True,
        )
        stable = _stabiliser(home)
        outputs = [stable(part) for part in done.stdout.split(_STEP)[1:]]
    if len(outputs) != len(steps):
        raise RuntimeError(f"{len(steps)} commands, {len(outputs)} answers: {done.stdout}")
    told = iter(zip(steps, outputs, strict=True))
    return {
        name: "```console\n" + "".join(_told(*next(told)) for _ in block) + "```\n"
        for name, block in session.blocks.items()
    }


def _environment(home: Path) -> dict[str, str]:
    """Return an environment without API keys and configuration of this machine, in UTC."""
    return {
        "PATH": os.pathsep.join([str(SCRIPTS), os.environ.get("PATH", os.defpath)]),
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "GIT_CONFIG_NOSYSTEM": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _stabiliser(home: Path) -> Callable[[str], str]:
    """Return a function that gives what varies a stable value, the same for the same."""
    numbers: dict[str, dict[str, int]] = {}

    def named(match: re.Match[str]) -> str:
        kind, value = match.groups()
        known = numbers.setdefault("file-" if kind == "file-" else "batch_", {})
        return f"{kind}{known.setdefault(value, len(known) + 1):04}"

    def stable(text: str) -> str:
        text = _PASSING.sub("", text).replace(str(home), "~")
        text = _IDENTIFIER.sub(named, text)
        for pattern, replacement in _STABLE:
            text = pattern.sub(replacement, text)
        return text

    return stable


def _told(step: Step, output: str) -> str:
    """Show a command and what it printed, which ends with a line end if there is anything."""
    ended = output if not output or output.endswith("\n") else f"{output}\n"
    return f"$ {step.shown}\n{ended}"


def transcripts() -> Contents:
    """Play all sessions, some side by side: each has a folder of its own."""
    contents: Contents = {}
    with ThreadPoolExecutor(_AT_ONCE) as stage:
        for session, played in zip(SESSIONS, stage.map(play, SESSIONS), strict=True):
            contents.setdefault(session.page, {}).update(played)
    return contents


if __name__ == "__main__":
    check = checking(sys.argv[1:], __doc__)
    sys.exit(keep("transcript", transcripts(), check=check))
