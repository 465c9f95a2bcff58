"""Fuzz the loader of specs and of `runner.yaml`.

The first part of an input is `runner.yaml` (no file if it is empty), optionally after a line that
sets OPENAI_BASE_URL; the others are spec files. PyYAML gives the expected values.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
import yaml

from runner.errors import MAX_PROBLEMS, InvalidInput, UsageError
from runner.spec.identity import revision
from runner.spec.load import load_specs
from runner.spec.project import find_project
from runner.spec.schema import CONFIG_FIELDS, SPEC_FIELDS
from runner.spec.yaml.documents import read_documents
from runner.spec.yaml.tree import to_python
from tests.fuzz.target import BETWEEN, Target, assert_placed, assert_readable, assert_told, joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from runner.errors import Problem
    from runner.spec.job import Job, Specs
    from runner.spec.project import Project

# PyYAML's own parser is not quite libyaml: it refuses a tab behind a value.
_Witness: Final = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_FILES: Final = ("specs/a.yaml", "specs/b c.yml", "specs/below/Übung.yaml")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_BLANKS: Final = re.compile(r"\A[ \t]+(?=\r?\n)")
_VARIABLE: Final = b"OPENAI_BASE_URL="


def check(data: bytes, folder: Path) -> str:
    """Load a project and assert that accepted specs have the values that PyYAML reads."""
    config, *specs = data.split(BETWEEN, len(_FILES))
    environ = {}
    if config.startswith(_VARIABLE):
        line, _, config = config.partition(b"\n")
        # The system gives no variable that holds NUL.
        environ["OPENAI_BASE_URL"] = os.fsdecode(line.removeprefix(_VARIABLE).replace(b"\0", b""))
    files = dict(zip(_FILES, specs, strict=False))
    _lay_out(folder, {"runner.yaml": config, **files})
    for content in (config, *specs):
        _assert_documents(content)
    try:
        project = find_project(folder, environ)
    except InvalidInput as error:
        _assert_problems(error.problems, {"runner.yaml": config, "OPENAI_BASE_URL": b""})
        assert_told(error)
        (folder / "runner.yaml").unlink(missing_ok=True)
        project = find_project(folder, {})
    # Wherever runner.yaml says that specs are: the rest of this machine is not part of the game.
    project = replace(project, specs=folder / "specs")
    loaded = load_specs(project, (), start=folder)
    _assert_problems(loaded.problems, files)
    assert loaded.selected == loaded.jobs
    for job in loaded.jobs:
        _assert_job(job, loaded, project, files)
    _assert_selection(loaded, project)
    if loaded.jobs:
        return "accepted" if loaded.complete else "accepted in part"
    return "refused"


def _lay_out(folder: Path, files: Mapping[str, bytes]) -> None:
    for name in ("data", "specs/below"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "data/x.jsonl").write_bytes(b"{}\n")
    for name in ("runner.yaml", *_FILES):
        path = folder / name
        if files.get(name):
            path.write_bytes(files[name])
        else:
            path.unlink(missing_ok=True)


def _assert_problems(problems: Iterable[Problem], files: Mapping[str, bytes]) -> None:
    shown: Counter[str] = Counter()
    for problem in problems:
        assert_readable(str(problem))
        assert_placed(problem, files[problem.path])
        shown[problem.path] += 1
    assert all(count <= MAX_PROBLEMS + 1 for count in shown.values())


def _assert_documents(content: bytes) -> None:
    """Assert that a document without problems is read as PyYAML reads it."""
    documents, problems = read_documents(content, "a.yaml")
    for document in documents:
        assert (document.root is not None) or document.problems
        assert document.text.encode() in content
        if document.root is not None and not document.problems:
            # A tab may stand behind "---", not where a text begins.
            text = _BLANKS.sub("", document.text).lstrip("\t")
            assert yaml.load(text, _Witness) == to_python(document.root)
            _assert_unique(yaml.compose(text, _Witness))
            nothing_new, _ = read_documents(text.encode(), "a.yaml")
            assert [to_python(each.root) for each in nothing_new if each.root] == [
                to_python(document.root)
            ]
    for problem in problems:
        assert_placed(problem, content)


def _assert_unique(node: yaml.Node | None) -> None:
    """Assert that no mapping has a key twice: YAML forbids it, and its readers take the last."""
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value]
        assert len(set(keys)) == len(keys)
        for _, value in node.value:
            _assert_unique(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _assert_unique(value)


def _assert_job(job: Job, loaded: Specs, project: Project, files: Mapping[str, bytes]) -> None:
    assert _NAME.fullmatch(job.name)
    assert job.input.is_file()
    assert sum(other.name == job.name for other in loaded.jobs) == 1
    assert job.document.encode() in files[job.source.path]
    assert 1 <= job.source.line <= files[job.source.path].count(b"\n") + 1
    assert len(revision(job, "0" * 64)) == 64
    for key in ("endpoint", "input"):
        assert_placed(job.source.problem(key, "x"), files[job.source.path])
    documents, _ = read_documents(files[job.source.path], job.source.path)
    document = next(each for each in documents if each.sha256 == job.source.sha256)
    assert document.root is not None
    values = to_python(document.root)
    assert isinstance(values, dict)
    said = {**values, "name": job.name}
    place = project.root / "again"
    place.mkdir(exist_ok=True)
    (place / "job.yaml").write_bytes(_flow(said).encode())
    again = load_specs(replace(project, specs=place), (), start=place)
    assert not again.problems, again.problems
    (same,) = again.jobs
    assert replace(same, source=job.source, document=job.document) == job


def _flow(value: object) -> str:
    """Return a value as YAML of one line with printable ASCII only."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if not isinstance(value, str):
        return str(value).lower()
    safe = re.sub(r'[^ -~]|["\\]', lambda found: f"\\U{ord(found[0]):08x}", value)
    return f'"{safe}"'


def _assert_selection(loaded: Specs, project: Project) -> None:
    for job in loaded.jobs[:1]:
        selected = load_specs(project, [job.name], start=project.specs).selected
        # A file's stem is a handle too, of documents whose name could not be read.
        assert job.name in [each.name for each in selected]
    with pytest.raises(UsageError):
        load_specs(project, ["no such name"], start=project.root)


_GOOD: Final = b"""\
# What this is for.
name: first
endpoint: /v1/chat/completions
input: data/x.jsonl
completion_window: 24h
metadata:
  project: acl
  "a key": 'it''s'
provider: openai
replicate: 1
retry:
  attempts: 3
deadline: {after: 36h, action: resubmit}
canary: 10
keep_remote: false
output: results/first
"""
_FLOW: Final = b"""\
--- {name: second, endpoint: "/v1/embeddings", input: data/x.jsonl, provider: lab}
---
name: third
endpoint: /v1/responses
input: &i "data/x.jsonl"
metadata: {a: &x |
    text
  , b: *i}
...
"""
_CONFIG: Final = b"""\
specs: specs
outputs: outputs
ledger: .runner/ledger.db
default_provider: lab
providers:
  lab:
    base_url: https://lab.example/v1
    api_key_env: LAB_KEY
    max_requests_per_batch: 100
    max_bytes_per_batch: 20MB
    max_bytes_per_request: 1 MiB
    max_active_batches: 3
    max_enqueued_tokens: 1000
    adoption_grace: 2.5
    input_expires_after: 7d
    output_expires_after: 30d
  other:
    base_url: http://127.0.0.1:8000
    api_key_command: [pass, show, "lab key"]
  local:
    max_requests_per_batch: 7
"""

SEEDS: Final = (
    joined(b"", _GOOD),
    joined(_CONFIG, _GOOD.replace(b"openai", b"lab"), _FLOW),
    joined(_CONFIG.replace(b"\n", b"\r\n"), _GOOD.replace(b"\n", b"\r\n")),
    joined(b"OPENAI_BASE_URL=http://127.0.0.1:8000/v1/\n", _GOOD, _GOOD.replace(b"first", b"x.1")),
    joined(
        b"OPENAI_BASE_URL=https://[::1]:443\ndefault_provider: openai\nproviders: {}\n",
        b"endpoint: v1/chat/completions\ninput: no\nmetadata: {yes: 010, runner: x, c: }\n",
        b"- 1\n- [a, {b: c}]\n--- |\n text\n--- >-\n folded\n\n more\n--- ? [a]\n: b\n",
    ),
    joined(
        b"notify:\n  - command: [mail, -s]\n    when: [failed, trouble]\n    jobs: a-*\n"
        b"  - {webhook_env: HOOK}\n  - apprise_file: ~/x\nping: {url_env: P}\nmetrics: m.prom\n",
        _GOOD,
    ),
    joined(b"", b"%YAML 1.1\n---\na: 1\n", b"a: &a [*a]\nb: *c\n<<: *a\n", b"a:\n\t- b\n"),
    joined(
        b"",
        b"endpoint: /v1/videos\ninput: data/x.jsonl\nprovider: local\nreplicate: 3\n",
        b"a: !!str 1\nb: !x {}\nc: 2001-01-01\nd: 1:00\ne: .nan\nf: 0x1f\ng: 1e3\nh: NO\n",
    ),
)

WORDS: Final = (
    *(
        key.encode()
        for keys in (SPEC_FIELDS, CONFIG_FIELDS)
        for each in keys.values()
        for key in each
    ),
    *(b"/v1/embeddings openai local lab data/x.jsonl results/x ../x /x ~/x".split(b" ")),
    *(b"24h 7d 24:00 90m 0h warn resubmit 200MB 1KiB 1.5GB 2001-01-01 2001-1-1T1:1:1Z".split(b" ")),
    *(b"--- ... - ? : , { } [ ] & * ! !! | > |2- >+ % @ ` # ' \" << =".split(b" ")),
    *(b"&a *a !!str !<x> %YAML http:// https:// http://[ :99999".split(b" ")),
    *(rb'"\x41" "\u2028" "\U0001F600" "\UFFFFFFFF" "\ud800" "\N\_\L\P" "\q"'.split(b" ")),
    b"\n",
    b": ",
    b"\n  ",
    b"\n---\n",
    b"\n...\n",
    b"- ",
    b"? ",
    b" #",
    b" |\n  x\n",
    b"OPENAI_BASE_URL=",
    BETWEEN,
)

TARGET: Final = Target(name="specs", check=check, seeds=SEEDS, words=WORDS)
