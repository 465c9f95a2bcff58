"""Report what `make mutants` has found: the share of each module that the tests notice.

A mutant is the code with one small change. One that no quick test notices is either killed by a
new test, or explained here if it cannot change anything that is promised.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOLDER: Final = Path("mutants")
NOTICED: Final = frozenset({"killed", "timeout", "segfault", "suspicious"})

_NO_BATCH = "an attempt that is prepared, uploaded or in creation has no batch of its own"
_NEVER_NONE = "the time is recorded here: `is_unset` was asked before"
_NO_WORD = "no code and no message of a provider is this word"
_FALSY = "None and an empty set of rows are both nothing to submit; the types are mypy's"
_UNREACHABLE = "no state leads there; the types are mypy's"
_ALWAYS_ROWS = "one row always fits, so nobody is told to wait for the others"
_AT_LEAST_ONE = "a canary has one request at least, so the larger of the two is the same"

_SHORT_AND_PLAIN = "every reason is short and has no control character"
_ANYTHING_LEFT = "what counts is whether anything is left, not how much"
_ONLY_WINDOWS = "the argument is for Windows alone"

EXPLAINED: Final[Mapping[str, Mapping[str, str]]] = {
    "_add": {
        "index = None if (found.custom_id is None) and False else positions.get(found.custom_id)": (
            "no request has the custom_id None"
        ),
        'self._codes.append(found.code or "XXXX")': "a success has the code None, which is known",
        "self._messages.pop(None, None)": "the message of a success is not used",
    },
    "_malformed": {
        'name = location.file.name if (location.file is not None) or True else "a file"': (
            _UNREACHABLE
        ),
        'name = location.file.name if location.file is not None else "XXa fileXX"': _UNREACHABLE,
        'name = location.file.name if location.file is not None else "A FILE"': _UNREACHABLE,
    },
    "point_latest": {
        "temporary.symlink_to(revision, target_is_directory=None)": _ONLY_WINDOWS,
        "temporary.symlink_to(revision, )": _ONLY_WINDOWS,
        "temporary.symlink_to(revision, target_is_directory=False)": _ONLY_WINDOWS,
    },
    "_message": {
        'if isinstance(text, str) and printable(text, None, mark=" "):': _ANYTHING_LEFT,
        'if isinstance(text, str) and printable(text, mark=" "):': _ANYTHING_LEFT,
        'if isinstance(text, str) and printable(text, 2, mark=" "):': _ANYTHING_LEFT,
    },
    "_unreadable": {
        'message=printable(reason, None, mark=" "),': _SHORT_AND_PLAIN,
        "message=printable(reason, _LONGEST_MESSAGE, mark=None),": _SHORT_AND_PLAIN,
        'message=printable(reason, mark=" "),': _SHORT_AND_PLAIN,
        "message=printable(reason, _LONGEST_MESSAGE, ),": _SHORT_AND_PLAIN,
        'message=printable(reason, _LONGEST_MESSAGE, mark="XX XX"),': _SHORT_AND_PLAIN,
    },
    "opened": {
        "return value if (isinstance(value, dict)) or True else body": (
            "JSON that begins with a brace is an object"
        ),
    },
    "_recovered_id": {
        "return custom_id if (isinstance(custom_id, str)) or True else None": (
            "the pattern finds a string"
        ),
    },
    "batch": {'made = self._by_file.get(input_file_id or "XXXX", ())': "no file has this id"},
    "_keys_by_filename": {
        'key = SubmissionKey.parse_filename(file.filename or "XXXX")': "it is no name of ours"
    },
    "close_rejected_batch": {"nothing = RowSet.parse(None)": "it is the empty set of rows, too"},
    "_contradiction": {
        "break  # a line of the error file is no response": "the error file is the last one",
    },
    "decide_shard": {
        "return _submit(context, progress, submission, new=None)": _FALSY,
        "raise AssertionError(None)": _UNREACHABLE,
        "assert_never(None)": _UNREACHABLE,
        "": _UNREACHABLE,
    },
    "_submit": {
        "key, None if new else submission.input_file_id, _other_batch_ids(context, None)": _NO_BATCH
    },
    "_other_batch_ids": {
        "if submission.batch_id is not None or submission.key != key": _NO_BATCH,
    },
    "_resolve_create": {"other_ids = _other_batch_ids(context, None)": _NO_BATCH},
    "_resolve_uncertain": {"until = (submission.doubt_at or 1.0) + context.grace": _NEVER_NONE},
    "follow": {'batch_id = submission.batch_id or "XXXX"': "no batch has this id"},
    "_decide_missing": {
        "until = (submission.missing_at or 1.0) + (context.grace if context.loopback else "
        "_LOST_AFTER)": _NEVER_NONE
    },
    "_limit_backoff": {
        "return float(min(base * 2.0 ** min(refused, 17), LONGEST_BACKOFF))": "an hour is the "
        "longest pause, and both are longer",
    },
    "batch_failure": {
        'code, message = (error.code or "XXXX").lower(), (error.message or "").lower()': _NO_WORD,
        'code, message = (error.code or "").lower(), (error.message or "XXXX").lower()': _NO_WORD,
        "kinds.add(None)": "a failure for the moment is what is left if there is no other kind",
    },
    "_due_at": {
        'window = parse_duration(batch.completion_window or "XXXX", units=("m", "h", "d"))': "it "
        "is no duration, like the empty text",
    },
    "sizes": {
        "if len(progress.pending) >= fits:": "what fits exactly is all that is pending",
        "rows=progress.pending.head(fits), reason=None": _ALWAYS_ROWS,
        'rows=progress.pending.head(fits), reason="XXthe provider refused a larger fileXX"': (
            _ALWAYS_ROWS
        ),
        'rows=progress.pending.head(fits), reason="THE PROVIDER REFUSED A LARGER FILE"': (
            _ALWAYS_ROWS
        ),
    },
    "_canary_size": {
        "return 1": _AT_LEAST_ONE,
        "return len(rows) if part else 1": _AT_LEAST_ONE,
    },
    "_hold_for_canary": {
        "by_shard[progress.shard.number] = BatchSize(rows=None, reason=reason)": _FALSY,
        "by_shard[first.shard.number] = BatchSize(rows=rows, reason=None)": _ALWAYS_ROWS,
    },
}
"""Why a mutant cannot be noticed, by function and by the changed line."""


def statuses(meta: Path) -> dict[str, str]:
    """Return the status of every mutant of a module that was tried."""
    from mutmut.stats import status_by_exit_code

    found = json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
    return {name: status_by_exit_code[code] for name, code in found.items() if code is not None}


def change(name: str) -> list[str]:
    """Return the lines that a mutant removes and adds."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    return [
        f"{line[0]} {line[1:].strip()}"
        for line in get_diff_for_mutant(name).splitlines()
        if line[:1] in ("-", "+") and line[:3] not in ("---", "+++")
    ]


def is_explained(name: str, lines: list[str]) -> bool:
    """Whether a mutant cannot be noticed: EXPLAINED says why, or it is SQL in another case."""
    removed = [line[2:] for line in lines if line.startswith("- ")]
    added = [line[2:] for line in lines if line.startswith("+ ")]
    if name.startswith("runner.ledger."):
        # Names of columns and keywords of SQLite are the same in any case.
        return list(map(str.casefold, removed)) == list(map(str.casefold, added))
    function = name.rpartition("__mutmut_")[0].rpartition(".")[2]
    reasons = EXPLAINED.get(function.removeprefix("x_").rpartition("ǁ")[2], {})
    return "".join(added) in reasons


def report(folder: Path) -> Iterator[str]:
    """Yield a line for each module, and the mutants that are neither noticed nor explained.

    The share is of those that can be noticed: explained ones are counted apart.
    """
    total: Counter[str] = Counter()
    unnoticed: list[str] = []
    for meta in sorted(folder.rglob("*.py.meta")):
        found = statuses(meta)
        if not found:
            continue
        count: Counter[str] = Counter()
        for name, status in found.items():
            lines = [] if status in NOTICED else change(name)
            if status in NOTICED:
                count["noticed"] += 1
            elif is_explained(name, lines):
                count["explained"] += 1
            else:
                count["not"] += 1
                unnoticed.append("\n    ".join([f"\nNo test notices {name}:", *lines]))
        total += count
        yield _share(count, str(meta.relative_to(folder).with_suffix("")))
    if total:
        yield _share(total, "in all")
    yield from unnoticed


def _share(count: Counter[str], of: str) -> str:
    noticeable = count["noticed"] + count["not"]
    share = count["noticed"] / noticeable if noticeable else 1.0
    return f"{share:7.1%} of {noticeable:5,}, and {count['explained']:3,} explained  {of}"


if __name__ == "__main__":
    said = list(report(FOLDER))
    print("\n".join(said))  # noqa: T201 -- its answer
    sys.exit(any("No test notices" in line for line in said))
