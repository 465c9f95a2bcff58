from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.errors import InvalidInput, UsageError
from runner.spec.address import read_base_url
from runner.spec.project import EMBEDDED_BASE_URL, Limits, Provider, Secret, find_project
from tests.spec.folders import lay_out

if TYPE_CHECKING:
    from pathlib import Path

    from runner.errors import Problem

EXAMPLE = "such as http://127.0.0.1:8000/v1"
NO_OPENAI = 'is not the address of the API at api.openai.com; write "/v1" as its path'


def problems(root: Path, config: str | bytes, environ: dict[str, str] | None = None) -> list[str]:
    lay_out(root, {"runner.yaml": config})
    with pytest.raises(InvalidInput) as caught:
        find_project(root, environ or {})
    return [str(problem) for problem in caught.value.problems]


def test_without_a_file_everything_has_a_default(tmp_path: Path) -> None:
    project = find_project(tmp_path, {"OPENAI_BASE_URL": ""})

    assert project.root == tmp_path
    assert project.specs == tmp_path / "specs"
    assert project.outputs == tmp_path / "outputs"
    assert project.ledger == tmp_path / ".runner/ledger.db"
    assert project.default_provider == "openai"
    assert project.config_file is None
    assert project.providers == {
        "openai": Provider(
            name="openai",
            base_url="https://api.openai.com/v1",
            api_key_env="OPENAI_API_KEY",
            input_expires_after=30 * 86_400,
            output_expires_after=30 * 86_400,
        ),
        "local": Provider(name="local", base_url=EMBEDDED_BASE_URL, embedded=True),
    }


def test_a_file_says_it_all(tmp_path: Path) -> None:
    config = """\
        specs: jobs
        outputs: /elsewhere/out
        ledger: state/l.db
        default_provider: lab
        providers:
          lab:
            base_url: HTTP://Lab.Example:80/v1/
            api_key_env: LAB_KEY
            max_requests_per_batch: 500
            max_bytes_per_batch: 100MB
            max_bytes_per_request: 6MiB
            adoption_grace: 2.5
          openai: {max_requests_per_batch: 7}
          local: {max_bytes_per_batch: 4096}
        """
    lay_out(tmp_path, {"runner.yaml": config, "deep/er/x": ""})

    project = find_project(tmp_path / "deep" / "er", {"OPENAI_BASE_URL": "http://proxy:8080"})

    assert project.root == tmp_path
    assert project.config_file == tmp_path / "runner.yaml"
    assert project.specs == tmp_path / "jobs"
    assert str(project.outputs) == "/elsewhere/out"
    assert project.ledger == tmp_path / "state/l.db"
    assert project.default_provider == "lab"
    assert project.providers["lab"] == Provider(
        name="lab",
        base_url="http://lab.example/v1",
        api_key_env="LAB_KEY",
        limits=Limits(max_requests=500, max_bytes=100_000_000, max_line_bytes=6 * 2**20),
        adoption_grace=2.5,
    )
    openai, local = project.providers["openai"], project.providers["local"]
    assert (openai.base_url, openai.limits.max_requests) == ("http://proxy:8080", 7)
    assert openai.api_key_env == "OPENAI_API_KEY"
    assert (local.embedded, local.limits.max_bytes) == (True, 4096)


def test_the_file_wins_over_the_variable(tmp_path: Path) -> None:
    lay_out(tmp_path, {"runner.yaml": "providers: {openai: {base_url: http://in.git/v1}}"})

    project = find_project(tmp_path, {"OPENAI_BASE_URL": "not even a URL"})

    assert project.providers["openai"].base_url == "http://in.git/v1"


@pytest.mark.parametrize("text", ["", "# all by default\n", "---\n"])
def test_a_file_may_say_nothing(tmp_path: Path, text: str) -> None:
    lay_out(tmp_path, {"runner.yaml": text, "x/y": ""})

    assert find_project(tmp_path / "x", {}).root == tmp_path


def refusals(start: Path) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        find_project(start, {})
    return [str(problem) for problem in caught.value.problems]


def test_a_file_that_is_there_and_unusable_is_never_absent(tmp_path: Path) -> None:
    lay_out(tmp_path, {"dead/specs/a": "", "loop/x": "", "folder/runner.yaml/y": "", "pipe/x": ""})
    (tmp_path / "dead/runner.yaml").symlink_to("nowhere")
    (tmp_path / "loop/runner.yaml").symlink_to("runner.yaml")
    os.mkfifo(tmp_path / "pipe/runner.yaml")

    assert refusals(tmp_path / "dead" / "specs") == [
        (
            "runner.yaml: is a link to a file that does not exist; put the file there, or correct"
            " the link"
        )
    ]
    assert refusals(tmp_path / "loop") == [
        "runner.yaml: is a link that leads back to itself; correct the link"
    ]
    assert refusals(tmp_path / "folder") == ["runner.yaml: is a folder; put a file in its place"]
    assert refusals(tmp_path / "pipe") == [
        "runner.yaml: is not a regular file; put one in its place"
    ]


@pytest.mark.parametrize(
    "name", ["runner.yml", "Runner.yaml", "RUNNER.YAML", "RUNNER.YML", ".runner.yaml"]
)
@pytest.mark.parametrize("text", ["default_provider: lab\n", "", "a: [", "- specs"])
def test_a_file_by_another_name_is_never_absent(tmp_path: Path, name: str, text: str) -> None:
    lay_out(tmp_path, {name: text, "specs/a.yaml": ""})
    why = "is not read: the project file is called runner.yaml; rename it, or remove it"

    assert refusals(tmp_path) == [f"{name}: {why}"]
    assert refusals(tmp_path / "specs") == [f"../{name}: {why}"]


def test_another_name_that_cannot_be_read_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "runner.yml").symlink_to("nowhere")

    assert len(refusals(tmp_path)) == 1


def test_a_file_of_another_kind_or_beside_the_project_file_is_left_alone(tmp_path: Path) -> None:
    lay_out(
        tmp_path,
        {
            "runner.yml": "apiVersion: batch/v1\nkind: CronJob\n",
            "runner.yaml.example": "specs: x",
            "whole/runner.yaml": "",
            "whole/runner.yml": "specs: x",
        },
    )

    assert find_project(tmp_path, {}).config_file is None
    assert find_project(tmp_path / "whole", {}).specs == tmp_path / "whole/specs"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("spec: x", '1:1: spec: unknown field; did you mean "specs"?'),
        ("specs: 3", '1:8: specs: 3 is a number; write "3" in quotes'),
        ('ledger: ""', "1:9: ledger: is empty; write a value, or remove the line"),
        ("providers:", "1:1: providers: has no value; write one, or remove the line"),
        ("providers: x", "1:12: providers: expected the names of providers below it"),
        (
            "providers: {Lab: {base_url: http://x}}",
            (
                '1:13: providers: "Lab" is not a valid name; a name is 1'
                ' to 63 of a-z, 0-9, ".", "_" and "-", and begins with a-z or 0-9'
            ),
        ),
        ("providers: {lab: x}", "1:18: providers.lab: expected fields below it"),
        (
            "providers: {lab: {}}",
            (f"1:18: providers.lab.base_url: is missing; write the provider's URL, {EXAMPLE}"),
        ),
        (
            "providers: {lab: {base_url: NO}}",
            (
                "1:29: providers.lab.base_url: NO is read by YAML 1.1"
                ' as the boolean false; write "NO" in quotes, or false'
            ),
        ),
        (
            "providers: {local: {base_url: http://x}}",
            (
                "1:31: providers.local.base_url: local is"
                " built in and has no address; remove the line"
            ),
        ),
        (
            "providers: {openai: {api_key: sk-secret}}",
            (
                "1:22: providers.openai.api_key: an API key must not be written in runner.yaml;"
                " name its variable in api_key_env, a file of mode 0600 in api_key_file, or a"
                " command that prints it in api_key_command"
            ),
        ),
        (
            "providers: {openai: {api_key_env: sk-secret}}",
            (
                "1:35: providers.openai.api_key_env:"
                " expected the name of an environment variable in capitals, such as LAB_KEY; the"
                " API key itself must not be written here"
            ),
        ),
        (
            "providers: {openai: {base_url: 12345}}",
            ("1:32: providers.openai.base_url: expected a text; put it in quotes"),
        ),
        (
            "providers: {openai: {max_bytes_per_batch: 3 parsecs}}",
            (
                "1:43: providers.openai"
                '.max_bytes_per_batch: "3 parsecs" is not a size; write bytes, or a number with'
                " a unit, such as 200MB"
            ),
        ),
        (
            "providers: {openai: {max_bytes_per_batch: 0B}}",
            ("1:43: providers.openai.max_bytes_per_batch: 0B is too small; write at least 1"),
        ),
        (
            'providers: {openai: {max_requests_per_batch: "7"}}',
            (
                "1:46: providers.openai"
                ".max_requests_per_batch: expected a whole number; write 7 without quotes"
            ),
        ),
        (
            "providers: {openai: {adoption_grace: soon}}",
            ("1:38: providers.openai.adoption_grace: soon is not a number; write one, such as 1"),
        ),
        (
            "providers: {openai: {adoption_grace: -1}}",
            ("1:38: providers.openai.adoption_grace: -1 is too small; write at least 0.0"),
        ),
        (
            "default_provider: opnai",
            (
                '1:19: default_provider: "opnai" is not a provider of this'
                ' project; did you mean "openai"?'
            ),
        ),
        ("- a", '1:1: expected fields and values, such as "name: x"'),
        (
            "specs: a\n---\nspecs: b",
            ("3: a second document begins here; runner.yaml has only one: remove the --- line"),
        ),
        (
            "specs: [",
            ('1:9: a value is missing here; close every "[" with "]" and every "{" with "}"'),
        ),
    ],
)
def test_a_mistake_in_the_file(tmp_path: Path, config: str, expected: str) -> None:
    assert problems(tmp_path, config) == [f"runner.yaml:{expected}"]


URLS = [
    ("api.openai.com/v1", f"is not an http or https URL with a host; write one {EXAMPLE}"),
    ("ftp://x/v1", f"is not an http or https URL with a host; write one {EXAMPLE}"),
    ("http:///v1", f"is not an http or https URL with a host; write one {EXAMPLE}"),
    ("http://x:port/", f"is not a URL; write one {EXAMPLE}"),
    ("http://[::1/", f"is not a URL; write one {EXAMPLE}"),
    (
        "http://me:hush@x/v1",
        (
            "contains a user or password; write the URL without it and name the variable of the"
            " API key in api_key_env"
        ),
    ),
    ("http://x/v1?key=hush", 'contains a "?" or "#"; write only the part before it'),
    ("http://x/v1#", 'contains a "?" or "#"; write only the part before it'),
    (
        "http://x/v1/chat/completions/",
        'ends with the path of an endpoint; write only the part before "/chat/completions"',
    ),
    (
        "https://x/a/V4/batches",
        'ends with the path of an endpoint; write only the part before "/batches"',
    ),
    ("https://api.openai.com", NO_OPENAI),
    ("https://api.openai.com/", NO_OPENAI),
    ("https://api.openai.com/v1/v1", NO_OPENAI),
    ("https://api.openai.com/v1beta", NO_OPENAI),
    ("http://x/a b", f"contains a character that is not allowed in a URL; write one {EXAMPLE}"),
    ("http://x/é", f"contains a character that is not allowed in a URL; write one {EXAMPLE}"),
]


def test_a_key_in_the_path_of_the_environments_url_is_not_recorded(tmp_path: Path) -> None:
    url = "https://x/sk-hush-0123456789abcdef/v1"
    [problem] = problems(tmp_path, "", {"OPENAI_BASE_URL": url})
    assert problem.startswith("OPENAI_BASE_URL: contains what looks like an API key, and addresses")


@pytest.mark.parametrize(("url", "expected"), URLS)
def test_a_wrong_base_url(tmp_path: Path, url: str, expected: str) -> None:
    config = f'providers:\n  lab:\n    base_url: "{url}"\n'

    assert problems(tmp_path, config) == [f"runner.yaml:3:15: providers.lab.base_url: {expected}"]
    assert problems(tmp_path, "", {"OPENAI_BASE_URL": url}) == [f"OPENAI_BASE_URL: {expected}"]


NO_VERSION = "its path names no version; most servers have their API below /v1: `runner doctor "
TWICE = "its path has the version twice; write it once, as in /v1"
OTHER_SHAPE = "the batches of api.anthropic.com are not made by OpenAI's calls, which runner makes"
OLLAMA = "11434 is usually the port of Ollama, which has no Batch API: `runner doctor --provider "
IN_CLEAR = "its API key is not sent over plain http to x, where others can read it; use https"


@pytest.mark.parametrize(
    ("url", "more", "expected"),
    [
        ("http://127.0.0.1:8000/v1", "", []),
        ("https://x/v1", "", []),
        ("https://x/api/paas/v4", "", []),
        ("https://x/v1/openai", "", []),
        ("https://x/v1beta/openai", "", []),
        ("https://x/v1/v2", "", []),
        ("https://x", "", [NO_VERSION]),
        ("https://x/openai", "", [NO_VERSION]),
        ("https://x/vendor", "", [NO_VERSION]),
        ("https://x/embeddings", "", [NO_VERSION]),
        ("https://x/v1/v1", "", [TWICE]),
        ("https://x/a/v4/V4", "", [TWICE]),
        ("https://api.anthropic.com/v1", "", [OTHER_SHAPE]),
        ("http://localhost:11434/v1", "", [OLLAMA]),
        ("http://127.0.0.1:1234/v1", "", ["1234 is usually the port of LM Studio, which has no"]),
        ("http://localhost:11434", "", [OLLAMA, NO_VERSION]),
        ("http://x/v1", "", []),
        ("http://x/v1", ", api_key_env: LAB_KEY", [IN_CLEAR]),
        ("http://x/v1", ", api_key_env: LAB_KEY, allow_key_over_http: true", []),
        ("http://127.0.0.1/v1", ", api_key_env: LAB_KEY", []),
        ("https://x/v1", ", api_key_env: LAB_KEY", []),
    ],
)
def test_an_address_that_will_hardly_work_is_a_warning(
    tmp_path: Path, url: str, more: str, expected: list[str]
) -> None:
    lay_out(tmp_path, {"runner.yaml": f"providers:\n  lab: {{base_url: '{url}'{more}}}\n"})

    provider = find_project(tmp_path, {}).providers["lab"]

    begin = "runner.yaml:2:19: warning: providers.lab.base_url: "
    found = sorted(map(str, provider.warnings))
    assert [line[: len(begin)] for line in found] == [begin] * len(expected)
    assert [
        line[len(begin) :][: len(start)] for line, start in zip(found, expected, strict=True)
    ] == expected


def test_the_address_in_the_environment_is_looked_at_as_well(tmp_path: Path) -> None:
    project = find_project(tmp_path, {"OPENAI_BASE_URL": "http://gateway"})

    version, key = map(str, project.providers["openai"].warnings)
    assert version.startswith("OPENAI_BASE_URL: warning: its path names no version; ")
    assert key.startswith("OPENAI_BASE_URL: warning: its API key is not sent over plain http to ga")
    assert find_project(tmp_path, {}).providers["openai"].warnings == ()


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("https://api.openai.com/v1/", "https://api.openai.com/v1"),
        ("HTTPS://API.openai.com:443/v1//", "https://api.openai.com/v1"),
        ("http://[::1]:8000/V1", "http://[::1]:8000/V1"),
        ("http://x", "http://x"),
    ],
)
def test_one_address_is_written_in_one_way(written: str, read: str) -> None:
    assert read_base_url(written) == read


@given(st.text() | st.text("htps:/@[]?#.1x", max_size=15).map("http://".__add__))
def test_any_base_url_is_read_or_refused(text: str) -> None:
    try:
        url = read_base_url(text)
    except ValueError:
        return
    assert read_base_url(url) == url
    assert not url.endswith("/")
    assert not set(url) & set("?# ")


@given(password=st.text("abc123XYZ", min_size=8))
def test_no_password_is_ever_repeated(password: str) -> None:
    with pytest.raises(ValueError, match="user or password") as caught:
        read_base_url(f"https://me:{password}@host/v1")
    assert password not in str(caught.value)


def test_twenty_problems_of_the_file_are_shown_and_the_others_counted(tmp_path: Path) -> None:
    found = problems(tmp_path, "".join(f"field{number}: x\n" for number in range(5000)))

    assert len(found) == 21
    assert found[-1] == "runner.yaml:21: and 4,980 more problems in this file"


def test_problems_of_file_and_environment_come_together(tmp_path: Path) -> None:
    config = "default_provider: x\nproviders:\n  a: {base_url: x}\n  b: {base_url: http://me@x}\n"

    found = problems(tmp_path, config, {"OPENAI_BASE_URL": "x"})

    assert [line.partition(": ")[0] for line in found] == [
        "OPENAI_BASE_URL",
        "runner.yaml:1:19",
        "runner.yaml:3:17",
        "runner.yaml:4:17",
    ]


@given(
    st.binary(max_size=50) | st.text("specproviders:lab_ul/h{}[]\n- ", max_size=50).map(str.encode)
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_gives_a_project_or_problems(tmp_path: Path, data: bytes) -> None:
    lay_out(tmp_path, {"runner.yaml": data})
    found: tuple[Problem, ...] = ()
    try:
        find_project(tmp_path, {})
    except InvalidInput as error:
        found = error.problems
    assert all(problem.message.isprintable() for problem in found)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no such folder: .*nowhere"):
        find_project(tmp_path / "nowhere", {})


def test_a_secret_is_shown_only_by_reveal() -> None:
    secret = Secret("hush")

    assert f"{secret} {secret!r} {secret!s} {secret:>5} {[secret]}" == "*** *** *** *** [***]"
    assert secret.reveal() == "hush"
    assert (secret == Secret("hush"), secret == Secret("x")) == (True, False)
    assert secret != "hush"
    assert len({secret, Secret("hush")}) == 1
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="neither pickled nor copied"):
            take(secret)


@pytest.mark.parametrize("value", ["", "  ", None])
def test_an_empty_key_is_no_key(value: str | None) -> None:
    provider = Provider(name="lab", base_url="http://x", api_key_env="K")

    assert provider.api_key({} if value is None else {"K": value}) is None
    assert Provider(name="lab", base_url="http://x").api_key({"": "x"}) is None
    assert provider.api_key({"K": " hush\n"}) == Secret("hush")


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://127.9.9.9/v1", True),
        ("http://[::1]/v1", True),
        ("http://localhost:1/v1", True),
        ("http://lab.localhost/v1", False),
        ("http://localhost.example/v1", False),
        ("https://api.openai.com/v1", False),
        ("http://5.0.0.1/v1", False),
    ],
)
def test_what_is_on_this_machine(url: str, *, loopback: bool) -> None:
    provider = Provider(name="lab", base_url=url)

    assert provider.loopback == loopback
    assert (provider.grace, provider.patience(3600)) == (60, 3600)
    small = Provider(name="lab", base_url=url, adoption_grace=2)
    assert (small.grace, small.patience(3600)) == (2, 2 if loopback else 3600)


def test_the_embedded_provider_shows_everything_at_once() -> None:
    local = Provider(name="local", base_url=EMBEDDED_BASE_URL, embedded=True)
    assert (local.grace, local.patience(3600)) == (0, 0)
    assert Provider(name="x", base_url="http://x", adoption_grace=0.0).grace == 0


def test_a_project_is_found_without_heavy_imports(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import runner.spec.job;"
        "from runner.spec.project import find_project; find_project(Path(sys.argv[1]), {});"
        "print(*sorted({'pydantic', 'yaml', 'httpx'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == ""


ACCOUNT: Final = {"OPENAI_ORG_ID": " org-blue ", "OPENAI_PROJECT_ID": "proj_7"}
OWN: Final = "https://api.openai.com/v1"


@pytest.mark.parametrize(
    ("config", "environ", "sent"),
    [
        pytest.param("", {}, True, id="its own address"),
        pytest.param("", {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}, True, id="the variable"),
        pytest.param(f"providers: {{openai: {{base_url: '{OWN}'}}}}", {}, True, id="written out"),
        pytest.param("providers: {openai: {api_key_env: KEY}}", {}, True, id="another key"),
        pytest.param(
            "providers: {openai: {base_url: 'https://lab.example/v1'}}", {}, False, id="elsewhere"
        ),
    ],
)
def test_an_account_is_that_of_openai_alone(
    tmp_path: Path, config: str, environ: dict[str, str], *, sent: bool
) -> None:
    other = "lab: {base_url: 'https://lab.example/v1'}"
    config = config.replace("}}", f"}}, {other}}}") or f"providers: {{{other}}}"
    (tmp_path / "runner.yaml").write_text(config)
    project = find_project(tmp_path, {**ACCOUNT, **environ})
    found = {each.name: each.value for each in project.providers["openai"].account}
    assert found == (
        {"OpenAI-Organization": "org-blue", "OpenAI-Project": "proj_7"} if sent else {}
    )
    assert project.providers["lab"].account == project.providers["local"].account == ()
    plain = find_project(tmp_path, environ).providers["openai"]
    assert plain.account == ()
    assert project.providers["openai"].identity == plain.identity


@pytest.mark.parametrize(("line", "allowed"), [("", False), (", allow_key_over_http: true", True)])
def test_a_key_over_http_is_allowed_by_name_and_changes_no_revision(
    tmp_path: Path, line: str, *, allowed: bool
) -> None:
    config = f"providers: {{lab: {{base_url: 'http://gateway:8000/v1'{line}}}}}\n"
    (tmp_path / "runner.yaml").write_text(config)
    lab = find_project(tmp_path, {}).providers["lab"]
    assert lab.allow_key_over_http is allowed
    assert lab.identity == {"provider": "lab", "base_url": "http://gateway:8000/v1"}


def test_a_key_over_http_is_allowed_by_true_alone(tmp_path: Path) -> None:
    config = "providers: {lab: {base_url: 'http://gateway/v1', allow_key_over_http: 'true'}}\n"
    assert len(problems(tmp_path, config)) == 1


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("http://u:hunter2@h/v1", "same_as: expected a list, such as [old-name]"),
        ("[http://u:hunter2@h/v1]", "same_as[0]: contains a user or password"),
        ("[5]", "same_as[0]: 5 is a number"),
        ("[]", "same_as: "),
    ],
)
def test_a_mistake_in_earlier_addresses(tmp_path: Path, written: str, message: str) -> None:
    config = f"providers: {{lab: {{base_url: 'http://h/v1', same_as: {written}}}}}\n"
    lay_out(tmp_path, {"runner.yaml": config})
    with pytest.raises(InvalidInput) as caught:
        find_project(tmp_path, {})
    [problem] = map(str, caught.value.problems)
    assert problem.startswith("runner.yaml:1:")
    assert message in problem
    assert "hunter2" not in problem
