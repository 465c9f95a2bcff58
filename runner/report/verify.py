"""The output of `runner verify`: a line for each revision that matches, the details of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.outputs.integrity import FileMatch
from runner.report.colour import NO_COLOURS
from runner.report.text_width import wrap
from runner.text import plural, printable, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runner.checks.input import InputCheck
    from runner.checks.verify import RevisionCheck, Verification
    from runner.outputs.integrity import FileCheck
    from runner.report.colour import Colours
    from runner.report.schemas.verify import FileContentOutput, RevisionOutput, VerifyOutput

VERIFY_FORMAT: Final = 1
_INDENT: Final = 6
_RAW: Final = "raw/"


def render_verification(
    verification: Verification, *, width: int | None = None, colours: Colours = NO_COLOURS
) -> str:
    """Render `runner verify` in at most `width` columns; None for no limit."""
    checks = verification.revisions
    lines: list[str] = []
    for check in checks:
        lines += _revision(check, width, colours)
    for name in verification.unfinished:
        lines.append(wrap(printable(f"{name}: no finished revision yet"), width, indent=_INDENT))
    good = sum(check.matches for check in checks)
    if good == len(checks):
        summary = f"{plural(good, 'revision')} checked: all as recorded"
        coloured = colours.good if checks else colours.faint
    else:
        summary = (
            f"{plural(len(checks), 'revision')} checked: {len(checks) - good:,} not as recorded"
        )
        coloured = colours.bad
    return "\n".join([*lines, *([""] if lines else []), coloured(summary)]) + "\n"


def _revision(check: RevisionCheck, width: int | None, colours: Colours) -> Iterator[str]:
    head = f"{printable(check.job)}  {printable(check.revision)}"
    if check.matches:
        yield _headline(
            head, "ok", f": {_matching_files(check)}", width, colours.bold, colours.good
        )
    else:
        rest = f"  {printable(check.folder)}"
        yield _headline(head, "does not match", rest, width, colours.bold, colours.bad)
    for text in _differences(check):
        yield colours.bad(wrap(printable(f"  {text}"), width, indent=_INDENT))
    for text in (*check.notes, *check.content.notes, *_input_notes(check.input)):
        yield colours.faint(wrap(printable(f"  note: {text}"), width, indent=_INDENT))


def _headline(
    head: str,
    verdict: str,
    rest: str,
    width: int | None,
    colour_head: Callable[[str], str],
    colour_verdict: Callable[[str], str],
) -> str:
    """Return the first line with its parts in colour; in one colour if a part is wrapped."""
    text = wrap(f"{head}  {verdict}{rest}", width, indent=_INDENT)
    begin = f"{head}  {verdict}"
    if not text.startswith(begin):
        return colour_verdict(text)
    return f"{colour_head(head)}  {colour_verdict(verdict)}{text.removeprefix(begin)}"


def _matching_files(check: RevisionCheck) -> str:
    """Return the files that match, with their numbers of lines."""
    files = check.content.files
    raw = sum(file.name.startswith(_RAW) for file in files)
    parts = ["input"] if check.input is not None and check.input.match is FileMatch.OK else []
    parts.append(plural(raw, "raw file"))
    parts += [
        f"{printable(file.name)} {plural(file.lines or 0, 'line')}"
        for file in files
        if not file.name.startswith(_RAW)
    ]
    return ", ".join(parts)


def _differences(check: RevisionCheck) -> Iterator[str]:
    """Yield each difference between a revision and its record."""
    for file in check.content.files:
        if file.match is not FileMatch.OK:
            yield f"{file.name} {_file_difference(file)}"
    source = check.input
    if source is not None and source.bad:
        found = f": expected {source.expected_sha256}, found {source.found_sha256}"
        yield f"input {source.path} {source.reason}{found if source.found_sha256 else ''}"
    yield from check.content.problems
    yield from check.problems


def _file_difference(file: FileCheck) -> str:
    match file.match:
        case FileMatch.DIFFERS:
            return (
                f"differs: expected {file.expected_sha256} ({_bytes(file.expected_bytes)}), "
                f"found {file.found_sha256} ({_bytes(file.found_bytes)})"
            )
        case FileMatch.MISSING:
            return f"is missing: expected {file.expected_sha256} ({_bytes(file.expected_bytes)})"
        case FileMatch.STRAY:
            return "is not in the record"
        case _:
            return file.reason or str(file.match)


def _bytes(count: int | None) -> str:
    return "?" if count is None else f"{count:,} B" if count < 10**6 else size(count)


def _input_notes(source: InputCheck | None) -> Iterator[str]:
    """Yield the reason why an input could not be compared, where that is no difference."""
    if source is not None and not source.bad and source.match is not FileMatch.OK:
        yield f"input {source.path} {source.reason}"


def verification_json(verification: Verification, problems: tuple[str, ...] = ()) -> VerifyOutput:
    """Return `verify --json`. Stable: fields are added, never changed or removed."""
    return {
        "format_version": VERIFY_FORMAT,
        "matches": verification.matches,
        "revisions": [_revision_json(check) for check in verification.revisions],
        "unfinished": list(verification.unfinished),
        "problems": list(problems),
    }


def _revision_json(check: RevisionCheck) -> RevisionOutput:
    record, source = check.content.record, check.input
    return {
        "job": check.job,
        "revision": check.revision,
        "folder": check.folder,
        "matches": check.matches,
        "state": None if record is None else record.state,
        "files": [
            {
                "name": file.name,
                "match": file.match,
                "expected": _digest_json(file.expected_sha256, file.expected_bytes),
                "found": _digest_json(file.found_sha256, file.found_bytes),
                "lines": file.lines,
                "why": file.reason,
            }
            for file in check.content.files
        ],
        "input": None
        if source is None
        else {
            "path": source.path,
            "match": source.match,
            "against_the_run": source.bad,
            "expected_sha256": source.expected_sha256,
            "found_sha256": source.found_sha256,
            "why": source.reason,
        },
        "problems": [*check.content.problems, *check.problems],
        "notes": [*check.content.notes, *check.notes],
    }


def _digest_json(sha256: str | None, count: int | None) -> FileContentOutput | None:
    return None if sha256 is None else {"sha256": sha256, "bytes": count}
