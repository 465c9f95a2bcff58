"""aimock: a mock of many APIs for Node.js. A batch goes on a step each time it is retrieved."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.faults.project import WAITING
from tests.faults.relay import Relay, asked
from tests.faults.relay import project_at as relayed_project_at
from tests.foreign.flow import CHAT, Flow, ids, line, project_at, results
from tests.foreign.servers import NODE, Foreign, free_port, running
from tests.simulation.http import serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.launching import Launcher

pytestmark = pytest.mark.foreign


@contextmanager
def aimock(folder: Path, *options: str) -> Iterator[Foreign]:
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fixtures.json").write_text('{"fixtures": []}')
    command = ["node", NODE / "@copilotkit/aimock/dist/cli.js", "--port", str(port)]
    command += ["--fixtures", "fixtures.json", *options]
    with running(command, folder, f"http://127.0.0.1:{port}/v1") as client:
        yield Foreign(
            client=client,
            model="model-a",
            embedder="model-b",
            settle=lambda: None,
        )


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreign]:
    with aimock(tmp_path_factory.mktemp("aimock")) as foreign:
        yield foreign


class TestAimock(Flow):
    def test_a_third_of_all_exchanges_fails_in_four_ways(
        self, foreign: Foreign, launcher: Launcher, tmp_path: Path
    ) -> None:
        lines = [line(f"f-{n}", CHAT, foreign.model, f"chat {n}") for n in range(12)]
        project = project_at(tmp_path, foreign, job=lines)
        control = foreign.base_url.removesuffix("/v1") + "/__aimock"
        faults = ("dropRate", "malformedRate", "disconnectRate", "rateLimitRate")

        foreign.client.post(f"{control}/chaos", json=dict.fromkeys(faults, 0.09)).raise_for_status()
        # Hurried: what would be waited for a retry is not waited.
        ends = [launcher.run(project, "reconcile", hurry=0.3) for _ in range(12)]
        foreign.client.delete(f"{control}/chaos").raise_for_status()
        launcher.finish(project)

        assert {end.code for end in ends} <= {0, 1}
        assert [end.err for end in ends if "Traceback" in end.err] == []
        assert list(results(project, "job")) == ids(lines)
        foreign.check_asked_once(ids(lines), batches=4)
        journal = foreign.client.get(f"{control}/journal", params={"service": "batches"}).json()
        assert any(entry["response"].get("chaosAction") for entry in journal)

    @pytest.mark.parametrize(
        ("outcome", "batches", "code"),
        [
            ("failed", 2, "mock_failure"),
            ("expired", 6, "runner_missing"),
            ("cancelled", 6, "runner_missing"),
        ],
    )
    def test_batches_that_end_otherwise(
        self,
        foreign: Foreign,
        launcher: Launcher,
        tmp_path: Path,
        outcome: str,
        batches: int,
        code: str,
    ) -> None:
        # A batch that expired has no result files here, so its rows are resubmitted, thrice in all.
        foreign = replace(foreign, headers={"x-aimock-batch-outcome": outcome})
        with serve(Relay(foreign)) as server:
            project = relayed_project_at(tmp_path, outcome, server, foreign)
            end = launcher.run(project, *WAITING)

        assert end.code == 1, end
        assert results(project, "job") == {}
        failed = results(project, "job", "errors.jsonl")
        assert list(failed) == asked(outcome)
        assert {row["error"]["code"] for row in failed.values()} == {code}
        assert len(project.status()["batches"]) == batches
