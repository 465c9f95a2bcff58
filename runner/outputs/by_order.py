"""Match the lines of a result file with their requests by order, where lines name no request.

Some gateways lose or alter `custom_id`. Nothing then shows which response is whose, except that
most servers write them in the order of the requests. A user who knows that of theirs may request
the match; it is never made without that. The lines get the custom_ids of the requests at their
places, and go into a file of their own beside the one that was downloaded: so the final files still
hold lines of `raw/`, and anybody can see which of them were matched in this way.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import msgspec

from runner.files import explained, part_of, parts_of, rename, sweep, sync_folder
from runner.outputs.files import FileRejected
from runner.outputs.publish import LineWriter, SourceFiles
from runner.outputs.result_files import MALFORMED, classify, lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from runner.outputs.record import FileDigest


_CUSTOM_ID: Final = "custom_id"
_ABSENT: Final = "no_response"


def by_order_name(output: str) -> str:
    """Return the name of the file of matched lines: that of the output file, with its kind."""
    return f"{output.removesuffix('.output.jsonl')}.by-order.jsonl"


def match_by_order(source: Path, ids: Sequence[str]) -> Iterator[bytes]:
    """Yield the lines of an output file that name no request, with the custom_ids of `ids`.

    `ids` are the custom_ids of the requests in their order. A line that names its request stays
    out. Every line is read, and nothing is written. Raises LocalFileError, and FileRejected with
    the reason if the file has another number of lines, one of a request at another place, or one
    that is no result.
    """
    count = sum(1 for _ in lines(source))
    if count != len(ids):
        raise FileRejected(f"has {count:,} lines for {len(ids):,} requests")
    places = {custom_id: place for place, custom_id in enumerate(ids)}
    for place, (_, _, content, whole) in enumerate(lines(source)):
        found = classify(content).custom_id
        named = None if found is None else places.get(found)
        if named == place:
            continue
        if named is not None:
            raise FileRejected(
                f"contradicts the order: its line {place + 1:,} is of {found}, which is request "
                f"{named + 1:,}"
            )
        yield _with_custom_id(content if whole else b"", ids[place], place + 1)


def write_by_order(source: Path, target: Path, ids: Sequence[str]) -> FileDigest:
    """Write the lines of `match_by_order` to a file, and return its digest once it is on the disk.

    Raises what `match_by_order` raises; an earlier file of that name is then as it was.
    """
    sweep(target.parent, parts_of(target.name))
    part = part_of(target)
    with SourceFiles() as sources:
        writer = LineWriter(part, sources)
        try:
            for line in match_by_order(source, ids):
                writer.append(line)
            digest = writer.finish()
        except BaseException:
            writer.abandon()
            raise
    with explained(target, doing="written"):
        rename(part, target)
    # The name must be durable before the ledger records that the file is there.
    sync_folder(target.parent)
    return digest


def unknown_names(source: Path, ids: Iterable[str]) -> frozenset[str]:
    """Return the custom_ids in a result file that are not in `ids`. Raises LocalFileError."""
    known = frozenset(ids)
    found = (classify(content).custom_id for _, _, content, _ in lines(source))
    return frozenset(name for name in found if name is not None and name not in known)


def is_made_of(target: Path, source: Path) -> bool:
    """Whether each line of a file of matched lines is one of `source` but for its custom_id.

    They must come in the same order. Raises LocalFileError.
    """
    remaining = (_without_custom_id(content) for _, _, content, _ in lines(source))
    # Membership takes from `remaining` up to the line that is found, so the order counts.
    return all(_without_custom_id(content) in remaining for _, _, content, _ in lines(target))


def _with_custom_id(line: bytes, custom_id: str, number: int) -> bytes:
    """Return a line with another custom_id; every other member keeps its bytes.

    Raises FileRejected if the line is no result.
    """
    members = _members(line)
    if members is None:
        raise FileRejected(f"has no JSON object in line {number:,}")
    members[_CUSTOM_ID] = msgspec.Raw(json.dumps(custom_id).encode())
    named = msgspec.json.encode(members)
    if "response" not in members or classify(named).code in (MALFORMED, _ABSENT):
        raise FileRejected(f"has no result of a request in line {number:,}")
    return named


def _without_custom_id(line: bytes) -> bytes:
    members = _members(line) or {}
    members.pop(_CUSTOM_ID, None)
    return msgspec.json.encode(members)


def _members(line: bytes) -> dict[str, msgspec.Raw] | None:
    """Decode the names of an object's members; their values stay bytes. None if it is no object."""
    try:
        return msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
