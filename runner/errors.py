"""The errors that a user, this machine or a provider can cause.

They form one tree, so that a caller can catch a broad or a narrow class. An exception outside the
tree is a bug in runner. The JSON log contains the name of an error's class: no class is renamed.

    RunnerError                     exit 1 unless said otherwise
    ├── InvalidInput                exit 2; every problem found, each with its place
    ├── UsageError                  exit 2; the command names something that does not exist
    ├── LockHeld                    exit 75; another reconcile is running
    ├── LedgerError                 the ledger cannot be used (corrupt, full, read-only, ...)
    │   ├── LedgerDamaged           not a database, or an inconsistent one
    │   └── LedgerTooNew            written by a later version of runner
    ├── LocalFileError              a local file cannot be read or written (disk full, ...)
    ├── InputChanged                the input is not the one that was validated
    ├── PlanMoved                   a saved plan differs from a plan made now
    ├── MissingExtra                a feature needs an optional dependency
    ├── NotDelivered                a message to a hook, or a ping, was not delivered
    └── ApiError                    a provider answered with an error, or did not answer
        ├── Transient               a retry can help, and the call has not acted
        │   ├── Unreachable         refused, no route, no DNS: nothing was sent
        │   ├── RateLimited         429; `retry_after` is the wait in seconds
        │   └── FileNotVisible      the provider does not know the uploaded file yet
        ├── MayHaveActed            a POST with an unknown outcome: check before acting again
        ├── OutOfMoney              quota, credits, hard limits: no retry can help
        ├── NoRoom                  a quota of files or storage: submitted once there is room
        ├── Unauthorized            the API key is missing, refused or lacks a right
        ├── ModelRefused            the API key may not use a model: concerns its job alone
        ├── NotFound                the object does not exist, or belongs to another API key
        ├── NotOffered              the provider does not offer the call
        ├── Rejected                any other 4xx: the request itself is wrong
        │   └── TooLarge            the file is larger than the provider accepts
        └── UnexpectedReply         a reply without a usable object: HTML, no id, cut short
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """One problem in a document, with its place.

    `line` and `column` count from 1; 0 means that the problem has none (a missing file has no
    line). `path` is shown as the user wrote it. A warning is about something that is probably
    wrong: it stops nothing and changes no exit code.
    """

    path: str
    line: int = 0
    column: int = 0
    message: str
    is_warning: bool = False

    def __str__(self) -> str:
        """Render as `path:line[:col]: message`, a format that editors and CI systems recognize.

        The message of a warning begins with `warning: `, as those of compilers do.
        """
        place = self.path
        if self.line:
            place += f":{self.line}"
            if self.column:
                place += f":{self.column}"
        return (
            f"{place}: warning: {self.message}" if self.is_warning else f"{place}: {self.message}"
        )


MAX_PROBLEMS: Final = 20
"""How many problems of one file are shown. A file in the wrong format has one on every line."""


def limit_problems(problems: Iterable[Problem], *, more: int = 0) -> tuple[Problem, ...]:
    """Return the first MAX_PROBLEMS problems of each file, then a note of how many more it has.

    `more` counts further problems that are not listed; all problems are of one file then. The
    note has the line of the first problem left out and is sorted behind those before it.
    """
    shown: list[Problem] = []
    for _, group in groupby(sorted(problems), key=lambda problem: problem.path):
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
        noun = "warning" if next_one.is_warning else "problem"
        message = f"and {left_out:,} more {noun}{'s' if left_out > 1 else ''} in this file"
        note = replace(next_one, column=column, message=message)
        shown += [*before, note]
    return tuple(shown)


class RunnerError(Exception):
    """The base class of every failure that is not a bug in runner.

    The text is a complete message for the user: the problem, why it matters, and what to do. It
    never holds a secret.
    """

    exit_code: ClassVar[int] = 1


class InvalidInput(RunnerError):
    """A spec, a project file or an input breaks rules that are checked offline.

    `problems` is never empty and is sorted by path, line and column. `warnings` were found with
    them and are no part of the message.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, problems: Iterable[Problem], warnings: Iterable[Problem] = ()) -> None:
        self.problems: tuple[Problem, ...] = tuple(sorted(problems))
        self.warnings: tuple[Problem, ...] = tuple(warnings)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class UsageError(RunnerError):
    """The command names something that does not exist, or cannot be run with these arguments."""

    exit_code: ClassVar[int] = 2


class LockHeld(RunnerError):
    """Another reconcile holds the lock of this ledger (exit code EX_TEMPFAIL).

    `since` says since when, in Unix seconds; None if that is unknown.
    """

    exit_code: ClassVar[int] = 75

    def __init__(self, message: str, *, since: float | None = None) -> None:
        super().__init__(message)
        self.since = since


class LedgerError(RunnerError):
    """The ledger cannot be read or written; nothing was submitted because of it."""


class LedgerDamaged(LedgerError):
    """The ledger's file is not a database, or an inconsistent one."""


class LedgerTooNew(LedgerError):
    """The ledger was written by a later version of runner than this one."""


class LocalFileError(RunnerError):
    """A file on this machine cannot be read or written."""


class InputChanged(RunnerError):
    """The bytes of the input are not those that were validated and hashed."""


class PlanMoved(RunnerError):
    """A saved plan differs from a plan made now; nothing was done."""


class MissingExtra(RunnerError):
    """A feature was used whose optional dependencies are not installed."""


class NotDelivered(RunnerError):
    """A message to a hook, or a ping, was not delivered; the pass itself went on.

    `printed` is the output of a hook's command. It is shown to the user and stored nowhere.
    """

    def __init__(self, message: str, *, printed: str = "") -> None:
        super().__init__(message)
        self.printed = printed


class ApiError(RunnerError):
    """A provider answered with an error, or did not answer.

    Attributes:
        provider: the provider's name in the project.
        call: method and path, such as `POST /batches`.
        status: the HTTP status, or None without a reply. Of an error that came with a successful
            status it is the one that its code stands for.
        in_body: whether it came with a successful status, in the body of the reply.
        too_slow: whether the reply was given up although something came, for taking too long.
        code: the API's own error code, or None.
        param: the API's own name for the wrong parameter, or None.
        request_id: the provider's id for the exchange, or None.
        retry_after: the seconds of the provider's Retry-After header, or None.

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
        self.in_body = False
        self.too_slow = False
        self.provider = provider
        self.call = call
        self.status = status
        self.code = code
        self.param = param
        self.request_id = request_id
        self.retry_after = retry_after


class Transient(ApiError):
    """A retry of the same call can help and is safe."""


class Unreachable(Transient):
    """The provider did not receive the call: connection refused, no route, no DNS."""


class RateLimited(Transient):
    """The provider refuses calls for a time (429), not for lack of credit."""


class FileNotVisible(Transient):
    """The provider does not know the uploaded file yet (fact sheet, failure 9)."""


class MayHaveActed(ApiError):
    """A call that creates something got no usable reply: it may have been carried out."""


class OutOfMoney(ApiError):
    """The account's quota, credit or hard limit is used up; no retry can help."""


class Unauthorized(ApiError):
    """The API key is missing, refused, or lacks the right to make this call."""


class NoRoom(ApiError):
    """A quota of the account's files or storage is used up; nothing is wrong with the request."""


class ModelRefused(ApiError):
    """The API key may not use a model: jobs with other models are not concerned."""


class NotFound(ApiError):
    """The object does not exist, or belongs to another API key."""


class NotOffered(ApiError):
    """The provider does not offer the call (404 on a collection, 405, 501)."""


class Rejected(ApiError):
    """The provider rejects the request itself; sending it again would not help."""


class TooLarge(Rejected):
    """The provider rejects a file of this size; a smaller one may pass (fact sheet, failure 12)."""


class UnexpectedReply(ApiError):
    """The reply has no usable object: HTML, no id, cut short, not JSON."""
