"""What the server says when it will not do what a request asks: OpenAI's error envelope.

The words, parameters and codes are those of the original wherever they are known (fact sheet,
sections 1, 2 and 4), so that a client cannot tell the difference.
"""

from __future__ import annotations

from http import HTTPStatus


class RequestRejected(Exception):
    """An answer other than the one hoped for; raised anywhere below a route."""

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
        """Give the body of the reply."""
        return envelope(self.message, kind=self.kind, param=self.param, code=self.code)


def envelope(
    message: str,
    *,
    kind: str = "invalid_request_error",
    param: str | None = None,
    code: str | None = None,
) -> dict[str, object]:
    """Wrap an error the way every reply and every failed request line of the API does."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def missing_parameter(param: str) -> RequestRejected:
    """Refuse a request that lacks a parameter."""
    return RequestRejected(
        f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter"
    )


def invalid_type(param: str, expected: str) -> RequestRejected:
    """Refuse a parameter of another type than `expected`, which reads as `a string`."""
    return RequestRejected(
        f"Invalid type for '{param}': expected {expected}.", param=param, code="invalid_type"
    )


def invalid_value(param: str, value: object, allowed: str) -> RequestRejected:
    """Refuse a parameter's value; `allowed` reads as `one of 'a', 'b'`."""
    return RequestRejected(
        f"Invalid value: '{value}'. Expected {allowed}.", param=param, code="invalid_value"
    )


def file_not_found(identifier: str) -> RequestRejected:
    """Refuse to speak of a file that is not there."""
    return RequestRejected(
        f"No such File object: {identifier}", status=HTTPStatus.NOT_FOUND, param="id"
    )


def batch_not_found(identifier: str) -> RequestRejected:
    """Refuse to speak of a batch that is not there."""
    return RequestRejected(f"No batch found with id '{identifier}'.", status=HTTPStatus.NOT_FOUND)
