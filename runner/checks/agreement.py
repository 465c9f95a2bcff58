"""What the user has agreed to: one small file for each project, outside of it.

A clone brings its `runner.yaml` with it, and may change it at any time. So an agreement is kept in
the user's state folder, by the real path of the project, and holds digests of the permissions that
the user has seen: what is added or changed needs a new agreement. `RUNNER_TRUST=yes` in the
environment agrees to everything, where nobody can be asked.

An agreement is used only if nobody but its user, or root, can have written it.
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from runner.errors import InvalidInput, LocalFileError, Problem, limit_problems
from runner.files import explained, make_private_folders, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from runner.spec.permissions import Permission
    from runner.spec.project import Project

VARIABLE: Final = "RUNNER_TRUST"
AGREES: Final = f"{VARIABLE}=yes"

_FORMAT: Final = 1
_PRIVATE_FILE: Final = 0o600
_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_OTHER_WAYS: Final = f"name a folder of yours in XDG_STATE_HOME, or set {AGREES}"


def not_agreed(
    project: Project, permissions: Sequence[Permission], environ: Mapping[str, str]
) -> tuple[Permission, ...]:
    """Return those of the permissions that the user has not agreed to.

    Raises InvalidInput for an agreement that others could have written, or that cannot be read.
    """
    if not permissions or environ.get(VARIABLE) == "yes":
        return ()
    agreed = _read(project.root, environ)
    return tuple(each for each in permissions if each.digest not in agreed)


def refusal(missing: Iterable[Permission]) -> InvalidInput:
    """Return the error that names each permission that is missing, with its place."""
    text = f"you have not agreed to this: `runner trust` shows it and agrees (in CI: {AGREES})"
    return InvalidInput(
        limit_problems(
            replace(each.brief, message=f"{each.brief.message}; {text}") for each in missing
        )
    )


def agree(project: Project, permissions: Iterable[Permission], environ: Mapping[str, str]) -> None:
    """Record that the user agrees to these permissions of a project, and to no others.

    Raises LocalFileError if that cannot be written.
    """
    file = _file(project.root, environ)
    if file is None:
        raise LocalFileError(f"there is no home folder to keep your agreement in: {_OTHER_WAYS}")
    content = {
        "format": _FORMAT,
        "root": os.path.realpath(project.root),
        "agreed": sorted({each.digest for each in permissions}),
    }
    try:
        with explained(file.parent, doing="written"):
            make_private_folders(file.parent)
        write_whole(file, json.dumps(content, indent=2).encode() + b"\n", mode=_PRIVATE_FILE)
    except LocalFileError as error:
        raise LocalFileError(f"{error}; to agree without it, {_OTHER_WAYS}") from error


def revoke(project: Project, environ: Mapping[str, str]) -> bool:
    """Forget what the user has agreed to; returns whether there was anything.

    Raises LocalFileError.
    """
    file = _file(project.root, environ)
    if file is None:
        return False
    with explained(file, doing="removed"), suppress(FileNotFoundError):
        file.unlink()
        return True
    return False


def _file(root: Path, environ: Mapping[str, str]) -> Path | None:
    """Return the file of a project; None without a home folder. A relative folder does not count.

    Source: XDG Base Directory Specification.
    """
    state = Path(environ.get("XDG_STATE_HOME", ""))
    if not state.is_absolute():
        try:
            state = Path.home() / ".local" / "state"
        except RuntimeError:  # neither HOME nor an entry for this user
            return None
    name = sha256(os.fsencode(os.path.realpath(root))).hexdigest()
    return state / "runner" / "trust" / f"{name}.json"


def _read(root: Path, environ: Mapping[str, str]) -> frozenset[str]:
    """Return the digests that the user has agreed to; none without an agreement."""
    file = _file(root, environ)
    if file is None:
        return frozenset()
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except OSError as error:
        _refuse(file, f"cannot be read: {error.strerror or error}")
    try:
        # The open file is checked: another file cannot take its place in between.
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            _refuse(file, "is not a regular file")
        if status.st_uid not in (os.geteuid(), 0) or status.st_mode & _OTHERS:
            _refuse(file, "can be changed by other users of this machine")
        data = os.read(descriptor, status.st_size)
    finally:
        os.close(descriptor)
    try:
        content = json.loads(data)
        is_ours = content["format"] == _FORMAT and content["root"] == os.path.realpath(root)
        agreed = frozenset(map(str, content["agreed"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        is_ours, agreed = False, frozenset()
    if not is_ours:
        _refuse(file, "is nothing that this version of runner has written for this project")
    return agreed


def _refuse(file: Path, flaw: str) -> NoReturn:
    """Raise InvalidInput about the file of an agreement."""
    message = f"should say what you have agreed to, and {flaw}; remove it and run `runner trust`"
    raise InvalidInput([Problem(path=str(file), message=message)])
