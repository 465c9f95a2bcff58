"""Settling: what one submission's files say, joined with what it asked."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.inputs.row_set import RowSet
from runner.outputs.answer_index import settle
from runner.outputs.error_counts import OTHER, ErrorCounts
from runner.outputs.result_files import Outcome


def success(custom_id: str) -> bytes:
    body = {"id": "x"}
    return json.dumps(
        {"custom_id": custom_id, "response": {"status_code": 200, "body": body}}
    ).encode()


def failure(custom_id: str, code: str, message: str = "no") -> bytes:
    error = {"code": code, "message": message}
    return json.dumps({"custom_id": custom_id, "response": None, "error": error}).encode()


def write(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"\n".join(lines))
    return path


def test_both_files_are_read_and_the_rest_is_missing(tmp_path: Path) -> None:
    output = write(tmp_path / "o", success("c"), failure("d", "invalid"), success("stranger"))
    errors = write(tmp_path / "e", failure("a", "batch_expired", "late"), success("b"))
    settled = settle([output, errors], zip(range(10, 16), "abcdef", strict=True))
    assert settled.succeeded == RowSet.parse("11-12")
    assert settled.permanent == RowSet.parse("13")
    assert settled.transient == RowSet.parse("10,14-15")
    assert settled.missing == RowSet.parse("14-15")
    assert (settled.unknown, settled.malformed, settled.duplicates) == (1, 0, 0)
    assert settled.codes == {"batch_expired": 1, "invalid": 1}
    assert settled.examples == {"batch_expired": ("late",), "invalid": ("no",)}


def test_no_files_at_all_leave_everything_missing() -> None:
    settled = settle([], [(3, "a")])
    assert settled.missing == settled.transient == RowSet.parse("3")


@pytest.mark.parametrize(
    ("lines", "outcome"),
    [
        ([success("a"), failure("a", "invalid")], Outcome.SUCCEEDED),
        ([failure("a", "invalid"), success("a")], Outcome.SUCCEEDED),
        ([failure("a", "invalid"), failure("a", "batch_expired")], Outcome.TRANSIENT),
        ([failure("a", "batch_expired"), failure("a", "invalid")], Outcome.PERMANENT),
        ([failure("a", "invalid"), success("a")[:-1]], Outcome.PERMANENT),
        ([success("a")[:-1], failure("a", "invalid")], Outcome.PERMANENT),
        ([success("a")[:-1], success("a")], Outcome.SUCCEEDED),
    ],
)
def test_of_several_lines_the_best_or_last_counts(
    tmp_path: Path, lines: list[bytes], outcome: Outcome
) -> None:
    settled = settle([write(tmp_path / "o", *lines)], [(0, "a")])
    of = {
        Outcome.SUCCEEDED: settled.succeeded,
        Outcome.TRANSIENT: settled.transient,
        Outcome.PERMANENT: settled.permanent,
    }
    assert {name for name, rows in of.items() if rows} == {outcome}
    assert settled.duplicates == 1


def test_an_unreadable_line_is_counted_and_its_row_asked_again(tmp_path: Path) -> None:
    settled = settle([write(tmp_path / "o", success("a")[:-1], b"junk")], [(0, "a"), (1, "b")])
    assert settled.malformed == 2
    assert settled.unknown == 0
    assert settled.transient == RowSet.parse("0-1")
    assert settled.missing == RowSet.parse("1")
    assert settled.codes == {"malformed_line": 1}


def test_a_custom_id_asked_twice_is_a_bug_of_the_caller() -> None:
    with pytest.raises(ValueError, match="asked twice"):
        settle([], [(0, "a"), (1, "a")])


names = st.sampled_from("abcdefgh")
lines = st.one_of(
    names.map(success),
    st.tuples(names, st.sampled_from(["batch_expired", "invalid"])).map(lambda t: failure(*t)),
    names.map(lambda name: success(name)[:-2]),
    st.just(b"junk"),
)


@settings(deadline=None)  # the disk has its own ideas of time
@given(asked=st.lists(names, unique=True), output=st.lists(lines), errors=st.lists(lines))
def test_every_row_is_in_exactly_one_set(
    asked: list[str], output: list[bytes], errors: list[bytes]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = [write(Path(folder) / "o", *output), write(Path(folder) / "e", *errors)]
        settled = settle(files, enumerate(asked))
    sets = (settled.succeeded, settled.transient, settled.permanent)
    assert sorted(row for rows in sets for row in rows) == list(range(len(asked)))
    assert not settled.missing.difference(settled.transient)
    written = [*output, *errors]
    for row, name in enumerate(asked):
        assert (row in settled.succeeded) == (success(name) in written)
        assert (row in settled.missing) == (
            not any(f'"custom_id": "{name}"'.encode() in line for line in written)
        )
    failed = len(settled.transient) + len(settled.permanent) - len(settled.missing)
    assert sum(settled.codes.values()) == failed


def test_a_tally_is_bounded_however_many_codes_there_are() -> None:
    tally = ErrorCounts()
    for number in range(1000):
        tally.add(f"code-{number}", f"message {number}")
        tally.add("code-0", "again")
    assert len(tally.counts) == 101
    assert tally.counts["code-0"] == 1001
    assert tally.counts[OTHER] == 900
    assert tally.examples["code-0"] == ("message 0", "again")
    assert len(tally.examples[OTHER]) == 3
    assert next(iter(tally.counts)) == "code-0"
