"""The limits of what may be in flight: submissions that do not fit wait for a later pass.

Providers count the prompt tokens of everything enqueued and reject whole batches when there are
too many (fact sheet, failure 11). A project can state the limits of its tier to avoid that.
Tokens are counted when the run begins; where they were not, they are estimated from the bytes.
Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.planning.actions import Submit, Wait
from runner.planning.state import Enqueued

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from runner.planning.actions import Action
    from runner.planning.state import Load
    from runner.spec.project import Provider


def admit(
    actions: Sequence[Action], loads: Mapping[str, Load], providers: Mapping[str, Provider]
) -> tuple[list[Action], list[Wait]]:
    """Return the actions without the submissions beyond a limit, and a wait for each of those.

    A submission that alone exceeds the limit is submitted when nothing else of its model is in
    flight: only the provider can say whether it is really too large.
    """
    admitted: list[Action] = []
    waits: list[Wait] = []
    batches = {name: load.batches for name, load in loads.items()}
    enqueued = {
        (name, model): in_flight
        for name, load in loads.items()
        for model, in_flight in load.enqueued.items()
    }
    for action in actions:
        provider = providers.get(action.run.provider)
        if not isinstance(action, Submit) or provider is None:
            admitted.append(action)
            continue
        pool = (provider.name, action.shard.model)
        size = _prompt_size(action)
        active, enqueued_now = batches.get(provider.name, 0), enqueued.get(pool, Enqueued())
        reason = _limit_reason(provider, active, enqueued_now, size)
        if reason is not None:
            waits.append(Wait(run=action.run, key=action.submission.key, reason=reason))
            continue
        admitted.append(action)
        batches[provider.name] = active + 1
        enqueued[pool] = enqueued_now + size
    return admitted, waits


def _prompt_size(action: Submit) -> Enqueued:
    """Return the prompt tokens of a submission; a part of a shard counts by its requests."""
    submission, shard = action.submission, action.shard
    if shard.tokens is None:
        size = submission.bytes or shard.bytes * submission.requests // shard.requests
        return Enqueued(uncounted_bytes=size, exact=False)
    return Enqueued(
        counted=-(-shard.tokens * submission.requests // shard.requests),
        exact=submission.requests == shard.requests,
    )


def prompt_tokens(submits: Iterable[Submit]) -> Enqueued:
    """Sum the prompt tokens of submissions: counted where they were, else estimated."""
    return sum(map(_prompt_size, submits), Enqueued())


def _limit_reason(
    provider: Provider, active: int, enqueued_now: Enqueued, size: Enqueued
) -> str | None:
    max_batches = provider.max_active_batches
    if max_batches is not None and active >= max_batches:
        batches = "1 batch is" if max_batches == 1 else f"{max_batches} batches are"
        return f"{batches} in flight at {provider.name} already"
    limit = provider.max_enqueued_tokens
    if limit is not None and enqueued_now.tokens and (enqueued_now + size).tokens > limit:
        return f"{enqueued_now} of {limit:,} tokens are enqueued at {provider.name}"
    return None
