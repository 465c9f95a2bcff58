"""Mistakes in a file, found before it is sent: failure modes 8, 12, 13, 18, 28 to 30.

Each is found by `runner validate`, offline, and by `runner reconcile` before its first call; or
it is corrected in the upload, and the file that the provider receives shows it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

import pytest

from runner.cli.main import run as run_command_line
from runner.inputs.scan import scan
from runner.ledger.records import RunState
from runner.spec.project import Limits
from tests.failures.scene import asked, ids, latest
from tests.simulation.behaviour import (
    Behaviour,
    Conditions,
    HttpError,
    Malformed,
    Succeed,
    first_time,
)
from tests.simulation.scene import CHAT, request_line, request_lines

if TYPE_CHECKING:
    from pathlib import Path

    from tests.failures.conftest import MakeSite
    from tests.simulation.exchange import Request
    from tests.simulation.site import Site

MARK = b"\xef\xbb\xbf"


class Refuse(Protocol):
    """Checks that an input is refused offline and online alike; returns the lines said."""

    def __call__(self, site: Site) -> list[str]:
        """Check it."""


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Refuse:
    def refuse(site: Site) -> list[str]:
        monkeypatch.chdir(site.root)
        capfd.readouterr()
        assert run_command_line(("validate",)) == 2
        lines = capfd.readouterr().err.splitlines()
        report = site.reconcile()
        assert [str(problem) for problem in report.problems] == lines
        assert site.world.requests == [], "the provider is not even asked"
        assert not (site.root / "outputs").exists()
        return lines

    return refuse


def sent(site: Site) -> list[bytes]:
    """Return the files that were uploaded, in that order."""
    return [site.world.content(file.id) for file in site.world.files() if file.purpose == "batch"]


def test_08_a_custom_id_used_twice_is_found_before_the_upload(
    make_site: MakeSite, refuse: Refuse
) -> None:
    r"""Failure mode 8: ids are compared over the whole input, before anything is sent.

    Far apart, in what would be different batches, and however they are spelt: `\u0072` is r.
    """
    spelt = request_line("r3").replace(b'"custom_id": "r3"', b'"custom_id": "\\u00723"')
    lines = request_lines(3000) + request_line("r7") + request_line("fine") + spelt
    said = refuse(make_site(lines=lines, shard=100))
    assert len(said) == 2
    assert said[0].startswith("requests.jsonl:3001: ")
    assert "'r7' is already used in line 8" in said[0]
    assert said[1].startswith("requests.jsonl:3003: ")
    assert "'r3' is already used in line 4" in said[1]
    assert all("duplicate_custom_id" in line for line in said)


def test_12_batches_are_cut_by_bytes_before_the_upload(make_site: MakeSite) -> None:
    """Failure mode 12: nothing larger than the limit leaves, line feeds included.

    The provider of this test takes not one byte more than the project says.
    """
    names = [f"r{number}-{'x' * (13 * number % 50)}" for number in range(40)]
    lines = b"".join(map(request_line, names))
    site = make_site(
        lines=lines, conditions=Conditions(max_bytes=1000), config="    max_bytes_per_batch: 1000\n"
    )
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    files = sent(site)
    assert max(map(len, files)) <= 1000
    assert len(files) > 5
    assert b"".join(files) == lines
    assert {each.status for each in site.world.calls("POST", "/files")} == {200}
    site.check(names)


@pytest.mark.parametrize(("spare", "rows"), [(0, 3), (-1, 2)])
def test_12_a_batch_may_fill_the_limit_and_not_exceed_it(
    make_site: MakeSite, spare: int, rows: int
) -> None:
    """Failure mode 12: three requests that are the limit go out together; one byte less, two."""
    limit = 3 * len(request_line("r0")) + spare
    site = make_site(
        rows=6,
        conditions=Conditions(max_bytes=limit),
        config=f"    max_bytes_per_batch: {limit}\n",
    )
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert [len(batch) for batch in asked(site)] == [rows] * (6 // rows)
    assert {each.status for each in site.world.calls("POST", "/files")} == {200}


def test_12_a_megabyte_is_taken_for_the_smaller_one(make_site: MakeSite) -> None:
    """Failure mode 12: 200 MB is 200,000,000 bytes here, whatever the provider means by it."""
    assert Limits().max_bytes == 200_000_000
    site = make_site(lines=request_lines(40), config="    max_bytes_per_batch: 2kB\n")
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert max(map(len, sent(site))) <= 2000


def test_13_batches_are_cut_by_requests_before_the_upload(
    make_site: MakeSite, tmp_path: Path
) -> None:
    """Failure mode 13: no batch has more requests than the limit; 50,000 where nothing is said."""
    site = make_site(rows=23, shard=5, conditions=Conditions(max_requests=5))
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert [len(rows) for rows in asked(site)] == [5, 5, 5, 5, 3]
    site.check(ids(23))

    large = tmp_path / "large.jsonl"
    line = b'{"custom_id":"%d","method":"POST","url":"/v1/embeddings","body":%b}\n'
    large.write_bytes(b"".join(line % (n, b'{"model":"m","input":"a"}') for n in range(50_001)))
    scanned = scan(large, shown=large.name, endpoint="/v1/embeddings", limits=Limits())
    assert [shard.requests for shard in scanned.shards] == [50_000, 1]


def test_18_a_byte_order_mark_is_read_over_and_never_sent(make_site: MakeSite) -> None:
    """Failure mode 18: the upload is UTF-8 without a mark, and the mark makes no other revision."""
    site = make_site(lines=MARK + request_lines(6))
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert sent(site) == [request_lines(6)]
    site.check(ids())
    (site.root / "requests.jsonl").write_bytes(request_lines(6))
    assert site.reconcile().all_final
    assert len(asked(site)) == 1, "the same requests without a mark are the same revision"


def test_18_a_byte_order_mark_before_results_is_read_over(make_site: MakeSite) -> None:
    """Failure mode 18: a result file may begin with a mark; its first row counts like any."""
    site = make_site(Behaviour(shuffled=False))
    site.reconcile()
    for file in site.world.files():
        if file.purpose == "batch_output":
            object.__setattr__(file.content, "source", MARK + file.content.source[:])
            object.__setattr__(file.content, "stop", file.content.stop + len(MARK))
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert latest(site, "raw/0001-1.output.jsonl").read_bytes().startswith(MARK)
    assert latest(site, "output.jsonl").read_bytes().startswith(b'{"id"')
    site.check(ids())
    assert len(asked(site)) == 1


def test_28_a_file_goes_out_in_the_form_every_server_takes(make_site: MakeSite) -> None:
    r"""Failure mode 28: `.jsonl` for a name, a purpose, a type, one `\n` a line, none blank."""
    lines = request_lines(6).split(b"\n")
    messy = b"\r\n\r\n" + b"\r\n".join(lines[:3]) + b"\n\n  \n\t\n" + b"\n".join(lines[3:6])
    assert not messy.endswith(b"\n")
    site = make_site(
        lines=messy, spec="name: job\nendpoint: /v1/chat/completions\ninput: my notes.txt\n"
    )
    (site.root / "requests.jsonl").rename(site.root / "my notes.txt")
    forms: list[tuple[list[str], str | None, str | None]] = []

    def note(request: Request, _number: int) -> None:
        if request.path == "/files" and request.form and request.form.file:
            upload = request.form.file
            forms.append((list(request.form.fields), upload.filename, upload.content_type))

    site.world.faults = note
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    [(fields, filename, content_type)] = forms
    assert fields[0] == "purpose"
    assert filename is not None
    assert filename.endswith(".jsonl")
    assert "/" not in filename
    assert content_type
    [file] = sent(site)
    assert file == request_lines(6)
    site.check(ids())


def test_29_requests_for_two_models_never_share_a_batch(make_site: MakeSite) -> None:
    """Failure mode 29: cut by model, so that no file is turned away for holding two.

    The simulated provider turns such files away. Order and joining do not suffer.
    """
    models = ("gpt-4o-mini", "o9", "gpt-4o-mini", "zeta", "o9", "gpt-4o-mini")
    lines = b"".join(
        request_line(name, model=model) for name, model in zip(ids(), models, strict=True)
    )
    site = make_site(lines=lines)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert sorted(asked(site)) == [("r0", "r2", "r5"), ("r1", "r4"), ("r3",)]
    assert {batch.status for batch in site.world.submissions()} == {"completed"}
    assert site.results() == (ids(), [])
    site.check(ids())


def test_29_requests_for_another_endpoint_are_refused_at_their_line(
    make_site: MakeSite, refuse: Refuse
) -> None:
    """Failure mode 29: a spec has one endpoint; a row for another is found before the upload."""
    lines = request_lines(2) + request_line("other", url="/v1/embeddings") + request_line("r9")
    [said] = refuse(make_site(lines=lines))
    assert said.startswith("requests.jsonl:3: ")
    assert "'/v1/embeddings'" in said
    assert CHAT in said


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("NaN", "NaN"),
        ("-Infinity", "Infinity"),
        ('"\\ud83d"', "surrogate"),
        ('"\\ude00\\ud83d"', "surrogate"),
    ],
)
def test_30_what_no_json_may_hold_is_refused_at_its_place(
    make_site: MakeSite, refuse: Refuse, value: str, word: str
) -> None:
    """Failure mode 30: NaN, infinities and half characters are found at line and column."""
    bad = f'{{"custom_id": "bad", "body": {{"model": "m", "top_p": {value}}}}}'
    column = bad.index(value) + 1 + value.startswith('"')
    lines = request_lines(3) + bad.encode() + b"\n" + request_line("r9")
    said = refuse(make_site(lines=lines))
    assert said[0].startswith(f"requests.jsonl:4:{column}: ")
    assert word in said[0]
    assert "invalid_json_line" in said[0]


def plain_json(path: Path) -> object:
    """Decode a file as strictly as RFC 8259."""

    def strict(constant: str) -> None:
        raise ValueError(constant)

    document: object = json.loads(path.read_bytes().decode(), parse_constant=strict)
    return document


def test_30_half_a_character_in_an_answer_is_kept(make_site: MakeSite) -> None:
    """Failure mode 30: the provider's bytes are kept unchanged, and break no file of ours.

    Whole characters beyond the basic plane are neither refused nor changed.
    """
    question = request_line("r0").replace(b'"r0"}', b'"\\ud83d\\ude00"}')
    assert question != request_line("r0")
    broken = HttpError(status=400, code="odd", message="It was half \ud83d of it.")
    site = make_site(
        Behaviour(
            answer=lambda row: broken if row.custom_id == "r2" else Succeed(text="half \ud83d")
        ),
        lines=question + request_line("r1") + request_line("r2"),
        spec="name: job\nendpoint: /v1/chat/completions\ninput: requests.jsonl\n"
        "metadata: {mood: '\U0001f600'}\n",
    )
    assert site.until_done().states == {"job": RunState.PARTIAL}
    assert sent(site) == [question + request_line("r1") + request_line("r2")]
    assert latest(site, "output.jsonl").read_bytes().count(b"half \\ud83d") == 2
    assert b"half \\ud83d of it" in latest(site, "errors.jsonl").read_bytes()
    record = plain_json(latest(site, "run.json"))
    assert isinstance(record, dict)
    assert record["counts"]["codes"] == {"odd": 1}


def test_30_an_answer_with_nan_in_it_is_no_json_and_no_answer(make_site: MakeSite) -> None:
    """Failure mode 30: what only Python would read stays out of the results.

    The row is submitted again, like any whose line is broken.
    """
    line = (
        b'{"custom_id":"r1","response":{"status_code":200,"body":{"id":"x","p":NaN}},"error":null}'
    )
    site = make_site(Behaviour(answer=first_time({"r1": Malformed(line=line)})))
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == [tuple(ids()), ("r1",)]
    assert b"NaN" in latest(site, "raw/0001-1.output.jsonl").read_bytes()
    assert b"NaN" not in latest(site, "output.jsonl").read_bytes()
    site.check(ids())
