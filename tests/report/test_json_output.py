"""The JSON that scripts rely on."""

from __future__ import annotations

import json

from runner.report.json_output import history_json, job_json, to_json
from tests.report.scenes import NOW, raw_batch, view
from tests.report.stories import partial_story

REVISION = "9f86d081884c"


def test_status_json_has_what_the_contract_says() -> None:
    batch = raw_batch(a_field_of_tomorrow={"x": [1]})

    shape = json.loads(to_json([job_json(view(state="partial", failed=80, batches=(batch,)))]))

    assert shape[0] | {"provider": "openai", "endpoint": "/v1/chat/completions"} == shape[0]
    assert {
        name: shape[0][name]
        for name in ("name", "revision", "state", "requests", "output_dir", "batches")
    } == {
        "name": "sentiment",
        "revision": "9f86d081884c",
        "state": "partial",
        "requests": {"total": 3080, "succeeded": 0, "failed": 80, "pending": 3000},
        "output_dir": "/project/outputs/sentiment",
        "batches": [batch],
    }


def test_show_json_has_the_runs_and_the_events() -> None:
    shape = history_json(partial_story(), folder="outputs/x", now=NOW)

    assert shape["name"] == "sentiment"
    assert [run["revision"] for run in shape["runs"]] == ["2c26b46b68ff", REVISION]
    assert {"at", "kind", "revision", "submission", "batch", "detail"} <= shape["events"][0].keys()
