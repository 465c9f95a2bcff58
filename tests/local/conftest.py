from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.local.support import served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.local.support import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with served(tmp_path / "state") as bench:
        yield bench


@pytest.fixture(scope="package")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One server for all the tests that do not mind what it holds already."""
    with served(tmp_path_factory.mktemp("state")) as bench:
        yield bench
