"""The revision of a job: a digest of everything that can change the responses.

It covers the requests, the endpoint, the provider and the replicate (a number that the user
changes to run the same requests again). Name, metadata, completion window, retry policy, output
folder, comments and layout are not part of it: editing them submits nothing.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from runner.spec.job import Job

REVISION_SHOWN: Final = 12
"""The number of hex digits of a revision in submission keys, folder names and messages."""


def canonical_json(value: object) -> bytes:
    """Return JSON that is the same for equal values: sorted keys, no spaces, ASCII only.

    Raises ValueError for numbers that JSON does not have (NaN, infinities).
    """
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )
    return text.encode("ascii")


def revision(job: Job, requests_digest: str) -> str:
    """Return the revision of a job, 64 hex digits; `requests_digest` covers the exact requests.

    The recipe must never change: ledgers and output folders are named by revisions. The address
    of an embedded provider is null in it: its port differs from run to run.
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
