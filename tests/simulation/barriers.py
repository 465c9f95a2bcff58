"""Refusals that last, by name: what each is about, and which calls it meets.

A mishap befalls one exchange; a barrier stands until somebody takes it away. Its scope is what it
is about: a model, the room of the account, the account, or the way there. Whatever is outside of
the scope goes on.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final, assert_never

from tests.simulation.faults import Status, out_of_money

if TYPE_CHECKING:
    from tests.simulation.exchange import Request

BARRED_JOB: Final = "job"
"""The job that has the model which is refused; no other job has it."""

_MODEL: Final = "gpt-4o-mini"


class Scope(Enum):
    """What a refusal is about."""

    MODEL = auto()
    MODEL_AT_UPLOAD = auto()
    ROOM = auto()
    CREDIT = auto()
    EVERYTHING = auto()


class Barrier(Enum):
    """What is refused, and with which status."""

    MODEL_401 = "401 that names the model in its text"
    MODEL_403 = "403 that names the model in its code"
    MODEL_404 = "404 that names the model"
    MODEL_403_AT_UPLOAD = "403 to the upload that names the model"
    QUOTA_400 = "400: the quota of the model"
    QUOTA_403 = "403: the quota of the model"
    QUOTA_409 = "409: the quota of the model"
    QUOTA_413 = "413: the quota of the model"
    QUOTA_429 = "429: the quota of the model"
    ROOM_400 = "400: no room for files"
    ROOM_403 = "403: no room for files"
    ROOM_409 = "409: no room for files"
    ROOM_413 = "413: no room for files"
    ROOM_429 = "429: no room for files"
    ROOM_507 = "507: no room for files"
    CREDIT_402 = "402: no credit"
    CREDIT_429 = "429: no credit"
    KEY_401 = "401: the key"
    PROXY_407 = "407 of a proxy"

    @property
    def scope(self) -> Scope:
        """What it is about."""
        return _BARRIERS[self][0]

    def strike(self, request: Request, filename: str) -> Status | None:
        """Return the refusal of an exchange; None where it passes.

        `filename` is that of the input that is uploaded, or that a batch is made from.
        """
        scope, refusal = _BARRIERS[self]
        call = (request.method, request.path)
        mine = filename.startswith(f"{BARRED_JOB}-")
        match scope:
            case Scope.MODEL:
                met = call == ("POST", "/batches") and mine
            case Scope.MODEL_AT_UPLOAD:
                met = call == ("POST", "/files") and mine
            case Scope.ROOM:
                met = call == ("POST", "/files")
            case Scope.CREDIT:
                met = call == ("POST", "/batches")
            case Scope.EVERYTHING:
                met = True
            case _:
                assert_never(scope)
        return refusal if met else None


def _quota(status: int) -> tuple[Scope, Status]:
    message = f"The quota of enqueued tokens for the model {_MODEL} is used up."
    return Scope.MODEL, Status(status=status, message=message)


def _full(status: int, message: str) -> tuple[Scope, Status]:
    return Scope.ROOM, Status(status=status, message=message)


_BARRIERS: Final[dict[Barrier, tuple[Scope, Status]]] = {
    Barrier.MODEL_401: (
        Scope.MODEL,
        Status(status=401, message=f"This key may not use the model {_MODEL}."),
    ),
    Barrier.MODEL_403: (
        Scope.MODEL,
        Status(status=403, code="model_not_allowed", message="Forbidden."),
    ),
    Barrier.MODEL_404: (
        Scope.MODEL,
        Status(
            status=404,
            code="model_not_found",
            param="model",
            message=f"The model `{_MODEL}` does not exist or you do not have access to it.",
        ),
    ),
    Barrier.MODEL_403_AT_UPLOAD: (
        Scope.MODEL_AT_UPLOAD,
        Status(status=403, type="key_model_access_denied", param="model", message="No."),
    ),
    Barrier.QUOTA_400: _quota(400),
    Barrier.QUOTA_403: _quota(403),
    Barrier.QUOTA_409: _quota(409),
    Barrier.QUOTA_413: _quota(413),
    Barrier.QUOTA_429: _quota(429),
    Barrier.ROOM_400: _full(400, "The organization has used up its storage limit of 100 GB."),
    Barrier.ROOM_403: _full(403, "File storage quota exceeded."),
    Barrier.ROOM_409: _full(409, "Too many files in this project."),
    Barrier.ROOM_413: _full(413, "Storage is full: delete files first."),
    Barrier.ROOM_429: _full(429, "Your quota of files is reached."),
    Barrier.ROOM_507: _full(507, "No space left on device"),
    Barrier.CREDIT_402: (Scope.CREDIT, Status(status=402, message="Payment required.")),
    Barrier.CREDIT_429: (Scope.CREDIT, out_of_money()),
    Barrier.KEY_401: (
        Scope.EVERYTHING,
        Status(status=401, code="invalid_api_key", message="Incorrect API key provided."),
    ),
    Barrier.PROXY_407: (Scope.EVERYTHING, Status(status=407, message="Who are you?")),
}
