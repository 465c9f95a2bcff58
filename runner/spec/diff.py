"""What differs between two texts of one spec, key by key, as the keys are understood.

A comment, an indent or a default that is written out changes no key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runner.spec.yaml.scalars import Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """A key with its dotted path, what it said and what it says.

    None stands for a key that is not written and has no default.
    """

    field: str
    before: Scalar
    after: Scalar


def spec_fields(text: str) -> dict[str, Scalar] | None:
    """Return every key of a spec with its value, defaults included, by dotted path.

    None where this version of runner cannot read the text.
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
    """List what differs, in the order of the later text; keys that are gone come last."""
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
