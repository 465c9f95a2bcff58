"""Reading the entries of a provider's list of batches, where some are not Batch objects.

A batch may be created only if it is missing from a complete list. An entry that cannot be read
makes the list incomplete if it may be the batch that is searched for, and nothing is submitted
until the provider corrects it: so a defective entry of another user must not count. An entry
can be ours in each of the ways in which a batch is found again (runner/planning/batch_index.py):
by our key in its metadata; by its id; by its input file, where the provider drops metadata or the
user's own pairs leave no room.

Pure: functions given by the caller make the calls.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeVar

from runner.batch import Batch
from runner.errors import ApiError, NotFound, UnexpectedReply
from runner.spec.identity import REVISION_SHOWN
from runner.spec.job import MAX_METADATA_PAIRS, METADATA_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runner.batch import File


_Found = TypeVar("_Found")

MOST_LOOKS: Final = 20
"""The calls that are made for the defective entries of one list: a server that is no Batch API may
list thousands."""

_OUR_FILENAME: Final = re.compile(rf"-[^-]{{{REVISION_SHOWN}}}-[0-9]+-[0-9]+")
"""Whatever a server adds around it: a path, another ending."""


class ListedBatches:
    """Reads the entries of one list; a function with a memory of the calls that it has made.

    `retrieve_batch` and `retrieve_file` are those of the client.
    """

    def __init__(
        self, retrieve_batch: Callable[[str], Batch], retrieve_file: Callable[[str], File]
    ) -> None:
        self._retrieve_batch = retrieve_batch
        self._retrieve_file = retrieve_file
        self._looks_left = MOST_LOOKS
        self._known: dict[str, Batch | None] = {}

    def __call__(self, raw: object) -> Batch | None:
        """Return the Batch of an entry; None if it cannot be read and is another's for certain.

        Raises ValueError with the reason if it cannot be read and may be ours.
        """
        try:
            return Batch.from_api(raw)
        except ValueError:
            identifier = raw.get("id") if isinstance(raw, dict) else None
            if not isinstance(raw, dict) or not isinstance(identifier, str) or not identifier:
                raise
            if identifier not in self._known:
                # What the list does not show, the object itself may.
                batch = self._look(self._retrieve_batch, identifier)
                if batch is None or batch.id != identifier:
                    if not self._is_anothers(raw):
                        raise
                    batch = None
                self._known[identifier] = batch
            return self._known[identifier]

    def _is_anothers(self, entry: Mapping[str, object]) -> bool:
        metadata = entry.get("metadata")
        if metadata is not None and not isinstance(metadata, dict):
            return False
        pairs = metadata or {}
        if METADATA_KEY in pairs:
            return False
        input_file_id = entry.get("input_file_id")
        if input_file_id is not None and not isinstance(input_file_id, str):
            return False
        if not input_file_id:
            # Ours would have our key beside these pairs.
            return 0 < len(pairs) < MAX_METADATA_PAIRS
        file = self._look(self._retrieve_file, input_file_id)
        return (
            file is not None
            and file.id == input_file_id
            and file.filename is not None
            and _OUR_FILENAME.search(file.filename) is None
        )

    def _look(self, retrieve: Callable[[str], _Found], identifier: str) -> _Found | None:
        """Retrieve an object; None if that cannot be done now, for whatever reason."""
        if not self._looks_left:
            return None
        self._looks_left -= 1
        try:
            return retrieve(identifier)
        except (NotFound, UnexpectedReply):
            return None
        except ApiError:
            # The provider has a problem: one entry more would only wait for it once more.
            self._looks_left = 0
            return None
