"""SIGINT and SIGTERM: the first signal raises an exception in the main thread, even while it waits.

Python runs a signal handler only before the next bytecode instruction of the main thread. A signal
that arrives just before a system call starts to wait, or in another thread, is therefore handled
only when that call returns, which can take half a minute for a silent provider. So each signal also
writes to a pipe (`signal.set_wakeup_fd`); a thread reads the pipe and sends the signal to the main
thread until it has been handled, which interrupts the system call.

A library that computes for long, such as SQLite in a query, lets no handler run. After some seconds
the process then ends without one, as by `kill -9`: the next pass continues. So does a further
signal some seconds after the first: Python drops an exception that is raised in a destructor.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import FrameType

_PAUSE: Final = 0.05
"""Seconds between two attempts to interrupt the main thread."""

_ATTEMPTS: Final = 100
"""Attempts after which the process ends without the main thread."""

_CLEANUP: Final = 5.0
"""Seconds from the first signal on after which a further one ends the process at once."""

_received: Final[list[float]] = []
_handled: Final = threading.Event()


class Terminated(BaseException):
    """SIGTERM was received; raised in the main thread so that all contexts are closed."""


def install_handlers() -> None:
    """Make SIGTERM raise Terminated and SIGINT raise KeyboardInterrupt in the main thread.

    Call it once, in the main thread. An ignored SIGINT stays ignored, as in the background of a
    shell without job control.
    """
    signal.signal(signal.SIGTERM, _raise_terminated)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _raise_interrupt)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_interrupt_main, args=(reading,), name="signals", daemon=True).start()


def _interrupt_main(reading: int) -> None:
    """Send each received signal to the main thread until the first one has been handled."""
    while not _handled.is_set():
        number = os.read(reading, 1)[0]
        if number not in (signal.SIGINT, signal.SIGTERM):
            continue
        for _ in range(_ATTEMPTS):
            if _handled.wait(_PAUSE):
                return
            signal.pthread_kill(threading.main_thread().ident or 0, number)
        os._exit(128 + number)


def _is_first(number: int) -> bool:
    """Record a signal and return whether it is the first.

    Only the first may raise: an exception during the cleanup would end it with a traceback.
    """
    _received.append(time.monotonic())
    if len(_received) > 1:
        if _received[-1] - _received[0] > _CLEANUP:
            os._exit(128 + number)
        return False
    _handled.set()
    return True


def _raise_terminated(number: int, _frame: FrameType | None) -> None:
    if _is_first(number):
        raise Terminated


def _raise_interrupt(number: int, _frame: FrameType | None) -> None:
    if _is_first(number):
        raise KeyboardInterrupt
