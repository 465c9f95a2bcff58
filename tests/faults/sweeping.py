"""Sweeps: the same story many times, with a fault at each point of it, one after the other.

A clean run counts the points. Then each of them must be hit, so that none is skipped silently,
and the sweep goes on until there is nothing left to hit. How often a provider is polled depends on
the time of day, so a run may lack a few of the points, near its end.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.project import Ended

Sweep: TypeAlias = "Callable[[int, Callable[[int], bool]], None]"

AT_ONCE = 2
"""Stories told at the same time: each has a provider and a project of its own."""
TRIES = 3
"""How often a point may be passed by, because calls at the same time came in another order."""
FEWER = 3
"""How many of the last points of the clean run other runs may lack."""
ENOUGH = 5
"""Failures after which the rest of a sweep would tell nothing new."""


def sweep(points: int, strike_at: Callable[[int], bool]) -> int:
    """Call `strike_at` with 0, 1, ... to behind the last point; it says whether that was hit.

    Returns how many there were: `points`, or more where calls made at the same time have added
    some. Raises AssertionError with what went wrong at any of them, or which were not hit.
    """
    assert points > 0
    wrong: list[str] = []
    missed: list[int] = []

    def strike(number: int, tries: int) -> bool:
        if len(wrong) >= ENOUGH:
            return False
        try:
            return any(strike_at(number) for _ in range(tries))
        except AssertionError as error:
            wrong.append(f"point {number} of {points}: {error}")
            return True

    def insist(number: int) -> None:
        if not strike(number, TRIES):
            missed.append(number)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(insist, range(points)))
    while not wrong and strike(points, 1):
        points += 1
    assert not wrong, "\n\n".join(wrong)
    lacking = all(number >= points - FEWER for number in missed)
    assert lacking, f"never hit, of {points} points: {sorted(missed)}"
    return points - len(missed)


def check_words(end: Ended, *, code: int = 1) -> None:
    """Assert that a process ended with an error message: no stdout, and no traceback."""
    assert (end.code, end.out) == (code, ""), end
    assert end.err.strip()
    assert "Traceback" not in end.err, end.err
