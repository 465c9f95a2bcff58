"""Values that a pass stores so that the next pass does less work: listings and input digests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.ledger.mapping import upsert_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.batch import Batch
    from runner.inputs.fingerprint import Fingerprint
    from runner.ledger.records import SubmissionKey
    from runner.ledger.store import Ledger


def record_listing(
    ledger: Ledger,
    provider: str,
    base_url: str,
    *,
    through: int | None,
    tagged: Sequence[tuple[SubmissionKey, Batch]],
) -> None:
    """Record a complete listing of a provider, and the listed batches that have a submission key.

    `through` is the newest `created_at` in the list. Batches without a submission in this ledger
    are stored too: the next listing ends where this one began, and a spec that is added later must
    still find its batches.
    """
    with ledger.transaction() as transaction:
        transaction.write(
            "INSERT INTO providers (name, base_url, listed_at, listed_through) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (name) DO UPDATE SET base_url = excluded.base_url, "
            "listed_at = excluded.listed_at, listed_through = excluded.listed_through",
            provider,
            base_url,
            transaction.now,
            through,
        )
        for key, batch in tagged:
            upsert_batch(transaction, provider, batch, None, carries=key)


def cache_digest(ledger: Ledger, fingerprint: Fingerprint, *, digest: str, requests: int) -> None:
    """Store the digest and the number of requests of an input file with its fingerprint."""
    with ledger.transaction() as transaction:
        transaction.write(
            "INSERT OR REPLACE INTO input_cache (path, size, mtime_ns, ctime_ns, inode, digest, "
            "requests) VALUES (?, ?, ?, ?, ?, ?, ?)",
            fingerprint.path,
            fingerprint.size,
            fingerprint.mtime_ns,
            fingerprint.ctime_ns,
            fingerprint.inode,
            digest,
            requests,
        )
