"""Jobs, runs, batches and plans for the tests, as the other packages make them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from runner.batch import Batch, File
from runner.inputs.row_set import RowSet
from runner.ledger.records import (
    JobRecord,
    Run,
    RunState,
    ShardRecord,
    Submission,
    SubmissionKey,
    SubmissionState,
)
from runner.planning import actions as steps
from runner.planning.actions import BatchFailure, Plan, Wait
from runner.planning.state import DesiredRun, Restorable
from runner.spec.job import Job, Source
from runner.spec.project import Provider
from runner.views.jobs import JobView
from runner.views.preview import Preview

NOW: Final = 1_700_000_000.0
PROVIDER: Final = Provider(name="openai", base_url="https://api.openai.com/v1", api_key_env=None)
REVISIONS: Final = {
    "sentiment": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "banking77-intents": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    "summaries": "fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9",
    "old-name": "486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7",
}
HOSTILE: Final = (
    "\x1b[2J\x1b]0;owned\x07 \u202eright to left\u2066 \x9b31m nul\0 line\nbreak\u2028end"
)
"""A text that a hostile server could send to a terminal."""

DANGEROUS: Final = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]"
)
"""Controls (but for the line feeds that a rendering is made of) and changes of direction."""


def view(name: str = "sentiment", state: str = "succeeded", **values: Any) -> JobView:  # noqa: ANN401
    """Return the view of a job; its batches that are not terminal are in flight."""
    batches = values.get("batches", ())
    return JobView(
        **{
            "name": name,
            "revision": REVISIONS.get(name, "0" * 64)[:12],
            "state": RunState(state),
            "total": 3080,
            "succeeded": 3080 if state == "succeeded" else 0,
            "failed": 0,
            "output_dir": f"/project/outputs/{name}",
            "provider": "openai",
            "endpoint": "/v1/chat/completions",
            "note": None,
            "batches": (),
            "awaited": tuple(raw for raw in batches if not Batch.from_api(raw).terminal),
            "attempts": 1 if batches else 0,
            "completion_window": "24h",
            "spec": f"specs/{name}.yaml",
            "created_at": NOW - 7300 if batches else None,
            "finished_at": NOW - 6590 if RunState(state).final and batches else None,
            **values,
        }
    )


def raw_batch(number: int = 1, status: str = "completed", **fields: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a Batch object as the API shows it."""
    return {
        "id": f"batch_68f0c3a1d4b88190a7{number:06}",
        "object": "batch",
        "status": status,
        "created_at": int(NOW) - 7200,
        "expires_at": int(NOW) + 79200,
        "request_counts": {"total": 3080, "completed": 3080, "failed": 0},
        "metadata": {},
        **fields,
    }


def batch(number: int = 1, status: str = "completed", **fields: Any) -> Batch:  # noqa: ANN401
    """Return the same as a value."""
    return Batch.from_api(raw_batch(number, status, **fields))


def shard(number: int = 1, requests: int = 3080) -> ShardRecord:
    """Return a shard of so many requests."""
    start = (number - 1) * requests
    return ShardRecord(
        number=number,
        model="gpt-4.1-mini",
        rows=RowSet.span(start, start + requests),
        requests=requests,
        bytes=requests * 400,
        sha256="5" * 64,
        offset=0,
        ids_offset=0,
        whole=True,
    )


def run(job: str = "sentiment", *, shards: int = 1, requests: int = 3080, **values: Any) -> Run:  # noqa: ANN401
    """Return a run of a job."""
    return Run(
        **{
            "id": list(REVISIONS).index(job) + 1,
            "job": job,
            "revision": REVISIONS[job],
            "state": RunState.RUNNING,
            "provider": "openai",
            "base_url": None,
            "endpoint": "/v1/chat/completions",
            "replicate": 1,
            "digest": "d" * 64,
            "requests": shards * requests,
            "bytes": shards * requests * 400,
            "input_path": f"data/{job}.jsonl",
            "folder": f"outputs/{job}/{REVISIONS[job][:12]}",
            "created_at": NOW,
            "shards": tuple(shard(number, requests) for number in range(1, shards + 1)),
            **values,
        }
    )


def submission(of: Run, number: int = 1, attempt: int = 1, **values: Any) -> Submission:  # noqa: ANN401
    """Return an attempt at a shard of a run."""
    its = of.shards[number - 1]
    return Submission(
        **{
            "key": SubmissionKey(job=of.job, revision=of.short, shard=number, attempt=attempt),
            "state": SubmissionState.PREPARED,
            "rows": its.rows,
            "requests": its.requests,
            "bytes": its.bytes,
            "sha256": its.sha256,
            **values,
        }
    )


def job(name: str = "sentiment") -> Job:
    """Return a job as its spec has it."""
    return Job(
        name=name,
        endpoint="/v1/chat/completions",
        input=Path(f"/project/data/{name}.jsonl"),
        input_shown=f"data/{name}.jsonl",
        metadata={},
        provider=PROVIDER,
        source=Source(path=f"specs/{name}.yaml", line=1, sha256="5" * 64, positions={}),
        document="",
    )


def record(name: str = "sentiment") -> JobRecord:
    """Return a job as the ledger has it."""
    return JobRecord(
        name=name,
        desired_revision=REVISIONS["sentiment"],
        spec_path=f"specs/{name}.yaml",
        spec_line=1,
        spec_sha256="5" * 64,
        spec_document="",
    )


def desired(name: str = "sentiment") -> DesiredRun:
    """Return the desired run of a spec."""
    return DesiredRun(
        job=job(name),
        revision=REVISIONS[name],
        digest="d" * 64,
        requests=3080,
        bytes=1_232_000,
        folder=f"outputs/{name}",
        record=record(name),
    )


def preview(*what: steps.Action | Wait, notes: tuple[str, ...] = (), **values: Any) -> Preview:  # noqa: ANN401
    """Return a plan of these steps and waits."""
    return Preview(
        **{
            "plan": Plan(
                actions=tuple(one for one in what if not isinstance(one, Wait)),
                waits=tuple(one for one in what if isinstance(one, Wait)),
                notes=notes,
            ),
            "desired_runs": (desired(),),
            "problems": (),
            "not_queried": {},
            "failed": False,
            **values,
        }
    )


def submit(of: Run, number: int = 1, attempt: int = 1, **values: Any) -> steps.Submit:  # noqa: ANN401
    """Return the step that submits an attempt."""
    again = "its requests failed, and submitting them again can help"
    return steps.Submit(
        run=of,
        reason="its requests have not been submitted yet" if attempt == 1 else again,
        job=job(of.job),
        shard=of.shards[number - 1],
        submission=submission(of, number, attempt, **values),
        new=True,
    )


def every_step(of: Run | None = None) -> list[steps.Action]:
    """Return one of each kind of step, in the order in which the module defines them."""
    of = of or run()
    key, attempt = submission(of).key, submission(of, batch_id=batch().id)
    return [
        steps.StartRun(run=of, reason="a new job", job=record()),
        steps.RestoreRun(
            run=run("summaries", state=RunState.SUCCEEDED, succeeded=3080),
            reason="its outputs and record are on the disk and not in the ledger",
            job=record(),
            restorable=Restorable(run=of, files={}),
        ),
        steps.RelocateRun(
            run=run("old-name"),
            reason="job old-name is now called sentiment",
            job=record(),
            folder="outputs/sentiment/486ea46224d1",
        ),
        steps.ReopenRun(run=of, reason="its spec is back", attempts=3),
        steps.NoteSpec(
            run=of, reason="the spec changed, and no response can change by it", job=record()
        ),
        submit(of),
        steps.AdoptBatch(
            run=of,
            reason="the provider has it already, under this key",
            key=key,
            shard=of.shards[0],
            submission=attempt,
            batch=batch(),
        ),
        steps.AdoptFile(
            run=of,
            reason="the upload had arrived",
            key=key,
            file=File.from_api({"id": "file-abc"}),
            sha256="5" * 64,
        ),
        steps.MarkUncertain(
            run=of, reason="a pass ended between the upload and its response", key=key
        ),
        steps.ClearIntent(
            run=of, reason="a complete listing shows that the upload did not happen", key=key
        ),
        steps.Observe(run=of, reason="validating → in_progress", key=key, batch=batch()),
        steps.NoteMissing(
            run=of,
            reason="the provider does not know the batch any more",
            key=key,
            batch_id=batch().id,
        ),
        steps.MarkLost(
            run=of,
            reason="the provider has denied the batch for too long",
            submission=attempt,
        ),
        steps.Collect(
            run=of,
            reason="the batch is completed",
            shard=of.shards[0],
            submission=attempt,
            batch=batch(),
        ),
        steps.CloseRejectedBatch(
            run=of,
            reason="batch_1 failed: line 1: The provided model 'gpt-0' is not supported by the "
            "Batch API. (model_not_found)",
            submission=attempt,
            batch=batch(status="failed"),
            failure=BatchFailure.LASTING,
            not_before=0.0,
        ),
        steps.CancelBatch(run=of, reason="cancelled on request", submission=attempt),
        steps.AbandonSubmission(run=of, reason="it is no longer wanted", submission=attempt),
        steps.Finish(
            run=of,
            reason="every request succeeded",
            job=job(),
            state=RunState.SUCCEEDED,
            superseded=False,
        ),
        steps.PointLatest(run=of, reason="the spec describes this finished revision"),
    ]
