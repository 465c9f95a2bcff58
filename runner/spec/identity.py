"""The identity of a job's answers: what may be paid for once and must not be paid for again.

Only what can change an answer is in it: the exact requests, whom they are put to, and the
replicate, by which a person says "ask again". Name, metadata, window, retry policy, output
place, comments and layout are not, so that editing them costs nothing.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.spec.job import Job


def canonical_json(value: object) -> bytes:
    """Write JSON that is the same for equal values: sorted keys, no spaces, ASCII only.

    Raises ValueError for numbers that JSON does not have (NaN, infinities).
    """
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )
    return text.encode("ascii")


def revision(job: Job, requests_digest: str) -> str:
    """Return the job's revision, 64 hex digits; `requests_digest` covers the exact requests.

    The recipe may never change: every ledger and every output folder in the world is named
    by it. A provider that is embedded has no address in it (it is null): its port means nothing.
    """
    return sha256(
        canonical_json(
            {
                "endpoint": job.endpoint,
                "requests": requests_digest,
                "replicate": job.replicate,
                **job.provider.identity,
            }
        )
    ).hexdigest()
