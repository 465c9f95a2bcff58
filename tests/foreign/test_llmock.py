"""llmock: a mock of many APIs for Python, with faults on demand. It lists no files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.foreign.flow import CHAT, WAITING, Flow, ids, line, project_at, results
from tests.foreign.servers import INSTALLED, Foreign, free_port, running, settling

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.foreign

IN_A_HURRY: Final = """\
from llmock.cli import app
from llmock.routers import batch

batch._BATCH_DELAY = 0.1
app()
"""
"""It lets each batch take three seconds, which no option changes."""


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreign]:
    port = free_port()
    command = [INSTALLED / "llmock/bin/python", "-c", IN_A_HURRY, "serve"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    folder = tmp_path_factory.mktemp("llmock")
    with running(command, folder, f"http://127.0.0.1:{port}/v1") as client:
        yield Foreign(
            client=client,
            model="model-a",
            embedder="model-b",
            settle=settling(client),
            lists_files=False,
        )


class TestLlmock(Flow):
    def test_its_verdict_on_how_errors_are_met(self, foreign: Foreign, tmp_path: Path) -> None:
        control = foreign.base_url.removesuffix("/v1") + "/_llmock"
        lines = [line(f"f-{n}", CHAT, foreign.model, f"chat {n}") for n in range(6)]
        project = project_at(tmp_path, foreign, job=lines)
        faults: list[dict[str, Any]] = [
            {"type": "fail", "status": 429, "retry_after": 1, "match": {"path": "/v1/files"}},
            {"type": "fail", "status": 503, "match": {"path": "/v1/files"}},
            {"type": "fail", "status": 429, "retry_after": 1, "match": {"path": "/v1/batches"}},
            {"type": "fail", "status": 500, "match": {"path": "/v1/batches"}},
            {"type": "fail", "status": 502, "times": 2, "match": {"path": "/v1/batches/*"}},
            {"type": "fail", "status": 500, "match": {"path": "/v1/files/*/content"}},
        ]

        foreign.client.post(f"{control}/reset").raise_for_status()
        foreign.client.post(f"{control}/scenario", json={"behaviors": faults}).raise_for_status()
        end = project.run(*WAITING)

        assert end.code == 0, end
        assert foreign.client.get(f"{control}/scenario").json()["pending"] == []
        verdict = foreign.client.get(f"{control}/verdict").json()
        assert verdict["faults_injected"] == sum(fault.get("times", 1) for fault in faults)
        assert [each for each in verdict["findings"] if each["severity"] == "error"] == []
        assert list(results(project, "job")) == ids(lines)
        foreign.check_asked_once(ids(lines), batches=2)

    def test_a_batch_of_which_every_row_failed(self, foreign: Foreign, tmp_path: Path) -> None:
        # Such a batch is `failed` here, and has an error file.
        lines = [
            {**line(f"u-{n}", CHAT, foreign.model, "one"), "url": "/v1/completions"}
            for n in range(2)
        ]
        for each in lines:
            each["body"] = {"model": foreign.model, "prompt": "one"}
        project = project_at(tmp_path, foreign, job=lines)

        end = project.run(*WAITING)

        assert end.code == 1, end
        failed = results(project, "job", "errors.jsonl")
        assert list(failed) == ids(lines)
        assert {row["error"]["code"] for row in failed.values()} == {"unsupported_endpoint"}
        foreign.check_asked_once(ids(lines), batches=1)
