"""Count by name which faults a story contained, so that each kind is known to be covered."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tests.simulation.barriers import Scope
from tests.simulation.behaviour import (
    Cancelling,
    Counts,
    Fail,
    ListFault,
    ListShape,
    NoFile,
    Several,
    Spoil,
)
from tests.simulation.mishaps import Mishap

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.simulation.behaviour import Behaviour, Row
    from tests.simulation.story import Story

EVERYTHING = frozenset(
    {
        *(mishap.value for mishap in Mishap),
        *(f"lists: {fault.name}" for fault in ListFault if fault is not ListFault.NONE),
        *(f"lists: {shape.name}" for shape in ListShape),
        "lists lag",
        "lists are stale",
        "lists run upwards",
        "lists of files know no parameters",
        "new files are invisible",
        "new files are unknown to creations",
        "metadata are dropped",
        "a dialect of statuses",
        "contents declare no length",
        *(f"a batch: {name}" for name in ("Complete", "Expire", "Cancelled", "Fail", "Stuck")),
        "a batch: Vanish",
        "a batch: Fail, with files",
        *(f"counts: {counts.name}" for counts in Counts),
        *(f"no output file: {how.name}" for how in NoFile),
        *(f"no error file: {how.name}" for how in NoFile),
        "ids of files come late",
        "contents of files come late",
        "lines out of order",
        *(f"spoiled: {how.name}" for how in Spoil),
        "spoiled for good",
        "spoiled for a while",
        *(
            f"cancelling for ever: {how.name}"
            for how in Cancelling if how is not Cancelling.ENDS
        ),
        *(f"refused: {scope.name}" for scope in Scope),
        "cancelled by the user",
        "a cancellation given up",
        "retried by the user",
        *(
            f"a row: {name}"
            for name in (
                "HttpError", "NotRun", "ErrorInBody", "Missing", "Malformed", "Several", "Empty"
            )
        ),
        *(
            f"{end} at a {where}"
            for end in ("killed", "power cut")
            for where in ("commit", "file operation")
        ),
        "clock put forward",
        "clock put back",
        "ledger deleted",
        "ledger deleted after the end",
        "two processes on one ledger",
        "two machines take turns",
        "cancelled by somebody else",
        "calls side by side",
    }
)  # fmt: skip
"""Everything that the stories of continuous integration have to meet at least once."""


def befallen(story: Story) -> Iterator[str]:
    """Name what holds for a story's provider as a whole."""
    conditions = story.conditions
    if conditions.list_fault is not ListFault.NONE and story.healed > 0:
        yield f"lists: {conditions.list_fault.name}"
    yield f"lists: {conditions.list_shape.name}"
    if story.executor > 1:
        yield "calls side by side"
    for name, holds in (
        ("lists lag", conditions.list_lag),
        ("lists are stale", conditions.list_stale),
        ("lists run upwards", conditions.oldest_first),
        ("lists of files know no parameters", not conditions.list_parameters),
        ("new files are invisible", conditions.file_blind),
        ("new files are unknown to creations", conditions.create_blind),
        ("metadata are dropped", not conditions.metadata),
        ("a dialect of statuses", conditions.status_words),
        ("contents declare no length", conditions.chunked),
    ):
        if holds:
            yield name


def marked(behaviour: Behaviour, rows: Sequence[Row]) -> Iterator[str]:
    """Return the name of how a batch with these rows ends."""
    yield f"a batch: {type(behaviour.ending).__name__}"
    if isinstance(behaviour.ending, Fail) and behaviour.ending.fraction is not None:
        yield "a batch: Fail, with files"
    yield f"counts: {behaviour.counts.name}"
    yield f"no output file: {behaviour.no_output.name}"
    yield f"no error file: {behaviour.no_error.name}"
    if behaviour.files_after:
        yield "ids of files come late"
    if behaviour.content_after:
        yield "contents of files come late"
    if behaviour.spoiled is not None:
        yield f"spoiled: {behaviour.spoiled.how.name}"
        yield f"spoiled for {'good' if behaviour.spoiled.lasts == math.inf else 'a while'}"
    if behaviour.shuffled and len(rows) > 1:
        yield "lines out of order"
    for row in rows:
        answer = behaviour.answer(row)
        if isinstance(answer, Several) or type(answer).__name__ != "Succeed":
            yield f"a row: {type(answer).__name__}"
        elif getattr(answer, "body", None) == {}:
            yield "a row: Empty"
