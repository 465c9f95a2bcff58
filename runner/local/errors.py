"""The error replies of the server, in OpenAI's error format.

Messages, parameters and codes are those of OpenAI where they are known (fact sheet, sections 1, 2
and 4), so that clients handle them in the same way.
"""

from __future__ import annotations

from http import HTTPStatus


class RequestRejected(Exception):
    """A request that the server rejects, with the reply; raised by routes and what they call."""

    def __init__(
        self,
        message: str,
        *,
        status: HTTPStatus = HTTPStatus.BAD_REQUEST,
        param: str | None = None,
        code: str | None = None,
        kind: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.kind = kind

    def to_api(self) -> dict[str, object]:
        """Return the body of the reply."""
        return envelope(self.message, kind=self.kind, param=self.param, code=self.code)


def envelope(
    message: str,
    *,
    kind: str = "invalid_request_error",
    param: str | None = None,
    code: str | None = None,
) -> dict[str, object]:
    """Return the error object of a reply or of a failed request line."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def missing_parameter(param: str) -> RequestRejected:
    """Return the error for a missing parameter."""
    return RequestRejected(
        f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter"
    )


def invalid_type(param: str, expected: str) -> RequestRejected:
    """Return the error for a parameter of the wrong type; `expected` is like `a string`."""
    return RequestRejected(
        f"Invalid type for '{param}': expected {expected}.", param=param, code="invalid_type"
    )


def invalid_value(param: str, value: object, allowed: str) -> RequestRejected:
    """Return the error for a wrong value; `allowed` is like `one of 'a', 'b'`."""
    return RequestRejected(
        f"Invalid value: '{value}'. Expected {allowed}.", param=param, code="invalid_value"
    )


def file_not_found(identifier: str) -> RequestRejected:
    """Return the error for a file that does not exist."""
    return RequestRejected(
        f"No such File object: {identifier}", status=HTTPStatus.NOT_FOUND, param="id"
    )


def batch_not_found(identifier: str) -> RequestRejected:
    """Return the error for a batch that does not exist."""
    return RequestRejected(f"No batch found with id '{identifier}'.", status=HTTPStatus.NOT_FOUND)
