"""A parser of the page: its elements, its text and its links, as a browser sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final

VOID: Final = frozenset({"br", "col", "hr", "input", "link", "meta"})


@dataclass
class Element:
    """An element with what it holds."""

    name: str
    attributes: dict[str, str | None]
    parent: Element | None
    content: list[Element | str] = field(default_factory=list)

    @property
    def children(self) -> list[Element]:
        """The elements that it holds itself."""
        return [one for one in self.content if isinstance(one, Element)]

    @property
    def text(self) -> str:
        """All text in it."""
        return "".join(one if isinstance(one, str) else one.text for one in self.content)

    def all(self, name: str | None = None) -> list[Element]:
        """Return all elements in it, of a name if one is given, in document order."""
        found = []
        for child in self.children:
            if name in (None, child.name):
                found.append(child)
            found += child.all(name)
        return found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {}, None)
        self._at = self.root

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice"
        made = Element(tag, dict(attrs), self._at)
        self._at.content.append(made)
        if tag not in VOID:
            self._at = made

    def handle_endtag(self, tag: str) -> None:
        assert self._at.name == tag, f"</{tag}> ends <{self._at.name}>"
        assert self._at.parent is not None
        self._at = self._at.parent

    def handle_data(self, data: str) -> None:
        self._at.content.append(data)


def read_page(page: str) -> Element:
    """Read a page; fails where an element is not closed, or closed twice."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader._at is reader.root, f"<{reader._at.name}> is not closed"
    return reader.root
