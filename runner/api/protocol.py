"""What the rest of runner may ask of a Batch API, and what it may rely on.

`BatchApi` is the only face of a provider above this room: `runner.api.client.Client` satisfies
it over HTTP, simulated worlds satisfy it in tests. It is written in terms of guarantees because
the first promise of the project hangs on them: after any exception of these methods the caller
knows whether the call has acted, has not acted, or may have.

    MayHaveActed            only from `upload` and `create_batch`: look before acting again
    Transient and below     has not acted; enough tries have been made for now
    any other ApiError      has not acted; trying again cannot help
    LocalFileError          this machine's disk; the provider has accepted nothing

Nothing here imports an HTTP library, so that a plan can be typed and tested without one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from runner.batch import Batch, File


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchListing:
    """The batches one walk through the provider's list has shown, in the provider's order.

    No id occurs twice; where the provider showed one twice, the later view is kept.
    `complete`: the end of the list was reached and every entry could be read, so that what is
    not here does not exist (give or take the time a list needs to catch up).
    `descending`: each `created_at` is known and none is later than the one before, so that a
    walk stopped early has seen everything newer than its last batch.
    `requests`: HTTP exchanges it took, not counting retries.
    `invalid`: entries that were no Batch objects.
    """

    batches: tuple[Batch, ...]
    complete: bool
    descending: bool
    requests: int
    invalid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileListing:
    """The files one walk has shown; the members mean what they mean in `BatchListing`.

    Providers that do not know the `purpose` filter show files of other purposes too.
    """

    files: tuple[File, ...]
    complete: bool
    descending: bool
    requests: int
    invalid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file as it now lies on disk: its size in bytes and its SHA-256 in hex."""

    bytes: int
    sha256: str


class BatchApi(Protocol):
    """Files and batches of one provider."""

    def upload(
        self,
        source: BinaryIO,
        *,
        filename: str,
        size: int,
        progress: Callable[[int], None] | None = None,
    ) -> File:
        """Store `size` bytes of `source`, from its current position on, as a batch input.

        `source` must be seekable and must end right after those bytes; `filename` must end in
        `.jsonl`. `progress` is told the bytes handed to the network so far; it starts over when
        a refused upload is sent again. The caller compares the size in the File returned.

        Raises MayHaveActed where the file may have been stored, LocalFileError where `source`
        cannot be read or is shorter or longer than `size` (the provider has then seen no whole
        upload), and any other ApiError where nothing has been stored.
        """

    def create_batch(
        self,
        *,
        input_file_id: str,
        endpoint: str,
        completion_window: str,
        metadata: Mapping[str, str],
    ) -> Batch:
        """Start a batch; `metadata` is left out of the request where it is empty.

        Raises MayHaveActed where the batch may exist (it is then never asked for again here),
        FileNotVisible where the provider does not know the input file yet after several tries,
        and any other ApiError where no batch was made.
        """

    def cancel_batch(self, batch_id: str) -> Batch:
        """Ask for an end to a batch and return how it stands.

        Cancelling twice is cancelling once; a batch that has already ended is returned as it
        is. Raises NotFound where there is no such batch.
        """

    def retrieve_batch(self, batch_id: str) -> Batch:
        """Return the batch as it stands; raises NotFound where there is none."""

    def retrieve_file(self, file_id: str) -> File:
        """Return what is known of a file; raises NotFound where there is none."""

    def delete_file(self, file_id: str) -> bool:
        """Delete a file and return whether it is gone; one that was not there is gone."""

    def list_batches(self, *, enough: Callable[[Sequence[Batch]], bool]) -> BatchListing:
        """Walk through the batches, newest first where the provider keeps that order.

        After each page but the last `enough` is shown all batches so far and may end the walk.
        A list that does not end, goes in circles or has unreadable entries is returned as far
        as it was read, with `complete` False. Raises NotOffered where there is no list.
        """

    def list_files(self, *, enough: Callable[[Sequence[File]], bool]) -> FileListing:
        """Walk through the batch input files; everything else is as in `list_batches`."""

    def download(
        self,
        file_id: str,
        destination: Path,
        *,
        expected_bytes: int | None,
        progress: Callable[[int], None] | None = None,
    ) -> Download:
        """Write a file's content to `destination` and force it to disk.

        `destination` is overwritten; rename it once its content is trusted. It is removed where
        the download fails. `expected_bytes` is the size the provider gave for the file, or None
        where it gave none; without it the early end of a body of unannounced length cannot be
        noticed. `progress` is told the bytes written so far; it starts over with every try.

        Raises NotFound where the content is not there (or no longer), UnexpectedReply where its
        length stays wrong, LocalFileError where this machine cannot store it.
        """
