"""Say how well the vectors of the job `banking77-embeddings` tell 77 intents apart.

Every question is given the intent of the question nearest to it among all the others (cosine),
and the share that is right is printed. There is nothing to train and nothing to tune, so the
figure judges the vectors alone: whoever runs the job with another model can compare.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[1]
JOB: Final = "banking77-embeddings"

BLOCK: Final = 1024
"""How many questions are compared with all the others at a time, to bound the memory."""


class NotUsable(Exception):
    """The output is not there, not whole, or not what the job asks for; the text says which."""


def read_intents(path: Path) -> dict[str, str]:
    """Read the intent of each question, keyed by the `custom_id` its request carries."""
    with path.open(encoding="utf-8", newline="") as rows:
        return {
            f"banking77-test-{number:04}": row["category"]
            for number, row in enumerate(csv.DictReader(rows), start=1)
        }


def read_vectors(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read the vector of each response line, keyed by `custom_id`.

    Raises `NotUsable` where there is no such file or a line holds no embedding.
    """
    vectors: dict[str, NDArray[np.float32]] = {}
    try:
        lines = path.open("rb")
    except OSError as error:
        raise NotUsable(
            f"{_shown(path)}: {error.strerror}. The job {JOB} has not finished here: "
            "`runner reconcile --wait specs/banking77/embeddings.yaml` runs it."
        ) from error
    with lines:
        for number, line in enumerate(lines, start=1):
            try:
                response = json.loads(line)
                embedding = response["response"]["body"]["data"][0]["embedding"]
                vectors[response["custom_id"]] = np.fromiter(embedding, dtype=np.float32)
            except (ValueError, LookupError, TypeError) as error:
                raise NotUsable(
                    f"{_shown(path)}:{number}: no embedding in this line ({error!r})."
                ) from error
    return vectors


def stack(
    vectors: Mapping[str, NDArray[np.float32]], custom_ids: Sequence[str]
) -> NDArray[np.float32]:
    """Lay the vectors out as rows of length 1, in the order of `custom_ids`.

    Shape `(len(custom_ids), dimensions)`. Raises `NotUsable` where one is missing, foreign,
    of another length than the rest, or has no direction.
    """
    missing = [custom_id for custom_id in custom_ids if custom_id not in vectors]
    if missing:
        raise NotUsable(
            f"{len(missing):,} of {len(custom_ids):,} questions have no vector, "
            f"{missing[0]} the first of them. errors.jsonl beside the output says why, and "
            f"`runner retry {JOB}` asks them again."
        )
    foreign = vectors.keys() - set(custom_ids)
    if foreign:
        raise NotUsable(
            f"{len(foreign):,} vectors belong to no question of banking77-test.csv, "
            f"{min(foreign)} the first of them."
        )
    lengths = sorted({len(vectors[custom_id]) for custom_id in custom_ids})
    if len(lengths) > 1:
        raise NotUsable(f"The vectors are of several lengths: {lengths[0]} to {lengths[-1]}.")
    rows: NDArray[np.float32] = np.stack([vectors[custom_id] for custom_id in custom_ids])
    norms: NDArray[np.float32] = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (np.isfinite(norms).all() and norms.all()):
        raise NotUsable("Some vectors are zero or not finite: they point nowhere.")
    rows /= norms
    return rows


def nearest_neighbour_accuracy(
    rows: NDArray[np.float32], labels: NDArray[np.str_], *, block: int = BLOCK
) -> float:
    """Share of rows whose nearest other row has the same label.

    `rows` are of length 1, so that a dot product is a cosine. Of equally near rows the first
    counts.
    """
    right = 0
    for start in range(0, len(rows), block):
        cosines = rows[start : start + block] @ rows.T
        own = np.arange(len(cosines))
        cosines[own, start + own] = -np.inf
        right += int((labels[cosines.argmax(axis=1)] == labels[start : start + block]).sum())
    return right / len(rows)


def report(output: Path, questions: Path) -> str:
    """Compute the figure and say it, with the place of what it was computed from."""
    intents = read_intents(questions)
    custom_ids = tuple(intents)
    rows = stack(read_vectors(output), custom_ids)
    labels = np.array([intents[custom_id] for custom_id in custom_ids])
    accuracy = nearest_neighbour_accuracy(rows, labels)
    kinds = len(set(intents.values()))
    return (
        f"1-nearest-neighbour intent accuracy over {kinds} intents, "
        f"{len(rows):,} queries: {accuracy:.3f} (chance: {1 / kinds:.3f})\n"
        f"vectors: {_shown(output)}; how they came about: run.json beside it"
    )


def _shown(path: Path) -> Path:
    """Shorten to what a person types at the project's root, links followed."""
    whole = path.resolve()
    return whole.relative_to(ROOT) if whole.is_relative_to(ROOT) else whole


def main() -> int:
    """Print the answer, or on stderr why there is none; return the exit code."""
    try:
        answer = report(
            ROOT / "outputs" / JOB / "latest" / "output.jsonl", HERE / "banking77-test.csv"
        )
    except NotUsable as error:
        print(error, file=sys.stderr)
        return 1
    print(answer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
