"""The lines around the steps of a plan: what has changed of a job, what is left to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.report.safe_text import fit, pad, plain, wrap
from runner.text import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.report.colour import Colours
    from runner.spec.yaml.scalars import Plain
    from runner.views.changes import InputChange, JobChanges, SpecEdit
    from runner.views.manual_steps import ManualStep

INDENT: Final = 13
"""Where the words of a step begin: two spaces, sign, space, the longest word, a space or two."""

_VALUE: Final = 60
"""Columns that a value of a spec may take: a line of metadata can be long."""


def step_line(sign: str, word: str, said: str, width: int | None) -> str:
    """Lay out one line of a plan: a sign, a word, and what is to be said."""
    return wrap(plain(f"  {sign} {pad(word, INDENT - 5)} {said}"), width, indent=INDENT)


def change_lines(
    since: JobChanges, *, starts: bool, width: int | None, colours: Colours
) -> list[str]:
    """Say what has changed of a job; `starts` says that its revision is new and asks everything."""
    lines = []
    if not since.again:
        stays = "whose results stay in" if since.state.final else "whose results go to"
        said = f"{since.before}, {stays} {since.folder}"
        lines.append(colours.faint(step_line(" ", "since", said, width)))
    if since.edits is None:
        said = "it changed; the earlier one is none that this version of runner can read"
        lines.append(colours.warning(step_line("?", "spec", said, width)))
    for edit in since.edits or ():
        line = step_line(_sign(edit), "spec", f"{_edit(edit)} — {edit.effect}", width)
        lines.append(colours.warning(line) if edit.identity else colours.faint(line))
    if since.requests is not None:
        line = _rows_line(since.requests, starts=starts, width=width)
        lines.append(colours.warning(line))
    elif since.again and since.edits == ():
        said = "no key of it: comments, layout or its place — costs nothing"
        lines.append(colours.faint(step_line("~", "spec", said, width)))
    return lines


def manual_step_lines(left: Sequence[ManualStep], width: int | None, colours: Colours) -> list[str]:
    """Say what is left to people, a line each, with the command for it."""
    if not left:
        return []
    items = [f"  {one.job or one.provider}: {one.what} — `{one.command}`" for one in left]
    return [colours.bold("left to you:"), *(wrap(plain(item), width, indent=4) for item in items)]


def _sign(edit: SpecEdit) -> str:
    if edit.change.before is None:
        return "+"
    return "-" if edit.change.after is None else "~"


def _edit(edit: SpecEdit) -> str:
    change = edit.change
    values = [_value(value) for value in (change.before, change.after) if value is not None]
    return f"{change.field}: {' → '.join(values)}"


def _value(value: Plain) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return fit(plain(str(value)), _VALUE)


def _rows_line(change: InputChange, *, starts: bool, width: int | None) -> str:
    asked = f"a new revision asks all {change.total:,}" if starts else "makes another revision"
    rows = change.rows
    if rows is None:
        said = "which requests changed cannot be told: nothing here has the earlier ones"
        return step_line("?", "rows", f"{said} — {asked}", width)
    counts = [(rows.added, "added"), (rows.removed, "removed")]
    if rows.changed is not None:
        counts += [(rows.changed, "changed"), (rows.kept - rows.changed, "as before")]
    told = ", ".join(f"{count:,} {what}" for count, what in counts if count)
    if rows.changed is None:
        told = (
            f"{told or 'none came or went'}; what the other {plural(rows.kept, 'request')} asked "
            f"is not known"
        )
    elif not rows.added + rows.removed + rows.changed:
        told = f"the same {plural(rows.kept, 'request')} in another order"
    return step_line("~", "rows", f"{told} (compared with {change.source}) — {asked}", width)
