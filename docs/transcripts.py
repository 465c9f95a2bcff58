"""Write the transcripts of README.md by running what they show.

    python docs/transcripts.py            write them
    python docs/transcripts.py --check    show what is out of date; exit with 1 if anything is

A block between `<!-- transcript: NAME -->` and `<!-- end -->` is what a terminal shows of the
commands below: real ones, run by `sh` in a folder of their own with the `runner` of this Python.
What differs from run to run (moments, the ids of batches and files) is given stable values, so
that a difference means that runner, or this file, has changed.
"""
# ruff: noqa: INP001 -- a script, run by its path

from __future__ import annotations

import difflib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT: Final = Path(__file__).resolve().parents[1]
README: Final = ROOT / "README.md"
SCRIPTS: Final = Path(sysconfig.get_path("scripts"))

PATIENCE: Final = 240.0
"""Seconds for one session; the demo embeds 3,080 questions."""

BLOCK: Final = re.compile(
    r"(?P<head><!-- transcript: (?P<name>[a-z-]+) -->\n).*?(?P<tail><!-- end -->)", re.DOTALL
)
_STEP: Final = "\x1e"
"""What parts one command's output from the next one's: no command prints it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One shell, from `prepare` (not shown) through the blocks in their order.

    `files` are written before, by path from the home folder; `copies` are taken from the
    repository into the home folder. The shell starts in `start`, below the home folder.
    """

    blocks: Mapping[str, Sequence[str]]
    prepare: str = ""
    start: str = "."
    files: Mapping[str, str] = field(default_factory=dict)
    copies: Sequence[str] = ()


_ASK: Final = (
    '{{"custom_id": "{0}", "method": "POST", "url": "/v1/chat/completions", "body": '
    '{{"model": "gpt-4o-mini", "messages": [{{"role": "user", "content": "{1}"}}]}}}}\n'
)

SESSIONS: Final = (
    Session(
        prepare="git() { command git -c user.name=you -c user.email=you@example.org "
        '-c init.defaultBranch=main "$@"; }',
        blocks={
            "tour-start": (
                "runner init project",
                "cd project",
                "git init -q && git add . && git commit -qm 'Ask hello'",
                "runner plan",
                "runner reconcile --wait",
            ),
            "tour-look": ("runner status", "runner show hello"),
            "tour-edit": (
                "sed -i.bak 's/project: hello/project: tour/' specs/hello.yaml",
                "runner reconcile --wait",
                "echo 'replicate: 2' >> specs/hello.yaml",
                "git commit -qam 'Ask hello once more'",
                "runner plan",
                "runner reconcile --wait",
                "runner plan",
                "ls outputs/hello",
            ),
            "trace": (
                "cd outputs/hello/latest",
                "grep -l '\"hello-2\"' raw/*",
                "grep -E '\"(key|id|commit|dirty)\":' run.json",
            ),
        },
    ),
    Session(
        copies=("Makefile", "pyproject.toml", "requirements", "specs"),
        # The set-up is this Python's own, so that nothing is installed for a transcript.
        prepare=f'make() {{ command make -o .venv/ready BIN="{SCRIPTS}" "$@"; }}',
        blocks={"demo": ("make demo",)},
    ),
    Session(
        start="project",
        files={
            "project/data/reviews.jsonl": _ASK.format("review-1", "Kind or unkind? I loved it.")
            + _ASK.format("review-2", "Kind or unkind? Never again."),
            "project/specs/sentiment.yaml": "endpoint: /v1/chat/completions\n"
            "input: data/reviews.jsonl\n"
            "metadata: {project: acl}\n",
        },
        blocks={
            "openai": (
                "cat specs/sentiment.yaml",
                "head -1 data/reviews.jsonl",
                "runner validate",
                "runner plan",
            )
        },
    ),
)

_IDENTIFIER: Final = re.compile(r"\b(batch_|file-|req_)([0-9a-f]{32})")
_STABLE: Final[Sequence[tuple[re.Pattern[str], str]]] = (
    (re.compile(r"\b20\d\d-\d\d-\d\d([ T])\d\d:\d\d:\d\d"), r"2026-01-31\g<1>12:00:00"),
    (re.compile(r"\b(after|in|for) \d+ s\b"), r"\1 1 s"),
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
        for name, content in session.files.items():
            path = home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        commands = [command for block in session.blocks.values() for command in block]
        # A command may not read the script that it is part of.
        lines = [session.prepare]
        for command in commands:
            lines += [f"printf '{_STEP}'", f"{{ {command}\n}} </dev/null"]
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
    if len(outputs) != len(commands):
        raise RuntimeError(f"{len(commands)} commands, {len(outputs)} answers: {done.stdout}")
    shown = iter(outputs)
    return {
        name: "".join(f"$ {command}\n{_ended(next(shown))}" for command in block)
        for name, block in session.blocks.items()
    }


def _environment(home: Path) -> dict[str, str]:
    """Give commands a machine of nobody's: no keys, no configuration, one time zone."""
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
        known = numbers.setdefault("batch_" if kind == "req_" else kind, {})
        return f"{kind}{known.setdefault(value, len(known) + 1):04}"

    def stable(text: str) -> str:
        text = _PASSING.sub("", text).replace(str(home), "~")
        text = _IDENTIFIER.sub(named, text)
        for pattern, replacement in _STABLE:
            text = pattern.sub(replacement, text)
        return text

    return stable


def _ended(text: str) -> str:
    """End what was printed with a line end, if anything was printed."""
    return text if not text or text.endswith("\n") else f"{text}\n"


def filled(text: str, transcripts: Mapping[str, str]) -> str:
    """Put transcripts between their markers; raises ValueError where the two do not match."""
    wanted = [match["name"] for match in BLOCK.finditer(text)]
    if sorted(wanted) != sorted(transcripts):
        raise ValueError(f"README.md asks for {wanted}, there are {list(transcripts)}")

    def block(match: re.Match[str]) -> str:
        return f"{match['head']}```console\n{transcripts[match['name']]}```\n{match['tail']}"

    return BLOCK.sub(block, text)


def main(arguments: Sequence[str]) -> int:
    """Write the transcripts, or check them; return the exit code."""
    if list(arguments) not in ([], ["--check"]):
        sys.stderr.write(f"{__doc__}\n")
        return 2
    before = README.read_text(encoding="utf-8")
    transcripts: dict[str, str] = {}
    for session in SESSIONS:
        transcripts |= play(session)
    after = filled(before, transcripts)
    if before == after:
        return 0
    if not arguments:
        README.write_text(after, encoding="utf-8")
        sys.stderr.write("README.md: transcripts written\n")
        return 0
    sys.stdout.writelines(
        difflib.unified_diff(
            before.splitlines(keepends=True),
            after.splitlines(keepends=True),
            "README.md",
            "README.md as it would be",
        )
    )
    sys.stderr.write("README.md is out of date: `make docs` writes it anew\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
