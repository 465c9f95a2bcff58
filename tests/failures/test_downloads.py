"""Downloading complete results while the provider has them: failure modes 16 and 27."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from runner.api.client import Client
from runner.errors import Transient, UnexpectedReply
from runner.ledger.records import RunState, SubmissionState
from runner.spec.project import Provider
from tests.failures.scene import (
    REMOTE,
    Dialect,
    ask_again,
    asked,
    error_lines,
    final_files,
    ids,
    known,
    latest,
    told,
)
from tests.simulation.behaviour import Behaviour, Conditions, Missing, first_time
from tests.simulation.exchange import Content
from tests.simulation.faults import Status, Truncate, server_error
from tests.simulation.http import serve
from tests.simulation.replies import Refusal, json_reply
from tests.simulation.scene import get, request_lines, submit, world_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.failures.conftest import MakeSite
    from tests.failures.scene import Retell
    from tests.simulation.exchange import Request, Response
    from tests.simulation.faults import Fault, Faults
    from tests.simulation.site import Site
    from tests.simulation.world import World

CUT = 0.29
"""The share of a file that came in the report that this failure is known from."""


def content(*faults: Fault | None) -> Faults:
    """Strike the downloads of result files, in order."""
    waiting = list(faults)

    def strike(request: Request, _number: int) -> Fault | None:
        hit = request.path.endswith("/content") and request.method == "GET"
        return waiting.pop(0) if hit and waiting else None

    return strike


# 16, on the wire ------------------------------------------------------------------------------


@pytest.fixture
def world() -> World:
    return world_of()


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    """Give the real client, on a real connection; pauses between tries take no time."""
    with (
        serve(world) as server,
        Client(
            Provider(name="lab", base_url=server.base_url), None, sleep=lambda _: None
        ) as client,
    ):
        yield client


def output_of(world: World) -> tuple[str, bytes]:
    """Run a batch and return its output file: id and bytes."""
    batch = get(world, f"/batches/{submit(world, request_lines(3000))}")
    return batch["output_file_id"], world.content(batch["output_file_id"])


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("cuts", [1, 3])
def test_16_a_download_cut_short_is_made_again(
    world: World, client: Client, tmp_path: Path, cuts: int, *, announced: bool
) -> None:
    """Failure mode 16: fewer bytes than announced, or than the File object says, are no file.

    It is downloaded again from the start, over a real connection, and what stays is whole.
    """
    identifier, whole = output_of(world)
    world.faults = content(*[Truncate(keep=CUT, clean=not announced)] * cuts)
    place = tmp_path / "output.part"
    if cuts > 1 and not announced:
        # The same wrong length twice is no accident of the wire, and the caller decides.
        with pytest.raises(UnexpectedReply, match="says that the file has"):
            client.download(identifier, place, expected_bytes=len(whole))
        assert not place.exists()
        return
    download = client.download(identifier, place, expected_bytes=len(whole))
    assert place.read_bytes() == whole
    assert download.bytes == len(whole)
    assert len(world.calls("GET", f"/files/{identifier}/content")) == cuts + 1


def test_16_a_download_that_never_comes_whole_leaves_nothing(
    world: World, client: Client, tmp_path: Path
) -> None:
    """Failure mode 16: after some tries it is given up for now, and no part of it stays."""
    identifier, whole = output_of(world)
    world.faults = content(*[Truncate(keep=CUT)] * 99)
    with pytest.raises(Transient, match="no complete reply"):
        client.download(identifier, tmp_path / "output.part", expected_bytes=len(whole))
    assert list(tmp_path.iterdir()) == []
    assert 2 <= len(world.calls("GET", f"/files/{identifier}/content")) <= 10


# 16, in the life of a job ---------------------------------------------------------------------


def silent_about_sizes(request: Request, response: Response) -> Response:
    """Say nothing of how long files are."""
    if request.path.startswith("/files") and not request.path.endswith("/content"):
        document = response.document()
        for file in document.get("data", [document]):
            file["bytes"] = None
        return json_reply(document, response.status)
    return response


def no_file_objects(request: Request, response: Response) -> Response:
    """Offer contents, and no File objects."""
    if request.method == "GET" and request.path.startswith("/files/"):
        if request.path.endswith("/content"):
            return response
        return Refusal(405, "Method not allowed").reply()
    return response


CUTS: dict[str, Fault] = {
    "announced": Truncate(keep=CUT),
    "in a line": Truncate(keep=CUT, clean=True),
}


@pytest.mark.parametrize("dialect", [None, silent_about_sizes, no_file_objects])
@pytest.mark.parametrize("cut", CUTS)
def test_16_nothing_is_lost_or_asked_again_for_a_cut(
    make_site: MakeSite, cut: str, dialect: Retell | None
) -> None:
    """Failure mode 16: by length, by File.bytes or by its last line, the cut is found.

    While only a part has come no file bears a final name, and no row is taken for unanswered:
    that would be paid a second time.
    """
    world = None if dialect is None else Dialect(dialect)
    site = make_site(rows=40, world=world, base_url=REMOTE)
    at_downloads: list[list[str]] = []
    strike = content(CUTS[cut])

    def watch(request: Request, number: int) -> Fault | None:
        if request.path.endswith("/content"):
            at_downloads.append(final_files(site))
        return strike(request, number)

    site.world.faults = watch
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert at_downloads[:2] == [[], []], "a second download, and no name before it"
    assert asked(site) == [tuple(ids(40))]
    [output] = [file for file in site.world.files() if file.purpose == "batch_output"]
    assert latest(site, "raw/0001-1.output.jsonl").read_bytes() == site.world.content(output.id)
    site.check(ids(40))


@pytest.mark.parametrize("came", [0, 10])
@pytest.mark.parametrize("dialect", [silent_about_sizes, no_file_objects])
def test_16_a_cut_between_two_lines_is_looked_at_twice(
    make_site: MakeSite, dialect: Retell, came: int
) -> None:
    """Failure mode 16: a cut that looks clean shows by missing rows: it is fetched once more."""
    site = make_site(rows=40, world=Dialect(dialect), base_url=REMOTE)
    site.reconcile()
    [output] = [file for file in site.world.files() if file.purpose == "batch_output"]
    lines = site.world.content(output.id).split(b"\n")
    size = sum(len(line) + 1 for line in lines[:came])
    site.world.faults = content(Truncate(keep=size, clean=True))
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == [tuple(ids(40))]
    site.check(ids(40))


def test_16_a_cut_that_goes_on_for_ever_settles_nothing(make_site: MakeSite) -> None:
    """Failure mode 16: as long as no whole file comes the job runs, and says what is the matter."""
    site = make_site(rows=40, base_url=REMOTE)
    site.world.faults = content(*[Truncate(keep=CUT)] * 999)
    site.reconcile()
    for _ in range(4):
        report = site.reconcile()
        assert report.states == {"job": RunState.RUNNING}
        assert report.has_problem
        assert final_files(site) == []
        site.clock.sleep(60)
    parts = [path for path in (site.root / "outputs").rglob("*") if path.is_file()]
    assert parts == []
    site.world.faults = content()
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == [tuple(ids(40))]
    site.check(ids(40))


# 16, more than was announced -------------------------------------------------------------------


def far_more(request: Request, response: Response) -> Response:
    """Send a result file, and a thousand times as much after it."""
    if not request.path.endswith("/content"):
        return response
    whole = response.body.whole()
    return replace(response, body=Content.of(whole + whole * 1000))


def far_more_of_unknown_size(request: Request, response: Response) -> Response:
    return far_more(request, silent_about_sizes(request, response))


def far_more_than_less_than_nothing(request: Request, response: Response) -> Response:
    if request.path.startswith("/files/") and not request.path.endswith("/content"):
        return json_reply({**response.document(), "bytes": -(10**12)}, response.status)
    return far_more(request, response)


@pytest.mark.parametrize(
    "dialect", [far_more, far_more_of_unknown_size, far_more_than_less_than_nothing]
)
def test_16_a_result_that_is_far_longer_than_announced_is_given_up(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch, dialect: Retell
) -> None:
    """Failure mode 16, the other way: no more is written than was announced and a margin.

    The job goes on once the file is right.
    """
    for name in ("_MARGIN", "ANY_FILE", "_BYTES_A_REQUEST"):
        monkeypatch.setattr(f"runner.reconcile.download.{name}", 10_000)
    site = make_site(rows=40, world=Dialect(dialect), base_url=REMOTE)
    site.reconcile()
    report = site.reconcile()
    assert report.states == {"job": RunState.RUNNING}
    assert report.has_problem
    assert "which are all that is taken of a file with" in told(site)
    assert [path for path in (site.root / "outputs").rglob("*") if path.is_file()] == []
    assert isinstance(site.world, Dialect)
    site.world.retell = lambda _request, response: response
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == [tuple(ids(40))]
    site.check(ids(40))


# 27: results that are gone --------------------------------------------------------------------


def gone(status: int) -> Faults:
    def strike(request: Request, _number: int) -> Fault | None:
        return (
            Status(status=status, message="The file was deleted.")
            if request.path.endswith("/content") and request.method == "GET"
            else None
        )

    return strike


@pytest.mark.parametrize("status", [404, 410])
def test_27_results_that_are_gone_are_lost_in_words(make_site: MakeSite, status: int) -> None:
    """Failure mode 27: an hour of denials, and results are reported lost; nothing is paid again.

    The problem names the batch, the reply, and what a retry would cost; a user who retries gets
    new results.
    """
    site = make_site(base_url=REMOTE)
    site.world.faults = gone(status)
    report = site.reconcile()
    assert not report.all_final
    assert site.until_done(pause=900).states == {"job": RunState.FAILED}
    assert site.clock() - site.world.submissions()[0].over_at >= 3600
    [batch] = site.world.submissions()
    [lost] = known(site).submissions
    assert lost.state is SubmissionState.LOST
    for words in (
        batch.batch_id,
        "are not at the provider any more",
        str(status),
        "pay for them again",
        "runner retry",
    ):
        assert words in told(site)
    assert {line["error"]["code"] for line in error_lines(site).values()} == {"runner_batch_lost"}
    site.clock.sleep(86_400)
    site.reconcile()
    assert len(asked(site)) == 1
    site.world.faults = lambda request, number: (
        gone(status)(request, number) if len(asked(site)) == 1 else None
    )
    ask_again(site)
    assert site.until_done(pause=900).states == {"job": RunState.SUCCEEDED}
    assert len(asked(site)) == 2


def test_27_results_that_expired_are_lost_and_the_date_is_kept(make_site: MakeSite) -> None:
    """Failure mode 27: no pass for thirty days; the record says until when there was time."""
    site = make_site(Behaviour(working=60), base_url=REMOTE)
    site.reconcile()
    site.clock.sleep(31 * 86_400)
    assert site.until_done(pause=600).states == {"job": RunState.FAILED}
    assert "are not at the provider any more" in told(site)
    assert len(asked(site)) == 1
    record = json.loads(latest(site, "run.json").read_bytes())
    batch = record["shards"][0]["submissions"][0]["batch"]
    assert batch["expires_at"] == batch["created_at"] + 86_400


def test_27_results_are_fetched_by_the_first_pass_that_can(make_site: MakeSite) -> None:
    """Failure mode 27: nothing is put off; both files are here before anything else is sent.

    After that the provider may forget them: the run needs them no more.
    """
    site = make_site(
        Behaviour(working=60, answer=first_time({"r1": Missing()})),
        Behaviour(working=60),
        base_url=REMOTE,
        conditions=Conditions(file_life=1000),
    )
    site.reconcile()
    site.clock.sleep(61)
    site.reconcile()
    assert latest_raw(site) == ["0001-1.output.jsonl"]
    order = [each.path for each in site.world.requests if "content" in each.path
             or (each.path, each.method) == ("/batches", "POST")]  # fmt: skip
    assert [path.rpartition("/")[2] for path in order] == ["batches", "content", "batches"]
    site.clock.sleep(61)
    assert site.reconcile().states == {"job": RunState.SUCCEEDED}
    site.clock.sleep(86_400)
    (latest(site, "output.jsonl")).unlink()
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    site.check(ids())


def test_27_results_that_will_soon_be_gone_are_warned_of(make_site: MakeSite) -> None:
    """Failure mode 27: a warning about results not downloaded for weeks, while there is time.

    The time is `output_expires_after` of the provider, or else thirty days.
    """
    site = make_site(base_url=REMOTE, config="    output_expires_after: 10d\n")
    site.world.faults = lambda request, _number: (
        server_error(acted=False) if request.path.endswith("/content") else None
    )
    site.reconcile()
    site.clock.sleep(2.9 * 86_400)
    site.reconcile()
    site.reconcile()
    assert "may delete them" not in told(site)
    site.clock.sleep(86_400)
    site.reconcile()
    assert "are not downloaded yet, and the provider may delete them in 6 d" in told(site)
    site.world.faults = content()
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    [file] = [file for file in site.world.files() if file.purpose == "batch_output"]
    assert file.expires == file.created + 10 * 86_400
    assert len(asked(site)) == 1


def latest_raw(site: Site) -> list[str]:
    """Return the names of the raw files of the only run, finished or not."""
    return sorted(path.name for path in (site.root / "outputs").rglob("raw/*"))
