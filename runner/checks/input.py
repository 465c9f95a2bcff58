"""The check of the input of a finished run: it must still be the one that was submitted."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import InputChanged, InvalidInput, LocalFileError
from runner.inputs.row_set import RowSet
from runner.outputs.integrity import FileMatch
from runner.reconcile.context import no_progress
from runner.spec.discovery import is_inside
from runner.spec.project import Limits

if TYPE_CHECKING:
    from runner.inputs.scan import Scan
    from runner.outputs.record import RecordedShard, RunRecord
    from runner.reconcile.context import ProgressReporter
    from runner.spec.job import Job
    from runner.spec.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class InputCheck:
    """The comparison of an input with the digest in a record.

    `bad` is true if a difference is a mismatch: the input of an earlier revision may change.
    `reason` is a clause, None for the match `ok`.
    """

    path: str
    match: FileMatch
    bad: bool = False
    expected_sha256: str
    found_sha256: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Location:
    """The place of a shard in its input."""

    offset: int
    rows: RowSet


class Inputs:
    """The inputs of the runs that are checked; each is read once."""

    def __init__(self, project: Project, report_progress: ProgressReporter = no_progress) -> None:
        self._project = project
        self._report_progress = report_progress
        self._read: dict[tuple[Path, str], Scan | str] = {}

    def of_job(self, job: Job) -> Scan | str:
        """Scan the input of a job; returns the reason if it cannot be read."""
        return self._scan(job.input, job.input_shown, job.endpoint, job.provider.limits, job.name)

    def check(self, record: RunRecord, job: Job | None, *, is_current: bool) -> InputCheck:
        """Compare an input with a record.

        `job` is the job of the folder, None if no spec describes it any more. `is_current` is true
        if the spec would have this revision with the same input, and no newer run has finished.
        """
        expected = record.input.sha256
        shown = record.input.path if job is None else job.input_shown
        path = self._inside(record.input.path) if job is None else job.input
        if path is None:
            reason = "no spec names it any more, and it is not inside the project: it was not read"
            return InputCheck(
                path=shown, match=FileMatch.UNREADABLE, expected_sha256=expected, reason=reason
            )
        if job is None:
            scanned = self._scan(path, shown, record.request.endpoint, Limits(), record.job)
        else:
            scanned = self.of_job(job)
        if isinstance(scanned, str):
            missing = not os.path.exists(path)  # noqa: PTH110 -- it never raises
            return InputCheck(
                path=shown,
                match=FileMatch.MISSING if missing else FileMatch.UNREADABLE,
                bad=is_current,
                expected_sha256=expected,
                reason="does not exist any more" if missing else scanned,
            )
        if scanned.digest != expected:
            return InputCheck(
                path=shown,
                match=FileMatch.DIFFERS,
                bad=is_current,
                expected_sha256=expected,
                found_sha256=scanned.digest,
                reason="has changed since this revision",
            )
        different = [
            str(shard.number) for shard in record.shards if not _has_same_rows(path, scanned, shard)
        ]
        return InputCheck(
            path=shown,
            match=FileMatch.DIFFERS if different else FileMatch.OK,
            bad=bool(different),
            expected_sha256=expected,
            found_sha256=scanned.digest,
            reason=f"does not reproduce the files of shard {', '.join(different[:3])}"
            if different
            else None,
        )

    def _scan(self, path: Path, shown: str, endpoint: str, limits: Limits, name: str) -> Scan | str:
        from runner.inputs.scan import scan

        if (path, endpoint) not in self._read:
            try:
                with self._report_progress(name, "reading", path.stat().st_size) as report_bytes:
                    self._read[path, endpoint] = scan(
                        path,
                        shown=shown,
                        endpoint=endpoint,
                        limits=limits,
                        progress=report_bytes,
                        quoting=is_inside(path, self._project.root),
                    )
            except InvalidInput as error:
                self._read[path, endpoint] = f"cannot be sent any more: {error.problems[0]}"
            except (InputChanged, LocalFileError) as error:
                self._read[path, endpoint] = str(error)
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else "its path is not valid"
                self._read[path, endpoint] = f"cannot be read: {reason}"
        return self._read[path, endpoint]

    def _inside(self, shown: str) -> Path | None:
        """Return the real path of a path from a record; None if it is outside the project."""
        path = self._project.root / shown
        return Path(os.path.realpath(path)) if is_inside(path, self._project.root) else None


def _has_same_rows(path: Path, scanned: Scan, shard: RecordedShard) -> bool:
    """Whether the rows of an input still make the file of a shard, byte for byte."""
    from runner.inputs.extract import write_rows

    try:
        rows = RowSet.parse(shard.rows)
        for each in scanned.shards:
            if each.rows == rows:
                return each.sha256 == shard.sha256
        # Other limits made other shards then. The recorded offset may be out of date.
        for location in (
            _Location(offset=shard.offset, rows=rows),
            _Location(offset=0, rows=RowSet.span(0, scanned.requests)),
        ):
            with Path(os.devnull).open("wb") as nowhere:
                extracted = write_rows(path, shard=location, rows=rows, destination=nowhere)
            if extracted.sha256 == shard.sha256:
                return True
    except (InputChanged, InvalidInput, LocalFileError, OSError, OverflowError, ValueError):
        return False
    return False
