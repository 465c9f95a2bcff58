"""Plans for the tests of `runner plan`, from a first job to its last result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.inputs.row_diff import RowChanges
from runner.ledger.records import RunState
from runner.planning.actions import Collect, NoteSpec, Observe, StartRun, Wait
from runner.spec.diff import FieldChange
from runner.views.changes import InputChange, JobChanges, SpecEdit
from runner.views.manual_steps import ManualStep, ManualStepKind
from tests.report.scenes import (
    NOW,
    batch,
    every_step,
    preview,
    record,
    run,
    submission,
    submit,
)

if TYPE_CHECKING:
    from runner.views.preview import Preview


def edit(
    field: str,
    before: str | int | None,
    after: str | int | None,
    *,
    identity: bool = False,
    effect: str = "costs nothing by itself",
) -> SpecEdit:
    """Return an edit of a spec."""
    return SpecEdit(
        change=FieldChange(field=field, before=before, after=after),
        identity=identity,
        effect="makes another revision" if identity else effect,
    )


def since(
    *edits: SpecEdit, rows: RowChanges | None, source: str | None, same_revision: bool = False
) -> JobChanges:
    """Return the changes of the sentiment job, which had another revision before."""
    return JobChanges(
        before="2c26b46b68ff",
        state=RunState.SUCCEEDED,
        folder="outputs/sentiment/2c26b46b68ff",
        same_revision=same_revision,
        edits=edits,
        requests=None if same_revision else InputChange(rows=rows, source=source, total=3080),
    )


def restarted(changed: JobChanges) -> Preview:
    """Return the plan for a job with a new revision."""
    reason = "the spec or its input has changed the requests"
    return preview(
        StartRun(run=run(), reason=reason, job=record()),
        submit(run()),
        changes={"sentiment": changed},
    )


PLANS: Final[dict[str, Preview]] = {
    "nothing": preview(),
    "new": preview(*every_step()[:1], submit(run())),
    "changed": restarted(
        since(
            edit("replicate", 1, 2, identity=True),
            edit("completion_window", "24h", "4h"),
            edit("metadata.project", None, "acl"),
            edit(
                "metadata.note",
                "a line that is so long that nobody would like to read it " * 2,
                "x",
            ),
            edit("canary", 20, None),
            rows=RowChanges(added=12, removed=3, kept=3068, changed=4),
            source="commit 1a2b3c4",
        )
    ),
    "changed-by-ids": restarted(
        since(
            rows=RowChanges(added=12, removed=0, kept=3068, changed=None),
            source="the custom_ids that were kept",
        )
    ),
    "changed-beyond-knowing": restarted(since(rows=None, source=None)),
    "edited-for-free": preview(
        NoteSpec(
            run=run(), reason="the spec changed, and no response can change by it", job=record()
        ),
        notes=("sentiment: the edit of the spec cannot change a response; no new batch",),
        changes={
            "sentiment": since(
                edit(
                    "completion_window",
                    "24h",
                    "4h",
                    effect="costs nothing; it reaches batches that are not created yet",
                ),
                rows=None,
                source=None,
                same_revision=True,
            )
        },
    ),
    "left": preview(
        manual_steps=(
            ManualStep(
                kind=ManualStepKind.UNANSWERED,
                provider="openai",
                job="sentiment",
                revision="9f86d081884c",
                what="3 requests ended without a successful response: not asked again",
                command="runner retry sentiment",
            ),
            ManualStep(
                kind=ManualStepKind.OLDER_REVISION,
                provider="openai",
                job="banking77-intents",
                revision="2c26b46b68ff",
                what="2 batches of 2c26b46b68ff in flight, and the spec asks for another revision: "
                "not cancelled, since what is in flight is paid for",
                command="runner cancel banking77-intents",
            ),
            ManualStep(
                kind=ManualStepKind.FOREIGN,
                provider="openai",
                what="1,204 batches made by others: never touched, nor taken over",
                command="runner adopt BATCH_ID --job NAME",
            ),
        ),
    ),
    "every-step": preview(
        *every_step(),
        Wait(run=run("banking77-intents"), key=None, reason="the disk is full", is_problem=True),
        notes=("sentiment: the edit of the spec cannot change a response; no new batch",),
        not_queried={"openai": "OPENAI_API_KEY is not set, and provider openai needs a key"},
    ),
    "many-shards": preview(
        *(submit(run(shards=12), number) for number in range(1, 9)),
        *(
            Observe(
                run=run(shards=12),
                reason="validating → in_progress",
                key=submission(run(shards=12), number).key,
                batch=batch(number),
            )
            for number in range(9, 13)
        ),
    ),
    "second-attempt": preview(
        Collect(
            run=run(shards=2),
            reason="the batch is expired",
            shard=run(shards=2).shards[0],
            submission=submission(run(shards=2), batch_id="batch_1"),
            batch=batch(1, "expired"),
        ),
        submit(run(shards=2), 2, 2, requests=19, bytes=0),
    ),
    "waiting": preview(
        *(
            Wait(
                run=run(shards=6),
                key=submission(run(shards=6), number).key,
                reason="in flight, in_progress",
            )
            for number in range(1, 6)
        ),
        Wait(
            run=run(shards=6),
            key=submission(run(shards=6), 6).key,
            reason="the provider's limit was reached",
            until=NOW + 60,
        ),
    ),
}
