"""The states of one job for which golden/decisions.txt has the whole plan, words included."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

from runner.batch import File
from runner.inputs.row_set import RowSet
from runner.ledger.records import RunState, SubmissionState, Tag
from runner.planning.plan import make_plan
from runner.planning.state import Observed, PlanInputs, Recorded, Restorable
from runner.spec.job import Deadline, DeadlineAction
from runner.spec.project import Provider
from tests.planning.test_plan import (
    GRACE,
    KEY,
    NOW,
    PROVIDER,
    RECORD,
    SAME_FILE,
    TAGGED,
    UP,
    C,
    P,
    S,
    U,
    batch,
    desired,
    listing,
    observed,
    submission,
)
from tests.planning.test_shards import EVERY, attempt, run_of, shard

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from runner.batch import Batch
    from runner.ledger.records import ShardRecord, Submission, SubmissionKey
    from runner.planning.actions import Plan
    from runner.planning.state import DesiredRun

NOTHING: Final = RowSet()
FIRST_ROWS: Final = RowSet.span(0, 3)
LAST_ROWS: Final = RowSet.span(5, 8)
SECOND: Final = dataclasses.replace(KEY, attempt=2)
THIRD: Final = dataclasses.replace(KEY, attempt=3)
LOOPBACK: Final = Provider(name="openai", base_url="http://127.0.0.1:9/v1")
DAY: Final = 86_400.0
LISTED: Final = observed(listing=listing())
DOUBTED: Final = NOW - GRACE
"""When the outcome of a call was first unknown: exactly the grace time ago."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scene:
    """What is recorded of one job, what was observed, and what its spec says."""

    submissions: Sequence[Submission] = ()
    at: Observed = dataclasses.field(default_factory=Observed)
    wanted: bool = True
    run: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    job: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    desired: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    recorded: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    new: bool = False
    beside: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Other jobs that specs describe: their revision by name."""

    def plan(self, root: Path) -> Plan:
        """Make the plan."""
        values: dict[str, Any] = {
            "now": NOW,
            "observed": {"openai": self.at},
            "providers": {"openai": PROVIDER},
            "job_names": frozenset({"job"}) if self.wanted else frozenset(),
        }
        described = self._desired(root)
        run = dataclasses.replace(
            run_of(self.submissions), **({"base_url": PROVIDER.base_url} | dict(self.run))
        )
        recorded: dict[str, Any] = {
            "jobs": {} if self.new else {"job": RECORD},
            "runs": () if self.new else (run,),
        }
        return make_plan(
            [described, *self._beside(described)] if self.wanted else [],
            Recorded(**(recorded | dict(self.recorded))),
            PlanInputs(**(values | dict(self.inputs))),
        )

    def _beside(self, described: DesiredRun) -> Iterator[DesiredRun]:
        for name, revision in self.beside.items():
            yield dataclasses.replace(
                described,
                job=dataclasses.replace(described.job, name=name),
                revision=revision,
                record=dataclasses.replace(RECORD, name=name, desired_revision=revision),
                folder=f"outputs/{name}/{revision[:12]}",
            )

    def _desired(self, root: Path) -> DesiredRun:
        described = desired(root, **self.desired)
        return dataclasses.replace(described, job=dataclasses.replace(described.job, **self.job))


def shown(plan: Plan) -> list[str]:
    """Render every action, wait and note of a plan with all that it says."""
    return [*_shown(plan)]


def _shown(plan: Plan) -> Iterator[str]:
    for step in (*plan.actions, *plan.waits):
        yield f"{type(step).__name__}: {step.reason}"
        for field in dataclasses.fields(step):
            value = getattr(step, field.name)
            if field.name != "reason" and value is not field.default:
                yield f"    {field.name}: {_value(value)}"
    yield from (f"note: {note}" for note in plan.notes)
    yield from (f"needs a listing: {name}" for name in sorted(plan.needs_listing))


_KEPT: Final = frozenset(
    {"round", "rows", "requests", "bytes", "sha256", "input_file_id", "not_before", "batch_id"}
)


def _value(value: Any) -> str:  # noqa: ANN401 -- any field of an action
    match type(value).__name__:
        case "Run":
            moved = f" in {value.folder}" if value.folder != run_of([]).folder else ""
            made = f" made at {value.created_at:g}" if value.created_at != 0 else ""
            return f"{value.job}/{value.revision[:12]} {value.state} {value.requests}{moved}{made}"
        case "Submission":
            fields = {name: getattr(value, name) for name in sorted(_KEPT)}
            fields["sha256"] = value.sha256[:4]
            said = " ".join(f"{name}={its}" for name, its in fields.items() if its)
            return f"{value.key} {value.state} {said}"
        case "ShardRecord":
            return f"shard {value.number}"
        case "Batch" | "File":
            return str(value.id)
        case "Job" | "JobRecord":
            return str(value.name)
        case "Restorable":
            return f"{value.run.name}"
        case _:
            return str(value)


def closed(number: int, how: SubmissionState, transient: RowSet, **more: Any) -> Submission:  # noqa: ANN401
    """Return an attempt that has ended; without `permanent` or `rows` it asked all rows."""
    permanent = more.pop("permanent", NOTHING)
    rows = more.pop("rows", EVERY)
    made = attempt(number, rows, how, transient, permanent)
    return dataclasses.replace(made, **({"problem": f"problem {number}"} | more))


def limited(number: int = 1, code: str = "token_limit_exceeded", **more: Any) -> Submission:  # noqa: ANN401
    """Return an attempt whose batch met a limit: it does not count."""
    rejected = batch("failed", errors={"data": [{"code": code, "message": "Too much."}]})
    values: dict[str, Any] = {
        "counted": False,
        "input_file_id": "file-1",
        "batch_id": "batch_1",
        "batch": rejected,
        "not_before": NOW + 30,
    }
    return closed(number, SubmissionState.FAILED, more.get("rows", EVERY), **(values | more))


def later(number: int, made: Submission) -> Submission:
    """Return the same submission as a later attempt."""
    return dataclasses.replace(made, key=dataclasses.replace(KEY, attempt=number))


def seen(status: str, **more: Any) -> Observed:  # noqa: ANN401 -- fields of a Batch object
    """Return what is observed of the batch in flight."""
    return observed(batches={"batch_1": batch(status, **more)})


def tagged(key: SubmissionKey, identifier: str, **more: Any) -> Batch:  # noqa: ANN401 -- fields
    """Return a listed batch with a submission key in its metadata."""
    tag = Tag(key=key, requests=8, sha256="0" * 64)
    return batch("in_progress", **({"id": identifier, "metadata": {"runner": str(tag)}} | more))


def other_content(
    key: SubmissionKey,
    *,
    requests: int = 8,
    sha256: str | None = "0" * 64,
    **more: Any,  # noqa: ANN401
) -> Batch:
    """Return a listed batch whose tag may describe other rows; without a digest as users write."""
    tag = str(Tag(key=key, requests=requests, sha256=sha256, **more))
    shown = tag if sha256 is not None else f"{key} rows={requests}"
    return batch("in_progress", id="batch_2", metadata={"runner": shown})


def listed(*batches: Batch, **more: Any) -> Observed:  # noqa: ANN401 -- fields of a Listing
    """Return a complete listing with these batches."""
    return observed(listing=listing(batches=batches, **more))


def file(**more: Any) -> File:  # noqa: ANN401 -- fields of a File object
    """Return the input file of the first attempt at the provider."""
    return File.from_api({"id": "file-9", "filename": KEY.filename, "bytes": 1, **more})


def shards(*models: str | None) -> tuple[ShardRecord, ...]:
    """Return shards of eight rows each, with these models."""
    return tuple(
        dataclasses.replace(
            shard(), number=number, model=model, rows=RowSet.span(8 * number - 8, 8 * number)
        )
        for number, model in enumerate(models, 1)
    )


def in_shard(number: int, made: Submission) -> Submission:
    """Return a submission of another shard, with that shard's rows."""
    return dataclasses.replace(
        made,
        key=dataclasses.replace(made.key, shard=number),
        rows=RowSet.from_iterable(row + 8 * (number - 1) for row in made.rows),
    )


def _money() -> dict[str, Any]:
    return {"data": [{"code": "insufficient_quota", "message": "No credit."}]}


def _errors(*codes: str) -> dict[str, Any]:
    return {"data": [{"code": code, "message": f"{code}!"} for code in codes]}


UNREADABLE: Final = listing(complete=False, unreadable=("entry 1", "entry 2"))
OUT: Final = observed(failure="the provider cannot be reached")
WAIT: Final = Deadline(action=DeadlineAction.WAIT)
RESUBMIT: Final = Deadline(action=DeadlineAction.RESUBMIT)
OVERDUE: Final = {"submitted_at": NOW - 2 * DAY}
WINDOW: Final = {"completion_window": "24h"}
STUCK: Final = {"cancelling_at": 901}
CANCEL: Final = {"cancel_requested": True}
HELD: Final = {"held": {str(KEY): "held: said before"}}


def _open() -> dict[str, Scene]:
    """Return the states of an attempt without a batch."""
    return {
        "prepared": Scene(submissions=[submission(P)], at=LISTED),
        "prepared, held": Scene(submissions=[submission(P)], at=LISTED, inputs=HELD),
        "prepared, not listed": Scene(submissions=[submission(P)]),
        "prepared, list incomplete": Scene(
            submissions=[submission(P)], at=observed(listing=listing(complete=False))
        ),
        "prepared, list unreadable": Scene(
            submissions=[submission(P)], at=observed(listing=UNREADABLE)
        ),
        "prepared, no list offered": Scene(
            submissions=[submission(P)],
            at=observed(listing=listing(complete=False, offered=False)),
        ),
        "prepared, out of reach": Scene(submissions=[submission(P)], at=OUT),
        "prepared, listed under its key": Scene(submissions=[submission(P)], at=listed(TAGGED)),
        "prepared, no spec": Scene(submissions=[submission(P)], at=LISTED, wanted=False),
        "prepared, cancelled": Scene(submissions=[submission(P)], at=LISTED, run=CANCEL),
        "prepared, its rows are in flight": Scene(
            submissions=[
                submission(P, rows=FIRST_ROWS),
                dataclasses.replace(submission(S, rows=FIRST_ROWS), key=SECOND),
            ],
            at=LISTED,
        ),
        "prepared, one of its rows is answered": Scene(
            submissions=[
                submission(P, rows=FIRST_ROWS),
                closed(2, SubmissionState.COLLECTED, RowSet.span(0, 2), rows=FIRST_ROWS),
            ],
            at=LISTED,
        ),
        "prepared, and another under its key": Scene(
            submissions=[
                submission(P, rows=FIRST_ROWS),
                dataclasses.replace(submission(P, rows=LAST_ROWS), key=SECOND),
            ],
            at=listed(TAGGED),
        ),
        "prepared, another machine has used an abandoned number": Scene(
            submissions=[
                closed(1, SubmissionState.ABANDONED, FIRST_ROWS, rows=FIRST_ROWS),
                dataclasses.replace(submission(P, rows=LAST_ROWS), key=SECOND),
            ],
            at=listed(TAGGED),
        ),
        "prepared, its rows have failed": Scene(
            submissions=[
                submission(P, rows=FIRST_ROWS),
                closed(2, SubmissionState.COLLECTED, FIRST_ROWS, rows=FIRST_ROWS),
            ],
            at=LISTED,
        ),
        "uploaded": Scene(submissions=[submission(UP)], at=LISTED),
        "uploaded, a batch of its file": Scene(submissions=[submission(UP)], at=listed(SAME_FILE)),
        "second attempt prepared": Scene(
            submissions=[closed(1, SubmissionState.COLLECTED, EVERY), later(2, submission(P))],
            at=LISTED,
        ),
        "uploading": Scene(submissions=[submission(U)], at=LISTED),
        "uploading, doubted by a clock that was ahead": Scene(
            submissions=[submission(U, doubt_at=NOW + 0.5)], at=LISTED
        ),
        "uploading, doubted now": Scene(submissions=[submission(U, doubt_at=NOW)], at=LISTED),
        "uploading, the grace time is over": Scene(
            submissions=[submission(U, doubt_at=DOUBTED)], at=LISTED
        ),
        "uploading, the grace time is not over": Scene(
            submissions=[submission(U, doubt_at=DOUBTED + 0.5)], at=LISTED
        ),
        "uploading, the list began before": Scene(
            submissions=[submission(U, doubt_at=DOUBTED)],
            at=observed(listing=listing(started_at=NOW - 0.5)),
        ),
        "uploading, files incomplete": Scene(
            submissions=[submission(U, doubt_at=DOUBTED)],
            at=observed(listing=listing(files_complete=False)),
        ),
        "uploading, files not listed": Scene(
            submissions=[submission(U, doubt_at=DOUBTED)],
            at=observed(listing=listing(files=None)),
        ),
        "uploading, no list": Scene(submissions=[submission(U, doubt_at=DOUBTED)]),
        "uploading, out of reach": Scene(submissions=[submission(U, doubt_at=DOUBTED)], at=OUT),
        "uploading, no files offered": Scene(
            submissions=[submission(U, doubt_at=NOW)],
            at=observed(listing=listing(files_offered=False)),
        ),
        "uploading, the file is there": Scene(
            submissions=[submission(U)], at=listed(files=(file(),))
        ),
        "uploading, the file is there without a size": Scene(
            submissions=[submission(U)], at=listed(files=(file(bytes=None),))
        ),
        "uploading, a file of another size": Scene(
            submissions=[submission(U, doubt_at=DOUBTED)], at=listed(files=(file(bytes=2),))
        ),
        "uploading, two files of its name": Scene(
            submissions=[submission(U)], at=listed(files=(file(), file(id="file-8")))
        ),
        "uploading, no spec": Scene(submissions=[submission(U)], at=LISTED, wanted=False),
        "creating": Scene(submissions=[submission(C)], at=LISTED),
        "creating, listed under its key": Scene(submissions=[submission(C)], at=listed(TAGGED)),
        "creating, a batch of its file": Scene(submissions=[submission(C)], at=listed(SAME_FILE)),
        "creating, the grace time is over": Scene(
            submissions=[submission(C, doubt_at=DOUBTED)], at=LISTED
        ),
        "creating, the grace time is not over": Scene(
            submissions=[submission(C, doubt_at=DOUBTED + 0.5)], at=LISTED
        ),
        "creating, list incomplete": Scene(
            submissions=[submission(C, doubt_at=DOUBTED)],
            at=observed(listing=listing(complete=False)),
        ),
        "creating, no list offered": Scene(
            submissions=[submission(C, doubt_at=DOUBTED)],
            at=observed(listing=listing(complete=True, offered=False)),
        ),
        "creating, no list offered, cancelled": Scene(
            submissions=[submission(C, doubt_at=DOUBTED)],
            at=observed(listing=listing(complete=True, offered=False)),
            run=CANCEL,
        ),
        "creating, out of reach": Scene(submissions=[submission(C, doubt_at=DOUBTED)], at=OUT),
        "creating, at a provider that no project file names": Scene(
            submissions=[submission(C, doubt_at=NOW - 60)], at=LISTED, inputs={"providers": {}}
        ),
        "creating, at an unknown provider, the grace time is not over": Scene(
            submissions=[submission(C, doubt_at=NOW - 59)], at=LISTED, inputs={"providers": {}}
        ),
    }


def _next() -> dict[str, Scene]:
    """Return the states of a shard without an open attempt."""
    half = closed(1, SubmissionState.COLLECTED, LAST_ROWS)
    renamed = batch("failed", id="batch_7", input_file_id="file-1")
    return {
        "nothing submitted": Scene(at=LISTED),
        "nothing submitted, held": Scene(at=LISTED, inputs=HELD),
        "nothing submitted, cancelled": Scene(at=LISTED, run=CANCEL),
        "a part is left": Scene(submissions=[half], at=LISTED),
        "a part is left, in the second round": Scene(
            submissions=[half], at=LISTED, run={"round": 1}
        ),
        "a part is left, no spec": Scene(submissions=[half], at=LISTED, wanted=False),
        "all is left": Scene(
            submissions=[
                closed(
                    1, SubmissionState.COLLECTED, EVERY, input_file_id="file-1", not_before=2000.0
                )
            ],
            at=LISTED,
        ),
        "the next key is used by another run": Scene(
            submissions=[half],
            at=LISTED,
            recorded={"keys": {"a" * 64: frozenset({KEY, SECOND})}},
        ),
        "an attempt that is not known here": Scene(at=listed(TAGGED)),
        "an attempt that is not known here, of a failed one": Scene(
            submissions=[half], at=listed(tagged(SECOND, "batch_2"))
        ),
        "an attempt that was listed before": Scene(
            at=LISTED, recorded={"tagged": {"openai": ((KEY, TAGGED),)}}
        ),
        "an attempt that is not known here, after one that is": Scene(
            submissions=[dataclasses.replace(half, batch_id="batch_1")],
            at=listed(TAGGED, tagged(SECOND, "batch_2")),
        ),
        "two attempts that are not known here": Scene(at=listed(TAGGED, tagged(SECOND, "batch_2"))),
        "two attempts that are not known here, held": Scene(
            at=listed(TAGGED, tagged(SECOND, "batch_2")), inputs=HELD
        ),
        "two batches of an attempt that is not known here": Scene(
            at=listed(
                tagged(SECOND, "batch_3", created_at=800), tagged(SECOND, "batch_2", created_at=900)
            )
        ),
        "an attempt under the name of a job that is gone": Scene(
            at=listed(tagged(dataclasses.replace(KEY, job="old"), "batch_2"))
        ),
        "an attempt under the name of another job": Scene(
            at=listed(tagged(dataclasses.replace(KEY, job="old"), "batch_2")),
            inputs={"job_names": frozenset({"job", "old"})},
        ),
        "an attempt of a job that may be gone": Scene(
            at=listed(tagged(dataclasses.replace(KEY, job="old"), "batch_2")),
            inputs={"job_names": None},
        ),
        "an attempt of another run of this ledger": Scene(
            at=listed(tagged(SECOND, "batch_2")),
            recorded={"keys": {"a" * 64: frozenset({SECOND})}},
        ),
        "a batch that is recorded under another key": Scene(
            submissions=[submission(S)], at=listed(tagged(SECOND, "batch_1"))
        ),
        "an attempt of another shard": Scene(
            at=listed(tagged(dataclasses.replace(KEY, shard=2), "batch_2"))
        ),
        "the key is that of another attempt's batch": Scene(
            submissions=[
                dataclasses.replace(half, batch_id="batch_1"),
                later(2, submission(C, doubt_at=DOUBTED, input_file_id=None)),
            ],
            at=listed(tagged(SECOND, "batch_1")),
        ),
        "after a limit": Scene(submissions=[limited()], at=LISTED),
        "after a limit, the time has come": Scene(submissions=[limited(not_before=NOW)], at=LISTED),
        "after a limit, its batch under another id": Scene(
            submissions=[limited(not_before=NOW)], at=listed(renamed)
        ),
        "after a limit, uploaded, its batch is listed": Scene(
            submissions=[limited(), later(2, submission(UP))], at=listed(SAME_FILE)
        ),
        "after a limit, creating, its batch is listed": Scene(
            submissions=[limited(), later(2, submission(C, doubt_at=DOUBTED))],
            at=listed(SAME_FILE),
        ),
        "after as many attempts as the spec wants": Scene(
            submissions=[half], at=LISTED, job={"attempts": 1}, run={"attempts": 3}
        ),
        "after a limit, in the longest pause": Scene(
            submissions=[limited(not_before=NOW + 3600)], at=LISTED
        ),
        "after a limit, by a clock that was ahead": Scene(
            submissions=[limited(not_before=NOW + 3600.5)], at=LISTED
        ),
        "after a lack of credit": Scene(
            submissions=[limited(code="insufficient_quota")], at=LISTED
        ),
        "after a limit, prepared": Scene(
            submissions=[limited(), later(2, submission(P, not_before=NOW + 30))], at=LISTED
        ),
        "after a limit and another failure": Scene(
            submissions=[limited(), closed(2, SubmissionState.COLLECTED, EVERY)], at=LISTED
        ),
        "after a limit, for other rows": Scene(submissions=[limited(rows=FIRST_ROWS)], at=LISTED),
        "after a limit and one that was given up": Scene(
            submissions=[limited(), closed(2, SubmissionState.ABANDONED, EVERY)], at=LISTED
        ),
        "a size limit": Scene(at=LISTED, run={"ceiling": 30}),
        "a size limit below one row": Scene(at=LISTED, run={"ceiling": 1}),
        "a size limit that all fits": Scene(at=LISTED, run={"ceiling": 100}),
        "a canary": Scene(at=LISTED, job={"canary": 3}),
        "a canary as large as the job": Scene(at=LISTED, job={"canary": 8}),
        "a canary larger than its size limit": Scene(
            at=LISTED, run={"ceiling": 30}, job={"canary": 5}
        ),
        "a canary that succeeds": Scene(
            submissions=[closed(1, SubmissionState.COLLECTED, NOTHING, rows=FIRST_ROWS)],
            at=LISTED,
            job={"canary": 3},
        ),
        "a canary that fails": Scene(
            submissions=[
                closed(1, SubmissionState.COLLECTED, NOTHING, rows=FIRST_ROWS, permanent=FIRST_ROWS)
            ],
            at=LISTED,
            job={"canary": 3},
        ),
        "a canary half of which succeeds": Scene(
            submissions=[
                closed(
                    1,
                    SubmissionState.COLLECTED,
                    NOTHING,
                    rows=RowSet.span(0, 4),
                    permanent=RowSet.span(0, 2),
                )
            ],
            at=LISTED,
            job={"canary": 4},
        ),
        "a canary less than half of which succeeds": Scene(
            submissions=[
                closed(
                    1,
                    SubmissionState.COLLECTED,
                    NOTHING,
                    rows=RowSet.span(0, 4),
                    permanent=FIRST_ROWS,
                )
            ],
            at=LISTED,
            job={"canary": 4},
            run={"shards": shards("m", "m"), "requests": 16},
        ),
        "a canary that was made smaller in flight": Scene(
            submissions=[
                dataclasses.replace(submission(S), rows=FIRST_ROWS),
            ],
            at=seen("in_progress"),
            job={"canary": 1},
            run={"shards": shards("m", "m"), "requests": 16},
        ),
        "a canary two of five of which succeed": Scene(
            submissions=[
                closed(
                    1,
                    SubmissionState.COLLECTED,
                    NOTHING,
                    rows=RowSet.span(0, 5),
                    permanent=FIRST_ROWS,
                )
            ],
            at=LISTED,
            job={"canary": 5},
        ),
        "a canary as large as the job that fails": Scene(
            submissions=[closed(1, SubmissionState.COLLECTED, NOTHING, permanent=EVERY)],
            job={"canary": 8},
        ),
        "a canary of a job without models": Scene(
            at=LISTED, job={"canary": 2}, run={"shards": shards(None, None), "requests": 16}
        ),
        "a canary of the spec after all was submitted": Scene(
            submissions=[closed(1, SubmissionState.COLLECTED, NOTHING)],
            at=LISTED,
            job={"canary": 2},
            run={"shards": shards("m", "m"), "requests": 16},
        ),
        "a canary of the spec after all of a shard has failed": Scene(
            submissions=[closed(1, SubmissionState.COLLECTED, NOTHING, permanent=EVERY)],
            at=LISTED,
            job={"canary": 2},
            run={"shards": shards("m", "m"), "requests": 16},
        ),
        "a canary of other rows": Scene(
            submissions=[closed(1, SubmissionState.COLLECTED, NOTHING, rows=LAST_ROWS)],
            at=LISTED,
            job={"canary": 2},
            run={"shards": shards("m", "m"), "requests": 16},
        ),
        "a canary after a size limit": Scene(
            submissions=[closed(1, SubmissionState.COLLECTED, NOTHING, rows=FIRST_ROWS)],
            at=LISTED,
            job={"canary": 2},
            run={"ceiling": 30},
        ),
        "a canary of each model": Scene(
            at=LISTED,
            job={"canary": 2},
            run={"shards": shards("m", "m", None, "n"), "requests": 32},
        ),
        "a canary beside what was submitted before": Scene(
            submissions=[in_shard(2, closed(1, SubmissionState.COLLECTED, NOTHING))],
            at=LISTED,
            job={"canary": 2},
            run={"shards": shards("m", "m"), "requests": 16},
        ),
        "a canary that met a limit": Scene(
            submissions=[limited(rows=FIRST_ROWS, not_before=0.0)],
            at=LISTED,
            job={"canary": 3},
            run={"shards": shards("m", "m"), "requests": 16},
        ),
        "rows of two limits": Scene(
            submissions=[
                closed(1, SubmissionState.COLLECTED, EVERY),
                closed(2, SubmissionState.COLLECTED, EVERY),
            ],
            at=LISTED,
        ),
    }


def _flight() -> dict[str, Scene]:
    """Return the states of a batch in flight."""
    fixed = submission(S, submitted_at=NOW - 100)
    late = submission(S, **OVERDUE)
    overdue = submission(S, overdue_at=NOW - DAY, **OVERDUE)
    cancelling = submission(
        S, batch=batch("cancelling"), submitted_at=NOW - DAY - 1, overdue_at=NOW - DAY
    )
    return {
        "in flight": Scene(submissions=[fixed], at=seen("in_progress")),
        "in flight, not observed": Scene(submissions=[fixed]),
        "in flight, out of reach": Scene(submissions=[fixed], at=OUT),
        "in flight, held": Scene(submissions=[fixed], at=seen("in_progress"), inputs=HELD),
        "in flight, the run is held": Scene(
            submissions=[fixed],
            at=seen("in_progress"),
            inputs={"held": {f"job/{'a' * 12}": "a disk is full"}},
        ),
        "in flight, a newer status": Scene(submissions=[fixed], at=seen("finalizing")),
        "in flight, an older status": Scene(submissions=[fixed], at=seen("validating")),
        "in flight, new counts": Scene(
            submissions=[fixed], at=seen("in_progress", request_counts={"total": 8})
        ),
        "in flight, recorded in this pass": Scene(
            submissions=[fixed],
            at=seen("finalizing"),
            inputs={"recorded_batches": frozenset({str(KEY)})},
        ),
        "in flight, nothing recorded": Scene(
            submissions=[submission(S, batch=None)], at=seen("in_progress")
        ),
        "in flight, back again": Scene(
            submissions=[submission(S, missing_at=NOW - 5)], at=seen("in_progress")
        ),
        "in flight, at another address": Scene(
            submissions=[fixed], at=seen("completed"), run={"base_url": "https://old.example/v1"}
        ),
        "in flight, at a provider that no project file names": Scene(
            submissions=[fixed], at=seen("in_progress"), inputs={"providers": {}}
        ),
        "missing": Scene(submissions=[fixed], at=observed(missing=frozenset({"batch_1"}))),
        "missing, by a clock that was ahead": Scene(
            submissions=[submission(S, missing_at=NOW + 1)],
            at=observed(missing=frozenset({"batch_1"})),
        ),
        "missing for a while": Scene(
            submissions=[submission(S, missing_at=NOW - 599.5)],
            at=observed(missing=frozenset({"batch_1"})),
        ),
        "missing for too long": Scene(
            submissions=[submission(S, missing_at=NOW - 600)],
            at=observed(missing=frozenset({"batch_1"})),
        ),
        "missing, observed before": Scene(
            submissions=[submission(S, missing_at=NOW - 600)],
            at=observed(missing=frozenset({"batch_1"}), queried_at=NOW - 1),
        ),
        "missing on loopback": Scene(
            submissions=[submission(S, missing_at=NOW - 5)],
            at=observed(missing=frozenset({"batch_1"})),
            inputs={"providers": {"openai": LOOPBACK}},
            run={"base_url": LOOPBACK.base_url},
        ),
        "missing for a while on loopback": Scene(
            submissions=[submission(S, missing_at=NOW - 4.5)],
            at=observed(missing=frozenset({"batch_1"})),
            inputs={"providers": {"openai": LOOPBACK}},
            run={"base_url": LOOPBACK.base_url},
        ),
        "cancelled": Scene(submissions=[fixed], at=seen("in_progress"), run=CANCEL),
        "cancelled in this pass": Scene(
            submissions=[fixed],
            at=seen("in_progress"),
            run=CANCEL,
            inputs={"cancelled": frozenset({str(KEY)})},
        ),
        "cancelling": Scene(submissions=[fixed], at=seen("cancelling"), run=CANCEL),
        "due by its window": Scene(
            submissions=[submission(S, submitted_at=NOW - DAY - 3600)],
            at=seen("in_progress", **WINDOW),
        ),
        "not yet due by its window": Scene(
            submissions=[submission(S, submitted_at=NOW - DAY - 3599.5)],
            at=seen("in_progress", **WINDOW),
        ),
        "due by its expiry": Scene(
            submissions=[submission(S, submitted_at=NOW - 3700)],
            at=seen("in_progress", expires_at=1000, **WINDOW),
        ),
        "not yet due by its expiry": Scene(
            submissions=[submission(S, submitted_at=NOW - 3699.5)],
            at=seen("in_progress", expires_at=1000, **WINDOW),
        ),
        "due by its window in minutes": Scene(
            submissions=[submission(S, submitted_at=NOW - 5400)],
            at=seen("in_progress", completion_window="30m"),
        ),
        "due by its window in days": Scene(
            submissions=[submission(S, submitted_at=NOW - DAY - 3600)],
            at=seen("in_progress", completion_window="1d"),
        ),
        "expires before it was created": Scene(
            submissions=[submission(S, submitted_at=NOW - 3600)],
            at=seen("in_progress", expires_at=800, **WINDOW),
        ),
        "expires, created at an unknown time": Scene(
            submissions=[submission(S, submitted_at=NOW - DAY)],
            at=seen("in_progress", expires_at=800, created_at=None, **WINDOW),
        ),
        "without a window": Scene(submissions=[late], at=seen("in_progress")),
        "submitted at an unknown time": Scene(
            submissions=[submission(S)], at=seen("in_progress", **WINDOW)
        ),
        "due by the spec": Scene(
            submissions=[submission(S, submitted_at=NOW - 60)],
            at=seen("in_progress"),
            job={"deadline": Deadline(after=60)},
        ),
        "due by the spec, as the spec waits": Scene(
            submissions=[late], at=seen("in_progress", **WINDOW), job={"deadline": WAIT}
        ),
        "due, no spec": Scene(submissions=[late], at=seen("in_progress", **WINDOW), wanted=False),
        "overdue": Scene(submissions=[overdue], at=seen("in_progress", **WINDOW)),
        "overdue, resubmitted": Scene(
            submissions=[late], at=seen("in_progress", **WINDOW), job={"deadline": RESUBMIT}
        ),
        "overdue, cancelled on request": Scene(
            submissions=[overdue],
            at=seen("in_progress", **WINDOW),
            job={"deadline": RESUBMIT},
            run=CANCEL,
        ),
        "overdue, cancelling": Scene(
            submissions=[overdue], at=seen("cancelling", **WINDOW), job={"deadline": RESUBMIT}
        ),
        "stuck in cancelling": Scene(submissions=[cancelling], at=seen("cancelling", **STUCK)),
        "not yet stuck in cancelling": Scene(
            submissions=[dataclasses.replace(cancelling, submitted_at=NOW - DAY - 0.5)],
            at=seen("cancelling", **STUCK),
        ),
        "stuck in cancelling, cancelled": Scene(
            submissions=[cancelling], at=seen("cancelling", **STUCK), run=CANCEL
        ),
        "stuck in cancelling, in the next round": Scene(
            submissions=[cancelling], at=seen("cancelling", **STUCK), run={"round": 1}
        ),
        "stuck in cancelling since it became overdue": Scene(
            submissions=[cancelling], at=seen("cancelling"), job={"deadline": RESUBMIT}
        ),
        "in cancelling since an unknown time": Scene(
            submissions=[cancelling], at=seen("cancelling")
        ),
        "in cancelling before it was created": Scene(
            submissions=[dataclasses.replace(cancelling, submitted_at=NOW - DAY)],
            at=seen("cancelling", cancelling_at=1),
        ),
        "in cancelling, created at an unknown time": Scene(
            submissions=[cancelling], at=seen("cancelling", cancelling_at=1, created_at=None)
        ),
        "in progress long after it was cancelled": Scene(
            submissions=[dataclasses.replace(cancelling, batch=batch("in_progress"))],
            at=seen("in_progress", **STUCK),
        ),
    }


def _terminal() -> dict[str, Scene]:
    """Return the states of a batch that has ended."""
    ended = submission(S, terminal_at=NOW - 10)
    both = {"output_file_id": "o", "error_file_id": "e"}
    over = submission(S, terminal_at=NOW - 900)
    loopback: dict[str, Any] = {
        "inputs": {"providers": {"openai": LOOPBACK}},
        "run": {"base_url": LOOPBACK.base_url},
    }
    patient = dataclasses.replace(PROVIDER, adoption_grace=1000.0)
    three = [limited(number) for number in (1, 2, 3)]
    scenes = {
        f"{status} with {name}": Scene(submissions=[ended], at=seen(status, **files))
        for status in ("completed", "failed", "expired", "cancelled")
        for name, files in (
            ("both files", both),
            ("an output file", {"output_file_id": "o"}),
            ("an error file", {"error_file_id": "e"}),
            ("an error file and counts", {"error_file_id": "e", "request_counts": {"total": 8}}),
            ("no file", {}),
        )
    }
    return scenes | {
        "completed, first seen": Scene(
            submissions=[submission(S)], at=seen("completed", output_file_id="o")
        ),
        "completed, first seen by a clock that was ahead": Scene(
            submissions=[submission(S, terminal_at=NOW + 1, batch=batch("completed"))],
            at=seen("completed"),
        ),
        "completed, first seen without files": Scene(
            submissions=[submission(S)], at=seen("completed")
        ),
        "completed as recorded": Scene(
            submissions=[dataclasses.replace(ended, batch=batch("completed", output_file_id="o"))],
            at=seen("completed", output_file_id="o"),
        ),
        "no file, and the time is over": Scene(submissions=[over], at=seen("completed")),
        "no file, and the time is not over": Scene(
            submissions=[submission(S, terminal_at=NOW - 899.5)], at=seen("completed")
        ),
        "no file, observed before the time was over": Scene(
            submissions=[over],
            at=observed(batches={"batch_1": batch("completed")}, queried_at=NOW - 1),
        ),
        "no file, a patient provider": Scene(
            submissions=[submission(S, terminal_at=NOW - 1000)],
            at=seen("completed"),
            inputs={"providers": {"openai": patient}},
        ),
        "no file, a patient provider, not over": Scene(
            submissions=[submission(S, terminal_at=NOW - 999.5)],
            at=seen("completed"),
            inputs={"providers": {"openai": patient}},
        ),
        "no file on loopback": Scene(
            submissions=[submission(S, terminal_at=NOW - 5)], at=seen("completed"), **loopback
        ),
        "no file on loopback, not over": Scene(
            submissions=[submission(S, terminal_at=NOW - 4.5)], at=seen("completed"), **loopback
        ),
        "counts, but no file": Scene(
            submissions=[ended], at=seen("completed", request_counts={"total": 8})
        ),
        "an error file, and one was completed": Scene(
            submissions=[ended],
            at=seen("completed", error_file_id="e", request_counts={"total": 8, "completed": 1}),
        ),
        "failed without a reason": Scene(submissions=[ended], at=seen("failed")),
        "failed for four reasons": Scene(
            submissions=[ended], at=seen("failed", errors=_errors("a", "b", "c", "d"))
        ),
        "failed for three reasons": Scene(
            submissions=[ended], at=seen("failed", errors=_errors("a", "b", "c"))
        ),
        "failed for a limit": Scene(
            submissions=[ended], at=seen("failed", errors=_errors("token_limit_exceeded"))
        ),
        "failed for a limit on loopback": Scene(
            submissions=[ended],
            at=seen("failed", errors=_errors("token_limit_exceeded")),
            **loopback,
        ),
        "failed for a limit the fourth time": Scene(
            submissions=[*three, later(4, ended)],
            at=seen("failed", errors=_errors("token_limit_exceeded")),
        ),
        "failed for a limit after another failure": Scene(
            submissions=[
                limited(1),
                closed(2, SubmissionState.COLLECTED, EVERY),
                limited(3),
                later(4, ended),
            ],
            at=seen("failed", errors=_errors("token_limit_exceeded")),
        ),
        "failed for a limit the eighth time": Scene(
            submissions=[*(limited(number) for number in range(1, 8)), later(8, ended)],
            at=seen("failed", errors=_errors("token_limit_exceeded")),
        ),
        "failed for a lack of credit": Scene(
            submissions=[ended], at=seen("failed", errors=_money())
        ),
        "failed after it ran": Scene(
            submissions=[ended], at=seen("failed", in_progress_at=950, errors=_errors("a"))
        ),
        "failed after it ran, and the time is over": Scene(
            submissions=[over], at=seen("failed", in_progress_at=950, errors=_errors("a"))
        ),
        "failed after some were completed": Scene(
            submissions=[ended],
            at=seen("failed", request_counts={"total": 8, "completed": 1}, errors=_errors("a")),
        ),
        "failed after none was completed": Scene(
            submissions=[ended],
            at=seen("failed", request_counts={"total": 8, "failed": 8}, errors=_errors("a")),
        ),
        "failed for a quota": Scene(
            submissions=[ended], at=seen("failed", errors=_errors("some_quota_met"))
        ),
        "failed for its output": Scene(
            submissions=[ended], at=seen("failed", errors=_errors("output_failed"))
        ),
        "failed for the moment and for a limit": Scene(
            submissions=[ended],
            at=seen("failed", errors=_errors("internal_error", "token_limit_exceeded")),
        ),
        "failed for the file": Scene(
            submissions=[ended],
            at=seen("failed", errors={"data": [{"code": "x", "message": "Cannot find file f"}]}),
        ),
    }


def _runs() -> dict[str, Scene]:
    """Return the states of a run as a whole."""
    done: dict[str, Any] = {"state": RunState.SUCCEEDED}
    there = {"published": frozenset({1})}
    led = there | {"latest": {"outputs/job": "a" * 12}}
    collected = closed(1, SubmissionState.COLLECTED, NOTHING)
    lost = closed(1, SubmissionState.LOST, NOTHING, permanent=EVERY)
    other = dataclasses.replace(RECORD, desired_revision="b" * 64)
    edited = dataclasses.replace(RECORD, spec_line=2)
    ended = dataclasses.replace(run_of([]), **done, base_url=PROVIDER.base_url)
    old = dataclasses.replace(ended, job="old", folder="outputs/old/aaaaaaaaaaaa")
    restorable = Restorable(run=ended, files={})
    kept = {"keep_remote": False}
    waiting = submission(S, terminal_at=NOW - 1, batch=batch("completed"))
    life = 2_592_000.0
    return {
        "new": Scene(at=LISTED, new=True),
        "new, of other requests than before": Scene(
            at=LISTED, new=True, recorded={"jobs": {"job": other}}
        ),
        "new, described before": Scene(at=LISTED, new=True, recorded={"jobs": {"job": RECORD}}),
        "new, not listed": Scene(new=True),
        "on the disk and not in the ledger": Scene(new=True, desired={"restorable": restorable}),
        "restoring, nothing found": Scene(at=LISTED, new=True, inputs={"restoring": True}),
        "restoring, a batch found": Scene(at=listed(TAGGED), new=True, inputs={"restoring": True}),
        "restoring, not listed": Scene(new=True, inputs={"restoring": True}),
        "restoring, from the disk": Scene(
            new=True, desired={"restorable": restorable}, inputs={"restoring": True}
        ),
        "restoring, what is recorded": Scene(
            submissions=[submission(S)], at=seen("finalizing"), inputs={"restoring": True}
        ),
        "other shards at the provider": Scene(
            at=listed(tagged(dataclasses.replace(KEY, shard=2), "batch_2")), new=True
        ),
        "other shards at the provider, recorded": Scene(
            at=listed(tagged(dataclasses.replace(KEY, shard=2), "batch_2")),
        ),
        "other shards at the provider, submitted": Scene(
            submissions=[submission(P)],
            at=listed(tagged(dataclasses.replace(KEY, shard=2), "batch_2")),
        ),
        "other shards at the provider, on the disk": Scene(
            at=listed(tagged(dataclasses.replace(KEY, shard=2), "batch_2")),
            new=True,
            desired={"restorable": restorable},
        ),
        "other shards at the provider, finished": Scene(
            at=listed(tagged(dataclasses.replace(KEY, shard=2), "batch_2")),
            run=done,
            inputs=led,
        ),
        "another content of the shard at the provider": Scene(
            at=listed(other_content(KEY, sha256="1" * 64)), new=True
        ),
        "another number of rows of the shard at the provider": Scene(
            at=listed(other_content(KEY, requests=7)), new=True
        ),
        "another content of a later attempt at the provider": Scene(
            at=listed(other_content(SECOND, sha256="1" * 64, requests=3)), new=True
        ),
        "a part of the shard at the provider": Scene(
            at=listed(other_content(KEY, sha256="1" * 64, requests=3, part_of="0" * 64)), new=True
        ),
        "a part of another shard at the provider": Scene(
            at=listed(other_content(KEY, sha256="0" * 64, part_of="1" * 64)), new=True
        ),
        "a batch without a digest at the provider": Scene(
            at=listed(other_content(KEY, sha256=None, requests=7)), new=True
        ),
        "a batch of another revision that was adopted": Scene(
            at=listed(
                other_content(
                    dataclasses.replace(KEY, revision="b" * 12), sha256="1" * 64, requests=3
                )
            ),
            new=True,
            desired={"claims": {"batch_2": KEY}},
        ),
        "all succeeded": Scene(submissions=[collected]),
        "all succeeded, held": Scene(
            submissions=[collected], inputs={"held": {f"job/{'a' * 12}": "a disk is full"}}
        ),
        "all succeeded, no spec": Scene(submissions=[collected], wanted=False),
        "all succeeded, cancelled": Scene(submissions=[collected], run=CANCEL),
        "some failed": Scene(
            submissions=[closed(1, SubmissionState.COLLECTED, NOTHING, permanent=FIRST_ROWS)]
        ),
        "some failed in three attempts": Scene(
            submissions=[closed(number, SubmissionState.COLLECTED, EVERY) for number in (1, 2, 3)]
        ),
        "some failed in as many attempts as the run had": Scene(
            submissions=[closed(1, SubmissionState.COLLECTED, EVERY)],
            run={"attempts": 1},
            wanted=False,
        ),
        "some failed with the batch": Scene(
            submissions=[
                closed(1, SubmissionState.COLLECTED, EVERY),
                closed(2, SubmissionState.COLLECTED, EVERY),
                closed(3, SubmissionState.FAILED, EVERY),
            ]
        ),
        "some failed, cancelled": Scene(
            submissions=[closed(1, SubmissionState.COLLECTED, FIRST_ROWS)], run=CANCEL
        ),
        "no spec, and some are left": Scene(
            submissions=[closed(1, SubmissionState.COLLECTED, FIRST_ROWS)], wanted=False
        ),
        "no spec, cancelled, and some are left": Scene(
            submissions=[closed(1, SubmissionState.COLLECTED, FIRST_ROWS)],
            wanted=False,
            run=CANCEL,
        ),
        "lost": Scene(submissions=[lost]),
        "lost, in the next round": Scene(submissions=[lost], at=LISTED, run={"round": 1}),
        "rejected": Scene(
            submissions=[closed(1, SubmissionState.FAILED, NOTHING, permanent=EVERY)]
        ),
        "one shard lost, another in flight": Scene(
            submissions=[lost, in_shard(2, submission(S))],
            at=seen("in_progress"),
            run={"shards": shards("m", "m", "m"), "requests": 24},
        ),
        "finished, not published": Scene(run=done),
        "finished, not published, held": Scene(
            run=done, inputs={"held": {f"job/{'a' * 12}": "a disk is full"}}
        ),
        "finished, latest elsewhere": Scene(run=done, inputs=there),
        "finished, as described": Scene(run=done, inputs=led),
        "finished, to be deleted": Scene(run=done, inputs=led, job=kept),
        "finished, to be deleted, held": Scene(
            run=done,
            inputs=led | {"held": {f"job/{'a' * 12}": "refused"}},
            job=kept,
        ),
        "finished, deleted": Scene(run=done | {"tidied_at": 5.0}, inputs=led, job=kept),
        "finished in part, to be deleted": Scene(
            run={"state": RunState.PARTIAL}, inputs=led, job=kept
        ),
        "finished, to be deleted, at another address": Scene(
            run=done | {"base_url": "https://old.example/v1"}, inputs=led, job=kept
        ),
        "finished, to be deleted, at an unknown provider": Scene(
            run=done, inputs=led | {"providers": {}}, job=kept
        ),
        "finished, superseded": Scene(run={"state": RunState.PARTIAL, "superseded": True}),
        "finished, of an earlier revision": Scene(
            new=True,
            at=LISTED,
            recorded={"runs": (dataclasses.replace(ended, revision="b" * 64),)},
            job=kept,
        ),
        "edited": Scene(run=done, inputs=led, recorded={"jobs": {"job": edited}}),
        "edited in flight": Scene(
            submissions=[submission(S)],
            at=seen("in_progress"),
            recorded={"jobs": {"job": edited}},
        ),
        "edited before anything was submitted": Scene(
            submissions=[submission(P)], at=LISTED, recorded={"jobs": {"job": edited}}
        ),
        "edited, described by nothing before": Scene(
            run=done,
            inputs=led,
            recorded={"jobs": {"job": dataclasses.replace(other, desired_revision=None)}},
        ),
        "described again": Scene(run=done, inputs=led, recorded={"jobs": {"job": other}}),
        "in another folder": Scene(
            run=done, inputs=led, desired={"folder": "elsewhere/aaaaaaaaaaaa"}
        ),
        "in another folder, held": Scene(
            run=done,
            inputs=led | {"held": {f"job/{'a' * 12}": "the folder is used"}},
            desired={"folder": "elsewhere/aaaaaaaaaaaa"},
        ),
        "renamed": Scene(new=True, recorded={"runs": (old,)}),
        "renamed in flight": Scene(
            new=True,
            at=seen("in_progress"),
            recorded={
                "runs": (
                    dataclasses.replace(
                        run_of([submission(S)]), job="old", base_url=PROVIDER.base_url
                    ),
                )
            },
        ),
        "renamed, held": Scene(
            new=True,
            recorded={"runs": (old,)},
            inputs={"held": {f"old/{'a' * 12}": "the folder is used"}},
        ),
        "a spec cannot be read, and nothing was submitted": Scene(
            at=LISTED, new=True, inputs={"job_names": None}
        ),
        "a spec cannot be read, and another job has another revision": Scene(
            at=LISTED,
            new=True,
            recorded={"runs": (dataclasses.replace(old, revision="b" * 64),)},
            inputs={"job_names": None},
        ),
        "renamed, and the old name has another revision": Scene(
            new=True,
            at=LISTED,
            recorded={"runs": (old,)},
            inputs={"job_names": frozenset({"job", "old"})},
            beside={"old": "b" * 64},
        ),
        "the same requests as another job of this pass": Scene(
            new=True,
            at=LISTED,
            recorded={"runs": (old,)},
            inputs={"job_names": frozenset({"job", "old"})},
            beside={"old": "a" * 64},
        ),
        "two new jobs of the same requests": Scene(
            new=True,
            at=LISTED,
            inputs={"job_names": frozenset({"job", "twin"})},
            beside={"twin": "a" * 64},
        ),
        "perhaps renamed": Scene(new=True, recorded={"runs": (old,)}, inputs={"job_names": None}),
        "the same requests as a job of another revision": Scene(
            new=True,
            recorded={"runs": (old,), "jobs": {"old": dataclasses.replace(other, name="old")}},
            inputs={"job_names": frozenset({"job", "old"})},
        ),
        "the same requests as a job": Scene(
            new=True,
            at=LISTED,
            recorded={"runs": (old,), "jobs": {"old": dataclasses.replace(RECORD, name="old")}},
            inputs={"job_names": frozenset({"job", "old"})},
        ),
        "the same requests as a job that is not recorded": Scene(
            new=True,
            at=LISTED,
            recorded={"runs": (old,), "jobs": {}},
            inputs={"job_names": frozenset({"job", "old"})},
        ),
        "results that expire in a week": Scene(
            submissions=[dataclasses.replace(waiting, submitted_at=NOW - life + 7 * DAY)],
            at=seen("completed"),
        ),
        "results that expire in more than a week": Scene(
            submissions=[dataclasses.replace(waiting, submitted_at=NOW - life + 7 * DAY + 1)],
            at=seen("completed"),
        ),
        "results that expire soon": Scene(
            submissions=[dataclasses.replace(waiting, submitted_at=NOW - life + 60)],
            at=seen("completed"),
        ),
        "results that have expired": Scene(
            submissions=[dataclasses.replace(waiting, submitted_at=NOW - life)],
            at=seen("completed"),
        ),
        "results that expire sooner by the project file": Scene(
            submissions=[dataclasses.replace(waiting, submitted_at=NOW - 3600)],
            at=seen("completed"),
            inputs={
                "providers": {"openai": dataclasses.replace(PROVIDER, output_expires_after=7200)}
            },
        ),
        "results of a batch that has not ended": Scene(
            submissions=[submission(S, submitted_at=NOW - life + 60)], at=seen("in_progress")
        ),
        "results of a batch submitted at an unknown time": Scene(
            submissions=[waiting], at=seen("completed")
        ),
        "results of a second shard that expire": Scene(
            submissions=[
                submission(S, submitted_at=NOW - life + 60),
                in_shard(2, dataclasses.replace(waiting, submitted_at=NOW - life + 60)),
            ],
            run={"shards": shards("m", "m"), "requests": 16},
            at=observed(),
        ),
        "results that expire at an unknown provider": Scene(
            submissions=[dataclasses.replace(waiting, submitted_at=NOW - life + 60)],
            at=seen("completed"),
            inputs={"providers": {}},
        ),
    }


SCENES: Final[Mapping[str, Mapping[str, Scene]]] = {
    "an attempt without a batch": _open(),
    "the next attempt": _next(),
    "in flight": _flight(),
    "terminal": _terminal(),
    "the run": _runs(),
}
