"""A saved plan (`runner plan -o FILE`), compared with the plan that would be applied now.

The *terms* of a plan are the part that a user approves: the jobs, the requests and the provider of
each, and the steps. They are values, made from a plan or read from its file. Two plans have the
same terms if

- the same SPECs were selected, and each job has the same revision and the same settings
  (provider, address, window, metadata, retry limits and so on; not comments and layout);
- the same steps would be taken: the same submissions with the same content, the same batches
  adopted, collected, closed or cancelled, the same runs moved, published or cleaned up.

What changes by itself is not compared: reasons, times, waits, counts of a batch in progress, and
steps that only change the ledger. A batch that has *finished* since is compared: it would be
collected, and what it leaves unfinished might be resubmitted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Self, TypedDict, get_args

from runner import __version__
from runner.errors import InvalidInput, PlanMoved, Problem
from runner.ledger.records import SubmissionKey
from runner.planning.actions import Action, AdoptFile, Finish, RelocateRun, Submit
from runner.spec.identity import canonical_json
from runner.text import listed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from runner.planning.actions import Plan
    from runner.planning.state import DesiredRun
    from runner.spec.job import DeadlineAction, Job

PLAN_FORMAT: Final = 1
"""The `format_version` of the file."""

_FROM_PROVIDER: Final = frozenset({"collect", "close", "lose"})
"""Steps that follow from what a provider shows of a batch in flight."""

_BOOKKEEPING: Final = frozenset(kind.verb for kind in get_args(Action) if kind.bookkeeping)
"""Steps that only change the ledger, by their words in files."""

_DETAILS: Final = ("batch", "file", "folder", "requests", "sha256", "state")
"""The fields of a step in which two steps of one kind for one submission may differ."""

_DONE: Final = {
    "start": "started",
    "restore": "restored from its record",
    "move": "moved",
    "reopen": "reopened",
    "submit": "submitted",
    "adopt": "adopted",
    "adopt_file": "recorded as uploaded",
    "retract": "prepared again",
    "lose": "marked as lost",
    "collect": "collected",
    "close": "closed",
    "cancel": "cancelled",
    "abandon": "abandoned",
    "publish": "published",
    "point_latest": "made the latest",
    "tidy": "cleaned up at the provider",
}
"""Steps in the words of a difference."""

_REQUESTS: Final = "requests_sha256"
"""The setting whose value is of no use in a message."""

_MAX_SHOWN: Final = 5
"""Differences that are described; the others are counted."""

NO_PLAN: Final = "is not a plan; `runner plan -o FILE` makes one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The jobs that a plan was made for: SPEC as typed, and the folder it was typed in.

    `folder` is relative to the project's root. No selector means every spec.
    """

    selectors: tuple[str, ...] = ()
    folder: str = "."


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """One step of a plan; `details` are those fields of `_DETAILS` that it has, with values."""

    job: str
    revision: str
    provider: str
    submission: str | None
    action: str
    details: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, action: Action) -> Self:
        """Describe an action."""
        details: dict[str, Any] = {}
        if action.remote_batch_id is not None:
            details["batch"] = action.remote_batch_id
        match action:
            case AdoptFile():
                details["file"] = action.file.id
            case RelocateRun():
                details["folder"] = action.folder
            case Submit():
                details["requests"] = action.submission.requests
                details["sha256"] = action.submission.sha256 or None
            case Finish():
                details["state"] = str(action.state)
            case _:
                pass
        key = action.submission_key
        return cls(
            job=action.run.job,
            revision=action.run.short,
            provider=action.run.provider,
            submission=None if key is None else str(key),
            action=action.verb,
            details=tuple(details.items()),
        )

    @property
    def about(self) -> tuple[str, str, str | None]:
        """Return its subject: job, revision, and the submission, if it is about one."""
        return self.job, self.revision, self.submission


class JobSettings(TypedDict):
    """The settings of a job from its spec and `runner.yaml`, defaults included."""

    endpoint: str
    input: str
    provider: str
    base_url: str | None
    replicate: int
    completion_window: str
    metadata: dict[str, str]
    attempts: int
    deadline_after: int | None
    deadline_action: DeadlineAction
    canary: int | None
    keep_remote: bool
    output: str | None
    input_expires_after: int | None
    output_expires_after: int | None
    requests_sha256: str


def settings(job: Job, requests_sha256: str) -> JobSettings:
    """Return the settings of a job, with the digest of its requests."""
    provider = job.provider
    return {
        "endpoint": job.endpoint,
        "input": job.input_shown,
        "provider": provider.name,
        "base_url": provider.identity["base_url"],
        "replicate": job.replicate,
        "completion_window": job.completion_window,
        "metadata": dict(job.metadata),
        "attempts": job.attempts,
        "deadline_after": job.deadline.after,
        "deadline_action": job.deadline.action,
        "canary": job.canary,
        "keep_remote": job.keep_remote,
        "output": job.output,
        "input_expires_after": provider.input_expires_after,
        "output_expires_after": provider.output_expires_after,
        "requests_sha256": requests_sha256,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanTerms:
    """The terms of a plan: the part that a user approves.

    `settings` are by job, with the digest of its requests; `waits` has the reason for what is not
    done now, by its subject. Only the words of a difference use `waits`.
    """

    selection: Selection
    revisions: Mapping[str, str]
    settings: Mapping[str, Mapping[str, Any]]
    steps: tuple[PlannedStep, ...]
    waits: Mapping[tuple[str, str, str | None], str]

    @classmethod
    def of(cls, desired_runs: Sequence[DesiredRun], plan: Plan, selection: Selection) -> Self:
        """Return the terms of a plan."""
        return cls(
            selection=selection,
            revisions={run.job.name: run.short for run in desired_runs},
            settings={run.job.name: dict(settings(run.job, run.digest)) for run in desired_runs},
            steps=tuple(
                PlannedStep.of(action) for action in plan.actions if not action.bookkeeping
            ),
            waits={
                (wait.run.job, wait.run.short, None if wait.key is None else str(wait.key)): (
                    wait.reason
                )
                for wait in plan.waits
            },
        )

    @classmethod
    def from_json(cls, shape: Mapping[str, Any]) -> Self:
        """Read the terms of a plan from `plan --json`.

        Raises KeyError, TypeError, ValueError or AttributeError for what is no such document.
        """
        return cls(
            selection=Selection(
                selectors=tuple(map(_text, shape["selectors"])), folder=_text(shape["selected_in"])
            ),
            revisions={_text(job["job"]): _text(job["revision"]) for job in shape["jobs"]},
            settings={job["job"]: dict(job["asks"]) for job in shape["jobs"]},
            steps=tuple(
                PlannedStep(
                    job=_text(action["job"]),
                    revision=_text(action["revision"]),
                    provider=_text(action["provider"]),
                    submission=(
                        None if action["submission"] is None else _text(action["submission"])
                    ),
                    action=_text(action["action"]),
                    details=tuple((name, action[name]) for name in _DETAILS if name in action),
                )
                for action in shape["actions"]
                if action["action"] not in _BOOKKEEPING
            ),
            waits={
                (wait["job"], wait["revision"], wait["submission"]): _text(wait["why"])
                for wait in shape["waits"]
            },
        )

    @property
    def fingerprint(self) -> str:
        """A SHA-256 that two plans share if, and only if, they have the same terms."""
        steps = [[*step.about, step.provider, step.action, step.details] for step in self.steps]
        agreed = {
            "selectors": self.selection.selectors,
            "folder": self.selection.folder,
            "revisions": dict(self.revisions),
            "asks": {job: dict(values) for job, values in self.settings.items()},
            "steps": sorted(steps, key=canonical_json),
        }
        return sha256(canonical_json(agreed)).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPlan:
    """A plan that the user has saved and approved; `shown` is the path of its file."""

    shown: str
    terms: PlanTerms

    @classmethod
    def read(cls, text: str, *, shown: str) -> Self:
        """Read a saved plan from the text of its file.

        Raises InvalidInput for what is no plan, was edited, or was made by another version.
        """
        try:
            shape = json.loads(text)
        except json.JSONDecodeError as error:
            message = f"is not JSON: {error.msg}; make the plan again"
            raise _invalid(shown, message, error.lineno, error.colno) from error
        except (ValueError, RecursionError) as error:
            raise _invalid(shown, f"is not a plan: {error}; make it again") from error
        if not isinstance(shape, dict) or "format_version" not in shape:
            raise _invalid(shown, NO_PLAN)
        if shape["format_version"] != PLAN_FORMAT:
            version = json.dumps(shape["format_version"])[:20]
            raise _invalid(
                shown,
                f"has format_version {version}, and this runner reads {PLAN_FORMAT}; make it again",
            )
        try:
            maker = _text(shape["made_by"]["runner"])
            terms = PlanTerms.from_json(shape)
            matches = terms.fingerprint == shape["fingerprint"]
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise _invalid(
                shown, "is not a complete plan: fields are missing; make it again"
            ) from error
        if maker != __version__:
            message = f"was made by runner {maker[:20]}, and this is {__version__}; make it again"
            raise _invalid(shown, message)
        if not matches:
            raise _invalid(
                shown, "was edited after it was made (its fingerprint differs); make it again"
            )
        return cls(shown=shown, terms=terms)

    def require_same(
        self, desired_runs: Sequence[DesiredRun], plan: Plan, *, embedded: Collection[str]
    ) -> None:
        """Raise PlanMoved unless a plan has the terms of this one.

        `embedded` are providers that `runner plan` does not query, since they work only during a
        pass: what has happened to batches there is not compared.
        """
        now = PlanTerms.of(desired_runs, plan, self.terms.selection)
        differences = difference(self.terms, now, embedded=embedded)
        if differences is not None:
            raise PlanMoved(
                f"the plan in {self.shown} is out of date, and nothing was done: {differences}. "
                f"`runner plan -o {self.shown}` makes it again"
            )


def difference(then: PlanTerms, now: PlanTerms, *, embedded: Collection[str]) -> str | None:
    """Describe the first differences between two plans; None if there is none."""
    found = list(_differences(then, now, embedded))
    return "; ".join(found[:_MAX_SHOWN]) + _and_more(found) if found else None


def _and_more(found: list[str]) -> str:
    return f"; and {len(found) - _MAX_SHOWN:,} more" if len(found) > _MAX_SHOWN else ""


def _differences(then: PlanTerms, now: PlanTerms, embedded: Collection[str]) -> Iterator[str]:
    """Describe each difference; that of a job's settings explains those of its steps."""
    explained = set()
    for job in {**then.revisions, **now.revisions}:
        if job not in now.revisions:
            explained.add(job)
            yield f"{job}: its spec was removed, or it or its input is not valid any more"
        elif job not in then.revisions:
            explained.add(job)
            yield f"{job}: is in the specs now, and not in the plan"
        elif then.revisions[job] != now.revisions[job]:
            explained.add(job)
            edits = _settings_changes(then, now, job)
            yield f"{job}: has revision {now.revisions[job]} now ({edits})"
        elif edits := _settings_changes(then, now, job):
            explained.add(job)
            yield f"{job}: {edits}"
    before = _by_subject(then, embedded)
    after = _by_subject(now, embedded)
    for about in {**before, **after}:
        if about[0] in explained:
            continue
        was, would_be = before.get(about, []), after.get(about, [])
        if sorted(was, key=_order) != sorted(would_be, key=_order):
            change = _describe_change(was, would_be, now.waits.get(about))
            yield f"{about[0]}: {_name_subject(about)} {change}"


def _settings_changes(then: PlanTerms, now: PlanTerms, job: str) -> str:
    was, is_now = then.settings[job], now.settings[job]
    return listed(
        [
            "its input has changed"
            if field == _REQUESTS
            else f"{field} was {_shorten(was.get(field))}, is {_shorten(is_now.get(field))}"
            for field in {**is_now, **was}
            if was.get(field) != is_now.get(field)
        ]
    )


def _shorten(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"  # noqa: PLR2004 -- part of a line


def _by_subject(
    terms: PlanTerms, embedded: Collection[str]
) -> dict[tuple[str, str, str | None], list[PlannedStep]]:
    steps: dict[tuple[str, str, str | None], list[PlannedStep]] = {}
    for step in terms.steps:
        if step.provider not in embedded or step.action not in _FROM_PROVIDER:
            steps.setdefault(step.about, []).append(step)
    return steps


def _order(step: PlannedStep) -> tuple[str, str]:
    return step.action, repr(step.details)


def _name_subject(about: tuple[str, str, str | None]) -> str:
    _job, revision, submission = about
    key = None if submission is None else SubmissionKey.parse(submission)
    if key is None:
        return f"the run of {revision}"
    return key.place + ("," if key.attempt > 1 else "")


def _describe_change(was: list[PlannedStep], would_be: list[PlannedStep], waits: str | None) -> str:
    """Return the difference between the planned steps and those of now, about one subject."""
    before, after = _verbs(was), _verbs(would_be)
    if not would_be:
        return f"was to be {before}, and now {waits or 'there is nothing to do for it'}"
    if not was:
        return f"would be {after}, and the plan has nothing for it"
    if before != after:
        return f"would be {after}, was to be {before}"
    changes = listed(
        [
            f"{name} was {_shorten(dict(old.details).get(name))}, is {_shorten(value)}"
            for old, new in zip(was, would_be, strict=False)
            for name, value in new.details
            if dict(old.details).get(name) != value
        ]
    )
    return f"would be {after} differently: {changes or 'the number of steps differs'}"


def _verbs(steps: list[PlannedStep]) -> str:
    return " and ".join(dict.fromkeys(_DONE.get(step.action, step.action) for step in steps))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, not {type(value).__name__}")
    return value


def _invalid(shown: str, message: str, line: int = 0, column: int = 0) -> InvalidInput:
    return InvalidInput([Problem(path=shown, line=line, column=column, message=message)])
