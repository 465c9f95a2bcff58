"""An account at the benchmarks' provider: a separate server process for each measurement."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Self

from benchmarks.rows import ROOT

if TYPE_CHECKING:
    from pathlib import Path


class Account:
    """An empty account with prepared answers; leaving the context ends its server.

    `folder` holds its files; `answers`, if given, is linked into it.
    """

    def __init__(self, folder: Path, *, answers: Path | None = None) -> None:
        folder.mkdir(parents=True)
        if answers is not None:
            (folder / "answers").symlink_to(answers)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.provider", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment(),
        )
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())
        self.url = f"http://127.0.0.1:{self._port}/v1"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def counters(self) -> dict[str, float]:
        """Return the number of requests so far, by kind, and the processor seconds as `cpu`."""
        counters: dict[str, float] = self._exchange("GET", None)
        return counters

    def hold(self, *, held: bool) -> None:
        """Keep batches in progress from now on, or complete them."""
        self._exchange("POST", {"held": held})

    def finish(self) -> str:
        """Complete the newest batch and return the id of its output file."""
        newest: str = self._exchange("GET", None, "/v1/batches?limit=1")["data"][0][
            "output_file_id"
        ]
        return newest

    def _exchange(self, method: str, body: object, path: str = "/benchmark") -> Any:  # noqa: ANN401
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


def environment(**more: str) -> dict[str, str]:
    """Return the environment of every process: without other API keys, without a proxy.

    Settings of Python are left out too: PYTHONDONTWRITEBYTECODE would have runner compiled again in
    each process, and PYTHONPATH or PYTHONDEVMODE would change what is measured.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy")
        and not name.startswith(("OPENAI_", "RUNNER_", "PYTHON"))
    }
    return kept | {"NO_PROXY": "*", "OPENAI_API_KEY": "benchmark"} | more
