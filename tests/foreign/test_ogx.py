"""OGX, once Llama Stack: it carries batches out itself and asks a model server about each row."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.foreign.flow import CHAT, WAITING, Flow, line, project_at, results
from tests.foreign.servers import INSTALLED, Foreign, free_port, running, settling
from tests.foreign.upstream import BROKEN, EMBEDDER, MODEL, REFUSED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Foreign]:
    folder = tmp_path_factory.mktemp("ogx")
    port = free_port()
    # JSON is YAML.
    (folder / "run.yaml").write_text(json.dumps(configuration(folder, upstream, port)))
    command = [INSTALLED / "ogx/bin/ogx", "run", "--insecure", "run.yaml"]
    with running(command, folder, f"http://127.0.0.1:{port}/v1") as client:
        yield Foreign(
            client=client,
            model=f"upstream/{MODEL}",
            embedder=f"upstream/{EMBEDDER}",
            settle=settling(client),
            upstream=upstream,
        )


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
