"""Run several calls to providers at the same time, and everything else in one thread.

An action is written as steps: a generator that yields each call and receives its result. Between
two calls its code runs in this thread, and no other action runs at the same time: so the ledger and
the order of intent, call and record are as if there were no other actions. Only the calls run at
the same time. An executor makes them: in threads, or in the same thread for a simulated provider.
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
"""Bytes of input that are uploaded at the same time; their files take as much of the disk."""


_TICKETS: Final = itertools.count(1)
"""Unique in the process: an executor outlives the task runners that use it."""


class Executor(Protocol):
    """Makes calls, at most `count` at the same time."""

    @property
    def count(self) -> int:
        """How many calls may run at the same time."""

    def give(self, ticket: int, call: Call) -> None:
        """Start a call."""

    def take(self) -> tuple[int, Any, BaseException | None]:
        """Wait until a call has ended; return its ticket, its result, and what it raised."""


class InlineExecutor:
    """Makes each call in the calling thread, when its result is taken, oldest call first.

    With a `count` above one, the steps of several actions alternate as they do with threads.
    """

    def __init__(self, count: int = 1) -> None:
        self.count = count
        self._calls: list[tuple[int, Call]] = []

    def give(self, ticket: int, call: Call) -> None:
        """Keep a call until its result is taken."""
        self._calls.append((ticket, call))

    def take(self) -> tuple[int, Any, BaseException | None]:
        """Make the oldest call."""
        ticket, call = self._calls.pop(0)
        try:
            return ticket, call(), None
        except Exception as error:  # noqa: BLE001 -- returned to the caller
            return ticket, None, error


class ThreadExecutor:
    """Makes calls in daemon threads; the end of the program does not wait for them."""

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
            except BaseException as raised:  # noqa: BLE001 -- returned to the caller
                value, error = None, raised
            self._ended.put((ticket, value, error))
            del call, value, error


@dataclass(slots=True, kw_only=True)
class _Task:
    steps: Steps
    size: int
    on_end: Callable[[Exception | None], None]


class TaskRunner:
    """Runs the steps of several actions."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._tasks: dict[int, _Task] = {}

    def begin(self, steps: Steps, *, size: int, on_end: Callable[[Exception | None], None]) -> None:
        """Start an action's steps, after `wait_for_room`; `on_end` gets their error, or None."""
        task = _Task(steps=steps, size=size, on_end=on_end)
        self._advance(next(_TICKETS), task, None, None)

    def wait_for_room(self, size: int) -> None:
        """Continue the tasks until there is room for another one of `size` bytes."""
        while self._tasks and (
            len(self._tasks) >= self._executor.count
            or sum(task.size for task in self._tasks.values()) + size > BYTES_AT_ONCE
        ):
            self._step()

    def finish(self) -> None:
        """Continue until all tasks have ended."""
        while self._tasks:
            self._step()

    def _step(self) -> None:
        ticket, value, error = self._executor.take()
        task = self._tasks.pop(ticket, None)
        if task is not None:  # else: a call of a task runner that was abandoned before its end
            self._advance(ticket, task, value, error)

    def _advance(
        self, ticket: int, task: _Task, value: object, error: BaseException | None
    ) -> None:
        """Run an action's steps up to their next call, or to their end."""
        try:
            call = task.steps.send(value) if error is None else task.steps.throw(error)
        except StopIteration:
            task.on_end(None)
        except Exception as failure:  # noqa: BLE001 -- judged by the caller
            task.on_end(failure)
        else:
            self._tasks[ticket] = task
            self._executor.give(ticket, call)
