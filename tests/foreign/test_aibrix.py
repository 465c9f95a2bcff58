"""AIBrix: its metadata service, in the mode in which each answer is the row's own body."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.foreign.flow import Flow
from tests.foreign.servers import INSTALLED, Foreign, free_port, running, settling

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.foreign


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreign]:
    folder = tmp_path_factory.mktemp("aibrix")
    port = free_port()
    command = [INSTALLED / "aibrix/bin/aibrix_metadata", "--dry-run"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with running(command, folder, f"http://127.0.0.1:{port}/v1") as client:
        yield Foreign(client=client, model="model-a", embedder="model-b", settle=settling(client))


class TestAibrix(Flow):
    pass
