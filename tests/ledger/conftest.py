"""Fixtures: a ledger for each test, and its clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runner.ledger.store import Ledger
from tests.ledger.entries import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(path: Path, clock: Clock) -> Iterator[Ledger]:
    with Ledger.open(path, clock=clock) as ledger:
        yield ledger
