"""SIGINT and SIGTERM: the first one raises where the program stands, whatever it waits for there.

Python only notes a signal, and raises when its next instruction is due. One that comes in the
instant before a wait begins, or that another thread receives, would be heard when that wait is
over: half a minute for a provider that says nothing. So a signal also writes to a pipe
(`signal.set_wakeup_fd`), and a thread that reads there strikes the main thread out of its wait
until the signal has been heard.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import FrameType

_PAUSE: Final = 0.05
"""Seconds between two strikes."""

_signals_heard: Final[list[int]] = []
_heard: Final = threading.Event()


class Terminated(BaseException):
    """SIGTERM, raised where the program stands, so that everything is closed on the way out."""


def listen() -> None:
    """Have the main thread, which calls this once, raise Terminated and KeyboardInterrupt.

    SIGINT is left alone where it is ignored, as in the background of a shell without job control.
    """
    signal.signal(signal.SIGTERM, _terminated)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stopped)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_strike, args=(reading,), name="signals", daemon=True).start()


def _strike(reading: int) -> None:
    """End whatever the main thread waits for, once a signal has come that it has not heard."""
    while not _heard.is_set():
        number = os.read(reading, 1)[0]
        while number in (signal.SIGINT, signal.SIGTERM) and not _heard.wait(_PAUSE):
            signal.pthread_kill(threading.main_thread().ident or 0, number)


def _is_first(number: int) -> bool:
    """Whether nobody has asked for an end yet: only one signal may change where the program stands.

    A second one would turn the way out into a traceback, wherever it strikes.
    """
    _signals_heard.append(number)
    if len(_signals_heard) > 1:
        return False
    _heard.set()
    return True


def _terminated(number: int, _frame: FrameType | None) -> None:
    if _is_first(number):
        raise Terminated


def _stopped(number: int, _frame: FrameType | None) -> None:
    if _is_first(number):
        raise KeyboardInterrupt
