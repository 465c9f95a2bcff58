"""The client for a Batch API over HTTP.

The methods and their guarantees are those of `runner.api.protocol.BatchApi`. They are kept as
follows. Reading, deleting and cancelling are idempotent, so they are retried after any transient
failure. `upload` and `create_batch` are retried only if the reply (or the lack of a connection)
proves that nothing was created; in every other doubtful case they raise MayHaveActed immediately,
and the caller checks the provider before it acts (docs/design.md, "Exactly once").
"""

from __future__ import annotations

import random as randomness
import time
from typing import TYPE_CHECKING, BinaryIO, Final, Self, TypeVar
from urllib.parse import quote

import msgspec

from runner.api.pagination import ListPage, read_pages
from runner.api.protocol import ANY_FILE, BatchListing, FileListing
from runner.api.responses import (
    CallKind,
    decode_reply,
    memory_to_decode,
    shown,
    unusable_reply_error,
)
from runner.api.retry import DEFAULT_POLICY, DEFAULT_TIMEOUTS, call_with_retry
from runner.api.transfers import (
    ContentLimits,
    WrongLength,
    current_position,
    save_content,
    upload_form,
)
from runner.api.transport import Body, Transport
from runner.batch import Batch, BatchStatus, File
from runner.errors import NotFound, Rejected, UnexpectedReply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    import httpx

    from runner.api.batch_list import ListedBatches
    from runner.api.pagination import Entry, ListResult
    from runner.api.protocol import Download
    from runner.api.responses import Call, Reply
    from runner.api.retry import RetryPolicy, Timeouts
    from runner.spec.project import Provider, Secret

_Value = TypeVar("_Value")

BATCHES_A_PAGE: Final = 100
FILES_A_PAGE: Final = 10_000
"""The largest page sizes that OpenAI allows (fact sheet, sections 1 and 2)."""

LARGEST_LIST: Final = 128 * 1024 * 1024
"""The memory after which no further page of a list is read, as `memory_to_decode` has it: some
20,000 batches or 75,000 files."""

_LONGEST_EXAMPLE: Final = 80
_BAD_PARAMETERS: Final = frozenset({400, 422})
_NOT_CANCELLABLE: Final = frozenset({400, 409})


class Client:
    """A client for one provider and one thread; a context manager that closes its connections.

    `clock` returns Unix time, `sleep` waits for some seconds and `random` returns numbers in
    [0, 1). Creating a client is cheap: it opens no connection before the first call.
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
        policy: RetryPolicy = DEFAULT_POLICY,
    ) -> None:
        self._transport = Transport(
            provider, key, transport=transport, clock=clock, timeouts=timeouts
        )
        self._listing_time = timeouts.listing
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
        return f"{type(self).__name__}({self._transport.provider.name})"

    @property
    def ahead(self) -> float | None:
        """Seconds by which the provider's clock was ahead of ours, by its last reply.

        Precise to one second, as a Date header is; None if no reply had one.
        """
        return self._transport.ahead

    def close(self) -> None:
        """Close every connection."""
        self._transport.close()

    def upload(
        self,
        source: BinaryIO,
        *,
        filename: str,
        size: int,
        progress: Callable[[int], None] | None = None,
    ) -> File:
        """Upload a batch input file; see `BatchApi.upload`."""
        call = self._transport.call(CallKind.UPLOAD, "POST", "/files")
        start = current_position(source, filename=filename)
        return self._read(
            call,
            File.from_api,
            lambda: upload_form(
                source,
                start=start,
                size=size,
                filename=filename,
                expires_after=self._transport.provider.input_expires_after,
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
        """Create a batch; see `BatchApi.create_batch`."""
        parameters: dict[str, object] = {
            "input_file_id": input_file_id,
            "endpoint": endpoint,
            "completion_window": completion_window,
        }
        if metadata:
            parameters["metadata"] = dict(metadata)
        expires_after = self._transport.provider.output_expires_after
        if expires_after is not None:
            parameters["output_expires_after"] = {"anchor": "created_at", "seconds": expires_after}
        content = msgspec.json.encode(parameters)
        body = Body(content_type="application/json", length=len(content), content=content)
        return self._read(
            self._transport.call(CallKind.CREATION, "POST", "/batches"),
            Batch.from_api,
            lambda: body,
        )

    def cancel_batch(self, batch_id: str) -> Batch:
        """Cancel a batch; see `BatchApi.cancel_batch`."""
        call = self._transport.call(CallKind.OBJECT, "POST", f"{_batch_path(batch_id)}/cancel")
        try:
            return self._read(call, Batch.from_api)
        except (UnexpectedReply, Rejected) as refused:
            if isinstance(refused, Rejected) and refused.status not in _NOT_CANCELLABLE:
                raise
            batch = self.retrieve_batch(batch_id)
            # Some providers reply with an empty body or a message, and that is no refusal.
            refusal = isinstance(refused, Rejected) or refused.in_body
            if not refusal or batch.terminal or batch.known_status is BatchStatus.CANCELLING:
                return batch
            raise

    def retrieve_batch(self, batch_id: str) -> Batch:
        """Retrieve a batch; see `BatchApi.retrieve_batch`."""
        call = self._transport.call(CallKind.OBJECT, "GET", _batch_path(batch_id))
        return self._read(call, Batch.from_api)

    def retrieve_file(self, file_id: str) -> File:
        """Retrieve a File object; see `BatchApi.retrieve_file`."""
        call = self._transport.call(CallKind.OBJECT, "GET", _file_path(file_id))
        return self._read(call, File.from_api)

    def delete_file(self, file_id: str) -> bool:
        """Delete a file; see `BatchApi.delete_file`."""
        call = self._transport.call(CallKind.OBJECT, "DELETE", _file_path(file_id))

        def attempt() -> bool:
            reply = self._transport.exchange(call)
            if reply.successful and not reply.body:
                return True
            raw = decode_reply(call, reply, now=self._transport.clock())
            return not (isinstance(raw, dict) and raw.get("deleted") is False)

        try:
            return self._call_with_retry(attempt)
        except NotFound:
            # An earlier try may have deleted the file, and its reply was lost.
            return True

    def list_batches(self, *, enough: Callable[[Sequence[Batch]], bool]) -> BatchListing:
        """List the batches; see `BatchApi.list_batches`."""
        listing = self._read_list(
            "/batches",
            {"limit": str(BATCHES_A_PAGE)},
            read=self._batch_reader(),
            enough=enough,
        )
        return BatchListing(
            batches=listing.entries,
            complete=listing.complete,
            descending=listing.descending,
            requests=listing.requests,
            invalid=listing.invalid,
            unreadable=self._named(listing),
        )

    def list_files(self, *, enough: Callable[[Sequence[File]], bool]) -> FileListing:
        """List the batch input files; see `BatchApi.list_files`."""
        parameters = {"purpose": "batch", "order": "desc", "limit": str(FILES_A_PAGE)}
        listing = self._read_list("/files", parameters, read=File.from_api, enough=enough)
        return FileListing(
            files=listing.entries,
            complete=listing.complete,
            descending=listing.descending,
            requests=listing.requests,
            invalid=listing.invalid,
        )

    def download(
        self,
        file_id: str,
        destination: Path,
        *,
        expected_bytes: int | None,
        at_most: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Download:
        """Write a file's content to `destination`; see `BatchApi.download`."""
        call = self._transport.call(CallKind.OBJECT, "GET", f"{_file_path(file_id)}/content")
        digests: set[str | None] = {None}
        limits = ContentLimits(
            expected_bytes=expected_bytes,
            at_most=max(ANY_FILE, expected_bytes or 0) if at_most is None else at_most,
        )

        def attempt() -> Download | WrongLength:
            try:
                with self._transport.stream_content(call) as (response, pace):
                    return save_content(
                        call,
                        response,
                        destination,
                        limits=limits,
                        arrived=pace.moved,
                        progress=progress,
                        now=self._transport.clock(),
                    )
            except WrongLength as wrong:
                if wrong.sha256 in digests:
                    # The same content came twice, or it is too long: another try cannot help.
                    return wrong
                digests.add(wrong.sha256)
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
        measure: Callable[[int], None] | None = None,
    ) -> _Value:
        """Make a call, with retries while they are safe, and read the object in the reply.

        `body` builds a new body for each try: the body of an upload can be sent only once.
        `measure` is called with the memory that the object may take, in bytes.
        """

        def attempt() -> tuple[Reply, object]:
            sent = body() if body is not None else None
            reply = self._transport.exchange(call, body=sent, parameters=parameters)
            return reply, decode_reply(call, reply, now=self._transport.clock())

        reply, raw = self._call_with_retry(attempt)
        if measure is not None:
            measure(memory_to_decode(reply.body))
        try:
            return read(raw)
        except ValueError as error:
            raise unusable_reply_error(call, str(error), reply) from error

    def _read_list(
        self,
        path: str,
        parameters: Mapping[str, str],
        *,
        read: Callable[[object], Entry | None],
        enough: Callable[[Sequence[Entry]], bool],
    ) -> ListResult[Entry]:
        """Read all pages of a list; without query parameters if the provider rejects them."""
        call = self._transport.call(CallKind.LISTING, "GET", path)
        accepted = dict(parameters)
        has_more_missing = False
        taken = 0
        until = time.monotonic() + self._listing_time

        def take(memory: int) -> None:
            nonlocal taken
            taken += memory

        def is_over(seen: Sequence[Entry]) -> bool:
            return taken > LARGEST_LIST or time.monotonic() > until or enough(seen)

        def fetch(cursor: str | None) -> tuple[ListPage, int | None]:
            nonlocal has_more_missing
            after = {} if cursor is None else {"after": cursor}
            try:
                page = self._read(
                    call, ListPage.from_api, parameters={**accepted, **after}, measure=take
                )
            except Rejected as refused:
                if refused.status not in _BAD_PARAMETERS:
                    raise
                if cursor is not None and has_more_missing and not accepted:
                    # The list has one page: no parameter is accepted and `has_more` is missing.
                    return ListPage(entries=(), cursor=None, more=False), None
                if cursor is not None:
                    raise
                accepted.clear()
                page = self._read(call, ListPage.from_api, measure=take)
            has_more_missing = page.more is None
            return page, int(accepted["limit"]) if accepted else None

        listing = read_pages(fetch, read=read, enough=is_over)
        if listing.possible_gap and accepted:
            # With another page size the last page is not full, or the gap is elsewhere.
            accepted["limit"] = str(int(accepted["limit"]) - 1)
            taken = 0
            listing = read_pages(fetch, read=read, enough=is_over)
        return listing

    def redact(self, text: str) -> str:
        """Return text from outside as a short printable line without the API key."""
        return shown(text, self._transport.secret, longest=_LONGEST_EXAMPLE)

    def _batch_reader(self) -> Callable[[object], Batch | None]:
        """Return a function that reads the entries of one list of batches."""
        careful: ListedBatches | None = None

        def read(raw: object) -> Batch | None:
            nonlocal careful
            try:
                return Batch.from_api(raw)
            except ValueError:
                from runner.api.batch_list import ListedBatches

                careful = careful or ListedBatches(self.retrieve_batch, self.retrieve_file)
                return careful(raw)

        return read

    def _named(self, listing: ListResult[Batch]) -> tuple[str, ...]:
        """Return what is wrong with the first unreadable entries, and how many more there are."""
        named = [shown(what, self._transport.secret) for what in listing.unreadable]
        more = listing.invalid - len(named)
        return (*named, f"{more:,} more") if more else tuple(named)

    def _call_with_retry(self, attempt: Callable[[], _Value]) -> _Value:
        return call_with_retry(attempt, sleep=self._sleep, random=self._random, policy=self._policy)


def _batch_path(batch_id: str) -> str:
    return f"/batches/{quote(batch_id, safe='')}"


def _file_path(file_id: str) -> str:
    return f"/files/{quote(file_id, safe='')}"
