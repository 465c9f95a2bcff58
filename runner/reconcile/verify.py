"""Whether what lies in the output folders is still what was made: everything is hashed again.

Each folder with a record is held against that record (`runner.outputs.verify`), the record
against the ledger where there is one, and the input against the digest that was asked for. An
input may change: then the spec asks for another revision, and the folders of earlier ones are no
worse for it. Only where nothing newer has been finished, and the spec would still ask exactly
this if its input were the same, is a changed input a mismatch.

Nothing is asked, locked or written.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runner.errors import InputChanged, InvalidInput, LocalFileError
from runner.outputs.publish import RECORD
from runner.outputs.verify import FolderCheck, Match, check_folder
from runner.reconcile.source import InputCheck, Inputs, Source
from runner.reconcile.wishes import job_folder, shown_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from runner.ledger.records import Run
    from runner.ledger.store import Ledger
    from runner.outputs.recorded import Record
    from runner.spec.job import Job
    from runner.spec.project import Project

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
