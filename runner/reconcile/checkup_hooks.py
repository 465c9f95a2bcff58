"""What could keep people from being told: hooks, the ping and the file of metrics.

Nothing is sent and nobody is run; `runner notify --test` does that. No address is part of a
finding, only where it comes from. A pass does its work without any of them, so none is a failure.
"""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from typing import TYPE_CHECKING

from runner.errors import NotDelivered
from runner.extras import how_to_install
from runner.reconcile.checkup import ok, warn
from runner.spec.hooks import Chat, Command

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runner.reconcile.checkup import Finding
    from runner.spec.hooks import Address, Hook
    from runner.spec.project import Project


def check_hooks(project: Project, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Look at whom the project tells; nothing is found where it tells nobody."""
    if project.hooks:
        found = [(hook, _hook(hook, environ)) for hook in project.hooks]
        missing = [f"{hook}: {problem}" for hook, problem in found if problem is not None]
        if missing:
            yield warn(
                "notify",
                "; ".join(missing),
                "mend that; cron has an environment of its own. `runner notify --test` then sends "
                "a sample to each",
            )
        else:
            names = ", ".join(map(str, project.hooks))
            yield ok("notify", f"{names}; `runner notify --test` sends a sample")
    if project.ping is not None:
        problem = _address(project.ping, environ)
        if problem is None:
            yield ok("ping", f"to the URL in {project.ping}; it is not shown")
        else:
            yield warn("ping", problem, "mend that, or no check hears of passes")
    if project.metrics is not None:
        path = project.metrics
        if path.exists() and not path.is_file():
            yield warn("metrics", f"{path} is no file", "name another one in runner.yaml")
        else:
            yield ok("metrics", f"in {path}, written by each pass")


def _hook(hook: Hook, environ: Mapping[str, str]) -> str | None:
    """Say what a hook lacks; None where that is nothing."""
    way = hook.way
    if isinstance(way, Command):
        program = way.arguments[0]
        if "/" in program:
            program = os.fspath(way.folder / program)
        there = shutil.which(program, path=environ.get("PATH", os.defpath))
        return None if there else "there is no such program, or it may not be run"
    if isinstance(way, Chat) and find_spec("apprise") is None:
        return f"e-mail and chats need apprise: {how_to_install('notify')}"
    return _address(way.address, environ)


def _address(address: Address, environ: Mapping[str, str]) -> str | None:
    try:
        address.read(environ)
    except NotDelivered as error:
        return str(error)
    return None
