"""The files of a run: their names, and how they are opened safely.

Others can write to the folder of a run, and `run.json` can hold any text where a file name
belongs. So a name is opened only if runner itself would have written a file of that name into the
folder, and no link is followed.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, Final

from runner.files import create, explained, make_folder, open_regular, part_of, parts_of, sweep
from runner.spec.identity import REVISION_SHOWN

if TYPE_CHECKING:
    from io import BufferedReader
    from pathlib import Path


OUTPUT: Final = "output.jsonl"
ERRORS: Final = "errors.jsonl"
RECORD: Final = "run.json"
RAW: Final = "raw"
"""The folder of the downloaded files."""
BY_ORDER: Final = "by_order"
"""The kind of a file in it with lines that were matched by order, next to `output` and `error`."""

LATEST: Final = "latest"
"""The link to a job's desired revision, in the folder of the job."""
_REVISION_LINE: Final = re.compile(rb"([0-9a-f]{%d})\n" % REVISION_SHOWN)


def read_latest(job_folder: Path) -> str | None:
    """Return the revision that `latest` names; None if it is not there or not runner's."""
    link = job_folder / LATEST
    try:
        if link.is_symlink():
            return os.readlink(link)  # noqa: PTH115
        with open_regular(link) as file:
            named = _REVISION_LINE.fullmatch(file.read(REVISION_SHOWN + 2))
    except OSError:
        return None  # not there, or something else of that name: pointing it says what is wrong
    return None if named is None else named[1].decode()


def prove_writable(folder: Path) -> None:
    """Make the folder of a run, and prove that files of a run can be made in it and renamed.

    A file with the longest name that a run gives is made and removed; one left by a crash is
    removed too. Raises LocalFileError.
    """
    for place in (folder, folder / RAW):
        make_folder(place, within=folder.parent)
        longest = place / f"99999-99999.{OUTPUT}"
        sweep(place, parts_of(longest.name))
        probe = part_of(longest)
        with explained(probe, doing="written"):
            create(probe).close()
            probe.unlink()


class FileRejected(Exception):
    """A file that is not opened, or whose content cannot be used.

    The text says why and completes a sentence that begins with the file's name.
    """


def open_file(folder: Path, name: str) -> BufferedReader:
    """Open a file of a run's folder for reading, by its name in the record.

    Follows no link and does not wait for a pipe. Raises FileNotFoundError if there is no such
    file, FileRejected if it must not or cannot be opened.
    """
    if not is_run_file(name):
        raise FileRejected("is not a file of this folder and was not opened")
    if name.startswith(f"{RAW}/") and os.path.islink(folder / RAW):  # noqa: PTH114 -- it never raises
        raise FileRejected(f"was not opened: {RAW} is a link")
    try:
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError) as problem:
        raise FileNotFoundError(str(problem)) from problem
    except OSError as problem:
        if os.path.islink(folder / name):  # noqa: PTH114
            raise FileRejected("is a link and was not opened") from problem
        raise FileRejected(f"cannot be read: {problem.strerror or problem}") from problem
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileRejected("is not a regular file")
    return os.fdopen(descriptor, "rb")


def is_run_file(name: str) -> bool:
    """Return whether a name from a record is a file in the record's folder or in its `raw/`."""
    plain = name.removeprefix(f"{RAW}/")
    if plain in ("", ".", "..") or "/" in plain or "\0" in plain or not _encodable(plain):
        return False
    return name != plain or name in (OUTPUT, ERRORS, RECORD)


def _encodable(name: str) -> bool:
    try:
        os.fsencode(name)
    except UnicodeError:
        return False
    return True
