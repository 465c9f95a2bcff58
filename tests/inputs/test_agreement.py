"""The fast and the slow check of a row give the same result."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner.errors import InvalidInput
from runner.inputs.requests import RequestReader
from runner.inputs.validation import check_line
from tests.inputs.writing import CHAT, EMBEDDINGS, line, read

if TYPE_CHECKING:
    from pathlib import Path

    from runner.inputs.scan import Scan

ENDPOINTS = (CHAT, "/v1/completions", "/v1/responses", EMBEDDINGS, "/v1/moderations", "/v1/videos")
READERS = {endpoint: RequestReader(endpoint) for endpoint in ENDPOINTS}

scalars = st.sampled_from(
    [None, True, False, 0, -1, 1.0, 2.5, 10**30, "", "m", "é\u2028", "\ud800"]
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("k"), inner)
)
bodies = st.fixed_dictionaries(
    {},
    optional={
        key: st.just("m") | values for key in ("model", "messages", "input", "prompt", "stream")
    },
)


@st.composite
def envelopes(draw: st.DrawFn) -> tuple[str, list[tuple[str, Any]]]:
    endpoint = draw(st.sampled_from(ENDPOINTS))
    members = [
        (key, draw(st.just(is_valid) | values))
        for key, is_valid in (("custom_id", "a"), ("method", "POST"), ("url", endpoint))
    ]
    members.append(("body", draw(bodies | values)))
    members += draw(st.lists(st.sampled_from(members), max_size=1))  # a key given twice
    return endpoint, draw(st.permutations(members))


@settings(max_examples=500)
@given(envelopes(), st.booleans(), st.sampled_from(["", '"model": "m", ', '"x": 0, "x": 1, ']))
def test_a_row_is_judged_the_same_either_way(
    drawn: tuple[str, list[tuple[str, Any]]],
    ascii_only: bool,  # noqa: FBT001
    again: str,
) -> None:
    endpoint, members = drawn
    text = ", ".join(
        f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=ascii_only)}" for key, value in members
    )
    text = text.replace('"body": {"', f'"body": {{{again}"')
    row = f"{{{text}}}".encode(errors="surrogatepass")
    quick = READERS[endpoint].read(row) if is_utf8(row) else None
    slow = check_line(row, endpoint)
    assert (slow.request is None) == bool(slow.problems)
    if quick is not None:
        assert slow.request == quick
    if again.count("x") and again in text:
        assert slow.problems


@given(st.sampled_from(ENDPOINTS), st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_a_diagnosis_is_a_request_or_a_fault(endpoint: str, row: bytes) -> None:
    checked = check_line(row, endpoint)
    assert (checked.request is None) == bool(checked.problems)


pieces = st.sampled_from(
    [line("a"), line("b"), b"\n", b"\r", b" ", b"\xef\xbb\xbf", b"\xff", b"\0", b"{", b'"', b"\\"]
)
noise = st.lists(pieces | st.binary(max_size=8), max_size=12).map(b"".join)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("noise") / "input.jsonl"


@settings(max_examples=400)
@given(noise)
@example(b"")
@example(b"\xff\xfe")
def test_any_bytes_are_a_scan_or_invalid_input(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    outcome = scan_or_problems(path)
    if isinstance(outcome, InvalidInput):
        assert 0 < len(outcome.problems) <= 21
        assert all("\n" not in str(each) for each in outcome.problems)
    else:
        assert outcome.requests > 0


def scan_or_problems(path: Path) -> Scan | InvalidInput:
    try:
        return read(path)
    except InvalidInput as error:
        return error


def is_utf8(row: bytes) -> bool:
    try:
        row.decode()
    except UnicodeDecodeError:
        return False
    return True
