"""The floor: no pause in it, and benchmarks that notice one."""

from __future__ import annotations

import http.client
import shutil
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

import benchmarks.__main__ as command
from benchmarks.account import environment
from benchmarks.cases import FLOOR, Case, run_rounds
from benchmarks.costs import BenchmarkFailed, Cost, Figures, measure, require_busy
from benchmarks.provider import Account, Handler, Server
from benchmarks.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS = Rows(count=500, request_bytes=4_000)
"""2 MB: curl asks for `100 Continue` before it uploads more than 1 MB."""

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="the floor is curl")


@contextmanager
def serving(folder: Path, handler: type[Handler]) -> Iterator[Server]:
    folder.mkdir()
    (folder / "answers").mkdir()
    ROWS.write_answers(folder / "answers")
    with Server(Account(folder=folder), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def measured(script: Path, folder: Path) -> tuple[Cost, list[str | None]]:
    """Run a script like floor.sh; return its cost and the Expect headers of its POST requests."""
    own = folder / "own"
    own.mkdir()
    ROWS.write_requests(folder / "input.jsonl")
    expected: list[str | None] = []

    class Withholding(Handler):
        """A provider that never says `100 Continue`."""

        def handle_expect_100(self) -> bool:
            return True

        def parse_request(self) -> bool:
            whole = super().parse_request()
            if self.command == "POST":
                expected.append(self.headers["expect"])
            return whole

    with serving(folder / "account", Withholding) as server:
        cost = measure(
            [str(script), ROWS.endpoint, str(folder / "input.jsonl"), str(own), "0"],
            folder=own,
            account=None,
            environ=environment(OPENAI_BASE_URL=f"http://127.0.0.1:{server.server_port}/v1"),
        )
        counted = dict(server.account.requests)
    [output] = list(own.glob("output-*.jsonl"))
    assert len(output.read_bytes().splitlines()) == ROWS.count
    assert counted == {
        "POST /files": 1,
        "POST /batches": 1,
        "GET /batches/ID": 1,
        "GET /files/ID/content": 1,
    }
    return cost, expected


@needs_curl
def test_the_floor_does_not_ask_for_what_it_would_wait_for(tmp_path: Path) -> None:
    _, expected = measured(FLOOR, tmp_path)

    assert expected == [None, None]


@needs_curl
def test_a_floor_that_waits_for_a_reply_that_never_comes_is_noticed(tmp_path: Path) -> None:
    text = FLOOR.read_text(encoding="utf-8")
    assert text.count(" -H Expect:") == 1
    waiting = tmp_path / "floor.sh"
    waiting.write_text(text.replace(" -H Expect:", ""), encoding="utf-8")
    waiting.chmod(0o755)

    cost, expected = measured(waiting, tmp_path)

    assert expected == ["100-continue", None]
    # curl waits for one second, and reports that itself, however busy the machine is.
    assert cost.waited > 0.9
    assert cost.paused >= cost.waited


def test_the_provider_says_at_once_that_an_upload_may_go_on(tmp_path: Path) -> None:
    with serving(tmp_path / "account", Handler) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
        body = (
            b'{"input_file_id": "file-1", "endpoint": "/v1/embeddings", "completion_window": "24h"}'
        )
        connection.putrequest("POST", "/v1/batches")
        connection.putheader("Expect", "100-continue")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()

        # Nothing of the body is sent before this line has come.
        assert connection.sock.recv(64).startswith(b"HTTP/1.1 100 ")

        connection.send(body)
        assert connection.getresponse().status == 200
        connection.close()


def spent(
    wall: float, cpu: float, *, provider: float = 0, queued: float = 0, waited: float = 0
) -> Cost:
    return Cost(wall=wall, cpu=cpu, peak_mb=1, provider_cpu=provider, queued=queued, waited=waited)


@pytest.mark.parametrize(
    ("costs", "noticed"),
    [
        pytest.param([spent(0.96, 0.82, provider=0.13)], False, id="works all the time"),
        pytest.param([spent(1.86, 0.81, provider=0.13, waited=1.0)], True, id="200 MB, one pause"),
        pytest.param([spent(1.17, 0.15, provider=0.03)], True, id="a pause that curl does not see"),
        pytest.param([spent(4, 0.85, provider=0.2, queued=3.9)], False, id="queues for processors"),
        pytest.param(
            [spent(2.6, 0.85, provider=0.2, queued=2.6, waited=1.0)], True, id="both, busy machine"
        ),
        pytest.param(
            [spent(1, 0.9), spent(9, 0.9), spent(1, 0.9)], False, id="one round with a hiccup"
        ),
        pytest.param([spent(0.9, 1.3)], False, id="two processors at once"),
    ],
)
def test_a_baseline_that_is_idle_is_no_baseline(costs: list[Cost], *, noticed: bool) -> None:
    figures = Figures(rounds={"floor": costs})

    if noticed:
        with pytest.raises(BenchmarkFailed, match="floor paused for "):
            require_busy(figures, "floor")
    else:
        require_busy(figures, "floor")


def test_the_benchmark_fails_and_writes_nothing_if_its_baseline_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    costs = {"runner": spent(1.4, 1.4), "lazy": spent(1.9, 0.8, waited=1.0)}
    case = Case(
        name="large",
        title="A lazy baseline",
        baseline="lazy",
        run=lambda bench: run_rounds(bench.pairs, list(costs), lambda name: costs[name]),
    )
    monkeypatch.setitem(command.CASES, "large", case)
    monkeypatch.setattr(command, "RESULTS", tmp_path / "RESULTS.md")

    code = command.main(["--case", "large", "--scratch", str(tmp_path)])

    told = capsys.readouterr()
    assert code == 1
    assert "large: lazy paused for 1.10 s of its 1.90 s" in told.err
    assert told.out == ""
    assert not (tmp_path / "RESULTS.md").exists()


def test_what_curl_reports_is_added_up(tmp_path: Path) -> None:
    said = "print('waited 0.25 1.5'); print('awaited 1 9'); print('waited 1 1.25')"

    cost = measure(
        [sys.executable, "-c", said], folder=tmp_path, account=None, environ=environment()
    )

    assert cost.waited == pytest.approx(1.5)
