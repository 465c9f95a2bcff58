"""Act as a second real user of the machine; only root can, so such tests are skipped elsewhere."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UID: Final = 65_534
"""The user `nobody`, who owns no files."""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a second user")


@contextmanager
def as_another_user(act: Callable[[], str]) -> Iterator[str]:
    """Have a process of another user act, and return what it returned, or the error's name.

    The process keeps what it has opened and locked until the block ends.
    """
    (told, tell), (go_on, end) = os.pipe(), os.pipe()
    process = os.fork()
    if not process:
        try:
            os.close(end)
            os.setgroups([])
            os.setgid(UID)
            os.setuid(UID)
            os.write(tell, act().encode())
            os.read(go_on, 1)
        except BaseException as error:  # noqa: BLE001 -- the child must not go on as a test
            os.write(tell, type(error).__name__.encode())
        finally:
            os._exit(0)
    try:
        os.close(tell)
        yield os.read(told, 10_000).decode()
    finally:
        for descriptor in (told, go_on, end):
            os.close(descriptor)
        os.waitpid(process, 0)
