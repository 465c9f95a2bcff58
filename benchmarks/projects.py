"""Projects for the benchmarks, and running commands in them."""

from __future__ import annotations

import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.account import environment
from benchmarks.costs import BenchmarkFailed, measure
from benchmarks.rows import Rows, custom_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.account import Account
    from benchmarks.costs import Cost

RUNNER: Final = Path(sysconfig.get_path("scripts")) / "runner"
"""The command as pip installs it for this Python."""

PAUSE: Final = "0.001"
"""Seconds between passes with --wait: the provider has finished already, so waiting is no work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project in `folder` whose provider is an account."""

    folder: Path
    account: Account

    def run(self, *arguments: str) -> Cost:
        """Run `runner` with these arguments; raises BenchmarkFailed."""
        return measure(
            [str(RUNNER), *arguments],
            folder=self.folder,
            account=self.account,
            environ=environment(),
        )

    def answered(self) -> int:
        """Return the number of lines of all outputs."""
        return sum(count_lines(path) for path in self.folder.glob("outputs/*/latest/output.jsonl"))


def one_job(folder: Path, account: Account, *, source: Path, endpoint: str) -> Project:
    """Create a project with one job, whose input is outside of it."""
    project = _project(folder, account)
    _spec(folder, "job", endpoint, str(source))
    return project


def many_jobs(folder: Path, account: Account, jobs: int) -> Project:
    """Create a project with many jobs of one request each, with a spec and an input for each."""
    project = _project(folder, account)
    (folder / "data").mkdir()
    add_jobs(project, range(jobs))
    return project


def add_jobs(project: Project, numbers: Iterable[int]) -> None:
    """Write the specs and inputs of the jobs with these numbers; all inputs differ."""
    rows = Rows(count=1)
    for number in numbers:
        name = f"job-{number:05}"
        _spec(project.folder, name, rows.endpoint, f"data/{name}.jsonl")
        path = project.folder / "data" / f"{name}.jsonl"
        rows.write_requests(path)
        text = path.read_text().replace(custom_id(0), custom_id(number))
        path.write_text(text)


def count_lines(path: Path) -> int:
    """Return the number of lines of a file, read one megabyte at a time."""
    with path.open("rb") as file:
        return sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 20), b""))


def require_count(*, found: int, wanted: int, what: str) -> None:
    """Raise BenchmarkFailed if a contestant did not do the whole work."""
    if found != wanted:
        raise BenchmarkFailed(f"{what}: {found:,} instead of {wanted:,}")


def _project(folder: Path, account: Account) -> Project:
    (folder / "specs").mkdir(parents=True)
    (folder / "runner.yaml").write_text(
        "default_provider: benchmark\n"
        f"providers:\n  benchmark:\n    base_url: {account.url}\n    api_key_env: OPENAI_API_KEY\n"
    )
    return Project(folder=folder, account=account)


def _spec(folder: Path, name: str, endpoint: str, source: str) -> None:
    text = f"endpoint: {endpoint}\ninput: {source}\n"
    (folder / "specs" / f"{name}.yaml").write_text(text)
