from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from runner.spec.yaml.tree import Ambiguity, resolve, shown


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("NULL", None),
        ("nULL", "nULL"),
        ("true", True),
        ("FALSE", False),
        ("tRue", "tRue"),
        ("0", 0),
        ("-12", -12),
        ("+3", 3),
        ("0x1F", 31),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1.0e+3", 1000.0),
        ("24h", "24h"),
        ("-", "-"),
        ("1.2.3", "1.2.3"),
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("yEs", "yEs"),
        ("y", "y"),
        ("nobody", "nobody"),
        ("é", "é"),
        ("9" * 39 + "x", "9" * 39 + "x"),
        ("9" * 41 + "x", "9" * 41 + "x"),
    ],
)
def test_words_read_alike_by_both_versions_are_taken(text: str, value: object) -> None:
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("24:00", 'is read by YAML 1.1 as the number 1440; write "24:00" in quotes'),
        ("-1:30", 'is read by YAML 1.1 as the number -90; write "-1:30" in quotes'),
        ("1:30.5", 'is read by YAML 1.1 as the number 90.5; write "1:30.5" in quotes'),
        ("NO", 'is read by YAML 1.1 as the boolean false; write "NO" in quotes, or false'),
        ("On", 'is read by YAML 1.1 as the boolean true; write "On" in quotes, or true'),
        (
            "010",
            (
                "is read by YAML 1.1 as the number 8 and by YAML 1.2 as the number 10;"
                ' write 10, or "010" in quotes'
            ),
        ),
        (
            "08",
            (
                "is read by YAML 1.1 as a string and by YAML 1.2 as the number 8;"
                ' write 8, or "08" in quotes'
            ),
        ),
        (
            "1e-3",
            (
                "is read by YAML 1.1 as a string and by YAML 1.2 as the number 0.001;"
                ' write 0.001, or "1e-3" in quotes'
            ),
        ),
        ("1_000", 'is read by YAML 1.1 as the number 1000; write 1000, or "1_000" in quotes'),
        ("0b11", 'is read by YAML 1.1 as the number 3; write 3, or "0b11" in quotes'),
        (
            "0o17",
            (
                "is read by YAML 1.1 as a string and by YAML 1.2 as the number 15;"
                ' write 15, or "0o17" in quotes'
            ),
        ),
        ("2024-01-31", 'is read by YAML 1.1 as a date; write "2024-01-31" in quotes'),
        (
            "2024-1-31 10:00:00 +2",
            'is read by YAML 1.1 as a date; write "2024-1-31 10:00:00 +2" in quotes',
        ),
        (".inf", 'is not a finite number; write a number, or ".inf" in quotes'),
        ("-.INF", 'is not a finite number; write a number, or "-.INF" in quotes'),
        (".NaN", 'is not a finite number; write a number, or ".NaN" in quotes'),
        ("1.0e+999", 'is too large for a number; write "1.0e+999" in quotes'),
        ("9" * 5000, "is too long for a number; write it in quotes if it is a text"),
        ("=", 'is read by YAML 1.1 as a command; write "=" in quotes'),
    ],
)
def test_ambiguous_words_are_refused_with_a_suggestion(text: str, message: str) -> None:
    reading = resolve(text)

    assert isinstance(reading, Ambiguity)
    assert f"{reading.reason}; write {reading.instead}" == message


@given(st.text("0123456789+-._:eExXabofintrusyNO~=<TZ", max_size=12))
def test_what_is_taken_is_what_a_reader_of_yaml_1_1_takes_too(text: str) -> None:
    ours = resolve(text)
    if not isinstance(ours, Ambiguity):
        loader = yaml.SafeLoader("")
        tag = loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        theirs = loader.construct_object(yaml.ScalarNode(tag, text))
        assert (type(ours), ours) == (type(theirs), theirs)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_that_is_taken_is_finite(number: float) -> None:
    ours = resolve(repr(number))
    assert isinstance(ours, Ambiguity) or math.isfinite(float(ours or 0))


@given(st.text())
def test_what_is_shown_fits_one_line(text: str) -> None:
    assert shown(text).isprintable()
    assert len(shown(text, 10)) <= 10 * len("\\U00000000")
