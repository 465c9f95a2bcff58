"""aimock: a mock of many APIs for Node.js. A batch goes on a step each time it is retrieved."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.foreign.flow import Flow
from tests.foreign.servers import NODE, Foreign, free_port, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
    pass
