"""Lines of the final files, looked for in the raw ones, however few of them fit into memory."""

from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.outputs.trace import trace

if TYPE_CHECKING:
    from pathlib import Path


def answer(custom_id: str, text: str = "yes") -> bytes:
    body = {"id": "x", "text": text}
    response = {"status_code": 200, "request_id": "r", "body": body}
    return json.dumps({"custom_id": custom_id, "response": response, "error": None}).encode()


def failure(custom_id: str, code: str = "bad") -> bytes:
    error = {"code": code, "message": "no"}
    return json.dumps(
        {"id": None, "custom_id": custom_id, "response": None, "error": error}
    ).encode()


def lay(folder: Path, output: list[bytes], errors: list[bytes], *raw: list[bytes]) -> list[Path]:
    folder.joinpath("output.jsonl").write_bytes(b"".join(line + b"\n" for line in output))
    folder.joinpath("errors.jsonl").write_bytes(b"".join(line + b"\n" for line in errors))
    paths = []
    for number, lines in enumerate(raw):
        paths.append(folder / f"raw{number}")
        paths[-1].write_bytes(b"\r\n".join(lines))
    return paths


def test_every_line_has_its_origin(tmp_path: Path) -> None:
    output, errors = [answer("a"), answer("c")], [failure("b"), failure("d", "runner_missing")]
    raw = lay(tmp_path, output, errors, [answer("c"), b"junk"], [failure("b"), answer("a")])

    assert list(trace(tmp_path, raw, lines=4)) == []


@pytest.mark.parametrize("part_size", [1, 2, 3, 100])
def test_what_is_wrong_is_said_by_line(tmp_path: Path, part_size: int) -> None:
    output = [answer("a"), answer("a"), failure("b"), answer("c", "forged")]
    raw = lay(tmp_path, output, [answer("d"), failure("e")], [*output[:3], answer("d")])

    assert sorted(trace(tmp_path, raw, lines=6, part_size=part_size)) == [
        "errors.jsonl: line 1 is a success",
        "errors.jsonl: line 2 is in no raw file",
        "output.jsonl: line 2 is of a request that has a line already",
        "output.jsonl: line 3 is no success",
        "output.jsonl: line 4 is in no raw file",
    ]


def test_many_lines_are_counted(tmp_path: Path) -> None:
    raw = lay(tmp_path, [answer(f"{number}") for number in range(1_500)], [], [])

    assert list(trace(tmp_path, raw, lines=1_500)) == [
        "output.jsonl: lines 1, 2, 3 and 1,497 more are in no raw file"
    ]


@given(
    kept=st.sets(st.integers(0, 30)),
    lost=st.sets(st.integers(0, 30)),
    part_size=st.integers(1, 40),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_parts_find_what_a_whole_finds(
    tmp_path: Path, kept: set[int], lost: set[int], part_size: int
) -> None:
    lines = [answer(f"{number}") for number in sorted(kept | lost)]
    raw = lay(tmp_path, lines, [], [answer(f"{number}") for number in sorted(kept)])

    found = list(trace(tmp_path, raw, lines=len(lines), part_size=part_size))

    assert bool(found) is bool(lost - kept)


def test_memory_is_that_of_a_part(tmp_path: Path) -> None:
    lines = [answer(f"request-{number}", "x" * 4_000) for number in range(2_000)]
    raw = lay(tmp_path, lines, [], lines[::-1])
    size = tmp_path.joinpath("output.jsonl").stat().st_size

    tracemalloc.start()
    try:
        assert list(trace(tmp_path, raw, lines=len(lines), part_size=500)) == []
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 3_500_000 < size / 2
