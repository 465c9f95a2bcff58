"""Reports on projects for the tests of the page: small, large, empty and hostile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from runner.batch import Batch
from runner.ledger.records import Event, RunState, SubmissionKey
from runner.outputs.provenance import GitState
from runner.views.conversation import Turn
from runner.views.jobs import JobHistory
from runner.views.project import FileLink, JobDetails, JobReport, ProjectReport, SubmittedBatch
from runner.views.samples import Sample, Samples
from runner.views.token_usage import TokenUsage
from runner.views.totals import ErrorKind
from tests.report.scenes import HOSTILE, NOW, view
from tests.report.stories import partial_story, running_story

if TYPE_CHECKING:
    from runner.views.jobs import JobView

GIT: Final = GitState(commit="d0c5" * 10, branch="main", dirty=False)
MARKUP: Final = "</script><img src=x onerror=alert(1)>&amp;\"'`"
"""What a prompt might hold for a page that pastes it in."""

NASTY: Final = MARKUP + HOSTILE


def flown(
    job: str,
    number: int,
    *,
    created: float,
    status: str = "completed",
    queued: int = 90,
    worked: int = 1800,
    **fields: Any,  # noqa: ANN401
) -> SubmittedBatch:
    """Return a batch that waited and was worked on for so many seconds."""
    begun = int(created) + queued
    ended = begun + worked
    times: dict[str, int] = {"in_progress_at": begun}
    if status == "completed":
        times |= {"finalizing_at": ended, "completed_at": ended + 20}
    elif status == "failed":
        times = {"failed_at": begun}
    elif status == "expired":
        times |= {"expired_at": ended}
    elif status == "cancelled":
        times |= {"cancelling_at": ended, "cancelled_at": ended + 40}
    raw: dict[str, Any] = {
        "id": f"batch_{number:06}",
        "object": "batch",
        "status": status,
        "created_at": int(created),
        "request_counts": {"total": 500, "completed": 480, "failed": 20},
        **times,
        "metadata": {},
        "model": "gpt-4.1-mini",
        "usage": {"input_tokens": 61_000 + number, "output_tokens": 9_000},
        **fields,
    }
    return SubmittedBatch(
        job=job,
        key=SubmissionKey(job=job, revision="0" * 12, shard=number, attempt=1),
        batch=Batch.from_api(raw),
    )


def short(told: JobView, **values: Any) -> JobReport:  # noqa: ANN401
    """Return a job without details."""
    return JobReport(
        **{
            "view": told,
            "folder": told.output_dir.removeprefix("/project/"),
            "href": None if told.state is RunState.PENDING else f"outputs/{told.revision}/",
            "spec_gone": False,
            "changed_at": None if told.state is RunState.PENDING else NOW - 600,
            "tokens": TokenUsage(),
            "details": None,
            **values,
        }
    )


def full(job_history: JobHistory, samples: Samples | None = None, **values: Any) -> JobReport:  # noqa: ANN401
    """Return a job with details."""
    told = job_history.view
    folder = told.output_dir.removeprefix("/project/") + f"/{told.revision}"
    links = tuple(
        FileLink(name=name, href=f"{folder}/{name}")
        for name in ("output.jsonl", "errors.jsonl", "run.json", "raw/")
    )
    account = JobDetails(
        job_history=job_history,
        properties={
            "endpoint": f"{told.endpoint} on {told.provider}",
            "model": "gpt-4.1-mini",
            "input": f"data/{told.name}.jsonl",
            "spec": f"specs/{told.name}.yaml:1",
            "window": "24h",
            "metadata": "project=acl",
            "attempts": "3 at most",
            "commit": GIT.commit,
        },
        files=() if told.state is RunState.RUNNING else links,
        raw={
            SubmissionKey(job=told.name, revision=told.revision or "", shard=1, attempt=1): (
                FileLink(name="output", href=f"{folder}/raw/0001-1.output.jsonl"),
            )
        },
        samples=samples or Samples(),
    )
    return short(
        told,
        **{
            "folder": folder,
            "details": account,
            "tokens": TokenUsage(input=1, output=2, total=3),
            **values,
        },
    )


SAMPLES: Final = Samples(
    succeeded=(
        Sample(
            custom_id="review-1",
            request=(
                Turn(speaker="system", text="Answer with one word: kind or unkind."),
                Turn(speaker="user", text="I loved it.\nEvery page of it."),
            ),
            response=(Turn(speaker="assistant", text="kind"),),
        ),
        Sample(
            custom_id="review-2",
            request=(Turn(speaker="user", text="Never again. " * 20, left_out=1234),),
            response=(Turn(speaker="assistant", text="unkind"),),
        ),
    ),
    failed=(
        Sample(
            custom_id="review-3",
            request=(Turn(speaker="user", text="אני אוהב את זה"),),
            code="rate_limit_exceeded",
            message="Rate limit reached for gpt-4.1-mini on tokens per min.",
        ),
    ),
    note="requests that stand further down are not shown",
)


def small() -> ProjectReport:
    """Return a project of five jobs, one of each kind that looks different."""
    running = running_story()
    partial = partial_story()
    jobs = (
        full(partial, SAMPLES),
        full(JobHistory(view=_named(running.view, "summaries"), runs=(), events=())),
        short(
            view("banking77-intents"),
            tokens=TokenUsage(input=122_000, output=18_000, total=140_000),
        ),
        short(view("old-name", "cancelled", succeeded=1200), spec_gone=True),
        short(view("translations", "pending", revision=None, note="not reconciled yet")),
    )
    return ProjectReport(
        project="reviews",
        version="0.0.0",
        git=GIT,
        chosen=False,
        jobs=jobs,
        batches=(
            flown("sentiment", 1, created=NOW - 86_000),
            flown("sentiment", 2, created=NOW - 80_000, queued=4000, worked=9000),
            flown("sentiment", 3, created=NOW - 70_000, status="failed", usage=None),
            flown("banking77-intents", 4, created=NOW - 60_000, queued=12, worked=300),
            flown("banking77-intents", 5, created=NOW - 50_000, queued=20_000, worked=9000),
            flown("old-name", 6, created=NOW - 40_000, status="cancelled", worked=20_000),
            flown("summaries", 7, created=NOW - 9000, status="in_progress", usage=None),
        ),
        errors=(
            ErrorKind(
                code="batch failed",
                count=3080,
                jobs=("sentiment",),
                examples=("batch_3 failed: line 1: The model is not supported.",),
            ),
            ErrorKind(
                code="rate_limit_exceeded",
                count=13,
                jobs=("sentiment", "old-name", "banking77-intents", "translations"),
                examples=("Rate limit reached for gpt-4.1-mini on tokens per min.",),
            ),
            ErrorKind(code="in neither file", count=4, jobs=("old-name",), examples=()),
        ),
    )


def _named(told: JobView, name: str) -> JobView:
    return view(name, str(told.state), batches=told.batches, revision=told.revision)


def empty() -> ProjectReport:
    """Return a project in which there is nothing yet."""
    return ProjectReport(
        project="new", version="0.0.0", git=None, chosen=False, jobs=(), batches=(), errors=()
    )


def large(jobs: int, *, batches: int = 2, in_full: int = 40) -> ProjectReport:
    """Return a project of very many jobs, with so many batches each."""
    names = [f"survey-{number:04}" for number in range(jobs)]
    states = ("failed", "partial", "running", "cancelled", "succeeded")
    told: list[JobReport] = []
    flights: list[SubmittedBatch] = []
    for number, name in enumerate(names):
        state = states[min(number * 40 // jobs, len(states) - 1)]
        its = [
            flown(
                name,
                number * batches + batch,
                created=NOW - 20 * 86_400 + (number * 7919) % (19 * 86_400) + 3600 * batch,
                queued=30 + (number * 37) % 7000,
                worked=300 + (number * 101) % 20_000,
                status="in_progress" if state == "running" else "completed",
            )
            for batch in range(batches)
        ]
        seen = view(
            name,
            state,
            total=1000,
            succeeded=1000 if state == "succeeded" else 700,
            failed=0 if state in ("succeeded", "running") else 300,
            note=None if state == "succeeded" else "300 of 1000 requests ended without a success",
            batches=tuple(flight.batch.raw for flight in its),
        )
        flights += its
        if number < in_full:
            job_history = partial_story()
            told.append(
                full(
                    JobHistory(view=seen, runs=job_history.runs, events=job_history.events), SAMPLES
                )
            )
        else:
            told.append(short(seen, tokens=seen.tokens))
    return ProjectReport(
        project="surveys",
        version="0.0.0",
        git=GIT,
        chosen=False,
        jobs=tuple(told),
        batches=tuple(flights),
        errors=(ErrorKind(code="in neither file", count=4, jobs=tuple(names[:5]), examples=()),),
    )


def hostile() -> ProjectReport:
    """Return a project in which every text tries to break out of its HTML element."""
    job_history = partial_story(message=NASTY)
    turn = Turn(speaker=NASTY, text=NASTY)
    seen = view(
        "sentiment",
        "partial",
        note=NASTY,
        provider=NASTY,
        endpoint=NASTY,
        failed=3,
        batches=tuple(
            {**raw, "id": NASTY, "status": NASTY, "model": NASTY}
            for raw in job_history.view.batches
        ),
    )
    events = tuple(
        Event(
            at=event.at,
            kind=event.kind,
            job=NASTY,
            revision=event.revision,
            submission=event.submission,
            batch=event.batch and NASTY,
            detail=event.detail,
        )
        for event in job_history.events
    )
    told = full(
        JobHistory(view=seen, runs=(view(note=NASTY, revision=NASTY), seen), events=events),
        Samples(
            succeeded=(Sample(custom_id=NASTY, request=(turn,), response=(turn,)),),
            failed=(Sample(custom_id=NASTY, request=(turn,), code=NASTY, message=NASTY),),
            note=NASTY,
        ),
        folder=NASTY,
        spec_gone=True,
    )
    assert told.details is not None
    return ProjectReport(
        project=NASTY,
        version=NASTY,
        git=GitState(commit=NASTY, branch=NASTY, dirty=True),
        chosen=True,
        jobs=(told, short(view(NASTY, "failed", note=NASTY, output_dir=NASTY), folder=NASTY)),
        batches=tuple(
            flown(NASTY, number, created=NOW - 9000, id=NASTY, status=NASTY, model=NASTY)
            for number in range(3)
        ),
        errors=(ErrorKind(code=NASTY, count=1, jobs=(NASTY,), examples=(NASTY,)),),
    )
