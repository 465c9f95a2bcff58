from __future__ import annotations

import io
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import openai
import pytest

from tests.simulation import faults as trouble
from tests.simulation import truth
from tests.simulation.behaviour import Behaviour, Conditions
from tests.simulation.http import serve, unused_port
from tests.simulation.results import check_answers
from tests.simulation.scene import request_line, request_lines, submit
from tests.simulation.world import VirtualClock, World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulation.exchange import Request
    from tests.simulation.files import StoredFile
    from tests.simulation.http import Server
    from tests.simulation.life import Life


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def world(clock: VirtualClock) -> World:
    return World(clock, key="sk-right")


@pytest.fixture
def server(world: World) -> Iterator[Server]:
    with serve(world) as server:
        yield server


@pytest.fixture
def official(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="sk-right", base_url=server.base_url, max_retries=0) as client:
        yield client


@pytest.fixture
def plain(server: Server) -> Iterator[httpx.Client]:
    headers = {"authorization": "Bearer sk-right"}
    with httpx.Client(base_url=server.base_url, headers=headers, timeout=5) as client:
        yield client


def test_the_truth_may_be_asked_for_while_requests_come_in(
    world: World, plain: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look() -> None:
        while not done.is_set():
            looks.append(len(world.submissions()))

    def slowly(
        life: Life,
        files: dict[str, StoredFile],
        fetched: dict[str, float],
        now: float,
        excused: dict[str, float],
    ) -> truth.Submission:
        told.wait(0.001)  # lets the server's thread run in the middle of a look
        return tell(life, files, fetched, now, excused)

    tell, told, done, looks = truth.submission, threading.Event(), threading.Event(), list[int]()
    monkeypatch.setattr(truth, "submission", slowly)
    with ThreadPoolExecutor() as pool:
        looking = pool.submit(look)
        try:
            uploaded = plain.post(
                "/files", data={"purpose": "batch"}, files={"file": ("a.jsonl", request_lines(1))}
            )
            batch = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
            for _ in range(20):
                made = plain.post(
                    "/batches", json={**batch, "input_file_id": uploaded.json()["id"]}
                )
                assert made.status_code == 200
        finally:
            done.set()
        looking.result()
    assert looks == sorted(looks)
    assert len(world.submissions()) == 20


def test_the_official_client_runs_a_batch(
    official: openai.OpenAI, world: World, clock: VirtualClock
) -> None:
    world.behaviour = Behaviour(validating=1, working=10)
    asked = request_lines(5)
    file = official.files.create(file=("a.jsonl", asked), purpose="batch")
    assert (file.bytes, file.filename) == (len(asked), "a.jsonl")
    batch = official.batches.create(
        input_file_id=file.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"runner": "job/1/1/1"},
    )
    assert batch.status == "validating"
    clock.sleep(60)
    batch = official.batches.retrieve(batch.id)
    assert batch.status == "completed"
    assert batch.usage is not None
    assert batch.model == "gpt-4o-mini-2026-01-01"
    assert batch.metadata == {"runner": "job/1/1/1"}
    assert batch.output_file_id is not None
    output = official.files.content(batch.output_file_id).read()
    assert len(check_answers(output, asked)) == 5
    assert official.files.content(file.id).read() == asked
    assert official.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        official.files.retrieve(file.id)
    with pytest.raises(openai.ConflictError):
        official.batches.cancel(batch.id)


def test_the_official_client_pages(official: openai.OpenAI, world: World) -> None:
    ids = [submit(world, request_line(f"r{number}")) for number in range(7)][::-1]
    assert [batch.id for batch in official.batches.list(limit=3)] == ids
    assert len([file.id for file in official.files.list(limit=2)]) == 14
    assert len(world.calls("GET", "/batches")) == 3


def test_the_official_client_sees_the_errors_of_the_api(
    official: openai.OpenAI, world: World
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        official.batches.create(
            input_file_id="file-x", endpoint="/v1/responses", completion_window="24h"
        )
    assert (refused.value.param, refused.value.code) == ("file_id", "invalid_request")
    world.faults = trouble.on("GET", "/batches", trouble.rate_limited(), trouble.out_of_money())
    for code in ("rate_limit_exceeded", "insufficient_quota"):
        with pytest.raises(openai.RateLimitError) as limited:
            official.batches.list()
        assert limited.value.code == code
    with pytest.raises(openai.AuthenticationError):
        official.with_options(api_key="sk-wrong-key").batches.list()


@pytest.mark.parametrize(
    "fault",
    [
        trouble.Refuse(),
        *(
            trouble.Drop(acted=acted, how=how)
            for acted in (False, True)
            for how in (trouble.Break.CLOSED, trouble.Break.RESET, trouble.Break.WRITE)
        ),
        trouble.Die(acted=True),
        trouble.Truncate(keep=20),
        trouble.Truncate(keep=0),
        trouble.TimeOut(acted=True),
        trouble.Delay(seconds=5),
    ],
    ids=str,
)
def test_faults_on_the_socket(plain: httpx.Client, world: World, fault: trouble.Fault) -> None:
    plain.get("/batches")  # a connection that is kept alive, as in life
    world.faults = trouble.on("POST", "/files", fault)
    form = {"purpose": "batch"}
    with pytest.raises(httpx.TransportError) as broken:
        plain.post("/files", data=form, files={"file": ("a.jsonl", b"{}\n")}, timeout=0.3)
    slow = isinstance(fault, trouble.TimeOut | trouble.Delay)
    assert isinstance(broken.value, httpx.ReadTimeout) == slow
    assert len(world.files()) == fault.acted
    assert plain.post("/files", data=form, files={"file": ("b.jsonl", b"{}\n")}).is_success


def test_a_reset_is_a_reset(plain: httpx.Client, world: World) -> None:
    world.faults = trouble.scripted({0: trouble.Drop(acted=False, how=trouble.Break.RESET)})
    with pytest.raises(httpx.ReadError, match="reset"):
        plain.get("/batches")


def test_a_cut_without_a_length_looks_whole(plain: httpx.Client, world: World) -> None:
    world.faults = trouble.scripted({0: trouble.Truncate(keep=5, clean=True)})
    reply = plain.get("/batches")
    assert (len(reply.content), reply.headers.get("content-length")) == (5, None)


def test_a_server_that_is_down_refuses(plain: httpx.Client, server: Server, world: World) -> None:
    assert plain.get("/batches").is_success
    with server.down(), pytest.raises(httpx.ConnectError):
        plain.get("/batches")
    assert plain.get("/batches").is_success
    assert len(world.requests) == 2
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{unused_port()}/v1/batches")


def test_chunked_uploads_and_downloads(plain: httpx.Client, world: World) -> None:
    boundary, asked = "simple-boundary", request_lines(2000)

    def body() -> Iterator[bytes]:
        yield f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n'.encode()
        yield f"batch\r\n--{boundary}\r\nContent-Disposition: form-data; ".encode()
        yield b'name="file"; filename="a.jsonl"\r\nContent-Type: application/jsonl\r\n\r\n'
        source = io.BytesIO(asked)
        while piece := source.read(1000):
            yield piece
        yield f"\r\n--{boundary}--\r\n".encode()

    kind = {"content-type": f"multipart/form-data; boundary={boundary}"}
    file = plain.post("/files", content=body(), headers=kind).json()
    assert file["bytes"] == len(asked)
    world.conditions = Conditions(chunked=True)
    content = plain.get(f"/files/{file['id']}/content")
    assert content.headers["transfer-encoding"] == "chunked"
    assert content.content == asked


def test_a_large_upload_comes_back_byte_for_byte(plain: httpx.Client) -> None:
    asked = request_line("a") * 20_000
    assert len(asked) > 2**21
    file = plain.post(
        "/files", data={"purpose": "batch"}, files={"file": ("a.jsonl", asked)}
    ).json()
    content = plain.get(f"/files/{file['id']}/content").content
    assert content == asked


def test_a_malformed_form_is_refused(plain: httpx.Client) -> None:
    for kind, body in (
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"x"),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="a"'),
    ):
        reply = plain.post("/files", content=body, headers={"content-type": kind})
        assert reply.status_code == 400
    assert plain.put("/files/x").status_code == 404


def test_many_clients_are_served_at_once(server: Server, world: World) -> None:
    headers = {"authorization": "Bearer sk-right"}
    failures: list[Exception] = []

    def upload(number: int) -> None:
        try:
            with httpx.Client(base_url=server.base_url, headers=headers) as client:
                for turn in range(5):
                    name = f"{number}-{turn}.jsonl"
                    form = {"purpose": "batch"}
                    reply = client.post("/files", data=form, files={"file": (name, b"{}\n")})
                    reply.raise_for_status()
        except httpx.HTTPError as error:
            failures.append(error)

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(world.files()) == 40
    world.check_uploads_once()


def test_the_end_of_the_server_leaves_nothing_behind() -> None:
    before = threading.active_count()
    world = World(VirtualClock(), faults=lambda _request, _number: trouble.TimeOut(acted=False))
    with serve(world) as server, socket.create_connection(("127.0.0.1", server.port)) as hanging:
        hanging.sendall(b"GET /v1/files HTTP/1.1\r\nHost: x\r\n\r\n")
        with socket.create_connection(("127.0.0.1", server.port)) as idle:
            idle.sendall(b"GET /v1/files HT")
            while not world.requests:
                threading.Event().wait(0.001)
            server_port = server.port
    assert threading.active_count() == before
    with (
        pytest.raises(ConnectionRefusedError),
        socket.create_connection(("127.0.0.1", server_port)),
    ):
        pass


def ask_a_server_of(world: World) -> None:
    with serve(world) as server, pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{server.base_url}/files")


def test_a_bug_of_the_world_is_not_hidden() -> None:
    def broken(_request: Request, _number: int) -> None:
        raise KeyError("a bug in a test's own script")

    world = World(VirtualClock(), faults=broken)
    with pytest.raises(ExceptionGroup, match="the simulated provider broke") as raised:
        ask_a_server_of(world)
    assert isinstance(raised.value.exceptions[0], KeyError)
