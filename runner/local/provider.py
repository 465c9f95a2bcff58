"""Start and stop the built-in provider `local`: its state, its worker, and its HTTP server.

The provider runs inside the process that uses it, and ends with it: there is no service to install,
and nothing is left running. Unfinished batches are in the state folder, however the process ended,
and the next process continues them. A lock, which the kernel releases when the process ends,
excludes a second process.

uvicorn handles signals only in the main thread, so in a thread of its own it leaves Ctrl-C to the
caller. Its log is turned off: the caller gets failures as exceptions.
"""

from __future__ import annotations

import fcntl
import ipaddress
import logging
import secrets
import socket
import threading
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Self

from runner.errors import LocalFileError, LockHeld, MissingExtra, UsageError
from runner.extras import how_to_install
from runner.files import make_folder, open_lasting
from runner.spec.project import Secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from starlette.applications import Starlette

    from runner.local.worker import Worker


def serve(application: Starlette, listener: socket.socket) -> Callable[[], None]:
    """Start the server in a new thread and return the function that stops it.

    Returns when the server accepts requests; raises LocalFileError if it does not start.
    """
    import uvicorn

    class _Server(uvicorn.Server):
        """A server with an event that is set once it has started."""

        def __init__(self, config: uvicorn.Config) -> None:
            super().__init__(config)
            self.began = threading.Event()

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            self.began.set()

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


class LocalProvider:
    """A Batch API on this machine, for the life of a `with` block.

    Args:
        state: the folder in which everything is kept; made where missing, for this user only.
        clock: the server's time, in Unix seconds.
        host: an IPv4 loopback address; any other raises UsageError.
        port: 0 lets the system choose a free one.

    Entering raises MissingExtra where the server's libraries are not installed, LockHeld where
    another process uses the folder, and LocalFileError where the folder cannot be used. Leaving
    raises what went wrong in the background and was not yet raised by `work`.

    """

    def __init__(
        self,
        state: Path,
        *,
        clock: Callable[[], float] = time.time,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        if not _loopback(host):
            raise UsageError(
                f"the local provider serves this machine only: {host} is no IPv4 loopback address"
            )
        self._state = state
        self._clock = clock
        self._host = host
        self._port = self._bound = port
        self._worker: Worker | None = None
        self._exit = ExitStack()
        self.api_key = Secret(secrets.token_urlsafe(32))
        """The key of this start, which every request needs: the port is open to all users."""

    def __enter__(self) -> Self:
        try:
            import uvicorn  # noqa: F401 -- used in `serve`; a missing one is reported here

            from runner.local.app import Api
            from runner.local.store import Store
            from runner.local.worker import Worker
        except ModuleNotFoundError as error:
            raise MissingExtra(
                f"The provider `local` needs {error.name}: {how_to_install('local')}"
            ) from error
        with ExitStack() as stack:
            try:
                _lock(stack, self._state)
                store = Store(self._state)
                stack.callback(store.close)
                store.sweep(int(self._clock()))
                listener = stack.enter_context(_listen(self._host, self._port))
            except OSError as error:
                raise LocalFileError(
                    f"the local provider cannot start in {self._state}: {error}"
                ) from error
            self._bound = listener.getsockname()[1]
            worker = self._worker = Worker(store, clock=self._clock)
            worker.start()
            stack.callback(worker.stop)
            api = Api(
                store,
                clock=self._clock,
                wake=worker.wake,
                report=worker.report,
                host=self._host,
                key=self.api_key.reveal(),
            )
            stack.callback(serve(api.application(), listener))
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exit.close()
        if error is None and self._worker is not None:
            self._worker.raise_pending_failure()

    @property
    def base_url(self) -> str:
        """The address clients are given, without a slash at its end."""
        return f"http://{self._host}:{self._bound}/v1"

    def work(self, seconds: float) -> bool:
        """Wait until every batch has ended, at most `seconds`; return whether they have.

        Raises what went wrong in the background, usually LocalFileError.
        """
        if self._worker is None:
            raise UsageError("the local provider has not been started")
        return self._worker.wait(seconds)


def _loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.IPv4Address(host).is_loopback
    return False


def _listen(host: str, port: int) -> socket.socket:
    """Bind before the server starts, so that the port is known and taken.

    The protocol is named because asyncio reads it before it turns off Nagle's algorithm;
    left at 0, every second reply on a connection is 40 ms late.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def _lock(stack: ExitStack, state: Path) -> None:
    make_folder(state, within=state.parent, private=True)
    lock = stack.enter_context(open_lasting(state / "lock"))  # closing it gives the lock back
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LockHeld(f"another process is using the local provider in {state}") from None
