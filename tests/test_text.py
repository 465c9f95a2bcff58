"""Numbers, sizes, spans and moments in words."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner.text import (
    clock_time,
    listed,
    moment,
    parse_duration,
    plural,
    printable,
    short_ids,
    size,
    span,
    timestamp,
)
from tests.report.scenes import DANGEROUS, HOSTILE


@pytest.mark.parametrize(
    ("count", "noun", "said"),
    [
        (0, "request", "0 requests"),
        (1, "request", "1 request"),
        (3080, "request", "3,080 requests"),
        (1, "batch", "1 batch"),
        (2, "batch", "2 batches"),
    ],
)
def test_plural(count: int, noun: str, said: str) -> None:
    assert plural(count, noun) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (200_000_000, "200.0 MB"),
        (1_000_000_000, "1.0 GB"),
        (10**15, "1,000.0 TB"),
    ],
)
def test_size(count: int, said: str) -> None:
    assert size(count) == said


@given(st.floats(0, 1e15))
def test_a_size_is_short(count: float) -> None:
    assert re.fullmatch(r"\d{1,3} B|\d{1,3}\.\d (kB|MB|GB)|[\d,]+\.\d TB", size(count))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3, "0 s"),
        (0.9, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (3599, "59 min 59 s"),
        (7325, "2 h 2 min"),
        (86_400 + 3 * 3600, "1 d 3 h"),
        (86_400 * 40, "40 d"),
    ],
)
def test_span(seconds: float, said: str) -> None:
    assert span(seconds) == said


UNITS = ("s", "m", "min", "h", "d", "w")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("45s", 45),
        ("90m", 5400),
        ("90min", 5400),
        ("12h", 43_200),
        ("2d", 172_800),
        ("1w", 604_800),
        ("0d", 0),
        ("007m", 420),
        ("999999999s", 999_999_999),
        *dict.fromkeys(
            ("", "5", "m", "-5m", "+5m", "1.5h", "5 m", " 5m", "5m\n", "5M", "5mm", "5mo", "1h30m",
             "1_0m", "٣m", "1000000000s"),
        ).items(),
    ],
)  # fmt: skip
def test_a_duration(text: str, seconds: int | None) -> None:
    assert parse_duration(text, units=UNITS) == seconds


@pytest.mark.parametrize("unit", UNITS)
def test_a_duration_has_only_the_units_that_the_caller_takes(unit: str) -> None:
    others = [other for other in UNITS if other != unit]

    assert parse_duration(f"5{unit}", units=[unit]) is not None
    assert parse_duration(f"5{unit}", units=others) is None


@given(st.text(max_size=8))
def test_any_text_is_a_duration_or_is_not(text: str) -> None:
    seconds = parse_duration(text, units=UNITS)

    assert seconds is None or seconds >= 0


def test_moment() -> None:
    assert moment(1_700_000_000) == "2023-11-14 22:13:20"
    assert clock_time(1_700_000_000) == "22:13:20"
    assert timestamp(1_700_000_000.9) == "2023-11-14T22:13:20Z"


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False)))
def test_any_number_that_a_server_calls_a_time_can_be_written(at: float) -> None:
    assert moment(at)
    assert timestamp(at)


@pytest.mark.parametrize(
    ("items", "said"),
    [(["a"], "a"), (["a", "b", "c"], "a, b, c"), (list("abcdefg"), "a, b, c and 4 more")],
)
def test_listed(items: list[str], said: str) -> None:
    assert listed(items) == said


OBEYED = "a\x1b[2J\r\n\tb\u202ec\x00\x85d\u200de"


@pytest.mark.parametrize(
    ("mark", "expected"),
    [
        ("\N{REPLACEMENT CHARACTER}", "a�[2J   b�c� d\u200de"),
        (" ", "a [2J b c d e"),
        (None, r"a\x1b[2J\r\n\tb\u202ec\x00\x85d\u200de"),
        ("?", "a?[2J   b?c? d?e"),
    ],
)
def test_what_a_terminal_would_obey_is_replaced(mark: str | None, expected: str) -> None:
    assert printable(OBEYED, mark=mark) == expected


@pytest.mark.parametrize("mark", ["\N{REPLACEMENT CHARACTER}", " ", None])
def test_what_can_be_printed_stays(mark: str | None) -> None:
    text = "grün, 日本語, עברית, हिन्दी, ☂, 👩"

    assert printable(text, mark=mark) == text
    assert printable(text, len(text), mark=mark) == text
    assert printable(text, 5, mark=mark) == "grün…"


@given(st.text(), st.integers(1, 9), st.sampled_from([" ", "?"]))
def test_a_line_has_no_more_characters_than_its_limit(text: str, limit: int, mark: str) -> None:
    line = printable(text, limit, mark=mark)

    assert line.isprintable()
    assert len(line) <= limit


def test_of_a_text_with_many_blanks_no_more_is_read_than_needed() -> None:
    assert printable(" " * 10**6 + "x", 10, mark=" ") == ""
    assert printable(" " * 100 + "x", 10, mark=" ") == "x"


@given(st.text())
@example(HOSTILE)
def test_plain_text_is_one_line_of_visible_characters(text: str) -> None:
    shown = printable(text)

    assert len(shown) == len(text)
    assert not DANGEROUS.search(shown)
    assert "\n" not in shown
    assert all(
        unicodedata.category(character)[0] != "C" or character in "\u200c\u200d"
        for character in shown
    )


@pytest.mark.parametrize(
    "text", ["grün, 日本語, עברית, हिन्दी, ☂", "👩\u200d🔬", "ﻡ\u200cﻙ", "e\u0301"]
)
def test_every_language_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines\tand a tab\r", "two lines and a tab "),
        ("\x1b[31mred", "�[31mred"),
        ("\u202eabc\u2069", "�abc�"),
        ("no\u00a0break", "no break"),
        ("\ud800", "�"),
    ],
)
def test_what_is_not_to_be_seen_is_replaced(text: str, shown: str) -> None:
    assert printable(text) == shown


LONG_ID = "batch_68f0c3a1d4b88190a7c1"


@pytest.mark.parametrize(
    ("ids", "short"),
    [
        ([], {}),
        (["batch_0001", "batch_0002", "b" * 20], {}),
        ([LONG_ID], {LONG_ID: "batch_68f0c3a1…"}),
        ([LONG_ID, LONG_ID], {LONG_ID: "batch_68f0c3a1…"}),
        (
            [LONG_ID, "batch_68f0c3a1d500000000000"],
            {
                LONG_ID: "batch_68f0c3a1d4…",
                "batch_68f0c3a1d500000000000": "batch_68f0c3a1d5…",
            },
        ),
        ([LONG_ID, "batch_68f0c3a1"], {LONG_ID: "batch_68f0c3a1d…"}),
        ([LONG_ID, f"{LONG_ID[:-1]}2"], {}),
        ([LONG_ID, f"{LONG_ID[:-2]}2x"], {}),
        (
            [LONG_ID, f"{LONG_ID[:-3]}2xy"],
            {LONG_ID: f"{LONG_ID[:-2]}…", f"{LONG_ID[:-3]}2xy": f"{LONG_ID[:-3]}2…"},
        ),
    ],
)
def test_long_ids_are_as_long_as_tells_them_apart(ids: list[str], short: dict[str, str]) -> None:
    assert short_ids(ids) == short


@given(st.lists(st.text("ab_", min_size=1, max_size=40)))
def test_short_ids_are_never_two_of_one(ids: list[str]) -> None:
    short = short_ids(ids)
    shown = [short.get(one, one) for one in set(ids)]
    assert len(set(shown)) == len(shown)
    for one, its in short.items():
        assert len(its) < len(one)
        assert one.startswith(its[:-1])
