"""SIGKILL at every step of a batch: each request still has exactly one result."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runner.local.worker import CHUNK_ROWS
from tests.local.support import PATIENCE, Clock, chat_line, chat_lines, jsonl, served

LAUNCHER = Path(__file__).with_name("killed_server.py")
ROOT = LAUNCHER.parents[2]
CHUNKS = 4
ROWS = (CHUNKS - 1) * CHUNK_ROWS + 11


@pytest.fixture
def source(tmp_path: Path) -> Path:
    lines = chat_lines(ROWS)
    for number in range(0, ROWS, 50):
        lines[number] = chat_line(f"row-{number}", "", messages=[])
    path = tmp_path / "input.jsonl"
    path.write_bytes(jsonl(lines))
    return path


def launch(state: Path, source: str, method: str, moment: str, count: int) -> int:
    return subprocess.run(
        [sys.executable, LAUNCHER, state, source, method, moment, str(count)],
        check=False,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        timeout=60,
    ).returncode


def assert_whole(state: Path) -> None:
    with served(state, Clock(now=time.time())) as bench:
        assert bench.provider.work(PATIENCE)
        [batch] = bench.client.batches.list().data
        assert batch.status == "completed"
        failed = [line["custom_id"] for line in bench.failures(batch)]
        answers = bench.answers(batch)
        assert failed == [f"row-{number}" for number in range(0, ROWS, 50)]
        assert [line["custom_id"] for line in answers] == [
            f"row-{number}" for number in range(ROWS) if number % 50
        ]
        for line in answers:
            said = line["response"]["body"]["choices"][0]["message"]["content"]
            assert said == line["custom_id"].replace("row-", "hello number ")
        assert batch.request_counts is not None
        assert batch.request_counts.to_dict() == {
            "total": ROWS,
            "completed": len(answers),
            "failed": len(failed),
        }
        assert batch.usage is not None
        assert batch.usage.total_tokens == 6 * len(answers)
        names = {file.id for file in bench.client.files.list()}
        assert {path.name for path in (state / "files").iterdir()} == names
        assert len(names) == 3


def test_a_batch_survives_a_death_at_every_step(tmp_path: Path, source: Path) -> None:
    state, begins = tmp_path / "state", str(source)
    for method, moment, count in (
        ("start", "before", 1),
        ("start", "after", 1),
        ("advance", "before", 1),
        ("advance", "after", 1),
        ("advance", "before", CHUNKS - 1),
        ("finalize", "after", 1),
        ("finish", "before", 1),
        ("finish", "after", 1),
    ):
        assert launch(state, begins, method, moment, count) == -signal.SIGKILL
        begins = "-"
    assert_whole(state)


def test_a_batch_survives_a_death_in_every_chunk(tmp_path: Path, source: Path) -> None:
    state = tmp_path / "state"
    deaths = 0
    code = launch(state, str(source), "advance", "before", 1)
    while code == -signal.SIGKILL:
        deaths += 1
        code = launch(state, "-", "advance", "before", 2)  # one more chunk, then death
    assert code == 0
    assert deaths == CHUNKS
    assert_whole(state)
