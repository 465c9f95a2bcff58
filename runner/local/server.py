"""The thread of the HTTP server.

uvicorn handles signals only in the main thread, so Ctrl-C still reaches the caller. Its log is
turned off: the caller gets failures as exceptions.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import uvicorn

from runner.errors import LocalFileError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from starlette.applications import Starlette


class _Server(uvicorn.Server):
    """A server with an event that is set once it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.began = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.began.set()


def serve(application: Starlette, listener: socket.socket) -> Callable[[], None]:
    """Start the server in a new thread and return the function that stops it.

    Returns when the server accepts requests; raises LocalFileError if it does not start.
    """
    server = _Server(
        uvicorn.Config(
            application,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level=logging.CRITICAL + 1,
            access_log=False,
            date_header=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    )

    def run() -> None:
        try:
            server.run(sockets=[listener])
        finally:
            server.began.set()

    thread = threading.Thread(target=run, name="local server", daemon=True)

    def end() -> None:
        server.should_exit = True
        thread.join()

    thread.start()
    server.began.wait()
    if not server.started:
        thread.join()
        raise LocalFileError("the local provider's HTTP server did not start")
    return end
