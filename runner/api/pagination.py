"""Reading all pages of a list whose pages cannot be trusted.

A batch may be created again only if it is missing from a complete list, so the result must say
whether the list was read completely. Providers return repeated pages, cursors that do not advance,
empty pages with `has_more`, bare arrays, `value` instead of `data`, and no `has_more` at all (fact
sheet, section 5 and failure 24). Every doubt makes the result incomplete; none leads to an endless
loop.

Pure: a function given by the caller fetches the pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


PAGE_CAP: Final = 10_000
"""The number of pages after which a list is assumed to be endless."""

_MOST_NAMED: Final = 3


class ListEntry(Protocol):
    """The fields of a list entry that pagination needs."""

    @property
    def id(self) -> str:
        """The unique id of the entry."""

    @property
    def created_at(self) -> int | None:
        """When the object was created, in Unix seconds; None if the provider does not say."""


Entry = TypeVar("Entry", bound=ListEntry)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """One page as received: its raw entries, the cursor of the next page, and `has_more`.

    `more` is None if the provider does not say whether there are more pages.
    """

    entries: tuple[object, ...]
    cursor: str | None
    more: bool | None

    @classmethod
    def from_api(cls, raw: object) -> ListPage:
        """Read a page from decoded JSON; raises ValueError if it is not a list.

        A `data` of null is an empty page, as Go writes an empty slice; a missing `data` is not.
        """
        if isinstance(raw, list):
            return cls(entries=tuple(raw), cursor=_id(raw[-1]) if raw else None, more=None)
        if not isinstance(raw, dict):
            raise ValueError("neither a list object nor an array")  # noqa: TRY004
        entries = raw["data"] if "data" in raw else raw.get("value", ())
        if entries is None:
            entries = ()
        elif not isinstance(entries, list):
            raise ValueError("a list object without `data`")
        last, more = raw.get("last_id"), raw.get("has_more")
        cursor = last if isinstance(last, str) and last else None
        return cls(
            entries=tuple(entries),
            cursor=cursor or (_id(entries[-1]) if entries else None),
            more=more if isinstance(more, bool) else None,
        )

    def last(self, *, limit: int | None) -> bool:
        """Whether the list ends with this page.

        Without `has_more`, a page is the last one if its length differs from the requested
        `limit`: a longer page comes from a provider that ignores the limit and sends everything.
        Without a limit only an empty page is the last one.
        """
        if self.more is not None:
            return not self.more
        return not self.entries if limit is None else len(self.entries) != limit

    def short(self, *, limit: int | None) -> bool:
        """Whether this must be the last page, whatever `has_more` says.

        Some providers report more pages after the last entry and then return an empty page or the
        same page again (fact sheet, failure 24). No page can follow one that is not full.
        """
        return len(self.entries) < limit if limit is not None else not self.entries


@dataclass(frozen=True, slots=True, kw_only=True)
class ListResult(Generic[Entry]):
    """The entries of a list; the members are those of `protocol.BatchListing`.

    `possible_gap`: an empty page with `has_more` followed a full page.
    `unreadable`: what is wrong with the first of the `invalid` entries, with their places.
    """

    entries: tuple[Entry, ...]
    complete: bool
    possible_gap: bool = False
    descending: bool
    requests: int
    invalid: int
    unreadable: tuple[str, ...]


def read_pages(
    fetch: Callable[[str | None], tuple[ListPage, int | None]],
    *,
    read: Callable[[object], Entry | None],
    enough: Callable[[Sequence[Entry]], bool],
    page_cap: int = PAGE_CAP,
) -> ListResult[Entry]:
    """Read the pages of a list, from the first one on.

    `fetch` returns the page after a cursor (None: the first page) and the requested page size, if
    any. `read` converts a raw entry, returns None for one that has an id and cannot be the one that
    is searched for, or raises ValueError. `enough` is called after each page but the last with all
    entries so far; True ends the loop. Raises whatever `fetch` raises.
    """
    seen: dict[str, Entry] = {}
    cursors: set[str] = set()
    cursor: str | None = None
    anothers: set[str | None] = set()
    unreadable: list[str] = []
    place = requests = invalid = 0
    ended = full = possible_gap = False
    while requests < page_cap:
        page, limit = fetch(cursor)
        requests += 1
        known = len(seen) + len(anothers)
        for place, raw in enumerate(page.entries, start=place + 1):  # noqa: B020 - counts on
            try:
                entry = read(raw)
            except ValueError as error:
                # Count it: an entry that cannot be read may be the one that is searched for.
                invalid += 1
                if len(unreadable) < _MOST_NAMED:
                    unreadable.append(f"entry {place:,}: {error}")
                continue
            if entry is None:
                anothers.add(_id(raw))
            else:
                seen[entry.id] = entry
        nothing_new = len(seen) + len(anothers) == known
        if page.last(limit=limit) or (nothing_new and page.short(limit=limit)):
            # An empty page with `has_more` after a full page may be a gap in the list.
            possible_gap = full and not page.entries and page.more is True
            ended = not possible_gap
            break
        full = limit is not None and len(page.entries) >= limit
        stuck = nothing_new or page.cursor is None or page.cursor in cursors
        if stuck or enough(tuple(seen.values())):
            break
        cursor = page.cursor
        cursors.add(str(cursor))
    return ListResult(
        entries=tuple(seen.values()),
        complete=ended and not invalid,
        possible_gap=possible_gap,
        descending=_descending(seen.values()),
        requests=requests,
        invalid=invalid,
        unreadable=tuple(unreadable),
    )


def _descending(entries: Iterable[ListEntry]) -> bool:
    latest: int | None = None
    for entry in entries:
        if entry.created_at is None or (latest is not None and entry.created_at > latest):
            return False
        latest = entry.created_at
    return True


def _id(raw: object) -> str | None:
    identifier = raw.get("id") if isinstance(raw, dict) else None
    return identifier if isinstance(identifier, str) and identifier else None
