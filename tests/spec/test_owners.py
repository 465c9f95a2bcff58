"""Whose files a project is made of: by owner, by mode, and by the groups of this machine."""

from __future__ import annotations

import grp
import os
import pwd
from typing import TYPE_CHECKING, Final

import pytest

from runner.spec.permissions import owner_permissions, owner_permissions_above
from runner.spec.project import find_project

if TYPE_CHECKING:
    from pathlib import Path

    from runner.spec.permissions import Permission

PARTS: Final = ("runner.yaml", "specs", ".runner", ".runner/ledger.db")
OTHERS: Final = 987_654
"""A user and a group that no machine has."""

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a project whose parts have the usual modes."""
    root = tmp_path / "project"
    for name in PARTS:
        path = root / name
        if path.suffix:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            path.chmod(0o644)
        else:
            path.mkdir(parents=True)
            path.chmod(0o755)
    root.chmod(0o755)
    return root


def found(root: Path) -> list[str]:
    return [str(each.full) for each in owner_permissions(find_project(root, {}))]


def found_from(start: Path) -> tuple[Permission, ...]:
    return owner_permissions_above(find_project(start, {}), start)


def test_what_is_the_users_alone_needs_nothing(root: Path) -> None:
    (root / "specs" / "below").mkdir()

    assert found(root) == []
    assert found_from(root) == found_from(root / "specs" / "below") == ()


@only_root
@pytest.mark.parametrize("part", PARTS)
def test_what_belongs_to_another_user(root: Path, part: str) -> None:
    os.chown(root / part, OTHERS, -1)

    [text] = found(root)

    assert text.startswith(f"{part}: belongs to another user of this machine (uid {OTHERS})")


@pytest.mark.parametrize("part", PARTS)
def test_what_everybody_can_change(root: Path, part: str) -> None:
    (root / part).chmod(0o777)

    [text] = found(root)

    assert text.startswith(f"{part}: can be changed by every user of this machine (mode 0777")


def test_a_folder_of_specs_below_or_behind_a_link(root: Path, tmp_path: Path) -> None:
    (root / "specs" / "empty").mkdir()
    for folder in (root / "specs" / "below", tmp_path / "linked"):
        folder.mkdir()
        (folder / "job.yaml").touch()
        folder.chmod(0o777)
    (root / "specs" / "empty").chmod(0o777)
    (root / "specs" / "link").symlink_to(tmp_path / "linked")

    paths = {text.partition(":")[0] for text in found(root)}

    assert paths == {"specs/below", "specs/link"}


@only_root
@pytest.mark.parametrize("part", PARTS)
def test_what_a_group_can_change(root: Path, part: str) -> None:
    os.chown(root / part, -1, OTHERS)
    (root / part).chmod(0o775)

    [text] = found(root)

    assert text.startswith(f"{part}: can be changed by the group {OTHERS} (mode 0775")


@pytest.mark.parametrize(
    ("name", "offset", "members", "flaws"),
    [
        ("me", 0, [], 0),
        ("me", 0, ["me"], 0),
        ("me", 0, ["me", "you"], 1),
        ("lab", 0, [], 1),
        ("me", 1, [], 1),
    ],
)
def test_a_private_group_is_nobody_elses(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    offset: int,
    members: list[str],
    flaws: int,
) -> None:
    first = (root / "specs").stat().st_gid + offset
    user = pwd.struct_passwd(("me", "x", os.geteuid(), first, "", "", ""))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: user)
    monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group((name, "x", gid, members)))
    (root / "specs").chmod(0o775)

    assert len(found(root)) == flaws


def test_a_user_without_a_name_has_no_private_group(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(user: int) -> None:
        raise KeyError(user)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    (root / "specs").chmod(0o775)

    assert len(found(root)) == 1


@only_root
def test_a_link_of_another_user_is_not_the_file_it_leads_to(root: Path) -> None:
    (root / "runner.yaml").rename(root / "mine.yaml")
    (root / "runner.yaml").symlink_to("mine.yaml")
    assert found(root) == []

    os.chown(root / "runner.yaml", OTHERS, -1, follow_symlinks=False)

    assert len(found(root)) == 1


@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_a_folder_above_in_which_anybody_can_create_files(root: Path, mode: int) -> None:
    root.chmod(mode)

    [flaw] = found_from(root / "specs")

    assert flaw.full.path == str(root)
    assert found_from(root) == (), "this folder was named, not found"


def test_a_change_of_owner_or_mode_is_another_permission(root: Path) -> None:
    (root / "specs").chmod(0o777)
    (root / "runner.yaml").chmod(0o666)
    first = {each.digest for each in owner_permissions(find_project(root, {}))}
    (root / "specs").chmod(0o1777)

    now = {each.digest for each in owner_permissions(find_project(root, {}))}

    assert (len(first), len(now), len(first & now)) == (2, 2, 1)
