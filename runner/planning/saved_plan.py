"""A plan that somebody looked at, held against the one that would be carried out now.

The *terms* of a plan are what a person agrees to: which jobs, asking what of whom, and the steps.
They are read from its JSON, be it from a file or just made, so that there is one meaning of each
field. Two plans have the same terms if

- the same SPECs were selected, and each job asks for the same revision in the same way (provider,
  address, window, metadata, limits of retry and so on; comments and layout are not asked for);
- the same steps would be taken: the same submissions with the same content, the same batches taken
  over, collected, closed or cancelled, the same runs moved, published or tidied.

What is not compared is what changes by itself and is decided by nobody: reasons, times, what is
waited for, counts of a batch at work, and steps by which only the ledger takes note. A batch that
has *finished* since is compared: it would be collected, and what it leaves might be asked again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from runner import __version__
from runner.errors import InvalidInput, Problem
from runner.ledger.records import SubmissionKey
from runner.spec.identity import canonical_json
from runner.text import listed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping


_FORMAT: Final = 1
_NOTED: Final = frozenset({"observe", "doubt", "missing", "overdue", "note"})
"""Steps by which only the ledger takes note."""

_NEWS: Final = frozenset({"collect", "close", "lose"})
"""Steps that come of what a provider says of a batch in flight."""

_DETAILS: Final = ("batch", "file", "folder", "requests", "sha256", "state")
"""What makes two steps of one kind about one submission different."""

_DONE: Final = {
    "start": "started",
    "restore": "restored from its record",
    "move": "moved",
    "reopen": "reopened",
    "submit": "submitted",
    "adopt": "adopted",
    "adopt_file": "taken for uploaded",
    "retract": "prepared anew",
    "lose": "given up for lost",
    "collect": "collected",
    "close": "closed",
    "cancel": "cancelled",
    "abandon": "abandoned",
    "publish": "published",
    "point_latest": "made the latest",
    "tidy": "tidied up",
}
_REQUESTS: Final = "requests_sha256"
"""Of what a job asks for, the one that tells people nothing."""

_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """One step of a plan; `details` are the values of those of `_DETAILS` that it has."""

    job: str
    revision: str
    provider: str
    submission: str | None
    action: str
    details: tuple[tuple[str, Any], ...]

    @property
    def about(self) -> tuple[str, str, str | None]:
        """Return what it is about: job, revision, and the submission, if it is about one."""
        return self.job, self.revision, self.submission


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanTerms:
    """What a person agrees to with a plan.

    `asks` has by job its revision and what it asks for; `waits` the reason, by what it is about,
    for what is not to be done now: for words alone.
    """

    selectors: tuple[str, ...]
    folder: str
    revisions: Mapping[str, str]
    asks: Mapping[str, Mapping[str, Any]]
    steps: tuple[PlannedStep, ...]
    waits: Mapping[tuple[str, str, str | None], str]

    @property
    def fingerprint(self) -> str:
        """A SHA-256 that two plans share if, and only if, they have the same terms."""
        steps = [[*step.about, step.provider, step.action, step.details] for step in self.steps]
        agreed = {
            "selectors": self.selectors,
            "folder": self.folder,
            "revisions": dict(self.revisions),
            "asks": {job: dict(asks) for job, asks in self.asks.items()},
            "steps": sorted(steps, key=canonical_json),
        }
        return sha256(canonical_json(agreed)).hexdigest()


def terms_of(shape: Mapping[str, Any]) -> PlanTerms:
    """Read the terms of a plan from its JSON shape.

    Raises KeyError, TypeError, ValueError or AttributeError for what is none.
    """
    return PlanTerms(
        selectors=tuple(map(_text, shape["selectors"])),
        folder=_text(shape["selected_in"]),
        revisions={_text(job["job"]): _text(job["revision"]) for job in shape["jobs"]},
        asks={job["job"]: dict(job["asks"]) for job in shape["jobs"]},
        steps=tuple(
            PlannedStep(
                job=_text(action["job"]),
                revision=_text(action["revision"]),
                provider=_text(action["provider"]),
                submission=None if action["submission"] is None else _text(action["submission"]),
                action=_text(action["action"]),
                details=tuple((name, action[name]) for name in _DETAILS if name in action),
            )
            for action in shape["actions"]
            if action["action"] not in _NOTED
        ),
        waits={
            (wait["job"], wait["revision"], wait["submission"]): _text(wait["why"])
            for wait in shape["waits"]
        },
    )


def read_terms(text: str, *, shown: str) -> PlanTerms:
    """Read the terms of a plan from the text of its file; `shown` is the path for messages.

    Raises InvalidInput for what is no plan, was changed by hand, or was made by another version.
    """
    try:
        shape = json.loads(text)
    except json.JSONDecodeError as error:
        message = f"is no JSON: {error.msg}; make the plan anew"
        raise _bad(shown, message, error.lineno, error.colno) from error
    except (ValueError, RecursionError) as error:
        raise _bad(shown, f"is no plan: {error}; make it anew") from error
    if not isinstance(shape, dict) or "format_version" not in shape:
        raise _bad(shown, "is no plan; `runner plan -o FILE` makes one")
    if shape["format_version"] != _FORMAT:
        version = json.dumps(shape["format_version"])[:20]
        raise _bad(
            shown, f"has format_version {version}, and this runner reads {_FORMAT}; make it anew"
        )
    try:
        maker = _text(shape["made_by"]["runner"])
        terms = terms_of(shape)
        whole = terms.fingerprint == shape["fingerprint"]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise _bad(shown, "is no whole plan: fields are missing; make it anew") from error
    if maker != __version__:
        message = f"was made by runner {maker[:20]}, and this is {__version__}; make it anew"
        raise _bad(shown, message)
    if not whole:
        raise _bad(shown, "was changed since it was made (its fingerprint differs); make it anew")
    return terms


def moved(then: PlanTerms, now: PlanTerms, *, silent: Collection[str]) -> str | None:
    """Say how the world has moved between two plans, the first differences; None if it has not.

    `silent` are providers that no plan asks, since they work only while a pass does: what became
    of batches there is no surprise.
    """
    found = list(_differences(then, now, silent))
    return "; ".join(found[:_SHOWN]) + _and_more(found) if found else None


def _and_more(found: list[str]) -> str:
    return f"; and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""


def _differences(then: PlanTerms, now: PlanTerms, silent: Collection[str]) -> Iterator[str]:
    """Name what differs: a job that asks for something else explains its steps."""
    explained = set()
    for job in {**then.revisions, **now.revisions}:
        if job not in now.revisions:
            explained.add(job)
            yield f"{job}: its spec is gone, or it or its input is not valid any more"
        elif job not in then.revisions:
            explained.add(job)
            yield f"{job}: asks for something now that the plan does not hold"
        elif then.revisions[job] != now.revisions[job]:
            explained.add(job)
            yield f"{job}: asks for revision {now.revisions[job]} now ({_edits(then, now, job)})"
        elif edits := _edits(then, now, job):
            explained.add(job)
            yield f"{job}: {edits}"
    before = _by_subject(then, silent)
    after = _by_subject(now, silent)
    for about in {**before, **after}:
        if about[0] in explained:
            continue
        was, would_be = before.get(about, []), after.get(about, [])
        if sorted(was, key=_order) != sorted(would_be, key=_order):
            yield f"{about[0]}: {_place(about)} {_turn(was, would_be, now.waits.get(about))}"


def _edits(then: PlanTerms, now: PlanTerms, job: str) -> str:
    was, is_now = then.asks[job], now.asks[job]
    return listed(
        [
            "its input has changed"
            if field == _REQUESTS
            else f"{field} was {_shown(was.get(field))}, is {_shown(is_now.get(field))}"
            for field in {**is_now, **was}
            if was.get(field) != is_now.get(field)
        ]
    )


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"  # noqa: PLR2004 -- part of a line


def _by_subject(
    terms: PlanTerms, silent: Collection[str]
) -> dict[tuple[str, str, str | None], list[PlannedStep]]:
    steps: dict[tuple[str, str, str | None], list[PlannedStep]] = {}
    for step in terms.steps:
        if step.provider not in silent or step.action not in _NEWS:
            steps.setdefault(step.about, []).append(step)
    return steps


def _order(step: PlannedStep) -> tuple[str, str]:
    return step.action, repr(step.details)


def _place(about: tuple[str, str, str | None]) -> str:
    _job, revision, submission = about
    key = None if submission is None else SubmissionKey.parse(submission)
    if key is None:
        return f"the run of {revision}"
    return f"shard {key.shard}" + (f", attempt {key.attempt}," if key.attempt > 1 else "")


def _turn(was: list[PlannedStep], would_be: list[PlannedStep], waits: str | None) -> str:
    """Say what would be done instead of what was to be."""
    before, after = _deeds(was), _deeds(would_be)
    if not would_be:
        return f"was to be {before}, and now {waits or 'there is nothing to do for it'}"
    if not was:
        return f"would be {after}, and the plan has nothing for it"
    if before != after:
        return f"would be {after}, was to be {before}"
    changes = listed(
        [
            f"{name} was {_shown(dict(old.details).get(name))}, is {_shown(value)}"
            for old, new in zip(was, would_be, strict=False)
            for name, value in new.details
            if dict(old.details).get(name) != value
        ]
    )
    return f"would be {after} otherwise: {changes or 'in another number of steps'}"


def _deeds(steps: list[PlannedStep]) -> str:
    return " and ".join(dict.fromkeys(_DONE.get(step.action, step.action) for step in steps))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, not {type(value).__name__}")
    return value


def _bad(shown: str, message: str, line: int = 0, column: int = 0) -> InvalidInput:
    return InvalidInput([Problem(path=shown, line=line, column=column, message=message)])
