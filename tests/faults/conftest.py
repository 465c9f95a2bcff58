from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.project import launched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.project import Launcher


@pytest.fixture(scope="package")
def launcher() -> Iterator[Launcher]:
    with launched() as launcher:
        yield launcher
