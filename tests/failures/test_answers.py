"""How single requests of a finished batch ended: failure modes 1 to 3, 17, 19, 21, 31, 34."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runner.ledger.records import RunState
from tests.failures.scene import Dialect, asked, each_batch, error_lines, ids, latest, told
from tests.simulation.behaviour import (
    AnswerLocation,
    Behaviour,
    Counts,
    ErrorInBody,
    HttpError,
    Malformed,
    Missing,
    NoFile,
    NotRun,
    Several,
    Succeed,
    by_id,
    first_time,
)
from tests.simulation.results import check_answers
from tests.simulation.scene import request_line

if TYPE_CHECKING:
    from tests.failures.conftest import MakeSite
    from tests.simulation.behaviour import Answer
    from tests.simulation.site import Site


def all_rows(answer: Answer) -> Behaviour:
    return Behaviour(answer=lambda _row: answer)


def record(site: Site) -> Any:  # noqa: ANN401 -- decoded JSON
    return json.loads(latest(site, "run.json").read_bytes())


@pytest.mark.parametrize("empty", list(NoFile))
def test_01_completed_with_every_request_refused(make_site: MakeSite, empty: NoFile) -> None:
    """Failure mode 1: a completed batch without an output file ends, as no success.

    Its error file is downloaded, every request has the provider's own reason, a permanent
    failure is not submitted again, and the missing file crashes nothing.
    """
    refused = HttpError(status=400, code="invalid_value", message="Unknown voice.")
    site = make_site(Behaviour(answer=lambda _row: refused, no_output=empty))
    report = site.until_done()
    assert report.states == {"job": RunState.PARTIAL}
    assert report.all_final
    assert site.results() == ([], ids())
    for line in error_lines(site).values():
        assert line["response"]["body"]["error"]["message"] == "Unknown voice."
    assert record(site)["counts"] == {
        "total": 6,
        "succeeded": 0,
        "failed": 6,
        "codes": {"invalid_value": 6},
    }
    assert "partial: 0 of 6 requests succeeded, 6 failed" in told(site)
    assert asked(site) == [tuple(ids())]
    [view] = site.views()
    assert (view.state, view.succeeded, view.failed) == (RunState.PARTIAL, 0, 6)


def test_01_completed_with_every_request_struck_down_for_the_moment(make_site: MakeSite) -> None:
    """Failure mode 1: no output file, but transient failures: all are submitted once more."""
    site = make_site(all_rows(HttpError(status=503)), Behaviour())
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == [tuple(ids())] * 2
    site.check(ids())


def test_02_both_files_are_read_and_every_request_ends_in_one(make_site: MakeSite) -> None:
    """Failure mode 2: no request vanishes because its file was not read.

    Good answers, refusals in either file, and a request in neither: each custom_id is in exactly
    one of output.jsonl and errors.jsonl, with the line the provider wrote where it wrote one.
    """
    refused = HttpError(status=400, code="invalid_value", message="Too long.")
    site = make_site(
        Behaviour(
            answer=by_id(
                {
                    "r0": refused,
                    "r2": HttpError(status=422, code="too_odd", place=AnswerLocation.OUTPUT),
                    "r3": Missing(),
                    "r7": refused,
                }
            )
        ),
        rows=8,
    )
    assert site.until_done().states == {"job": RunState.PARTIAL}
    good, bad = site.results()
    assert good == ["r1", "r4", "r5", "r6"]
    assert bad == ["r0", "r2", "r3", "r7"]
    errors = error_lines(site)
    assert errors["r0"]["response"]["body"]["error"]["message"] == "Too long."
    assert errors["r2"]["response"]["body"]["error"]["code"] == "too_odd"
    assert errors["r3"]["error"]["code"] == "runner_missing"
    assert record(site)["counts"]["failed"] == 4
    assert asked(site)[1:] == [("r3",), ("r3",)]
    site.check(ids(8))


@pytest.mark.parametrize("counts", list(Counts))
def test_03_counts_are_never_believed(make_site: MakeSite, counts: Counts) -> None:
    """Failure mode 3: the rows decide, whatever request_counts say.

    Rows of status 0, which the provider does not count as failed, are its own fault:
    submitted once more, and only they.
    """
    strange = HttpError(status=0)
    site = make_site(
        Behaviour(answer=first_time({"r1": strange, "r4": strange}), counts=counts), Behaviour()
    )
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == [tuple(ids()), ("r1", "r4")]
    site.check(ids())


def test_03_counts_that_know_of_no_answer_hide_none(make_site: MakeSite) -> None:
    """Failure mode 3, the other way round: all failed by the counts, all answered by the files."""

    def deny(batch: dict[str, Any]) -> None:
        batch["request_counts"] = {"total": 6, "completed": 0, "failed": 6}

    site = make_site(
        world=Dialect(each_batch(deny), behaviour=Behaviour(no_error=NoFile.EMPTY_FILE))
    )
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == [tuple(ids())]
    site.check(ids())


SEPARATORS = "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\r\n"


def test_17_line_separators_inside_a_line_are_data(make_site: MakeSite) -> None:
    r"""Failure mode 17: lines of bytes end at `\n` and nowhere else, in inputs and in answers.

    The upload is byte for byte what was written, the results have one line per response, and
    neither is cut at what Unicode calls a line end.
    """
    question = {"role": "user", "content": SEPARATORS}
    body = {"model": "gpt-4o-mini", "messages": [question]}
    lines = b"".join(
        json.dumps(
            {
                "custom_id": name,
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": body,
            },
            ensure_ascii=False,
        ).encode()
        + b"\n"
        for name in ids()
    )
    assert len(lines.decode().splitlines()) > 6, "or this shows nothing"
    site = make_site(Behaviour(answer=lambda _row: Succeed(text=SEPARATORS)), lines=lines)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    [stored] = [file for file in site.world.files() if file.purpose == "batch"]
    assert site.world.content(stored.id) == lines
    output = latest(site, "output.jsonl").read_bytes()
    assert output.count(b"\n") == 6
    assert check_answers(output, lines) == set(ids())
    for line in output.split(b"\n")[:-1]:
        message = json.loads(line)["response"]["body"]["choices"][0]["message"]
        assert message["content"].endswith(SEPARATORS)
    assert asked(site) == [tuple(ids())]


BROKEN: dict[str, Answer] = {
    "r1": Malformed(),  # its own answer, cut in half: the custom_id is still legible
    "r2": Malformed(line=b'{"custom_id":"r2","response":{"status_code":200,"body":{"id":"\xff"}}}'),
    "r3": Malformed(line=b"\xff\xfe\x00 Bad gateway", place=AnswerLocation.ERROR),
    "r4": Malformed(line=b"[]"),
}


def test_19_a_broken_line_is_its_own_rows_trouble(make_site: MakeSite) -> None:
    """Failure mode 19: other rows count, broken ones are submitted again, the bytes are kept.

    The raw file is byte for byte what came; a custom_id that can still be read is.
    """
    site = make_site(Behaviour(answer=first_time(BROKEN)), Behaviour())
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == [tuple(ids()), ("r1", "r2", "r3", "r4")]
    site.check(ids())
    for entry in record(site)["shards"][0]["submissions"]:
        for result in entry["results"]:
            kept = latest(site, result["path"]).read_bytes()
            assert kept == site.world.content(result["file_id"])
    assert b"\xff\xfe\x00 Bad gateway" in latest(site, "raw/0001-1.error.jsonl").read_bytes()


def test_19_a_line_that_stays_broken_is_told_in_words(make_site: MakeSite) -> None:
    """Failure mode 19: in the end the row has an error line of its own that says where to look."""
    spec = "endpoint: /v1/chat/completions\ninput: requests.jsonl\nretry: {attempts: 1}\n"
    site = make_site(Behaviour(answer=by_id(BROKEN)), spec=spec)
    assert site.until_done().states == {"job": RunState.PARTIAL}
    assert site.results() == (["r0", "r5"], ["r1", "r2", "r3", "r4"])
    errors = error_lines(site)
    for name in ("r1", "r2"):
        assert errors[name]["error"]["code"] == "runner_malformed_line"
        assert "0001-1.output.jsonl, at byte" in errors[name]["error"]["message"]
    for name in ("r3", "r4"):
        assert errors[name]["error"]["code"] == "runner_missing"


def test_21_an_error_inside_the_body_is_no_success(make_site: MakeSite) -> None:
    """Failure mode 21: a success has no error anywhere: not outside, not inside the body.

    The outer `error` is null in all of these; a status of 200 does not make them answers, nor
    does the output file that they are in.
    """
    site = make_site(
        Behaviour(
            answer=by_id(
                {
                    "r0": HttpError(status=400, code="invalid_value", message="No such tool."),
                    "r1": ErrorInBody(code="content_filter"),
                    "r2": Succeed(body={}),
                    "r3": Succeed(body={"error": {"code": "invalid_value"}}),
                }
            )
        )
    )
    assert site.until_done().states == {"job": RunState.PARTIAL}
    assert site.results()[0] == ["r4", "r5"]
    assert sorted(error_lines(site)) == ["r0", "r1", "r2", "r3"]
    inner = error_lines(site)["r0"]["response"]["body"]["error"]
    assert inner["message"] == "No such tool."
    for name in ("r0", "r1", "r3"):
        assert error_lines(site)[name]["error"] is None


PARTS = [
    {"type": "reasoning", "id": "rs_1", "summary": []},
    {
        "type": "message",
        "role": "assistant",
        "content": [
            {"type": "output_text", "text": "The first half, cut of", "annotations": []},
            {"type": "output_text", "text": "f, and the second.", "annotations": []},
        ],
    },
    {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
]


def test_31_an_answer_of_several_parts_is_kept_whole(make_site: MakeSite) -> None:
    """Failure mode 31: no first part is picked: the body is passed on unchanged."""
    body = {"id": "resp_1", "object": "response", "status": "completed", "output": PARTS}
    site = make_site(
        all_rows(Succeed(body=body)),
        lines=b"".join(request_line(name, url="/v1/responses") for name in ids()).replace(
            b'"messages"', b'"input"'
        ),
        spec="name: job\nendpoint: /v1/responses\ninput: requests.jsonl\n",
    )
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    raw = latest(site, "raw/0001-1.output.jsonl").read_bytes().split(b"\n")
    for line in latest(site, "output.jsonl").read_bytes().split(b"\n")[:-1]:
        assert line in raw, "not even a space differs from what the provider sent"
        assert json.loads(line)["response"]["body"] == body


PASSING: dict[str, Answer] = {
    "408": HttpError(status=408),
    "409": HttpError(status=409),
    "429": HttpError(status=429, code="rate_limit_exceeded"),
    "500": HttpError(status=500),
    "502": HttpError(status=502, place=AnswerLocation.OUTPUT),
    "503": HttpError(status=503),
    "529": HttpError(status=529),
    "0": HttpError(status=0),
    "timeout": NotRun(code="request_timeout"),
    "expired": NotRun(code="batch_expired"),
    "several": Several(answers=(HttpError(status=400), HttpError(status=500))),
}
LASTING: dict[str, Answer] = {
    **{str(status): HttpError(status=status) for status in (400, 401, 403, 404, 413, 422, 451)},
    "400-output": HttpError(status=400, code="server_error", place=AnswerLocation.OUTPUT),
}


def test_34_trouble_that_passes_is_asked_again_and_the_rest_is_not(make_site: MakeSite) -> None:
    """Failure mode 34: each row has its own class, inside a batch that calls itself completed.

    408, 409, 429, 5xx, 0 and what was not run are submitted again, only they, and only as often
    as the spec allows; every other 4xx is final. Nothing that succeeded is submitted twice.
    """
    rows = {**PASSING, **LASTING, "fine": Succeed()}
    lines = b"".join(request_line(name) for name in rows)
    behaviours = (Behaviour(answer=by_id(rows)), Behaviour(answer=by_id({"429": PASSING["429"]})))
    site = make_site(*behaviours, lines=lines)
    assert site.until_done().states == {"job": RunState.PARTIAL}
    assert asked(site) == [tuple(rows), tuple(PASSING), ("429",)]
    good, bad = site.results()
    assert sorted(good) == sorted({*PASSING, "fine"} - {"429"})
    assert sorted(bad) == sorted({*LASTING, "429"})
    assert error_lines(site)["429"]["response"]["body"]["error"]["code"] == "rate_limit_exceeded"
    site.check(list(rows))


def test_34_a_quota_met_by_a_row_says_nothing_against_the_row(make_site: MakeSite) -> None:
    """Failure mode 34: 429 for missing credit passes too, once the user has paid."""
    broke = HttpError(status=429, code="insufficient_quota")
    site = make_site(Behaviour(answer=first_time({"r5": broke})))
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert asked(site)[1:] == [("r5",)]
