"""Showing how far something has come: what takes its time opens it, whoever watches sees it.

Bytes are moved in several threads at once, and what is shown of each ends when it ends, however
that is: so it is a context manager.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


class ProgressReporter(Protocol):
    """Opens something that takes its time; may be called from any thread."""

    def __call__(
        self, job: str, what: str, total: int = 0, /
    ) -> AbstractContextManager[Callable[[int], None]]:
        """Show `what` is being done for a job (or a provider) until the context ends.

        Gives what is to be told how many bytes of `total` are done, as often as one likes;
        `total` 0 stands for work of unknown size.
        """


@contextlib.contextmanager
def no_progress(_job: str, _what: str, _total: int = 0, /) -> Iterator[Callable[[int], None]]:
    """Show nothing."""
    yield ignore_progress


def ignore_progress(_done: int) -> None:
    """Take no notice of how far something has come."""
