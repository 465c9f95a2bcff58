"""Read the pages of the project for tests: their blocks, links, anchors and command lines."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from runner.cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[1]
README: Final = ROOT / "README.md"
DOCS: Final = ROOT / "docs"
PAGES: Final = sorted(
    [
        README,
        ROOT / "CHANGELOG.md",
        ROOT / "SECURITY.md",
        *DOCS.rglob("*.md"),
        *(ROOT / "specs").rglob("*.md"),
        *(ROOT / "benchmarks").rglob("*.md"),
    ]
)


def name(page: Path) -> str:
    """Name a page by its path from the root."""
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", page.read_text("utf-8"))


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"(?ms)^```.*?^```$", "", page.read_text("utf-8"))


def links(page: Path) -> list[str]:
    """Return the targets of all links and pictures of a page."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page.

    Letters, digits, `_` and `-` of the shown text, in lower case, with `-` for each space; a
    heading that was there before gets a number.
    """
    found: set[str] = set()
    for heading in re.findall(r"(?m)^#{1,6} +(.+?) *#*$", prose(page)):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w -]", "", shown.lower()).replace(" ", "-")
        again = 0
        while (anchor := f"{slug}-{again}" if again else slug) in found:
            again += 1
        found.add(anchor)
    return found


def commands(page: Path) -> Iterator[str]:
    """Find every command line of runner that a page shows: in blocks and between backticks."""
    shown = [
        line.removeprefix("$ ")
        for language in ("console", "sh", "crontab", "ini")
        for block in blocks(page, language)
        for line in block.splitlines()
        if language != "console" or line.startswith("$ ")
    ]
    shown += [
        line.partition("run: ")[2] for block in blocks(page, "yaml") for line in block.splitlines()
    ]
    for line in shown:
        line = re.sub(r" \d?> *\S+", "", line)  # noqa: PLW2901 -- where output goes is the shell's
        for part in re.split(r"&&|\|\||[;|&]", line.partition("  #")[0]):
            if found := re.search(r"(?:^|[ =/\"])(runner\"? .+)$", part.strip()):
                yield found[1].replace('runner"', "runner")
    # A lower-case word after `runner`: not `runner: <key>`, which is a metadata pair.
    yield from re.findall(r"(?s)`(runner (?:-|[a-z]+\b).*?)`", prose(page))


def parse(line: str) -> click.Context:
    """Parse a command line as the command would, running nothing; raises ClickException."""
    words = [
        # `[SPEC]...`, `JOB` and `%h` stand for something that a person puts there.
        word.rstrip(".").strip("[]") if word.startswith("[") else word
        for word in shlex.split(line)[1:]
    ]
    own = 2 if words[:1] == ["-C"] else 0
    group = cli.make_context("runner", words[: own + 1])
    name, command, _rest = cli.resolve_command(group, words[own:])
    if command is None:
        raise click.UsageError(f"no such command: {name}")
    given = [_chosen(word, command) for word in words[own + 1 :]]
    # A command that is only named lacks its arguments.
    named = len(words) == 1
    return command.make_context(name, given, parent=group, resilient_parsing=named)


def _chosen(word: str, command: click.Command) -> str:
    """Put one of its choices for the name that an argument goes by in a usage."""
    for parameter in command.params:
        if isinstance(parameter, click.Argument) and isinstance(parameter.type, click.Choice):
            shown = parameter.make_metavar(click.Context(command))
            if word.replace("\\|", "|") == shown:
                return str(parameter.type.choices[0])
    return word
