"""A proxy in front of the real server of `runner/local`, at which faults are injected.

To the tests it is a provider of the simulation: the same faults, the same log. The requests
themselves are handled by the provider `local`, over another connection.
"""

from __future__ import annotations

import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from runner.local.provider import LocalProvider
from tests.faults.project import KEY, PATIENCE, lines_in
from tests.simulation.exchange import Content, Response
from tests.simulation.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.simulation.exchange import Request


class Relay(World):
    """A provider that passes each request on. Batches have ended when they are polled.

    So a run takes the same exchanges on a fast machine as on a slow one.
    """

    def __init__(self, home: Home) -> None:
        super().__init__(time.time, key=KEY)
        self._home = home

    def handle(self, request: Request) -> Response:
        if request.method == "GET":
            assert self._home.provider.work(PATIENCE)
        reply = self._home.ask(request)
        kind = reply.headers.get("content-type", "application/octet-stream")
        return Response(
            status=reply.status_code,
            headers={"content-type": kind},
            body=Content.of(reply.content),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """A client of the server itself, without faults."""

    provider: LocalProvider
    client: httpx.Client

    def ask(self, request: Request) -> httpx.Response:
        """Carry out one request and return what the server said."""
        form, files = None, None
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
            data=form,
            files=files,
        )

    def batches(self) -> list[dict[str, Any]]:
        """Return every batch there is."""
        return self._listed("/batches")

    def check_asked_once(self, asked: Sequence[str], *, batches: int) -> None:
        """Assert that each of these requests is in one batch, and each of the files there once."""
        mine = [rows for rows in map(self._rows, self.batches()) if set(rows) & set(asked)]
        assert len(mine) == batches
        assert sorted(row for rows in mine for row in rows) == sorted(asked)
        names = [file["filename"] for file in self._listed("/files", purpose="batch")]
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


@contextmanager
def at_home(state: Path) -> Iterator[Home]:
    """Run the server for as long as the block lasts."""
    with (
        LocalProvider(state) as provider,
        closing(
            httpx.Client(base_url=provider.base_url, verify=False, trust_env=False, timeout=30)
        ) as client,
    ):
        yield Home(provider=provider, client=client)
