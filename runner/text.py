"""Text for the user, and the small texts that the user writes: one form for each thing. Pure.

Counts, sizes, durations and moments are written here and durations are read here, so that all of
runner agrees.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
_JOINERS: Final = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
_BLANKS: Final = 20
"""Of a text with runs of blanks, this many times its limit are read at most."""

_LONGEST_GUESS: Final = 64
"""Characters of a word of which a known one is still guessed."""

_LONGEST_WHOLE_ID: Final = 20
_SHORTEST_ID: Final = 14
"""Characters: `batch_` and eight more."""

_DURATION: Final = re.compile(r"([0-9]{1,9})([a-z]{1,3})", re.ASCII)
_UNITS: Final = {"s": 1, "m": _MINUTE, "min": _MINUTE, "h": _HOUR, "d": _DAY, "w": 7 * _DAY}
_ESTIMATED_DIGITS: Final = 3
_SPANS: Final = ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"), (1, "s"))


def plural(count: int, noun: str) -> str:
    """Write a count with its noun: `1 request`, `3,080 requests`, `2 batches`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun}{'es' if noun.endswith('ch') else 's'}"


def listed(items: Sequence[str], *, most: int = 3) -> str:
    """Write the first few items and the number of the others: `a, b, c and 7 more`."""
    if len(items) <= most:
        return ", ".join(items)
    return f"{', '.join(items[:most])} and {len(items) - most:,} more"


def short_ids(ids: Iterable[str]) -> dict[str, str]:
    """Return for each long id its beginning, as long as is needed to tell these ids apart.

    An id of at most 20 characters is left out, and so is one that would not become shorter.
    """
    known = frozenset(ids)
    length = _SHORTEST_ID
    while len({one[:length] for one in known}) < len(known):
        length += 1
    longest = max(_LONGEST_WHOLE_ID, length + 1)
    return {one: f"{one[:length]}…" for one in known if len(one) > longest}


def truncated_answers(count: int | None) -> str:
    """Write how many answers were cut at the token limit; empty for none or an unknown number."""
    if not count:
        return ""
    return f"{plural(count, 'answer')} {'was' if count == 1 else 'were'} cut at the token limit"


def size(count: float) -> str:
    """Write bytes in decimal units, as providers state their limits: `1.2 MB`."""
    if count < 999.5:  # noqa: PLR2004 -- what would be written as 1000
        return f"{count:.0f} B"
    value = float(count)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.95:  # noqa: PLR2004 -- what would be written as 1000.0
            return f"{value:.1f} {unit}"
    return f"{value / 1000:,.1f} TB"


def tokens(count: int, *, exact: bool) -> str:
    """Write a number of prompt tokens; an estimate (`exact` false) is rounded to 3 digits."""
    if exact:
        return plural(count, "prompt token")
    rounded = round(count, _ESTIMATED_DIGITS - len(str(count)))
    return f"about {plural(rounded, 'prompt token')}"


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return the known word closest to `word`, or None where none is close."""
    from difflib import get_close_matches

    if len(word) > _LONGEST_GUESS:
        return None
    return next(iter(get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)), None)


def suggestion(word: str, known: Iterable[str], *, sign: str = "") -> str:
    """Return the end of a message about an unknown word: the closest known word, or nothing.

    `sign` is written before it, such as the dashes of an option.
    """
    guess = did_you_mean(word, known)
    return f'; did you mean "{sign}{guess}"?' if guess else ""


def one_of(word: str, known: Sequence[str], noun: str = "there are", *, most: int = 100) -> str:
    """Return the end of a message about an unknown word: the closest known word, or the first ones.

    At most `most` known words are listed.
    """
    if guess := did_you_mean(word, known):
        return f'did you mean "{guess}"?'
    more = ", ..." if len(known) > most else ""
    return f"{noun}: {', '.join(known[:most])}{more}"


def printable(text: str, limit: int | None = None, *, mark: str | None = _REPLACEMENT) -> str:
    r"""Return text from outside as one line that is safe in a terminal, a log and a page.

    Each character that `str.isprintable` denies is replaced: control characters can move the
    cursor, and format characters can turn the order of a sentence round. White space becomes a
    space, any other such character `mark`. The mark None writes all of them as escapes (`\x1b`),
    for texts that the user has to find in a file. The mark " " also makes one space of several;
    it is for the messages of servers, in which the words alone matter.

    Zero-width joiners are part of words and emoji. They stay with the standard mark, which is for
    terminals and pages.

    A text of more than `limit` characters is cut and ends with an ellipsis; escapes count as the
    one character that they stand for.
    """
    if mark == " ":
        if limit is not None:
            text = text[: limit * _BLANKS]
        text = " ".join("".join(_printable(each, mark) for each in text).split())
    if limit is not None and len(text) > limit:
        text = text[: limit - 1] + "…"
    if text.isprintable():
        return text
    return "".join(_printable(each, mark) for each in text)


def _printable(character: str, mark: str | None) -> str:
    if character.isprintable():
        return character
    if mark is None:
        return ascii(character)[1:-1]
    if character.isspace():
        return " "
    return character if character in _JOINERS and mark == _REPLACEMENT else mark


def parse_duration(text: str, *, units: Collection[str]) -> int | None:
    """Return the seconds of a duration such as `90m`, `12h` or `2d`; None for any other text.

    A duration is a whole number of at most nine digits and one of `units`: of `s`, `m` or `min`,
    `h`, `d` and `w`. It may be 0.
    """
    match = _DURATION.fullmatch(text)
    if match is None or match[2] not in units:
        return None
    return int(match[1]) * _UNITS[match[2]]


def span(seconds: float) -> str:
    """Write a span of time in its two largest units: `12 s`, `3 min 20 s`, `1 d 3 h`."""
    whole = max(int(seconds), 0)
    for number, (length, unit) in enumerate(_SPANS[:-1]):
        if whole >= length:
            smaller, its_unit = _SPANS[number + 1]
            rest = whole % length // smaller
            return f"{whole // length} {unit}" + (f" {rest} {its_unit}" if rest else "")
    return f"{whole} s"


def rough_span(seconds: float) -> str:
    """Write a span of time in its largest unit: `12 s`, `3 min`, `1 d`."""
    whole = max(int(seconds), 0)
    length, unit = next(((length, unit) for length, unit in _SPANS if whole >= length), _SPANS[-1])
    return f"{whole // length} {unit}"


def moment(at: float) -> str:
    """Write a moment, given in Unix seconds, as date and time in UTC."""
    try:
        return datetime.fromtimestamp(at, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        # A provider may send any number as a time.
        return f"{at:.0f} s"


def timestamp(at: float) -> str:
    """Write a moment, given in Unix seconds, as ISO 8601 in UTC: `2026-01-31T12:00:00Z`."""
    try:
        return datetime.fromtimestamp(at, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return moment(at)


def clock_time(at: float) -> str:
    """Write a moment, given in Unix seconds, as the time of day in UTC."""
    return moment(at)[-8:]
