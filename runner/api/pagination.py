"""Walking through a paged list whose pages cannot be trusted.

"Nothing found" in a list is what allows a batch to be created again, so a walk must know whether
it saw everything. Providers return pages that repeat, cursors that stand still, empty pages that
promise more, bare arrays, `value` for `data`, and no `has_more` at all (fact sheet, section 5 and
failure 24). Every doubt makes the walk incomplete; none makes it endless.

Pure: pages come from a function.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


PAGE_CAP: Final = 10_000
"""Pages after which a list is taken to be endless."""


class Listed(Protocol):
    """What a walk needs to know of an entry."""

    @property
    def id(self) -> str:
        """What tells it from every other entry."""

    @property
    def created_at(self) -> int | None:
        """When it was made, in Unix seconds; None where the provider does not say."""


Entry = TypeVar("Entry", bound=Listed)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """One page as sent: entries not read yet, the cursor to the next, and whether there is one.

    `more` is None where the provider does not say.
    """

    entries: tuple[object, ...]
    cursor: str | None
    more: bool | None

    @classmethod
    def from_api(cls, raw: object) -> ListPage:
        """Read a page from decoded JSON; raises ValueError for what is no list of things.

        A `data` of null is an empty page (how Go writes an empty slice); an absent one is not.
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

        Where the provider does not say, a page ends the list if it is shorter than the `limit`
        asked for, or longer: a provider that ignores the limit has sent everything. Without a
        limit only an empty page does.
        """
        if self.more is not None:
            return not self.more
        return not self.entries if limit is None else len(self.entries) != limit

    def short(self, *, limit: int | None) -> bool:
        """Whether nothing can follow, whatever the provider claims.

        Some say that there is more after the last entry, with an empty page or the same one
        again (fact sheet, failure 24). A page that is not full has nothing behind it.
        """
        return len(self.entries) < limit if limit is not None else not self.entries


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk(Generic[Entry]):
    """What a walk has seen; the members are those of `protocol.BatchListing`.

    `doubtful`: it came, after a full page, to an empty one that promised more.
    """

    entries: tuple[Entry, ...]
    complete: bool
    doubtful: bool = False
    descending: bool
    requests: int
    invalid: int


def walk(
    fetch: Callable[[str | None], tuple[ListPage, int | None]],
    *,
    read: Callable[[object], Entry],
    enough: Callable[[Sequence[Entry]], bool],
    page_cap: int = PAGE_CAP,
) -> Walk[Entry]:
    """Walk through a list from its first page on.

    `fetch` returns the page after a cursor (None: the first) and the number of entries it was
    asked to hold, if any; `read` makes an entry of a raw one or raises ValueError; `enough` is
    asked after each page but the last. Raises whatever `fetch` raises.
    """
    seen: dict[str, Entry] = {}
    cursors: set[str] = set()
    cursor: str | None = None
    invalid = requests = 0
    ended = full = doubtful = False
    while requests < page_cap:
        page, limit = fetch(cursor)
        requests += 1
        known = len(seen)
        for raw in page.entries:
            try:
                entry = read(raw)
            except ValueError:
                # Counted, not hidden: an entry that cannot be read may be the one looked for.
                invalid += 1
            else:
                seen[entry.id] = entry
        nothing_new = len(seen) == known
        if page.last(limit=limit) or (nothing_new and page.short(limit=limit)):
            # An empty page that promises more may be a hole, if the page before it was full.
            doubtful = full and not page.entries and page.more is True
            ended = not doubtful
            break
        full = limit is not None and len(page.entries) >= limit
        stuck = nothing_new or page.cursor is None or page.cursor in cursors
        if stuck or enough(tuple(seen.values())):
            break
        cursor = page.cursor
        cursors.add(str(cursor))
    return Walk(
        entries=tuple(seen.values()),
        complete=ended and not invalid,
        doubtful=doubtful,
        descending=_descending(seen.values()),
        requests=requests,
        invalid=invalid,
    )


def _descending(entries: Iterable[Listed]) -> bool:
    latest: int | None = None
    for entry in entries:
        if entry.created_at is None or (latest is not None and entry.created_at > latest):
            return False
        latest = entry.created_at
    return True


def _id(raw: object) -> str | None:
    identifier = raw.get("id") if isinstance(raw, dict) else None
    return identifier if isinstance(identifier, str) and identifier else None
