"""The HTTP routes of the server: Files and Batches, as in OpenAI's API.

Handlers run on the one event loop and call the store directly. A call takes milliseconds, so the
server needs only two threads, this loop and the worker, and their end can be waited for. The path
of a file is always built from an id in the store, never from a URL.
"""

from __future__ import annotations

import contextlib
import hmac
import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from runner.batch import BatchStatus
from runner.files import open_regular
from runner.local.errors import (
    RequestRejected,
    batch_not_found,
    envelope,
    file_not_found,
    invalid_value,
    missing_parameter,
)
from runner.local.records import FILE_LIFE, WINDOW, StoredBatch, StoredFile, UnknownCursor
from runner.local.requests import BatchRequest, expiry_seconds, page_size
from runner.local.upload import Upload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from runner.local.records import StorePage
    from runner.local.store import Store

_BLOCK: Final = 256 * 1024
_MOST_FILES: Final = 10_000
_MOST_BATCHES: Final = 100
_DEFAULT_BATCHES: Final = 20


class _KeyRequired:
    """Middleware that answers 401 to every request without the API key."""

    def __init__(self, app: ASGIApp, *, authorization: bytes) -> None:
        self._app = app
        self._authorization = authorization

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope["headers"]).get(b"authorization", b"")
        if hmac.compare_digest(given, self._authorization):
            await self._app(scope, receive, send)
            return
        refused = RequestRejected(
            "Incorrect API key provided: this provider serves only the process that started it.",
            status=HTTPStatus.UNAUTHORIZED,
            code="invalid_api_key",
        )
        await _json_response(refused.to_api(), refused.status)(scope, receive, send)


class Api:
    """The routes of the server.

    Args:
        store: the files and batches.
        clock: returns the time in Unix seconds.
        wake: called when the worker has something new to do.
        report: called with an unexpected exception of the server.
        host: the address of the server; requests with another Host header are rejected, so that no
            web page can reach the server under its own name (DNS rebinding).
        key: the API key that each request must have; other users of the machine do not know it.

    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float],
        wake: Callable[[], None],
        report: Callable[[Exception], None],
        host: str,
        key: str,
    ) -> None:
        self._store = store
        self._clock = clock
        self._wake = wake
        self._report = report
        self._host = host
        self._authorization = f"Bearer {key}".encode()

    def application(self) -> Starlette:
        """Build the ASGI application."""
        file, batch = "/v1/files/{file_id}", "/v1/batches/{batch_id}"
        return Starlette(
            routes=[
                Route("/v1/files", self.create_file, methods=["POST"]),
                Route("/v1/files", self.list_files, methods=["GET"]),
                Route(file, self.retrieve_file, methods=["GET"]),
                Route(file, self.delete_file, methods=["DELETE"]),
                Route(f"{file}/content", self.file_content, methods=["GET"]),
                Route("/v1/batches", self.create_batch, methods=["POST"]),
                Route("/v1/batches", self.list_batches, methods=["GET"]),
                Route(batch, self.retrieve_batch, methods=["GET"]),
                Route(f"{batch}/cancel", self.cancel_batch, methods=["POST"]),
            ],
            middleware=[
                Middleware(TrustedHostMiddleware, allowed_hosts=[self._host, "localhost"]),
                Middleware(_KeyRequired, authorization=self._authorization),
            ],
            exception_handlers={
                RequestRejected: _request_rejected,
                HTTPException: _route_not_found,
                ClientDisconnect: _client_disconnected,
                Exception: self._server_error,
            },
        )

    async def create_file(self, request: Request) -> Response:
        """POST /v1/files."""
        identifier = f"file-{uuid.uuid4().hex}"
        content_type = request.headers.get("content-type", "")
        with Upload(content_type, self._store.blob(identifier)) as upload:
            async for chunk in request.stream():
                upload.feed(chunk)
            fields = upload.finish()
            purpose = fields.get("purpose")
            if purpose is None:
                raise missing_parameter("purpose")
            if purpose != "batch":
                raise invalid_value("purpose", purpose, "'batch', the one purpose this server has")
            filename = upload.filename or ""
            if not filename.endswith(".jsonl"):
                raise RequestRejected(
                    "Invalid file format for Batch API. Must be .jsonl", param="file"
                )
            lifetime = FILE_LIFE
            anchor, seconds = (fields.get(f"expires_after[{key}]") for key in ("anchor", "seconds"))
            if anchor is not None or seconds is not None:
                lifetime = expiry_seconds(anchor, seconds, param="expires_after")
            now = self._now()
            file = StoredFile(
                id=identifier,
                filename=filename,
                purpose=purpose,
                bytes=upload.bytes,
                created_at=now,
                expires_at=now + lifetime,
            )
            self._store.sync_folder()
            self._store.add_file(file)
            upload.keep()
        return _json_response(file.to_api())

    async def list_files(self, request: Request) -> Response:
        """GET /v1/files."""
        query = request.query_params
        order = query.get("order", "desc")
        if order not in {"asc", "desc"}:
            raise invalid_value("order", order, "one of 'asc', 'desc'")
        limit = page_size(query.get("limit"), default=_MOST_FILES, ceiling=_MOST_FILES)
        with _cursor_errors():
            page = self._store.files(
                after=query.get("after"),
                limit=limit,
                newest_first=order == "desc",
                purpose=query.get("purpose"),
                now=self._now(),
            )
        return _list_response(page)

    async def retrieve_file(self, request: Request) -> Response:
        """GET /v1/files/{file_id}."""
        return _json_response(self._file(request).to_api())

    async def delete_file(self, request: Request) -> Response:
        """DELETE /v1/files/{file_id}."""
        file = self._file(request)
        self._store.delete_file(file.id)
        return _json_response({"id": file.id, "object": "file", "deleted": True})

    async def file_content(self, request: Request) -> Response:
        """GET /v1/files/{file_id}/content."""
        file = self._file(request)
        return _FileContent(self._store.blob(file.id), file.bytes)

    async def create_batch(self, request: Request) -> Response:
        """POST /v1/batches."""
        order = BatchRequest.from_body(await request.body())
        now = self._now()
        file = self._store.file(order.input_file_id, now)
        if file is None:
            raise RequestRejected(
                f"Cannot find file {order.input_file_id}, or organization local does not have"
                " access to it.",
                param="file_id",
                code="invalid_request",
            )
        if file.purpose != "batch":
            raise RequestRejected(
                f"The file {file.id} has the purpose '{file.purpose}'. Expected 'batch'.",
                param="input_file_id",
                code="invalid_value",
            )
        batch = StoredBatch(
            id=f"batch_{uuid.uuid4().hex}",
            endpoint=order.endpoint,
            input_file_id=file.id,
            completion_window=order.completion_window,
            status=BatchStatus.VALIDATING,
            metadata=order.metadata,
            output_expires_after=order.output_expires_after,
            output_blob=f"file-{uuid.uuid4().hex}",
            error_blob=f"file-{uuid.uuid4().hex}",
            created_at=now,
            expires_at=now + WINDOW,
        )
        self._store.add_batch(batch)
        self._wake()
        return _json_response(batch.to_api())

    async def list_batches(self, request: Request) -> Response:
        """GET /v1/batches."""
        query = request.query_params
        limit = page_size(query.get("limit"), default=_DEFAULT_BATCHES, ceiling=_MOST_BATCHES)
        with _cursor_errors():
            page = self._store.batches(after=query.get("after"), limit=limit)
        return _list_response(page)

    async def retrieve_batch(self, request: Request) -> Response:
        """GET /v1/batches/{batch_id}."""
        identifier = request.path_params["batch_id"]
        batch = self._store.batch(identifier)
        if batch is None:
            raise batch_not_found(identifier)
        return _json_response(batch.to_api())

    async def cancel_batch(self, request: Request) -> Response:
        """POST /v1/batches/{batch_id}/cancel."""
        identifier = request.path_params["batch_id"]
        batch = self._store.cancel(identifier, self._now())
        if batch is None:
            raise batch_not_found(identifier)
        if batch.terminal and batch.status is not BatchStatus.CANCELLED:
            raise RequestRejected(
                f"Cannot cancel a batch with status '{batch.status}'.", status=HTTPStatus.CONFLICT
            )
        self._wake()
        return _json_response(batch.to_api())

    def _now(self) -> int:
        return int(self._clock())

    def _file(self, request: Request) -> StoredFile:
        identifier = request.path_params["file_id"]
        file = self._store.file(identifier, self._now())
        if file is None:
            raise file_not_found(identifier)
        return file

    async def _server_error(self, _: Request, error: Exception) -> Response:
        self._report(error)
        return _json_response(
            envelope(f"The server failed: {error}", kind="server_error"),
            HTTPStatus.INTERNAL_SERVER_ERROR,
        )


class _FileContent(Response):
    """A response with the bytes of a file, sent in blocks.

    Starlette's FileResponse reads in threads that may outlive the event loop.
    """

    media_type = "application/octet-stream"

    def __init__(self, path: Path, size: int) -> None:
        super().__init__()
        self._path = path
        self.headers["content-length"] = str(size)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        with open_regular(self._path) as source:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            while block := source.read(_BLOCK):
                await send({"type": "http.response.body", "body": block, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def _json_response(value: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def _list_response(page: StorePage[StoredFile] | StorePage[StoredBatch]) -> Response:
    items = page.items
    return _json_response(
        {
            "object": "list",
            "data": [item.to_api() for item in items],
            "first_id": items[0].id if items else None,
            "last_id": items[-1].id if items else None,
            "has_more": page.has_more,
        }
    )


@contextlib.contextmanager
def _cursor_errors() -> Iterator[None]:
    try:
        yield
    except UnknownCursor as error:
        raise invalid_value("after", error, "the id of an object of this list") from error


async def _request_rejected(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestRejected)  # noqa: S101 - Starlette dispatches by type
    return _json_response(error.to_api(), error.status)


async def _route_not_found(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette dispatches by type
    message = f"Invalid URL ({request.method} {request.url.path})"
    return _json_response(envelope(message), HTTPStatus(error.status_code))


async def _client_disconnected(_: Request, __: Exception) -> Response:
    return Response(status_code=HTTPStatus.BAD_REQUEST)  # the client has gone and will not read it
