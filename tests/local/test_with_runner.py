"""A job that runner submitted to `local`, seen through the official SDK."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import openai

from runner.local.provider import LocalProvider
from tests.simulation.scene import request_lines

if TYPE_CHECKING:
    from pathlib import Path

RUNNER = (sys.executable, "-c", "from runner.cli import main; main()")


def test_the_official_sdk_finds_what_runner_submitted(tmp_path: Path) -> None:
    lines = request_lines(5).replace(b"gpt-4o-mini", b"echo")
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs/job.yaml").write_text(
        "endpoint: /v1/chat/completions\ninput: in.jsonl\nprovider: local\n"
        "metadata: {project: acl}\n"
    )
    (tmp_path / "in.jsonl").write_bytes(lines)
    subprocess.run([*RUNNER, "reconcile", "--wait"], cwd=tmp_path, check=True, timeout=60)

    with (
        LocalProvider(tmp_path / ".runner/local") as local,
        openai.OpenAI(
            base_url=local.base_url, api_key=local.api_key.reveal(), max_retries=0
        ) as client,
    ):
        [listed] = client.batches.list().data
        batch = client.batches.retrieve(listed.id)
        assert (batch.status, batch.endpoint) == ("completed", "/v1/chat/completions")
        assert batch.metadata is not None
        assert batch.metadata["project"] == "acl"
        assert batch.metadata["runner"].startswith("job/")
        assert client.files.content(batch.input_file_id).read() == lines
        assert client.files.retrieve(batch.input_file_id).filename.startswith("job-")
        assert batch.output_file_id is not None
        answers = client.files.content(batch.output_file_id).read()
        assert sorted(answers.splitlines()) == sorted(
            (tmp_path / "outputs/job/latest/output.jsonl").read_bytes().splitlines()
        )
        again = client.batches.create(
            input_file_id=batch.input_file_id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
        )
        try:
            ended = client.batches.cancel(again.id).status
        except openai.ConflictError:  # five rows may be answered before they can be cancelled
            ended = client.batches.retrieve(again.id).status
            assert ended == "completed"
        assert ended in ("cancelling", "cancelled", "completed")
