"""API keys from files and commands, and API keys written in `runner.yaml`."""

from __future__ import annotations

import os
import sys
import time
import traceback
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.errors import InvalidInput, Unauthorized
from runner.spec import credentials
from runner.spec.project import Environment, KeyCommand, Secret, find_project
from tests.spec.folders import lay_out

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runner.spec.project import Provider

KEY = "sk-lab-0123456789abcdef"


@pytest.fixture(autouse=True)
def forgetful() -> Iterator[None]:
    """Forget the output of commands, which is kept for the whole process."""
    credentials._results.clear()
    yield
    credentials._results.clear()


def lab(root: Path, key: str, environ: dict[str, str] | None = None) -> Provider:
    """Return the provider of a project with this line about its API key."""
    lay_out(root, {"runner.yaml": f"providers:\n  lab:\n    base_url: http://[::1]/v1\n    {key}"})
    return find_project(root, environ or {}).providers["lab"]


def refusal(provider: Provider) -> str:
    with pytest.raises(Unauthorized) as caught:
        provider.api_key({"PATH": os.environ["PATH"]})
    assert KEY not in "".join(traceback.format_exception(caught.value))
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert KEY not in "".join(frames.format())
    assert (caught.value.provider, caught.value.call) == ("lab", "open")
    return str(caught.value)


def problems(root: Path, config: str) -> list[str]:
    lay_out(root, {"runner.yaml": config})
    with pytest.raises(InvalidInput) as caught:
        find_project(root, {})
    assert KEY not in str(caught.value)
    return [str(problem) for problem in caught.value.problems]


# A file.


def key_file(root: Path, content: bytes = KEY.encode(), mode: int = 0o600) -> Provider:
    path = root / "lab.key"
    path.write_bytes(content)
    path.chmod(mode)
    return lab(root, "api_key_file: lab.key")


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_private_file_gives_its_line(tmp_path: Path, mode: int, end: bytes) -> None:
    provider = key_file(tmp_path, KEY.encode() + end, mode)

    assert provider.api_key({}) == Secret(KEY)
    assert provider.api_key_env is None
    assert provider.key_source == str(tmp_path / "lab.key")
    assert KEY not in repr(provider)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o601, 0o610, 0o666])
def test_a_file_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    message = refusal(key_file(tmp_path, mode=mode))

    assert f"open to other users of this machine (mode {mode:04o})" in message
    assert f"run `chmod 600 {tmp_path}/lab.key`" in message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"\n", "it is empty"),
        (KEY.encode() + b"\n" + KEY.encode(), "several lines"),
        (KEY.encode() + b"\n\n", "several lines"),
        (b"\r" + KEY.encode(), "several lines"),
        (KEY.encode() + b" x", "spaces, control or other characters"),
        (KEY.encode() + b"\x00", "spaces, control or other characters"),
        (b"\xef\xbb\xbf" + KEY.encode(), "spaces, control or other characters"),
        (KEY.encode() + b"\xff", "spaces, control or other characters"),
        (KEY.encode() * 1000, "more than 16,384 bytes"),
    ],
)
def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    assert reason in refusal(key_file(tmp_path, content))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    provider = lab(tmp_path, "api_key_file: lab.key")
    path = tmp_path / "lab.key"

    assert f"{path}, the api_key_file of provider lab, cannot be read: No such" in refusal(provider)
    path.mkdir(mode=0o700)
    assert "is not a regular file" in refusal(provider)
    path.rmdir()
    os.mkfifo(path, 0o600)
    assert "is not a regular file" in refusal(provider)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    provider = key_file(tmp_path)
    os.chown(tmp_path / "lab.key", 12345, -1)

    assert "belongs to another user" in refusal(provider)


def test_a_link_is_as_private_as_what_it_leads_to(tmp_path: Path) -> None:
    provider = key_file(tmp_path)
    path = tmp_path / "lab.key"
    target = path.rename(tmp_path / "elsewhere")
    path.symlink_to(target)

    assert provider.api_key({}) == Secret(KEY)
    target.chmod(0o644)
    assert "open to other users" in refusal(provider)


def test_a_path_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))

    provider = lab(tmp_path, "api_key_file: ~/.config/lab.key")

    assert provider.api_key_file == tmp_path / "me/.config/lab.key"


def test_the_home_of_an_unknown_user_is_a_problem(tmp_path: Path) -> None:
    config = "providers: {openai: {api_key_file: ~nobody-of-this-name/key}}"

    assert "api_key_file: Could not determine home directory" in problems(tmp_path, config)[0]


# A command.


def command(root: Path, script: str) -> Provider:
    path = root / "say"
    path.write_text(f"#!{sys.executable}\n{script}")
    path.chmod(0o700)
    return lab(root, "api_key_command: [./say, lab]")


def test_a_command_gives_what_it_prints(tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        "assert sys.argv[1:] == ['lab'] and sys.stdin.read() == ''\n"
        "print(os.environ['KEY'])\n"
    )
    provider = command(tmp_path, script)

    assert provider.api_key({"KEY": KEY}) == Secret(KEY)
    assert provider.key_source == "the output of say"
    assert provider.api_key_command == KeyCommand(arguments=("./say", "lab"), folder=tmp_path)


def test_a_command_runs_once_a_process_and_only_for_the_key(tmp_path: Path) -> None:
    script = f"open('runs', 'a').write('x')\nprint({KEY!r})\n"
    provider = command(tmp_path, script)
    assert not (tmp_path / "runs").exists()

    provider.api_key({})
    assert lab(tmp_path, "api_key_command: ./say lab").api_key({}) == Secret(KEY)
    assert (tmp_path / "runs").read_text() == "x"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (f"print({KEY!r}); raise SystemExit(3)", "failed with exit code 3"),
        (f"print({KEY!r}); print('user: me')", "several lines"),
        ("", "it is empty"),
        (f"print({KEY!r} * 5000)", "more than 16,384 bytes"),
        (f"print({KEY!r}, flush=True); import os; os.kill(os.getpid(), 9)", "ended by signal 9"),
        (f"while True: print({KEY!r})", "more than 16,384 bytes"),
    ],
)
def test_a_command_that_gives_no_key_is_refused_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], script: str, reason: str
) -> None:
    provider = command(tmp_path, f"open('runs', 'a').write('x')\n{script}\n")

    message = refusal(provider)

    assert message.startswith("say, the api_key_command of provider lab, ")
    assert reason in message
    assert refusal(provider) == message
    assert (tmp_path / "runs").read_text() == "x"
    assert KEY not in capfd.readouterr().out


def test_a_missing_command_is_refused(tmp_path: Path) -> None:
    provider = lab(tmp_path, f"api_key_command: [no-such-program, {KEY[:9]}]")

    assert "no-such-program, the api_key_command of provider lab, cannot be run" in refusal(
        provider
    )


def test_a_command_that_does_not_end_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "_TIMEOUT", 0.5)
    provider = command(tmp_path, "import time; print(end='x', flush=True); time.sleep(60)")
    began = time.monotonic()

    assert "did not end within" in refusal(provider)
    assert time.monotonic() - began < 20


def test_the_stderr_of_a_command_is_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    provider = command(tmp_path, "import sys; sys.exit('touch your token')")

    assert "touch" not in refusal(provider)
    assert capfd.readouterr().err == "touch your token\n"


# What the project may say.


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("[pass, show, lab]", ("pass", "show", "lab")),
        ("pass show 'my lab'", ("pass", "show", "my lab")),
        ('["a b", "$HOME", ";x"]', ("a b", "$HOME", ";x")),
    ],
)
def test_a_command_is_a_list_or_is_split(
    tmp_path: Path, line: str, arguments: tuple[str, ...]
) -> None:
    found = lab(tmp_path, f"api_key_command: {line}").api_key_command

    assert found == KeyCommand(arguments=arguments, folder=tmp_path)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[]", "expected a list of texts, such as [pass, show, lab]"),
        ("[a, 3]", "expected a list of texts, such as [pass, show, lab]"),
        ("{a: b}", "expected a list of texts, such as [pass, show, lab]"),
        ("7", "expected a list of texts, such as [pass, show, lab]"),
        ('"  "', "is not a command; write a list of arguments, such as [pass, show, lab]"),
        ("pass 'lab", "is not a command; write a list of arguments, such as [pass, show, lab]"),
    ],
)
def test_what_is_no_command_is_a_problem(tmp_path: Path, line: str, reason: str) -> None:
    config = f"providers:\n  openai:\n    api_key_command: {line}\n"

    assert problems(tmp_path, config) == [
        f"runner.yaml:3:22: providers.openai.api_key_command: {reason}"
    ]


@pytest.mark.parametrize("other", ["api_key_file: x", "api_key_command: [x]"])
def test_a_key_has_one_place(tmp_path: Path, other: str) -> None:
    config = f"providers:\n  openai:\n    {other}\n    api_key_env: LAB_KEY\n"

    [message] = problems(tmp_path, config)

    assert message.endswith("api_key_env already says where the API key is; keep one of the two")
    assert message.startswith("runner.yaml:3:")


def test_openai_may_have_its_key_elsewhere(tmp_path: Path) -> None:
    lay_out(tmp_path, {"runner.yaml": "providers: {openai: {api_key_file: key}}", "key": KEY})
    (tmp_path / "key").chmod(0o600)

    openai = find_project(tmp_path, {}).providers["openai"]

    assert openai.api_key({"OPENAI_API_KEY": "another"}) == Secret(KEY)
    assert openai.base_url == "https://api.openai.com/v1"


@pytest.mark.parametrize(
    "config",
    [
        f"providers: {{openai: {{api_key: {KEY}}}}}",
        f"providers: {{openai: {{token: {KEY}}}}}",
        f"providers: {{openai: {{API-KEY: [{KEY}]}}}}",
        f"providers: {{openai: {{headers: {{Authorization: Bearer {KEY}}}}}}}",
        f"providers: {{openai: {{{KEY}: x}}}}",
        f"providers: {{openai: {{api_key_file: {KEY}}}}}",
        f"providers: {{openai: {{api_key_env: {KEY}}}}}",
        f"providers: {{openai: {{api_key_command: [echo, {KEY}]}}}}",
        f"providers: {{openai: {{api_key_command: echo {KEY}}}}}",
        f"providers: {{openai: {{base_url: https://lab.example/{KEY}/v1}}}}",
        f"providers: {{{KEY}: {{base_url: http://x}}}}",
        f"providers: {{{KEY}: {{base_url: x, api_key_file: 7}}}}",
        f"openai_api_key: {KEY}",
        f"key: {KEY}",
        f"specs: {KEY}\ndefault_provider: {KEY}",
        f"whatever: [{{deep: {KEY}}}]",
    ],
)
def test_a_key_in_the_file_is_refused_and_not_repeated(tmp_path: Path, config: str) -> None:
    assert any(
        "an API key must not be written in runner.yaml; name its variable in api_key_env" in problem
        for problem in problems(tmp_path, config)
    )


@pytest.mark.parametrize("value", ["0123", "2024-01-01", "NO", "1e3", "!!str x", "hunter2"])
def test_whatever_stands_under_the_name_of_a_key_is_not_repeated(
    tmp_path: Path, value: str
) -> None:
    config = f"providers:\n  openai:\n    password: {value}\n    base_url: x\n"

    message = problems(tmp_path, config)

    assert not [problem for problem in message if value in problem.replace("runner.yaml", "")]
    assert len(message) >= 1


@pytest.mark.parametrize(
    ("line", "guess"),
    [
        ("max_enqueued_token: 1", "max_enqueued_tokens"),
        ("api_key_evn: LAB", "api_key_env"),
        ("api_key_fil: lab.key", "api_key_file"),
    ],
)
def test_a_slip_of_the_finger_is_no_key(tmp_path: Path, line: str, guess: str) -> None:
    [message] = problems(tmp_path, f"providers: {{openai: {{{line}}}}}")

    assert f'did you mean "{guess}"?' in message


def test_a_provider_may_be_called_as_it_likes(tmp_path: Path) -> None:
    config = "providers: {token-lab: {base_url: http://x}, auth: {base_url: http://y}}"
    lay_out(tmp_path, {"runner.yaml": config})

    assert {"token-lab", "auth"} <= set(find_project(tmp_path, {}).providers)


@given(
    where=st.sampled_from(
        ["{0}: x", "specs: {0}", "providers: {{openai: {{api_key: {0}}}}}", "- {0}", "{0}"]
    ),
    key=st.from_regex(r"\A(sk|gsk)-[A-Za-z0-9_-]{20,40}\Z"),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_key_is_repeated_nowhere(tmp_path: Path, where: str, key: str) -> None:
    lay_out(tmp_path, {"runner.yaml": where.format(key)})
    with pytest.raises(InvalidInput) as caught:
        find_project(tmp_path, {})
    assert key not in str(caught.value)


def test_the_environment_is_read_but_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_KEY", KEY)
    environ = Environment()

    assert environ["LAB_KEY"] == environ.get("LAB_KEY") == dict(environ)["LAB_KEY"] == KEY
    assert len(environ) == len(os.environ)
    assert KEY not in f"{environ!r} {environ}"
