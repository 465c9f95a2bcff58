"""YAML's own syntax errors in words that say what to change.

libyaml and PyYAML's parser describe the state of a state machine ("did not find expected key").
A person wants the place and the remedy, so the few mistakes people make are recognised here by
what stands at the place, and the rest is told plainly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from yaml import MarkedYAMLError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from yaml import Mark, YAMLError


TAB: Final = "a tab cannot indent YAML; write spaces"

_LOOSE: Final = 'this is neither a key nor a value; after a key come a colon and a space: "name: x"'
_REMEDIES: Final = (
    # (part of the parser's own words, whether to point at the start of the construct, our words)
    (
        "mapping values are not allowed",
        False,
        'a ": " is not expected here; align this line with those above, or quote the value',
    ),
    (
        "sequence entries are not allowed",
        False,
        'a list cannot begin here; start each "- " on a line of its own',
    ),
    ("could not find expected ':'", True, _LOOSE),
    ("while scanning a simple key", True, _LOOSE),
    (
        "escape",
        False,
        "a backslash between double quotes begins an escape; write it twice, or use single quotes",
    ),
    (
        "quoted scalar",
        True,
        "this quote is not closed; write the same quote at the end of the value",
    ),
    (
        "flow sequence",
        True,
        'this "[" is not closed; write commas between its items and "]" after the last',
    ),
    (
        "flow mapping",
        True,
        'this "{" is not closed; write commas between its pairs and "}" after the last',
    ),
    (
        "flow node",
        False,
        'a value is missing here; close every "[" with "]" and every "{" with "}"',
    ),
    ("block scalar", False, "a block of text begins with | or > alone; indent its lines below it"),
    ("while scanning an alias", False, '"*" begins an alias; put the value in quotes'),
    ("while scanning an anchor", False, '"&" begins an anchor; put the value in quotes'),
    ("tag", False, '"!" begins a tag; put the value in quotes'),
)
_MISFIT: Final = "this does not fit what stands before it; check indentation, quotes and commas"


def explain(error: YAMLError, lines: Sequence[str]) -> tuple[int, int, str]:
    """Return line and column (from 0, inside `lines`) and our words for a syntax error."""
    if not isinstance(error, MarkedYAMLError):
        return 0, 0, _MISFIT
    problem, context = error.problem or "", error.context or ""
    line, column = _place(error.problem_mark, lines)
    indent = lines[line][: len(lines[line]) - len(lines[line].lstrip())]
    if "\t" in indent and "quoted" not in context:
        return line, indent.index("\t"), TAB
    if "cannot start any token" in problem or "node content" in problem:
        character = lines[line][column : column + 1]
        if character and not character.isspace():
            return line, column, f'"{character}" cannot begin a value; put the value in quotes'
    for part, at_start, words in _REMEDIES:
        if part in problem or part in context:
            if at_start and error.context_mark is not None:
                line, column = _place(error.context_mark, lines)
            return line, column, words
    return line, column, _MISFIT


def _place(mark: Mark | None, lines: Sequence[str]) -> tuple[int, int]:
    """Clamp a mark to the text: parsers put what is missing one line behind the last."""
    if mark is None:
        return 0, 0
    line = min(mark.line, len(lines) - 1)
    if line < mark.line:
        return line, len(lines[line])
    return line, min(mark.column, len(lines[line]))
