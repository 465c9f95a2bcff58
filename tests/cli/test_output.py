"""What the output does to text that a CI service would take for a command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from runner.cli.output import choose_format, note, write_json, write_output

if TYPE_CHECKING:
    from collections.abc import Callable

COMMANDS = ["::stop-commands::x", "  ::add-mask::7", "a ##[group]b", "##vso[task.complete]c"]


@pytest.fixture(params=["GITHUB_ACTIONS", "TF_BUILD"])
def in_ci(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(request.param, "true")
    choose_format([])


def inert(text: str) -> bool:
    """Whether GitHub and Azure Pipelines find no command in a text."""
    beginnings = [line.lstrip()[:2] for line in text.splitlines()]
    return "::" not in beginnings and "##[" not in text and "##vso[" not in text


@pytest.mark.usefixtures("in_ci")
@pytest.mark.parametrize("words", COMMANDS)
@pytest.mark.parametrize("write", [write_output, note])
def test_words_of_a_provider_are_no_command_in_ci(
    capsys: pytest.CaptureFixture[str], write: Callable[[str], None], words: str
) -> None:
    write(f"{words}\nmore\n{words}" if write is write_output else words)

    shown = capsys.readouterr()
    text = shown.out + shown.err
    assert inert(text)
    assert words in text.replace("\N{WORD JOINER}", "")


@pytest.mark.usefixtures("in_ci")
@pytest.mark.parametrize("words", COMMANDS)
def test_json_keeps_its_value_in_ci(capsys: pytest.CaptureFixture[str], words: str) -> None:
    write_json([{"message": words}])

    text = capsys.readouterr().out
    assert inert(text)
    assert json.loads(text) == [{"message": words}]


@pytest.mark.parametrize("words", COMMANDS)
def test_elsewhere_nothing_is_changed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.delenv("TF_BUILD", raising=False)

    write_output(words)

    assert capsys.readouterr().out == words
