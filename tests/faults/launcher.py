"""Run the command many times, each time in a process of its own, without its start-up.

    launcher.py < ORDERS > WORD

A sweep over some hundred crashes would spend all of its time on imports. So this process imports
what the command needs, once, and forks: the child is a process like any other, with its own
files, locks and sockets, and it can be killed. An order is a line of JSON (`Launcher.start` in
`launching.py`). The output for it is the child's pid and, when it has ended, the kilobytes of
memory it needed and its exit code, a line each. Several children may run at the same time.

The faults that an order may inject are in `mishaps.py`.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any

# Before anything of runner: it binds the clock of this machine when it is imported.
from tests.faults.mishaps import Clock, Countdown, hurry

if TYPE_CHECKING:
    from collections.abc import Mapping

LOADED = (
    "encodings.idna",
    "h11",
    "httpcore",
    "httpx",
    "runner.api.client",
    "runner.cli.commands.cancel",
    "runner.cli.commands.plan",
    "runner.cli.commands.reconcile",
    "runner.cli.commands.retry",
    "runner.cli.commands.validate",
    "runner.cli.console",
    "runner.inputs.extract",
    "runner.inputs.custom_ids",
    "runner.inputs.scan",
    "runner.ledger.store",
    "runner.local.app",
    "runner.local.provider",
    "runner.local.provider",
    "runner.local.worker",
    "runner.outputs.publish",
    "runner.outputs.record",
    "runner.reconcile.finish",
    "runner.reconcile.passes",
    "runner.spec.config",
    "runner.spec.yaml.documents",
    "runner.spec.load",
    "sqlite_utils",
)
"""What the command would import while it runs."""

CLOCK = Clock()


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
    if order["clock"] is not None:
        CLOCK.follow(order["clock"])
    if order["hurry"] is not None:
        hurry(order["hurry"])
    countdown = None
    if order["step"] is not None:
        countdown = Countdown(**order["step"])
        countdown.begin(order["folder"])
    command = importlib.import_module("runner.cli").main
    code = 1
    try:
        command()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 -- what the interpreter itself would do
        traceback.print_exc()
    if countdown is not None:
        countdown.write(order["steps"])
    return code


def keep(order: Mapping[str, Any]) -> None:
    """Have a child carry out an order, and send word of it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        code = become(order)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    send(order["number"], "began", pid)
    _, status, used = os.wait4(pid, 0)
    send(order["number"], "needed", used.ru_maxrss)
    send(order["number"], "ended", os.waitstatus_to_exitcode(status))
    os._exit(0)


def send(number: int, what: str, value: int) -> None:
    """Write one line of word; so short a one is never mixed with another's."""
    os.write(1, f"{number} {what} {value}\n".encode())


def main() -> None:
    """Take orders until there are no more."""
    for name in LOADED:
        importlib.import_module(name)
    shapes = importlib.import_module("runner.spec.schema")
    shapes.config_adapter()
    shapes.spec_adapter()
    gc.collect()
    gc.freeze()  # what is here already is never looked through again, and so not copied
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who keep an order
    for line in sys.stdin:
        if os.fork() == 0:
            keep(json.loads(line))


if __name__ == "__main__":
    main()
