"""A strict parser of the text format 0.0.4 of Prometheus."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Final

_NAME: Final = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL: Final = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"'
_SAMPLE: Final = re.compile(rf"({_NAME})(?:\{{((?:{_LABEL},?)*)\}})? (\S+)")
_ESCAPED: Final = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}

Labels = frozenset[tuple[str, str]]


@dataclass
class Family:
    """One metric: what is said of it, and its samples by their labels."""

    help: str
    type: str = ""
    samples: dict[Labels, float] = field(default_factory=dict)


def read(text: str) -> dict[str, Family]:
    """Read a file; raises AssertionError for whatever breaks a rule of the format.

    One HELP and one TYPE before the samples of each metric, all of them together, no sample
    twice, every line ended.
    """
    assert text.endswith("\n")
    families: dict[str, Family] = {}
    current = ""
    for line in text.split("\n")[:-1]:
        if match := re.fullmatch(rf"# HELP ({_NAME}) ((?:[^\\]|\\[\\n])+)", line):
            assert match[1] not in families, f"{match[1]} comes twice"
            current = match[1]
            families[current] = Family(help=match[2])
        elif match := re.fullmatch(rf"# TYPE ({_NAME}) (counter|gauge|histogram|summary)", line):
            assert match[1] == current
            assert families[current].type == ""
            assert families[current].samples == {}
            families[current].type = match[2]
        else:
            sample = _SAMPLE.fullmatch(line)
            assert sample is not None, line
            assert sample[1] == current, f"{line} is not below its own HELP"
            assert families[current].type
            pairs = re.findall(_LABEL, sample[2] or "")
            labels = frozenset((name, _unescaped(value)) for name, value in pairs)
            assert len({name for name, _ in pairs}) == len(pairs), line
            assert labels not in families[current].samples, f"{line} comes twice"
            value = float(sample[5])
            assert math.isfinite(value)
            families[current].samples[labels] = value
    assert all(family.samples for family in families.values())
    return families


def _unescaped(text: str) -> str:
    return re.sub(r"\\[\\\"n]", lambda match: _ESCAPED[match[0]], text)
