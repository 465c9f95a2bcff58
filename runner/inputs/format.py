"""Recognize files that are plainly not JSON Lines of requests, from their beginning.

Such a file would have a problem on every line, and none of them would say what is wrong: it is a
pointer to a file that was not fetched, a table, a web page. It gets one problem, which says what
the file is and what to do. A file that is not recognized is checked line by line.
"""

from __future__ import annotations

import json
import re
from typing import Final

from runner.inputs.reading import BYTE_ORDER_MARK

LONGEST_BEGINNING: Final = 256 * 1024
"""Bytes of a file that are looked at."""

_BINARY: Final = (
    (b"\xff\xfe", "is UTF-16 or UTF-32 text: save it as UTF-8"),
    (b"\xfe\xff", "is UTF-16 text: save it as UTF-8"),
    (b"\x00\x00\xfe\xff", "is UTF-32 text: save it as UTF-8"),
    (b"{\x00", "is UTF-16 or UTF-32 text: save it as UTF-8"),
    (b"\x00{", "is UTF-16 text: save it as UTF-8"),
    (b"\x1f\x8b", "is compressed with gzip: decompress it"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd: decompress it"),
    (b"BZh", "is compressed with bzip2: decompress it"),
    (b"\xfd7zXZ\x00", "is compressed with xz: decompress it"),
    (b"PK\x03\x04", "is a zip archive: unpack it"),
    (b"PAR1", "is a Parquet file: export it as JSON lines"),
)
"""How files begin that are not UTF-8 text."""

_POINTERS: Final = (
    (
        b"version https://git-lfs.github.com/spec/",
        "is a Git LFS pointer, not the file itself: fetch the file with `git lfs pull`",
    ),
    (
        b"/annex/objects/",
        "is a git-annex pointer, not the file itself: fetch the file with `git annex get`",
    ),
)
_HTML: Final = re.compile(rb"<(?:!doctype html|html|head|body)\b", re.IGNORECASE)
_MARKUP: Final = re.compile(rb"<[?!a-z]", re.IGNORECASE)
_COLUMN: Final = rb'(?:[A-Za-z_][\w .-]{0,60}|"[^"{}\[\]:,\t;]{1,60}")'
_TABLES: Final = tuple(
    (separator, re.compile(rb"%s(?:%s%s)+" % (_COLUMN, separator, _COLUMN)), name)
    for separator, name in (
        (b",", "a table (CSV)"),
        (b"\t", "a table (TSV)"),
        (b";", "a table (CSV with semicolons)"),
    )
)
_MEMBER: Final = re.compile(rb'\s*(?:"|}\s*$)')
_ENVELOPE: Final = frozenset(("custom_id", "method", "url", "body"))
_OF_A_BODY: Final = frozenset(("model", "messages", "input", "prompt"))


def recognize(beginning: bytes, endpoint: str) -> str | None:
    """Return what a file is instead of requests, and what to do; None if it is not recognized.

    `beginning` is the first LONGEST_BEGINNING bytes of an input for `endpoint`, or all of it.
    """
    for mark, message in _BINARY:
        if beginning.startswith(mark):
            return message
    text = beginning.removeprefix(BYTE_ORDER_MARK).lstrip()
    for mark, message in _POINTERS:
        if text.startswith(mark):
            return message
    if text.startswith(b"<"):
        return _markup(text)
    first, second = _first_lines(text)
    if text.startswith((b"[", b"{")):
        return _indented(first, second) or _other_lines(first, second, endpoint)
    return _table(first, second)


def _first_lines(text: bytes) -> tuple[bytes, bytes]:
    """Return the first two lines that are not blank, b"" for one that is not there."""
    first, _, rest = text.partition(b"\n")
    return first.rstrip(), rest.lstrip(b"\r\n").partition(b"\n")[0].rstrip()


def _markup(text: bytes) -> str | None:
    if _HTML.search(text, 0, 1024):
        return (
            "is an HTML page, perhaps one with an error or a login: get the file itself, and write"
            " one JSON object a line"
        )
    return "is XML: write one JSON object a line" if _MARKUP.match(text) else None


def _indented(first: bytes, second: bytes) -> str | None:
    """Recognize JSON that is laid out over several lines by its first two."""
    if not second and len(first) >= LONGEST_BEGINNING // 2 and first.startswith(b"[{"):
        return "is one JSON array: write one object a line, such as with `jq -c '.[]'`"
    if not second or _object(first) is not None:
        return None
    if first == b"[" or (first.startswith((b"[{", b"[ {")) and first.endswith((b",", b"{"))):
        return (
            "is one JSON array over many lines: write one object a line, such as with `jq -c '.[]'`"
        )
    opened = first == b"{" or (first.startswith(b"{") and first.endswith((b",", b"{", b"[")))
    if opened and _MEMBER.match(second):
        return (
            "is JSON with objects over several lines: write one object a line, such as with"
            " `jq -c .`"
        )
    return None


def _other_lines(first: bytes, second: bytes, endpoint: str) -> str | None:
    """Recognize JSON Lines of other objects by the first two."""
    ones = [_object(line) for line in (first, second) if line]
    if all(one is not None and _is_result(one) for one in ones):
        return "contains results of a batch, not requests: name the file that they were made from"
    if all(one is not None and _is_bare_body(one) for one in ones):
        return (
            "contains only bodies of requests: give each line a custom_id, method, url and body,"
            """ such as with `jq -c '{custom_id: "r-\\(input_line_number)", method: "POST", """
            f"""url: "{endpoint}", body: .}}'`"""
        )
    return None


def _is_result(one: dict[str, object]) -> bool:
    return "custom_id" in one and "response" in one and "body" not in one


def _is_bare_body(one: dict[str, object]) -> bool:
    return _ENVELOPE.isdisjoint(one) and not _OF_A_BODY.isdisjoint(one)


def _object(line: bytes) -> dict[str, object] | None:
    """Return the JSON object of a line, None if the line is anything else."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _table(first: bytes, second: bytes) -> str | None:
    """Recognize a table with a line of column names."""
    for separator, names, what in _TABLES:
        is_row = not second or (separator in second and not second.startswith(b"{"))
        if is_row and names.fullmatch(first):
            return f"is {what}: write each row as a request, one JSON object a line"
    return None
