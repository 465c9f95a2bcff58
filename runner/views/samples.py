"""A few requests of a run beside their answers, read from the beginnings of its files.

Files may be gigabytes, and a report must not take longer for it: of each file a few megabytes at
most are read. An answer whose request stands further down is shown without it, and says so. A
request is shown only from an input that is still, byte for byte, what was asked.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from runner.errors import InputChanged, InvalidInput, LocalFileError
from runner.inputs.fingerprint import Fingerprint, read, unchanging
from runner.inputs.lines import BYTE_ORDER_MARK
from runner.outputs.classification import classify
from runner.outputs.run_folder import ERRORS, OUTPUT, FileRejected, open_file
from runner.spec.project import Limits
from runner.views.conversation import answered, asked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from runner.ledger.store import Ledger
    from runner.views.conversation import Turn


HEAD_OF_RESULTS: Final = 2_000_000
HEAD_OF_INPUT: Final = 4_000_000
"""Bytes that are read from the beginning of a file; an input of no more may be hashed anew."""


class _Named(msgspec.Struct):
    """What is read of a line of an input until the request is found."""

    custom_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSource:
    """An input to show requests of: where it is, its name for people, and what it should be.

    `digest` is that of the requests that were asked; None while nothing was, and anything goes.
    """

    path: Path
    shown: str
    endpoint: str
    digest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One request and what came of it.

    `asked` is empty where the request is not shown. `code` and `message` say why there is no
    success; `answered` is empty then, and also where there is no answer yet.
    """

    custom_id: str
    asked: tuple[Turn, ...] = ()
    answered: tuple[Turn, ...] = ()
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """The first requests that were answered, that failed, or that wait, each in input order.

    Those that wait are given only where there are no results. `note` says why requests are
    missing.
    """

    answered: tuple[Sample, ...] = ()
    failed: tuple[Sample, ...] = ()
    waiting: tuple[Sample, ...] = ()
    note: str | None = None


def take_samples(
    source: SampleSource, folder: Path | None, ledger: Ledger | None, *, most: int
) -> Samples:
    """Read up to `most` requests of each kind; `folder` is where the results are, if anywhere.

    Raises nothing for what is wrong with a file: there are fewer samples then.
    """
    if most <= 0:
        return Samples()
    good = _results(folder, OUTPUT, most) if folder is not None else []
    bad = _results(folder, ERRORS, most) if folder is not None else []
    wanted = {sample.custom_id for sample in (*good, *bad)}
    note: str | None = f"{source.shown} cannot be read as it was asked, so no request is shown"
    try:
        if not _is_what_was_asked(source, ledger):
            note = f"{source.shown} may have changed since it was asked, so no request is shown"
            return Samples(answered=tuple(good), failed=tuple(bad), note=note)
        if not wanted:
            return Samples(waiting=tuple(_first(source, most)))
        requests = _find(source, wanted)
    except (InputChanged, InvalidInput, LocalFileError):
        return Samples(answered=tuple(good), failed=tuple(bad), note=note)
    note = None
    if wanted - requests.keys():
        note = (
            f"of {source.shown} the first {HEAD_OF_INPUT // 1_000_000} MB were looked through; "
            f"requests further down are not shown"
        )
    return Samples(answered=_joined(good, requests), failed=_joined(bad, requests), note=note)


def _joined(samples: list[Sample], requests: Mapping[str, tuple[Turn, ...]]) -> tuple[Sample, ...]:
    return tuple(
        dataclasses.replace(sample, asked=requests.get(sample.custom_id, ())) for sample in samples
    )


# Results -----------------------------------------------------------------------------------


def _results(folder: Path, name: str, most: int) -> list[Sample]:
    """Read the first lines of a final file; none where it is not there or not to be opened."""
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
        return Sample(custom_id=verdict.custom_id, code=verdict.code, message=verdict.message)
    try:
        body = json.loads(line)["response"]["body"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return None
    return Sample(custom_id=verdict.custom_id, answered=answered(body))


def _whole_lines(data: bytes, *, whole: bool) -> Iterator[bytes]:
    """Yield the lines of the beginning of a file; the last one only if the file ends with it."""
    lines = data.removeprefix(BYTE_ORDER_MARK).split(b"\n")
    if not whole:
        lines.pop()
    return (line for line in lines if line and not line.isspace())


# Requests ----------------------------------------------------------------------------------


def _is_what_was_asked(source: SampleSource, ledger: Ledger | None) -> bool:
    """Whether an input still has the requests that were sent, as far as that is cheap to say.

    By its fingerprint, or by hashing it once more where it is small. Raises InvalidInput,
    InputChanged or LocalFileError where it cannot be read or sent any more.
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
        yield Sample(custom_id=name, asked=asked(_body(line)))
        most -= 1
        if most == 0:
            return


def _find(source: SampleSource, wanted: set[str]) -> dict[str, tuple[Turn, ...]]:
    """Return the requests of these ids that stand at the beginning of an input."""
    found: dict[str, tuple[Turn, ...]] = {}
    for line in _head(source):
        name = _custom_id(line)
        if name is not None and name in wanted and name not in found:
            found[name] = asked(_body(line))
            if len(found) == len(wanted):
                break
    return found


def _head(source: SampleSource) -> Iterator[bytes]:
    with unchanging(source.path, shown=source.shown) as (file, _):
        data = read(file, HEAD_OF_INPUT, shown=source.shown)
    return _whole_lines(data, whole=len(data) < HEAD_OF_INPUT)


def _custom_id(line: bytes) -> str | None:
    try:
        return msgspec.json.decode(line, type=_Named).custom_id
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _body(line: bytes) -> object:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value.get("body") if isinstance(value, dict) else None
