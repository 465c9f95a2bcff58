"""What to run to add an extra, for each way in which runner can have been installed."""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING, Any

import pytest

from runner import extras

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Install = Callable[..., None]

METADATA = """Metadata-Version: 2.4
Name: batch-runner
Version: 0.1.0
Requires-Dist: click>=8.1
Provides-Extra: local
Requires-Dist: numpy>=2; extra == 'local'
Requires-Dist: wordllama==0.2.2.*; extra == 'local'
Provides-Extra: notify
Requires-Dist: apprise>=1.9; extra == 'notify'
"""
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put runner's metadata before all others, with a record of where it came from, or none."""

    def install(origin: dict[str, Any] | None) -> None:
        folder = tmp_path / "site/batch_runner-0.1.0.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(METADATA)
        if origin is not None:
            (folder / "direct_url.json").write_text(json.dumps(origin))
        monkeypatch.syspath_prepend(folder.parent)

    return install


def arguments(command: str) -> list[str]:
    """Return what a shell would give to pip; the command has to be one of this Python's."""
    python, *words = shlex.split(command)
    assert python == sys.executable
    assert words[:3] == ["-m", "pip", "install"]
    return words[3:]


def test_a_checkout_in_place_is_installed_in_place_again(install: Install, tmp_path: Path) -> None:
    checkout = tmp_path / "my runner"
    checkout.mkdir()
    install({"url": checkout.as_uri(), "dir_info": {"editable": True}})

    assert arguments(extras.how_to_install("local")) == ["--editable", f"{checkout}[local]"]
    assert extras.requirement(["notify"]) is None


@pytest.mark.parametrize(
    ("name", "info"),
    [
        ("checkout", {"dir_info": {}}),
        ("batch_runner-0.1.0-py3-none-any.whl", {"archive_info": {"hashes": {"sha256": "0"}}}),
    ],
)
def test_a_folder_or_file_of_this_machine_is_installed_again_while_it_is_there(
    install: Install, tmp_path: Path, name: str, info: dict[str, Any]
) -> None:
    source = tmp_path / name
    source.touch()
    install({"url": source.as_uri(), **info})

    wanted = [f"batch-runner[local] @ {source.as_uri()}"]
    assert arguments(extras.how_to_install("local")) == wanted
    assert extras.requirement(["notify"]) is None

    source.unlink()
    wanted = ["numpy>=2", "wordllama==0.2.2.*"]
    assert arguments(extras.how_to_install("local")) == wanted


@pytest.mark.parametrize(
    ("origin", "url"),
    [
        (
            {
                "url": "https://git.example/runner",
                "vcs_info": {"vcs": "git", "commit_id": COMMIT, "requested_revision": "main"},
            },
            f"git+https://git.example/runner@{COMMIT}",
        ),
        (
            {
                "url": "ssh://git@git.example/tools.git",
                "vcs_info": {"vcs": "git", "commit_id": COMMIT},
                "subdirectory": "runner",
            },
            f"git+ssh://git@git.example/tools.git@{COMMIT}#subdirectory=runner",
        ),
        (
            {"url": "https://files.example/runner.whl", "archive_info": {}},
            "https://files.example/runner.whl",
        ),
    ],
    ids=["git", "git, a folder of it", "a file"],
)
def test_what_came_from_an_address_comes_from_there_again(
    install: Install, origin: dict[str, Any], url: str
) -> None:
    install(origin)

    assert arguments(extras.how_to_install("local")) == [f"batch-runner[local] @ {url}"]
    assert extras.requirement(["notify", "tokens"]) == f"batch-runner[notify,tokens] @ {url}"
    assert extras.requirement([]) == f"batch-runner @ {url}"


def test_a_repository_of_this_machine_has_no_url_that_old_pips_take(
    install: Install, tmp_path: Path
) -> None:
    install({"url": tmp_path.as_uri(), "vcs_info": {"vcs": "git", "commit_id": COMMIT}})

    assert arguments(extras.how_to_install("notify")) == ["apprise>=1.9"]
    assert extras.requirement(["notify"]) is None


def test_without_a_record_the_libraries_are_named(install: Install) -> None:
    install(None)

    assert arguments(extras.how_to_install("notify")) == ["apprise>=1.9"]
    assert extras.requirement(["notify"]) is None


def test_what_is_on_the_path_without_being_installed_is_a_checkout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(extras, "NAME", "batch-runner-that-is-not-installed")

    [option, source] = arguments(extras.how_to_install("local"))

    assert option == "--editable"
    assert source.endswith("[local]")


def test_a_copy_that_nothing_is_known_of_gets_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(extras, "NAME", "batch-runner-that-is-not-installed")
    monkeypatch.setattr(extras, "__file__", str(tmp_path / "runner/extras.py"))

    told = "install runner again the way it was, with its extra `local`"
    assert extras.how_to_install("local") == told
