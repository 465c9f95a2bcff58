"""Mutate an input: its lexemes, its lines and its bytes.

A JSON or YAML text with one unusual value reaches more code than random bytes do, so most changes
replace, repeat, drop or wrap whole lexemes. All randomness comes from the given `Random`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from tests.fuzz.target import Target

LONGEST: Final = 8 * 1024
"""Bytes of an input; `test_large` tests larger ones."""

_LEXEME: Final = re.compile(rb'"(?:[^"\\\n]|\\.){0,200}"|[A-Za-z_][\w.-]*|-?\d[\w.+-]*|[^\s\w]|\s+')

WORDS: Final = (
    *(b"\x00 \x07 \x1b[31m \x7f \x85 \xa0 \xff \xc3\x28 \xed\xa0\x80 \xf4\x90\x80\x80".split(b" ")),
    *("\ufeff \u2028 \u2029 \u0085 \u200b \u202e \ue000 \U0001f600 \u0130 é".encode().split(b" ")),
    *(rb'"\ud800" "\udc00\ud800" "\u0000" "\u2028" "\x41" "\/" "\\" "\""'.split(b" ")),
    *(b"0 -0 00 0x1 0o7 0b1 1_000 1e5 1E+5 1e309 -1e309 1.5 1. .5 +1 190:20:30".split(b" ")),
    *(b"9223372036854775808 -9223372036854775809 18446744073709551616 0.1e-400".split(b" ")),
    *(b"NaN Infinity -Infinity .inf .nan nan true false null True yes NO on ~".split(b" ")),
    *(b'"" " " [] {} [[]] {"":{}} "a" ["a"] [1] {"a":1} [null] [[1],[2]]'.split(b" ")),
    b"1" + b"0" * 400,
    b"1" + b"0" * 5000,
    b'"' + b"a" * 600 + b'"',
    b"\r",
    b"\r\n",
    b"\n\n",
    b"\t",
    b" " * 40,
)
"""Texts that have broken parsers before."""

_BRACKETS: Final = ((b"[", b"]"), (b'{"a":', b"}"), (b"{", b"}"), (b'"', b'"'), (b"", b""))


def mutate(data: bytes, target: Target, random: Random, *, longest: int = LONGEST) -> bytes:
    """Return `data` after one to five changes, mostly one, at most `longest` bytes long."""
    for _ in range(1 + min(random.randrange(5) for _ in range(3))):
        data = _CHANGES[random.randrange(len(_CHANGES))](data, target, random)[:longest]
    return data


def _word(target: Target, random: Random) -> bytes:
    words: Sequence[bytes] = WORDS if random.randrange(3) == 0 else target.words
    return words[random.randrange(len(words))]


def _lexeme(data: bytes, random: Random) -> tuple[int, int]:
    """Choose a lexeme; return where it begins and ends."""
    found = _LEXEME.search(data, random.randrange(len(data) + 1))
    return found.span() if found else (len(data), len(data))


def _line(data: bytes, random: Random) -> tuple[int, int]:
    """Choose a line; return where it begins and ends, its line feed included."""
    at = random.randrange(len(data) + 1)
    start = data.rfind(b"\n", 0, at) + 1
    end = data.find(b"\n", at)
    return start, len(data) if end < 0 else end + 1


def _replace(data: bytes, target: Target, random: Random) -> bytes:
    start, end = _lexeme(data, random)
    return data[:start] + _word(target, random) + data[end:]


def _insert(data: bytes, target: Target, random: Random) -> bytes:
    start, _ = _lexeme(data, random)
    return data[:start] + _word(target, random) + data[start:]


def _drop(data: bytes, target: Target, random: Random) -> bytes:  # noqa: ARG001
    start, end = (_line if random.randrange(3) == 0 else _lexeme)(data, random)
    return data[:start] + data[end:]


def _repeat(data: bytes, target: Target, random: Random) -> bytes:  # noqa: ARG001
    start, end = (_line if random.randrange(2) else _lexeme)(data, random)
    times = (2, 2, 3, 10, 100, 1000)[random.randrange(6)]
    piece = data[start:end] * times
    return data[:start] + piece[:LONGEST] + data[end:]


def _wrap(data: bytes, target: Target, random: Random) -> bytes:  # noqa: ARG001
    start, end = _lexeme(data, random)
    left, right = _BRACKETS[random.randrange(len(_BRACKETS))]
    times = (1, 2, 19, 400, 1200)[random.randrange(5)]
    return data[:start] + left * times + data[start:end] + right * times + data[end:]


def _move(data: bytes, target: Target, random: Random) -> bytes:  # noqa: ARG001
    choose = _line if random.randrange(2) else _lexeme
    start, end = choose(data, random)
    rest = data[:start] + data[end:]
    place, _ = choose(rest, random)
    return rest[:place] + data[start:end] + rest[place:]


def _copy(data: bytes, target: Target, random: Random) -> bytes:
    other = target.seeds[random.randrange(len(target.seeds))] if random.randrange(2) else data
    choose = _line if random.randrange(2) else _lexeme
    start, end = choose(other, random)
    place, stop = choose(data, random)
    return data[:place] + other[start:end] + data[stop if random.randrange(2) else place :]


def _splice(data: bytes, target: Target, random: Random) -> bytes:
    other = target.seeds[random.randrange(len(target.seeds))]
    return data[: random.randrange(len(data) + 1)] + other[random.randrange(len(other) + 1) :]


def _spoil(data: bytes, target: Target, random: Random) -> bytes:  # noqa: ARG001
    if not data:
        return data
    at = random.randrange(len(data))
    byte = random.randrange(256) if random.randrange(2) else data[at] ^ (1 << random.randrange(8))
    return data[:at] + bytes([byte]) + data[at + 1 :]


def _cut(data: bytes, target: Target, random: Random) -> bytes:  # noqa: ARG001
    at = random.randrange(len(data) + 1)
    return data[:at] if random.randrange(2) else data[at:]


def _end_lines(data: bytes, target: Target, random: Random) -> bytes:  # noqa: ARG001
    match random.randrange(5):
        case 0:
            return data.replace(b"\n", b"\r\n")
        case 1:
            return data.replace(b"\n", b"\r")
        case 2:
            return b"\xef\xbb\xbf" + data
        case 3:
            return data.rstrip(b"\n")
        case _:
            return data + b"\n"


_CHANGES: Final[tuple[Callable[[bytes, Target, Random], bytes], ...]] = (
    *(_replace, _replace, _replace, _insert, _drop, _drop, _repeat, _wrap),
    *(_move, _copy, _copy, _splice, _spoil, _cut, _end_lines),
)
