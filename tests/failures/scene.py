"""Helpers of these tests: reading a project's state, and providers with a dialect of their own."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from runner.ledger import run_transitions
from runner.ledger.store import Ledger
from runner.reconcile.run_lifecycle import reopen
from tests.simulation.exchange import Content
from tests.simulation.replies import json_reply
from tests.simulation.world import VirtualClock, World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from runner.ledger.records import Event, Run
    from tests.simulation.behaviour import Behaviour, Behaviours, Conditions
    from tests.simulation.exchange import Request, Response
    from tests.simulation.site import Site

Retell: TypeAlias = "Callable[[Request, Response], Response]"

LOOPBACK = "http://127.0.0.1:9/v1"
REMOTE = "https://api.example.com/v1"
"""Where patience is counted in minutes; no test ever connects to it."""


class Dialect(World):
    """A provider whose every answer is retold on its way out."""

    def __init__(
        self,
        retell: Retell,
        *,
        behaviour: Behaviours | Behaviour | None = None,
        conditions: Conditions | None = None,
    ) -> None:
        super().__init__(VirtualClock(), behaviour=behaviour, conditions=conditions)
        self.retell = retell

    def handle(self, request: Request) -> Response:
        return self.retell(request, super().handle(request))


class Gateway:
    """Replaces the content of the output file for as long as `broken`, and says no sizes."""

    def __init__(self, change: Callable[[bytes], bytes]) -> None:
        self.change = change
        self.broken = True

    def __call__(self, request: Request, response: Response) -> Response:
        if request.method != "GET" or not request.path.startswith("/files/"):
            return response
        if not request.path.endswith("/content"):
            return json_reply(response.document() | {"bytes": None}, response.status)
        if not self.broken or response.status != 200:
            return response
        return replace(response, body=Content.of(self.change(response.body.whole())))


def each_line(change: Callable[[dict[str, object]], object]) -> Callable[[bytes], bytes]:
    def changed(content: bytes) -> bytes:
        lines = [json.loads(line) for line in content.splitlines()]
        for line in lines:
            change(line)
        return b"".join(json.dumps(line).encode() + b"\n" for line in lines)

    return changed


def each_batch(change: Callable[[dict[str, Any]], None]) -> Retell:
    """Retell every Batch object, alone or in a list."""

    def retell(request: Request, response: Response) -> Response:
        if not request.path.startswith("/batches") or response.status != 200:
            return response
        document = response.document()
        for batch in document["data"] if document["object"] == "list" else [document]:
            change(batch)
        return json_reply(document)

    return retell


def ids(count: int = 6) -> list[str]:
    """Return the custom_ids of a site with so many requests."""
    return [f"r{number}" for number in range(count)]


def latest(site: Site, name: str, job: str = "job") -> Path:
    """Return the path of a result file of a job's latest run."""
    return site.root / "outputs" / job / "latest" / name


def error_lines(site: Site, job: str = "job") -> dict[str, Any]:
    """Return errors.jsonl by custom_id."""
    lines = latest(site, "errors.jsonl", job).read_bytes().split(b"\n")
    documents = [json.loads(line) for line in lines if line]
    return {document["custom_id"]: document for document in documents}


def final_files(site: Site) -> list[str]:
    """Return the names of all result files that bear their final names, raw ones included."""
    return sorted(
        str(path.relative_to(site.root / "outputs"))
        for path in (site.root / "outputs").rglob("*.jsonl")
        if path.is_file() and "latest" not in path.parts
    )


def known(site: Site) -> Run:
    """Return what the ledger knows of the only run, in the middle of a pass as well."""
    ledger = Ledger.open_read_only(site.root / ".runner/ledger.db", clock=site.clock)
    assert ledger is not None
    with ledger:
        [run] = ledger.runs()
        return ledger.run(run.id)


def history(site: Site, kind: str, job: str = "job") -> list[Event]:
    """Return the events of one kind in a job's history."""
    ledger = Ledger.open_read_only(site.root / ".runner/ledger.db", clock=site.clock)
    assert ledger is not None
    with ledger:
        return [event for event in ledger.events(job) if event.kind == kind]


def ask_again(site: Site) -> None:
    """Do what `runner retry` does before its pass."""
    with site.context() as (context, _specs):
        [run] = context.ledger.runs()
        reopen(context, run, next_round=True, attempts=3)


def cancel(site: Site) -> None:
    """Do what `runner cancel` does before its pass."""
    with Ledger.open(site.root / ".runner/ledger.db", clock=site.clock) as ledger:
        [run] = ledger.runs()
        run_transitions.request_cancel(ledger, run)


def asked(site: Site) -> list[tuple[str, ...]]:
    """Return the custom_ids of each batch ever created, in the order of creation."""
    return [batch.rows for batch in site.world.submissions()]


def told(site: Site) -> str:
    """Return all that passes have said."""
    return "\n".join(site.told)


def refuse_to_sync_folders(monkeypatch: pytest.MonkeyPatch, number: int) -> list[int]:
    """Let no folder be synced; return a list that grows by one for each that was to be."""
    refused: list[int] = []
    sync_whole = os.fsync

    def sync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            refused.append(descriptor)
            raise OSError(number, "no folders here")
        sync_whole(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    return refused


def refuse_hard_links(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def link(source: object, target: object, **_options: object) -> NoReturn:
        raise OSError(number, "no links here", str(source), None, str(target))

    monkeypatch.setattr(os, "link", link)
