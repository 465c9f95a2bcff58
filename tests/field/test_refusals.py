"""A refusal concerns what it is about: one job, the account's room, or the way there.

The public reports are of gateways that allow a key some models, and of accounts whose storage is
full: a 400 without a code, a 413, a 429.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from runner.ledger.records import RunState
from tests.failures.scene import REMOTE, asked, ids, told
from tests.simulation.faults import Status
from tests.simulation.scene import request_lines

if TYPE_CHECKING:
    from tests.failures.conftest import MakeSite
    from tests.simulation.exchange import Request
    from tests.simulation.faults import Fault
    from tests.simulation.site import Site

FULL = [
    Status(status=400, message="The organization has used up its storage limit of 100 GB."),
    Status(status=403, message="File storage quota exceeded."),
    Status(status=409, message="Too many files in this project."),
    Status(status=413, message="Storage is full: delete files first."),
    Status(status=429, message="Your quota of files is reached."),
    Status(status=507, message="No space left on device"),
]
OF_ONE_MODEL = "The quota of enqueued tokens for the model secret-model is used up."
USED_UP = [
    *(Status(status=status, message=OF_ONE_MODEL) for status in (400, 403, 409, 413, 422, 429)),
    Status(status=400, code="token_limit_exceeded", message="Try again later."),
    Status(status=400, message="Enqueued token limit reached for secret-model: 2,000,000."),
]
NOT_ALLOWED = [
    Status(status=403, type="key_model_access_denied", param="model", message="No."),
    Status(status=403, code="model_not_allowed", message="Forbidden."),
    Status(status=401, message="This key may not use the model secret-model."),
]


def two_jobs(make_site: MakeSite) -> Site:
    site = make_site(base_url=REMOTE)
    (site.root / "other.jsonl").write_bytes(request_lines(2, prefix="o"))
    site.write_spec(
        "name: other\nendpoint: /v1/chat/completions\ninput: other.jsonl\n", name="other"
    )
    return site


@pytest.mark.parametrize("refusal", FULL, ids=lambda each: str(each.status))
def test_a_full_account_is_waited_for_and_ends_no_job(make_site: MakeSite, refusal: Status) -> None:
    site = two_jobs(make_site)
    full = True

    def strike(request: Request, _number: int) -> Fault | None:
        return refusal if full and (request.path, request.method) == ("/files", "POST") else None

    site.world.faults = strike
    for _ in range(5):
        report = site.reconcile()
        assert report.has_problem
        assert not report.all_final
        assert asked(site) == []
        site.clock.sleep(3600)
    assert refusal.message in told(site)
    assert "would not help" not in told(site)
    full = False
    states = site.until_done().states
    assert states == {"job": RunState.SUCCEEDED, "other": RunState.SUCCEEDED}
    assert sorted(asked(site)) == sorted([tuple(ids()), ("o0", "o1")])


def test_a_full_account_is_asked_once_a_pass_for_files_of_one_size(make_site: MakeSite) -> None:
    site = two_jobs(make_site)
    (site.root / "other.jsonl").write_bytes(request_lines(99, prefix="o"))
    site.world.faults = lambda request, _number: (
        FULL[0] if (request.path, request.method) == ("/files", "POST") else None
    )
    site.reconcile()
    assert len(site.world.calls("POST", "/files")) == 1


@pytest.mark.parametrize(
    "refusal",
    [*NOT_ALLOWED, *USED_UP],
    ids=["param", "code", "text", *(f"{each.status} {each.code or 'quota'}" for each in USED_UP)],
)
def test_a_model_that_is_refused_stops_its_own_job_alone(
    make_site: MakeSite, refusal: Status
) -> None:
    site = two_jobs(make_site)
    first: list[object] = []

    def strike(request: Request, _number: int) -> Fault | None:
        if (request.path, request.method) != ("/batches", "POST"):
            return None
        file_id = json.loads(request.body)["input_file_id"]
        first.append(file_id)
        return refusal if file_id == first[0] else None

    site.world.faults = strike
    site.reconcile()
    site.clock.sleep(600)
    report = site.reconcile()
    assert report.has_problem
    assert report.states == {"job": RunState.RUNNING, "other": RunState.SUCCEEDED}
    assert not report.stopped
    assert asked(site) == [("o0", "o1")]
    site.world.faults = lambda _request, _number: None
    assert site.until_done().states == {"job": RunState.SUCCEEDED, "other": RunState.SUCCEEDED}


def test_a_proxy_that_asks_for_a_password_ends_no_job(make_site: MakeSite) -> None:
    site = make_site(base_url=REMOTE)
    site.world.faults = lambda _request, _number: Status(status=407, message="Who are you?")
    assert not site.reconcile().all_final
    site.world.faults = lambda _request, _number: None
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
