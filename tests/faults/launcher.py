"""Run the command again and again, each time in a process of its own, without its start-up.

    launcher.py < ORDERS > ENDINGS

A sweep over some hundred deaths would spend all of its time on imports. So this process imports
what the command needs, once, and forks: the child is a process like any other, with its own
files, locks and sockets, and it can be killed. An order is a line of JSON (`Order` in
`project.py`); the answer is the child's pid, one line, and its exit code when it has ended.

An order may name a *step* at which the child kills itself: the n-th commit of any SQLite file,
or the n-th time the disk is told something that lasts (fsync, a rename, a removal, a link),
before or after that is done.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sqlite3
import sys
import traceback
from typing import TYPE_CHECKING, Any

from runner.cli import main as command
from runner.spec import shapes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LOADED = (
    "encodings.idna",
    "h11",
    "httpcore",
    "httpx",
    "runner.api.client",
    "runner.cli.act",
    "runner.cli.look",
    "runner.cli.voice",
    "runner.inputs.cut",
    "runner.inputs.ids",
    "runner.inputs.scan",
    "runner.ledger.store",
    "runner.local.app",
    "runner.local.provider",
    "runner.local.server",
    "runner.local.worker",
    "runner.outputs.publish",
    "runner.outputs.record",
    "runner.reconcile.account",
    "runner.reconcile.loop",
    "runner.reconcile.passes",
    "runner.spec.config",
    "runner.spec.document",
    "runner.spec.load",
    "sqlite_utils",
)
"""What the command would import while it runs."""

ON_DISK = ("fsync", "replace", "rename", "unlink", "symlink")


class Countdown:
    """Kills this process at the n-th step, counted from 0."""

    def __init__(self, number: int, moment: str) -> None:
        self._left = number
        self._before = moment == "before"

    def around(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """Return `step`, deadly when its turn has come."""

        def deadly(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 -- any step at all
            turn, self._left = self._left, self._left - 1
            if turn == 0 and self._before:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return step(*arguments, **options)
            finally:
                if turn == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        return deadly


def arm(kind: str, moment: str, number: int) -> None:
    """Make the n-th step of a kind deadly."""
    countdown = Countdown(number, moment)
    if kind == "disk":
        for name in ON_DISK:
            setattr(os, name, countdown.around(getattr(os, name)))
        return
    commit = countdown.around(sqlite3.Connection.execute)

    class Connection(sqlite3.Connection):
        def execute(self, sql: str, /, *parameters: Any) -> sqlite3.Cursor:  # noqa: ANN401
            run = commit if sql == "COMMIT" else sqlite3.Connection.execute
            cursor: sqlite3.Cursor = run(self, sql, *parameters)
            return cursor

    connect = sqlite3.connect

    def connect_deadly(*arguments: Any, **options: Any) -> sqlite3.Connection:  # noqa: ANN401
        return connect(*arguments, factory=Connection, **options)

    sqlite3.connect = connect_deadly  # type: ignore[assignment]


def become(order: Mapping[str, Any]) -> int:
    """Be the command: its folder, environment, streams, arguments; return its exit code."""
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    for number, name in ((0, os.devnull), (1, order["out"]), (2, order["err"])):
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.argv = ["runner", *order["arguments"]]
    if order["step"] is not None:
        arm(**order["step"])
    try:
        command()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 -- what the interpreter itself would do
        traceback.print_exc()
    return 1


def main() -> None:
    """Take orders until there are no more."""
    for name in LOADED:
        importlib.import_module(name)
    shapes.config_adapter()
    shapes.spec_adapter()
    orders, endings = sys.stdin, sys.stdout
    for line in orders:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            code = become(order)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        print(pid, file=endings, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), file=endings, flush=True)


if __name__ == "__main__":
    main()
