"""Failed requests by error code: counts, the first examples, and long or damaged files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.outputs import failures
from runner.outputs.failures import Example, FailureKind, failure_kinds
from runner.outputs.result_files import OTHER, ErrorCounts


def error(custom_id: str, code: str, message: str = "No.") -> bytes:
    line = {"custom_id": custom_id, "response": None, "error": {"code": code, "message": message}}
    return json.dumps(line).encode() + b"\n"


def record(codes: dict[str, int]) -> str:
    """Return a record with these counts of failures."""
    document = json.loads((Path(__file__).parent / "golden" / "run.json").read_text("utf-8"))
    failed = sum(codes.values())
    document["counts"] = {"total": failed, "succeeded": 0, "failed": failed, "codes": codes}
    return json.dumps(document)


def test_the_most_frequent_comes_first_each_with_its_first_three(tmp_path: Path) -> None:
    lines = [error("a", "rare", "Once."), *(error(f"b{n}", "often", f"No. {n}") for n in range(5))]
    (tmp_path / "errors.jsonl").write_bytes(b"".join(lines))

    assert failure_kinds(tmp_path) == (
        FailureKind(
            code="often",
            count=5,
            examples=tuple(Example(custom_id=f"b{n}", message=f"No. {n}") for n in range(3)),
        ),
        FailureKind(code="rare", count=1, examples=(Example(custom_id="a", message="Once."),)),
    )


def test_of_a_long_file_the_record_knows_the_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [error(f"b{n}", "often") for n in range(50)]
    monkeypatch.setattr(failures, "_MOST_READ", len(b"".join(lines[:2])) + 10)
    (tmp_path / "errors.jsonl").write_bytes(b"".join(lines))
    (tmp_path / "run.json").write_text(record({"late": 60, "often": 50}))

    late, often = failure_kinds(tmp_path) or ()

    assert (late.code, late.count, late.examples) == ("late", 60, ())
    assert (often.count, [one.custom_id for one in often.examples]) == (50, ["b0", "b1"])


def test_a_server_that_names_each_error_anew_fills_nothing(tmp_path: Path) -> None:
    lines = [error(str(number), f"code-{number}") for number in range(500)]
    (tmp_path / "errors.jsonl").write_bytes(b"".join(lines))

    kinds = failure_kinds(tmp_path) or ()

    assert len(kinds) == 101
    assert (kinds[0].code, kinds[0].count, len(kinds[0].examples)) == ("other", 400, 3)


@pytest.mark.parametrize("long", [False, True])
def test_nothing_is_made_of_a_file_that_cannot_be_trusted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    long: bool,  # noqa: FBT001 -- a row of the table
) -> None:
    if long:  # and without a record
        monkeypatch.setattr(failures, "_MOST_READ", 10)
        (tmp_path / "errors.jsonl").write_bytes(error("a", "x"))
    else:
        (tmp_path / "elsewhere").write_bytes(error("a", "x"))
        (tmp_path / "errors.jsonl").symlink_to(tmp_path / "elsewhere")

    assert failure_kinds(tmp_path) is None
    assert failure_kinds(tmp_path / "nowhere") is None


def test_a_broken_line_is_a_kind_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "errors.jsonl").write_bytes(b'{"custom_id": "a", \n' + error("b", "x"))

    broken, x = failure_kinds(tmp_path) or ()

    assert (broken.code, broken.count, x.code) == ("malformed_line", 1, "x")


def test_error_counts_are_bounded_however_many_codes_there_are() -> None:
    counter = ErrorCounts()
    for number in range(1000):
        counter.add(f"code-{number}", f"message {number}")
        counter.add("code-0", "again")
    assert len(counter.counts) == 101
    assert counter.counts["code-0"] == 1001
    assert counter.counts[OTHER] == 900
    assert counter.examples["code-0"] == ("message 0", "again")
    assert len(counter.examples[OTHER]) == 3
    assert next(iter(counter.counts)) == "code-0"


def test_what_has_the_form_of_a_key_is_masked(tmp_path: Path) -> None:
    line = error("a", "no_key", "Incorrect API key provided: sk-live-0123456789abcdef.")
    (tmp_path / "errors.jsonl").write_bytes(line)

    found = failure_kinds(tmp_path)

    assert found is not None
    assert found[0].examples[0].message == "Incorrect API key provided: ***."
