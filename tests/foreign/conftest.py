from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.conftest import launcher, memory_path, sweep
from tests.foreign.upstream import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.foreign.upstream import Upstream

__all__ = ["launcher", "memory_path", "sweep"]


@pytest.fixture(scope="package")
def upstream() -> Iterator[Upstream]:
    """One model server for all: each test asks it something else."""
    with serving() as upstream:
        yield upstream
