"""The counts of a comparison of two inputs are those of sets of requests."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.inputs.row_diff import RequestHashes, RowChanges

requests = st.dictionaries(st.text(max_size=4), st.integers(0, 3), max_size=30)


def lines(rows: dict[str, int]) -> list[bytes]:
    return [
        json.dumps({"custom_id": name, "body": {"ask": asked}}).encode() + b"\n"
        for name, asked in rows.items()
    ]


@given(requests, requests)
def test_changes_are_those_of_the_sets(before: dict[str, int], after: dict[str, int]) -> None:
    changes = RequestHashes.of_requests(lines(after)).changes_since(
        RequestHashes.of_requests(lines(before))
    )

    kept = before.keys() & after.keys()
    assert changes == RowChanges(
        added=len(after.keys() - before.keys()),
        removed=len(before.keys() - after.keys()),
        kept=len(kept),
        changed=sum(before[name] != after[name] for name in kept),
    )


@given(requests, requests)
def test_ids_alone_tell_what_came_and_went(before: dict[str, int], after: dict[str, int]) -> None:
    ids = [json.dumps(name).encode() + b"\n" for name in before]
    whole = RequestHashes.of_requests(lines(after)).changes_since(
        RequestHashes.of_requests(lines(before))
    )

    for known in (RequestHashes.of_ids(ids), RequestHashes.of_responses(lines(before))):
        changes = RequestHashes.of_requests(lines(after)).changes_since(known)

        assert changes.changed is None
        assert (changes.added, changes.removed) == (whole.added, whole.removed)


def test_the_digest_is_that_of_the_rows_and_not_of_the_file() -> None:
    rows = lines({"a": 1, "b": 2})
    otherwise = [b"\xef\xbb\xbf" + rows[0].replace(b"\n", b"\r\n"), b" \r\n", rows[1].rstrip(b"\n")]

    assert RequestHashes.of_requests(otherwise).digest == hashlib.sha256(b"".join(rows)).hexdigest()
    assert RequestHashes.of_requests(otherwise).count == 2


@pytest.mark.parametrize("line", [b"nonsense", b"{}", b'{"custom_id": 3}', b'"\xff"', b"[" * 9999])
def test_what_has_no_custom_id_is_refused(line: bytes) -> None:
    for read in (RequestHashes.of_requests, RequestHashes.of_ids, RequestHashes.of_responses):
        with pytest.raises(ValueError, match=r"."):
            read([line])
