"""Which batches of elsewhere a job has taken over: kept beside its outputs as well.

A batch that runner made carries its key at the provider. One that was taken over does not, and
nobody can write it there; so if the ledger were lost, its requests would be asked, and paid, once
more.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final

from runner.ledger.records import Key
from runner.outputs.durable_files import explained, sync_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CLAIMS: Final = "adopted.json"
_FORMAT: Final = 1


def read_claims(folder: Path) -> dict[str, Key]:
    """Return the keys of the batches that were taken over for a run, by batch id."""
    try:
        document = json.loads((folder / CLAIMS).read_bytes())
        keys = {str(name): Key.parse(str(key)) for name, key in document["batches"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # Somebody's own file of that name: it claims nothing.
        return {}
    return {name: key for name, key in keys.items() if key is not None}


def write_claims(folder: Path, claims: Mapping[str, Key]) -> None:
    """Keep the claims of a run for good. Raises LocalFileError."""
    path = folder / CLAIMS
    part = folder / f".{CLAIMS}.part"
    document = {
        "format_version": _FORMAT,
        "batches": {name: str(key) for name, key in claims.items()},
    }
    with explained(path, doing="written"):
        folder.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(json.dumps(document, indent=2, sort_keys=True).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    sync_folder(folder)
