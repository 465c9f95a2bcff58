"""The house rules that no other tool enforces, and a proof that each import rule can be broken."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sysconfig
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

import runner

ROOT: Final = Path(__file__).resolve().parents[1]
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CONTRACTS: Final[dict[str, dict[str, Any]]] = {
    contract["id"]: contract for contract in PROJECT["tool"]["importlinter"]["contracts"]
}

COMMON_WORDS: Final = {
    "commands, which name their files": """
        cancel completion doctor events init notify report retry schedule schema show status trust
        validate verify watch""",
    "Python, Unix and the command line": """
        cli colour command config console exit codes import log main options signals session""",
    "formats and tools": "csv format git json yaml",
    "HTTP and its clients": """
        address app body client download embeddings models network pagination protocol
        provider proxy redaction responses transfers transport upload webhook worker""",
    "data and programs": """
        concurrency connection index mapping migrations queries record store table tokens""",
    "parsing": "compose diff document excerpt scan tree validation",
    "files": "file result",
    "an HTML page and its charts": """
        chart figure icons job markup page sample scale summary timeline totals""",
    "plain English": """
        after apply conversation decide deliver discovery error failures filters finish history
        input load lock manual observe output preview progress reading set state text width""",
}
"""The words that a reader knows without a glossary, by where they are known from."""

BREACHES: Final = [
    pytest.param("rooms", "errors.py", "import runner.cli", id="upwards"),
    pytest.param("rooms", "report/__init__.py", "import runner.local", id="sideways-at-the-top"),
    pytest.param("rooms", "outputs/__init__.py", "import runner.ledger", id="sideways-below"),
    pytest.param("rooms", "report/__init__.py", "import runner.notify", id="report-sends-word"),
    pytest.param("rooms", "helpers.py", "", id="a-module-in-no-room"),
    pytest.param("pure", "planning/plan.py", "from os import environ", id="plan-reads"),
    pytest.param("pure", "report/__init__.py", "import time", id="report-tells-the-time"),
    pytest.param("decisions", "batch.py", "from datetime import UTC", id="batch-knows-dates"),
    pytest.param("door-http", "planning/plan.py", "import httpx", id="httpx"),
    pytest.param("door-retry", "ledger/__init__.py", "import tenacity", id="tenacity"),
    pytest.param("door-sqlite", "local/__init__.py", "import sqlite3", id="sqlite3"),
    pytest.param("door-sqlite", "cli/__init__.py", "import sqlite_utils", id="sqlite-utils"),
    pytest.param("door-spec", "inputs/__init__.py", "import yaml", id="yaml"),
    pytest.param("door-local", "api/__init__.py", "import uvicorn", id="uvicorn"),
    pytest.param("door-local", "outputs/__init__.py", "from numpy import array", id="numpy"),
    pytest.param("door-tokens", "reconcile/desired.py", "import toktok", id="toktok"),
    pytest.param("door-chat", "cli/__init__.py", "import apprise", id="apprise"),
    pytest.param("door-http", "notify/__init__.py", "import httpx", id="httpx-for-messages"),
    pytest.param("without", "local/__init__.py", "import wordllama", id="wordllama"),
    pytest.param("without", "outputs/__init__.py", "import pandas", id="pandas"),
    pytest.param("door-command-line", "report/__init__.py", "import click", id="click"),
    pytest.param(
        "door-http",
        "outputs/__init__.py",
        "def late() -> None:\n    import httpx",
        id="an-import-inside-a-function",
    ),
    pytest.param(
        "door-sqlite",
        "api/__init__.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import sqlite3",
        id="an-import-for-types-only",
    ),
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Copy the package and its rules to a folder, for a test to break them."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "runner", tmp_path / "runner", ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sysconfig.get_path("scripts")) / "lint-imports", "--no-logo", "--no-cache"],
        cwd=folder,
        env=os.environ | {"COLUMNS": "200"},
        text=True,
        capture_output=True,
        check=False,
    )


def tracked_files() -> list[Path]:
    """List the files that git tracks or would track after `git add`."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=True,
    )
    return [path for name in listing.stdout.split("\0") if (path := ROOT / name).is_file()]


def tracked_text() -> dict[str, str]:
    return {
        str(path.relative_to(ROOT)): path.read_text("utf-8", errors="replace")
        for path in tracked_files()
    }


def found(pattern: str) -> list[str]:
    """Return each line of a tracked file that matches, as `path:line: text`."""
    search = re.compile(pattern).search
    return [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in tracked_text().items()
        for number, line in enumerate(text.splitlines(), start=1)
        if search(line)
    ]


def test_the_import_rules_hold(copy: Path) -> None:
    result = lint_imports(copy)

    assert result.returncode == 0, result.stdout
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in result.stdout


@pytest.mark.parametrize(("contract", "module", "code"), BREACHES)
def test_an_import_rule_can_be_broken(copy: Path, contract: str, module: str, code: str) -> None:
    with (copy / "runner" / module).open("a", encoding="utf-8") as spoilt:
        spoilt.write(f"\n{code}\n")

    result = lint_imports(copy)

    assert result.returncode == 1
    assert f"{CONTRACTS[contract]['name']} BROKEN" in result.stdout


def test_every_import_rule_is_shown_to_be_breakable() -> None:
    assert {str(breach.values[0]) for breach in BREACHES} == CONTRACTS.keys()


def test_pure_modules_call_no_builtin_that_reaches_outside() -> None:
    reaching = {"__import__", "eval", "exec", "input", "open", "print"}
    calls = []
    for module in CONTRACTS["pure"]["source_modules"]:
        place = ROOT / module.replace(".", "/")
        files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
        for file in files:
            calls += [
                f"{file.relative_to(ROOT)}:{node.lineno}: {node.func.id}()"
                for node in ast.walk(ast.parse(file.read_bytes()))
                if isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in reaching
            ]

    assert calls == []


WRITING: Final = {
    "os": "chmod chown link makedirs mkdir mkfifo mknod rename renames replace symlink truncate",
    "shutil": "copy copy2 copyfile copymode copystat copytree move",
    "a path": "chmod hardlink_to mkdir rename symlink_to touch write_bytes write_text",
}
"""The names of functions that make, name or change a file, by what they are called on."""

WRITERS: Final = {
    "files.py": "everything else goes through it",
    "ledger/connection.py": "the folder of the ledger, whose files SQLite makes",
    "reconcile/lock.py": "the lock, which is never replaced",
}
"""The modules that may, and why. A name may be removed anywhere: that follows no link."""


def writes(call: ast.Call) -> bool:
    """Return whether a call makes, names or changes a file, as far as it shows."""
    if "os.devnull" in ast.unparse(call):
        return False
    match call.func:
        case ast.Name(id="open"):
            return opens_for_writing(call, place=1)
        case ast.Attribute(value=ast.Name(id="os"), attr="open"):
            return re.search(r"O_(WRONLY|RDWR|CREAT|APPEND|TRUNC)", ast.unparse(call)) is not None
        case ast.Attribute(value=ast.Name(id="os" | "shutil" as module), attr=name):
            return name in WRITING[module].split()
        case ast.Attribute(attr="open"):
            return opens_for_writing(call, place=0)
        case ast.Attribute(attr="replace"):  # that of a text has two arguments
            return len(call.args) == 1 and not call.keywords
        case ast.Attribute(attr=name):
            return name in WRITING["a path"].split()
        case _:
            return False


def opens_for_writing(call: ast.Call, *, place: int) -> bool:
    given = [*call.args[place : place + 1], *(k.value for k in call.keywords if k.arg == "mode")]
    modes = [each.value for each in given if isinstance(each, ast.Constant)]
    return any(isinstance(mode, str) and set(mode) & set("wax+") for mode in modes)


def found_writing(code: bytes) -> list[int]:
    """Return the lines of code that write, or import what writes."""
    nodes = list(ast.walk(ast.parse(code)))
    imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    lines = [node.lineno for node in nodes if isinstance(node, ast.Call) and writes(node)]
    return lines + [
        node.lineno
        for node in imports
        if re.search(r"\btempfile\b|from (os|shutil) import", ast.unparse(node))
    ]


def test_files_are_written_in_one_module() -> None:
    package = ROOT / "runner"
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted(package.rglob("*.py"))
        if str(path.relative_to(package)) not in WRITERS
        for line in found_writing(path.read_bytes())
    }

    assert found == set()


@pytest.mark.parametrize("module", WRITERS)
def test_a_module_that_may_write_does(module: str) -> None:
    assert found_writing((ROOT / "runner" / module).read_bytes())


@pytest.mark.parametrize(
    "code",
    [
        "open(path, 'w')",
        "open(path, mode='r+b')",
        "path.open('ab')",
        "path.open(mode='xb')",
        "path.write_text('x')",
        "path.write_bytes(b'x')",
        "path.replace(other)",
        "path.rename(other)",
        "path.parent.mkdir(exist_ok=True)",
        "path.symlink_to(other)",
        "os.open(path, os.O_RDWR | os.O_CREAT, 0o600)",
        "os.replace(path, other)",
        "os.makedirs(path)",
        "shutil.copyfile(path, other)",
        "import tempfile",
        "from os import replace",
        "def late():\n    from tempfile import mkstemp",
    ],
)
def test_writing_elsewhere_is_found(code: str) -> None:
    assert found_writing(code.encode()) == [code.count("\n") + 1]


@pytest.mark.parametrize(
    "code",
    [
        "open(path)",
        "path.open('rb')",
        "os.open(path, os.O_RDONLY)",
        "os.open(os.devnull, os.O_WRONLY)",
        "text.replace('a', 'b')",
        "dataclasses.replace(value, field=1)",
        "path.unlink()",
        "import shutil",
    ],
)
def test_reading_is_not_taken_for_writing(code: str) -> None:
    assert found_writing(code.encode()) == []


def words_of(text: str) -> set[str]:
    """Return the words of a text in lower case; a plural counts as its singular."""
    return {singular(word) for word in re.findall(r"[a-z]+", text.lower())}


def singular(word: str) -> str:
    return re.sub(r"(?<=[^s])s$", "", re.sub(r"ies$", "y", word))


def explained_words() -> set[str]:
    """Return the words of the glossary and of the list of rooms in docs/design.md."""
    design = (ROOT / "docs" / "design.md").read_text("utf-8")
    sections = re.findall(r"(?ms)^## (?:Rooms|Words)$(.*?)(?=^## )", design)
    assert len(sections) == 2
    return words_of(" ".join(sections))


def words_of_modules() -> dict[str, set[str]]:
    """Return the words in the name of each module and of its folders, by its path."""
    package = ROOT / "runner"
    return {
        name: words_of(name.removesuffix(".py"))
        for path in sorted(package.rglob("[!_]*.py"))
        if (name := str(path.relative_to(package)))
    }


def test_names_of_modules_are_words_of_the_field_or_of_the_glossary() -> None:
    modules = words_of_modules()
    understood = explained_words() | words_of(" ".join(COMMON_WORDS.values()))

    assert len(modules) > 100
    assert {
        name: unknown for name, words in modules.items() if (unknown := words - understood)
    } == {}


def test_every_common_word_is_in_the_name_of_a_module() -> None:
    used = set().union(*words_of_modules().values())

    assert words_of(" ".join(COMMON_WORDS.values())) - used == set()


def test_no_two_classes_have_one_name() -> None:
    places: dict[str, list[str]] = {}
    for path in sorted((ROOT / "runner").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.ClassDef):
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                places.setdefault(node.name, []).append(place)

    assert {name: found for name, found in places.items() if len(found) > 1} == {}


@pytest.mark.parametrize(
    ("rule", "bound"),
    [("C901", 10), ("PLR0911", 8), ("PLR0912", 12), ("PLR0913", 8), ("PLR0915", 50)],
    ids=["complexity", "returns", "branches", "arguments", "statements"],
)
def test_the_size_of_functions_is_bounded(rule: str, bound: int) -> None:
    ruff = Path(sysconfig.get_path("scripts")) / "ruff"
    settings = subprocess.run(
        [ruff, "check", "--show-settings", ROOT / "runner" / "errors.py"],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=True,
    ).stdout
    enabled = settings.partition("linter.rules.enabled = [")[2].partition("]")[0]
    bounds = {
        "C901": "mccabe.max_complexity",
        "PLR0911": "pylint.max_returns",
        "PLR0912": "pylint.max_branches",
        "PLR0913": "pylint.max_args",
        "PLR0915": "pylint.max_statements",
    }

    assert f"({rule})" in enabled
    assert f"linter.{bounds[rule]} = {bound}\n" in settings


def test_no_tracked_file_holds_a_path_of_one_machine() -> None:
    assert found(r"(?<![\w.~*}$-])/(?:work|tmp|home|root|opt|Users|mnt)/[\w.]") == []


def test_no_tracked_file_names_a_package_index() -> None:
    # Bracketed, so that the pattern does not find itself.
    assert found(r"pypi[.]org|python[h]osted|npm[j]s|(?<!no-emit-)index[-]url|find[-]links") == []


def test_no_tracked_file_has_runner_looked_up_on_a_registry() -> None:
    # Who takes the name there would run code wherever the line is followed.
    assert found(r"install\b.*\bbatch-runner(?!(\[[\w,]*\])? @ )") == []


def test_no_lock_file_is_tracked() -> None:
    locks = re.compile(r".*\.lock|pylock.*\.toml|package-lock\.json|Pipfile\.lock")
    # npm knows no other file of pins with their digests; tests/setup shows that it has no address.
    of_npm = ROOT / "requirements/foreign/package-lock.json"

    assert [
        path.name for path in tracked_files() if locks.fullmatch(path.name) and path != of_npm
    ] == []


@pytest.mark.parametrize(
    "name",
    [
        *("README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE"),
        *("Makefile", ".ci/run", "runner/py.typed"),
    ],
)
def test_the_usual_files_of_a_project_exist(name: str) -> None:
    assert (ROOT / name).is_file()


def test_the_licence_is_the_one_that_the_package_names() -> None:
    assert PROJECT["project"]["license"] == "Apache-2.0"
    licence = (ROOT / "LICENSE").read_text("utf-8")
    assert "Apache License\n                           Version 2.0" in licence
    assert "The runner authors" in licence


def test_the_version_is_in_one_file() -> None:
    assert "version" not in PROJECT["project"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "runner/__init__.py"
    holders = {
        name
        for name, text in tracked_text().items()
        if name.startswith("runner/")
        and re.search(rf"[\"']{re.escape(runner.__version__)}[\"']", text)
    }
    assert holders == {"runner/__init__.py"}


def test_the_changelog_has_room_for_the_next_change_or_names_this_version() -> None:
    first = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)

    assert first is not None
    assert first[1] in {"Unreleased", runner.__version__}


def test_ci_can_be_run() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.mark.parametrize("target", ["check", "pinned", "test", "browser"])
def test_ci_makes_every_target_that_finds_faults(target: str) -> None:
    made = re.findall(r"\bmake (?:--[a-z-]+ )*([a-z]+)", (ROOT / ".ci" / "run").read_text("utf-8"))

    assert target in made
