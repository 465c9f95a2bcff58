"""The Batches half of the simulated provider."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.simulation.behaviour import AnswerLocation, Problem, Row
from tests.simulation.exchange import Content
from tests.simulation.files import lifetime
from tests.simulation.life import OVER, Life
from tests.simulation.replies import Refusal, decode, json_reply, list_reply, page_limit

if TYPE_CHECKING:
    from tests.simulation.behaviour import Behaviours
    from tests.simulation.exchange import Request, Response
    from tests.simulation.files import FileShelf
    from tests.simulation.replies import Ground

ENDPOINTS = (
    "/v1/responses",
    "/v1/chat/completions",
    "/v1/embeddings",
    "/v1/completions",
    "/v1/moderations",
    "/v1/images/generations",
    "/v1/images/edits",
    "/v1/videos",
)
_PARAMETERS = ("input_file_id", "endpoint", "completion_window")
_WINDOW = re.compile(r"(\d+)([hd])")


@dataclass(slots=True, kw_only=True)
class BatchDesk:
    """All batches of the provider, and the calls that concern them."""

    ground: Ground
    files: FileShelf
    behaviours: Behaviours
    windows: tuple[str, ...] = ("24h",)
    lives: dict[str, Life] = field(default_factory=dict)
    _asked: Counter[bytes] = field(default_factory=Counter)
    _open: dict[str, Life] = field(default_factory=dict)

    def handle(self, request: Request, parts: list[str], now: float) -> Response:
        """Answer a call below `/batches`; raises Refusal."""
        conditions = self.ground.conditions
        match request.method, parts:
            case "POST", []:
                life = self._create(request, now)
                # A creation is answered before anything can have happened to the batch.
                return json_reply(self._show(life, -1.0), conditions.create_status)
            case "GET", []:
                return self._list(request, now)
            case "GET", [name]:
                life = self._known(name, now)
                if now < life.created + conditions.batch_blind:
                    raise _unknown(name)
                return json_reply(self._show(life, now))
            case "POST", [name, "cancel"]:
                return self._cancel(self._known(name, now), now)
            case _:
                raise Refusal(404, f"Invalid URL ({request.method} /v1{request.path})")

    def settle(self, now: float) -> None:
        """Put the files of all batches on the shelf whose ids are shown by now."""
        for life in [life for life in self._open.values() if life.files_at <= now]:
            del self._open[life.id]
            if life.gone_at <= life.files_at:
                continue  # forgotten before it had files
            shown = life.show(now, {})
            for place, key in (
                (AnswerLocation.OUTPUT, "output_file_id"),
                (AnswerLocation.ERROR, "error_file_id"),
            ):
                if not shown[key]:
                    continue
                self.files.add(
                    shown[key],
                    f"{life.id}_{place.value}.jsonl",
                    Content.of(life.files()[place]),
                    created=life.files_at,
                    readable=life.files_at + life.behaviour.content_after,
                    life=lifetime(
                        life.asked.get("output_expires_after") or {}, "anchor", "seconds"
                    ),
                    spoiled=life.behaviour.spoiled,
                )

    def _show(self, life: Life, at: float) -> dict[str, Any]:
        conditions = self.ground.conditions
        return life.show(
            at,
            conditions.status_words,
            metadata=conditions.metadata,
            classic=conditions.classic,
        )

    def _known(self, name: str, now: float) -> Life:
        life = self.lives.get(name)
        if life is None or now >= life.gone_at:
            raise _unknown(name)
        return life

    def _cancel(self, life: Life, now: float) -> Response:
        status = life.status(now)
        if status in OVER - {"cancelled"}:
            raise Refusal(
                self.ground.conditions.conflict_status,
                f"Cannot cancel a batch with status '{status}'.",
            )
        if status != "cancelled":
            life.cancel(now)
        return json_reply(self._show(life, now))

    def _list(self, request: Request, now: float) -> Response:
        conditions = self.ground.conditions
        limit = page_limit(request.query, default=20, ceiling=100)
        entries = [
            life
            for life in self.lives.values()
            if life.created + conditions.list_lag <= now < life.gone_at
        ]
        entries.sort(key=_age, reverse=not conditions.oldest_first)
        after = request.query.get("after")
        start = None
        if after is not None:
            if after not in self.lives:
                raise Refusal(400, f"No batch found with id '{after}'.", param="after")
            mark = _age(self.lives[after])
            oldest = conditions.oldest_first
            start = sum(
                1 for life in entries if (_age(life) <= mark if oldest else _age(life) >= mark)
            )
        return list_reply(
            entries,
            after=start,
            limit=limit,
            show=lambda life: self._show(life, now - conditions.list_stale),
            conditions=conditions,
        )

    def _create(self, request: Request, now: float) -> Life:
        asked = _parameters(request, self.windows)
        file = self.files.for_batch(asked["input_file_id"], now)
        rows, problems = _read(file.content, asked["endpoint"], self.ground.conditions.max_requests)
        counted = [
            Row(
                index=row.index,
                custom_id=row.custom_id,
                url=row.url,
                body=row.body,
                digest=row.digest,
                earlier=self._asked[row.digest],
            )
            for row in rows
        ]
        index = len(self.lives)
        identifier = self.ground.identifier("batch_", index)
        life = Life(
            id=identifier,
            index=index,
            created=now,
            window=_seconds(asked["completion_window"]),
            asked=asked,
            rows=counted,
            behaviour=self.behaviours(index, counted),
            problems=tuple(problems),
            file_ids={
                place: self.ground.identifier("file-", f"{identifier}/{place.value}")
                for place in AnswerLocation
            },
            seed=f"{self.ground.seed}/{index}",
        )
        if not life.without_files:
            self._asked.update(row.digest for row in rows)
        self.lives[identifier] = self._open[identifier] = life
        return life


def _unknown(name: str) -> Refusal:
    return Refusal(404, f"No batch found with id '{name}'.")


def _age(life: Life) -> tuple[float, int]:
    return life.created, life.index


def _seconds(window: str) -> float:
    found = _WINDOW.fullmatch(window)
    if found is None:
        return 86400.0
    return int(found[1]) * (3600.0 if found[2] == "h" else 86400.0)


def _parameters(request: Request, windows: tuple[str, ...]) -> dict[str, Any]:
    """Read and check the parameters of a creation; raises Refusal as the API refuses."""
    try:
        asked = json.loads(request.body)
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        raise Refusal(400, "We could not parse the JSON body of your request.")
    known = {*_PARAMETERS, "metadata", "output_expires_after"}
    for name in asked:
        if name not in known:
            raise Refusal(
                400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter"
            )
    for name in _PARAMETERS:
        if asked.get(name) is None:
            raise Refusal(
                400,
                f"Missing required parameter: '{name}'.",
                param=name,
                code="missing_required_parameter",
            )
        if not isinstance(asked[name], str):
            raise _wrong_type(name, "a string")
    for name, allowed in (("endpoint", ENDPOINTS), ("completion_window", windows)):
        if asked[name] not in allowed:
            listed = ", ".join(f"'{value}'" for value in allowed)
            raise Refusal(
                400,
                f"Invalid value: '{asked[name]}'. Supported values are: {listed}.",
                param=name,
                code="invalid_value",
            )
    lifetime(asked.get("output_expires_after") or {}, "anchor", "seconds")
    _check_metadata(asked.get("metadata"))
    return asked


def _wrong_type(name: str, expected: str) -> Refusal:
    return Refusal(
        400,
        f"Invalid type for '{name}': expected {expected}.",
        param=name,
        code="invalid_type",
    )


def _check_metadata(metadata: object) -> None:
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        raise _wrong_type("metadata", "an object")
    if len(metadata) > 16:
        raise Refusal(
            400,
            "Invalid 'metadata': too many properties. Expected an object with at most 16 "
            f"properties, but got an object with {len(metadata)} properties instead.",
            param="metadata",
            code="object_above_max_properties",
        )
    for key, value in metadata.items():
        if not isinstance(value, str):
            raise _wrong_type(f"metadata.{key}", "a string")
        if len(key) > 64 or len(value) > 512:
            limit, length = (64, len(key)) if len(key) > 64 else (512, len(value))
            raise Refusal(
                400,
                f"Invalid 'metadata.{key}': string too long. Expected a string with maximum "
                f"length {limit}, but got a string with length {length} instead.",
                param=f"metadata.{key}",
                code="string_above_max_length",
            )


def _read(content: Content, endpoint: str, ceiling: int) -> tuple[list[Row], list[Problem]]:
    """Read and validate an input file; a batch with problems fails as a whole."""
    rows: list[Row] = []
    problems: list[Problem] = []
    seen: set[str] = set()
    models: set[object] = set()
    for number, line in enumerate(content.lines(), 1):
        found = _read_line(line, number, endpoint)
        if isinstance(found, Problem):
            problems.append(found)
            continue
        if found["custom_id"] in seen:
            problems.append(
                Problem(
                    code="duplicate_custom_id",
                    message=f"The custom_id '{found['custom_id']}' is used more than once.",
                    param="custom_id",
                    line=number,
                )
            )
            continue
        seen.add(found["custom_id"])
        if found["body"].get("model") not in models and models:
            problems.append(
                Problem(
                    code="mismatched_model",
                    message="All requests of a batch must have the same model.",
                    param="body.model",
                    line=number,
                )
            )
            continue
        models.add(found["body"].get("model"))
        rows.append(
            Row(
                index=len(rows),
                custom_id=found["custom_id"],
                url=found["url"],
                body=found["body"],
                digest=hashlib.sha256(line).digest(),
                earlier=0,
            )
        )
    if len(rows) > ceiling:
        message = f"The file has {len(rows)} requests, the limit is {ceiling}."
        problems.append(Problem(code="too_many_tasks", message=message))
    return rows, problems


def _read_line(line: bytes, number: int, endpoint: str) -> dict[str, Any] | Problem:
    try:
        found: Any = decode(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        message = "This line is not parseable as valid JSON."
        return Problem(code="invalid_json_line", message=message, line=number)
    for name, kind in (("custom_id", str), ("method", str), ("url", str), ("body", dict)):
        if not isinstance(found.get(name), kind):
            return Problem(
                code="missing_required_parameter",
                message=f"Missing required parameter: '{name}'.",
                param=name,
                line=number,
            )
    if found["url"] != endpoint:
        return Problem(
            code="invalid_url",
            message=f"The url '{found['url']}' differs from the batch's endpoint '{endpoint}'.",
            param="url",
            line=number,
        )
    if found["body"].get("stream"):
        message = "Streaming is not supported in the Batch API."
        return Problem(
            code="streaming_unsupported", message=message, param="body.stream", line=number
        )
    return found
