"""A proxy in front of a real server, at which faults are injected.

To the tests it is a provider of the simulation: the same faults, the same log. The requests
themselves are handled by the provider `local`, or a server that others wrote, over another
connection.
"""

from __future__ import annotations

import signal
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from runner.local.provider import LocalProvider
from tests.faults.project import KEY, PATIENCE, WAITING, Project, lines_in
from tests.faults.worlds import Killer
from tests.simulation.exchange import Content, Response
from tests.simulation.faults import never
from tests.simulation.http import serve
from tests.simulation.scene import request_line
from tests.simulation.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.faults.launching import Launcher
    from tests.faults.sweeping import Sweep
    from tests.simulation.exchange import Request
    from tests.simulation.http import Server


class Relay(World):
    """A provider that passes each request on. Batches have ended when they are polled.

    So a run takes the same exchanges on a fast machine as on a slow one.
    """

    def __init__(self, home: Home) -> None:
        super().__init__(time.time, key=KEY)
        self._home = home

    def handle(self, request: Request) -> Response:
        if request.method == "GET":
            self._home.settle()
        reply = self._home.ask(request)
        kind = reply.headers.get("content-type", "application/octet-stream")
        return Response(
            status=reply.status_code,
            headers={"content-type": kind},
            body=Content.of(reply.content),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """A client of the server itself, without faults.

    `settle` waits until its batches have ended. `model` answers whatever it is asked. `headers` are
    sent with each request.
    """

    settle: Callable[[], None]
    client: httpx.Client
    model: str = "echo"
    lists_files: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)

    def ask(self, request: Request) -> httpx.Response:
        """Carry out one request and return what the server said."""
        form, files = None, None
        kind = {"content-type": "application/json"} if request.body else {}
        if request.form is not None:
            form = dict(request.form.fields)
            upload = request.form.file
            assert upload is not None
            files = {"file": (upload.filename, upload.content.whole(), upload.content_type)}
        return self.client.request(
            request.method,
            quote(request.path),
            params=dict(request.query),
            content=request.body or None,
            headers={**self.headers, **kind},
            data=form,
            files=files,
        )

    def batches(self) -> list[dict[str, Any]]:
        """Return every batch there is."""
        return self._listed("/batches")

    def check_asked_once(self, asked: Sequence[str], *, batches: int) -> None:
        """Assert that each of these requests is in one batch, and each of the files there once."""
        batched = [(batch["input_file_id"], self._rows(batch)) for batch in self.batches()]
        mine = [(file, ids) for file, ids in batched if set(ids) & set(asked)]
        assert len(mine) == batches
        assert sorted(row for _, ids in mine for row in ids) == sorted(asked)
        if self.lists_files:
            files = self._listed("/files", purpose="batch")
            runs = {_run_of(file) for file in files if file["id"] in dict(mine)}
            names = [file["filename"] for file in files if _run_of(file) in runs]
            assert len(names) == len(set(names)), sorted(names)

    def _rows(self, batch: dict[str, Any]) -> list[str]:
        return lines_in(self.client.get(f"/files/{batch['input_file_id']}/content").content)

    def _listed(self, path: str, **query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        more = True
        while more:
            after = {"after": found[-1]["id"]} if found else {}
            page = self.client.get(path, params={"limit": "100", **query, **after}).json()
            found += page["data"]
            more = page.get("has_more", False)
        return found


def _run_of(file: dict[str, Any]) -> str:
    """Return what the names of all input files of a run begin with: job and revision."""
    name = file["filename"]
    assert isinstance(name, str)
    return name.rsplit("-", 2)[0]


@contextmanager
def at_home(state: Path) -> Iterator[Home]:
    """Run the server for as long as the block lasts."""
    with (
        LocalProvider(state) as provider,
        closing(
            httpx.Client(
                base_url=provider.base_url,
                headers={"Authorization": f"Bearer {provider.api_key.reveal()}"},
                verify=False,
                trust_env=False,
                timeout=30,
            )
        ) as client,
    ):

        def settle() -> None:
            assert provider.work(PATIENCE)

        yield Home(settle=settle, client=client)


ROWS = 6
A_SHARD = 3
LEAST = 10
"""Calls without which two batches are not uploaded, created, looked at and fetched."""
TRIED = count()
"""A point may be tried again, at a server with another address: that asks something else."""


def asked(name: str) -> list[str]:
    """Return the custom_ids of the project of this name."""
    return [f"{name}-{number}" for number in range(ROWS)]


def project_at(folder: Path, name: str, server: Server, home: Home) -> Project:
    """Make a project with requests of its own: all projects share one provider."""
    project = Project.at(folder / name, server, a_shard=A_SHARD)
    lines = [request_line(each, model=home.model) for each in asked(name)]
    project.write("requests.jsonl", b"".join(lines))
    return project


def check_whole(launcher: Launcher, project: Project, home: Home, relay: Relay, name: str) -> None:
    """Assert that the job has ended: everything submitted once and succeeded, nothing left over."""
    project.check_results(asked(name))
    home.check_asked_once(asked(name), batches=ROWS // A_SHARD)
    launcher.check_idle(project, relay)
    project.check_ledger()
    assert project.litter() == []


def kill_at_every_exchange(
    launcher: Launcher,
    folder: Path,
    home: Home,
    sweep: Sweep,
    *,
    acted: bool,
    go_on: Callable[[Project], object] | None = None,
) -> None:
    """Kill the command at each of its exchanges in turn, and go on: with single passes, or so."""
    go_on = go_on or launcher.until_final

    def die_at(number: int) -> bool:
        relay = Relay(home)
        relay.faults = killer = Killer(number, acted=acted)
        with serve(relay) as server:
            name = f"n{number}-{next(TRIED)}"
            project = project_at(folder, name, server, home)
            killed = launcher.run(project, *WAITING, started=killer.pid.set_result)
            relay.faults = never
            assert killed.code in (0, -signal.SIGKILL), killed
            go_on(project)
            check_whole(launcher, project, home, relay, name)
        return killed.code != 0

    clean = Relay(home)
    with serve(clean) as server:
        launcher.finish(project_at(folder, f"clean-{next(TRIED)}", server, home))
    assert len(clean.requests) >= LEAST
    sweep(len(clean.requests), die_at)
