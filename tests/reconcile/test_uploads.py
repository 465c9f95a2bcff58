"""What is uploaded is what was validated, also if the input changes at the wrong moment."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

import pytest

from runner.batch import File
from runner.ledger import submission_transitions
from runner.ledger.records import RunState
from runner.reconcile.submit import _differs
from tests.ledger.entries import submission
from tests.reconcile.conftest import ids
from tests.simulation.faults import Death, Die, Drop, Status, on

if TYPE_CHECKING:
    from runner.ledger.records import SubmissionKey
    from runner.ledger.store import Ledger
    from tests.reconcile.conftest import MakeSite
    from tests.simulation.exchange import Request
    from tests.simulation.faults import Fault, Faults
    from tests.simulation.site import Site

UNREADABLE: Final = Status(status=403, message="Not allowed to download this file.")


@pytest.mark.parametrize(
    ("said", "differs"), [(None, False), (0, False), (400, False), (399, True), (401, True)]
)
def test_a_size_of_zero_or_none_is_no_other_size(said: int | None, *, differs: bool) -> None:
    file = File.from_api({"id": "file-1", "bytes": said})
    assert _differs(file, dataclasses.replace(submission(), bytes=400)) is differs


def changing_input(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change the input once: after it was opened for the upload, and before it is read."""
    intend = submission_transitions.intend_upload
    path = site.root / "requests.jsonl"
    changed = site.lines.replace(b'"content": "r', b'"content": "q')
    assert len(changed) == len(site.lines)
    assert changed != site.lines
    waiting = [changed]

    def change_then(ledger: Ledger, key: SubmissionKey, *, since: int | None) -> None:
        intend(ledger, key, since=since)
        if waiting:
            path.write_bytes(waiting.pop())

    monkeypatch.setattr(submission_transitions, "intend_upload", change_then)


def striking(fault: Fault | None, *, downloads: bool) -> Faults:
    """Strike the first upload and, unless `downloads`, what is read before there are results."""
    first = on("POST", "/files", fault)
    created = False

    def strike(request: Request, number: int) -> Fault | None:
        nonlocal created
        created = created or (request.method, request.path) == ("POST", "/batches")
        if request.path.endswith("/content") and not (downloads or created):
            return UNREADABLE
        return first(request, number)

    return strike


@pytest.mark.parametrize("downloads", [True, False])
@pytest.mark.parametrize(
    "fault", [None, Drop(acted=True), Die(acted=True)], ids=["replied", "reply lost", "killed"]
)
def test_a_file_of_an_input_that_changed_during_its_upload_is_never_used(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch, fault: Fault | None, *, downloads: bool
) -> None:
    """The file has the right name and size, and the input is restored before the next pass."""
    site = make_site()
    changing_input(site, monkeypatch)
    site.world.faults = striking(fault, downloads=downloads)
    try:
        site.reconcile()
    except Death:
        assert isinstance(fault, Die)
    (site.root / "requests.jsonl").write_bytes(site.lines)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    [batch] = site.world.submissions()
    assert site.world.content(batch.input_file_id) == site.lines
    site.check(ids())
