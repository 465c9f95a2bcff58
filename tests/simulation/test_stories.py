"""Hypothesis searches for stories that break a promise, and reduces what it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.mutations import without_adoption
from tests.simulation.stories import search

if TYPE_CHECKING:
    import pytest


def test_no_story_breaks_a_promise() -> None:
    assert search(60, derandomize=True) is None


def test_a_story_that_breaks_one_becomes_small(monkeypatch: pytest.MonkeyPatch) -> None:
    without_adoption(monkeypatch)

    found = search(200, derandomize=True)

    assert found is not None, "nobody noticed"
    story = found.partition("\n")[0]
    assert len(story) < 400, story
