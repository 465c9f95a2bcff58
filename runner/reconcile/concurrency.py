"""Several calls to providers under way at once, one hand on the ledger.

What an action does is written as steps: a generator that yields each call it wants made and is
sent the answer. Between two calls it runs here, alone, so that the ledger, the plan and the order
of intent, call and fact are as if there were no others. The calls themselves only wait for the
network, and that is done by hands: threads for a real provider, nobody for a simulated one.
"""

from __future__ import annotations

import itertools
import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    Call: TypeAlias = Callable[[], Any]
    Steps: TypeAlias = Generator[Call, Any, None]

BYTES_AT_ONCE: Final = 256_000_000
"""Bytes of input on their way at once: what is cut for them takes as much of the disk."""


_TICKETS: Final = itertools.count(1)
"""Never the same twice: hands outlive the crews that they work for."""


class Executor(Protocol):
    """Those who make the calls; `count` is how many of them at most are under way at once."""

    @property
    def count(self) -> int:
        """How many calls may be under way."""

    def give(self, ticket: int, call: Call) -> None:
        """Have a call made."""

    def take(self) -> tuple[int, Any, BaseException | None]:
        """Wait for a call to end: its ticket, what it returned, or what it raised."""


class InlineExecutor:
    """Makes each call itself, when its answer is asked for: the first that came first.

    With `count` above one, the steps of several actions alternate all the same.
    """

    def __init__(self, count: int = 1) -> None:
        self.count = count
        self._calls: list[tuple[int, Call]] = []

    def give(self, ticket: int, call: Call) -> None:
        """Keep a call for when it is asked for."""
        self._calls.append((ticket, call))

    def take(self) -> tuple[int, Any, BaseException | None]:
        """Make the oldest call."""
        ticket, call = self._calls.pop(0)
        try:
            return ticket, call(), None
        except Exception as error:  # noqa: BLE001 -- handed to whoever asked for the call
            return ticket, None, error


class ThreadExecutor:
    """Makes calls in threads; whoever leaves does not wait for them."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._calls: queue.SimpleQueue[tuple[int, Call]] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[tuple[int, Any, BaseException | None]] = queue.SimpleQueue()
        self._idle = 0
        self._threads = 0

    def give(self, ticket: int, call: Call) -> None:
        """Pass a call to a thread; a new one if all are busy."""
        if self._idle:
            self._idle -= 1
        elif self._threads < self.count:
            self._threads += 1
            # Daemons: an interrupted program must not wait for a slow upload to end.
            threading.Thread(target=self._work, name=f"call-{self._threads}", daemon=True).start()
        self._calls.put((ticket, call))

    def take(self) -> tuple[int, Any, BaseException | None]:
        """Wait for any call to end."""
        ended = self._ended.get()
        self._idle += 1
        return ended

    def _work(self) -> None:
        while True:
            ticket, call = self._calls.get()
            try:
                value, error = call(), None
            except BaseException as raised:  # noqa: BLE001 -- handed to whoever asked for the call
                value, error = None, raised
            self._ended.put((ticket, value, error))
            del call, value, error


@dataclass(slots=True, kw_only=True)
class _Task:
    steps: Steps
    size: int
    ended: Callable[[Exception | None], None]


class TaskRunner:
    """Drives the steps of several actions."""

    def __init__(self, executor: Executor) -> None:
        self._hands = executor
        self._tasks: dict[int, _Task] = {}

    def begin(self, steps: Steps, *, size: int, ended: Callable[[Exception | None], None]) -> None:
        """Start an action's steps; there must be room. `ended` hears how they came out."""
        task = _Task(steps=steps, size=size, ended=ended)
        self._advance(next(_TICKETS), task, None, None)

    def room(self, size: int) -> None:
        """Go on with what is under way until an action of so many bytes has room beside it."""
        while self._tasks and (
            len(self._tasks) >= self._hands.count
            or sum(task.size for task in self._tasks.values()) + size > BYTES_AT_ONCE
        ):
            self._step()

    def finish(self) -> None:
        """Go on until nothing is under way."""
        while self._tasks:
            self._step()

    def _step(self) -> None:
        ticket, value, error = self._hands.take()
        task = self._tasks.pop(ticket, None)
        if task is not None:  # else: a call of a crew that was left in the middle of its work
            self._advance(ticket, task, value, error)

    def _advance(
        self, ticket: int, task: _Task, value: object, error: BaseException | None
    ) -> None:
        """Run an action's steps up to their next call, or to their end."""
        try:
            call = task.steps.send(value) if error is None else task.steps.throw(error)
        except StopIteration:
            task.ended(None)
        except Exception as failure:  # noqa: BLE001 -- judged by whoever began the action
            task.ended(failure)
        else:
            self._tasks[ticket] = task
            self._hands.give(ticket, call)
