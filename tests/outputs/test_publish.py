"""The final files: every request once, in input order, the provider's own bytes."""

from __future__ import annotations

import hashlib
import json
import random
import resource
import signal
import tempfile
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import LocalFileError
from runner.inputs.row_set import RowSet
from runner.outputs.publish import AttemptFiles, MissingResult, ShardAnswers, prepare

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORD = b'{"format_version": 1}\n'


def success(row: int, text: str = "") -> bytes:
    body = {"id": "x", "text": text}
    return json.dumps(
        {"custom_id": f"r{row}", "response": {"status_code": 200, "body": body}},
        ensure_ascii=False,
    ).encode()


def failure(row: int, code: str = "invalid", text: str = "") -> bytes:
    error = {"code": code, "message": text}
    return json.dumps({"custom_id": f"r{row}", "response": None, "error": error}).encode()


def shard(rows: RowSet, *attempts: tuple[Path, ...]) -> ShardAnswers:
    def ids() -> Iterator[tuple[int, str]]:
        return ((row, f"r{row}") for row in rows)

    answers = (
        AttemptFiles(attempt=number, files=files) for number, files in enumerate(attempts, start=1)
    )
    return ShardAnswers(rows=rows, ids=ids, answers=tuple(answers))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run"


def write(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def lines_of(path: Path) -> list[bytes]:
    content = path.read_bytes()
    assert not content or content.endswith(b"\n")
    return content.split(b"\n")[:-1]


def error_of(line: bytes) -> Any:  # noqa: ANN401
    return json.loads(line)["error"]


def test_answers_of_all_attempts_come_together_in_input_order(run: Path, tmp_path: Path) -> None:
    first = write(tmp_path / "1", success(3), failure(1), success(0, "\u2028 汉"))
    errors = write(tmp_path / "1e", failure(2, "batch_expired"), failure(4, "batch_expired"))
    second = write(tmp_path / "2", success(2), success(0, "again"), failure(4, "server_error"))
    publication = prepare(run, [shard(RowSet.span(0, 6), (first, errors), (second,))])
    assert sorted(path.name for path in run.glob("[!.]*")) == []
    publication.commit(RECORD)

    assert lines_of(run / "output.jsonl") == [success(0, "\u2028 汉"), success(2), success(3)]
    assert lines_of(run / "errors.jsonl")[:2] == [failure(1), failure(4, "server_error")]
    assert json.loads(lines_of(run / "errors.jsonl")[2]) == {
        "id": None,
        "custom_id": "r5",
        "response": None,
        "error": {
            "code": "runner_missing",
            "message": "the batch ended without a line for this request",
        },
    }
    assert (run / "run.json").read_bytes() == RECORD
    assert sorted(path.name for path in run.iterdir()) == [
        "errors.jsonl",
        "output.jsonl",
        "run.json",
    ]
    published = publication.published
    assert (published.succeeded, published.failed) == (3, 3)
    assert published.codes == {"invalid": 1, "server_error": 1, "runner_missing": 1}
    for name, digest in (("output.jsonl", published.output), ("errors.jsonl", published.errors)):
        content = (run / name).read_bytes()
        assert digest.bytes == len(content)
        assert digest.lines == content.count(b"\n") == 3
        assert digest.sha256 == hashlib.sha256(content).hexdigest()


def test_attempts_count_in_their_order_however_they_are_given(run: Path, tmp_path: Path) -> None:
    files = [write(tmp_path / str(number), failure(0, f"code{number}")) for number in range(3)]
    answers = shard(RowSet.span(0, 1), *((file,) for file in files))
    shuffled = ShardAnswers(rows=answers.rows, ids=answers.ids, answers=answers.answers[::-1])
    prepare(run, [shuffled]).commit(RECORD)
    assert lines_of(run / "errors.jsonl") == [failure(0, "code2")]


def test_an_unreadable_line_stays_out_of_the_final_files(run: Path, tmp_path: Path) -> None:
    broken = write(tmp_path / "batch_1_output.jsonl", success(0)[:-3], success(1)[:-3])
    later = write(tmp_path / "2", failure(1))
    prepare(run, [shard(RowSet.span(0, 2), (broken,), (later,))]).commit(RECORD)
    own, provider = lines_of(run / "errors.jsonl")
    assert error_of(own) == {
        "code": "runner_malformed_line",
        "message": "the line for this request in batch_1_output.jsonl, at byte 0, cannot be read",
    }
    assert provider == failure(1)


def test_the_caller_says_why_a_row_has_no_line(run: Path) -> None:
    reasons = {0: "was refused: “no”", 1: "lone \ud800 surrogate"}
    answers = ShardAnswers(
        rows=RowSet.span(0, 2),
        ids=lambda: [(0, 'a"\u2028'), (1, "b\udfff")],
        answers=(),
        unanswered=lambda row: MissingResult(code="runner_batch_failed", message=reasons[row]),
    )
    prepare(run, [answers]).commit(RECORD)
    assert lines_of(run / "errors.jsonl")[0].startswith(b'{"id":null,"custom_id":"a')
    lines = [json.loads(line.decode()) for line in lines_of(run / "errors.jsonl")]
    assert [line["custom_id"] for line in lines] == ['a"\u2028', "b\udfff"]
    assert [line["error"]["message"] for line in lines] == list(reasons.values())


def test_marks_blank_lines_and_line_ends_are_set_right(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "o"
    file.write_bytes(
        b"\xef\xbb\xbf" + success(0) + b"\r\n\n" + success(1) + b"\n\xef\xbb\xbf" + success(2)
    )
    prepare(run, [shard(RowSet.span(0, 3), (file,))]).commit(RECORD)
    assert lines_of(run / "output.jsonl") == [success(0), success(1), success(2)]


def test_a_run_without_failures_has_an_empty_error_file(run: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "o", success(0))
    prepare(run, [shard(RowSet.span(0, 1), (file,)), shard(RowSet.span(0, 0))]).commit(RECORD)
    assert (run / "errors.jsonl").read_bytes() == b""


def test_neighbours_by_offset_in_different_files_are_no_neighbours(
    run: Path, tmp_path: Path
) -> None:
    first = write(tmp_path / "1", success(0))
    second = write(tmp_path / "2", success(7), success(1))
    prepare(run, [shard(RowSet.span(0, 2), (first, second))]).commit(RECORD)
    assert lines_of(run / "output.jsonl") == [success(0), success(1)]


@pytest.mark.parametrize("shuffled", [False, True])
def test_long_lines_and_long_files_are_copied_whole(
    run: Path, tmp_path: Path, *, shuffled: bool
) -> None:
    lines = [success(row, "x" * size) for row, size in enumerate([5_000_000, 0, 2**20, 700] * 3)]
    lines += [success(row, "y" * 100) for row in range(len(lines), 20_000)]
    order = list(lines)
    if shuffled:
        random.Random(1).shuffle(order)
    file = write(tmp_path / "o", *order)
    prepare(run, [shard(RowSet.span(0, len(lines)), (file,))]).commit(RECORD)
    assert lines_of(run / "output.jsonl") == lines


def test_a_hundred_models_in_turn_need_no_hundred_open_files(run: Path, tmp_path: Path) -> None:
    models, rows = 100, 1000
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    shards = [
        shard(
            RowSet.from_iterable(range(model, rows, models)),
            (write(tmp_path / str(model), *map(success, range(model, rows, models))),),
        )
        for model in range(models)
    ]
    already = len(list(Path("/dev/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (already + 75, limit[1]))
    try:
        prepare(run, shards).commit(RECORD)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    assert lines_of(run / "output.jsonl") == [success(row) for row in range(rows)]


kinds = st.sampled_from(["success", "invalid", "batch_expired", "cut", "stranger", "junk"])
files_of_lines = st.lists(st.tuples(st.integers(0, 11), kinds), max_size=14)


@settings(deadline=None)  # the disk has its own ideas of time
@given(
    owners=st.lists(st.integers(0, 2), max_size=12),
    attempts=st.lists(st.tuples(files_of_lines, files_of_lines), max_size=3),
)
def test_every_custom_id_is_in_the_final_files_exactly_once(
    owners: list[int], attempts: list[tuple[list[tuple[int, str]], ...]]
) -> None:
    """Shards alternate as `owners` say; each attempt writes any lines, in any order, into two."""
    readable: dict[int, list[bytes]] = {row: [] for row in range(len(owners))}
    answered: dict[int, bytes] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files: dict[int, list[tuple[Path, ...]]] = {0: [], 1: [], 2: []}
        for attempt, pair in enumerate(attempts):
            for owner, paths in files.items():
                written: list[Path] = []
                for half, entries in enumerate(pair):
                    lines: list[bytes] = []
                    for row, kind in entries:
                        text = f"{attempt}.{half}.{len(lines)}"
                        line = _line(row, kind, text)
                        lines.append(line)
                        if row < len(owners) and owners[row] == owner:
                            if kind == "success":
                                answered.setdefault(row, line)
                            elif kind in {"invalid", "batch_expired"}:
                                readable[row].append(line)
                    written.append(write(folder / f"{attempt}.{half}.{owner}", *lines))
                paths.append(tuple(written))
        shards = [
            shard(RowSet.from_iterable(r for r, o in enumerate(owners) if o == owner), *paths)
            for owner, paths in files.items()
        ]
        publication = prepare(folder / "run", shards)
        publication.commit(RECORD)
        output = lines_of(folder / "run" / "output.jsonl")
        errors = lines_of(folder / "run" / "errors.jsonl")

    rows = range(len(owners))
    assert output == [answered[row] for row in rows if row in answered]
    failed = [row for row in rows if row not in answered]
    assert [json.loads(line)["custom_id"] for line in errors] == [f"r{row}" for row in failed]
    for row, line in zip(failed, errors, strict=True):
        if readable[row]:
            assert line == readable[row][-1]
        else:
            assert error_of(line)["code"] in {"runner_missing", "runner_malformed_line"}
    assert publication.published.succeeded == len(output)
    assert publication.published.failed == len(errors)
    assert sum(publication.published.codes.values()) == len(errors)


def _line(row: int, kind: str, text: str) -> bytes:
    match kind:
        case "success":
            return success(row, text)
        case "cut":
            return success(row, text)[:-4]
        case "stranger":
            return success(row + 1000, text)
        case "junk":
            return b"junk"
        case _:
            return failure(row, kind, text)


def test_memory_does_not_grow_with_the_number_of_shards(run: Path, tmp_path: Path) -> None:
    size, text = 1000, "x" * 1000

    def peak(shards: int) -> int:
        answers = []
        for number in range(shards):
            rows = RowSet.span(number * size, (number + 1) * size)
            shuffled = random.Random(number).sample(list(rows), k=size)
            lines = (success(row, text) for row in shuffled if row % 3)
            answers.append(shard(rows, (write(tmp_path / str(number), *lines),)))
        tracemalloc.start()
        try:
            prepare(run, answers).commit(RECORD)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(3), peak(18)
    assert many < 1.1 * few
    assert many < (run / "output.jsonl").stat().st_size / 2


def test_shards_that_share_rows_are_a_bug_of_the_caller(run: Path) -> None:
    for first, second in [("0-4", "4-6"), ("0-4", "0-4"), ("0-9", "3"), ("0,2", "1-2")]:
        with pytest.raises(ValueError, match="in two shards"):
            prepare(run, [shard(RowSet.parse(first)), shard(RowSet.parse(second))])
        assert list(run.iterdir()) == []


@pytest.mark.parametrize("ids", [[(0, "a")], [(0, "a"), (1, "a")], [(1, "a"), (0, "b")]])
def test_ids_of_other_rows_are_a_bug_of_the_caller(run: Path, ids: list[tuple[int, str]]) -> None:
    answers = ShardAnswers(rows=RowSet.span(0, 2), ids=lambda: ids, answers=())
    with pytest.raises(ValueError, match="not those of the rows 0-1"):
        prepare(run, [answers])


def test_a_missing_file_leaves_no_trace(run: Path, tmp_path: Path) -> None:
    with pytest.raises(LocalFileError, match="cannot be read: there is no such file"):
        prepare(run, [shard(RowSet.span(0, 1), (tmp_path / "gone",))])
    assert list(run.iterdir()) == []


@pytest.mark.parametrize("gone", [False, True])
def test_a_file_that_shrinks_or_goes_while_it_is_read_is_told(
    run: Path, tmp_path: Path, *, gone: bool
) -> None:
    file = write(tmp_path / "o", success(1))

    def meddle(row: int) -> MissingResult:
        if gone:
            file.unlink()
        else:
            file.write_bytes(b"{")
        return MissingResult(code="runner_missing", message=f"row {row}")

    answers = shard(RowSet.span(0, 2), (file,))
    meddled = ShardAnswers(
        rows=answers.rows, ids=answers.ids, answers=answers.answers, unanswered=meddle
    )
    with pytest.raises(LocalFileError, match="no such file" if gone else "became shorter"):
        prepare(run, [meddled])
    assert list(run.iterdir()) == []


@pytest.mark.parametrize("room", [0, 1_500_000])
def test_a_disk_without_room_is_said_in_words(run: Path, tmp_path: Path, *, room: int) -> None:
    """A limit on file sizes is the full disk that a test can have."""
    file = write(tmp_path / "o", *(success(row, "x" * 1000) for row in range(2000)))
    prepare(run, [shard(RowSet.span(0, 1), (file,))]).commit(RECORD)
    before = (run / "output.jsonl").read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limit[1]))
    try:
        with pytest.raises(LocalFileError, match=r"output\.jsonl.* cannot be written: the file wo"):
            prepare(run, [shard(RowSet.span(0, 2000), (file,))])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert (run / "output.jsonl").read_bytes() == before
    assert len(list(run.iterdir())) == 3


def test_a_file_in_place_of_the_folder_is_said_in_words(run: Path) -> None:
    run.write_bytes(b"")
    with pytest.raises(
        LocalFileError, match="deeper cannot be written: part of this path is a file"
    ):
        prepare(run / "deeper", [])
