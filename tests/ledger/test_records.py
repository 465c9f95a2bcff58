"""Submission keys and tags: they are parsed back from their text, and no other text is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.ledger.records import RunState, SubmissionKey, SubmissionState, Tag
from runner.spec.job import METADATA_KEY
from tests.ledger.entries import batch

JOBS = st.from_regex(r"\A[a-z0-9][a-z0-9._-]{0,62}\Z")
KEYS = st.builds(
    SubmissionKey,
    job=JOBS,
    revision=st.text("0123456789abcdef", min_size=12, max_size=12),
    shard=st.integers(1, 10**6),
    attempt=st.integers(1, 10**4),
)
TAGS = st.builds(
    Tag,
    key=KEYS,
    requests=st.integers(0, 10**9),
    sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
)
LONGEST_METADATA_VALUE = 512
"""Characters (fact sheet, section 1)."""


@given(KEYS)
def test_a_key_reads_back(key: SubmissionKey) -> None:
    assert SubmissionKey.parse(str(key)) == key


@given(KEYS)
def test_a_key_reads_back_from_a_file_name(key: SubmissionKey) -> None:
    assert "/" not in key.filename
    assert SubmissionKey.parse_filename(key.filename) == key


@given(KEYS, KEYS)
def test_different_keys_have_different_names(one: SubmissionKey, other: SubmissionKey) -> None:
    assert (str(one) == str(other)) is (one == other)
    assert (one.filename == other.filename) is (one == other)


@pytest.mark.parametrize(
    ("job", "filename"),
    [
        ("a", "a-0123456789ab-0001-1.jsonl"),
        ("a-b", "a-b-0123456789ab-0001-1.jsonl"),
        ("a-0001-1", "a-0001-1-0123456789ab-0001-1.jsonl"),
        ("a.jsonl", "a.jsonl-0123456789ab-0001-1.jsonl"),
        ("a.b-c_d.", "a.b-c_d.-0123456789ab-0001-1.jsonl"),
        ("0123456789ab-0001-1", "0123456789ab-0001-1-0123456789ab-0001-1.jsonl"),
    ],
)
def test_a_job_may_be_called_what_a_name_is_made_of(job: str, filename: str) -> None:
    key = SubmissionKey(job=job, revision="0123456789ab", shard=1, attempt=1)

    assert key.filename == filename
    assert SubmissionKey.parse_filename(filename) == key


def test_keys_sort_as_text_in_order_of_their_shards() -> None:
    keys = [
        SubmissionKey(job="a", revision="0" * 12, shard=shard, attempt=1)
        for shard in (2, 10, 100, 1000)
    ]

    assert sorted(map(str, keys)) == list(map(str, keys))


@given(st.text())
def test_any_text_is_a_key_or_none(text: str) -> None:
    for key in (SubmissionKey.parse(text), SubmissionKey.parse_filename(text)):
        assert key is None or SubmissionKey.parse(str(key)) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "hello/0123456789ab/0001",
        "/0123456789ab/0001/1",
        "hello/0123456789a/0001/1",
        "hello/0123456789ab/0001/x",
        "hello/0123456789ab/-001/1",
        "hello/0123456789ab/0001/1²",
        "hello/0123456789ab/0001/٣",
        "hello/0123456789ab//1",
    ],
)
def test_what_is_not_ours_is_none(text: str) -> None:
    assert SubmissionKey.parse(text) is None
    assert SubmissionKey.parse_filename(text.replace("/", "-") + ".jsonl") is None
    assert Tag.of(batch(metadata={METADATA_KEY: text})) is None


@pytest.mark.parametrize("name", ["hello-0123456789ab-0001-1", "hello-0123456789ab-0001-1.json"])
def test_only_our_kind_of_file_has_a_key(name: str) -> None:
    assert SubmissionKey.parse_filename(name) is None


@given(TAGS)
def test_a_tag_reads_back_from_a_batch(tag: Tag) -> None:
    assert Tag.of(batch(metadata={METADATA_KEY: str(tag), "project": "x"})) == tag


@given(TAGS)
def test_a_tag_fits_into_a_metadata_value(tag: Tag) -> None:
    assert len(str(tag)) <= LONGEST_METADATA_VALUE


@pytest.mark.parametrize(
    ("more", "requests", "sha256"),
    [
        ("", None, None),
        (" rows=None sha256=None", None, "None"),
        (" rows=x", None, None),
        (" sha256=ab rows=3", 3, "ab"),
        (" rows=3 model=gpt sha256=ab", 3, "ab"),
        (" junk", None, None),
    ],
)
def test_a_tag_that_says_less_or_more_is_read_for_what_it_says(
    more: str, requests: int | None, sha256: str | None
) -> None:
    key = SubmissionKey(job="hello", revision="0123456789ab", shard=1, attempt=1)

    tag = Tag.of(batch(metadata={METADATA_KEY: f"{key}{more}"}))

    assert tag == Tag(key=key, requests=requests, sha256=sha256)


def test_a_batch_without_our_pair_has_no_tag() -> None:
    assert Tag.of(batch(metadata={"project": "x"})) is None
    assert Tag.of(batch(metadata=None)) is None


@pytest.mark.parametrize("state", RunState)
def test_only_what_has_ended_is_final(state: RunState) -> None:
    assert state.final is (state not in ("pending", "running"))


@pytest.mark.parametrize("state", SubmissionState)
def test_only_what_is_over_is_closed(state: SubmissionState) -> None:
    assert state.closed is (state in ("collected", "failed", "lost", "abandoned"))
