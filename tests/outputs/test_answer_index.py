"""The answer index: the result files of a submission, joined with its rows."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.inputs.row_set import RowSet
from runner.outputs.answer_index import AnswerIndex
from runner.outputs.result_files import LineStatus, Outcome


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
    results = AnswerIndex(zip(range(10, 16), "abcdef", strict=True), [output, errors]).results
    assert results.succeeded == RowSet.parse("11-12")
    assert results.permanent == RowSet.parse("13")
    assert results.transient == RowSet.parse("10,14-15")
    assert results.missing == RowSet.parse("14-15")
    assert (results.unknown, results.malformed, results.duplicates) == (1, 0, 0)
    assert results.codes == {"batch_expired": 1, "invalid": 1}
    assert results.examples == {"batch_expired": ("late",), "invalid": ("no",)}


def test_no_files_at_all_leave_everything_missing() -> None:
    results = AnswerIndex([(3, "a")], []).results
    assert results.missing == results.transient == RowSet.parse("3")


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
    results = AnswerIndex([(0, "a")], [write(tmp_path / "o", *lines)]).results
    of = {
        Outcome.SUCCEEDED: results.succeeded,
        Outcome.TRANSIENT: results.transient,
        Outcome.PERMANENT: results.permanent,
    }
    assert {name for name, rows in of.items() if rows} == {outcome}
    assert results.duplicates == 1


def test_an_unreadable_line_is_counted_and_its_row_asked_again(tmp_path: Path) -> None:
    results = AnswerIndex(
        [(0, "a"), (1, "b")], [write(tmp_path / "o", success("a")[:-1], b"junk")]
    ).results
    assert results.malformed == 2
    assert results.unknown == 0
    assert results.transient == RowSet.parse("0-1")
    assert results.missing == RowSet.parse("1")
    assert results.codes == {"malformed_line": 1}


def test_a_custom_id_asked_twice_is_a_bug_of_the_caller() -> None:
    with pytest.raises(ValueError, match="1 custom_ids are there twice"):
        AnswerIndex([(0, "a"), (1, "a")], [])


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
        results = AnswerIndex(enumerate(asked), files).results
    sets = (results.succeeded, results.transient, results.permanent)
    assert sorted(row for rows in sets for row in rows) == list(range(len(asked)))
    assert not results.missing.difference(results.transient)
    written = [*output, *errors]
    for row, name in enumerate(asked):
        assert (row in results.succeeded) == (success(name) in written)
        assert (row in results.missing) == (
            not any(f'"custom_id": "{name}"'.encode() in line for line in written)
        )
    failed = len(results.transient) + len(results.permanent) - len(results.missing)
    assert sum(results.codes.values()) == failed


def test_lines_that_name_no_request_are_counted_by_file_with_the_first_as_example(
    tmp_path: Path,
) -> None:
    """Readable or not; what a line without a custom_id begins with is its example."""
    first = write(tmp_path / "first", success("a"), success("x"), failure("y", "no"))
    second = write(tmp_path / "second", b"\xff {", success("z"))
    long = write(tmp_path / "long", success("i" * 9000), b"{" * 9000)
    found = AnswerIndex([(0, "a")], [first, second, long]).results.unmatched
    assert {path.name: (lines.count, lines.example) for path, lines in found.items()} == {
        "first": (2, "custom_id x"),
        "second": (2, "\ufffd {"),
        "long": (2, f"custom_id {'i' * 4096}"),
    }


def test_failures_of_strangers_are_counted_and_the_first_is_the_example(tmp_path: Path) -> None:
    errors = write(tmp_path / "e", failure("x", "no"), failure("y", "no"), failure("a", "no"))
    results = AnswerIndex([(0, "a")], [errors]).results
    assert (results.unknown, results.malformed) == (2, 0)
    assert [(each.count, each.example) for each in results.unmatched.values()] == [
        (2, "custom_id x")
    ]


def test_a_success_of_another_form_counts_as_one_and_displaces_a_failure(tmp_path: Path) -> None:
    odd = success("a").replace(b'{"id": "x"}', b'"{\\"id\\": \\"x\\"}"')
    index = AnswerIndex([(0, "a")], [write(tmp_path / "o", failure("a", "no"), odd)])
    assert index.results.succeeded == RowSet.parse("0")
    assert (index.results.duplicates, index.results.codes) == (1, {})
    alone = AnswerIndex([(0, "a")], [write(tmp_path / "alone", odd)])
    assert alone.results.succeeded == RowSet.parse("0")
    [location] = index
    assert location.status is LineStatus.SUCCEEDED
    assert (location.code, location.length) == (None, len(odd))


def test_what_the_event_of_a_collected_batch_says(tmp_path: Path) -> None:
    output = write(tmp_path / "o", success("a"), success("a"), success("x"), b"{")
    errors = write(tmp_path / "e", failure("b", "invalid", "one"), failure("c", "invalid", "two"))
    results = AnswerIndex(enumerate("abcd"), [output, errors]).results
    assert results.as_detail() == {
        "succeeded": 1,
        "missing": 1,
        "unknown": 1,
        "malformed": 1,
        "duplicates": 1,
        "truncated": 0,
        "codes": {"invalid": 2},
        "examples": {"invalid": ["one", "two"]},
    }
