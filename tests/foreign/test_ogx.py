"""OGX, once Llama Stack: it carries batches out itself and asks a model server about each row."""

from __future__ import annotations

import json
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.mishaps import set_clock
from tests.faults.project import until
from tests.foreign.flow import CHAT, WAITING, Flow, ids, line, project_at, results
from tests.foreign.servers import INSTALLED, Foreign, free_port, running, settling
from tests.foreign.upstream import BROKEN, EMBEDDER, HELD, MODEL, REFUSED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.launching import Launcher
    from tests.foreign.upstream import Upstream

pytestmark = pytest.mark.foreign


def configuration(folder: Path, upstream: Upstream, port: int) -> dict[str, Any]:
    """Describe a stack of files, batches and one model server, with all its state in a folder."""
    tables = {"backend": "sql_default"}
    return {
        "version": 2,
        "distro_name": "foreign",
        "apis": ["batches", "files", "inference"],
        "providers": {
            "inference": [
                {
                    "provider_id": "upstream",
                    "provider_type": "remote::vllm",
                    "config": {"base_url": upstream.base_url, "api_token": "none"},
                }
            ],
            "files": [
                {
                    "provider_id": "files",
                    "provider_type": "inline::localfs",
                    "config": {
                        "storage_dir": str(folder / "files"),
                        "metadata_store": {"table_name": "files_metadata", **tables},
                    },
                }
            ],
            "batches": [
                {
                    "provider_id": "reference",
                    "provider_type": "inline::reference",
                    "config": {"sqlstore": {"table_name": "batches", **tables}},
                }
            ],
        },
        "storage": {
            "backends": {
                "kv_default": {"type": "kv_sqlite", "db_path": str(folder / "kv.db")},
                "sql_default": {"type": "sql_sqlite", "db_path": str(folder / "sql.db")},
            },
            "stores": {
                "metadata": {"namespace": "registry", "backend": "kv_default"},
                "inference": {"table_name": "inference_store", **tables},
                "conversations": {"table_name": "conversations", **tables},
                "prompts": {"table_name": "prompts", **tables},
            },
        },
        "registered_resources": {
            "models": [
                {
                    "model_id": EMBEDDER,
                    "provider_id": "upstream",
                    "provider_model_id": EMBEDDER,
                    "model_type": "embedding",
                    "metadata": {"embedding_dimension": 3},
                }
            ]
        },
        "server": {"host": "127.0.0.1", "port": port},
    }


@contextmanager
def ogx(
    folder: Path, upstream: Upstream, port: int, end: signal.Signals = signal.SIGTERM
) -> Iterator[Foreign]:
    """Run it with its state in a folder. JSON is YAML."""
    folder.mkdir(exist_ok=True)
    (folder / "run.yaml").write_text(json.dumps(configuration(folder, upstream, port)))
    command = [INSTALLED / "ogx/bin/ogx", "run", "--insecure", "run.yaml"]
    with running(command, folder, f"http://127.0.0.1:{port}/v1", end=end) as client:
        yield Foreign(
            client=client,
            model=f"upstream/{MODEL}",
            embedder=f"upstream/{EMBEDDER}",
            settle=settling(client),
            upstream=upstream,
        )


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Foreign]:
    with ogx(tmp_path_factory.mktemp("ogx"), upstream, free_port()) as foreign:
        yield foreign


class TestOgx(Flow):
    def test_rows_that_fail_are_told_apart_from_those_that_do_not(
        self, foreign: Foreign, upstream: Upstream, tmp_path: Path
    ) -> None:
        texts = ["fine 0", f"{REFUSED} 1", f"{BROKEN} 2", "fine 3"]
        lines = [line(f"f-{n}", CHAT, foreign.model, text) for n, text in enumerate(texts)]
        project = project_at(tmp_path, foreign, chat=lines)

        end = project.run(*WAITING)

        assert end.code == 1, end
        answered = results(project, "chat")
        assert list(answered) == ["f-0", "f-3"]
        assert "You said: fine 3" in json.dumps(answered["f-3"]["response"])
        failed = results(project, "chat", "errors.jsonl")
        assert {name: row["error"]["message"] for name, row in failed.items()} == {
            "f-1": "Error code: 400 - this prompt is refused",
            "f-2": "Error code: 500 - this prompt breaks the model",
        }
        assert upstream.asked().count("fine 0") == upstream.asked().count("fine 3") == 1

        assert project.run("retry", "chat").code == 0
        assert project.run(*WAITING).code == 1
        assert list(results(project, "chat")) == ["f-0", "f-3"]
        assert upstream.asked().count("fine 0") == upstream.asked().count("fine 3") == 1
        assert upstream.asked().count(f"{REFUSED} 1") == 2


def test_a_batch_that_the_server_forgot_is_given_up_and_the_rest_kept(
    upstream: Upstream, launcher: Launcher, tmp_path: Path
) -> None:
    # When it was killed it goes on with no batch, and ends no cancellation.
    port = free_port()
    clock = tmp_path / "clock"
    set_clock(clock, 0)
    texts = [*(f"early {n}" for n in range(3)), f"{HELD} 3", "late 4"]
    with upstream.holding(), ogx(tmp_path / "ogx", upstream, port, signal.SIGKILL) as foreign:
        lines = [line(f"k-{n}", CHAT, foreign.model, text) for n, text in enumerate(texts)]
        project = project_at(tmp_path / "project", foreign, job=lines)
        assert launcher.run(project, "reconcile").code == 0
        until(lambda: f"{HELD} 3" in upstream.asked())
        assert launcher.run(project, "reconcile").code == 0

    with ogx(tmp_path / "ogx", upstream, port) as foreign:
        assert launcher.run(project, "reconcile").code == 0
        assert launcher.run(project, "cancel", "job").code == 0
        assert launcher.run(project, "reconcile").code == 0
        set_clock(clock, 26 * 3600.0)
        given_up = launcher.run(project, "reconcile", clock=clock)
        assert "is overdue: cancelling" in given_up.err
        assert "cancelled: 3 of 5 requests succeeded, 2 failed" in given_up.err

        retried = launcher.run(project, "retry", "job", clock=clock)
        assert retried.code == 0, retried
        end = launcher.run(project, *WAITING, clock=clock)
        assert end.code == 0, end

    assert list(results(project, "job")) == ids(lines)
    asked = upstream.asked()
    assert [asked.count(text) for text in texts] == [1, 1, 1, 2, 2]
