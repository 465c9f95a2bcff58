"""Samples of a run: a few requests with their responses, from the beginnings of its files.

Files may have gigabytes and a report must be made quickly, so a few megabytes of each file are
read at most. A response whose request comes later in the input is shown without it, with a note.
A request is shown only if the input is still, byte for byte, the one that was submitted.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from runner.errors import InputChanged, InvalidInput, LocalFileError
from runner.inputs.reading import BYTE_ORDER_MARK, Fingerprint, open_unchanged, read
from runner.outputs.files import ERRORS, OUTPUT, FileRejected, open_file
from runner.outputs.result_files import classify, opened, read_line
from runner.spec.leaked_secrets import masked
from runner.spec.project import Limits
from runner.views.conversation import request_turns, response_turns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from runner.ledger.store import Ledger
    from runner.views.conversation import Turn


HEAD_OF_RESULTS: Final = 2_000_000
HEAD_OF_INPUT: Final = 4_000_000
"""Bytes that are read from the beginning of a file; an input of at most that size is hashed."""


class _LineId(msgspec.Struct):
    """The `custom_id` of a line of an input; the rest of the line is not decoded."""

    custom_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSource:
    """The input of a run.

    `shown` is its path as the user writes it. `digest` is that of the submitted requests; None
    before the first submission, when any content is right.
    """

    path: Path
    shown: str
    endpoint: str
    digest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One request with its response.

    `request` has its turns, none if it is not shown. `response` has the turns of the
    response, none if the request is pending or failed; `code` and `message` are those of the
    failure.
    """

    custom_id: str
    request: tuple[Turn, ...] = ()
    response: tuple[Turn, ...] = ()
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """The first requests that succeeded, failed or are pending, each in the order of the input.

    There are pending ones only if there are no results. `note` is the reason if requests are not
    shown.
    """

    succeeded: tuple[Sample, ...] = ()
    failed: tuple[Sample, ...] = ()
    pending: tuple[Sample, ...] = ()
    note: str | None = None


def read_samples(
    source: SampleSource, folder: Path | None, ledger: Ledger | None, *, most: int
) -> Samples:
    """Read up to `most` requests of each kind; `folder` is the output folder, if there is one.

    A file that cannot be read gives no samples; nothing is raised.
    """
    if most <= 0:
        return Samples()
    good = _results(folder, OUTPUT, most) if folder is not None else []
    bad = _results(folder, ERRORS, most) if folder is not None else []
    wanted = {sample.custom_id for sample in (*good, *bad)}
    note: str | None = f"{source.shown} cannot be read as it was submitted, so no request is shown"
    try:
        if not _is_unchanged(source, ledger):
            note = f"{source.shown} may have changed since it was submitted, so no request is shown"
            return Samples(succeeded=tuple(good), failed=tuple(bad), note=note)
        if not wanted:
            return Samples(pending=tuple(_first(source, most)))
        requests = _find(source, wanted)
    except (InputChanged, InvalidInput, LocalFileError):
        return Samples(succeeded=tuple(good), failed=tuple(bad), note=note)
    note = None
    if wanted - requests.keys():
        note = (
            f"of {source.shown} the first {HEAD_OF_INPUT // 1_000_000} MB were searched; "
            f"requests further down are not shown"
        )
    return Samples(succeeded=_joined(good, requests), failed=_joined(bad, requests), note=note)


def _joined(samples: list[Sample], requests: Mapping[str, tuple[Turn, ...]]) -> tuple[Sample, ...]:
    return tuple(
        dataclasses.replace(sample, request=requests.get(sample.custom_id, ()))
        for sample in samples
    )


# Results -----------------------------------------------------------------------------------


def _results(folder: Path, name: str, most: int) -> list[Sample]:
    """Read the first lines of a final file; none if it does not exist or cannot be opened."""
    try:
        with open_file(folder, name) as file:
            data = file.read(HEAD_OF_RESULTS)
            whole = len(data) < HEAD_OF_RESULTS
    except (OSError, FileRejected):
        return []
    samples = []
    for line in _whole_lines(data, whole=whole):
        sample = _result(line)
        if sample is not None:
            samples.append(sample)
        if len(samples) == most:
            break
    return samples


def _result(line: bytes) -> Sample | None:
    verdict = classify(line)
    if verdict.custom_id is None:
        return None
    if verdict.code is not None:
        return Sample(
            custom_id=verdict.custom_id, code=verdict.code, message=masked(verdict.message or "")
        )
    try:
        body = opened(read_line(line)["response"]["body"])  # type: ignore[index]
    except (ValueError, LookupError, TypeError):
        return None
    return Sample(custom_id=verdict.custom_id, response=response_turns(body))


def _whole_lines(data: bytes, *, whole: bool) -> Iterator[bytes]:
    """Yield the lines of the beginning of a file; the last one only if the file ends with it."""
    lines = data.removeprefix(BYTE_ORDER_MARK).split(b"\n")
    if not whole:
        lines.pop()
    return (line for line in lines if line and not line.isspace())


# Requests ----------------------------------------------------------------------------------


def _is_unchanged(source: SampleSource, ledger: Ledger | None) -> bool:
    """Whether an input is known to have the requests that were submitted.

    Known by its fingerprint, or by hashing it again if it is small. Raises InvalidInput,
    InputChanged or LocalFileError if it cannot be read or is not valid any more.
    """
    if source.digest is None:
        return True
    fingerprint = Fingerprint.of(source.path)
    recorded = None if ledger is None else ledger.cached_digest(fingerprint)
    if recorded is not None:
        return recorded[0] == source.digest
    if fingerprint.size > HEAD_OF_INPUT:
        return False
    from runner.inputs.scan import scan

    found = scan(source.path, shown=source.shown, endpoint=source.endpoint, limits=Limits())
    return found.digest == source.digest


def _first(source: SampleSource, most: int) -> Iterator[Sample]:
    for line in _head(source):
        name = _custom_id(line)
        if name is None:
            continue
        yield Sample(custom_id=name, request=request_turns(_body(line)))
        most -= 1
        if most == 0:
            return


def _find(source: SampleSource, wanted: set[str]) -> dict[str, tuple[Turn, ...]]:
    """Return the turns of the requests with these ids, from the beginning of an input."""
    found: dict[str, tuple[Turn, ...]] = {}
    for line in _head(source):
        name = _custom_id(line)
        if name is not None and name in wanted and name not in found:
            found[name] = request_turns(_body(line))
            if len(found) == len(wanted):
                break
    return found


def _head(source: SampleSource) -> Iterator[bytes]:
    with open_unchanged(source.path, shown=source.shown) as (file, _):
        data = read(file, HEAD_OF_INPUT, shown=source.shown)
    return _whole_lines(data, whole=len(data) < HEAD_OF_INPUT)


def _custom_id(line: bytes) -> str | None:
    try:
        return msgspec.json.decode(line, type=_LineId).custom_id
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _body(line: bytes) -> object:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value.get("body") if isinstance(value, dict) else None
