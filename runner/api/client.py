"""The Batch API over HTTP: every call that runner makes, and the promise each one keeps.

The methods and their guarantees are those of `runner.api.protocol.BatchApi`. How they are kept:
reading, deleting and cancelling are repeated after any failure that may pass, because doing
them twice is doing them once. `upload` and `create_batch` are repeated only where the reply (or
the lack of a connection) proves that nothing was made; every other doubt is MayHaveActed at
once, and the caller looks before it acts (docs/design.md, "Exactly once").
"""

from __future__ import annotations

import random as randomness
import time
from typing import TYPE_CHECKING, BinaryIO, Final, Self, TypeVar
from urllib.parse import quote

import msgspec

from runner.api.pagination import ListPage, walk
from runner.api.protocol import BatchListing, FileListing
from runner.api.responses import CallKind, decoded, unusable
from runner.api.retry import DEFAULT_TIMEOUTS, POLICY, call_with_retry
from runner.api.transfers import WrongLength, form, position, store
from runner.api.transport import Body, Transport
from runner.batch import Batch, BatchStatus, File
from runner.errors import NotFound, Rejected, UnexpectedReply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    import httpx

    from runner.api.pagination import Entry, Walk
    from runner.api.protocol import Download
    from runner.api.responses import Call, Reply
    from runner.api.retry import RetryPolicy, Timeouts
    from runner.spec.project import Provider, Secret

_Value = TypeVar("_Value")

BATCHES_A_PAGE: Final = 100
FILES_A_PAGE: Final = 10_000
"""The largest pages that OpenAI gives (fact sheet, sections 1 and 2)."""

_BAD_PARAMETERS: Final = frozenset({400, 422})
_NOT_CANCELLABLE: Final = frozenset({400, 409})


class Client:
    """A connection to one provider, for one thread; a context manager that closes it.

    `clock` gives Unix time, `sleep` waits some seconds and `random` gives numbers in [0, 1).
    Building one is cheap: nothing is loaded or opened before the first call.
    """

    def __init__(
        self,
        provider: Provider,
        key: Secret | None,
        *,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = randomness.random,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        policy: RetryPolicy = POLICY,
    ) -> None:
        self._wire = Transport(provider, key, transport=transport, clock=clock, timeouts=timeouts)
        self._sleep = sleep
        self._random = random
        self._policy = policy

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._wire.provider.name})"

    @property
    def ahead(self) -> float | None:
        """Seconds by which the provider's clock was ahead of ours when it answered last.

        To the second, which is all that a Date header says; None where no answer had one.
        """
        return self._wire.ahead

    def close(self) -> None:
        """Close every connection."""
        self._wire.close()

    def upload(
        self,
        source: BinaryIO,
        *,
        filename: str,
        size: int,
        progress: Callable[[int], None] | None = None,
    ) -> File:
        """Store a batch input; see `BatchApi.upload`."""
        call = self._wire.call(CallKind.UPLOAD, "POST", "/files")
        start = position(source, filename=filename)
        return self._read(
            call,
            File.from_api,
            lambda: form(
                source,
                start=start,
                size=size,
                filename=filename,
                life=self._wire.provider.input_expires_after,
                progress=progress,
            ),
        )

    def create_batch(
        self,
        *,
        input_file_id: str,
        endpoint: str,
        completion_window: str,
        metadata: Mapping[str, str],
    ) -> Batch:
        """Start a batch; see `BatchApi.create_batch`."""
        wanted: dict[str, object] = {
            "input_file_id": input_file_id,
            "endpoint": endpoint,
            "completion_window": completion_window,
        }
        if metadata:
            wanted["metadata"] = dict(metadata)
        life = self._wire.provider.output_expires_after
        if life is not None:
            wanted["output_expires_after"] = {"anchor": "created_at", "seconds": life}
        content = msgspec.json.encode(wanted)
        body = Body(content_type="application/json", length=len(content), content=content)
        return self._read(
            self._wire.call(CallKind.CREATION, "POST", "/batches"), Batch.from_api, lambda: body
        )

    def cancel_batch(self, batch_id: str) -> Batch:
        """Ask for an end to a batch; see `BatchApi.cancel_batch`."""
        call = self._wire.call(CallKind.OBJECT, "POST", f"{_batch_path(batch_id)}/cancel")
        try:
            return self._read(call, Batch.from_api)
        except UnexpectedReply:
            # Some answer with nothing or with a message; the batch itself tells.
            return self.retrieve_batch(batch_id)
        except Rejected as refused:
            if refused.status not in _NOT_CANCELLABLE:
                raise
            batch = self.retrieve_batch(batch_id)
            if batch.terminal or batch.known_status is BatchStatus.CANCELLING:
                return batch
            raise

    def retrieve_batch(self, batch_id: str) -> Batch:
        """Return the batch as it stands; see `BatchApi.retrieve_batch`."""
        call = self._wire.call(CallKind.OBJECT, "GET", _batch_path(batch_id))
        return self._read(call, Batch.from_api)

    def retrieve_file(self, file_id: str) -> File:
        """Return what is known of a file; see `BatchApi.retrieve_file`."""
        call = self._wire.call(CallKind.OBJECT, "GET", _file_path(file_id))
        return self._read(call, File.from_api)

    def delete_file(self, file_id: str) -> bool:
        """Delete a file; see `BatchApi.delete_file`."""
        call = self._wire.call(CallKind.OBJECT, "DELETE", _file_path(file_id))

        def attempt() -> bool:
            reply = self._wire.exchange(call)
            if reply.successful and not reply.body:
                return True
            raw = decoded(call, reply, now=self._wire.clock())
            return not (isinstance(raw, dict) and raw.get("deleted") is False)

        try:
            return self._call_with_retry(attempt)
        except NotFound:
            # The try before this one may have deleted it, and its reply been lost.
            return True

    def list_batches(self, *, enough: Callable[[Sequence[Batch]], bool]) -> BatchListing:
        """Walk through the batches; see `BatchApi.list_batches`."""
        seen = self._walk(
            "/batches", {"limit": str(BATCHES_A_PAGE)}, read=Batch.from_api, enough=enough
        )
        return BatchListing(
            batches=seen.entries,
            complete=seen.complete,
            descending=seen.descending,
            requests=seen.requests,
            invalid=seen.invalid,
        )

    def list_files(self, *, enough: Callable[[Sequence[File]], bool]) -> FileListing:
        """Walk through the batch input files; see `BatchApi.list_files`."""
        wanted = {"purpose": "batch", "order": "desc", "limit": str(FILES_A_PAGE)}
        seen = self._walk("/files", wanted, read=File.from_api, enough=enough)
        return FileListing(
            files=seen.entries,
            complete=seen.complete,
            descending=seen.descending,
            requests=seen.requests,
            invalid=seen.invalid,
        )

    def download(
        self,
        file_id: str,
        destination: Path,
        *,
        expected_bytes: int | None,
        progress: Callable[[int], None] | None = None,
    ) -> Download:
        """Write a file's content to `destination`; see `BatchApi.download`."""
        call = self._wire.call(CallKind.OBJECT, "GET", f"{_file_path(file_id)}/content")
        seen: set[str] = set()

        def attempt() -> Download | WrongLength:
            try:
                with self._wire.content(call) as response:
                    return store(
                        call,
                        response,
                        destination,
                        expected_bytes=expected_bytes,
                        progress=progress,
                    )
            except WrongLength as wrong:
                if wrong.sha256 in seen:
                    # Twice the same content: the provider's own count is what is wrong.
                    return wrong
                seen.add(wrong.sha256)
                raise

        outcome = self._call_with_retry(attempt)
        if isinstance(outcome, WrongLength):
            raise outcome
        return outcome

    def _read(
        self,
        call: Call,
        read: Callable[[object], _Value],
        body: Callable[[], Body] | None = None,
        *,
        parameters: Mapping[str, str] | None = None,
    ) -> _Value:
        """Make a call, as often as is safe and of use, and read the object in its reply.

        `body` is built anew for each try: an upload's can be sent only once.
        """

        def attempt() -> tuple[Reply, object]:
            sent = body() if body is not None else None
            reply = self._wire.exchange(call, body=sent, parameters=parameters)
            return reply, decoded(call, reply, now=self._wire.clock())

        reply, raw = self._call_with_retry(attempt)
        try:
            return read(raw)
        except ValueError as error:
            raise unusable(call, str(error), reply) from error

    def _walk(
        self,
        path: str,
        parameters: Mapping[str, str],
        *,
        read: Callable[[object], Entry],
        enough: Callable[[Sequence[Entry]], bool],
    ) -> Walk[Entry]:
        """Walk through a list, without parameters where the provider refuses them."""
        call = self._wire.call(CallKind.LISTING, "GET", path)
        accepted = dict(parameters)
        silent = False

        def fetch(cursor: str | None) -> tuple[ListPage, int | None]:
            nonlocal silent
            after = {} if cursor is None else {"after": cursor}
            try:
                page = self._read(call, ListPage.from_api, parameters={**accepted, **after})
            except Rejected as refused:
                if refused.status not in _BAD_PARAMETERS:
                    raise
                if cursor is not None and silent and not accepted:
                    # It has no pages: no parameter is taken, and nothing was said of more.
                    return ListPage(entries=(), cursor=None, more=False), None
                if cursor is not None:
                    raise
                accepted.clear()
                page = self._read(call, ListPage.from_api)
            silent = page.more is None
            return page, int(accepted["limit"]) if accepted else None

        seen = walk(fetch, read=read, enough=enough)
        if seen.doubtful and accepted:
            # In pages of another size the last one is not full, or the hole is somewhere else.
            accepted["limit"] = str(int(accepted["limit"]) - 1)
            seen = walk(fetch, read=read, enough=enough)
        return seen

    def _call_with_retry(self, attempt: Callable[[], _Value]) -> _Value:
        return call_with_retry(attempt, sleep=self._sleep, random=self._random, policy=self._policy)


def _batch_path(batch_id: str) -> str:
    return f"/batches/{quote(batch_id, safe='')}"


def _file_path(file_id: str) -> str:
    return f"/files/{quote(file_id, safe='')}"
