"""Where a key comes from: a file that only its owner can read, or a command; never `runner.yaml`.

Whatever it comes from, it is a `Secret` before anything can go wrong with it: what is read is
wrapped first and looked at afterwards, and what is wrong is returned as a sentence and raised
elsewhere, so that not even a traceback with local variables has a frame with a key in it.
"""

from __future__ import annotations

import os
import re
import select
import shlex
import stat
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from runner.errors import Unauthorized
from runner.spec.project import Secret

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from runner.spec.project import KeyCommand


_MAX_BYTES: Final = 16 * 1024
"""Bytes. Tokens of some identity providers have a few thousand; a file of another kind has more."""

_TIMEOUT: Final = 60.0
"""Seconds that a command may take: somebody may have to type a password or touch a token."""

_GROUP_AND_OTHERS: Final = 0o077
_VALID: Final = re.compile(r"[\x21-\x7e]+")


class Environment(Mapping[str, str]):
    """The variables of this process for those who know a name; its repr names no value.

    `os.environ` itself shows every value in a traceback with local variables.
    """

    __slots__ = ()

    def __getitem__(self, name: str) -> str:
        return os.environ[name]

    def __iter__(self) -> Iterator[str]:
        return iter(os.environ)

    def __len__(self) -> int:
        return len(os.environ)

    def __repr__(self) -> str:
        return f"<{len(self)} variables>"


def read_secret_file(path: Path) -> Secret | str:
    """Return what a file holds that nobody but its owner may read, or why it cannot be used."""
    found = _read_file(path)
    problem = None if isinstance(found, str) else _check(found, "URL")
    return problem or found


def read_key_file(path: Path, *, provider: str) -> Secret:
    """Read the key of a provider from a file that nobody but its owner may read.

    Links are followed; it is the file behind them that must be private. Raises Unauthorized,
    saying what to do.
    """
    found = _read_file(path)
    return _require_valid(found, f"{path}, the api_key_file of provider {provider},", provider)


def run_key_command(command: KeyCommand, environ: Mapping[str, str], *, provider: str) -> Secret:
    """Take what a command prints as the key of a provider; it runs once a process.

    Neither does it run again after it has failed: the second question would only be the same.
    Raises Unauthorized, without anything that the command has printed.
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
    """Return the key, or raise what is wrong with where it comes from."""
    problem = found if isinstance(found, str) else _check(found)
    if isinstance(found, str) or problem is not None:
        text = f"{source} {problem}; nothing was sent to it"
        raise Unauthorized(text, provider=provider, call="open")
    return found


def _check(key: Secret, what: str = "key") -> str | None:
    """Say why this is no key, without a letter of it."""
    text = key.reveal()
    if not text:
        return f"gives no {what}: it is empty"
    if len(text) > _MAX_BYTES:
        return f"gives no {what}: more than {_MAX_BYTES:,} bytes"
    if "\n" in text or "\r" in text:
        return f"gives no {what} but several lines; the {what} must be all there is"
    if not _VALID.fullmatch(text):
        return f"gives no {what}: it holds spaces, control or other characters that no {what} has"
    return None


def _wrap(data: bytes) -> Secret:
    """Take one line end off and wrap the rest."""
    text = data.decode("utf-8", errors="replace")
    return Secret(text.removesuffix("\n").removesuffix("\r"))


def _read_file(path: Path) -> Secret | str:
    """Return what a private file holds, or why it cannot be used."""
    try:
        # Not blocking: a pipe of this name would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) else "its name is none"
        return f"cannot be read: {words or error}"
    try:
        # Of the file that is open: another of this name cannot take its place meanwhile.
        exposed = _check_private(os.fstat(descriptor), path)
        return exposed or _wrap(os.read(descriptor, _MAX_BYTES + 2))
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    finally:
        os.close(descriptor)


def _check_private(status: os.stat_result, path: Path) -> str | None:
    """Say why a file is not private, or None if it is."""
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
    """Return what a command prints, or why it cannot be used.

    What it says on stderr goes where ours goes: it may have a question or a reason for a person.
    """
    import subprocess

    try:
        process = subprocess.Popen(  # noqa: S603 -- the project names it, as a Makefile would
            command.arguments,
            cwd=command.folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) else "it is no command"
        return f"cannot be run: {words or error}"
    with process:
        try:
            printed = _read_output(process, until=time.monotonic() + _TIMEOUT)
        finally:
            # It has ended unless it took too long, printed too much or we were interrupted.
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
    """Return what a process prints until it ends, or why that was not waited for."""
    from subprocess import TimeoutExpired

    if process.stdout is None:  # pragma: no cover - it was asked for
        return "prints nowhere"
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
        return f"gives no key: more than {_MAX_BYTES:,} bytes"
    try:
        process.wait(max(until - time.monotonic(), 0.1))
    except TimeoutExpired:
        return f"did not end within {_TIMEOUT:.0f} s"
    return _wrap(bytes(pieces))
