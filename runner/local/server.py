"""The thread that speaks HTTP.

uvicorn takes over signals in the main thread only, so Ctrl-C stays with the caller. Its log is
turned off: what goes wrong reaches the caller as an exception.
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
    """A server that says when it has begun."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.began = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.began.set()


def serve(application: Starlette, listener: socket.socket) -> Callable[[], None]:
    """Serve in a thread of its own, and give the function that ends it.

    Returns once requests are taken; raises LocalFileError where that does not come to pass.
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
