from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from openai import BadRequestError, NotFoundError
from openai.types import FileDeleted

from runner.local import upload
from tests.local.support import START, Clock, served

if TYPE_CHECKING:
    from pathlib import Path

    from tests.local.support import Bench

MONTH = 30 * 24 * 3600
FORM = "multipart/form-data; boundary=edge"
PURPOSE = b'--edge\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
FILE = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n{}\n\r\n'


def blobs(bench: Bench) -> set[str]:
    return {path.name for path in (bench.provider._state / "files").iterdir()}


def test_an_upload_comes_back_as_it_went(bench: Bench) -> None:
    content = bytes(range(256)) * 4096 + b"\r\n--not-a-boundary\r\n\xe2\x80\xa8\n"
    file = bench.client.files.create(file=("my rows.jsonl", content), purpose="batch")
    assert file.to_dict() == {
        "id": file.id,
        "object": "file",
        "bytes": len(content),
        "created_at": START,
        "expires_at": START + MONTH,
        "filename": "my rows.jsonl",
        "purpose": "batch",
        "status": "processed",
        "status_details": None,
    }
    assert file.id.startswith("file-")
    assert bench.client.files.retrieve(file.id) == file
    reply = bench.client.files.with_raw_response.content(file.id)
    assert reply.headers["content-length"] == str(len(content))
    assert reply.content == content


def test_an_empty_file_can_be_uploaded_and_read(shared: Bench) -> None:
    assert shared.client.files.content(shared.upload(b"")).read() == b""


def test_a_deleted_file_is_gone_from_the_api_and_the_disk(bench: Bench, tmp_path: Path) -> None:
    identifier = bench.upload(b"{}\n")
    assert (tmp_path / "state" / "files" / identifier).is_file()
    deleted = bench.client.files.delete(identifier)
    assert deleted == FileDeleted(id=identifier, deleted=True, object="file")
    assert not (tmp_path / "state" / "files" / identifier).exists()
    for call in (
        bench.client.files.retrieve,
        bench.client.files.content,
        bench.client.files.delete,
    ):
        with pytest.raises(NotFoundError) as caught:
            call(identifier)
        assert caught.value.body == {
            "message": f"No such File object: {identifier}",
            "type": "invalid_request_error",
            "param": "id",
            "code": None,
        }


def test_files_expire_when_their_upload_says_so(bench: Bench) -> None:
    file = bench.client.files.create(
        file=("a.jsonl", b"{}\n"),
        purpose="batch",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    assert file.expires_at == START + 3600
    bench.clock.now += 3599
    assert bench.client.files.retrieve(file.id) == file
    bench.clock.now += 1
    with pytest.raises(NotFoundError):
        bench.client.files.retrieve(file.id)
    assert bench.client.files.list().data == []


def test_expired_files_leave_the_disk_at_the_next_start(tmp_path: Path) -> None:
    with served(tmp_path) as bench:
        bench.upload(b"{}\n")
        assert len(list((tmp_path / "files").iterdir())) == 1
    with served(tmp_path, Clock(now=START + MONTH)):
        assert list((tmp_path / "files").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "form", "param", "message"),
    [
        ("notes.txt", {}, "file", "Invalid file format for Batch API. Must be .jsonl"),
        ("upload", {}, "file", "Must be .jsonl"),
        ("a.jsonl", {"purpose": "fine-tune"}, "purpose", "Invalid value: 'fine-tune'"),
        (
            "a.jsonl",
            {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3599"},
            "expires_after[seconds]",
            "from 3600 to 2592000",
        ),
        (
            "a.jsonl",
            {"expires_after[anchor]": "created_at", "expires_after[seconds]": "soon"},
            "expires_after[seconds]",
            "expected an integer",
        ),
        (
            "a.jsonl",
            {"expires_after[anchor]": "created_at"},
            "expires_after[seconds]",
            "expected an integer",
        ),
        (
            "a.jsonl",
            {"expires_after[anchor]": "last_used_at", "expires_after[seconds]": "3600"},
            "expires_after[anchor]",
            "Expected 'created_at'",
        ),
    ],
)
def test_refused_uploads_leave_nothing(
    shared: Bench, name: str, form: dict[str, str], param: str, message: str
) -> None:
    before = blobs(shared)
    reply = shared.http.post(
        "/files",
        data={"purpose": "batch"} | form,
        files={"file": (name, b"{}\n")},
    )
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert (error["param"], error["type"]) == (param, "invalid_request_error")
    assert message in error["message"]
    assert blobs(shared) == before


def test_the_official_client_is_told_of_a_wrong_name(shared: Bench) -> None:
    with pytest.raises(BadRequestError) as caught:
        shared.client.files.create(file=b"{}\n", purpose="batch")
    assert "Must be .jsonl" in caught.value.message


@pytest.mark.parametrize(
    ("content_type", "body", "message"),
    [
        ("application/json", b"{}", "Expected a multipart/form-data body"),
        (FORM, b"nothing of the kind", "Invalid multipart body"),
        (FORM, PURPOSE + FILE, "ends before its last boundary"),
        (FORM, PURPOSE + b"--edge--\r\n", "Missing required parameter: 'file'"),
        (FORM, FILE + b"--edge--\r\n", "Missing required parameter: 'purpose'"),
        (FORM, PURPOSE + FILE + FILE + b"--edge--\r\n", "Expected one file"),
        (FORM, PURPOSE.replace(b"batch", b"b" * 70_000) + b"--edge--\r\n", "is too long"),
        ("multipart/form-data; boundary=" + "e" * 300, b"", "Invalid multipart body"),
    ],
)
def test_bodies_that_are_no_upload(
    shared: Bench, content_type: str, body: bytes, message: str
) -> None:
    before = blobs(shared)
    reply = shared.http.post("/files", content=body, headers={"Content-Type": content_type})
    assert reply.status_code == 400
    assert message in reply.json()["error"]["message"]
    assert blobs(shared) == before


def test_the_order_of_a_forms_parts_does_not_matter(shared: Bench) -> None:
    reply = shared.http.post(
        "/files",
        content=FILE + PURPOSE + b"--edge--\r\n",
        headers={"Content-Type": FORM},
    )
    assert reply.json()["bytes"] == 3


def test_too_large_a_file_is_refused_after_it_was_read(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "LARGEST_FILE", 100_000)
    bench.upload(b" " * 100_000)
    reply = bench.http.post(
        "/files",
        data={"purpose": "batch"},
        files={"file": ("a.jsonl", b" " * 5_000_000)},
    )
    assert reply.status_code == 413
    assert reply.json()["error"]["message"] == "File is too large."
    assert len(list((tmp_path / "state" / "files").iterdir())) == 1


def test_listing_pages_in_both_orders(bench: Bench) -> None:
    ids = [bench.upload(b"{}\n", name=f"{number}.jsonl") for number in range(5)]
    assert [file.id for file in bench.client.files.list(limit=2)] == ids[::-1]
    assert [file.id for file in bench.client.files.list(limit=2, order="asc")] == ids
    page = bench.client.files.list(limit=2, after=ids[3])
    assert [file.id for file in page.data] == [ids[2], ids[1]]
    assert page.has_more
    assert not bench.client.files.list(limit=1, after=ids[1]).has_more
    assert bench.client.files.list(purpose="batch_output").data == []
    assert len(bench.client.files.list(purpose="batch").data) == 5


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
        ("limit=many", "limit"),
        ("order=random", "order"),
        ("after=file-unknown", "after"),
    ],
)
def test_listings_that_cannot_be_had(shared: Bench, query: str, param: str) -> None:
    reply = shared.http.get(f"/files?{query}")
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == param
