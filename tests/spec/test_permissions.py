"""What `runner.yaml` needs agreement for: each of its fields, and what makes the difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from runner.spec.project import find_project
from runner.spec.schema import CONFIG_FIELDS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runner.spec.permissions import Permission

REMOTE: Final = "providers:\n  lab:\n    base_url: https://lab.example.org/v1\n    "

NEEDS: Final[dict[tuple[str, ...], str]] = {
    ("specs",): "specs: ../elsewhere\n",
    ("outputs",): "outputs: /elsewhere\n",
    ("ledger",): "ledger: ../ledger.db\n",
    ("metrics",): "metrics: ../home/.bashrc\n",
    ("providers", "*", "base_url"): REMOTE + "\n",
    ("providers", "*", "api_key_env"): REMOTE + "api_key_env: LAB_KEY\n",
    ("providers", "*", "api_key_file"): REMOTE + "api_key_file: ~/.ssh/id\n",
    ("providers", "*", "api_key_command"): "providers: {local: {api_key_command: [pass, lab]}}\n",
    ("notify", "*", "command"): "notify: [{command: mail you}]\n",
    ("notify", "*", "webhook_env"): "notify: [{webhook_env: HOOK}]\n",
    ("notify", "*", "webhook_file"): "notify: [{webhook_file: ~/.hook}]\n",
    ("notify", "*", "apprise_env"): "notify: [{apprise_env: MAIL}]\n",
    ("notify", "*", "apprise_file"): "notify: [{apprise_file: ~/.mail}]\n",
    ("ping", "url_env"): "ping: {url_env: PING}\n",
    ("ping", "url_file"): "ping: {url_file: ~/.ping}\n",
}
"""For each field that needs agreement, a file in which it does."""

COUNTS: Final[set[tuple[str, ...]]] = {("providers", "*", "allow_key_over_http")}
"""Fields that need none themselves, and belong to what is agreed to: a change asks again."""

PARENTS: Final[set[tuple[str, ...]]] = {("providers",), ("notify",), ("ping",)}
"""Fields that only hold the others."""

HARMLESS: Final[set[tuple[str, ...]]] = {
    ("default_provider",),
    ("notify", "*", "when"),
    ("notify", "*", "jobs"),
    *(
        ("providers", "*", field)
        for field in (
            *("same_as", "max_requests_per_batch", "max_bytes_per_batch", "max_bytes_per_request"),
            *("max_active_batches", "max_enqueued_tokens", "adoption_grace"),
            *("input_expires_after", "output_expires_after"),
        )
    ),
}
"""Fields that run nothing, send nothing and lead nowhere, whatever they say."""

FREE: Final[dict[str, str]] = {
    "empty": "",
    "paths inside": "specs: a\noutputs: ./b/../c\nledger: d/e.db\nmetrics: m.prom\n",
    "loopback": (
        "providers:\n  lab: {base_url: 'http://127.0.0.1:1/v1', api_key_env: K}\n"
        "  v6: {base_url: 'http://[::1]:1/v1', api_key_file: ~/k}\n"
        "  name: {base_url: 'http://localhost:1/v1'}\n"
    ),
    "own key": "providers: {openai: {api_key_env: OPENAI_API_KEY}}\n",
    "own address": "providers: {openai: {base_url: 'https://API.openai.com/v1/'}}\n",
    "both": (
        "providers: {openai: {base_url: 'https://api.openai.com/v1',"
        " api_key_env: OPENAI_API_KEY}}\n"
    ),
    "limits": "providers: {openai: {max_active_batches: 2}, local: {adoption_grace: 3}}\n",
    "local": "default_provider: local\nproviders: {local: {api_key_env: K}}\n",
}


def permissions(
    folder: Path, config: str, environ: Mapping[str, str] | None = None
) -> tuple[Permission, ...]:
    (folder / "runner.yaml").write_text(config, "utf-8")
    return find_project(folder, environ or {}).permissions


def fields_of_config() -> set[tuple[str, ...]]:
    return {(*map(str, path), field) for path, fields in CONFIG_FIELDS.items() for field in fields}


def test_each_field_is_known_to_need_agreement_or_to_be_harmless() -> None:
    kinds: list[set[tuple[str, ...]]] = [set(NEEDS), COUNTS, PARENTS, HARMLESS]

    assert {field for kind in kinds for field in kind} == fields_of_config()
    assert sum(map(len, kinds)) == len(fields_of_config())


@pytest.mark.parametrize("path", NEEDS, ids=".".join)
def test_a_field_that_needs_agreement(tmp_path: Path, path: tuple[str, ...]) -> None:
    found = permissions(tmp_path, NEEDS[path])

    [last] = [each for each in found if each.brief.message.partition(":")[0].endswith(path[-1])]
    assert last.brief.path == last.full.path == "runner.yaml"
    assert (last.brief.line, last.brief.column) > (0, 0)


@pytest.mark.parametrize("kind", FREE)
def test_what_needs_none(tmp_path: Path, kind: str) -> None:
    assert permissions(tmp_path, FREE[kind]) == ()


def test_without_a_file_nothing_needs_agreement(tmp_path: Path) -> None:
    environ = {"OPENAI_BASE_URL": "https://gateway.example.org/v1", "OPENAI_API_KEY": "k"}

    assert find_project(tmp_path, environ).permissions == ()


@pytest.mark.parametrize(
    "config",
    [
        "providers: {openai: {base_url: 'https://evil.example/v1'}}\n",
        "providers: {openai: {base_url: 'https://api.openai.com.evil.example/v1'}}\n",
        "providers: {openai: {base_url: 'https://api.openai.com:444/v1'}}\n",
        "providers: {openai: {base_url: 'http://api.openai.com/v1'}}\n",
        "providers: {x: {base_url: 'https://evil.example/v1', api_key_env: OPENAI_API_KEY}}\n",
    ],
)
def test_the_key_of_openai_goes_nowhere_else(tmp_path: Path, config: str) -> None:
    found = permissions(tmp_path, config)

    assert found
    assert [each for each in found if "the API key in OPENAI_API_KEY" in each.full.message]


@pytest.mark.parametrize("key", ["api_key_env: AWS_SECRET", "api_key_file: ~/.aws"])
def test_another_key_goes_to_openai_only_if_agreed(tmp_path: Path, key: str) -> None:
    [found] = permissions(tmp_path, f"providers: {{openai: {{{key}}}}}\n")

    assert "to https://api.openai.com/v1" in found.full.message


def test_the_address_of_the_variable_is_the_users_own(tmp_path: Path) -> None:
    gateway = {"OPENAI_BASE_URL": "https://gateway.example.org/v1"}
    server = {"OPENAI_BASE_URL": "http://127.0.0.1:8000/v1"}

    own = "providers: {openai: {api_key_env: OPENAI_API_KEY}}\n"
    assert permissions(tmp_path, own, gateway) == ()
    other = "providers: {openai: {api_key_env: TEAM_KEY}}\n"
    assert permissions(tmp_path, other, server) == ()
    [found] = permissions(tmp_path, other, gateway)
    assert "TEAM_KEY to https://gateway.example.org/v1" in found.full.message
    moved = permissions(tmp_path, other, {"OPENAI_BASE_URL": "https://new.example.org/v1"})
    assert [each.digest for each in moved] == [found.digest], "it is not in the file"


@pytest.mark.parametrize("field", ["specs", "outputs", "ledger", "metrics"])
def test_a_link_leads_outside_too(tmp_path: Path, field: str) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "way").symlink_to("..", target_is_directory=True)

    [found] = permissions(project, f"{field}: way/x\n")

    assert f"{tmp_path}/x, outside the project" in found.full.message


def test_a_project_below_a_link_is_inside_itself(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real", target_is_directory=True)

    assert permissions(tmp_path / "link", "outputs: out\nmetrics: m.prom\n") == ()


BEFORE: Final = REMOTE + "api_key_command: [pass, lab]\nnotify:\n  - command: [mail, you]\n"


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("lab.example", "evil.example", 2),
        ("https", "http", 2),
        ("[pass, lab]", "[pass, bank]", 1),
        ("[pass, lab]", "pass lab", 0),
        ("[pass, lab]", "[pass lab]", 1),
        ("[pass, lab]\n", "[pass, lab]\n    allow_key_over_http: true\n", 2),
        ("[pass, lab]\n", "[pass, lab]\n    max_active_batches: 3\n", 0),
        ("[mail, you]", "[mail, them]", 1),
        ("[mail, you]\n", "[mail, you]\n    when: [failed]\n", 0),
        ("notify:\n", "notify:\n  - command: [first]\n", 1),
        ("notify:\n", "ping: {url_env: P}\nnotify:\n", 1),
        ("providers:", "# a comment\n\ndefault_provider: lab\nproviders:", 0),
        ("  lab:", "  other:", 2),
    ],
)
def test_a_change_of_what_matters_is_seen(tmp_path: Path, old: str, new: str, changed: int) -> None:
    agreed = {each.digest for each in permissions(tmp_path, BEFORE)}
    assert old in BEFORE
    assert len(agreed) == 3

    now = {each.digest for each in permissions(tmp_path, BEFORE.replace(old, new, 1))}

    assert len(now - agreed) == changed


@pytest.mark.parametrize(
    "key", ["api_key_env: DUMMY", "api_key_file: dummy", "api_key_command: dummy"]
)
def test_a_key_that_is_removed_brings_the_users_own_into_play(tmp_path: Path, key: str) -> None:
    before = "providers:\n  openai:\n    base_url: https://gateway.example/v1\n"
    agreed = {each.digest for each in permissions(tmp_path, f"{before}    {key}\n")}

    [now] = permissions(tmp_path, before)

    assert now.digest not in agreed
    assert "with the API key in OPENAI_API_KEY" in now.full.message


@pytest.mark.parametrize(("scheme", "told"), [("http", True), ("https", False)])
def test_a_key_without_tls_is_said_to_be(tmp_path: Path, scheme: str, *, told: bool) -> None:
    lab = f"base_url: '{scheme}://lab.example/v1', api_key_env: K, allow_key_over_http: true"

    found = permissions(tmp_path, f"providers: {{lab: {{{lab}}}}}\n")

    assert found[1].full.message.endswith(", over plain http") is told


def test_logs_get_no_argument_of_a_command_and_users_all_of_it(tmp_path: Path) -> None:
    config = 'notify: [{command: [/bin/sh, -c, "curl\\u202e x | sh", "two words"]}]\n'

    [found] = permissions(tmp_path, config)

    assert found.brief.message == "notify[0].command: runs sh"
    command = r"/bin/sh -c 'curl\u202e x | sh' 'two words'"
    assert found.full.message == f"notify[0].command: runs `{command}` for each message"
