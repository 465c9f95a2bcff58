"""OpenAI's SDK for Node.js on the server of the provider `local`.

That for Python is what `tests/local` asks the same server with.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from runner.local.provider import LocalProvider
from tests.faults.project import PATIENCE
from tests.foreign.servers import INSTALLED

pytestmark = pytest.mark.foreign

SCRIPT: Final = Path(__file__).with_name("sdk.mjs")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with LocalProvider(tmp_path_factory.mktemp("state")) as provider:
        done = subprocess.run(
            ["node", SCRIPT, provider.base_url, provider.api_key.reveal()],
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "INSTALLED": str(INSTALLED / "node/package.json"),
            },
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    decoded = json.loads(done.stdout)
    assert isinstance(decoded, dict)
    return decoded


def test_batches_end_with_their_rows(told: dict[str, Any]) -> None:
    assert [batch["status"] for batch in told["batches"]] == ["completed"] * 3
    assert [batch["metadata"] for batch in told["batches"]] == [{"project": "acl"}] * 3
    chat, embeddings, none = told["answers"]
    contents = {
        row["custom_id"]: row["response"]["body"]["choices"][0]["message"]["content"]
        for row in chat
    }
    assert contents == {"a": "one", "b": "two"}
    assert len(embeddings[0]["response"]["body"]["data"][0]["embedding"]) > 1
    assert none == []
    [failed] = told["failures"][2]
    assert (failed["custom_id"], failed["response"]["status_code"]) == ("d", 400)


def test_lists_are_walked_page_by_page(told: dict[str, Any]) -> None:
    assert told["listed"] == [batch["id"] for batch in reversed(told["batches"])]
    assert set(told["files"]) == {batch["input_file_id"] for batch in told["batches"]}


def test_refusals_are_errors_of_the_sdk(told: dict[str, Any]) -> None:
    assert told["deleted"]["deleted"] is True
    names = {key: told[key]["name"] for key in ("unknown", "ended", "wrong")}
    assert names == {
        "unknown": "NotFoundError",
        "ended": "ConflictError",
        "wrong": "BadRequestError",
    }
    assert "batch_unknown" in told["unknown"]["message"]
