"""The thread that processes batches, one at a time, oldest first.

A batch is processed in chunks. The result lines of a chunk are appended to the result files and
forced to disk; then one transaction records the progress: the offset in the input and the lengths
of the files. After a crash in between, the worker cuts the files to the recorded lengths and
continues from there. So each request has exactly one result line, whenever the process ends, and
results stay in memory for one chunk only.
"""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO, Final, Self

import msgspec

from runner.batch import BatchStatus
from runner.errors import LocalFileError
from runner.files import open_lasting, open_regular
from runner.local import registry
from runner.local.rows import read_rows
from runner.local.validation import check

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from runner.local.models import ModelResponse
    from runner.local.records import StoredBatch
    from runner.local.rows import Row
    from runner.local.store import Store

CHUNK_ROWS: Final = 256
CHUNK_BYTES: Final = 1024 * 1024
"""A chunk ends at the first of these two limits."""

_NOT_EXECUTED: Final = {
    "batch_cancelled": "This request was not executed because the batch was cancelled.",
    "batch_expired": "This request could not be executed before the completion window expired.",
}


class _ResultLine(msgspec.Struct):
    """A line of an output or error file, in the API's order of fields."""

    id: str
    custom_id: str
    response: _ResultResponse | None
    error: _ResultError | None


class _ResultResponse(msgspec.Struct):
    status_code: int
    request_id: str
    body: object


class _ResultError(msgspec.Struct):
    code: str
    message: str


_encoder = msgspec.json.Encoder()


class Worker:
    """The worker thread; it processes the batches of the store from `start` to `stop`."""

    def __init__(self, store: Store, *, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._changed = threading.Condition()
        self._idle = False
        self._stopping = False
        self._failure: Exception | None = None
        self._raised = False
        self._thread = threading.Thread(target=self._run, name="local batches", daemon=True)

    def start(self) -> None:
        """Start the thread; it first continues the batches that the last process did not finish."""
        self._thread.start()

    def stop(self) -> None:
        """Stop at the next row and wait for the thread to end."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    def wake(self) -> None:
        """Wake the thread: the store has changed."""
        with self._changed:
            self._idle = False
            self._changed.notify_all()

    def report(self, failure: Exception) -> None:
        """Store a failure of the worker or the server for `wait`; the first one is kept."""
        with self._changed:
            self._failure = self._failure or failure
            self._changed.notify_all()

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds` until nothing is left to do; return whether that is the case.

        Raises the failure of the worker or the server, usually LocalFileError, in this call and in
        every later one: the thread ends with its failure.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._idle or self._failure is not None, seconds)
            if self._failure is not None:
                self._raised = True
                raise self._failure
            return self._idle

    def raise_pending_failure(self) -> None:
        """Raise a failure that `wait` has not raised yet."""
        if self._failure is not None and not self._raised:
            raise self._failure

    def _run(self) -> None:
        try:
            while (batch := self._next()) is not None:
                self._advance_batch(batch)
        except OSError as error:
            failure = LocalFileError(f"the local provider cannot go on: {error}")
            failure.__cause__ = error
            self.report(failure)
        except Exception as error:  # noqa: BLE001 - `wait` raises it again
            self.report(error)

    def _next(self) -> StoredBatch | None:
        with self._changed:
            while not self._stopping:
                batch = self._store.next_batch()
                if batch is not None:
                    self._idle = False
                    return batch
                self._idle = True
                self._changed.notify_all()
                self._changed.wait()
            return None

    def _advance_batch(self, batch: StoredBatch) -> None:
        """Validate and start a batch, or process a started batch to its end."""
        if batch.status is BatchStatus.VALIDATING and not self._past_window(batch):
            self._validate(batch)
            return
        # A batch that was not started has no result lines: it only ends.
        if batch.in_progress_at is None:
            if batch.status is BatchStatus.VALIDATING:
                self._store.finalize(batch.id, out_of_time=True, now=self._now())
        elif not self._answer(batch):
            return
        ended = self._store.finish(batch.id, self._now())
        for blob, length in (
            (ended.output_blob, ended.progress.output_bytes),
            (ended.error_blob, ended.progress.error_bytes),
        ):
            if not length:
                self._store.blob(blob).unlink(missing_ok=True)

    def _validate(self, batch: StoredBatch) -> None:
        with open_regular(self._store.blob(batch.input_file_id)) as source:
            verdict = check(source, batch.endpoint, lambda: self._stopping)
        if verdict is None:
            return
        if verdict.errors:
            self._store.reject(batch.id, verdict.errors, self._now())
        else:
            self._store.start(
                batch.id, model=verdict.model, total=verdict.requests, now=self._now()
            )

    def _answer(self, batch: StoredBatch) -> bool:
        """Process the remaining requests; returns False if `stop` was called before the end."""
        path = self._store.blob(batch.input_file_id)
        with open_regular(path) as source, _Results(self._store, batch) as results:
            size = os.fstat(source.fileno()).st_size
            while results.progress.input_offset < size:
                if self._stopping:
                    return False
                stop_reason = self._stop_reason(batch.id)
                offset = results.progress.input_offset
                rows = list(read_rows(source, offset, most=CHUNK_ROWS, size=CHUNK_BYTES))
                if stop_reason is None:
                    self._answer_chunk(batch, rows, results)
                else:
                    for row in rows:
                        results.add_unexecuted(row, stop_reason)
                results.commit()
        self._store.finalize(batch.id, out_of_time=False, now=self._now())
        return True

    def _answer_chunk(self, batch: StoredBatch, rows: list[Row], results: _Results) -> None:
        model = registry.find(batch.endpoint, batch.model or "")
        if model is None:
            raise LocalFileError(
                f"batch {batch.id} was started with the model '{batch.model}', which this version"
                " of runner does not have; cancel the batch, or go back to the other version"
            )
        answers = model.answer(row.body for row in rows)
        for row, answer in zip(rows, answers, strict=True):
            results.add(row, answer)
            if self._stopping:
                break

    def _stop_reason(self, identifier: str) -> str | None:
        """Return the error code of requests that must not be executed any more, or None."""
        batch = self._store.batch(identifier)
        if batch is None:
            raise LocalFileError(f"batch {identifier} is missing in the local provider")
        if batch.status is BatchStatus.CANCELLING:
            return "batch_cancelled"
        if batch.out_of_time:
            return "batch_expired"
        if self._past_window(batch):
            self._store.finalize(identifier, out_of_time=True, now=self._now())
            return "batch_expired"
        return None

    def _past_window(self, batch: StoredBatch) -> bool:
        return self._clock() >= batch.expires_at

    def _now(self) -> int:
        return int(self._clock())


@dataclass(slots=True, kw_only=True)
class _ResultFile:
    stream: BinaryIO
    length: int
    dirty: bool = False

    def append(self, line: bytes) -> None:
        self.stream.write(line)
        self.length += len(line)
        self.dirty = True

    def sync(self) -> None:
        if self.dirty:
            self.stream.flush()
            os.fsync(self.stream.fileno())
            self.dirty = False


class _Results:
    """The two result files of a batch and its progress.

    On entry both files are cut to their recorded lengths; added lines are recorded by `commit`.
    """

    def __init__(self, store: Store, batch: StoredBatch) -> None:
        self.progress = batch.progress
        self._pending = batch.progress
        self._store = store
        self._batch = batch
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._output = self._open(stack, self._batch.output_blob, self.progress.output_bytes)
            self._errors = self._open(stack, self._batch.error_blob, self.progress.error_bytes)
            self._store.sync_folder()
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exit.close()

    def add(self, row: Row, answer: ModelResponse) -> None:
        """Append a response: to the output file if it succeeded, else to the error file."""
        name = self._request_name(row)
        line = _ResultLine(
            id=f"batch_req_{name}",
            custom_id=row.custom_id,
            response=_ResultResponse(
                status_code=answer.status, request_id=f"req_{name}", body=answer.body
            ),
            error=None,
        )
        succeeded = answer.succeeded
        (self._output if succeeded else self._errors).append(_encoder.encode(line) + b"\n")
        pending = self._pending
        self._pending = replace(
            pending,
            input_offset=row.end,
            completed=pending.completed + succeeded,
            failed=pending.failed + (not succeeded),
            input_tokens=pending.input_tokens + answer.input_tokens,
            output_tokens=pending.output_tokens + answer.output_tokens,
        )

    def add_unexecuted(self, row: Row, code: str) -> None:
        """Append an error line for a request that was not executed; it is not counted."""
        line = _ResultLine(
            id=f"batch_req_{self._request_name(row)}",
            custom_id=row.custom_id,
            response=None,
            error=_ResultError(code=code, message=_NOT_EXECUTED[code]),
        )
        self._errors.append(_encoder.encode(line) + b"\n")
        self._pending = replace(self._pending, input_offset=row.end)

    def commit(self) -> None:
        """Force the added lines to disk and record the progress."""
        self._output.sync()
        self._errors.sync()
        self.progress = self._pending = replace(
            self._pending, output_bytes=self._output.length, error_bytes=self._errors.length
        )
        self._store.advance(self._batch.id, self.progress)

    def _request_name(self, row: Row) -> str:
        """Return the id of a request by its offset: the same before and after a crash."""
        return f"{self._batch.id.removeprefix('batch_')}{row.offset:08x}"

    def _open(self, stack: ExitStack, blob: str, length: int) -> _ResultFile:
        path = self._store.blob(blob)
        stream = stack.enter_context(open_lasting(path))
        if os.fstat(stream.fileno()).st_size < length:
            raise LocalFileError(
                f"{path}: shorter than the {length} bytes written to it; the results of"
                f" batch {self._batch.id} were changed by another program"
            )
        stream.truncate(length)
        stream.seek(length)
        return _ResultFile(stream=stream, length=length)
