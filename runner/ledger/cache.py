"""What a pass notes so that the next need not ask or read it again: how far it looked, digests."""

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
    """Record a complete look at a provider, and whatever carried keys like ours.

    Batches that belong to no submission here are kept: the next look goes back no further
    than this one, and a spec that arrives later must still find them.
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
    """Remember an input's digest for as long as the file does not change."""
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
