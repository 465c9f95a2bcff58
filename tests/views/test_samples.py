"""Samples of requests and responses, from files of any size, whole and damaged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runner.inputs.scan import scan
from runner.spec.project import Limits
from runner.views import samples
from runner.views.samples import Samples, SampleSource, read_samples
from tests.simulation.scene import CHAT, request_lines

if TYPE_CHECKING:
    from pathlib import Path


def source_of(path: Path, content: bytes, *, digest: str | None = None) -> SampleSource:
    path.write_bytes(content)
    if digest is None:
        digest = scan(path, shown="in.jsonl", endpoint=CHAT, limits=Limits()).digest
    return SampleSource(path=path, shown="in.jsonl", endpoint=CHAT, digest=digest)


def result(custom_id: str, **response: Any) -> bytes:  # noqa: ANN401
    body = {
        "id": "x",
        "choices": [{"message": {"role": "assistant", "content": f"re {custom_id}"}}],
    }
    line = {
        "custom_id": custom_id,
        "response": {"status_code": 200, "request_id": "r", "body": body, **response},
        "error": None,
    }
    return json.dumps(line).encode() + b"\n"


def said(found: Samples) -> list[tuple[str, str | None, str | None]]:
    return [
        (
            sample.custom_id,
            sample.request[0].text if sample.request else None,
            sample.response[0].text if sample.response else sample.code,
        )
        for sample in (*found.succeeded, *found.failed, *found.pending)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def test_answers_and_failures_are_joined_with_their_requests(tmp_path: Path, folder: Path) -> None:
    source = source_of(tmp_path / "in.jsonl", request_lines(6))
    (folder / "output.jsonl").write_bytes(b"".join(map(result, ("r1", "r3", "r5"))))
    (folder / "errors.jsonl").write_bytes(
        result("r2", status_code=400, body={"error": {"code": "bad", "message": "no"}})
    )

    found = read_samples(source, folder, None, most=2)
    assert said(found) == [("r1", "r1", "re r1"), ("r3", "r3", "re r3"), ("r2", "r2", "bad")]
    assert found.note is None


def test_without_results_the_first_requests_wait(tmp_path: Path, folder: Path) -> None:
    source = source_of(tmp_path / "in.jsonl", b"\n" + request_lines(6))

    assert said(read_samples(source, folder, None, most=2)) == [
        ("r0", "r0", None),
        ("r1", "r1", None),
    ]


def test_none_are_taken_where_none_are_wanted(tmp_path: Path, folder: Path) -> None:
    source = source_of(tmp_path / "in.jsonl", request_lines(6))

    assert read_samples(source, folder, None, most=0) == Samples()


def test_of_large_files_only_the_beginning_is_read(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = request_lines(100)
    source = source_of(tmp_path / "in.jsonl", lines)
    (folder / "output.jsonl").write_bytes(result("r1") + result("r99"))
    monkeypatch.setattr(samples, "_is_unchanged", lambda *_: True)
    monkeypatch.setattr(samples, "HEAD_OF_INPUT", len(lines) // 2)

    found = read_samples(source, folder, None, most=3)
    assert said(found) == [("r1", "r1", "re r1"), ("r99", None, "re r99")]
    assert found.note is not None
    assert "were searched" in found.note


def test_a_line_that_is_cut_by_the_end_of_the_beginning_is_left_out(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_of(tmp_path / "in.jsonl", request_lines(3))
    (folder / "output.jsonl").write_bytes(result("r0") + result("r1"))
    monkeypatch.setattr(samples, "HEAD_OF_RESULTS", len(result("r0")) + 20)

    assert said(read_samples(source, folder, None, most=3)) == [("r0", "r0", "re r0")]


def test_an_input_that_is_too_large_to_be_hashed_is_not_believed(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_of(tmp_path / "in.jsonl", request_lines(3))
    (folder / "output.jsonl").write_bytes(result("r0"))
    monkeypatch.setattr(samples, "HEAD_OF_INPUT", 10)

    found = read_samples(source, folder, None, most=3)
    assert said(found) == [("r0", None, "re r0")]
    assert found.note == "in.jsonl may have changed since it was submitted, so no request is shown"


@pytest.mark.parametrize("content", [b"nonsense\n", None])
def test_an_input_that_cannot_be_read_leaves_the_answers(
    tmp_path: Path, folder: Path, content: bytes | None
) -> None:
    path = tmp_path / "in.jsonl"
    source = source_of(path, content or b"", digest="d" * 64)
    if content is None:
        path.unlink()
    (folder / "output.jsonl").write_bytes(result("r0"))

    found = read_samples(source, folder, None, most=3)
    assert said(found) == [("r0", None, "re r0")]
    assert found.note == "in.jsonl cannot be read as it was submitted, so no request is shown"


@pytest.mark.parametrize(
    "content",
    [b"", b"\n\n", b"[]\n", b"\xff\xfe\n", b'{"custom_id": "r0"', b"[" * 100_000 + b"\n"],
    ids=["empty", "blank", "no-object", "no-text", "cut", "deep"],
)
def test_results_that_cannot_be_read_are_left_out(
    tmp_path: Path, folder: Path, content: bytes
) -> None:
    source = source_of(tmp_path / "in.jsonl", request_lines(3))
    (folder / "output.jsonl").write_bytes(content + b"\n" + result("r1"))

    found = read_samples(source, folder, None, most=3)
    assert ("r1", "r1", "re r1") in said(found)


def test_a_link_in_the_place_of_a_result_is_not_followed(tmp_path: Path, folder: Path) -> None:
    source = source_of(tmp_path / "in.jsonl", request_lines(3))
    (tmp_path / "elsewhere.jsonl").write_bytes(result("r0"))
    (folder / "output.jsonl").symlink_to(tmp_path / "elsewhere.jsonl")

    assert read_samples(source, folder, None, most=3).succeeded == ()


def test_what_has_the_form_of_a_key_is_masked(tmp_path: Path, folder: Path) -> None:
    key = "sk-live-0123456789abcdef"
    source = source_of(tmp_path / "in.jsonl", request_lines(2))
    echoed = result("r0").replace(b'"content": "', b'"content": "' + key.encode())
    assert key.encode() in echoed
    (folder / "output.jsonl").write_bytes(echoed)
    error = {"code": "invalid_api_key", "message": f"Incorrect API key provided: {key}."}
    line = {"custom_id": "r1", "response": None, "error": error}
    (folder / "errors.jsonl").write_text(json.dumps(line) + "\n")

    found = read_samples(source, folder, None, most=3)

    assert key not in repr(found)
    assert found.failed[0].message == "Incorrect API key provided: ***."
