"""`run.json`: what it says, to the byte, and what it makes of odd values."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.batch import sum_usage
from runner.outputs import record
from runner.outputs.files import FileRejected
from runner.outputs.record import (
    FORMAT_VERSION,
    FileDigest,
    RecordedCounts,
    RecordedGit,
    RecordedInput,
    RecordedParameters,
    RecordedProvider,
    RecordedResult,
    RecordedShard,
    RecordedSpec,
    RecordedSubmission,
    RunRecord,
    ToolVersions,
    decode,
    encode,
    read_record,
)
from runner.text import timestamp

GOLDEN = Path(__file__).parent / "golden" / "run.json"

BATCH = {
    "id": "batch_abc",
    "object": "batch",
    "status": "completed",
    "errors": None,
    "output_file_id": "file-out",
    "error_file_id": None,
    "request_counts": {"total": 3, "completed": 2, "failed": 1},
    "metadata": {"project": "größe", "runner": "sentiment/9f86d081884c/1/1"},
    "usage": {"input_tokens": 30, "output_tokens": 7, "input_tokens_details": {"cached_tokens": 4}},
    "a_field_of_tomorrow": [1, 2.5, True],
}

RECORD = RunRecord(
    format_version=FORMAT_VERSION,
    job="sentiment",
    revision="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    state="partial",
    reason="1 of 3 requests has no successful response",
    superseded=False,
    spec=RecordedSpec(
        path="specs/sentiment.yaml",
        line=1,
        sha256="2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
        document="name: sentiment\nendpoint: /v1/chat/completions\ninput: data/reviews.jsonl\n",
    ),
    request=RecordedParameters(
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"project": "größe"},
        provider=RecordedProvider(name="openai", base_url="https://api.openai.com/v1"),
        replicate=1,
        attempts=3,
    ),
    input=RecordedInput(
        path="data/reviews.jsonl",
        requests=3,
        bytes=612,
        sha256="fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9",
    ),
    shards=(
        RecordedShard(
            number=1,
            model="gpt-4o-mini",
            rows="0-2",
            requests=3,
            bytes=612,
            sha256="fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9",
            offset=0,
            ids_offset=0,
            whole=True,
            submissions=(
                RecordedSubmission(
                    key="sentiment/9f86d081884c/1/1",
                    attempt=1,
                    state="collected",
                    counted=True,
                    rows="0-2",
                    transient="",
                    permanent="1",
                    problem="1 invalid_prompt",
                    requests=3,
                    bytes=612,
                    sha256="fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9",
                    input_file_id="file-in",
                    submitted_at="2025-03-14T15:09:26Z",
                    batch=BATCH,
                    results=(
                        RecordedResult(
                            kind="output",
                            file_id="file-out",
                            path="raw/1-1-output.jsonl",
                            bytes=2048,
                            sha256="baa5a0964d3320fbc0c6a922140453c8513ea24ab8fd0577034804a967248096",
                        ),
                    ),
                ),
            ),
        ),
    ),
    counts=RecordedCounts(total=3, succeeded=2, failed=1, codes={"invalid_prompt": 1}),
    truncated=1,
    usage=sum_usage([BATCH]),
    outputs={
        "output.jsonl": FileDigest(bytes=1400, sha256="aa" * 32, lines=2),
        "errors.jsonl": FileDigest(bytes=150, sha256="bb" * 32, lines=1),
    },
    made_by=ToolVersions(
        runner="0.1.0",
        python="3.11.7",
        platform="Linux-6.1-x86_64",
        dependencies={"httpx": "0.28.1", "msgspec": "0.19.0"},
    ),
    git=RecordedGit(commit="e83c5163316f89bfbde7d9ab23ca2e25604af290", branch="main", dirty=False),
    started_at=timestamp(1741964966),
    finished_at=timestamp(1741968566.9),
)


def test_the_record_reads_as_it_always_did() -> None:
    """A change here is a change of the format: think of those who read it in five years."""
    assert encode(RECORD) == GOLDEN.read_bytes()


def test_the_record_is_read_as_it_was_written() -> None:
    assert decode(GOLDEN.read_bytes()) == RECORD


def test_a_record_with_fields_of_a_later_version_is_read() -> None:
    document = json.loads(GOLDEN.read_bytes())
    document["since_tomorrow"] = document["shards"][0]["since_tomorrow"] = {"a": [1]}
    assert decode(json.dumps(document).encode()) == RECORD


@pytest.mark.parametrize("version", [0, -1, True, None, "1", 1.0, 2, 10**30])
def test_a_record_of_another_format_is_not_read(version: object) -> None:
    document = json.loads(GOLDEN.read_bytes()) | {"format_version": version}
    with pytest.raises(FileRejected, match="format_version"):
        decode(json.dumps(document).encode())


def test_a_record_larger_than_any_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run.json").write_bytes(GOLDEN.read_bytes())
    size = GOLDEN.stat().st_size
    monkeypatch.setattr(record, "LARGEST_RECORD", size)
    assert read_record(tmp_path) == RECORD
    monkeypatch.setattr(record, "LARGEST_RECORD", size - 1)
    with pytest.raises(FileRejected, match="larger than any record"):
        read_record(tmp_path)


def test_a_record_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "run.json").symlink_to(GOLDEN)
    with pytest.raises(FileRejected, match="is a link"):
        read_record(tmp_path)


def test_a_record_without_a_field_is_not_read() -> None:
    for name in json.loads(GOLDEN.read_bytes()).keys() - {"truncated"}:
        document = json.loads(GOLDEN.read_bytes())
        del document[name]
        with pytest.raises(FileRejected, match=name):
            decode(json.dumps(document).encode())


def test_the_record_of_an_earlier_version_is_read_and_stays_as_it_is() -> None:
    document = json.loads(GOLDEN.read_bytes())
    del document["truncated"]
    earlier = decode(json.dumps(document).encode())
    assert earlier == replace(RECORD, truncated=None)
    assert json.loads(encode(earlier)) == document


def test_a_batch_is_kept_verbatim_and_in_order() -> None:
    (shard,) = json.loads(encode(RECORD))["shards"]
    (submission,) = shard["submissions"]
    assert submission["batch"] == BATCH
    assert list(submission["batch"]) == list(BATCH)


def test_what_is_not_known_is_null() -> None:
    bare = json.loads(encode(replace(RECORD, git=None, usage=None, reason=None)))
    assert bare["git"] is bare["usage"] is bare["reason"] is None


values: st.SearchStrategy[object] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


def refuse(constant: str) -> None:
    pytest.fail(f"{constant} is no JSON")


@given(batch=st.dictionaries(st.text(), values))
def test_whatever_a_provider_sends_the_record_is_strict_json(batch: dict[str, object]) -> None:
    (shard,) = RECORD.shards
    submission = replace(shard.submissions[0], batch=batch)
    changed = replace(RECORD, shards=(replace(shard, submissions=(submission,)),))
    content = encode(changed)
    read = json.loads(content.decode(), parse_constant=refuse)
    assert list(read["shards"][0]["submissions"][0]["batch"]) == list(batch)
    assert content == encode(changed)
