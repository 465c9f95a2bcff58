from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from runner.spec.identity import canonical_json, revision
from runner.spec.job import Job, Source
from runner.spec.project import EMBEDDED_BASE_URL, Limits, Provider

OPENAI = Provider(name="openai", base_url="https://api.openai.com/v1", api_key_env="OPENAI_API_KEY")
LOCAL = Provider(name="local", base_url=EMBEDDED_BASE_URL, embedded=True)
DIGEST = "0f" * 32
JOB = Job(
    name="sentiment",
    endpoint="/v1/chat/completions",
    input=Path("/p/data/x.jsonl"),
    input_shown="data/x.jsonl",
    metadata={},
    provider=OPENAI,
    source=Source(path="specs/a.yaml", line=1, sha256="00" * 32, positions={}),
    document="",
)

GOLDEN_OPENAI = "eeae76ba8bb007de0a0d049aa56ba46b140494ad90ef05672adf1a1c0d010d7b"
GOLDEN_LOCAL = "dd5f27e4f57f467ce389d0711178631acab0d543d9e31c672fd9751d8051f0a8"
"""Must never change: ledgers and output folders are named by them."""


def test_the_recipe_never_changes() -> None:
    assert revision(JOB, DIGEST) == GOLDEN_OPENAI
    assert revision(replace(JOB, provider=LOCAL), DIGEST) == GOLDEN_LOCAL


@given(
    name=st.text(),
    window=st.text(),
    metadata=st.dictionaries(st.text(), st.text()),
    attempts=st.integers(),
    output=st.none() | st.text(),
    document=st.text(),
    path=st.text().map(Path),
    requests=st.integers(),
)
def test_what_cannot_change_an_answer_is_not_in_it(
    *,
    name: str,
    window: str,
    metadata: dict[str, str],
    attempts: int,
    output: str | None,
    document: str,
    path: Path,
    requests: int,
) -> None:
    other = replace(
        JOB,
        name=name,
        completion_window=window,
        metadata=metadata,
        attempts=attempts,
        output=output,
        document=document,
        input=path,
        input_shown=str(path),
        source=Source(path=name, line=7, sha256="", positions={}),
        provider=replace(
            OPENAI, limits=Limits(max_requests=requests), adoption_grace=1.0, api_key_env=name
        ),
    )
    assert revision(other, DIGEST) == revision(JOB, DIGEST)


@given(endpoint=st.text(), name=st.text(), url=st.text(), replicate=st.integers(), digest=st.text())
def test_what_can_change_an_answer_is(
    endpoint: str, name: str, url: str, replicate: int, digest: str
) -> None:
    other = replace(
        JOB,
        endpoint=endpoint,
        replicate=replicate,
        provider=replace(OPENAI, name=name, base_url=url),
    )
    same = (endpoint, name, url, replicate, digest) == (
        JOB.endpoint,
        OPENAI.name,
        OPENAI.base_url,
        JOB.replicate,
        DIGEST,
    )
    assert (revision(other, digest) == revision(JOB, DIGEST)) == same


def test_each_part_counts_alone() -> None:
    others = [
        replace(JOB, endpoint="/v1/responses"),
        replace(JOB, replicate=2),
        replace(JOB, provider=replace(OPENAI, name="lab")),
        replace(JOB, provider=replace(OPENAI, base_url="http://lab/v1")),
    ]
    digests = {revision(job, DIGEST) for job in [JOB, *others]} | {revision(JOB, "1f" * 32)}
    assert len(digests) == len(others) + 2


@given(url=st.text())
def test_the_address_of_an_embedded_provider_means_nothing(url: str) -> None:
    job = replace(JOB, provider=LOCAL)
    moved = replace(JOB, provider=replace(LOCAL, base_url=url))
    assert revision(moved, DIGEST) == revision(job, DIGEST)


def test_canonical_json() -> None:
    assert canonical_json({"b": [1, None], "a": "é"}) == b'{"a":"\\u00e9","b":[1,null]}'
