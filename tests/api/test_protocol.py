from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.api.protocol import BatchApi
    from tests.api.scripted import World


def test_the_client_keeps_the_protocol(world: World) -> None:
    api: BatchApi = world.client()  # what the type checker verifies
    for name in (
        "upload",
        "create_batch",
        "cancel_batch",
        "retrieve_batch",
        "retrieve_file",
        "delete_file",
        "list_batches",
        "list_files",
        "download",
    ):
        assert callable(getattr(api, name))


def test_the_protocol_is_imported_without_an_http_library() -> None:
    program = (
        "import sys, runner.api.protocol, runner.api.responses, runner.api.pagination;"
        "sys.exit(bool({'httpx', 'tenacity', 'ssl'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
