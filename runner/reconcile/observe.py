"""Query a provider for batches and files, with as few requests as possible.

There are two kinds of queries. *Listing* reads the lists from the newest entry on and finds
whatever may be ours: it comes before any submission, and it resolves lost responses. *Following*
finds the batches in flight: one list page for a hundred of them instead of a GET for each, and a
GET where the list lacks a batch, shows an older state than was recorded, or is found to be stale
by a spot check.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from runner.errors import ApiError, NotFound, NotOffered, OutOfMoney, Unauthorized
from runner.ledger.records import SubmissionState, Tag
from runner.planning.state import Listing, Observed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from runner.api.protocol import BatchApi
    from runner.batch import Batch, File
    from runner.ledger.records import Run
    from runner.planning.state import DesiredRun
    from runner.spec.project import Provider

_PAGE: Final = 100
_MARGIN: Final = 3600
"""Seconds that a listing goes further back than necessary, for clocks inside the provider."""
_LIFE_OF_RESULTS: Final = 30 * 24 * 3600
"""Seconds after which a batch's results are gone (fact sheet, section 2): the longest listing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderQuery:
    """What has to be queried at one provider.

    `in_flight` maps batch ids to the Batch as last recorded. `since` bounds the listing by the
    provider's clock; None means as far back as results are kept.
    """

    in_flight: Mapping[str, Batch | None] = field(default_factory=dict)
    listing: bool = False
    files: bool = False
    since: int | None = None

    @property
    def any(self) -> bool:
        """Whether there is anything to query."""
        return bool(self.in_flight) or self.listing


def provider_queries(
    desired_runs: Sequence[DesiredRun],
    runs: Sequence[Run],
    providers: Mapping[str, Provider],
    listed_through: Callable[[Provider], int | None],
) -> dict[str, ProviderQuery]:
    """Determine what has to be queried at which provider; nothing for finished runs.

    A run whose provider has another address now needs no query: the new one does not know it.
    """
    in_flight: dict[str, dict[str, Batch | None]] = {}
    bounds: dict[str, list[int | None]] = {}
    files: set[str] = set()
    recorded = {(run.job, run.revision) for run in runs} | {
        (None, run.revision) for run in runs if not run.state.final
    }
    for desired in desired_runs:
        name = desired.job.provider.name
        if (desired.job.name, desired.revision) not in recorded and desired.restorable is None:
            bounds.setdefault(name, []).append(listed_through(desired.job.provider))
    wanted = {(desired.job.name, desired.revision) for desired in desired_runs}
    for run in runs:
        provider = providers.get(run.provider)
        elsewhere = provider is not None and provider.identity["base_url"] != run.base_url
        if run.state.final or elsewhere:
            continue
        started = False
        for submission in run.submissions:
            started = started or submission.batch_id is not None
            if submission.state is SubmissionState.SUBMITTED and submission.batch_id:
                in_flight.setdefault(run.provider, {})[submission.batch_id] = submission.batch
            elif submission.state is SubmissionState.CREATING:
                bounds.setdefault(run.provider, []).append(submission.since)
            elif submission.state is SubmissionState.UPLOADING:
                bounds.setdefault(run.provider, []).append(submission.since)
                files.add(run.provider)
        if not started and provider is not None and (run.job, run.revision) in wanted:
            bounds.setdefault(run.provider, []).append(listed_through(provider))
    return {
        name: ProviderQuery(
            in_flight=in_flight.get(name, {}),
            listing=name in bounds,
            files=name in files,
            since=_earliest(bounds.get(name, [])),
        )
        for name in sorted(in_flight.keys() | bounds.keys())
    }


def _earliest(bounds: Iterable[int | None]) -> int | None:
    known = list(bounds)
    return None if None in known else min((bound for bound in known if bound), default=None)


def observe(api: BatchApi, asked: ProviderQuery, clock: Callable[[], float]) -> Observed:
    """Query one provider; what was observed before a failure is kept."""
    asked_at = clock()
    listing: Listing | None = None
    found: dict[str, Batch] = {}
    missing: set[str] = set()
    failure: ApiError | None = None
    try:
        if asked.listing:
            listing = _list_everything(api, asked, clock)
            found |= {batch.id: batch for batch in listing.batches if batch.id in asked.in_flight}
        _follow(api, asked, clock, found, missing)
    except ApiError as error:
        failure = error
    # Other batches in the list are kept: one that is adopted need not be retrieved again.
    beside = {batch.id: batch for batch in listing.batches} if listing is not None else {}
    return Observed(
        failure=None if failure is None else str(failure),
        error=failure,
        unusable=isinstance(failure, OutOfMoney | Unauthorized),
        listing=listing,
        batches={name: batch for name, batch in beside.items() if name not in missing} | found,
        missing=frozenset(missing),
        asked_at=asked_at,
    )


def list_again(
    api: BatchApi, observed: Observed, since: int | None, clock: Callable[[], float]
) -> Observed:
    """Read the lists during a pass, before a submission; adds to what was observed."""
    try:
        listing = _list_everything(api, ProviderQuery(listing=True, since=since), clock)
    except ApiError as error:
        return replace(
            observed,
            failure=str(error),
            error=error,
            unusable=isinstance(error, OutOfMoney | Unauthorized),
        )
    beside = {batch.id: batch for batch in listing.batches if batch.id not in observed.missing}
    return replace(observed, listing=listing, batches=beside | dict(observed.batches))


def _list_everything(api: BatchApi, asked: ProviderQuery, clock: Callable[[], float]) -> Listing:
    started_at = clock()
    batches: tuple[Batch, ...] = ()
    complete, offered = False, True
    try:
        listing = api.list_batches(enough=lambda listed: _far_enough(listed, asked.since))
    except NotOffered:
        offered = False
    else:
        batches = listing.batches
        complete = listing.complete or (
            listing.invalid == 0 and listing.descending and _far_enough(batches, asked.since)
        )
    files: tuple[File, ...] | None = None
    files_complete, files_offered = False, True
    # A batch without our tag may still be ours: its provider drops metadata, or the user's
    # own pairs left no room. Then the name of its input file has the key.
    if asked.files or any(Tag.of(batch) is None for batch in batches):
        try:
            shown = api.list_files(enough=lambda listed: _far_enough(listed, asked.since))
        except NotOffered:
            files_offered = False
        else:
            files = shown.files
            files_complete = shown.complete or (
                shown.invalid == 0 and shown.descending and _far_enough(shown.files, asked.since)
            )
    return Listing(
        started_at=started_at,
        complete=complete,
        offered=offered,
        batches=batches,
        files=files,
        files_complete=files_complete,
        files_offered=files_offered,
    )


def _far_enough(listed: Sequence[Batch] | Sequence[File], since: int | None) -> bool:
    """Whether a walk, newest first, has come to what cannot matter any more."""
    times = [item.created_at for item in listed]
    known = [time for time in times if time is not None]
    if not known or len(known) < len(times):
        return False
    if any(later < earlier for later, earlier in itertools.pairwise(known)):
        return False
    newest = known[0]
    if newest == known[-1]:
        return False  # all of one second: nothing shows in which order they come
    bound = newest - _LIFE_OF_RESULTS if since is None else since
    return known[-1] < bound - _MARGIN


def _follow(
    api: BatchApi,
    asked: ProviderQuery,
    clock: Callable[[], float],
    found: dict[str, Batch],
    missing: set[str],
) -> None:
    listed = set(found)
    if len(asked.in_flight) - len(found) > 1:
        try:
            listing = api.list_batches(enough=lambda batches: _all_seen(batches, asked))
        except NotOffered:
            pass
        else:
            found |= {batch.id: batch for batch in listing.batches if batch.id in asked.in_flight}
            listed = set(found)
    doubtful = [
        identifier
        for identifier, recorded in asked.in_flight.items()
        if identifier not in found or _unclear(found[identifier], recorded)
    ]
    _retrieve(api, doubtful, found, missing)
    rest = sorted(listed - set(doubtful))
    if rest and len(asked.in_flight) > 1:
        spot = rest[int(clock()) % len(rest)]
        listed_as = found[spot].status
        _retrieve(api, [spot], found, missing)
        if spot in missing or found[spot].status != listed_as:
            _retrieve(
                api, [identifier for identifier in rest if identifier != spot], found, missing
            )


def _all_seen(listed: Sequence[Batch], asked: ProviderQuery) -> bool:
    """Whether more pages would show nothing of ours, or cost more than a GET for each batch."""
    left = asked.in_flight.keys() - {batch.id for batch in listed}
    if not left or len(listed) >= _PAGE * len(asked.in_flight):
        return True
    made = [batch.created_at for batch in asked.in_flight.values() if batch and batch.created_at]
    last = listed[-1].created_at if listed else None
    return len(made) == len(asked.in_flight) and last is not None and last < min(made) - _MARGIN


def _unclear(batch: Batch, recorded: Batch | None) -> bool:
    """Whether a list's view of a batch needs a second look: it is older, or it lacks files."""
    if recorded is not None and batch.behind(recorded.status):
        return True
    return batch.terminal and batch.output_file_id is None and batch.error_file_id is None


def _retrieve(
    api: BatchApi, identifiers: Iterable[str], found: dict[str, Batch], missing: set[str]
) -> None:
    for identifier in identifiers:
        try:
            found[identifier] = api.retrieve_batch(identifier)
        except NotFound:
            found.pop(identifier, None)
            missing.add(identifier)
