"""The command that installs an extra of runner: libraries that only some features need.

The command depends on the source that runner was installed from. pip, pipx and uv write the source
into runner's metadata (PEP 610). No command searches a package registry for `batch-runner`: runner
is not published, so a package of that name there is another program.
"""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME: Final = "batch-runner"
"""The distribution, as pyproject.toml names it."""

_OF_AN_EXTRA: Final = re.compile(r"(?P<requirement>[^;]+);\s*extra == ['\"](?P<extra>[\w-]+)['\"]")
"""A requirement of an extra, as hatchling writes it into the metadata."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Where runner was installed from: a URL that pip takes, and the path if it is of a file."""

    url: str
    path: Path | None
    editable: bool


def how_to_install(extra: str) -> str:
    """Return the shell command that adds an extra to this Python, for the end of a sentence.

    The same source is installed again, with the extra. Where that is not known, or is gone, the
    command names the libraries of the extra one by one; where not even these are known, a sentence
    is returned instead of a command. pip is there: it is a requirement of sqlite-utils.
    """
    pip = f"{shlex.quote(sys.executable)} -m pip install"
    source = _source()
    if source is not None and (source.path is None or source.path.exists()):
        if source.editable:
            return f"{pip} --editable {shlex.quote(f'{source.path}[{extra}]')}"
        return f"{pip} {shlex.quote(f'{NAME}[{extra}] @ {source.url}')}"
    libraries = _libraries(extra)
    if libraries:
        return f"{pip} {shlex.join(libraries)}"
    return f"install runner again the way it was, with its extra `{extra}`"


def requirement(extras: Iterable[str]) -> str | None:
    """Return what pip on another machine takes to install this very runner with these extras.

    None where runner came from a place that only this machine has, or that is not known.
    """
    source = _source()
    if source is None or source.path is not None:
        return None
    return f"{named(extras)} @ {source.url}"


def named(extras: Iterable[str]) -> str:
    """Return runner's name with extras: `batch-runner[notify,tokens]`."""
    chosen = ",".join(extras)
    return f"{NAME}[{chosen}]" if chosen else NAME


def _source() -> _Source | None:
    """Read where runner was installed from; None where its metadata does not say."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        text = distribution(NAME).read_text("direct_url.json")
    except PackageNotFoundError:
        # A checkout that is on the path without being installed.
        checkout = Path(__file__).resolve().parents[1]
        if (checkout / "pyproject.toml").is_file():
            return _Source(url=checkout.as_uri(), path=checkout, editable=True)
        return None
    return None if text is None else _read(msgspec.json.decode(text, type=dict[str, Any]))


def _read(record: dict[str, Any]) -> _Source | None:
    """Read a record of PEP 610; it holds no password, as installers strip them.

    Returns None for a repository of this machine: pip before 24.1 takes no requirement with such a
    URL.
    """
    url: str = record["url"]
    parts = urlsplit(url)
    path = Path(url2pathname(parts.path)) if parts.scheme == "file" else None
    if (vcs := record.get("vcs_info")) is not None:
        if path is not None:
            return None
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    if (folder := record.get("subdirectory")) is not None:
        url += f"#subdirectory={folder}"
    editable = record.get("dir_info", {}).get("editable", False)
    return _Source(url=url, path=path, editable=editable)


def _libraries(extra: str) -> list[str]:
    """Return the requirements of an extra, as runner's metadata has them."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        declared = requires(NAME) or ()
    except PackageNotFoundError:
        return []
    found = [_OF_AN_EXTRA.fullmatch(line) for line in declared]
    return [match["requirement"].strip() for match in found if match and match["extra"] == extra]
