"""The files and batches of the server, and their JSON in the API.

Frozen values. The `to_api` methods define the API objects: the twenty classic fields of the Batch
object plus `model` and `usage`, all of them present and null if unset (fact sheet, section 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from runner.batch import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.batch import BatchError, BatchStatus

Item = TypeVar("Item")

FILE_LIFE: Final = 30 * 24 * 3600
"""Seconds for which a file of purpose `batch` is kept, unless its upload sets an expiry."""

WINDOW: Final = 24 * 3600
"""Seconds of the only completion window, `24h`."""


class UnknownCursor(LookupError):
    """The `after` of a listing is not the id of an object in the list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file of the server; its bytes are in the folder of files, under its id."""

    id: str
    filename: str
    purpose: str
    bytes: int
    created_at: int
    expires_at: int | None = None

    def to_api(self) -> dict[str, object]:
        """Return the File object of the API."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": self.bytes,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
            "status_details": None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The progress of a batch whose results are safely on disk.

    `input_offset` is the byte offset of the first line of the input without a result;
    `output_bytes` and `error_bytes` are the lengths of the result files up to there. Bytes beyond
    them were written by a process that crashed, and are cut off.
    """

    input_offset: int = 0
    output_bytes: int = 0
    error_bytes: int = 0
    completed: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBatch:
    """A batch of the server.

    `output_blob` and `error_blob` are the ids of the result files; the files appear in the API
    only when the batch has ended. `out_of_time`: the completion window ended before every request
    had a result.
    """

    id: str
    endpoint: str
    input_file_id: str
    completion_window: str
    status: BatchStatus
    metadata: Mapping[str, str] | None
    output_expires_after: int | None
    output_blob: str
    error_blob: str
    created_at: int
    expires_at: int
    model: str | None = None
    errors: tuple[BatchError, ...] = ()
    in_progress_at: int | None = None
    finalizing_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    expired_at: int | None = None
    cancelling_at: int | None = None
    cancelled_at: int | None = None
    total: int = 0
    out_of_time: bool = False
    progress: Progress = Progress()

    @property
    def terminal(self) -> bool:
        """Whether the batch has ended."""
        return self.status in TERMINAL

    def to_api(self) -> dict[str, object]:
        """Return the Batch object of the API."""
        progress = self.progress
        errors = {"object": "list", "data": self.errors} if self.errors else None
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.endpoint,
            "model": self.model,
            "errors": errors,
            "input_file_id": self.input_file_id,
            "completion_window": self.completion_window,
            "status": self.status,
            "output_file_id": self.output_blob if self._has(progress.output_bytes) else None,
            "error_file_id": self.error_blob if self._has(progress.error_bytes) else None,
            "created_at": self.created_at,
            "in_progress_at": self.in_progress_at,
            "expires_at": self.expires_at,
            "finalizing_at": self.finalizing_at,
            "completed_at": self.completed_at,
            "failed_at": self.failed_at,
            "expired_at": self.expired_at,
            "cancelling_at": self.cancelling_at,
            "cancelled_at": self.cancelled_at,
            "request_counts": {
                "total": self.total,
                "completed": progress.completed,
                "failed": progress.failed,
            },
            "usage": self._usage(),
            "metadata": self.metadata,
        }

    def result_files(self, now: int) -> tuple[StoredFile, ...]:
        """Return the result files of the batch that have at least one line."""
        life = self.output_expires_after
        return tuple(
            StoredFile(
                id=blob,
                filename=f"{self.id}_{kind}.jsonl",
                purpose="batch_output",
                bytes=length,
                created_at=now,
                expires_at=None if life is None else now + life,
            )
            for blob, kind, length in (
                (self.output_blob, "output", self.progress.output_bytes),
                (self.error_blob, "error", self.progress.error_bytes),
            )
            if length
        )

    def _has(self, length: int) -> bool:
        return self.terminal and length > 0

    def _usage(self) -> dict[str, object] | None:
        if self.in_progress_at is None:
            return None
        progress = self.progress
        return {
            "input_tokens": progress.input_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": progress.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": progress.input_tokens + progress.output_tokens,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StorePage(Generic[Item]):
    """One page of a list, and whether there are more pages."""

    items: tuple[Item, ...]
    has_more: bool
