"""Sum the token usage that batches report."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


def sum_usage(batches: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Add up the `usage` objects of batches as received, number by number at every depth.

    Returns None where no batch has one: not every provider reports it (fact sheet, section 5).
    A field that is a number in no batch is left out.
    """
    found = [usage for batch in batches if isinstance(usage := batch.get("usage"), Mapping)]
    return _summed(found) if found else None


def _summed(usages: list[Mapping[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for name in dict.fromkeys(name for usage in usages for name in usage):
        values = [usage[name] for usage in usages if name in usage]
        numbers = [value for value in values if _is_number(value)]
        nested = [value for value in values if isinstance(value, Mapping)]
        if numbers:
            total[name] = sum(numbers)
        elif nested:
            total[name] = _summed(nested)
    return total


def _is_number(value: object) -> bool:
    if isinstance(value, float):
        return isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)
