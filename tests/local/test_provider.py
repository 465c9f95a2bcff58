from __future__ import annotations

import logging
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import httpx
import pytest

from runner.errors import LocalFileError, LockHeld, UsageError
from runner.extras import how_to_install
from runner.local.provider import LocalProvider
from tests.another_user import as_another_user, as_root
from tests.local.support import CHAT, PATIENCE, Clock, authorization, chat_lines, jsonl

if TYPE_CHECKING:
    from pathlib import Path

    from tests.local.support import Bench


def test_it_serves_on_loopback_and_leaves_nothing_behind(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = set(threading.enumerate())
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with LocalProvider(tmp_path / "deep" / "state") as provider:
        match = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/v1", provider.base_url)
        assert match is not None
        with httpx.Client(
            headers=authorization(provider)
        ) as client:  # a connection kept alive does not hold up the end
            assert client.get(f"{provider.base_url}/batches").json()["data"] == []
            assert provider.work(PATIENCE)
            provider.__exit__(None, None, None)
            assert set(threading.enumerate()) == before
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(match[1])))
    assert capfd.readouterr() == ("", "")


def test_it_can_be_entered_again(tmp_path: Path) -> None:
    provider = LocalProvider(tmp_path)
    for _ in range(2):
        with provider:
            assert provider.work(PATIENCE)


def test_its_state_is_for_its_owner_only(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    with LocalProvider(state):
        assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_a_second_one_is_kept_out_until_the_first_has_left(tmp_path: Path) -> None:
    with (
        LocalProvider(tmp_path),
        pytest.raises(LockHeld, match="another process is using the local provider"),
        LocalProvider(tmp_path),
    ):
        pytest.fail("the lock did not hold")
    with LocalProvider(tmp_path):
        pass


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.1", "", "example.org", "::"])
def test_it_refuses_to_be_reached_from_elsewhere(tmp_path: Path, host: str) -> None:
    with pytest.raises(UsageError, match="this machine only"):
        LocalProvider(tmp_path, host=host)


def test_a_page_of_another_name_cannot_speak_to_it(shared: Bench) -> None:
    url, key = f"{shared.provider.base_url}/batches", authorization(shared.provider)
    assert httpx.get(url, headers={"Host": "evil.example"} | key).status_code == 400
    assert httpx.get(url, headers={"Host": "localhost:1"} | key).status_code == 200


@pytest.mark.parametrize("path", ["batches", "batches/batch_1", "files/file-1/content", "nothing"])
@pytest.mark.parametrize("key", [None, "Bearer", "Bearer x", "Basic {key}", "Bearer {key}x"])
def test_who_does_not_know_the_key_of_this_start_gets_nothing(
    shared: Bench, path: str, key: str | None
) -> None:
    """The port is open to each user of the machine."""
    known = shared.provider.api_key.reveal()
    headers = {} if key is None else {"Authorization": key.replace("{key}", known)}

    reply = httpx.get(f"{shared.provider.base_url}/{path}", headers=headers)

    assert reply.status_code == 401
    assert reply.json()["error"]["code"] == "invalid_api_key"
    assert known not in reply.text


@as_root
def test_another_user_of_the_machine_gets_nothing(shared: Bench) -> None:
    port = httpx.URL(shared.provider.base_url).port
    ask = """
    exec 9<>"/dev/tcp/127.0.0.1/$1"
    printf 'GET /v1/files HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nConnection: close\\r\\n\\r\\n' >&9
    cat <&9
    """

    with as_another_user(ask, port) as said:
        assert said.startswith("HTTP/1.1 401 ")


def test_each_start_has_a_key_of_its_own(tmp_path: Path) -> None:
    keys = {LocalProvider(tmp_path).api_key for _ in range(10)}
    assert len(keys) == 10
    assert "***" in repr(keys)


@pytest.mark.parametrize("library", ["uvicorn", "starlette", "python_multipart"])
def test_missing_libraries_are_named(tmp_path: Path, library: str) -> None:
    code = """
import pathlib, sys
sys.modules[sys.argv[1]] = None
from runner.errors import MissingExtra
from runner.local.provider import LocalProvider
try:
    LocalProvider(pathlib.Path(sys.argv[2], "state")).__enter__()
except MissingExtra as error:
    sys.exit(str(error))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, library, tmp_path], check=False, capture_output=True, text=True
    )
    assert done.stderr.startswith(f"The provider `local` needs {library}")
    assert done.stderr.strip().endswith(how_to_install("local"))
    assert list(tmp_path.iterdir()) == []


def test_a_client_that_hangs_up_leaves_nothing(tmp_path: Path) -> None:
    with LocalProvider(tmp_path) as provider:
        host, port = provider.base_url.removeprefix("http://").removesuffix("/v1").split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(
                b"POST /v1/files HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n"
                + f"Authorization: Bearer {provider.api_key.reveal()}\r\n".encode()
                + b"Expect: 100-continue\r\n"
                b"Content-Type: multipart/form-data; boundary=edge\r\n\r\n"
            )
            assert connection.recv(25).startswith(b"HTTP/1.1 100")  # the upload is being read
            assert len(list((tmp_path / "files").iterdir())) == 1
    assert list((tmp_path / "files").iterdir()) == []


def test_work_needs_a_start(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has not been started"):
        LocalProvider(tmp_path).work(0)


def test_a_port_in_use_is_said_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        provider = LocalProvider(tmp_path, port=taken.getsockname()[1])
        with pytest.raises(LocalFileError, match="cannot start"):
            provider.__enter__()
    with LocalProvider(tmp_path):  # and the lock was given back
        pass


def test_a_state_that_is_no_folder_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(LocalFileError, match="state"):
        LocalProvider(tmp_path / "state").__enter__()


def test_a_database_that_is_none_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "server.db").write_bytes(b"not a database, and long enough to be sure of it" * 40)
    with pytest.raises(LocalFileError, match=r"server\.db"):
        LocalProvider(tmp_path).__enter__()


def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    with LocalProvider(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / "server.db")) as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(LocalFileError, match="later version of runner"):
        LocalProvider(tmp_path).__enter__()


def test_what_fails_in_the_background_is_raised_where_the_work_is_awaited(
    bench: Bench, tmp_path: Path
) -> None:
    bench.clock.hold_at = 1
    batch = bench.create(chat_lines(3))
    assert bench.clock.held.wait(PATIENCE)
    (tmp_path / "state" / "files" / batch.input_file_id).unlink()
    bench.clock.released.set()
    for _ in range(2):
        with pytest.raises(LocalFileError, match="the local provider cannot go on"):
            bench.provider.work(PATIENCE)
    assert bench.client.batches.retrieve(batch.id).status == "validating"


def test_what_fails_in_the_background_is_raised_on_leaving_at_the_latest(tmp_path: Path) -> None:
    clock = Clock(hold_at=1)
    provider = LocalProvider(tmp_path, clock=clock).__enter__()
    file = order(provider, 1)
    assert clock.held.wait(PATIENCE)
    (tmp_path / "files" / file).unlink()
    clock.released.set()
    with pytest.raises(LocalFileError, match="cannot go on"):
        provider.__exit__(None, None, None)


def test_a_failure_of_the_server_is_said_to_the_client_and_to_the_caller(
    bench: Bench, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    identifier = bench.upload(b"{}\n")
    (tmp_path / "state" / "files" / identifier).unlink()
    reply = bench.http.get(f"/files/{identifier}/content")
    assert reply.status_code == 500
    assert reply.json()["error"]["type"] == "server_error"
    with pytest.raises(FileNotFoundError):
        bench.provider.work(PATIENCE)
    assert capfd.readouterr() == ("", "")


def test_results_cut_from_outside_are_noticed(tmp_path: Path) -> None:
    clock = Clock()
    clock.hold_before_chunk(2)
    with LocalProvider(tmp_path, clock=clock) as provider:
        file = order(provider, 2000)
        assert clock.held.wait(PATIENCE)
        worker = provider._worker
        assert worker is not None
        with worker._changed:
            worker._stopping = True
        clock.released.set()
    for path in (tmp_path / "files").iterdir():
        if path.name != file:
            path.write_bytes(b"")
    with (
        LocalProvider(tmp_path) as provider,
        pytest.raises(LocalFileError, match="changed by another program"),
    ):
        provider.work(PATIENCE)


def test_logging_is_left_as_it_was(tmp_path: Path) -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    with LocalProvider(tmp_path):
        assert (root.level, list(root.handlers)) == before


def order(provider: LocalProvider, rows: int) -> str:
    """Create a batch of so many rows and give the id of its input."""
    with httpx.Client(base_url=provider.base_url, headers=authorization(provider)) as client:
        file = client.post(
            "/files",
            data={"purpose": "batch"},
            files={"file": ("a.jsonl", jsonl(chat_lines(rows)))},
        ).json()
        desired = {"input_file_id": file["id"], "endpoint": CHAT, "completion_window": "24h"}
        client.post("/batches", json=desired).raise_for_status()
    identifier: str = file["id"]
    return identifier
