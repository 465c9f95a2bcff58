"""Validation of a batch's input before the batch starts: every line against every rule.

Codes and messages are OpenAI's (fact sheet, section 3). Memory is bounded by one line and the
custom_ids of the largest batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import msgspec

from runner.batch import BatchError
from runner.errors import MissingExtra
from runner.local import registry
from runner.local.rows import request_decoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.local.rows import BatchLine

MOST_REQUESTS: Final = 50_000
"""Lines in one batch, as in OpenAI's guide."""

_MOST_ERRORS: Final = 100
"""The most errors on a batch: the Batch object is sent on every poll."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputValidation:
    """The result of a validation: the number of requests and their model, or the errors."""

    requests: int
    model: str
    errors: tuple[BatchError, ...]


class _BodyHead(msgspec.Struct):
    model: Any = msgspec.UNSET
    stream: Any = None


_body_decoder = msgspec.json.Decoder(_BodyHead)


def check(source: BinaryIO, endpoint: str, stopping: Callable[[], bool]) -> InputValidation | None:
    """Validate an input; returns None if `stopping` became true before the end.

    Raises OSError if the input cannot be read.
    """
    check_state = _InputCheck(endpoint)
    for number, line in enumerate(source, start=1):
        if stopping():
            return None
        check_state.add(number, line)
        if number > MOST_REQUESTS or len(check_state.errors) >= _MOST_ERRORS:
            break
    return check_state.result()


class _InputCheck:
    """The state of one validation: the model and the custom_ids of the lines so far."""

    def __init__(self, endpoint: str) -> None:
        self.errors: list[BatchError] = []
        self._endpoint = endpoint
        self._requests = 0
        self._model: str | None = None
        self._full_name = ""
        self._seen: set[str] = set()

    def add(self, number: int, line: bytes) -> None:
        """Check one line; `number` counts from 1."""
        self._requests = number
        if number > MOST_REQUESTS:
            self._add_error(
                number,
                "too_many_tasks",
                f"The input has more than {MOST_REQUESTS:,} requests.",
            )
            return
        try:
            # msgspec does not decode strings inside a body: check the UTF-8 of the whole line.
            line.decode()
            request = request_decoder.decode(line)
        except msgspec.ValidationError:
            self._add_error(number, "invalid_json_line", "This line is not a JSON object.")
        except (ValueError, RecursionError):
            self._add_error(
                number, "invalid_json_line", "This line is not parseable as valid JSON."
            )
        else:
            self._check_request(number, request)

    def result(self) -> InputValidation:
        """Return the result after the last line."""
        if not self._requests:
            self.errors.append(BatchError(code="empty_file", message="The input file is empty."))
        return InputValidation(
            requests=self._requests, model=self._full_name, errors=tuple(self.errors)
        )

    def _check_request(self, number: int, request: BatchLine) -> None:
        for name in ("custom_id", "method", "url", "body"):
            if getattr(request, name) is msgspec.UNSET:
                self._add_error(
                    number,
                    "missing_required_parameter",
                    f"Missing required parameter: '{name}'.",
                    name,
                )
        self._check_custom_id(number, request.custom_id)
        if request.method is not msgspec.UNSET and request.method != "POST":
            self._add_error(number, "invalid_request", "The method must be 'POST'.", "method")
        if request.url is not msgspec.UNSET and request.url != self._endpoint:
            self._add_error(
                number,
                "invalid_url",
                f"The URL provided for this request does not match the batch endpoint"
                f" '{self._endpoint}'.",
                "url",
            )
        if isinstance(request.body, msgspec.Raw):
            self._check_body(number, request.body)

    def _check_custom_id(self, number: int, custom_id: object) -> None:
        if custom_id is msgspec.UNSET:
            return
        if not isinstance(custom_id, str) or not custom_id:
            message = "The custom_id must be a string, and not empty."
            self._add_error(number, "invalid_request", message, "custom_id")
        elif custom_id in self._seen:
            message = f"The custom_id '{custom_id}' is used by an earlier line."
            self._add_error(number, "duplicate_custom_id", message, "custom_id")
        else:
            self._seen.add(custom_id)

    def _check_body(self, number: int, body: msgspec.Raw) -> None:
        try:
            head = _body_decoder.decode(body)
        except msgspec.ValidationError:
            self._add_error(number, "invalid_request", "The body must be an object.", "body")
            return
        if head.stream is not None and head.stream is not False:
            self._add_error(
                number,
                "streaming_unsupported",
                "Streaming is not supported by the Batch API.",
                "body.stream",
            )
        if not isinstance(head.model, str) or not head.model:
            self._add_error(number, "invalid_request", "The body must name a model.", "body.model")
        elif self._model is None:
            self._model = head.model
            self._check_model(number, head.model)
        elif head.model != self._model:
            self._add_error(
                number,
                "mismatched_model",
                f"The model '{head.model}' is not that of the first request,"
                f" '{self._model}': one batch, one model.",
                "body.model",
            )

    def _check_model(self, number: int, name: str) -> None:
        model = registry.find(self._endpoint, name)
        if model is None:
            offered = ", ".join(registry.names(self._endpoint)) or "none"
            self._add_error(
                number,
                "model_not_found",
                f"The model '{name}' is not supported by the Batch API of this server for"
                f" {self._endpoint}. Models there: {offered}.",
                "body.model",
            )
            return
        self._full_name = model.name
        if model.require is not None:
            try:
                model.require()
            except MissingExtra as error:
                self._add_error(number, "model_not_found", str(error), "body.model")

    def _add_error(self, line: int, code: str, message: str, param: str | None = None) -> None:
        if len(self.errors) < _MOST_ERRORS:
            self.errors.append(BatchError(code=code, message=message, param=param, line=line))
