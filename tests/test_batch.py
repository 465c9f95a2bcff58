"""The sum of the usage of several batches, whatever they report."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runner.batch import sum_usage

values: st.SearchStrategy[object] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


def test_usage_is_summed_at_every_depth() -> None:
    batches: list[dict[str, object]] = [
        {"usage": {"input": 3, "details": {"cached": 1}, "model": "m", "odd": float("nan")}},
        {"usage": None},
        {},
        {"usage": {"input": 4.5, "details": {"cached": 2, "audio": 10**400}, "flag": True}},
        {"usage": {"details": None, "input": "many"}},
    ]
    assert sum_usage(batches) == {"input": 7.5, "details": {"cached": 3, "audio": 10**400}}
    assert sum_usage([{"usage": None}, {}]) is None
    assert sum_usage([]) is None


@given(usages=st.lists(st.dictionaries(st.text(max_size=2), values, max_size=3), max_size=3))
def test_no_usage_breaks_the_sum(usages: list[dict[str, object]]) -> None:
    batches: list[dict[str, object]] = [{"usage": usage} for usage in usages]
    total = sum_usage(batches)
    assert (total is None) is (not usages)
