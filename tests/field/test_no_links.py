"""A disk without symbolic links: a mounted cloud drive, exFAT, SMB."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from runner.errors import LocalFileError
from runner.ledger.records import RunState
from runner.outputs.files import read_latest
from runner.outputs.publish import point_latest
from tests.failures.scene import REMOTE, asked, ids, told

if TYPE_CHECKING:
    from tests.failures.conftest import MakeSite

REVISION, ANOTHER = "0123456789ab", "ba9876543210"


@pytest.fixture(params=[errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def no_links(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    def refuse(path: Path, *_arguments: object, **_options: object) -> NoReturn:
        raise OSError(request.param, "no links here", str(path))

    monkeypatch.setattr(Path, "symlink_to", refuse)


@pytest.mark.usefixtures("no_links")
def test_the_job_succeeds_and_one_remark_is_made(make_site: MakeSite) -> None:
    site = make_site(base_url=REMOTE)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    folder = site.root / "outputs" / "job"
    revision = (folder / "latest").read_text().strip()
    assert (folder / revision / "output.jsonl").is_file()
    for _ in range(3):
        report = site.reconcile()
        assert not report.has_problem
        assert not report.changed
    assert told(site).count("no symbolic links") == 1
    assert asked(site) == [tuple(ids())]


@pytest.mark.usefixtures("no_links")
def test_the_text_file_follows_the_revision(tmp_path: Path) -> None:
    assert point_latest(tmp_path, REVISION)
    assert not point_latest(tmp_path, REVISION)
    assert point_latest(tmp_path, ANOTHER)
    assert read_latest(tmp_path) == ANOTHER
    assert [path.name for path in tmp_path.iterdir()] == ["latest"]


@pytest.mark.usefixtures("no_links")
def test_the_target_of_a_link_that_was_there_is_not_written(tmp_path: Path) -> None:
    target, job = tmp_path / "mine.txt", tmp_path / "job"
    target.write_text("mine")
    job.mkdir()
    os.symlink(target, job / "latest")  # noqa: PTH211 - the other way is refused here
    assert point_latest(job, REVISION)
    assert target.read_text() == "mine"
    assert read_latest(job) == REVISION


def test_a_text_file_becomes_a_link_where_there_are_links_again(tmp_path: Path) -> None:
    (tmp_path / "latest").write_text(f"{REVISION}\n")
    assert point_latest(tmp_path, ANOTHER)
    assert (tmp_path / "latest").is_symlink()
    assert read_latest(tmp_path) == ANOTHER


@pytest.mark.parametrize("content", ["", "mine\n", f"{REVISION}", f"{REVISION}\n\n"])
def test_a_file_of_the_user_is_left_alone(tmp_path: Path, content: str) -> None:
    (tmp_path / "latest").write_text(content)
    with pytest.raises(LocalFileError, match="runner did not create"):
        point_latest(tmp_path, REVISION)
    assert (tmp_path / "latest").read_text() == content
