"""The parts of `runner.yaml` that say who is message: what they mean, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from runner.errors import InvalidInput, NotDelivered
from runner.spec.notifications import (
    KINDS,
    Address,
    ChatChannel,
    CommandChannel,
    Hook,
    WebhookChannel,
)
from runner.spec.project import Secret, find_project
from runner.spec.schema import HookSchema, PingSchema
from tests.spec.folders import lay_out

if TYPE_CHECKING:
    from pathlib import Path

    from runner.spec.project import Project

SECRET = "https://hooks.example.org/T00/5ecre7"


def project(root: Path, config: str) -> Project:
    lay_out(root, {"runner.yaml": config})
    return find_project(root, {})


def problems(root: Path, config: str) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        project(root, config)
    assert "5ecre7" not in str(caught.value)
    return [str(problem) for problem in caught.value.problems]


def test_without_fields_there_are_no_hooks(tmp_path: Path) -> None:
    made = project(tmp_path, "specs: specs\n")

    assert (made.hooks, made.ping, made.metrics) == ((), None, None)


def test_every_channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    made = project(
        tmp_path,
        "notify:\n"
        "  - command: [./tell, 'a b']\n"
        "    when: [failed, partial]\n"
        "    jobs: acl-*\n"
        "  - command: ./tell 'a b'\n"
        "  - webhook_env: HOOK_URL\n"
        "  - webhook_file: hook\n"
        "  - apprise_env: MAIL\n"
        "  - apprise_file: ~/mail\n"
        "ping: {url_env: PING_URL}\n"
        "metrics: .runner/runner.prom\n",
    )

    tell = CommandChannel(arguments=("./tell", "a b"), folder=tmp_path)
    assert made.hooks == (
        Hook(channel=tell, when=("failed", "partial"), jobs="acl-*"),
        Hook(channel=tell, when=KINDS),
        Hook(channel=WebhookChannel(address=Address(variable="HOOK_URL"))),
        Hook(channel=WebhookChannel(address=Address(file=tmp_path / "hook"))),
        Hook(channel=ChatChannel(address=Address(variable="MAIL"))),
        Hook(channel=ChatChannel(address=Address(file=tmp_path / "home" / "mail"))),
    )
    assert made.ping == Address(variable="PING_URL")
    assert made.metrics == tmp_path / ".runner" / "runner.prom"


def test_names_of_hooks_show_no_argument_and_no_url(tmp_path: Path) -> None:
    tell = CommandChannel(arguments=("bin/tell", "--password", "5ecre7"), folder=tmp_path)

    assert str(Hook(channel=tell)) == "command tell"
    assert str(WebhookChannel(address=Address(variable="HOOK_URL"))) == "webhook in HOOK_URL"
    assert str(ChatChannel(address=Address(file=tmp_path))) == f"apprise in {tmp_path}"


def test_a_hook_is_another_one_if_anything_about_it_is(tmp_path: Path) -> None:
    hook = Hook(channel=CommandChannel(arguments=("tell",), folder=tmp_path))
    others = [
        replace(hook, channel=CommandChannel(arguments=("tell", "me"), folder=tmp_path)),
        replace(hook, channel=WebhookChannel(address=Address(variable="tell"))),
        replace(hook, channel=ChatChannel(address=Address(variable="tell"))),
        replace(hook, when=("failed",)),
        replace(hook, jobs="*"),
    ]

    assert len({hook.id, *(other.id for other in others)}) == 1 + len(others)
    assert hook.id == replace(hook, when=tuple(reversed(KINDS))).id


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("notify: {webhook_env: X}", "1:9: notify: expected a list, such as"),
        (
            "notify:\n  - when: [failed]",
            "2:5: notify[0]: needs exactly one of command, webhook_env",
        ),
        ("notify:\n  - {webhook_env: A, apprise_env: B}", "2:5: notify[0]: needs exactly one of"),
        (
            "notify:\n  - {command: [x], when: [done]}",
            '2:27: notify[0].when[0]: "done" is not one of',
        ),
        ("notify:\n  - {command: [x], when: failed}", "2:26: notify[0].when: expected a list"),
        ("notify:\n  - {command: [x], when: []}", "2:26: notify[0].when: is empty"),
        ("notify:\n  - command: [1]", "2:14: notify[0].command: expected a list of texts"),
        ("notify:\n  - command: ' '", "2:14: notify[0].command: is not a command"),
        ("notify:\n  - command: [x]\n  - command: [x]", "3:5: notify[1]: is the same as"),
        (
            "notify:\n  - webhok_env: X",
            '2:5: notify[0].webhok_env: unknown field; did you mean "web',
        ),
        ("ping: {}", "1:7: ping: needs exactly one of url_env, url_file; found none"),
        ("ping: {url_env: A, url_file: b}", "1:7: ping: needs exactly one of url_env, url_file;"),
        ("ping: X", '1:7: ping: expected "url_env: PING_URL" below it'),
        ("metrics: ''", "1:10: metrics: is empty"),
    ],
)
def test_an_invalid_hook_is_refused_at_its_position(
    tmp_path: Path, config: str, message: str
) -> None:
    found = problems(tmp_path, config)

    assert [line for line in found if line.startswith(f"runner.yaml:{message}")] == found[-1:]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (f"notify:\n  - webhook: {SECRET}", "2:5: notify[0].webhook: this URL is a secret"),
        (f"notify:\n  - url: {SECRET}", "2:5: notify[0].url: this URL is a secret"),
        (f"notify:\n  - apprise: {SECRET}", "2:5: notify[0].apprise: this URL is a secret"),
        (f"notify:\n  - webhook_env: {SECRET}", "2:18: notify[0].webhook_env: expected the name"),
        (f"notify:\n  - webhook_file: {SECRET}", "2:19: notify[0].webhook_file: is not a path"),
        (f"notify:\n  - apprise_env: {SECRET}", "2:18: notify[0].apprise_env: expected the name"),
        (f"ping: {SECRET}", '1:7: ping: expected "url_env: PING_URL" below it'),
        (f"ping: {{url: '{SECRET}'}}", "1:8: ping.url: this URL is a secret"),
        (f"ping: {{url_env: '{SECRET}'}}", "1:17: ping.url_env: expected the name"),
        (f"ping: {{url_file: '{SECRET}'}}", "1:18: ping.url_file: is not a path"),
        ("notify:\n  - token: 5ecre7", "2:5: notify[0].token: this URL is a secret"),
        (
            "notify:\n  - command: [curl, 'https://hooks.slack.com/services/5ecre7']",
            "2:21: notify[0].command[1]: this URL is a secret",
        ),
    ],
)
def test_a_url_that_is_written_where_only_its_place_belongs_is_refused_and_not_shown(
    tmp_path: Path, config: str, message: str
) -> None:
    assert [
        line for line in problems(tmp_path, config) if line.startswith(f"runner.yaml:{message}")
    ]


def test_a_url_is_read_from_its_variable() -> None:
    address = Address(variable="HOOK_URL")

    assert address.read({"HOOK_URL": f" {SECRET}\n"}) == Secret(SECRET)
    with pytest.raises(NotDelivered, match=r"^HOOK_URL is not set$"):
        address.read({"HOOK_URL": " "})
    with pytest.raises(NotDelivered, match="is not set"):
        address.read({})


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        (f"{SECRET}\n", 0o600, None),
        (f"{SECRET}\n", 0o644, "is open to other users of this machine"),
        ("", 0o600, "gives no URL: it is empty"),
        (f"{SECRET}\n{SECRET}\n", 0o600, "gives no URL but several lines"),
        (f"{SECRET} x\n", 0o600, "gives no URL: it contains spaces"),
    ],
)
def test_a_url_is_read_from_a_file_that_only_its_owner_can_read(
    tmp_path: Path, content: str, mode: int, message: str | None
) -> None:
    file = tmp_path / "hook"
    file.write_text(content)
    file.chmod(mode)

    if message is None:
        assert Address(file=file).read({}) == Secret(SECRET)
        return
    with pytest.raises(NotDelivered, match=message) as caught:
        Address(file=file).read({})
    assert "5ecre7" not in str(caught.value)


def test_every_field_says_what_it_is_for() -> None:
    for shape in (HookSchema, PingSchema):
        assert all(field.description for field in shape.model_fields.values())
