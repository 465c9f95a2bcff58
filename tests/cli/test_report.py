"""`runner report`: an HTML page on the disk, made from what is on the disk."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import pytest

from runner.views import project
from tests.cli.conftest import FINISH
from tests.report.reading import read_page
from tests.simulation.behaviour import MODEL_NOT_FOUND, Behaviour, Fail, HttpError, by_id

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run
    from tests.cli.shell import Folder
    from tests.report.reading import Element
    from tests.simulation.world import World

REFUSAL: Final = HttpError(status=400, code="too_long", message="It is <b>too</b> long.")


def page_of(path: Path) -> Element:
    return read_page(path.read_text("utf-8"))


def section(page: Element, job: str) -> Element:
    [found] = [one for one in page.all() if one.attributes.get("id") == f"job-{job}"]
    return found


def samples(place: Element) -> list[str]:
    return [one.text for one in place.all("div") if one.attributes.get("class") == "sample"]


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_report_is_written_here_and_said_to_be(run: Run, finished: Folder) -> None:
    before = files_in(finished.root)
    done = run("report")

    assert (done.code, done.out) == (0, "")
    assert files_in(finished.root) - before == {"report.html"}
    size = (finished.root / "report.html").stat().st_size
    assert done.err == f"report.html: 1 job, {size / 1000:.1f} kB\n"
    page = page_of(finished.root / "report.html")
    assert page.all("h1")[0].text == "project"
    assert "3 of 3 requests succeeded" in page.text


def test_requests_stand_beside_their_answers(run: Run, finished: Folder) -> None:
    run("report", "--samples", "2")
    told = samples(section(page_of(finished.root / "report.html"), "hello"))

    assert len(told) == 2
    assert told[0].startswith("hello-0")
    assert "Request" in told[0]
    assert "Response" in told[0]


def test_without_samples_no_prompt_is_in_it(run: Run, finished: Folder) -> None:
    run("report", "--samples", "0")

    assert "hello-0" not in (finished.root / "report.html").read_text("utf-8")


@pytest.mark.parametrize("target", ["report.html", "pages/of/jobs.html", "../elsewhere.html"])
def test_links_lead_to_the_files_from_where_the_page_is(
    run: Run, finished: Folder, target: str
) -> None:
    path = finished.root / target
    path.parent.mkdir(parents=True, exist_ok=True)

    assert run("report", "-o", target).code == 0
    links = {
        one.text: one.attributes["href"] or ""
        for one in section(page_of(path), "hello").all("a")
        if not (one.attributes["href"] or "").startswith("#")
    }
    assert set(links) == {"output.jsonl", "errors.jsonl", "run.json", "raw/", "output"}
    assert all((path.parent / unquote(link)).exists() for link in links.values())
    assert all(not link.startswith("/") for link in links.values())


def test_a_folder_with_a_strange_name_is_linked_all_the_same(run: Run, lab: Folder) -> None:
    lab.job(more="output: 'results/100% #1 ?x:y'\n")
    assert run(*FINISH).code == 0

    run("report")
    links = [
        one.attributes["href"] or ""
        for one in section(page_of(lab.root / "report.html"), "hello").all("a")
        if one.text == "run.json"
    ]
    assert [(lab.root / unquote(link)).is_file() for link in links] == [True]
    assert "#" not in links[0]
    assert "?" not in links[0]


def test_stdout_gets_the_page_and_nothing_else(run: Run, finished: Folder) -> None:
    before = files_in(finished.root)
    done = run("report", "-o", "-")

    assert (done.code, done.err) == (0, "")
    assert read_page(done.out).all("h1")[0].text == "project"
    assert files_in(finished.root) == before


def test_stdout_that_knows_no_umlaut_gets_a_page_all_the_same(finished: Folder) -> None:
    finished.job(more="metadata: {town: K\N{LATIN SMALL LETTER O WITH DIAERESIS}ln}\n")
    done = finished.sh("report", "-o", "-", PYTHONIOENCODING="ascii")

    assert done.code == 0
    assert done.out.isascii()
    assert done.out.endswith("</html>\n")
    assert "town=K\N{LATIN SMALL LETTER O WITH DIAERESIS}ln" in read_page(done.out).text


def test_a_failure_is_told_with_its_code_its_message_and_its_request(
    run: Run, lab: Folder, world: World
) -> None:
    world.behaviour = Behaviour(answer=by_id({"one-1": REFUSAL}))
    lab.job("one")
    assert run(*FINISH).code == 1

    run("report")
    page = page_of(lab.root / "report.html")
    [error] = [
        row for row in page.all("tr") if [cell.text for cell in row.children][:1] == ["too_long"]
    ]
    assert error.children[-1].text == "1"
    assert "It is <b>too</b> long." in error.text
    [failed] = [told for told in samples(section(page, "one")) if "Failed" in told]
    assert failed.startswith("one-1Requestuserone-1")
    assert "needs attention" in page.text.lower()


def test_a_batch_that_was_turned_away_is_an_error_of_all_its_requests(
    run: Run, lab: Folder, world: World
) -> None:
    world.behaviour = Behaviour(ending=Fail(problems=(MODEL_NOT_FOUND,)))
    lab.job("one")
    assert run(*FINISH).code == 1

    run("report")
    page = page_of(lab.root / "report.html")
    [error] = [row for row in page.all("tr") if row.children[0].text == "batch failed"]
    assert error.children[-1].text == "3"
    assert "The provided model 'gpt-0' is not supported" in error.text


def test_a_job_at_work_shows_what_was_asked(run: Run, lab: Folder, world: World) -> None:
    world.behaviour = Behaviour(working=1000)
    lab.job("one")
    assert run("reconcile").code == 0

    assert run("report").code == 0
    place = section(page_of(lab.root / "report.html"), "one")
    assert "First pending requests" in place.text
    assert len(samples(place)) == 3
    assert "There are no files in outputs/one" in place.text


def test_requests_of_an_input_that_has_changed_are_not_shown(run: Run, finished: Folder) -> None:
    path = finished.root / "data/hello.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"content": "hello-0"', b'"content": "other"'))

    assert run("report").code == 0
    # The spec asks for another revision now; that of before is told by its own name.
    place = section(page_of(finished.root / "report.html"), "hello")
    assert "may have changed since" in place.text
    assert "other" not in "".join(samples(place))
    assert len(samples(place)) == 3


def test_before_anything_was_run_there_is_a_page(run: Run, folder: Folder) -> None:
    assert run("report").code == 0
    assert "There is no job yet" in page_of(folder.root / "report.html").text

    folder.job("hello")
    assert run("report").code == 0
    place = section(page_of(folder.root / "report.html"), "hello")
    assert len(samples(place)) == 3


def test_jobs_can_be_chosen(run: Run, folder: Folder) -> None:
    for name in ("one", "two", "three"):
        folder.job(name)
    run("report", "two", "specs/one.yaml")
    page = page_of(folder.root / "report.html")

    named = {one.text for one in page.all("a") if "job-" in (one.attributes["href"] or "")}
    assert named == {"one", "two"}


def test_of_many_jobs_those_that_need_somebody_are_told_in_full(
    run: Run, lab: Folder, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project, "MOST_IN_FULL", 1)
    world.behaviour = Behaviour(answer=by_id({"two-1": REFUSAL}))
    for name in ("one", "two"):
        lab.job(name)
    assert run(*FINISH).code == 1

    run("report")
    page = page_of(lab.root / "report.html")
    assert section(page, "two").name == "div"
    short = section(page, "one")
    assert short.name == "tr"
    [link] = short.all("a")
    assert (lab.root / unquote(link.attributes["href"] or "")).is_dir()
    assert "1 other job in short" in page.text
    run("report", "one", "two")
    assert section(page_of(lab.root / "report.html"), "one").name == "div"


def test_a_job_whose_spec_is_gone_is_told_and_can_be_chosen(run: Run, finished: Folder) -> None:
    (finished.root / "specs/hello.yaml").unlink()

    assert run("report").code == 0
    assert "3 of 3 requests succeeded" in page_of(finished.root / "report.html").text
    assert run("report", "hello").code == 0
    place = section(page_of(finished.root / "report.html"), "hello")
    assert "specs/hello.yaml:1, gone" in place.text
    assert len(samples(place)) == 3
    assert run("report", "hel*").code == 0
    assert section(page_of(finished.root / "report.html"), "hello").text == place.text


def test_a_name_that_nobody_knows_is_an_error(run: Run, finished: Folder) -> None:
    done = run("report", "frobnicate")

    assert done.code == 2
    assert "frobnicate" in done.err
    assert not (finished.root / "report.html").exists()


def test_an_invalid_spec_stops_only_itself(run: Run, finished: Folder) -> None:
    finished.write("specs/bad.yaml", "name: bad\n")
    done = run("report")

    assert done.code == 2
    assert "specs/bad.yaml:1" in done.err
    assert "3 of 3 requests succeeded" in page_of(finished.root / "report.html").text


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("specs", "is a folder"),
        ("", "is a folder"),
        ("pipe", "is not a regular file"),
        ("/dev/null", "is not a regular file"),
        ("not/there/report.html", "cannot be written: there is no such file or folder"),
        ("data/hello.jsonl/report.html", "cannot be written: part of this path is a file"),
    ],
)
def test_what_cannot_be_written_is_an_error_in_words(
    run: Run, finished: Folder, target: str, reason: str
) -> None:
    os.mkfifo(finished.root / "pipe")
    done = run("report", "-o", target)

    assert (done.code, done.out) == (2 if "is " in reason.partition(":")[0] else 1, "")
    assert reason in done.err
    assert done.err.startswith("error: ")


def test_a_disk_that_fails_leaves_the_page_of_before(
    run: Run, finished: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("report")
    before = (finished.root / "report.html").read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = run("report", "--samples", "1")

    assert done.code == 1
    assert "report.html cannot be written: the disk is full" in done.err
    assert (finished.root / "report.html").read_bytes() == before
    assert [name for name in files_in(finished.root) if name.endswith(".part")] == []


def test_a_link_is_replaced_by_a_file_with_the_rights_of_any_other(
    run: Run, finished: Folder
) -> None:
    mine = finished.write("mine.html", "mine")
    page = finished.root / "report.html"
    page.symlink_to(mine)
    before = os.umask(0o027)
    try:
        assert run("report").code == 0
    finally:
        os.umask(before)

    assert not page.is_symlink()
    assert stat.S_IMODE(page.stat().st_mode) == 0o640
    assert mine.read_text() == "mine"


def test_a_report_changes_nothing_else_and_asks_nobody(
    run: Run, finished: Folder, world: World
) -> None:
    calls = len(world.requests)

    def content() -> dict[str, bytes]:
        return {
            str(path): path.read_bytes()
            for path in finished.root.rglob("*")
            if path.is_file() and path.suffix not in (".html", ".db-shm", ".db-wal")
        }

    before = content()
    run("report")

    assert content() == before
    assert len(world.requests) == calls


def test_the_answers_of_a_run_on_this_machine_are_shown(run: Run, folder: Folder) -> None:
    folder.job("hello")
    assert run(*FINISH).code == 0
    run("report")
    told = samples(section(page_of(folder.root / "report.html"), "hello"))

    record = json.loads((folder.root / "outputs/hello/latest/run.json").read_text("utf-8"))
    batch = record["shards"][0]["submissions"][0]["batch"]["id"]
    assert batch in (folder.root / "report.html").read_text("utf-8")
    assert all("Response" in one for one in told)
