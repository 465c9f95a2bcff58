"""What is concluded from the files of an ended batch: golden/collect.txt, at the last review.

`UPDATE_GOLDEN=1 pytest tests/reconcile/test_collect.py` writes it again; review the difference like
any other. The provider is a dictionary of files, and everything else is real.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from runner.api.protocol import Download
from runner.batch import Batch, File
from runner.errors import ApiError, NotFound, UnexpectedReply
from runner.ledger import run_transitions, submission_transitions
from runner.ledger.records import SubmissionState
from runner.ledger.store import Ledger
from runner.planning.actions import BatchFailure, CloseRejectedBatch, Collect, MarkLost
from runner.reconcile import by_order, collect, custom_ids
from runner.reconcile.context import Context, PassState, ProviderPool
from runner.spec.project import Project, Provider
from tests.ledger.entries import KEY, PROVIDER, Clock, batch, bring_to, kinds, result_file
from tests.report.golden_files import check_golden_blocks
from tests.simulation.thrift import blank_ledger, quick_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pytest

    from runner.api.protocol import BatchApi
    from runner.ledger.records import Run, ShardRecord, Submission
    from runner.reconcile.concurrency import Steps
    from runner.reconcile.context import Notice

GOLDEN: Final = Path(__file__).parent / "golden" / "collect.txt"
NOW: Final = 10_000.0
SECRET: Final = "sk-secret"


def good(*rows: int) -> bytes:
    """Return successful lines of these rows."""
    return b"".join(
        json.dumps(
            {"custom_id": f"r{row}", "response": {"status_code": 200, "body": {"id": f"x{row}"}}}
        ).encode()
        + b"\n"
        for row in rows
    )


def bad(status: int, *rows: int, code: str = "no") -> bytes:
    """Return lines of these rows with an HTTP error."""
    return b"".join(
        json.dumps(
            {
                "custom_id": f"r{row}",
                "response": {
                    "status_code": status,
                    "body": {"error": {"code": code, "message": f"{row}!"}},
                },
            }
        ).encode()
        + b"\n"
        for row in rows
    )


def foreign(name: str = "theirs") -> bytes:
    """Return a successful line of a custom_id that no request has."""
    return good(0).replace(b'"r0"', json.dumps(name).encode())


@dataclass
class Shelf:
    """A provider of files: the contents of each file in turn, and the sizes that it says."""

    contents: Mapping[str, list[bytes | Exception]]
    sizes: Mapping[str, int | Exception | None]
    calls: list[str] = field(default_factory=list)

    def retrieve_file(self, identifier: str) -> File:
        """Return a File object with the size of the content, or with another one."""
        self.calls.append(f"GET {identifier}")
        size = self.sizes.get(identifier, -1)
        if isinstance(size, Exception):
            raise size
        if size == -1:
            first = self.contents[identifier][0]
            size = len(first) if isinstance(first, bytes) else None
        return File.from_api({"id": identifier, "bytes": size})

    def download(
        self,
        identifier: str,
        path: Path,
        *,
        expected_bytes: int | None,
        at_most: int,
        progress: Callable[[int], None],
    ) -> Download:
        """Write the next content of a file; the last one is repeated."""
        self.calls.append(f"download {identifier} {expected_bytes}")
        waiting = self.contents[identifier]
        content = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(content, Exception):
            raise content
        if expected_bytes is not None and len(content) != expected_bytes:
            raise UnexpectedReply("another length", provider=PROVIDER, call="GET /files")
        assert len(content) <= at_most
        path.write_bytes(content)
        progress(len(content))
        return Download(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())

    def redact(self, text: str) -> str:
        """Remove the API key."""
        return text.replace(SECRET, "***")


def gone(status: int = 404) -> NotFound:
    """Return the error for a file that the provider does not have."""
    return NotFound(f"HTTP {status}: no such file", provider=PROVIDER, call="GET", status=status)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """An ended batch of the rows 0, 1, 2 and 4, its files, and what was recorded before."""

    output: list[bytes | Exception] | None = None
    error: list[bytes | Exception] | None = None
    sizes: Mapping[str, int | Exception | None] = field(default_factory=dict)
    counts: tuple[int, int, int] | None = None
    status: str = "completed"
    early: bool = False
    ended: float = NOW - 100
    loopback: bool = False
    round: int = 0
    before: bytes | None = None
    damaged: bool = False
    kind: str = "output"
    act: Callable[[Context, PassState, Run], Steps | None] | None = None


@dataclass
class Stage:
    """Where a scene is played."""

    root: Path
    scene: Scene
    notices: list[Notice] = field(default_factory=list)

    def play(self) -> Iterator[str]:
        """Play the scene; yields what was called, recorded and said."""
        scene, clock = self.scene, Clock()
        shelf = Shelf(
            contents={
                name: list(content)
                for name, content in (("o", scene.output), ("e", scene.error))
                if content is not None
            },
            sizes=scene.sizes,
        )
        base_url = "http://127.0.0.1:9/v1" if scene.loopback else "https://lab.example/v1"
        project = Project(
            root=self.root,
            specs=self.root / "specs",
            outputs=self.root / "outputs",
            ledger=self.root / "ledger.db",
            default_provider=PROVIDER,
            providers={PROVIDER: Provider(name=PROVIDER, base_url=base_url)},
            config_file=None,
        )
        blank_ledger(project.ledger)
        with Ledger.open(project.ledger, clock=clock) as ledger:
            self._record(ledger, clock)
            context = Context(
                project=project,
                ledger=ledger,
                providers=ProviderPool(lambda name: cast("BatchApi", {PROVIDER: shelf}[name])),
                clock=clock,
                report_notice=self.notices.append,
            )
            state, run = PassState(), ledger.run(1)
            known = len(kinds(ledger))
            try:
                finish(self._act(context, state, run))
            except ApiError as error:
                yield f"raises {type(error).__name__}: {error} [{error.provider} {error.call}]"
            yield from (f"call: {call}" for call in shelf.calls)
            yield from recorded(ledger, known)
            kept = state.answers.take(KEY)
            if kept is not None:
                yield f"keeps the answers of {len(kept)} rows"
            yield from (f"stopped: {name}: {why}" for name, why in state.stopped.items())
            yield from (f"unusable: {name}" for name in sorted(state.unusable))
        for notice in self.notices:
            yield said(notice)

    def _record(self, ledger: Ledger, clock: Clock) -> None:
        scene = self.scene
        run = bring_to(ledger, SubmissionState.SUBMITTED)
        clock.now = scene.ended
        submission_transitions.observed(ledger, KEY, PROVIDER, self.batch)
        if scene.before is not None:
            record = dataclasses.replace(
                result_file(scene.kind),
                file_id=scene.kind[0],
                sha256=hashlib.sha256(scene.before).hexdigest(),
            )
            path = self.root / run.folder / record.path
            path.parent.mkdir(parents=True)
            path.write_bytes(b"damaged" if scene.damaged else scene.before)
            submission_transitions.downloaded(ledger, KEY, record)
        for _ in range(scene.round):
            run_transitions.reopen_run(ledger, run, next_round=True, attempts=3)
        clock.now = NOW

    @property
    def batch(self) -> Batch:
        """The ended batch."""
        scene = self.scene
        fields: dict[str, Any] = {
            "output_file_id": None if scene.output is None else "o",
            "error_file_id": None if scene.error is None else "e",
            "request_counts": dict(
                zip(("total", "completed", "failed"), scene.counts or (), strict=False)
            ),
        }
        return batch(status=scene.status, **fields)

    def _act(self, context: Context, state: PassState, run: Run) -> Steps | None:
        if self.scene.act is not None:
            return self.scene.act(context, state, run)
        [submission] = run.submissions
        action = Collect(
            run=run,
            reason="it has ended",
            shard=run.shards[0],
            submission=submission,
            batch=self.batch,
            early=self.scene.early,
        )
        return collect.collect(context, state, action)


def finish(steps: Steps | None) -> None:
    """Make the calls of some steps, one after the other, as a pass does."""
    if steps is None:
        return
    try:
        call = next(steps)
        while True:
            try:
                reply = call()
            except ApiError as error:
                call = steps.throw(error)
            else:
                call = steps.send(reply)
    except StopIteration:
        return


def recorded(ledger: Ledger, known: int) -> Iterator[str]:
    """Yield what the ledger has of the submission, and the new events."""
    [submission] = ledger.run(1).submissions
    yield (
        f"{submission.state}, transient={submission.transient} permanent={submission.permanent} "
        f"counted={submission.counted} not_before={submission.not_before:g}"
    )
    yield f"problem: {submission.problem}"
    for event in ledger.events("hello")[known:]:
        yield f"event {event.kind}: {json.dumps(event.detail, sort_keys=True)}"


def said(notice: Notice) -> str:
    """Render a notice with all its fields."""
    fields: dict[str, Any] = {
        field.name: getattr(notice, field.name) for field in dataclasses.fields(notice)
    }
    fields["batch"] = notice.batch and notice.batch.id
    fields["submission"] = str(notice.submission)
    fields["error"] = notice.error and type(notice.error).__name__
    fields["counts"] = notice.counts and dataclasses.astuple(notice.counts)
    message = fields.pop("message")
    more = " ".join(f"{name}={its}" for name, its in fields.items() if its)
    return f"says: {message} [{more}]"


def rejected(failure: BatchFailure, **more: Any) -> Callable[..., Steps | None]:  # noqa: ANN401
    """Close the batch as rejected as a whole."""

    def act(context: Context, state: PassState, run: Run) -> Steps | None:
        [submission] = run.submissions
        assert submission.batch is not None
        failed = Batch.from_api({**submission.batch.raw, "status": "failed", **more})
        action = CloseRejectedBatch(
            run=run,
            reason="batch_1 failed: because",
            submission=submission,
            batch=failed,
            failure=failure,
            not_before=NOW + 60,
        )
        collect.close_rejected_batch(context, state, action)
        return None

    return act


def lost(*, stuck: bool = False, again: int = 0) -> Callable[..., Steps | None]:
    """Give the batch up; `again` times after `runner retry`."""

    def act(context: Context, _state: PassState, run: Run) -> Steps | None:
        [submission] = run.submissions
        later = dataclasses.replace(run, round=run.round + again)
        collect.mark_lost(
            context, MarkLost(run=later, reason="it is stuck", submission=submission, stuck=stuck)
        )
        return None

    return act


NO_FILE: Final = {"errors": {"data": [{"code": "x", "message": "Cannot find file file-in"}]}}
NO_SIZE: Final[Mapping[str, int | Exception | None]] = {"o": None, "e": None}
LATE: Final = NOW - 3600
"""The end of a batch whose files have been waited for as long as they are."""

SCENES: Final = {
    "all succeeded": Scene(output=[good(0, 1, 2, 4)], counts=(4, 4, 0)),
    "some failed": Scene(
        output=[good(0, 1)], error=[bad(500, 2) + bad(400, 4)], counts=(4, 2, 2)
    ),
    "some failed for good": Scene(output=[good(0)], error=[bad(400, 1) + bad(404, 2, 4)]),
    "some failed for several reasons": Scene(
        output=[good(0)], error=[bad(500, 1, code="b") + bad(500, 2, code="a") + bad(429, 4)]
    ),
    "some failed, one for two reasons": Scene(
        output=[good(0, 1)], error=[bad(500, 2, 4, code="b") + bad(429, 2, code="a")]
    ),
    "only an error file": Scene(error=[bad(500, 0, 1, 2, 4)], counts=(4, 0, 4)),
    "some have no line": Scene(output=[good(0, 1)]),
    "some have no line, expired": Scene(output=[good(0, 1)], status="expired", counts=(4, 2, 0)),
    "some have no line, of a size not said": Scene(output=[good(0, 1)], sizes=NO_SIZE),
    "the second download is whole": Scene(
        output=[good(0, 1), good(0, 1, 2, 4)], sizes=NO_SIZE, counts=(4, 4, 0)
    ),
    "the second download of two files is whole": Scene(
        output=[good(0), good(0, 1)], error=[b"", bad(400, 2, 4)], sizes=NO_SIZE
    ),
    "all have lines, of a size not said": Scene(output=[good(0, 1, 2, 4)], sizes=NO_SIZE),
    "more responses are counted": Scene(output=[good(0, 1)], counts=(4, 3, 1)),
    "as many responses are counted": Scene(output=[good(0, 1)], counts=(4, 2, 2)),
    "more responses are counted, for too long": Scene(
        output=[good(0, 1)], counts=(4, 3, 1), ended=LATE
    ),
    "more responses are counted, for too long, after some failed": Scene(
        output=[good(0)], error=[bad(400, 1) + bad(500, 2)], counts=(4, 4, 0), ended=LATE
    ),
    "more responses are counted, almost for too long": Scene(
        output=[good(0, 1)], counts=(4, 3, 1), ended=LATE + 0.5
    ),
    "more responses are counted, for too long, early in the plan": Scene(
        output=[good(0, 1)], counts=(4, 3, 1), ended=LATE, early=True
    ),
    "more responses are counted, for too long on loopback": Scene(
        output=[good(0, 1)], counts=(4, 3, 1), ended=NOW - 5, loopback=True
    ),
    "more responses are counted, almost for too long on loopback": Scene(
        output=[good(0, 1)], counts=(4, 3, 1), ended=NOW - 4.5, loopback=True
    ),
    "more responses are counted, for too long, in the next round": Scene(
        output=[good(0, 1)], counts=(4, 3, 1), ended=LATE, round=1
    ),
    "no output file is named yet": Scene(error=[bad(500, 0, 1)], early=True, ended=NOW - 10),
    "lines of nobody": Scene(output=[good(0, 1) + foreign() + foreign("more")]),
    "lines of nobody, with a key": Scene(output=[good(0, 1) + foreign(f"id {SECRET}")]),
    "lines of nobody, and counts that fit": Scene(
        output=[good(0, 1) + foreign()], counts=(4, 2, 2)
    ),
    "lines of nobody, and counts that do not add up": Scene(
        output=[good(0, 1) + foreign()], counts=(4, 2, 1)
    ),
    "lines of nobody, and counts of one": Scene(
        output=[good(0, 1) + foreign()], counts=(1, 1, 0)
    ),
    "lines of nobody, and counts of more": Scene(
        output=[good(0, 1) + foreign()], counts=(4, 3, 1)
    ),
    "lines of nobody, and counts of nothing": Scene(
        output=[good(0, 1) + foreign()], counts=(0, 0, 0)
    ),
    "lines of nobody in the error file": Scene(output=[good(0, 1)], error=[foreign()]),
    "lines of nobody in both files": Scene(
        output=[good(0, 1) + foreign("first")], error=[foreign("second")]
    ),
    "lines of nobody, and nothing is missing": Scene(output=[good(0, 1, 2, 4) + foreign()]),
    "lines of nobody, for too long": Scene(output=[good(0, 1) + foreign()], ended=LATE),
    "shorter than said": Scene(output=[good(0, 1)], sizes={"o": 9999}),
    "longer than said, and nothing is missing": Scene(
        output=[good(0, 1, 2, 4)], sizes={"o": 5}
    ),
    "shorter than said, for too long": Scene(output=[good(0, 1)], sizes={"o": 9999}, ended=LATE),
    "no output file at the provider": Scene(output=[gone()], error=[bad(400, 4)]),
    "no output file at the provider, for too long": Scene(
        output=[gone()], error=[bad(400, 4) + bad(500, 2)], ended=LATE
    ),
    "no output file at the provider, for too long, in the next round": Scene(
        output=[gone()], error=[bad(400, 4) + bad(500, 2)], ended=LATE, round=1
    ),
    "no output file at the provider, one on the disk": Scene(
        output=[gone()], error=[bad(400, 2, 4)], before=good(0, 1)
    ),
    "no output file at the provider, a damaged one on the disk": Scene(
        output=[gone()], error=[bad(400, 4)], before=good(0, 1), damaged=True
    ),
    "no error file at the provider, an output file on the disk": Scene(
        output=[good(0, 1)], error=[gone()], before=good(0, 1)
    ),
    "no error file at the provider, for too long, nothing is missing": Scene(
        output=[good(0, 1, 2, 4)], error=[gone()], ended=LATE
    ),
    "no error file at the provider, one on the disk": Scene(
        output=[good(0, 1)], error=[gone()], before=bad(400, 2, 4), kind="error"
    ),
    "unreadable lines": Scene(output=[good(0, 1) + b'{"custom_id": "r2", broken\n{"x": 1}\n']),
    "several lines of a request": Scene(
        output=[good(0, 1, 2, 4) + good(0)], error=[bad(500, 0, 4)]
    ),
    "rejected for good": Scene(act=rejected(BatchFailure.LASTING)),
    "rejected for a limit": Scene(act=rejected(BatchFailure.LIMIT)),
    "rejected for a lack of credit": Scene(act=rejected(BatchFailure.MONEY)),
    "rejected for the moment": Scene(act=rejected(BatchFailure.PASSING)),
    "rejected for a file that is there": Scene(
        act=rejected(BatchFailure.PASSING, **NO_FILE), sizes={"file-in": 400}
    ),
    "rejected for a file that is gone": Scene(
        act=rejected(BatchFailure.PASSING, **NO_FILE), sizes={"file-in": gone()}
    ),
    "rejected for a file that cannot be asked for": Scene(
        act=rejected(BatchFailure.PASSING, **NO_FILE),
        sizes={"file-in": UnexpectedReply("what?", provider=PROVIDER, call="GET")},
    ),
    "rejected for a file that is not named": Scene(
        act=rejected(BatchFailure.PASSING, **NO_FILE, input_file_id=None)
    ),
    "rejected for good, for a file": Scene(act=rejected(BatchFailure.LASTING, **NO_FILE)),
    "as many unknown lines as requests, for long": Scene(
        output=[good(0) + foreign() * 3], ended=LATE
    ),
    "as many unknown lines as requests and a failure, for long": Scene(
        output=[foreign() * 4], error=[bad(500, 2)], ended=LATE
    ),
    "lost": Scene(act=lost()),
    "lost, in the next round": Scene(act=lost(again=1)),
    "lost, stuck": Scene(act=lost(stuck=True)),
    "lost, with an output file on the disk": Scene(act=lost(), before=good(0, 1) + bad(500, 2)),
    "lost, with an output file on the disk, in the next round": Scene(
        act=lost(again=1), before=good(0, 1)
    ),
    "lost, with all results on the disk": Scene(act=lost(), before=good(0, 1, 2, 4)),
}  # fmt: skip


def test_every_conclusion_is_that_of_the_last_review(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ids(
        context: Context, run: Run, shard: ShardRecord, submission: Submission | None
    ) -> Callable[[], Iterator[tuple[int, str]]]:
        assert shard in context.ledger.run(run.id).shards
        assert submission is None or shard.number == 1
        rows = shard.rows if submission is None else submission.rows
        return lambda: iter([(row, f"r{row}") for row in rows])

    for module in (collect, custom_ids, by_order):
        monkeypatch.setattr(module, "custom_ids", ids)
    blocks = {}
    for name, scene in SCENES.items():
        with quick_folder() as root:
            told = "".join(f"    {line}\n" for line in Stage(root, scene).play())
        blocks[name] = told.replace(str(root), "ROOT")
    check_golden_blocks(GOLDEN, blocks)
