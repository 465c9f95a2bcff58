"""A server on this machine that takes messages, or refuses them as it is told."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, kw_only=True)
class Caught:
    """A message that arrived."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Catcher:
    """Answers with `status`, and with each of `statuses` before that; keeps what arrived."""

    url: str = ""
    status: int = 200
    statuses: list[int] = field(default_factory=list)
    location: str = ""
    caught: list[Caught] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        """Where messages arrived, in order."""
        return [one.path for one in self.caught]


@contextlib.contextmanager
def catching() -> Iterator[Catcher]:
    """Run a catcher on a loopback port."""
    catcher = Catcher()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(length)
            catcher.caught.append(Caught(path=self.path, headers=headers, body=body))
            status = catcher.statuses.pop(0) if catcher.statuses else catcher.status
            self.send_response(status)
            if catcher.location:
                self.send_header("Location", catcher.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    catcher.url = f"http://127.0.0.1:{server.server_address[1]}/hook/5ecre7"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield catcher
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
