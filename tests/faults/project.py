"""A project in a folder of its own, the command run on it in real processes, and the checks.

`Project.run` is what a shell or cron would do: a new process of the installed command. For the
same without the second of start-up see `launching.py`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from tests.simulation.scene import request_line, request_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.faults.wire import Transport
    from tests.simulation.http import Server
    from tests.simulation.world import World

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-P", "-c", "from runner.cli import main; main()")
KEY = "sk-a-secret-that-nobody-may-see"
WAITING = ("reconcile", "--wait", "--poll-interval", "0.01")
PATIENCE = 30.0
"""Seconds after which a thing that should have happened has not."""

SPEC = """\
name: job
endpoint: /v1/chat/completions
input: requests.jsonl
"""

Picture: TypeAlias = "dict[str, tuple[int, int, bytes]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a process ended. A negative `code` is the signal that killed it."""

    code: int
    out: str
    err: str

    def json(self) -> Any:  # noqa: ANN401 -- decoded JSON
        """Decode what was printed."""
        return json.loads(self.out)


@dataclass(kw_only=True)
class Project:
    """A folder with specs and inputs; `environment` is all that the command gets to see."""

    root: Path
    environment: dict[str, str] = field(
        default_factory=lambda: {
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": str(ROOT),
            "OPENAI_API_KEY": KEY,
        }
    )

    @classmethod
    def at(
        cls,
        root: Path,
        server: Server | Transport,
        *,
        rows: int = 12,
        a_shard: int = 5,
        grace: float = 0.1,
        spec: str = SPEC,
        config: str = "",
    ) -> Project:
        """Make a project with one job of `rows` requests, r0 onwards, on a simulated provider.

        It takes the place of one that was there before.
        """
        project = cls(root=root)
        if (root / "runner.yaml").exists():
            shutil.rmtree(root)
        project.write(
            "runner.yaml",
            f"providers:\n  openai:\n    base_url: {server.base_url}\n    adoption_grace: {grace}\n"
            f"    max_requests_per_batch: {a_shard}\n{config}",
        )
        project.write("specs/job.yaml", spec)
        project.write("requests.jsonl", request_lines(rows))
        return project

    @classmethod
    def small(cls, root: Path, server: Server) -> Project:
        """Make a project of one batch, and another for what it leaves: all there is, in little."""
        return cls.at(root, server, rows=6, a_shard=6)

    @classmethod
    def at_home(cls, root: Path, *, rows: int = 12, a_shard: int = 5) -> Project:
        """Make a project with one job of `rows` requests, r0 onwards, on the embedded provider."""
        project = cls(root=root)
        if (root / "runner.yaml").exists():
            shutil.rmtree(root)
        project.write(
            "runner.yaml",
            "default_provider: local\n"
            f"providers:\n  local:\n    max_requests_per_batch: {a_shard}\n",
        )
        project.write("specs/job.yaml", SPEC)
        lines = (request_line(name, model="echo") for name in ids(rows))
        project.write("requests.jsonl", b"".join(lines))
        return project

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file of the project."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    @property
    def ledger(self) -> Path:
        return self.root / ".runner" / "ledger.db"

    def start(
        self,
        *arguments: str,
        folder: Path | None = None,
        command: Sequence[str] = COMMAND,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        """Start the command."""
        return subprocess.Popen(
            [*command, *arguments],
            cwd=folder or self.root,
            env={**self.environment, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self,
        *arguments: str,
        folder: Path | None = None,
        command: Sequence[str] = COMMAND,
        environment: Mapping[str, str] | None = None,
    ) -> Ended:
        """Run the command to its end."""
        return ended(
            self.start(*arguments, folder=folder, command=command, environment=environment)
        )

    def status(self) -> dict[str, Any]:
        """Return what `runner status --json` says of the job `job`."""
        told = self.run("status", "--json")
        assert told.code == 0, told.err
        [job] = [each for each in told.json() if each["name"] == "job"]
        assert isinstance(job, dict)
        return job

    def picture(self) -> Picture:
        """Take in everything in the folder: kind, time of change, and content of each name."""
        found: Picture = {}
        for path in sorted(self.root.rglob("*")):
            about = path.lstat()
            if path.is_symlink():
                content = os.readlink(path).encode()  # noqa: PTH115 -- bytes are compared
            elif path.is_file():
                content = path.read_bytes()
            else:
                content = b""
            mode = stat.S_IFMT(about.st_mode)
            # The folder of the ledger itself: SQLite makes and removes files beside it. The time of
            # the lock says when the last pass began.
            timeless = path in {self.ledger.parent, self.ledger.with_name("ledger.db.lock")}
            changed = 0 if timeless else about.st_mtime_ns
            found[str(path.relative_to(self.root))] = (mode, changed, content)
        return found

    def outputs(self) -> dict[str, bytes]:
        """Return the content of each file below `outputs`, links followed."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in sorted((self.root / "outputs").rglob("*"))
            if path.is_file()
        }

    def finished(self, job: str = "job") -> bool:
        """Whether the job's results are there, as a script would ask."""
        return (self.root / "outputs" / job / "latest" / "output.jsonl").exists()

    def results(self, job: str = "job") -> tuple[list[str], list[str]]:
        """Return the custom_ids in output.jsonl and in errors.jsonl; each line must be whole."""
        folder = self.root / "outputs" / job / "latest"
        return lines_of(folder / "output.jsonl"), lines_of(folder / "errors.jsonl")

    def check_results(self, asked: Sequence[str], failed: Sequence[str] = ()) -> None:
        """Assert that each request is in its file, in order, and that the record is true."""
        good, bad = self.results()
        assert good == [name for name in asked if name not in failed]
        assert bad == list(failed)
        folder = self.root / "outputs" / "job" / "latest"
        record = json.loads((folder / "run.json").read_bytes())
        for name, about in record["outputs"].items():
            content = (folder / name).read_bytes()
            assert about["sha256"] == hashlib.sha256(content).hexdigest(), name
        for shard in record["shards"]:
            for submission in shard["submissions"]:
                for result in submission["results"]:
                    content = (folder / result["path"]).read_bytes()
                    assert result["sha256"] == hashlib.sha256(content).hexdigest(), result

    def check_ledger(self) -> None:
        """Assert that SQLite finds the ledger intact, and every foreign key valid."""
        with closing(sqlite3.connect(self.ledger)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert database.execute("PRAGMA foreign_key_check").fetchall() == []

    def litter(self) -> list[str]:
        """Return the files that only a process under way has any use for."""
        return [
            str(path.relative_to(self.root))
            for path in self.root.rglob("*")
            if path.suffix in (".part", ".partial", ".input") or path.parent.name == "uploads"
        ]

    def check_nothing_secret(self, *processes: Ended) -> None:
        """Assert that the key is in no file and was not said by any of these processes."""
        for path in self.root.rglob("*"):
            if path.is_file():
                assert KEY.encode() not in path.read_bytes(), path
        for process in processes:
            assert KEY not in process.out + process.err


def ended(process: subprocess.Popen[str]) -> Ended:
    """Wait for a process and return how it ended."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Ended(code=process.returncode, out=out or "", err=err)


def lines_of(path: Path) -> list[str]:
    """Return the custom_id of each line of a result file; all must be whole."""
    return lines_in(path.read_bytes())


def lines_in(content: bytes) -> list[str]:
    """Return the custom_id of each line; all must be whole."""
    assert content == b"" or content.endswith(b"\n"), content[-100:]
    return [json.loads(line)["custom_id"] for line in content.split(b"\n")[:-1]]


def ids(count: int) -> list[str]:
    """Return the custom_ids of `count` requests."""
    return [f"r{number}" for number in range(count)]


def until(
    condition: Callable[[], object], *, patience: float = PATIENCE, pause: float = 0.002
) -> None:
    """Wait for something to become true; look again after each pause."""
    last = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < last, f"waited {patience} s in vain"
        time.sleep(pause)


def has_open(pid: int, name: str) -> bool:
    """Whether a process has a file of this name open."""
    try:
        return name in [link.readlink().name for link in Path(f"/proc/{pid}/fd").iterdir()]
    except FileNotFoundError:  # it has ended, or closed that very file
        return False


def long_lines(count: int, length: int) -> bytes:
    """Return `count` request lines, r0 onwards, each of about so many bytes."""
    long = [{"role": "system", "content": "x" * length}]
    body = {"model": "gpt-4o-mini", "messages": long}
    lines = [
        {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}
        for name in ids(count)
    ]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def sent(world: World, method: str = "POST") -> list[str]:
    """Return the paths of the calls that could change something at the provider."""
    return [each.path for each in world.requests if each.method == method]
