"""What runner goes through with every foreign batch server: the tests that each has in common."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import cycle
from typing import TYPE_CHECKING, Any, Final

from tests.faults.project import Project, lines_in
from tests.faults.relay import kill_at_every_exchange
from tests.faults.test_lost_ledger import LOSSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from tests.faults.launching import Launcher
    from tests.faults.sweeping import Sweep
    from tests.foreign.servers import Foreign

WAITING: Final = ("reconcile", "--wait", "--poll-interval", "0.1")
CHAT: Final = "/v1/chat/completions"
EMBEDDINGS: Final = "/v1/embeddings"


def line(custom_id: str, endpoint: str, model: str, text: str) -> dict[str, Any]:
    """Make the request that asks a model about a text."""
    messages = [{"role": "user", "content": text}]
    body = {"messages": messages} if endpoint == CHAT else {"input": text}
    return {
        "custom_id": custom_id,
        "method": "POST",
        "url": endpoint,
        "body": {"model": model, **body},
    }


def project_at(folder: Path, foreign: Foreign, **jobs: Sequence[dict[str, Any]]) -> Project:
    """Make a project with these jobs, three requests a batch, at the server's own address."""
    project = Project(root=folder)
    project.write(
        "runner.yaml",
        f"providers:\n  openai:\n    base_url: {foreign.base_url}\n    adoption_grace: 0.1\n"
        "    max_requests_per_batch: 3\n",
    )
    if foreign.key is not None:
        project.environment["OPENAI_API_KEY"] = foreign.key
    for name, lines in jobs.items():
        endpoint = lines[0]["url"]
        project.write(f"specs/{name}.yaml", f"endpoint: {endpoint}\ninput: {name}.jsonl\n")
        project.write(f"{name}.jsonl", "".join(json.dumps(each) + "\n" for each in lines))
    return project


def results(project: Project, job: str, file: str = "output.jsonl") -> dict[str, dict[str, Any]]:
    """Return the lines of a final file by their custom_ids."""
    content = (project.root / "outputs" / job / "latest" / file).read_bytes()
    names = lines_in(content)
    assert len(names) == len(set(names))
    return dict(zip(names, map(json.loads, content.splitlines()), strict=True))


class Flow:
    """The tests. A class of a server inherits them; its module has the fixture `foreign`."""

    def test_two_endpoints_in_several_batches(self, foreign: Foreign, tmp_path: Path) -> None:
        chat = [line(f"c-{n}", CHAT, foreign.model, f"chat {n}") for n in range(7)]
        embeddings = [line(f"e-{n}", EMBEDDINGS, foreign.embedder, f"text {n}") for n in range(5)]
        project = project_at(tmp_path, foreign, chat=chat, embeddings=embeddings)

        end = project.run(*WAITING)

        assert end.code == 0, end
        for job, lines, batches in (("chat", chat, 3), ("embeddings", embeddings, 2)):
            asked = ids(lines)
            assert list(results(project, job)) == asked
            assert results(project, job, "errors.jsonl") == {}
            foreign.check_asked_once(asked, batches=batches)
        again = project.run("reconcile")
        assert (again.code, again.out, again.err) == (0, "", "")
        project.check_nothing_secret(end, again)

    def test_the_doctor_finds_nothing_wrong(self, foreign: Foreign, tmp_path: Path) -> None:
        project = project_at(tmp_path, foreign, chat=[line("c", CHAT, foreign.model, "chat")])

        told = project.run("doctor", "--provider", "openai")

        assert told.code == 0, told
        assert "responds, accepts the API key, lists its batches" in told.out

    def test_a_death_at_any_exchange(
        self, foreign: Foreign, launcher: Launcher, memory_path: Path, sweep: Sweep
    ) -> None:
        kill_at_every_exchange(launcher, memory_path, foreign, sweep, acted=False)

    def test_the_ledger_is_lost_with_the_process_at_any_exchange(
        self, foreign: Foreign, launcher: Launcher, memory_path: Path, sweep: Sweep
    ) -> None:
        losses = cycle(LOSSES)

        def lose_and_go_on(project: Project) -> None:
            next(losses)(project)
            launcher.finish(project)

        # A second file may be there, and costs nothing: who sent the first one was lost.
        without_files = replace(foreign, lists_files=False)
        kill_at_every_exchange(
            launcher, memory_path, without_files, sweep, acted=True, go_on=lose_and_go_on
        )


def ids(lines: Iterable[dict[str, Any]]) -> list[str]:
    """Return the custom_ids of these requests."""
    return [each["custom_id"] for each in lines]
