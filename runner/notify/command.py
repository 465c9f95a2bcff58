"""A command that is told: the message on its standard input, the parts of it in variables.

It runs without a shell, in the project's folder, with the variables of this process but for those
that hold a key of a provider or the address of another hook. It has half a minute; what it prints
is shown only if it fails.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from typing import IO, TYPE_CHECKING, Final

from runner.errors import NotDelivered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.spec.notifications import CommandChannel

PATIENCE: Final = 30.0
"""Seconds that a command may take."""

_SHOWN: Final = 300
"""Characters of what a command has printed that are worth showing."""

_KEPT: Final = 4096
_PIECE: Final = 65536
_LINGER: Final = 0.5
"""Seconds for the end of what was printed: a child that was left behind may hold the pipe open."""


def run(
    command: CommandChannel,
    content: bytes,
    environ: Mapping[str, str],
    *,
    patience: float = PATIENCE,
) -> None:
    """Run a command with `content` on its standard input.

    Raises NotDelivered if it cannot be run, takes too long or ends with anything but 0. Whatever
    it has started in its own process group ends with it.
    """
    with tempfile.TemporaryFile() as given:
        given.write(content)
        given.seek(0)
        try:
            process = subprocess.Popen(  # noqa: S603 -- the project names it, as a Makefile would
                command.arguments,
                cwd=command.folder,
                env=dict(environ),
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            words = error.strerror if isinstance(error, OSError) else "it is no command"
            raise NotDelivered(f"cannot be run: {words or error}") from None
    tail = _Tail(process.stdout)
    try:
        code = process.wait(patience)
    except subprocess.TimeoutExpired:
        late = f"did not end within {patience:g} s"
        raise NotDelivered(late, printed=tail.said()) from None
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if code < 0:
        raise NotDelivered(f"was ended by signal {-code}", printed=tail.said())
    if code:
        raise NotDelivered(f"failed with exit code {code}", printed=tail.said())


class _Tail:
    """Reads what a process prints, to its end, and keeps the last of it."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        self._kept = b""
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream: IO[bytes] | None) -> None:
        if stream is None:  # pragma: no cover - it was asked for
            return
        with stream:
            while piece := os.read(stream.fileno(), _PIECE):
                self._kept = (self._kept + piece)[-_KEPT:]

    def said(self) -> str:
        """Return the last that was printed, in one line."""
        self._thread.join(_LINGER)
        text = " ".join(self._kept.decode("utf-8", errors="replace").split())
        return text if len(text) <= _SHOWN else f"…{text[-_SHOWN:]}"
