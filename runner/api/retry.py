"""Timeouts and retries of HTTP calls.

One retry policy serves every call, because it does not have to decide whether a retry is *safe*:
`runner.api.responses` and the client raise MayHaveActed whenever the outcome of a creation is
unknown, and that error is never retried. Here the type of the error decides whether a retry can
*help*.

Waits double from one second, with jitter so that many clients do not retry at the same moment. A
Retry-After of the provider is a lower bound of the wait. If it exceeds `max_retry_after`, the call
fails immediately, and a later pass makes it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from tenacity import Retrying, retry_if_exception

from runner.errors import ApiError, FileNotVisible, Transient, UnexpectedReply

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenacity import RetryCallState


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """When an exchange fails; in seconds.

    The first five are without any progress. `act` replaces `read` for requests that create
    something: they are waited for longer, because a timeout leaves their outcome unknown.

    The others are whatever the progress. A reply has to be there whole `reply` seconds after its
    request was sent, `act_reply` if that creates something; of the content of a file this holds for
    the headers. The content of files moves by at least `least_rate` bytes a second, counted over
    each `window`, in both directions. No page of a list is requested once it has taken `listing`.
    """

    connect: float = 10.0
    read: float = 60.0
    write: float = 60.0
    pool: float = 60.0
    act: float = 600.0
    reply: float = 300.0
    act_reply: float = 900.0
    listing: float = 1800.0
    least_rate: float = 1000.0
    window: float = 60.0


DEFAULT_TIMEOUTS: Final = Timeouts()


_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """The limits of the retries of one call; times in seconds.

    `max_total_wait` bounds the sum of all waits, not the duration of the tries: a download that
    broke off after ten minutes is retried like one that broke off after a second.
    """

    tries: int = 5
    first_wait: float = 1.0
    longest_wait: float = 16.0
    max_total_wait: float = 60.0
    max_retry_after: float = 60.0


DEFAULT_POLICY: Final = RetryPolicy()


def is_retryable(error: BaseException, *, max_retry_after: float) -> bool:
    """Whether a retry of the same call, soon, is both safe and useful."""
    if not isinstance(error, ApiError):
        return False
    if error.too_slow:
        return False  # it would take as long once more, and whoever waits for this pass too
    if error.retry_after is not None and error.retry_after > max_retry_after:
        return False
    if error.in_body and isinstance(error, FileNotVisible | UnexpectedReply):
        return False  # the successful status speaks against it
    return isinstance(error, Transient | UnexpectedReply)


def call_with_retry(
    attempt: Callable[[], _Value],
    *,
    sleep: Callable[[float], None],
    random: Callable[[], float],
    policy: RetryPolicy = DEFAULT_POLICY,
) -> _Value:
    """Call `attempt`, with retries by the policy, and return its result.

    `random` returns numbers in [0, 1). Raises the last error of `attempt` unchanged.
    """

    def wait(state: RetryCallState) -> float:
        doubled = policy.first_wait * 2.0 ** (state.attempt_number - 1)
        backoff = min(policy.longest_wait, doubled) * (0.5 + random() / 2)
        error = state.outcome.exception() if state.outcome else None
        retry_after = error.retry_after if isinstance(error, ApiError) else None
        return max(backoff, retry_after or 0.0)

    def stop(state: RetryCallState) -> bool:
        return (
            state.attempt_number >= policy.tries
            or state.idle_for + state.upcoming_sleep > policy.max_total_wait
        )

    retrying = Retrying(
        retry=retry_if_exception(
            lambda error: is_retryable(error, max_retry_after=policy.max_retry_after)
        ),
        wait=wait,
        stop=stop,
        sleep=sleep,
        reraise=True,
    )
    return retrying(attempt)
