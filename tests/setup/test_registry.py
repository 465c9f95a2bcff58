"""The pins are installed by any pip, whatever was published that day, on each Python here.

These ask a package registry, and are run by `make pinned`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any, Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.setup.interpreters import AWAITED, classified, interpreter
from tests.setup.pins import FILES, FOLDER, ROOT, pinned, unmet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.registry

VERSIONS: Final = (*classified(), AWAITED)
PLATFORMS: Final = ("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "aarch64-apple-darwin")
LATER: Final = "9999"
"""A version later than that of any release."""

FORMS: Final = ("folder", "checkout in place", "wheel", "repository")


def run(*command: str | Path, env: Mapping[str, str] | None = None) -> str:
    """Run a command and return what it prints; what it says of a failure is shown."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **(env or {})}
    )
    assert done.returncode == 0, f"{shlex.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


def new_environment(folder: Path, version: str) -> Path:
    """Make an environment with the pip that a Python brings; skips where it is not here."""
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    run(python, "-m", "venv", "--clear", folder)
    return folder / "bin/python"


def reported(path: Path) -> list[dict[str, Any]]:
    """Return the metadata of what pip would install, as its report has it."""
    return [each["metadata"] for each in json.loads(path.read_text("utf-8"))["install"]]


@pytest.fixture(scope="module")
def fresh(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_environment(tmp_path_factory.mktemp("fresh"), request.param)


@pytest.fixture(scope="module")
def tomorrow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Publish a later release of every pinned package, in a folder that pip looks into, too."""
    folder = tmp_path_factory.mktemp("tomorrow")
    for name in {canonicalize_name(pin.name) for file in FILES for pin in pinned(file)}:
        stem = f"{name.replace('-', '_')}-{LATER}"
        with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
            info = f"{stem}.dist-info"
            wheel.writestr(
                f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {LATER}\n"
            )
            wheel.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            wheel.writestr(f"{info}/RECORD", "")
    return folder


def dry_run(python: Path, report: Path, tomorrow: Path, *what: str | Path) -> None:
    """Let pip choose, as it would tomorrow, what it would install."""
    places = f"{os.environ.get('PIP_FIND_LINKS', '')} {tomorrow}".strip()
    install = (python, "-m", "pip", "install", "-qq", "--dry-run", "--ignore-installed")
    run(*install, "--report", report, *what, env={"PIP_FIND_LINKS": places})


@pytest.mark.parametrize("fresh", VERSIONS, indirect=True)
@pytest.mark.parametrize("name", FILES)
def test_the_pins_are_installed_whatever_is_newest(
    fresh: Path, tomorrow: Path, tmp_path: Path, name: str
) -> None:
    dry_run(fresh, tmp_path / "report", tomorrow, "--require-hashes", "-r", FOLDER / name)

    chosen = reported(tmp_path / "report")
    assert chosen
    assert LATER not in {metadata["version"] for metadata in chosen}
    asked = [Requirement(text) for each in chosen for text in each.get("requires_dist", ())]
    environment = json.loads((tmp_path / "report").read_text("utf-8"))["environment"]
    plain = [each for each in asked if each.marker is None or "extra" not in str(each.marker)]
    assert unmet(pinned(name), plain, environment) == []


def test_a_pin_without_its_extra_is_refused_by_an_old_pip(tomorrow: Path, tmp_path: Path) -> None:
    needed = {"pytest-cov", "coverage", "pytest", "iniconfig", "packaging", "pluggy", "pygments"}
    text = (FOLDER / "dev.txt").read_text("utf-8")
    entries = re.findall(r"(?ms)^([\w-]+)(\[toml\])?(==.*?)(?=^\w|\Z)", text)
    kept = [name + rest for name, _, rest in entries if name in needed]
    assert len(kept) == len(needed)
    (tmp_path / "dev.txt").write_text("".join(kept))
    python = new_environment(tmp_path / "old", VERSIONS[0])
    wanted = ("--require-hashes", "-r", tmp_path / "dev.txt")

    with pytest.raises(AssertionError, match=r"pinned with ==.*\n.*coverage\[toml\]"):
        dry_run(python, tmp_path / "report", tomorrow, *wanted)


@pytest.mark.parametrize("fresh", VERSIONS, indirect=True)
def test_runner_is_installed_without_pins(fresh: Path, tmp_path: Path) -> None:
    install = (fresh, "-m", "pip", "install", "-qq", "--dry-run", "--report", tmp_path / "report")
    run(*install, f"{ROOT}[local,notify,tokens]")

    names = {canonicalize_name(metadata["name"]) for metadata in reported(tmp_path / "report")}
    assert {"batch-runner", "wordllama", "apprise", "toktok-rs"} <= names


def resolve(version: str, platform: str, *wanted: str | Path) -> subprocess.CompletedProcess[str]:
    """Choose wheels for a Python and a platform, with the uv that `make pinned` names."""
    uv = (os.environ["UV"], "pip", "compile", "--quiet", "--python", sys.executable)
    options = ("--python-version", version, "--python-platform", platform, "--only-binary", ":all:")
    return subprocess.run((*uv, *options, *wanted), capture_output=True, text=True, check=False)


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("version", VERSIONS)
def test_every_pin_has_a_wheel(version: str, platform: str) -> None:
    done = resolve(version, platform, *(FOLDER / name for name in FILES))

    assert done.returncode == 0, done.stderr


def test_a_pin_without_a_wheel_is_found(tmp_path: Path) -> None:
    # A release with compiled code, and a wheel for each Python up to 3.13.
    (tmp_path / "pins.txt").write_text("wordllama==0.3.9\n")

    assert resolve("3.13", PLATFORMS[0], tmp_path / "pins.txt").returncode == 0
    done = resolve("3.14", PLATFORMS[0], tmp_path / "pins.txt")
    assert done.returncode == 1
    assert "wordllama==0.3.9 has no usable wheels" in " ".join(done.stderr.split())


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment with runner and the extra `local`; returns its Python."""
    python = new_environment(tmp_path_factory.mktemp("environment"), VERSIONS[0])
    run(python, "-m", "pip", "install", "-qq", f"{ROOT}[local]")
    return python


@pytest.mark.parametrize("form", FORMS)
def test_an_extra_is_added_as_the_message_says(
    environment: Path, tmp_path: Path, form: str
) -> None:
    pip = (environment, "-m", "pip")
    if form == "wheel":
        run(*pip, "wheel", "-qq", "--no-deps", "--wheel-dir", tmp_path, ROOT)
    commit = run("git", "-C", ROOT, "rev-parse", "HEAD").strip()
    source = {
        "folder": [str(ROOT)],
        "checkout in place": ["--editable", str(ROOT)],
        "wheel": [str(path) for path in tmp_path.glob("*.whl")],
        "repository": [f"git+{ROOT.as_uri()}@{commit}"],
    }[form]
    run(*pip, "install", "-qq", "--no-deps", "--force-reinstall", *source)
    run(*pip, "uninstall", "-qq", "--yes", "starlette", "wordllama")
    asked = "from runner.extras import how_to_install; print(how_to_install('local'))"

    run("sh", "-c", run(environment, "-I", "-c", asked))

    used = "from runner.local import app, embeddings; embeddings.files()"
    run(environment, "-I", "-c", used)
