"""A model server for the foreign batch servers to send their rows to.

It answers chat completions and embeddings, the same to the same request, and it remembers what it
was asked: a prompt that was asked twice was paid twice. A prompt says what becomes of it: one with
`refuse` in it gets a 400, one with `break` a 500, and one with `hold` no answer for the time being.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MODEL: Final = "model-a"
EMBEDDER: Final = "model-b"
REFUSED: Final = "refuse"
BROKEN: Final = "break"
HELD: Final = "hold"


class Upstream:
    """What the model server was asked, and whether it answers yet."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self._asked: list[str] = []
        self._guard = threading.Lock()
        self._released = threading.Event()
        self._released.set()
        self.base_url = f"http://127.0.0.1:{server.server_address[1]}/v1"

    def asked(self) -> list[str]:
        """Return the prompts so far, each as often as it was asked, in order."""
        with self._guard:
            return sorted(self._asked)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Answer no prompt with `hold` in it until the block ends."""
        self._released.clear()
        try:
            yield
        finally:
            self._released.set()

    def answer(self, path: str, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answer one request; raises KeyError where it is none of these endpoints."""
        prompt, content = PROMPTS[path](body)
        with self._guard:
            self._asked.append(prompt)
        if HELD in prompt:
            self._released.wait()
        if REFUSED in prompt:
            return 400, _error("this prompt is refused", "invalid_request_error")
        if BROKEN in prompt:
            return 500, _error("this prompt breaks the model", "server_error")
        usage = {"prompt_tokens": len(prompt), "total_tokens": len(prompt) + 1}
        return 200, {"model": body["model"], "usage": usage, **content}


def _chat(body: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    prompt = body["messages"][-1]["content"]
    text = prompt if isinstance(prompt, str) else prompt[0]["text"]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": f"You said: {text}"},
        "finish_reason": "stop",
    }
    return text, {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "choices": [choice],
    }


def _embeddings(body: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    text = body["input"] if isinstance(body["input"], str) else body["input"][0]
    vector = [round(len(text) / 8, 3), 0.5, -0.25]
    return text, {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": vector}],
    }


PROMPTS: Final = {"/v1/chat/completions": _chat, "/v1/embeddings": _embeddings}


def _error(message: str, kind: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


@contextmanager
def serving() -> Iterator[Upstream]:
    """Run the model server on a free port of this machine for as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            models = [{"id": name, "object": "model"} for name in (MODEL, EMBEDDER)]
            self._send(200, {"object": "list", "data": models})

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.path in PROMPTS:
                self._send(*upstream.answer(self.path, json.loads(content)))
            else:
                self._send(404, _error(f"no such endpoint: {self.path}", "invalid_request_error"))

        def _send(self, status: int, reply: Mapping[str, Any]) -> None:
            content = json.dumps(reply).encode()
            with suppress(ConnectionError):  # who asked may have been killed
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing: a test reads what was asked."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    upstream = Upstream(server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield upstream
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
