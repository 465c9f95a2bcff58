"""Whose files a project is made of: who can change them decides what a pass does.

`runner.yaml`, the folder of the specs and the ledger have to belong to the user or to root, and
nobody else may be able to write there, as is asked of a key file. Otherwise they need the user's
agreement, like what is written in them. A command also looks for `runner.yaml` in the folders above
the one it was started in; anybody can create a file in some of those, such as /tmp, so there the
folder is checked too.

On many systems each user has a group of their own, and files are writable for it. Nobody else is in
it, so that does not count: as OpenSSH on those systems sees it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runner.errors import Problem
from runner.spec.discovery import find_specs, shown_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.spec.permissions import Permission
    from runner.spec.project import Project

_ROOT: Final = 0


def owner_permissions(project: Project) -> tuple[Permission, ...]:
    """Return a permission for each part of the project that others can change."""
    paths = [*_spec_folders(project), project.ledger.parent, project.ledger]
    if project.config_file is not None:
        paths.insert(0, project.config_file)
    return tuple(_check(paths, project.root))


def _spec_folders(project: Project) -> list[Path]:
    """Return the folder of the specs and those below it, or behind a link in it, that have any."""
    found = find_specs(project.specs, root=project.root, skip={os.fspath(project.outputs)})
    return sorted({project.specs, *(Path(file).parent for file in found.files)})


def owner_permissions_above(project: Project, start: Path) -> tuple[Permission, ...]:
    """Return those of a `runner.yaml` in a folder above `start`, and of that folder; else none."""
    folder = os.path.abspath(start)  # noqa: PTH100 - Path.resolve() follows links
    if project.config_file is None or folder == os.fspath(project.root):
        return ()
    return tuple(_check([project.root, project.config_file], Path(folder)))


def _check(paths: list[Path], base: Path) -> Iterator[Permission]:
    """Yield a permission for each path that others can change; what is not there is nobody's."""
    from runner.spec.permissions import Permission, digest_of

    for path in paths:
        try:
            # A link, which another user may have made to a file of this one, and where it leads.
            statuses = [path.lstat(), path.stat()]
        except OSError:  # whoever opens it says why it cannot be opened
            continue
        for status in statuses:
            if flaw := _find_flaw(status):
                problem = Problem(path=shown_path(path, base), message=flaw)
                digest = digest_of("owner", os.path.realpath(path), flaw)
                yield Permission(brief=problem, full=problem, digest=digest)
                break


def _find_flaw(status: os.stat_result) -> str | None:
    """Return who else can change a file, or None if nobody can but its user and root."""
    if status.st_uid not in (os.geteuid(), _ROOT):
        return f"belongs to another user of this machine (uid {status.st_uid})"
    if stat.S_ISLNK(status.st_mode):
        return None  # the mode of a link means nothing
    mode = stat.S_IMODE(status.st_mode)
    if mode & stat.S_IWOTH:
        return f"can be changed by every user of this machine (mode {mode:04o}; see chmod o-w)"
    if mode & stat.S_IWGRP and not _is_private(status.st_gid):
        return f"can be changed by the group {status.st_gid} (mode {mode:04o}; see chmod g-w)"
    return None


def _is_private(group: int) -> bool:
    """Return whether a group is the user's own: the first one, of the same name, nobody else's."""
    import grp
    import pwd

    try:
        user, entry = pwd.getpwuid(os.geteuid()), grp.getgrgid(group)
    except KeyError:  # one of them has no name, as in many containers
        return False
    own = user.pw_gid == group and entry.gr_name == user.pw_name
    return own and set(entry.gr_mem) <= {user.pw_name}
