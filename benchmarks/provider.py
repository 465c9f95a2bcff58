"""A Batch API that needs almost no time itself, in a separate process.

The benchmarks measure everything but the provider's time, so this provider does as little as
possible: uploads go from the socket to the disk, a batch is completed when it is first retrieved or
listed, and its answers are prepared in advance. It is the same for all contestants, counts their
requests and reports its own cost. The built-in provider `local` validates and answers each request,
which must not be measured here; and its HTTP server takes more time for 200 MB than all of curl.

`answers/FIRST.jsonl` in its folder is the output of a batch whose first request has the custom_id
FIRST. Without such a file the answers are generated; this is meant for small batches.

Run as `python -m benchmarks.provider FOLDER`; it prints its port, and ends when its stdin does.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from benchmarks.form import Form
from benchmarks.rows import answer

_GENERATED_AT_MOST: Final = 1_000_000
"""Bytes of input for which answers are generated: more would take the provider's time."""

_FIRST_ID: Final = re.compile(rb'"custom_id": ?"([^"]*)"')
_FILE: Final = re.compile(r"/v1/files/([^/]+)")
_CONTENT: Final = re.compile(r"/v1/files/([^/]+)/content")
_BATCH: Final = re.compile(r"/v1/batches/([^/]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file of the account, and the path of its bytes."""

    id: str
    filename: str
    purpose: str
    path: Path
    created_at: int

    def to_api(self) -> dict[str, Any]:
        """Return the File object of the API."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": self.path.stat().st_size,
            "created_at": self.created_at,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
        }


@dataclass(slots=True, kw_only=True)
class Account:
    """The state of the provider: files, batches, and the number of requests by kind.

    While `held`, batches stay in progress.
    """

    folder: Path
    held: bool = False
    files: dict[str, StoredFile] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        for name in ("generated", "uploads"):
            (self.folder / name).mkdir()

    def add_file(self, path: Path, *, filename: str, purpose: str) -> StoredFile:
        """Add a file whose bytes are on disk already."""
        with self.lock:
            stored = StoredFile(
                id=f"file-{len(self.files) + 1:08}",
                filename=filename,
                purpose=purpose,
                path=path,
                created_at=int(time.time()),
            )
            self.files[stored.id] = stored
        return stored

    def create(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Create a batch; its status in the reply is `validating`."""
        with self.lock:
            identifier = f"batch_{len(self.batches) + 1:08}"
            now = int(time.time())
            self.batches[identifier] = batch = {
                "id": identifier,
                "object": "batch",
                "endpoint": wanted["endpoint"],
                "errors": None,
                "input_file_id": wanted["input_file_id"],
                "completion_window": wanted["completion_window"],
                "status": "validating",
                "output_file_id": None,
                "error_file_id": None,
                "created_at": now,
                "in_progress_at": None,
                "expires_at": now + 86_400,
                "finalizing_at": None,
                "completed_at": None,
                "failed_at": None,
                "expired_at": None,
                "cancelling_at": None,
                "cancelled_at": None,
                "request_counts": {"total": 0, "completed": 0, "failed": 0},
                "metadata": wanted.get("metadata"),
            }
            return dict(batch)

    def advance(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Complete a batch unless batches are held, and return it."""
        with self.lock:
            return self._advance(batch)

    def _advance(self, batch: dict[str, Any]) -> dict[str, Any]:
        if self.held or batch["status"] == "completed":
            if self.held and batch["status"] == "validating":
                batch |= {"status": "in_progress", "in_progress_at": batch["created_at"]}
            return dict(batch)
        source = self.files[batch["input_file_id"]]
        path, requests = self._answers(source)
        output = self.add_file(path, filename=f"{batch['id']}_output.jsonl", purpose="batch_output")
        batch |= {
            "status": "completed",
            "in_progress_at": batch["created_at"],
            "finalizing_at": batch["created_at"],
            "completed_at": int(time.time()),
            "output_file_id": output.id,
            "request_counts": {"total": requests, "completed": requests, "failed": 0},
        }
        return dict(batch)

    def _answers(self, source: StoredFile) -> tuple[Path, int]:
        """Return the path and the number of the answers to a file: prepared or generated ones."""
        with source.path.open("rb") as file:
            found = _FIRST_ID.search(file.readline())
            if found is None:
                raise ValueError(f"{source.filename} does not begin with a custom_id")
            path = self.folder / "answers" / f"{found[1].decode()}.jsonl"
            if path.exists():
                return path, int(path.with_suffix(".count").read_text())
            if source.path.stat().st_size > _GENERATED_AT_MOST:
                raise ValueError(f"{path} was not prepared")
            file.seek(0)
            ids = [match[1].decode() for line in file if (match := _FIRST_ID.search(line))]
        path = self.folder / "generated" / source.id
        path.write_text("".join(map(answer, ids)))
        return path, len(ids)


class Handler(BaseHTTPRequestHandler):
    """One connection; each has its own thread."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024
    server: Server

    def handle_expect_100(self) -> bool:
        """Send `100 Continue` at once: in the buffer the client would wait for it."""
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    def do_GET(self) -> None:
        """Answer a GET request."""
        url = urlsplit(self.path)
        account = self.server.account
        if url.path == "/benchmark":
            self._json(account.requests | {"cpu": time.process_time()})
        elif url.path == "/v1/batches":
            self._count("GET /batches")
            self._json(_page(account, parse_qs(url.query)))
        elif url.path == "/v1/files":
            self._count("GET /files")
            files = [file.to_api() for file in reversed(account.files.values())]
            self._json({"object": "list", "data": files, "has_more": False})
        elif (found := _CONTENT.fullmatch(url.path)) and found[1] in account.files:
            self._count("GET /files/ID/content")
            self._content(account.files[found[1]].path)
        elif (found := _FILE.fullmatch(url.path)) and found[1] in account.files:
            self._count("GET /files/ID")
            self._json(account.files[found[1]].to_api())
        elif (found := _BATCH.fullmatch(url.path)) and found[1] in account.batches:
            self._count("GET /batches/ID")
            self._json(account.advance(account.batches[found[1]]))
        else:
            self._not_found()

    def do_POST(self) -> None:
        """Answer a POST request."""
        account = self.server.account
        size = int(self.headers["content-length"])
        if self.path == "/v1/files":
            self._count("POST /files")
            self._json(self._upload(size).to_api())
        elif self.path == "/v1/batches":
            self._count("POST /batches")
            self._json(account.create(json.loads(self.rfile.read(size))))
        elif self.path == "/benchmark":
            account.held = json.loads(self.rfile.read(size))["held"]
            self._json({})
        else:
            self.rfile.read(size)
            self._not_found()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base's name
        """Log nothing: the account counts the requests."""

    def _count(self, what: str) -> None:
        with self.server.account.lock:
            self.server.account.requests[what] += 1

    def _upload(self, size: int) -> StoredFile:
        account = self.server.account
        path = account.folder / "uploads" / f"{threading.get_ident()}-{time.monotonic_ns()}"
        boundary = self.headers["content-type"].partition("boundary=")[2].strip('"')
        with path.open("xb") as file:
            form = Form(self.rfile, size, boundary.encode())
            form.read(file)
        return account.add_file(path, filename=form.filename, purpose=form.fields["purpose"])

    def _content(self, path: Path) -> None:
        with path.open("rb") as file:
            self.send_response(200)
            self.send_header("content-type", "application/octet-stream")
            self.send_header("content-length", str(os.fstat(file.fileno()).st_size))
            self.end_headers()
            self.wfile.flush()
            self.connection.sendfile(file)

    def _json(self, value: object, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _not_found(self) -> None:
        message = f"nothing here: {self.command} {self.path}"
        self._json({"error": {"message": message, "type": "invalid_request_error"}}, 404)


class Server(ThreadingHTTPServer):
    """The provider of one account, on a free port of this machine."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, account: Account, handler: type[Handler] = Handler) -> None:
        self.account = account
        super().__init__(("127.0.0.1", 0), handler)

    def server_bind(self) -> None:
        """Bind without the base class's lookup of the machine's name."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.socket.getsockname()[1]


def _page(account: Account, query: dict[str, list[str]]) -> dict[str, Any]:
    limit = int(query.get("limit", ["20"])[0])
    newest_first = list(reversed(account.batches.values()))
    after = query.get("after", [""])[0]
    start = len(account.batches) - int(after.removeprefix("batch_")) + 1 if after else 0
    page = [account.advance(batch) for batch in newest_first[start : start + limit]]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": start + limit < len(newest_first),
    }


def main() -> None:
    """Serve until stdin ends."""
    server = Server(Account(folder=Path(sys.argv[1])))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
