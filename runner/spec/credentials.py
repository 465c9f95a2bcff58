"""Read an API key from a private file or from the output of a command.

`runner.yaml` never contains an API key. The bytes are wrapped in `Secret` before they are checked,
and the functions that handle them return an error message instead of raising: so no frame of a
traceback with local variables contains a key.
"""

from __future__ import annotations

import os
import re
import select
import shlex
import stat
import threading
import time
from typing import TYPE_CHECKING, Final

from runner.errors import Unauthorized
from runner.spec.project import Secret

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping
    from pathlib import Path

    from runner.spec.project import KeyCommand


_MAX_BYTES: Final = 16 * 1024
"""Bytes. Tokens of some identity providers have a few thousand; a larger file is not a key."""

_TIMEOUT: Final = 60.0
"""Seconds that a command may take: the user may have to type a password or touch a token."""

_GROUP_AND_OTHERS: Final = 0o077
_VALID: Final = re.compile(r"[\x21-\x7e]+")


def read_secret_file(path: Path) -> Secret | str:
    """Return the secret URL in a private file, or an error message."""
    found = _read_file(path)
    problem = None if isinstance(found, str) else _check(found, "URL")
    return problem or found


def read_key_file(path: Path, *, provider: str) -> Secret:
    """Return the API key of a provider from a file that only its owner can read.

    Symbolic links are followed; the file they lead to must be private. Raises Unauthorized.
    """
    found = _read_file(path)
    return _require_valid(found, f"{path}, the api_key_file of provider {provider},", provider)


def run_key_command(command: KeyCommand, environ: Mapping[str, str], *, provider: str) -> Secret:
    """Return the output of a command as the API key of a provider.

    A command runs once a process, also when it has failed. Raises Unauthorized with a message that
    contains nothing of the output.
    """
    with _lock:
        if command not in _results:
            _results[command] = _run(command, environ)
        found = _results[command]
    return _require_valid(
        found, f"{command}, the api_key_command of provider {provider},", provider
    )


_results: Final[dict[KeyCommand, Secret | str]] = {}
_lock: Final = threading.Lock()


def _require_valid(found: Secret | str, source: str, provider: str) -> Secret:
    """Return the key, or raise Unauthorized with what is wrong with its source."""
    problem = found if isinstance(found, str) else _check(found)
    if isinstance(found, str) or problem is not None:
        text = f"{source} {problem}; nothing was sent to the provider"
        raise Unauthorized(text, provider=provider, call="open")
    return found


def _check(key: Secret, what: str = "API key") -> str | None:
    """Return why a text is not a valid key or URL, without quoting it; None if it is valid."""
    text = key.reveal()
    if not text:
        return f"gives no {what}: it is empty"
    if len(text) > _MAX_BYTES:
        return f"gives no {what}: more than {_MAX_BYTES:,} bytes"
    if "\n" in text or "\r" in text:
        return f"gives no {what} but several lines; nothing but the {what} is allowed"
    if not _VALID.fullmatch(text):
        return f"gives no {what}: it contains spaces, control or other characters"
    return None


def _wrap(data: bytes) -> Secret:
    """Return the bytes as a Secret, without one line end."""
    text = data.decode("utf-8", errors="replace")
    return Secret(text.removesuffix("\n").removesuffix("\r"))


def _read_file(path: Path) -> Secret | str:
    """Return the content of a private file, or an error message."""
    try:
        # Not blocking: opening a named pipe would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) else "the path is not valid"
        return f"cannot be read: {words or error}"
    try:
        # The open file is checked: another file cannot take its place in between.
        exposed = _check_private(os.fstat(descriptor), path)
        return exposed or _wrap(os.read(descriptor, _MAX_BYTES + 2))
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    finally:
        os.close(descriptor)


def _check_private(status: os.stat_result, path: Path) -> str | None:
    """Return why a file is not private, or None if it is."""
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    if status.st_uid not in (os.geteuid(), 0):
        return "belongs to another user, who can read and change it; use a file of your own"
    if status.st_mode & _GROUP_AND_OTHERS:
        mode = stat.S_IMODE(status.st_mode)
        return (
            f"is open to other users of this machine (mode {mode:04o}):"
            f" run `chmod 600 {shlex.quote(str(path))}`"
        )
    return None


def _run(command: KeyCommand, environ: Mapping[str, str]) -> Secret | str:
    """Return the output of a command, or an error message.

    The command writes to the same stderr as runner: it may show a prompt or a reason there.
    """
    import subprocess

    try:
        process = subprocess.Popen(  # noqa: S603 -- the project names the command, as a Makefile does
            command.arguments,
            cwd=command.folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) else "it is not a command"
        return f"cannot be run: {words or error}"
    with process:
        try:
            printed = _read_output(process, until=time.monotonic() + _TIMEOUT)
        finally:
            # Still running only after a timeout, too much output or an interrupt.
            if process.poll() is None:
                process.kill()
    if isinstance(printed, str):
        return printed
    if process.returncode < 0:
        return f"was ended by signal {-process.returncode}"
    if process.returncode:
        return f"failed with exit code {process.returncode}"
    return printed


def _read_output(process: subprocess.Popen[bytes], *, until: float) -> Secret | str:
    """Return the output of a process that ends before `until`, or an error message."""
    from subprocess import TimeoutExpired

    if process.stdout is None:  # pragma: no cover - Popen was given PIPE
        return "has no output"
    descriptor = process.stdout.fileno()
    ready = select.poll()
    ready.register(descriptor, select.POLLIN)
    pieces = bytearray()
    while len(pieces) <= _MAX_BYTES:
        if not ready.poll(max(until - time.monotonic(), 0) * 1000):
            return f"did not end within {_TIMEOUT:.0f} s"
        piece = os.read(descriptor, _MAX_BYTES)
        if not piece:
            break
        pieces += piece
    else:
        return f"gives no API key: more than {_MAX_BYTES:,} bytes"
    try:
        process.wait(max(until - time.monotonic(), 0.1))
    except TimeoutExpired:
        return f"did not end within {_TIMEOUT:.0f} s"
    return _wrap(bytes(pieces))
