"""llmock: a mock of many APIs for Python, with faults on demand. It lists no files."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from tests.foreign.flow import Flow
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


@contextmanager
def llmock(folder: Path, *options: str) -> Iterator[Foreign]:
    port = free_port()
    command = [INSTALLED / "llmock/bin/python", "-c", IN_A_HURRY, "serve", *options]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with running(command, folder, f"http://127.0.0.1:{port}/v1") as client:
        yield Foreign(
            client=client,
            model="model-a",
            embedder="model-b",
            settle=settling(client),
            lists_files=False,
        )


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreign]:
    with llmock(tmp_path_factory.mktemp("llmock")) as foreign:
        yield foreign


class TestLlmock(Flow):
    pass
