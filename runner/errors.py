"""Everything that can go wrong and that a person or a provider can cause.

One tree, so that a caller can be as coarse or as fine as it needs, and so that an
exception outside it is by definition a bug in runner:

    RunnerError                     exit 1 unless said otherwise
    ├── InvalidInput                exit 2; every problem found, each with its place
    ├── UsageError                  exit 2; the command line asks for something that is not there
    ├── LockHeld                    exit 75; another reconcile is at work
    ├── LedgerError                 the ledger cannot be used (corrupt, full, read-only, ...)
    │   ├── LedgerDamaged           no database, or one that does not hang together
    │   └── LedgerTooNew            written by a later version of runner
    ├── LocalFileError              a file of ours cannot be read or written (disk full, ...)
    ├── InputChanged                the input is no longer what was validated
    ├── PlanMoved                   what would be done is not what a kept plan says
    ├── MissingExtra                a feature needs an optional dependency
    ├── NotDelivered                a message did not come to whom it was for
    └── ApiError                    what a provider answered, or did not answer
        ├── Transient               trying again can help, and the call has not acted
        │   ├── Unreachable         refused, no route, no DNS: nothing was received
        │   ├── RateLimited         429; `retry_after` says when
        │   └── FileNotVisible      the file just uploaded is not known there yet
        ├── MayHaveActed            a POST whose outcome is unknown: look before acting again
        ├── OutOfMoney              quota, credits, hard limits: no retry can help
        ├── Unauthorized            the key is missing, refused or lacks the right
        ├── NotFound                the object is not there (or not this key's)
        ├── NotOffered              the provider has no such call
        ├── Rejected                any other 4xx: the request itself is wrong
        │   └── TooLarge            the file has more bytes than the provider takes
        └── UnexpectedReply         a reply that is not the API's: HTML, no id, cut short
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """One thing wrong with a document, and where.

    `line` and `column` count from 1; 0 means that the problem has no such place
    (a missing file has no line). `path` is shown as the user wrote it.
    """

    path: str
    line: int = 0
    column: int = 0
    message: str

    def __str__(self) -> str:
        """Render as `path:line[:col]: message`, the form editors and CI parsers jump to."""
        place = self.path
        if self.line:
            place += f":{self.line}"
            if self.column:
                place += f":{self.column}"
        return f"{place}: {self.message}"


MAX_PROBLEMS: Final = 20
"""How many problems of one file are shown. A file in the wrong format has one on every line."""


def limit_problems(problems: Iterable[Problem], *, more: int = 0) -> tuple[Problem, ...]:
    """Return the first MAX_PROBLEMS problems of each file, then a note of how many more it has.

    `more` counts further problems that are not listed; all problems are of one file then. The
    note has the line of the first problem left out and is sorted behind those before it.
    """
    shown: list[Problem] = []
    for path, group in groupby(sorted(problems), key=lambda problem: problem.path):
        found = list(group)
        first = found[:MAX_PROBLEMS]
        if len(found) + more <= MAX_PROBLEMS:
            shown += found
            continue
        next_one = found[min(MAX_PROBLEMS, len(found) - 1)]
        column = next_one.column if first[-1].line == next_one.line else 0
        place = (next_one.line, column)
        before = [each for each in first if (each.line, each.column) < place] or first
        left_out = len(found) + more - len(before)
        message = f"and {left_out:,} more problem{'s' if left_out > 1 else ''} in this file"
        note = Problem(path=path, line=next_one.line, column=column, message=message)
        shown += [*before, note]
    return tuple(shown)


class RunnerError(Exception):
    """The root of every failure that is not a bug in runner.

    The text of the exception is a whole sentence for people: what is wrong, why it
    matters, what to do. It never holds a secret.
    """

    exit_code: ClassVar[int] = 1


class InvalidInput(RunnerError):
    """A spec, a project file or an input breaks rules that can be checked offline.

    `problems` is never empty and is sorted by path, line and column.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class UsageError(RunnerError):
    """The command names something that does not exist or cannot be done as asked."""

    exit_code: ClassVar[int] = 2


class LockHeld(RunnerError):
    """Another reconcile holds the lock of this ledger (exit code EX_TEMPFAIL)."""

    exit_code: ClassVar[int] = 75


class LedgerError(RunnerError):
    """The ledger cannot be read or written; nothing was submitted because of it."""


class LedgerDamaged(LedgerError):
    """The ledger's file is no database, or one that does not hang together any more."""


class LedgerTooNew(LedgerError):
    """The ledger was written by a later version of runner than this one."""


class LocalFileError(RunnerError):
    """A file on this machine cannot be read or written."""


class InputChanged(RunnerError):
    """The input's bytes are no longer those that were validated and hashed."""


class PlanOutdated(RunnerError):
    """A plan that was kept is not what would be done now; nothing was done."""


class MissingExtra(RunnerError):
    """A feature was asked for whose optional dependencies are not installed."""


class NotDelivered(RunnerError):
    """A message to a hook, or a ping, was not taken; the work itself went on.

    `printed` is what a command has said of it. It is for the person who runs the command, and is
    kept nowhere.
    """

    def __init__(self, message: str, *, printed: str = "") -> None:
        super().__init__(message)
        self.printed = printed


class ApiError(RunnerError):
    """A provider's refusal or silence.

    Attributes:
        provider: the provider's name in the project.
        call: method and path, such as `POST /batches`.
        status: the HTTP status, or None where no reply came.
        code: the API's own error code, or None.
        param: the API's own name for the parameter at fault, or None.
        request_id: the provider's id for the exchange, or None.
        retry_after: seconds the provider asked us to wait, or None.

    """

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        call: str,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.call = call
        self.status = status
        self.code = code
        self.param = param
        self.request_id = request_id
        self.retry_after = retry_after


class Transient(ApiError):
    """Trying the same call again can help, and doing so is safe."""


class Unreachable(Transient):
    """The provider did not receive the call: connection refused, no route, no DNS."""


class RateLimited(Transient):
    """429 that asks for patience, not for money."""


class FileNotVisible(Transient):
    """The API does not know the file just uploaded to it yet (fact sheet, failure 9)."""


class MayHaveActed(ApiError):
    """A call that changes something got no usable answer: it may have been carried out."""


class OutOfMoney(ApiError):
    """The account's quota, credit or hard limit is used up; no retry can help."""


class Unauthorized(ApiError):
    """The key is missing, refused, or lacks the right to do this."""


class NotFound(ApiError):
    """The object does not exist, or belongs to another project's key."""


class NotOffered(ApiError):
    """The provider has no such call (404 on a collection, 405, 501)."""


class Rejected(ApiError):
    """The provider refuses the request as such; sending it again would not help."""


class TooLarge(Rejected):
    """The provider takes no file of this size; smaller ones may do (fact sheet, failure 12)."""


class UnexpectedReply(ApiError):
    """The reply is not one of the API's: HTML, no id, cut short, not JSON."""
