"""How long a provider may be silent.

When the same HTTP call is made again, and how long is waited before.

One policy for every call, because the question whether a second try is *safe* is not asked
here: `runner.api.responses` and the client raise MayHaveActed for whatever leaves the outcome of
a creation open, and that is never tried again. What is left is the question whether a second
try can *help*, which the type of the error answers.

Waits double from one second, with jitter so that many runners do not come back in step. A
provider that names a wait is given at least that; one that names a wait beyond the ceiling is
believed too, by giving up at once: a later pass will come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from tenacity import Retrying, retry_if_exception

from runner.errors import ApiError, Transient, UnexpectedReply

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenacity import RetryCallState


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds without any progress after which an exchange is given up.

    `act` takes the place of `read` for requests that make something: their outcome is worth
    waiting for, since giving up leaves it unknown.
    """

    connect: float = 10.0
    read: float = 60.0
    write: float = 60.0
    pool: float = 60.0
    act: float = 600.0


DEFAULT_TIMEOUTS: Final = Timeouts()


_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How patient a call is; times in seconds.

    `waiting` bounds the sum of all waits, not the time the tries themselves take: a download
    that broke off after ten minutes deserves a second try as much as one after a second.
    """

    tries: int = 5
    first_wait: float = 1.0
    longest_wait: float = 16.0
    waiting: float = 60.0
    ceiling: float = 60.0


POLICY: Final = RetryPolicy()


def is_retryable(error: BaseException, *, ceiling: float) -> bool:
    """Whether making the same call again, soon, is both safe and able to help."""
    if not isinstance(error, ApiError):
        return False
    if error.retry_after is not None and error.retry_after > ceiling:
        return False
    return isinstance(error, Transient | UnexpectedReply)


def call_with_retry(
    attempt: Callable[[], _Value],
    *,
    sleep: Callable[[float], None],
    random: Callable[[], float],
    policy: RetryPolicy = POLICY,
) -> _Value:
    """Return what `attempt` returns, calling it again while that is worth it.

    `random` gives numbers in [0, 1). Raises the last error of `attempt` as it was raised.
    """

    def wait(state: RetryCallState) -> float:
        doubled = policy.first_wait * 2.0 ** (state.attempt_number - 1)
        backoff = min(policy.longest_wait, doubled) * (0.5 + random() / 2)
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, ApiError) else None
        return max(backoff, asked or 0.0)

    def spent(state: RetryCallState) -> bool:
        return (
            state.attempt_number >= policy.tries
            or state.idle_for + state.upcoming_sleep > policy.waiting
        )

    retrying = Retrying(
        retry=retry_if_exception(lambda error: is_retryable(error, ceiling=policy.ceiling)),
        wait=wait,
        stop=spent,
        sleep=sleep,
        reraise=True,
    )
    return retrying(attempt)
