"""The pins fit together and fit what is declared; shown without asking a registry."""

from __future__ import annotations

import json
import re
from importlib.metadata import PackageNotFoundError, requires
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.setup.interpreters import AWAITED, classified
from tests.setup.pins import FILES, FOLDER, FOREIGN, PROJECT, ROOT, declared, pinned, unmet

if TYPE_CHECKING:
    from collections.abc import Iterable


def asked_for_by(pins: Iterable[Requirement]) -> list[Requirement]:
    """Return what the pinned packages that are installed here ask for, with the pins' extras."""
    asked = []
    for pin in pins:
        try:
            texts = requires(pin.name) or ()
        except PackageNotFoundError:
            assert pin.marker is not None, f"`make setup` installs {pin.name}"
            continue
        for requirement in map(Requirement, texts):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": e}) for e in ("", *pin.extras)):
                requirement.marker = None
                asked.append(requirement)
    return asked


@pytest.mark.parametrize("name", [*FILES, *FOREIGN])
def test_every_declared_dependency_is_pinned_as_declared(name: str) -> None:
    assert unmet(pinned(name), declared(name)) == [], "`make pins` writes them anew"


@pytest.mark.parametrize("name", ["demo.txt", "dev.txt"])
def test_every_requirement_of_a_pinned_package_is_pinned_with_its_extras(name: str) -> None:
    pins = pinned(name)

    assert unmet(pins, asked_for_by(pins)) == []


def test_a_pin_without_the_extra_that_is_asked_for_is_found() -> None:
    pins = pinned("dev.txt")
    for pin in pins:
        pin.extras = set()

    assert any(text.startswith("coverage[toml]") for text in unmet(pins, asked_for_by(pins)))


def test_what_the_demo_needs_is_pinned_to_the_same_versions_for_the_tests() -> None:
    assert set(map(str, pinned("demo.txt"))) - set(map(str, pinned("dev.txt"))) == set()


def test_pip_is_there_wherever_runner_is() -> None:
    # runner.extras says to run it.
    assert "pip" in {canonicalize_name(pin.name) for pin in pinned("demo.txt")}


@pytest.mark.parametrize("name", [*FILES, *FOREIGN])
def test_every_pin_has_hashes_and_no_address(name: str) -> None:
    text = (FOLDER / name).read_text("utf-8")
    entries = re.split(r"(?m)^(?=\w)", text)[1:]

    assert len(entries) == len(pinned(name))
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    assert not re.search(r"://|^-|@", text, re.MULTILINE)


def test_the_page_names_the_servers_that_are_pinned() -> None:
    page = (ROOT / "docs/howto/self-hosted.md").read_text("utf-8")
    named = dict(re.findall(r"`([\w@/-]+)` (\d+(?:\.\d+)+)", page))
    lock = json.loads((FOLDER / "foreign/package-lock.json").read_text("utf-8"))["packages"]
    pins = {pin.name: str(pin.specifier)[2:] for name in FOREIGN for pin in pinned(name)}

    assert named == {name: pins[name] for name in ("aibrix", "llmock", "ogx")} | {
        name: lock[f"node_modules/{name}"]["version"] for name in lock[""]["dependencies"]
    }


def test_the_lock_of_node_has_digests_and_no_address() -> None:
    lock = json.loads((FOLDER / "foreign/package-lock.json").read_text("utf-8"))["packages"]
    packages = [package for path, package in lock.items() if path]

    assert [package for package in packages if "integrity" not in package] == []
    assert [package for package in packages if "resolved" in package] == []


def test_every_place_names_the_same_pythons() -> None:
    named = classified()
    oldest, newest = named[0], named[-1]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    readme = " ".join((ROOT / "README.md").read_text("utf-8").split())

    assert PROJECT["project"]["requires-python"] == f">={oldest}"
    assert f"(3, {oldest[2:]}) <= sys.version_info < (3, {int(AWAITED[2:]) + 1})" in makefile
    assert makefile.count(f"{oldest} to {AWAITED}") == 2
    assert f"CPython {', '.join(named[:-1])} and {newest}" in readme
    assert f"Both need Python {oldest} to {AWAITED}" in readme
    assert f"wheels for Python {AWAITED}" in readme
