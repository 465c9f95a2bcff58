"""How the simulated provider treats a batch, its rows, and its callers.

`Answer` is how one row ends, `Ending` how a batch ends, `Behaviour` everything that can differ
from batch to batch, `Conditions` what holds for the whole provider. By default nothing goes wrong.
Seconds are by the clock of the simulated provider (`World`).
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One request of a batch, as the provider read it.

    `index` counts from 0 in its batch. `digest` is the SHA-256 of the line, and `earlier` says
    how many earlier batches had exactly this line.
    """

    index: int
    custom_id: str
    url: str
    body: Mapping[str, Any]
    digest: bytes
    earlier: int


class AnswerLocation(Enum):
    """Which of a batch's two files a line is written to."""

    OUTPUT = "output"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeed:
    """Status 200. `text` is added to the answer's own; `body` replaces the whole of it.

    `finish` is why the answer of a chat or a completion ends.
    """

    text: str = ""
    finish: str = "stop"
    body: Mapping[str, Any] | None = None
    status: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpError:
    """An HTTP status other than 2xx; 0 is the provider's own failure (fact sheet, section 3)."""

    status: int
    code: str | None = None
    message: str = "This request failed."
    place: AnswerLocation = AnswerLocation.ERROR


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRun:
    """`response` is null and `error` has a code: `request_timeout`, `batch_expired`, ..."""

    code: str = "request_timeout"
    message: str = "This request could not be executed."
    place: AnswerLocation = AnswerLocation.ERROR


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorInBody:
    """Status 200 in the output file, but the body holds an `error`."""

    code: str = "server_error"
    place: AnswerLocation = AnswerLocation.OUTPUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """The row is in neither file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """A line that is not JSON; None means a real response cut in half."""

    line: bytes | None = None
    place: AnswerLocation = AnswerLocation.OUTPUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Several:
    """More than one line for the row, in this order."""

    answers: tuple[Succeed | HttpError | NotRun | ErrorInBody | Malformed, ...]


Answer: TypeAlias = Succeed | HttpError | NotRun | ErrorInBody | Missing | Malformed | Several


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One entry of a failed batch's `errors.data`."""

    code: str | None
    message: str | None = None
    param: str | None = None
    line: int | None = None


TOKEN_LIMIT = Problem(
    code="token_limit_exceeded",
    message=(
        "Enqueued token limit reached for gpt-4o-mini in organization org-simulated. Limit: "
        "2,000,000 enqueued tokens. Please try again once some in_progress batches have been "
        "completed."
    ),
)
CANNOT_FIND_FILE = Problem(
    code="invalid_request",
    message="Cannot find file, or organization org-simulated does not have access to it.",
    param="file_id",
)
MODEL_NOT_FOUND = Problem(
    code="model_not_found",
    message="The provided model 'gpt-0' is not supported by the Batch API.",
    param="body.model",
    line=1,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete:
    """The batch runs to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail:
    """The batch as a whole fails; `late` while in progress, else while validating.

    With a `fraction` it fails late, when that part of the rows is done, and has files.
    """

    problems: tuple[Problem, ...] = (TOKEN_LIMIT,)
    late: bool = False
    fraction: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expire:
    """The time is over when a `fraction` of the rows is done."""

    fraction: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """Someone else cancels it when a `fraction` of the rows is done."""

    fraction: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """It stays in `status` for ever, a `fraction` of its rows done: until it is cancelled."""

    status: str = "in_progress"
    fraction: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Vanish:
    """From `after` seconds of its life on the provider knows nothing of it."""

    after: float = 0.0


Ending: TypeAlias = Complete | Fail | Expire | Cancelled | Stuck | Vanish


class Counts(Enum):
    """What `request_counts` says."""

    TRUE = "true"
    ALL_WELL = "every request completed, whatever happened"
    EMPTY = "{}"
    NULL_MEMBERS = "members that are null"
    NULL = "null"


class Reasons(Enum):
    """In which form a failed batch gives its reasons."""

    LIST = "errors.data"
    BARE_LIST = "errors is a list"
    OBJECT = "errors is the first one"
    TEXT = "errors is the message of the first one"
    ERROR = "error is the first one, and errors is null"
    ERROR_TEXT = "error is the message of the first one, and errors is null"


class NoFile(Enum):
    """How a file with no lines is shown."""

    NULL = "null"
    EMPTY_TEXT = "an id that is an empty string"
    EMPTY_FILE = "the id of a file of 0 bytes"


class Spoil(Enum):
    """What a gateway makes of a result file."""

    SHORTENED = "the first half of its lines"
    CUT = "its beginning, which ends within a line"
    EMPTIED = "nothing"
    NAMELESS = "its lines without custom_id"
    RENAMED = "its lines with other custom_ids"
    EXCHANGED = "lines of requests that nobody made in place of the second half"
    MIXED = "a line of a request that nobody made, and then its lines"
    PAGE = "a page of HTML"
    ERROR = "an error object without a code"
    REFUSAL = "an error object"


class SaidSize(Enum):
    """How many bytes a spoiled file is said to have."""

    WHOLE = "those that it should have"
    SENT = "those that are sent"
    UNSAID = "null"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoiled:
    """What comes in place of both files for the first `lasts` seconds that they can be read."""

    how: Spoil
    lasts: float = math.inf
    size: SaidSize = SaidSize.WHOLE


class Cancelling(Enum):
    """What becomes of a cancellation."""

    ENDS = "it ends"
    STUCK = "it never ends"
    TIMELESS = "it never ends, and nothing says since when it goes on"
    MOVING = "it never ends, and is said to have been requested just now"
    IGNORED = "the batch goes on as if nothing had been asked"


def succeed(_row: Row) -> Answer:
    """Answer any row well."""
    return Succeed()


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How one batch proceeds and ends.

    Attributes:
        validating, working, finalizing, cancelling: seconds spent in each phase.
        ending: how it ends as a whole.
        answer: how each row that is run ends; called once per row.
        lists_unrun: rows never run are listed in the error file, else they are in neither.
        cancel_loses: a cancel comes too late: cancelling, and then completed.
        shuffled: result lines are not in input order.
        counts, no_output, no_error: what is shown of counts and of files without lines.
        files_after: seconds from the terminal status until the ids of the files are shown.
        content_after: seconds from then on until the files can be read (404 before).
        final_newline: result files end in a newline.
        reasons: the form of the reasons, where the batch fails as a whole.
        bodies_as_text: the body of a response is a JSON text of the object, as OGX writes it.
        spoiled: what comes in place of its files; None for the files themselves.
        cancels: what becomes of its cancellation.

    """

    validating: float = 0.0
    working: float = 0.0
    finalizing: float = 0.0
    cancelling: float = 0.0
    ending: Ending = field(default_factory=Complete)
    answer: Callable[[Row], Answer] = succeed
    lists_unrun: bool = True
    cancel_loses: bool = False
    shuffled: bool = True
    counts: Counts = Counts.TRUE
    no_output: NoFile = NoFile.NULL
    no_error: NoFile = NoFile.NULL
    files_after: float = 0.0
    content_after: float = 0.0
    final_newline: bool = True
    reasons: Reasons = Reasons.LIST
    bodies_as_text: bool = False
    spoiled: Spoiled | None = None
    cancels: Cancelling = Cancelling.ENDS


Behaviours: TypeAlias = "Callable[[int, Sequence[Row]], Behaviour]"


def same(behaviour: Behaviour) -> Behaviours:
    """Treat every batch alike."""
    return lambda _index, _rows: behaviour


def in_turn(*behaviours: Behaviour) -> Behaviours:
    """Treat the first batch by the first behaviour, and so on; the last holds for the rest."""
    return lambda index, _rows: behaviours[min(index, len(behaviours) - 1)]


def by_id(answers: Mapping[str, Answer]) -> Callable[[Row], Answer]:
    """Answer the rows with these ids so, and all others well."""
    return lambda row: answers.get(row.custom_id, Succeed())


def first_time(answers: Mapping[str, Answer]) -> Callable[[Row], Answer]:
    """Give these rows this answer the first time, and a good one from then on."""
    return lambda row: Succeed() if row.earlier else answers.get(row.custom_id, Succeed())


EVERY_ANSWER: tuple[Answer, ...] = (
    Succeed(text="\u2028\u2029\x85 \U0001f469\u200d\U0001f52c"),
    HttpError(status=400, code="invalid_value"),
    HttpError(status=429, code="rate_limit_exceeded"),
    HttpError(status=500),
    HttpError(status=0),
    HttpError(status=400, place=AnswerLocation.OUTPUT),
    NotRun(),
    ErrorInBody(),
    Missing(),
    Malformed(),
    Malformed(line=b"", place=AnswerLocation.ERROR),
    Malformed(line=b"\xff\xfe", place=AnswerLocation.ERROR),
    Several(answers=(Succeed(), Succeed())),
    Several(answers=(HttpError(status=500), Succeed())),
    Succeed(body={}),
)


def by_chance(
    seed: int, rate: float, kinds: Sequence[Answer] = EVERY_ANSWER
) -> Callable[[Row], Answer]:
    """Answer a share `rate` of the rows otherwise than well; the same for the same seed."""

    def answer(row: Row) -> Answer:
        chance = random.Random(f"{seed}:{row.digest.hex()}:{row.earlier}")
        return chance.choice(kinds) if chance.random() < rate else Succeed()

    return answer


class ListFault(Enum):
    """How a list of the provider goes wrong."""

    NONE = "none"
    REPEATED = "the first page for ever, and has_more"
    ENDLESS = "has_more for ever; after the last entry empty pages"
    HOLE = "the second page is empty and has_more, though entries follow"


class ListShape(Enum):
    """In which form a list is sent."""

    FULL = "object, data, first_id, last_id, has_more"
    NO_IDS = "without first_id and last_id"
    BARE = "an array"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What holds for the provider as a whole; may be replaced while the provider is running.

    Attributes:
        list_lag: seconds until a new batch or file is in the lists.
        list_stale: lists show the statuses of so many seconds ago.
        list_fault, list_shape, oldest_first: the lists' dialect.
        list_missing: lists are not offered: this status (404, 405, 501) instead.
        list_parameters: `/files` accepts parameters; else 400.
        create_blind: seconds during which a new file is unknown to the creation of batches.
        file_blind, batch_blind: seconds during which a new file or batch is unknown to GET.
        file_life: seconds a file lives.
        status_words: the provider's own words for statuses.
        metadata: metadata are kept; else accepted and forgotten.
        classic: the twenty classic fields only.
        create_status: 200, or 201 as some dialects have it.
        conflict_status: the answer to the cancel of a batch that is over: 409, or 400.
        chunked: file contents declare no length.
        refuses_with: the status of every refusal, such as 200; None for the proper one.
        echoes_key: a refused key is repeated in full in the error message.
        max_requests, max_bytes: limits of a batch, of an upload.

    """

    list_lag: float = 0.0
    list_stale: float = 0.0
    list_fault: ListFault = ListFault.NONE
    list_shape: ListShape = ListShape.FULL
    list_missing: int | None = None
    list_parameters: bool = True
    oldest_first: bool = False
    create_blind: float = 0.0
    file_blind: float = 0.0
    batch_blind: float = 0.0
    file_life: float = 30 * 86400.0
    status_words: Mapping[str, str] = field(default_factory=dict)
    metadata: bool = True
    classic: bool = False
    create_status: int = 200
    conflict_status: int = 409
    chunked: bool = False
    refuses_with: int | None = None
    echoes_key: bool = False
    max_requests: int = 50_000
    max_bytes: int = 200_000_000
