"""Query a provider for batches and files, with as few requests as possible.

There are two kinds of queries. *Listing* reads the lists from the newest entry on and finds all
batches and files with our keys: it comes before any submission, and it resolves lost replies.
*Following* finds the state of the batches in flight: one list page for a hundred of them instead of
a GET for each, and a GET if the list lacks a batch or shows an older state than was recorded. One
more GET checks the list itself; if the two differ, every batch is retrieved.
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
    """Determine what has to be queried at each provider; nothing for finished runs.

    A run whose provider has another address now needs no query: its batches are not there.
    """
    in_flight: dict[str, dict[str, Batch | None]] = {}
    bounds: dict[str, list[int | None]] = {}
    files: set[str] = set()
    recorded = {(run.job, run.revision) for run in runs} | {
        (None, run.revision) for run in runs if not run.state.final
    }
    for desired in desired_runs:
        name = desired.job.provider.name
        is_new = (desired.job.name, desired.revision) not in recorded
        # With an earlier run elsewhere it may be blocked; if it is not, the plan asks for the list.
        if is_new and desired.restorable is None and not desired.earlier:
            bounds.setdefault(name, []).append(listed_through(desired.job.provider))
    described = {(desired.job.name, desired.revision) for desired in desired_runs}
    for run in runs:
        provider = providers.get(run.provider)
        has_other_address = provider is not None and not provider.has_batches_of(
            run.provider, run.base_url
        )
        if run.state.final or has_other_address:
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
        if not started and provider is not None and (run.job, run.revision) in described:
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
    """Return the earliest bound of a listing; None, which is no bound, if one of them is None."""
    times = list(bounds)
    return None if None in times else min((time for time in times if time), default=None)


def observe(api: BatchApi, query: ProviderQuery, clock: Callable[[], float]) -> Observed:
    """Query one provider; what was observed before a failure is kept."""
    queried_at = clock()
    listing: Listing | None = None
    found: dict[str, Batch] = {}
    missing: set[str] = set()
    failure: ApiError | None = None
    try:
        if query.listing:
            listing = _read_lists(api, query, clock)
            found |= {batch.id: batch for batch in listing.batches if batch.id in query.in_flight}
        _follow(api, query, clock, found, missing)
    except ApiError as error:
        failure = error
    # Other batches in the list are kept: one that is adopted need not be retrieved again.
    listed_batches = {batch.id: batch for batch in listing.batches} if listing is not None else {}
    return Observed(
        failure=None if failure is None else str(failure),
        error=failure,
        unusable=isinstance(failure, OutOfMoney | Unauthorized),
        listing=listing,
        batches={name: batch for name, batch in listed_batches.items() if name not in missing}
        | found,
        missing=frozenset(missing),
        queried_at=queried_at,
    )


def list_before_submission(
    api: BatchApi, observed: Observed, since: int | None, clock: Callable[[], float]
) -> Observed:
    """Read the lists of a provider before a submission; returns them with what was observed."""
    try:
        listing = _read_lists(api, ProviderQuery(listing=True, since=since), clock)
    except ApiError as error:
        return replace(
            observed,
            failure=str(error),
            error=error,
            unusable=isinstance(error, OutOfMoney | Unauthorized),
        )
    listed_batches = {
        batch.id: batch for batch in listing.batches if batch.id not in observed.missing
    }
    return replace(observed, listing=listing, batches=listed_batches | dict(observed.batches))


def _read_lists(api: BatchApi, query: ProviderQuery, clock: Callable[[], float]) -> Listing:
    started_at = clock()
    batches: tuple[Batch, ...] = ()
    unreadable: tuple[str, ...] = ()
    complete, offered = False, True
    try:
        listing = api.list_batches(enough=lambda listed: _is_far_enough(listed, query.since))
    except NotOffered:
        offered = False
    else:
        batches, unreadable = listing.batches, listing.unreadable
        complete = listing.complete or (
            listing.invalid == 0 and listing.descending and _is_far_enough(batches, query.since)
        )
    files: tuple[File, ...] | None = None
    files_complete, files_offered = False, True
    # A batch without our tag may still be ours: its provider drops metadata, or the user's
    # own pairs left no room. Then the name of its input file has the key.
    if query.files or any(Tag.of(batch) is None for batch in batches):
        try:
            file_listing = api.list_files(enough=lambda listed: _is_far_enough(listed, query.since))
        except NotOffered:
            files_offered = False
        else:
            files = file_listing.files
            files_complete = file_listing.complete or (
                file_listing.invalid == 0
                and file_listing.descending
                and _is_far_enough(file_listing.files, query.since)
            )
    return Listing(
        started_at=started_at,
        complete=complete,
        offered=offered,
        batches=batches,
        files=files,
        files_complete=files_complete,
        files_offered=files_offered,
        unreadable=unreadable,
    )


def _is_far_enough(listed: Sequence[Batch] | Sequence[File], since: int | None) -> bool:
    """Whether a list, read newest first, has reached entries older than the bound `since`."""
    times = [item.created_at for item in listed if item.created_at is not None]
    if not times or len(times) < len(listed):
        return False
    if any(later < earlier for later, earlier in itertools.pairwise(times)):
        return False
    newest, oldest = times[0], times[-1]
    if newest == oldest:
        return False  # all of one second: the order of the list is unknown
    bound = newest - _LIFE_OF_RESULTS if since is None else since
    return oldest < bound - _MARGIN


def _follow(
    api: BatchApi,
    query: ProviderQuery,
    clock: Callable[[], float],
    found: dict[str, Batch],
    missing: set[str],
) -> None:
    listed = set(found)
    if len(query.in_flight) - len(found) > 1:
        try:
            listing = api.list_batches(enough=lambda listed: _needs_no_more_pages(listed, query))
        except NotOffered:
            pass
        else:
            found |= {batch.id: batch for batch in listing.batches if batch.id in query.in_flight}
            listed = set(found)
    unclear = [
        identifier
        for identifier, recorded in query.in_flight.items()
        if identifier not in found or _needs_retrieval(found[identifier], recorded)
    ]
    _retrieve(api, unclear, found, missing)
    confirmed = sorted(listed - set(unclear))
    if confirmed and len(query.in_flight) > 1:
        checked = confirmed[int(clock()) % len(confirmed)]
        listed_as = found[checked].status
        _retrieve(api, [checked], found, missing)
        if checked in missing or found[checked].status != listed_as:
            _retrieve(
                api,
                [identifier for identifier in confirmed if identifier != checked],
                found,
                missing,
            )


def _needs_no_more_pages(listed: Sequence[Batch], query: ProviderQuery) -> bool:
    """Whether more pages would show no batch in flight, or cost more than a GET for each."""
    unseen = query.in_flight.keys() - {batch.id for batch in listed}
    if not unseen or len(listed) >= _PAGE * len(query.in_flight):
        return True
    created = [batch.created_at for batch in query.in_flight.values() if batch and batch.created_at]
    last = listed[-1].created_at if listed else None
    return (
        len(created) == len(query.in_flight) and last is not None and last < min(created) - _MARGIN
    )


def _needs_retrieval(batch: Batch, recorded: Batch | None) -> bool:
    """Whether to retrieve a batch: the list shows it older than recorded, or without files."""
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
