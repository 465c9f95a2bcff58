"""A hook that is a command: it gets the message on standard input and its fields in variables.

The command runs without a shell, in the folder of the project. It gets the environment of this
process without the API keys of providers and the addresses of other hooks. It may run for half a
minute; its output is shown only if it fails.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from typing import IO, TYPE_CHECKING, Final

from runner.errors import NotDelivered
from runner.files import nameless

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.spec.notifications import CommandChannel

TIMEOUT: Final = 30.0
"""Seconds that a command may run."""

_SHOWN: Final = 300
"""Characters of the output of a command that are shown."""

_KEPT: Final = 4096
_CHUNK: Final = 65536
_READ_TIMEOUT: Final = 0.5
"""Seconds to wait for the rest of the output: a remaining child process may keep the pipe open."""


def run(
    command: CommandChannel,
    content: bytes,
    environ: Mapping[str, str],
    *,
    timeout: float = TIMEOUT,
) -> None:
    """Run a command with `content` on its standard input.

    Raises NotDelivered if it cannot be started, runs too long, or exits with another code than 0.
    All processes of its process group are killed after the timeout.
    """
    with nameless() as given:
        given.write(content)
        given.seek(0)
        try:
            process = subprocess.Popen(  # noqa: S603 -- the project configures it, as a Makefile does
                command.arguments,
                cwd=command.folder,
                env=dict(environ),
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not a command"
            raise NotDelivered(f"cannot be started: {reason or error}") from None
    tail = _Tail(process.stdout)
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        late = f"did not end within {timeout:g} s"
        raise NotDelivered(late, printed=tail.text()) from None
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if code < 0:
        raise NotDelivered(f"was killed by signal {-code}", printed=tail.text())
    if code:
        raise NotDelivered(f"failed with exit code {code}", printed=tail.text())


class _Tail:
    """Reads the output of a process to its end, and keeps the last part."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        self._kept = b""
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream: IO[bytes] | None) -> None:
        if stream is None:  # pragma: no cover - Popen was called with PIPE
            return
        with stream:
            while chunk := os.read(stream.fileno(), _CHUNK):
                self._kept = (self._kept + chunk)[-_KEPT:]

    def text(self) -> str:
        """Return the last part of the output, in one line."""
        self._thread.join(_READ_TIMEOUT)
        text = " ".join(self._kept.decode("utf-8", errors="replace").split())
        return text if len(text) <= _SHOWN else f"…{text[-_SHOWN:]}"
