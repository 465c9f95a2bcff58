"""Compare two texts of a spec field by field, by the values they stand for.

A comment, the indentation and a default that is written out change no field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runner.spec.yaml.tree import Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """A field, by its dotted path, with its value before and after.

    None stands for a field that is not written and has no default.
    """

    field: str
    before: Scalar
    after: Scalar


def spec_fields(text: str) -> dict[str, Scalar] | None:
    """Return every field of a spec with its value, defaults included, by dotted path.

    None if this version of runner cannot read the text.
    """
    from pydantic import ValidationError

    from runner.spec.schema import spec_adapter
    from runner.spec.yaml.documents import read_documents
    from runner.spec.yaml.tree import to_python

    documents, problems = read_documents(text.encode(), "")
    if problems or len(documents) != 1 or documents[0].problems or documents[0].root is None:
        return None
    try:
        parsed = spec_adapter().validate_python(to_python(documents[0].root))
    except ValidationError:
        return None
    return dict(_leaves("", parsed.model_dump(mode="json")))


def changed_fields(
    before: Mapping[str, Scalar], after: Mapping[str, Scalar]
) -> tuple[FieldChange, ...]:
    """Return the fields that differ, in the order of `after`; removed fields come last."""
    return tuple(
        FieldChange(field=field, before=before.get(field), after=after.get(field))
        for field in {**after, **before}
        if before.get(field) != after.get(field)
    )


def _leaves(path: str, value: object) -> Iterator[tuple[str, Scalar]]:
    if isinstance(value, dict):
        for key, member in value.items():
            yield from _leaves(f"{path}.{key}" if path else str(key), member)
    elif value is None or isinstance(value, str | int | float | bool):
        yield path, value
    else:
        import json

        yield path, json.dumps(value, ensure_ascii=False)
