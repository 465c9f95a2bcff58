"""The life of one batch: a history of steps, from which it can be shown as of any time.

Nothing here acts: a batch is a list of moments and a rule for how many of its rows are done in
between. A cancel rewrites the steps that have not come yet.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, assert_never

from tests.simulation.behaviour import (
    AnswerLocation,
    Cancelled,
    Cancelling,
    Complete,
    Counts,
    Expire,
    Fail,
    NoFile,
    NotRun,
    Reasons,
    Stuck,
    Vanish,
)
from tests.simulation.replies import whole_seconds
from tests.simulation.results import fails, lines, succeeds, usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.simulation.behaviour import Answer, Behaviour, Problem, Row

OVER = frozenset({"failed", "completed", "expired", "cancelled"})
_STAMPS = {
    "in_progress": "in_progress_at",
    "finalizing": "finalizing_at",
    "completed": "completed_at",
    "failed": "failed_at",
    "expired": "expired_at",
    "cancelling": "cancelling_at",
    "cancelled": "cancelled_at",
}


class Step(NamedTuple):
    """From `at` on the batch has this status."""

    at: float
    status: str


class Tally(NamedTuple):
    """Rows succeeded and failed, tokens of prompts and responses."""

    completed: int
    failed: int
    prompt: int
    completion: int


_OTHER_FIELD = frozenset({Reasons.ERROR, Reasons.ERROR_TEXT})


@dataclass(slots=True, kw_only=True)
class Life:
    """One batch. `asked` holds its creation parameters, `seed` the seed of its random choices."""

    id: str
    index: int
    created: float
    window: float
    asked: Mapping[str, Any]
    rows: Sequence[Row]
    behaviour: Behaviour
    problems: tuple[Problem, ...]
    file_ids: Mapping[AnswerLocation, str]
    seed: str
    steps: list[Step] = field(init=False)
    stopped: float | None = None
    ignores: bool = False
    _answers: list[Answer] | None = None
    _order: list[int] | None = None
    _files: dict[AnswerLocation, bytes] | None = None
    _tallied: tuple[int, Tally] | None = None
    _refused: bool = False

    def __post_init__(self) -> None:
        self._refused = bool(self.problems)
        self.steps = _plan(self.behaviour, self.created, refused=self._refused)
        match self.behaviour.ending:
            case Fail(problems=problems) if not self.problems:
                self.problems = problems
            case _:
                pass

    def status(self, at: float) -> str:
        """Return the status at a time; before its creation that of the first moment."""
        return self._passed(at)[-1].status

    @property
    def over_at(self) -> float:
        """When the API will not change it any more, files apart; infinite if never."""
        last = self.steps[-1]
        return last.at if last.status in OVER else math.inf

    @property
    def gone_at(self) -> float:
        """When the provider forgets it; infinite if never."""
        ending = self.behaviour.ending
        return self.created + ending.after if isinstance(ending, Vanish) else math.inf

    @property
    def files_at(self) -> float:
        """When the ids of its files are shown."""
        return self.over_at + self.behaviour.files_after

    @property
    def without_files(self) -> bool:
        """Whether it fails as a whole, so that no row of it has a line."""
        ending = self.behaviour.ending
        keeps = isinstance(ending, Fail) and ending.fraction is not None and not self._refused
        return self.steps[-1].status == "failed" and not keeps

    def withheld(self, at: float) -> str | None:
        """Say why its results cannot be had and never will; None where they can, or will."""
        status, spoiled = self.status(at), self.behaviour.spoiled
        if at >= self.gone_at:
            return "vanished"
        if self.over_at == math.inf and (status == "cancelling" or self.ignores):
            return f"cancelling for ever: {self.behaviour.cancels.name}"
        if spoiled is not None and spoiled.lasts == math.inf and at >= self.files_at:
            return "spoiled for good"
        return None

    def cancel(self, now: float) -> None:
        """Take the order to cancel; a batch that is being cancelled is not changed."""
        if any(step.status == "cancelling" for step in self._passed(now)):
            return
        if self.behaviour.cancels is Cancelling.IGNORED:
            self.ignores = True
            return
        if self.behaviour.cancels is not Cancelling.ENDS:
            self.stopped = now
            self.steps = [*self._passed(now), Step(now, "cancelling")]
            return
        begun = any(step.status == "in_progress" for step in self._passed(now))
        end = "completed" if self.behaviour.cancel_loses and begun else "cancelled"
        done_in = now + self.behaviour.cancelling
        self.stopped = now if end == "cancelled" else None
        self.steps = [*self._passed(now), Step(now, "cancelling"), Step(done_in, end)]

    def done(self, at: float) -> list[int]:
        """Return the indexes of the rows run until a time, in the order they were run."""
        begun = next((step.at for step in self.steps if step.status == "in_progress"), math.inf)
        until = at if self.stopped is None else min(at, self.stopped)
        if until < begun or self.without_files:
            return []
        full = len(self.rows)
        ending, working = self.behaviour.ending, self.behaviour.working
        if isinstance(ending, Expire | Cancelled | Stuck | Fail) and ending.fraction is not None:
            full = math.floor(full * ending.fraction)
        share = 1.0 if working <= 0 else min(1.0, (until - begun) / working)
        if at >= self.over_at and self.stopped is None:
            share = 1.0
        return self.order[: math.floor(full * share)]

    @property
    def order(self) -> list[int]:
        """The order in which its rows are run and, if shuffled, written."""
        if self._order is None:
            self._order = list(range(len(self.rows)))
            if self.behaviour.shuffled:
                random.Random(self.seed).shuffle(self._order)
        return self._order

    @property
    def answers(self) -> list[Answer]:
        """What every row is answered, if it is run."""
        if self._answers is None:
            self._answers = [self.behaviour.answer(row) for row in self.rows]
        return self._answers

    def answered(self, at: float) -> list[Row]:
        """Return the rows that have been answered well, and so paid for, at a time."""
        return [self.rows[index] for index in self.done(at) if succeeds(self.answers[index])]

    def files(self) -> dict[AnswerLocation, bytes]:
        """Write both files of a batch that is over; an empty one means no file."""
        if self._files is None:
            done = self.done(self.over_at)
            written: dict[AnswerLocation, list[bytes]] = {
                AnswerLocation.OUTPUT: [],
                AnswerLocation.ERROR: [],
            }
            for index in done:
                for place, line in lines(
                    self.rows[index],
                    self.answers[index],
                    self.id,
                    bodies_as_text=self.behaviour.bodies_as_text,
                ):
                    written[place].append(line)
            if self.behaviour.lists_unrun and not self.without_files:
                last = self.steps[-1].status
                code = f"batch_{last}" if last in ("expired", "failed") else "batch_cancelled"
                ran = set(done)
                for row in self.rows:
                    if row.index not in ran:
                        answer = NotRun(code=code)
                        written[AnswerLocation.ERROR] += [
                            line for _, line in lines(row, answer, self.id)
                        ]
            end = b"\n" if self.behaviour.final_newline else b""
            self._files = {
                place: b"\n".join(found) + end if found else b"" for place, found in written.items()
            }
        return self._files

    def show(
        self, at: float, words: Mapping[str, str], *, metadata: bool = True, classic: bool = False
    ) -> dict[str, Any]:
        """Return the Batch object as of a time."""
        passed = self._passed(at)
        status = passed[-1].status
        shown: dict[str, Any] = {
            "id": self.id,
            "object": "batch",
            "endpoint": self.asked["endpoint"],
            "errors": self._errors() if status == "failed" else None,
            "input_file_id": self.asked["input_file_id"],
            "completion_window": self.asked["completion_window"],
            "status": words.get(status, status),
            "output_file_id": self._file_id(AnswerLocation.OUTPUT, at),
            "error_file_id": self._file_id(AnswerLocation.ERROR, at),
            "created_at": whole_seconds(self.created),
            "in_progress_at": None,
            "expires_at": whole_seconds(self.created + self.window),
            "finalizing_at": None,
            "completed_at": None,
            "failed_at": None,
            "expired_at": None,
            "cancelling_at": None,
            "cancelled_at": None,
            "request_counts": self._counts(at, status),
            "metadata": (self.asked.get("metadata") or None) if metadata else None,
        }
        if shown["errors"] is not None and self.behaviour.reasons in _OTHER_FIELD:
            shown["errors"], shown["error"] = None, shown["errors"]
        for step in passed[1:]:
            shown[_STAMPS[step.status]] = whole_seconds(step.at)
        if status == "cancelling" and self.behaviour.cancels is Cancelling.TIMELESS:
            shown["cancelling_at"] = None
        elif status == "cancelling" and self.behaviour.cancels is Cancelling.MOVING:
            shown["cancelling_at"] = whole_seconds(at)
        if not classic:
            shown["model"] = self._model() if status != "validating" else None
            shown["usage"] = self._usage(at) if status in OVER else None
        return shown

    def _passed(self, at: float) -> list[Step]:
        return [self.steps[0], *(step for step in self.steps[1:] if step.at <= at)]

    def _errors(self) -> object:
        data = [
            {
                "code": problem.code,
                "message": problem.message,
                "param": problem.param,
                "line": problem.line,
            }
            for problem in self.problems
        ]
        match self.behaviour.reasons:
            case Reasons.LIST:
                return {"object": "list", "data": data}
            case Reasons.BARE_LIST:
                return data
            case Reasons.OBJECT | Reasons.ERROR:
                return data[0]
            case Reasons.TEXT | Reasons.ERROR_TEXT:
                return data[0]["message"]
            case _:
                assert_never(self.behaviour.reasons)

    def _file_id(self, place: AnswerLocation, at: float) -> str | None:
        if at < self.files_at or self.without_files:
            return None
        behaviour = self.behaviour
        absent = behaviour.no_output if place is AnswerLocation.OUTPUT else behaviour.no_error
        if self.files()[place] or absent is NoFile.EMPTY_FILE:
            return self.file_ids[place]
        return "" if absent is NoFile.EMPTY_TEXT else None

    def _counts(self, at: float, status: str) -> dict[str, int | None] | None:
        total = 0 if status == "validating" else len(self.rows)
        match self.behaviour.counts:
            case Counts.TRUE:
                tally = self._tally(at)
                return {"total": total, "completed": tally.completed, "failed": tally.failed}
            case Counts.ALL_WELL:
                return {"total": total, "completed": total, "failed": 0}
            case Counts.EMPTY:
                return {}
            case Counts.NULL_MEMBERS:
                return {"total": None, "completed": None, "failed": None}
            case Counts.NULL:
                return None
            case _:
                assert_never(self.behaviour.counts)

    def _model(self) -> str | None:
        model = self.rows[0].body.get("model") if self.rows else None
        return f"{model}-2026-01-01" if isinstance(model, str) else None

    def _usage(self, at: float) -> dict[str, Any]:
        tally = self._tally(at)
        return {
            "input_tokens": tally.prompt,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": tally.completion,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": tally.prompt + tally.completion,
        }

    def _tally(self, at: float) -> Tally:
        """Count what is done; a batch that does not change is not counted again."""
        done = self.done(at)
        if self._tallied is None or self._tallied[0] != len(done):
            good = [index for index in done if succeeds(self.answers[index])]
            tokens = [usage(self.rows[index]) for index in good]
            tally = Tally(
                completed=len(good),
                failed=sum(1 for index in done if fails(self.answers[index])),
                prompt=sum(pair[0] for pair in tokens),
                completion=sum(pair[1] for pair in tokens),
            )
            self._tallied = (len(done), tally)
        return self._tallied[1]


def _plan(behaviour: Behaviour, created: float, *, refused: bool) -> list[Step]:
    """Return the steps of a batch that is not cancelled."""
    ending = behaviour.ending
    begins = created + behaviour.validating
    ends = begins + behaviour.working
    written = ends + behaviour.finalizing
    first = Step(created, "validating")
    working = Step(begins, "in_progress")
    writing = Step(ends, "finalizing")
    if refused:
        return [first, Step(begins, "failed")]
    match ending:
        case Complete() | Vanish():
            return [first, working, writing, Step(written, "completed")]
        case Fail(late=late, fraction=fraction):
            return (
                [first, working, Step(ends, "failed")]
                if late or fraction is not None
                else [first, Step(begins, "failed")]
            )
        case Expire():
            return [first, working, writing, Step(written, "expired")]
        case Cancelled():
            cancelled = Step(ends + behaviour.cancelling, "cancelled")
            way = [first, working, Step(ends, "cancelling"), cancelled]
            ended = behaviour.cancels in (Cancelling.ENDS, Cancelling.IGNORED)
            return way if ended else way[:-1]
        case Stuck(status=status):
            way = [first, working, writing]
            kept = [number for number, step in enumerate(way) if step.status == status]
            if not kept:
                raise ValueError(f"a batch cannot be stuck in {status!r}")
            return way[: kept[0] + 1]
        case _:
            assert_never(ending)
