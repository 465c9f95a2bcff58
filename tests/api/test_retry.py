from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.api.retry import DEFAULT_POLICY, RetryPolicy, call_with_retry, is_retryable
from runner.errors import (
    FileNotVisible,
    LocalFileError,
    MayHaveActed,
    NotFound,
    NotOffered,
    OutOfMoney,
    RateLimited,
    Rejected,
    Transient,
    Unauthorized,
    UnexpectedReply,
    Unreachable,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.errors import (
        ApiError,
    )


def error_of(kind: type[ApiError], wait: float | None = None) -> ApiError:
    return kind("no", provider="lab", call="GET /x", retry_after=wait)


def failing(*errors: BaseException) -> tuple[Callable[[], str], list[int]]:
    left = list(errors)
    calls: list[int] = []

    def attempt() -> str:
        calls.append(1)
        if left:
            raise left.pop(0)
        return "done"

    return attempt, calls


@pytest.mark.parametrize("kind", [Transient, Unreachable, RateLimited, FileNotVisible])
def test_what_may_pass_is_tried_again_with_doubling_waits(kind: type[ApiError]) -> None:
    naps: list[float] = []
    attempt, calls = failing(*[error_of(kind)] * 4)
    assert call_with_retry(attempt, sleep=naps.append, random=lambda: 0.0) == "done"
    assert naps == [0.5, 1.0, 2.0, 4.0]
    assert len(calls) == 5


def test_the_last_error_is_raised_as_it_was() -> None:
    errors = [error_of(UnexpectedReply) for _ in range(9)]
    attempt, calls = failing(*errors)
    with pytest.raises(UnexpectedReply) as caught:
        call_with_retry(attempt, sleep=lambda _: None, random=lambda: 0.0)
    assert caught.value is errors[4]
    assert len(calls) == DEFAULT_POLICY.tries == 5


@pytest.mark.parametrize(
    "error",
    [
        *map(error_of, [MayHaveActed, OutOfMoney, Unauthorized, NotFound, NotOffered, Rejected]),
        LocalFileError("disk full"),
        KeyboardInterrupt(),
        ZeroDivisionError(),
    ],
)
def test_what_cannot_pass_or_may_have_acted_is_raised_at_once(error: BaseException) -> None:
    attempt, calls = failing(error)
    with pytest.raises(type(error)):
        call_with_retry(attempt, sleep=lambda _: pytest.fail("slept"), random=lambda: 0.0)
    assert len(calls) == 1


def test_a_wait_asked_for_is_kept_where_it_is_longer() -> None:
    naps: list[float] = []
    attempt, _ = failing(error_of(RateLimited, 7.0), error_of(RateLimited, 0.0))
    call_with_retry(attempt, sleep=naps.append, random=lambda: 0.999)
    assert naps == [7.0, pytest.approx(2.0, rel=0.01)]


@pytest.mark.parametrize(("wait", "worth"), [(60.0, True), (60.1, False), (None, True)])
def test_a_wait_beyond_the_ceiling_is_not_waited(wait: float | None, worth: bool) -> None:  # noqa: FBT001
    assert is_retryable(error_of(RateLimited, wait), max_retry_after=60.0) is worth


def test_the_waits_together_stay_within_the_budget() -> None:
    naps: list[float] = []
    attempt, calls = failing(*[error_of(RateLimited, 25.0)] * 9)
    with pytest.raises(RateLimited):
        call_with_retry(attempt, sleep=naps.append, random=lambda: 0.0)
    assert naps == [25.0, 25.0]
    assert len(calls) == 3


@settings(deadline=None)
@given(
    waits=st.lists(st.none() | st.floats(0, 100), min_size=1, max_size=10),
    random=st.floats(0, 1, exclude_max=True),
)
def test_no_provider_can_make_a_call_wait_for_long(
    waits: list[float | None], random: float
) -> None:
    naps: list[float] = []
    attempt, calls = failing(*(error_of(RateLimited, wait) for wait in waits))
    policy = RetryPolicy()
    try:
        call_with_retry(attempt, sleep=naps.append, random=lambda: random, policy=policy)
    except RateLimited:
        assert len(calls) <= policy.tries
    assert sum(naps) <= policy.max_total_wait
    assert len(calls) == len(naps) + 1
    assert all(nap >= (wait or 0) for nap, wait in zip(naps, waits, strict=False))
