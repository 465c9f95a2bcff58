"""The demo's data and its two scripts, run as a person runs them."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

FOLDER: Final = Path(__file__).resolve().parents[2] / "specs" / "banking77"

PUBLISHED: Final = {
    "banking77-test.csv": "d12d6e3bc4c3103966ae786dc435913c0c563dfa328f5a3646d0e62cfeeb474d",
    "banking77-train.csv": "b06e26ac675513959a63135f11b94ea7786ed02da65db93a5650d8838cbc664b",
}

EAST: Final = (1.0, 0.1)
NORTH: Final = (0.1, 1.0)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Lay out a project with a copy of the demo's scripts and CSV, and nothing else."""
    folder = tmp_path / "specs" / "banking77"
    folder.mkdir(parents=True)
    for name in ("make_requests.py", "accuracy.py", "banking77-test.csv"):
        shutil.copy(FOLDER / name, folder)
    return folder


def run(script: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, script], cwd=script.parent, text=True, capture_output=True, check=False
    )


def requests(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / name).read_bytes().splitlines()]


def questions() -> list[dict[str, str]]:
    with (FOLDER / "banking77-test.csv").open(encoding="utf-8", newline="") as rows:
        return list(csv.DictReader(rows))


@pytest.mark.parametrize(("name", "digest"), PUBLISHED.items())
def test_the_data_is_what_was_published(name: str, digest: str) -> None:
    assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest


def test_the_committed_requests_are_what_the_script_makes(copy: Path) -> None:
    assert run(copy / "make_requests.py").returncode == 0

    for name in ("test-embeddings.jsonl", "intents-chat.jsonl"):
        assert (copy / name).read_bytes() == (FOLDER / name).read_bytes()


def test_every_question_is_embedded_once_and_in_order() -> None:
    rows = questions()
    made = requests("test-embeddings.jsonl")

    assert len(rows) == 3080
    assert [request["body"]["input"] for request in made] == [row["text"] for row in rows]
    assert [request["custom_id"] for request in made] == [
        f"banking77-test-{number:04}" for number in range(1, 3081)
    ]
    assert {(request["method"], request["url"]) for request in made} == {("POST", "/v1/embeddings")}


def test_the_chat_job_asks_two_questions_of_each_intent() -> None:
    rows = questions()
    made = requests("intents-chat.jsonl")
    asked = {request["custom_id"]: request["body"]["messages"][1]["content"] for request in made}
    by_id = {f"banking77-test-{number:04}": row for number, row in enumerate(rows, start=1)}

    assert Counter(Counter(by_id[name]["category"] for name in asked).values()) == {2: 77}
    assert asked == {name: by_id[name]["text"] for name in asked}


def test_the_chat_job_names_every_intent_to_the_model() -> None:
    intents = {row["category"] for row in questions()}
    tasks = {
        request["body"]["messages"][0]["content"] for request in requests("intents-chat.jsonl")
    }

    assert len(tasks) == 1
    assert intents <= set(tasks.pop().splitlines())


@pytest.mark.parametrize("name", ["test-embeddings.jsonl", "intents-chat.jsonl"])
def test_custom_ids_are_in_the_alphabet_that_every_provider_takes(name: str) -> None:
    ids = [request["custom_id"] for request in requests(name)]

    assert len(set(ids)) == len(ids)
    assert [
        custom_id for custom_id in ids if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", custom_id)
    ] == []


def four_questions(folder: Path) -> None:
    """Replace the questions by four, two of each of two intents."""
    rows = "text,category\na,sun\nb,sun\nc,star\nd,star\n"
    (folder / "banking77-test.csv").write_text(rows, encoding="utf-8")


def response(number: int, embedding: object) -> str:
    body = {"object": "list", "data": [{"index": 0, "embedding": embedding}]}
    line = {
        "custom_id": f"banking77-test-{number:04}",
        "response": {"status_code": 200, "body": body},
        "error": None,
    }
    return json.dumps(line) + "\n"


def write_output(folder: Path, *lines: str) -> None:
    """Lay the output out as a finished run does: a revision, and `latest` that links to it."""
    job = folder.parents[1] / "outputs" / "banking77-embeddings"
    (job / "abc123").mkdir(parents=True)
    (job / "abc123" / "output.jsonl").write_text("".join(lines), encoding="utf-8")
    (job / "latest").symlink_to("abc123", target_is_directory=True)


def test_the_accuracy_is_the_share_whose_nearest_neighbour_has_its_intent(copy: Path) -> None:
    four_questions(copy)
    star_among_suns = (1.0, 0.2)
    vectors = enumerate([EAST, EAST, NORTH, star_among_suns], start=1)
    write_output(copy, *(response(number, vector) for number, vector in vectors))

    result = run(copy / "accuracy.py")

    assert result.returncode == 0, result.stderr
    assert result.stdout == (
        "1-nearest-neighbour intent accuracy over 2 intents, 4 queries: 0.750 (chance: 0.500)\n"
        "vectors: outputs/banking77-embeddings/abc123/output.jsonl; "
        "how they came about: run.json beside it\n"
    )


def test_the_accuracy_depends_on_directions_only_and_not_on_the_order_of_lines(copy: Path) -> None:
    four_questions(copy)
    vectors = {4: (0.001, 0.01), 2: (900.0, 90.0), 1: EAST, 3: NORTH}
    write_output(copy, *(response(number, vector) for number, vector in vectors.items()))

    assert ": 1.000 (chance" in run(copy / "accuracy.py").stdout


def test_every_question_is_compared_with_those_of_other_blocks(copy: Path) -> None:
    # Twice round a circle in 1,500 steps: the two of one direction stand in different blocks.
    rows = [f"{side}{number},intent{number}" for side in "ab" for number in range(1500)]
    text = "\n".join(["text,category", *rows]) + "\n"
    (copy / "banking77-test.csv").write_text(text, encoding="utf-8")
    angles = ((number, math.tau * number / 1500) for number in range(1, 3001))
    write_output(
        copy, *(response(number, (math.cos(angle), math.sin(angle))) for number, angle in angles)
    )

    assert "1500 intents, 3,000 queries: 1.000" in run(copy / "accuracy.py").stdout


def test_without_an_output_it_says_how_to_get_one(copy: Path) -> None:
    result = run(copy / "accuracy.py")

    assert (result.returncode, result.stdout) == (1, "")
    assert "outputs/banking77-embeddings/latest/output.jsonl: No such file" in result.stderr
    assert "`runner reconcile --wait specs/banking77/embeddings.yaml`" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        pytest.param(
            [response(1, EAST), response(2, EAST), response(4, NORTH)],
            "1 of 4 questions have no vector, banking77-test-0003 the first",
            id="missing",
        ),
        pytest.param(
            [response(number, EAST) for number in range(1, 6)],
            "1 vectors belong to no question of banking77-test.csv, banking77-test-0005",
            id="foreign",
        ),
        pytest.param(
            [response(number, EAST[: number % 2 + 1]) for number in range(1, 5)],
            "The vectors are of several lengths: 1 to 2.",
            id="lengths",
        ),
        pytest.param(
            [response(number, (0.0, 0.0)) for number in range(1, 5)],
            "Some vectors are zero or not finite",
            id="zero",
        ),
        pytest.param([response(1, EAST), '{"id": 1}\n'], "output.jsonl:2: no", id="no-response"),
        pytest.param(['{"custom_id": "banking77'], "output.jsonl:1: no embedding", id="cut-short"),
        pytest.param([response(1, "base64")], "output.jsonl:1: no embedding", id="text"),
        pytest.param([response(1, 0.5)], "output.jsonl:1: no embedding", id="one-number"),
    ],
)
def test_an_output_that_is_not_whole_is_refused_in_words(
    copy: Path, lines: list[str], message: str
) -> None:
    four_questions(copy)
    write_output(copy, *lines)

    result = run(copy / "accuracy.py")

    assert (result.returncode, result.stdout) == (1, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr
