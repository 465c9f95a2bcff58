from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion
from openai.types.completion import Completion
from openai.types.responses import Response

from runner.errors import MissingExtra
from runner.extras import how_to_install
from runner.local import echo, embeddings, registry
from tests.local.support import EMBEDDINGS, request

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from runner.local.models import ModelFunction, ModelResponse
    from tests.local.support import Bench

TEXTS = [
    "How do I locate my card?",
    " ",
    "naïve 日本語 🤖",
    "long " * 3000,
    "line\u2028separator",
]


def ask(answer_all: ModelFunction, /, **body: object) -> ModelResponse:
    [answer] = answer_all([msgspec.Raw(msgspec.json.encode(body))])
    assert msgspec.json.encode(answer.body)
    return answer


def vectors(answer: ModelResponse) -> NDArray[np.float32]:
    assert isinstance(answer.body, dict)
    return np.array([entry["embedding"] for entry in answer.body["data"]], dtype=np.float32)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> NDArray[np.float64]:
    """Embed the texts by wordllama itself, its tokenizer put where it looks for it: a cache.

    In a process of its own: to import it changes the logging of the one that does.
    """
    folder = tmp_path_factory.mktemp("wordllama")
    _, tokenizer = embeddings.files()
    (folder / ".cache/wordllama").mkdir(parents=True)
    (folder / ".cache/wordllama/tokenizers").symlink_to(tokenizer.parent)
    (folder / "texts.json").write_text(json.dumps(TEXTS))
    code = """
import json, pathlib, sys
import numpy
from wordllama import WordLlama
folder = pathlib.Path(sys.argv[1])
model = WordLlama.load(disable_download=True)
texts = json.loads((folder / "texts.json").read_text())
numpy.save(folder / "vectors.npy", model.embed(texts))
"""
    environment = os.environ | {"HOME": str(folder)}
    subprocess.run([sys.executable, "-c", code, folder], env=environment, check=True)
    vectors: NDArray[np.float64] = np.load(folder / "vectors.npy")
    return vectors


def test_embeddings_are_those_of_wordllama(original: NDArray[np.float64]) -> None:
    answer = ask(embeddings.answer, model="wordllama", input=TEXTS)
    assert answer.status == 200
    # It adds up in double precision, runner in single: what is left is rounding.
    assert np.allclose(vectors(answer), original, rtol=0, atol=1e-6)


def test_one_text_is_embedded_as_it_is_among_others() -> None:
    together = vectors(ask(embeddings.answer, input=TEXTS))
    for index, text in enumerate(TEXTS):
        assert np.array_equal(vectors(ask(embeddings.answer, input=text)), together[[index]])


@pytest.mark.parametrize("dimensions", [64, 128, 256])
def test_embeddings_can_be_cut(dimensions: int) -> None:
    whole = vectors(ask(embeddings.answer, input=TEXTS))
    cut = vectors(ask(embeddings.answer, input=TEXTS, dimensions=dimensions))
    assert np.array_equal(cut, whole[:, :dimensions])


def test_embeddings_in_base64_are_the_same_numbers() -> None:
    plain = vectors(ask(embeddings.answer, input=TEXTS[0]))
    body = ask(embeddings.answer, input=TEXTS[0], encoding_format="base64").body
    assert isinstance(body, dict)
    packed = base64.b64decode(body["data"][0]["embedding"])
    assert np.array_equal(np.frombuffer(packed, dtype="<f4"), plain[0])


def test_an_embedding_response_is_the_apis(bench: Bench) -> None:
    lines = [
        request("one", EMBEDDINGS, model="wordllama", input="hello world"),
        request("two", EMBEDDINGS, model="wordllama", input=["a b c", "d"], user="someone"),
        request("bad", EMBEDDINGS, model="wordllama", input=""),
    ]
    batch = bench.run(lines, EMBEDDINGS)
    assert batch.model == "wordllama-l2-supercat-256"
    one, two = (
        CreateEmbeddingResponse.model_validate(line["response"]["body"], strict=True)
        for line in bench.answers(batch)
    )
    assert one.model == batch.model
    assert [len(entry.embedding) for entry in two.data] == [256, 256]
    assert [entry.index for entry in two.data] == [0, 1]
    assert one.usage.prompt_tokens == one.usage.total_tokens > 0
    assert batch.usage is not None
    assert batch.usage.total_tokens == one.usage.total_tokens + two.usage.total_tokens
    [bad] = bench.failures(batch)
    assert bad["response"]["body"]["error"]["param"] == "input"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": "a", "dimensions": 100}, "dimensions"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"input": [1, 2, 3]}, None),
        ({}, None),
    ],
)
def test_embeddings_that_are_refused(body: dict[str, Any], param: str | None) -> None:
    answer = ask(embeddings.answer, **body)
    assert answer.status == 400
    assert isinstance(answer.body, dict)
    assert answer.body["error"]["type"] == "invalid_request_error"
    assert answer.body["error"]["param"] == param


def test_the_package_is_never_imported_nor_needed_before() -> None:
    code = """
import sys, msgspec
from runner.local import registry, app, worker
assert not {"numpy", "tokenizers", "safetensors"} & sys.modules.keys()
model = registry.find("/v1/embeddings", "wordllama")
[answer] = model.answer([msgspec.Raw(b'{"input":"hi"}')])
assert answer.status == 200
assert not {"wordllama", "requests", "logging.config"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_without_the_weights_there_is_no_such_model(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wordllama", None)
    with pytest.raises(MissingExtra, match=re.escape(how_to_install("local"))):
        embeddings.files()
    batch = bench.run([request("a", EMBEDDINGS, model="wordllama", input="a")], EMBEDDINGS)
    assert batch.status == "failed"
    assert batch.errors is not None
    [error] = batch.errors.data or []
    assert error.code == "model_not_found"
    assert how_to_install("local") in (error.message or "")


def test_echo_says_what_the_user_said_last() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": None, "tool_calls": []},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "two "},
                {"type": "image_url", "image_url": {"url": "data:,"}},
                {"type": "text", "text": "parts"},
            ],
        },
        {"role": "tool", "content": "42", "tool_call_id": "x"},
    ]
    answer = ask(echo.chat, model="echo", messages=messages, temperature=0)
    completion = ChatCompletion.model_validate(answer.body)
    assert completion.choices[0].message.content == "two parts"
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (6, 2)
    assert (answer.input_tokens, answer.output_tokens) == (6, 2)
    assert ask(echo.chat, model="echo", messages=messages, temperature=0) == answer
    other = ask(echo.chat, model="echo", messages=messages, temperature=1)
    assert ChatCompletion.model_validate(other.body).id != completion.id


def test_echo_answers_responses() -> None:
    plain = Response.model_validate(
        ask(echo.responses, model="echo", input="hi there", instructions="Be brief.").body
    )
    assert plain.output_text == "hi there"
    assert plain.usage is not None
    assert plain.usage.input_tokens == 4
    messages = [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]
    parts = Response.model_validate(ask(echo.responses, input=messages).body)
    assert parts.output_text == "hi"


def test_echo_answers_completions() -> None:
    body = ask(echo.completions, model="echo", prompt=["a b", "c"]).body
    assert [choice.text for choice in Completion.model_validate(body).choices] == ["a b", "c"]


@pytest.mark.parametrize(
    ("answer_all", "body"),
    [
        (echo.chat, {}),
        (echo.chat, {"messages": [{"role": "system", "content": "alone"}]}),
        (echo.chat, {"messages": [{"role": "user", "content": 7}]}),
        (echo.responses, {"input": []}),
        (echo.responses, {"input": None}),
        (echo.completions, {"prompt": [1, 2]}),
    ],
)
def test_what_echo_refuses(answer_all: ModelFunction, body: dict[str, Any]) -> None:
    assert ask(answer_all, **body).status == 400


def test_every_model_is_found_by_its_names() -> None:
    assert registry.names("/v1/embeddings") == ("wordllama-l2-supercat-256", "wordllama")
    for endpoint in ("/v1/chat/completions", "/v1/completions", "/v1/responses"):
        assert registry.names(endpoint) == ("echo",)
        assert registry.find(endpoint, "echo") is not None
    assert registry.find("/v1/embeddings", "echo") is None
