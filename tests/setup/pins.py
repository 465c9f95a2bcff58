"""The files of `requirements/` and what pyproject.toml asks of them, as tests read them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "requirements"
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

FILES: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "demo.txt": (("local",), ("build",)),
    "dev.txt": (("local",), ("dev",)),
    "browser.txt": ((), ("browser",)),
    "mutants.txt": ((), ("mutants",)),
    "pins.txt": ((), ("pins",)),
}
"""The extras and the dependency groups that each file pins; with an extra go the dependencies."""

FOREIGN: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    f"foreign/{name}.txt": ((), (f"foreign-{name}",))
    for name in ("aibrix", "llmock", "ogx", "openapi")
}
"""The same of the servers of `make foreign`, which are for one Python."""


def pinned(name: str) -> list[Requirement]:
    """Read the pins of a file, with their extras and markers."""
    text = (FOLDER / name).read_text("utf-8")
    return [Requirement(line) for line in re.findall(r"(?m)^(\w[^\\\n]*?) *\\?$", text)]


def declared(name: str) -> list[Requirement]:
    """Read what a file has to pin, as pyproject.toml declares it."""
    extras, groups = {**FILES, **FOREIGN}[name]
    texts: list[str] = list(PROJECT["project"]["dependencies"]) if extras else []
    for extra in extras:
        texts += PROJECT["project"]["optional-dependencies"][extra]
    requirements = [Requirement(text) for text in texts]
    for group in groups:
        requirements += _group(group)
    return requirements


def _group(name: str) -> list[Requirement]:
    """Read a dependency group, the groups it includes along with it."""
    requirements = []
    for entry in PROJECT["dependency-groups"][name]:
        if isinstance(entry, str):
            requirements.append(Requirement(entry))
        else:
            requirements += _group(entry["include-group"])
    return requirements


def unmet(
    pins: Iterable[Requirement],
    wanted: Iterable[Requirement],
    environment: Mapping[str, str] | None = None,
) -> list[str]:
    """Return the requirements that no pin meets: the name, the extras and the version.

    An old pip looks for a requirement that is pinned without one of its extras as if there were no
    pin, finds a newer release, and refuses it for want of a hash. Markers are evaluated for an
    environment, this Python's by default.
    """
    given = dict(environment or {})
    meets: dict[str, list[Requirement]] = {}
    for pin in pins:
        if pin.marker is None or pin.marker.evaluate(given):
            meets.setdefault(canonicalize_name(pin.name), []).append(pin)
    return [
        str(requirement)
        for requirement in wanted
        if (requirement.marker is None or requirement.marker.evaluate({"extra": "", **given}))
        and not any(
            requirement.extras <= pin.extras
            and requirement.specifier.contains(next(iter(pin.specifier)).version, prereleases=True)
            for pin in meets.get(canonicalize_name(requirement.name), ())
        )
    ]
