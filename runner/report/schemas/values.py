"""Values that several outputs have."""

from typing import Annotated, Final

from msgspec import Meta

DIGEST: Final = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"

Natural = Annotated[int, Meta(extra_json_schema={"minimum": 0})]
Positive = Annotated[int, Meta(extra_json_schema={"minimum": 1})]
Sha256 = Annotated[str, Meta(examples=[DIGEST], extra_json_schema={"pattern": "^[0-9a-f]{64}$"})]
Revision = Annotated[
    str, Meta(examples=["9f86d081884c"], extra_json_schema={"pattern": "^[0-9a-f]{12}$"})
]
"""The first 12 hexadecimal digits of a revision."""
