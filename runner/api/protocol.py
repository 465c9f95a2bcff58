"""The interface of a Batch API and its guarantees.

The rest of runner uses a provider only through `BatchApi`. `runner.api.client.Client` implements
it over HTTP, simulated providers implement it in tests. Exactly-once submission depends on its
guarantees: after any exception of these methods the caller knows whether the call has acted, has
not acted, or may have acted.

    MayHaveActed            only from `upload` and `create_batch`: check before acting again
    Transient and below     has not acted; enough retries have been made for now
    any other ApiError      has not acted; a retry cannot help
    LocalFileError          this machine's disk; the provider has accepted nothing

This module does not import an HTTP library, so that plans can be typed and tested without one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from runner.batch import Batch, File


ANY_FILE: Final = 4 * 1024**3
"""The most bytes of a file of which nothing is known: input files have 200 MB, and embeddings of
50,000 long texts three gigabytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchListing:
    """The batches of a provider's list, in the provider's order.

    No id occurs twice; if the provider listed a batch twice, the later entry is kept.
    `complete`: the end of the list was reached and every entry could be read, or is another's for
    certain, so that a batch of ours that is missing here does not exist (except for the delay with
    which a list is updated).
    `descending`: each `created_at` is known and none is later than the one before it, so that a
    list that was read in part has everything newer than its last batch.
    `requests`: HTTP exchanges, not counting retries.
    `invalid`: the number of entries that were not Batch objects and may be ours. `unreadable` names
    the first of them: the place in the list, the id if there is one, and what is wrong.
    """

    batches: tuple[Batch, ...]
    complete: bool
    descending: bool
    requests: int
    invalid: int
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileListing:
    """The files of a provider's list; the members are those of `BatchListing`, and mean the same.

    Providers without the `purpose` filter list files of other purposes too.
    """

    files: tuple[File, ...]
    complete: bool
    descending: bool
    requests: int
    invalid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A downloaded file: its size in bytes and its SHA-256 in hex."""

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
        """Upload `size` bytes of `source`, from its current position on, as a batch input.

        `source` must be seekable and must end right after those bytes; `filename` must end in
        `.jsonl`. `progress` is called with the bytes handed to the network so far; it starts over
        when a rejected upload is sent again. The caller compares the size in the returned File.

        Raises MayHaveActed if the file may have been stored, LocalFileError if `source` cannot be
        read or is shorter or longer than `size` (the provider has then received no complete
        upload), and any other ApiError if nothing was stored.
        """

    def create_batch(
        self,
        *,
        input_file_id: str,
        endpoint: str,
        completion_window: str,
        metadata: Mapping[str, str],
    ) -> Batch:
        """Create a batch; an empty `metadata` is left out of the request.

        Raises MayHaveActed if the batch may exist (the call is then not retried here),
        FileNotVisible if the provider does not know the input file yet after several tries,
        and any other ApiError if no batch was created.
        """

    def redact(self, text: str) -> str:
        """Return text from outside as a short printable line without the API key."""

    def cancel_batch(self, batch_id: str) -> Batch:
        """Cancel a batch and return its current state.

        Idempotent; a batch that has already ended is returned unchanged. Raises NotFound if there
        is no such batch.
        """

    def retrieve_batch(self, batch_id: str) -> Batch:
        """Retrieve a batch; raises NotFound if there is no such batch."""

    def retrieve_file(self, file_id: str) -> File:
        """Retrieve a File object; raises NotFound if there is no such file."""

    def delete_file(self, file_id: str) -> bool:
        """Delete a file and return whether it is gone; a file that did not exist is gone."""

    def list_batches(self, *, enough: Callable[[Sequence[Batch]], bool]) -> BatchListing:
        """List the batches, newest first if the provider keeps that order.

        After each page but the last, `enough` is called with all batches so far; True ends the
        listing. A list that does not end, repeats its pages or has unreadable entries is returned
        as far as it was read, with `complete` False; so is one that takes too much time or memory.
        Raises NotOffered if there is no such list.

        An entry with an id that is not a Batch object is retrieved. If that does not help it is
        left out where it cannot be ours: it has an id and no key of ours, and either its metadata
        has other pairs and no input file is named, or the name of its input file is another's.
        """

    def list_files(self, *, enough: Callable[[Sequence[File]], bool]) -> FileListing:
        """List the batch input files, in the same way as `list_batches`."""

    def download(
        self,
        file_id: str,
        destination: Path,
        *,
        expected_bytes: int | None,
        at_most: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Download:
        """Write a file's content to `destination` and force it to disk.

        `destination` is overwritten, and removed if the download fails. The caller renames it once
        it has checked the content. `expected_bytes` is the size in the File object, or None if it
        has none; without it, a body without a Content-Length that ends early goes unnoticed. A file
        of more than `at_most` bytes is given up as soon as they have come; None is ANY_FILE, or
        `expected_bytes` if that is more. Some room is left on the disk in any case.
        `progress` is called with the bytes written so far; it starts over with every try.

        Raises NotFound if the content does not exist (any more), UnexpectedReply if its length
        stays wrong or is more than `at_most`, LocalFileError if this machine cannot store it.
        """
