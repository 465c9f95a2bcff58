"""One HTTP exchange as values: the request and the reply.

Bodies are `Content`: a span of bytes in memory or of a file on disk, so that an upload of
200 MB need not be held in memory to be served again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from mmap import mmap

CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Content:
    """A span of bytes, in memory or mapped from a file."""

    source: bytes | mmap
    start: int
    stop: int

    @classmethod
    def of(cls, source: bytes | mmap) -> Content:
        return cls(source, 0, len(source))

    def __len__(self) -> int:
        return self.stop - self.start

    def whole(self) -> bytes:
        return self.source[self.start : self.stop]

    def lines(self) -> Iterator[bytes]:
        """Yield each line without its newline; only `\\n` ends a line."""
        at = self.start
        while at < self.stop:
            end = self.source.find(b"\n", at, self.stop)
            if end < 0:
                end = self.stop
            yield self.source[at:end]
            at = end + 1

    def chunks(self, limit: int | None = None) -> Iterator[bytes]:
        """Yield the bytes in pieces, at most `limit` of them."""
        stop = self.stop if limit is None else min(self.stop, self.start + limit)
        for at in range(self.start, stop, CHUNK):
            yield self.source[at : min(stop, at + CHUNK)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """The file part of a form."""

    filename: str | None
    content_type: str | None
    content: Content


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A multipart form: its text fields, and its file if there is one."""

    fields: Mapping[str, str]
    file: Upload | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The request of a client: `path` without the `/v1` prefix, header names in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    form: Form | None = None

    @classmethod
    def of(cls, method: str, target: str, headers: Mapping[str, str], body: Content) -> Request:
        """Read a request as it came over a wire.

        `target` is the path and query of the request line, with or without `/v1`. A multipart
        body becomes a form; raises ValueError where it is malformed.
        """
        path, _, query = target.partition("?")
        content_type = headers.get("content-type", "")
        form = parse_form(body, content_type) if _is_form(content_type) else None
        return cls(
            method=method,
            path=unquote(path.removeprefix("/v1")) or "/",
            query=dict(parse_qsl(query, keep_blank_values=True)) if query else {},
            headers=headers,
            body=b"" if form else body.whole(),
            form=form,
        )

    @classmethod
    def json(cls, method: str, path: str, document: object = None, **query: str) -> Request:
        """Make a request with a JSON body, for tests that call the provider directly."""
        body = b"" if document is None else json.dumps(document).encode()
        return cls(method=method, path=path, query=query, body=body)

    @classmethod
    def upload(cls, filename: str, content: bytes, **fields: str) -> Request:
        """Make the upload of a file, `purpose=batch` unless said otherwise."""
        return cls(
            method="POST",
            path="/files",
            form=Form(
                fields={"purpose": "batch", **fields},
                file=Upload(
                    filename=filename,
                    content_type="application/jsonl",
                    content=Content.of(content),
                ),
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What the provider answers; a `chunked` one declares no length."""

    status: int
    headers: Mapping[str, str]
    body: Content
    chunked: bool = False

    def document(self) -> Any:  # noqa: ANN401  (decoded JSON)
        """Decode the body."""
        return json.loads(self.body.whole())


def _is_form(content_type: str) -> bool:
    return content_type.lower().startswith("multipart/form-data")


def parse_form(body: Content, content_type: str) -> Form:
    """Read `multipart/form-data` (RFC 7578); raises ValueError where it is malformed."""
    boundary = _parameter(content_type, "boundary")
    if not boundary:
        raise ValueError("multipart/form-data without a boundary")
    mark = b"--" + boundary.encode("latin-1")
    source, fields, file = body.source, dict[str, str](), None
    at = source.find(mark, body.start, body.stop)
    if at < 0:
        raise ValueError("the boundary does not occur in the body")
    at += len(mark)
    while source[at : at + 2] != b"--":
        head_end = source.find(b"\r\n\r\n", at, body.stop)
        end = source.find(b"\r\n" + mark, max(head_end, at), body.stop)
        if head_end < 0 or end < 0:
            raise ValueError("a part of the form has no end")
        head = _part_headers(source[at + 2 : head_end])
        disposition = head.get("content-disposition", "")
        name = _parameter(disposition, "name") or ""
        span = Content(source, head_end + 4, end)
        if name == "file":
            file = Upload(
                filename=_parameter(disposition, "filename"),
                content_type=head.get("content-type"),
                content=span,
            )
        else:
            fields[name] = span.whole().decode()
        at = end + 2 + len(mark)
    return Form(fields=fields, file=file)


def _part_headers(head: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in head.decode().split("\r\n"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _parameter(header: str, name: str) -> str | None:
    for part in header.split(";")[1:]:
        key, _, value = part.strip().partition("=")
        if key.lower() == name:
            return value.strip('"')
    return None
