"""The Files half of the simulated provider."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, assert_never

from tests.simulation.behaviour import SaidSize
from tests.simulation.exchange import Content, Response
from tests.simulation.replies import (
    Refusal,
    decode,
    json_reply,
    list_reply,
    page_limit,
    whole_seconds,
)
from tests.simulation.results import spoil

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.simulation.behaviour import Spoiled
    from tests.simulation.exchange import Request
    from tests.simulation.replies import Ground

_PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
_LIFE_SECONDS = range(3600, 2_592_001)


@dataclass(slots=True, kw_only=True)
class StoredFile:
    """A file at the provider. `readable` is the time from which its content is given out."""

    id: str
    number: int
    filename: str
    purpose: str
    created: float
    expires: float
    readable: float
    content: Content
    deleted: float | None = None
    spoiled: Spoiled | None = None

    def exists(self, at: float) -> bool:
        """Whether the provider has it at a time, delays of visibility apart."""
        return self.created <= at < (self.expires if self.deleted is None else self.deleted)

    def sent(self, at: float) -> Content:
        """Return what comes when it is read at a time."""
        spoiled = self.spoiled
        if spoiled is None or at >= self.readable + spoiled.lasts:
            return self.content
        return Content.of(spoil(self.content.whole(), spoiled.how))

    def show(self, at: float) -> dict[str, Any]:
        """Return the File object as of a time."""
        return {
            "object": "file",
            "id": self.id,
            "purpose": self.purpose,
            "filename": self.filename,
            "bytes": self._said(at),
            "created_at": whole_seconds(self.created),
            "expires_at": whole_seconds(self.expires),
            "status": "processed",
            "status_details": None,
        }

    def _said(self, at: float) -> int | None:
        """Return its size as the provider says it."""
        size = SaidSize.WHOLE if self.spoiled is None else self.spoiled.size
        match size:
            case SaidSize.WHOLE:
                return len(self.content)
            case SaidSize.SENT:
                return len(self.sent(at))
            case SaidSize.UNSAID:
                return None
            case _:
                assert_never(size)


@dataclass(slots=True, kw_only=True)
class FileShelf:
    """All files of the provider, and the calls that concern them."""

    ground: Ground
    stored: dict[str, StoredFile] = field(default_factory=dict)

    def handle(self, request: Request, parts: list[str], now: float) -> Response:
        """Answer a call below `/files`; raises Refusal."""
        match request.method, parts:
            case "POST", []:
                return json_reply(self._create(request, now).show(now))
            case "GET", []:
                return self._list(request, now)
            case "GET", [name]:
                return json_reply(self._visible(name, now).show(now))
            case "GET", [name, "content"]:
                return self._content(name, now)
            case "DELETE", [name]:
                file = self._visible(name, now)
                file.deleted = now
                return json_reply({"object": "file", "deleted": True, "id": file.id})
            case _:
                raise Refusal(404, f"Invalid URL ({request.method} /v1{request.path})")

    def add(
        self, identifier: str, filename: str, content: Content, *, created: float, readable: float,
        life: float | None = None, purpose: str = "batch_output", spoiled: Spoiled | None = None,
    ) -> StoredFile:  # fmt: skip
        """Put a file on the shelf."""
        file = StoredFile(
            id=identifier,
            number=len(self.stored),
            filename=filename,
            purpose=purpose,
            created=created,
            expires=created + (self.ground.conditions.file_life if life is None else life),
            readable=readable,
            content=content,
            spoiled=spoiled,
        )
        self.stored[identifier] = file
        return file

    def for_batch(self, name: str, now: float) -> StoredFile:
        """Return a batch's input; raises Refusal where it is not known (yet) or of no use."""
        file = self.stored.get(name)
        blind = self.ground.conditions.create_blind
        if file is None or not file.exists(now) or now < file.created + blind:
            raise Refusal(
                400,
                f"Cannot find file {name}, or organization org-simulated does not have access "
                "to it.",
                param="file_id",
                code="invalid_request",
            )
        if file.purpose != "batch":
            raise Refusal(
                400,
                f"The file {name} has the purpose '{file.purpose}', 'batch' is needed.",
                param="input_file_id",
                code="invalid_purpose",
            )
        return file

    def _create(self, request: Request, now: float) -> StoredFile:
        form = request.form
        if form is None:
            raise Refusal(400, "Expected multipart/form-data.")
        purpose, upload = form.fields.get("purpose"), form.file
        if purpose is None:
            raise Refusal(
                400,
                "Missing required parameter: 'purpose'.",
                param="purpose",
                code="missing_required_parameter",
            )
        if upload is None or not upload.filename:
            raise Refusal(
                400,
                "Missing required parameter: 'file'.",
                param="file",
                code="missing_required_parameter",
            )
        if purpose not in _PURPOSES:
            raise Refusal(
                400,
                f"Invalid value: '{purpose}'. Supported values are: {', '.join(_PURPOSES)}.",
                param="purpose",
                code="invalid_value",
            )
        if purpose == "batch":
            self._validate(upload.filename, upload.content)
        return self.add(
            self.ground.identifier("file-", len(self.stored)),
            upload.filename,
            upload.content,
            created=now,
            readable=now,
            life=lifetime(form.fields, "expires_after[anchor]", "expires_after[seconds]"),
            purpose=purpose,
        )

    def _validate(self, filename: str, content: Content) -> None:
        """Refuse what the API refuses at the upload; later lines are checked by the batch."""
        if not filename.endswith(".jsonl"):
            raise Refusal(400, "Invalid file format for Batch API. Must be .jsonl", param="file")
        if len(content) > self.ground.conditions.max_bytes:
            raise Refusal(413, "File is too large.", param="file", code="file_too_large")
        if not content:
            raise Refusal(400, "File is empty.", param="file", code="empty_file")
        try:
            decode(next(content.lines()))
        except ValueError:
            raise Refusal(
                400,
                "Invalid file format. The first line is not parseable as valid JSON.",
                param="file",
                code="invalid_jsonl",
            ) from None

    def _visible(self, name: str, now: float) -> StoredFile:
        file = self.stored.get(name)
        blind = self.ground.conditions.file_blind
        if file is None or not file.exists(now) or now < file.created + blind:
            raise Refusal(404, f"No such File object: {name}", param="id")
        return file

    def _content(self, name: str, now: float) -> Response:
        file = self._visible(name, now)
        if now < file.readable:
            raise Refusal(404, f"No such File object: {name}", param="id")
        return Response(
            status=200,
            headers={"content-type": "application/octet-stream"},
            body=file.sent(now),
            chunked=self.ground.conditions.chunked,
        )

    def _list(self, request: Request, now: float) -> Response:
        conditions, query = self.ground.conditions, request.query
        if query and not conditions.list_parameters:
            raise Refusal(
                400, f"Unknown parameter: '{next(iter(query))}'.", code="unknown_parameter"
            )
        order = query.get("order", "desc")
        if order not in ("asc", "desc"):
            raise Refusal(
                400,
                f"Invalid value: '{order}'. Supported values are: 'asc' and 'desc'.",
                param="order",
                code="invalid_value",
            )
        entries = sorted(
            (
                file
                for file in self.stored.values()
                if file.exists(now)
                and file.created + conditions.list_lag <= now
                and query.get("purpose", file.purpose) == file.purpose
            ),
            key=_age,
            reverse=order == "desc",
        )
        return list_reply(
            entries,
            after=self._position(entries, query.get("after"), descending=order == "desc"),
            limit=page_limit(query, default=10_000, ceiling=10_000),
            show=lambda file: file.show(now),
            conditions=conditions,
        )

    def _position(
        self, entries: list[StoredFile], after: str | None, *, descending: bool
    ) -> int | None:
        """Return how many entries come before the page; a deleted file is still a place."""
        if after is None:
            return None
        if after not in self.stored:
            raise Refusal(400, f"No such File object: {after}", param="after")
        mark = _age(self.stored[after])
        return sum(
            1 for file in entries if (_age(file) >= mark if descending else _age(file) <= mark)
        )


def _age(file: StoredFile) -> tuple[float, int]:
    return file.created, file.number


def lifetime(fields: Mapping[str, Any], anchor_key: str, seconds_key: str) -> float | None:
    """Read when a file is to expire, in seconds; None where nothing was said; raises Refusal."""
    anchor, seconds = fields.get(anchor_key), fields.get(seconds_key)
    if anchor is None and seconds is None:
        return None
    text = str(seconds)
    if anchor != "created_at" or not text.isdigit() or int(text) not in _LIFE_SECONDS:
        raise Refusal(400, "Invalid 'expires_after'.", param="expires_after", code="invalid_value")
    return float(text)
