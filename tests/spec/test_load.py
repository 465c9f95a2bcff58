from __future__ import annotations

import json
import os
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.errors import UsageError
from tests.spec.folders import GOOD, lay_out, lines, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runner.spec.job import Specs


def names(specs: Specs) -> list[str]:
    return [job.name for job in specs.jobs]


def test_a_spec_with_everything(tmp_path: Path) -> None:
    text = """\
        # what it is for
        name: sentiment
        endpoint: /v1/embeddings
        input: ../shared/x.jsonl   # outside is fine
        completion_window: 7d
        metadata: {project: acl}
        provider: local
        replicate: 2
        retry: {attempts: 5}
        output: results//sentiment/
        """
    lay_out(tmp_path / "p", {"specs/a.yaml": text})
    lay_out(tmp_path, {"shared/x.jsonl": "{}\n"})

    specs = read(tmp_path / "p")

    assert specs.problems == ()
    assert specs.complete
    (job,) = specs.jobs
    assert specs.selected == (job,)
    assert (job.name, job.endpoint, job.completion_window) == ("sentiment", "/v1/embeddings", "7d")
    assert job.input == tmp_path / "p" / ".." / "shared/x.jsonl"
    assert job.input_shown == "../shared/x.jsonl"
    assert job.metadata == {"project": "acl"}
    assert job.provider.name == "local"
    assert (job.replicate, job.attempts, job.output) == (2, 5, "results/sentiment")
    assert (job.source.path, job.source.line) == ("specs/a.yaml", 2)
    assert job.document.startswith("# what it is for\nname: sentiment\n")
    assert job.source.sha256 == sha256(job.document.encode()).hexdigest()
    assert str(job.source.problem("metadata.project", "odd")) == "specs/a.yaml:6:21: odd"
    assert str(job.source.problem("nothing", "odd")) == "specs/a.yaml:2: odd"


def test_a_spec_with_the_least(tmp_path: Path) -> None:
    lay_out(tmp_path, {"specs/deep/er/my-job.yml": GOOD})

    (job,) = read(tmp_path).jobs

    assert (job.name, job.completion_window, job.metadata) == ("my-job", "24h", {})
    assert (job.provider.name, job.replicate, job.attempts, job.output) == ("openai", 1, 3, None)


def test_metadata_may_have_sixteen_pairs_at_full_length(tmp_path: Path) -> None:
    pairs = {f"{number:064}": "é" * 512 for number in range(16)}
    block = "".join(f'  "{key}": {value}\n' for key, value in pairs.items())
    lay_out(tmp_path, {"specs/a.yaml": f"{GOOD}metadata:\n{block}"})

    (job,) = read(tmp_path).jobs

    assert job.metadata == pairs


def test_order_is_by_path_then_document(tmp_path: Path) -> None:
    two = f"name: z\n{GOOD}---\nname: y\n{GOOD}---\n"
    lay_out(tmp_path, {"specs/b.yaml": two, "specs/a/q.yaml": GOOD, "specs/c.yml": GOOD})

    assert names(read(tmp_path)) == ["q", "z", "y", "c"]


def test_hidden_and_foreign_files_are_left_alone(tmp_path: Path) -> None:
    lay_out(
        tmp_path,
        {
            "runner.yaml": "specs: .\n",
            "a.yaml": GOOD,
            ".hidden.yaml": "x",
            ".git/b.yaml": "x",
            "notes.txt": "x",
            "a.yaml~": "x",
            "outputs/c.yaml": "x",
            "other/runner.yaml": "",
            "other/d.yaml": "x",
        },
    )

    specs = read(tmp_path)

    assert (names(specs), specs.problems) == (["a"], ())


def test_an_empty_specs_folder_is_fine(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()

    specs = read(tmp_path)

    assert (specs.jobs, specs.problems, specs.complete) == ((), (), True)


def test_jobs_that_share_a_name_are_refused(tmp_path: Path) -> None:
    lay_out(
        tmp_path,
        {
            "specs/a.yaml": GOOD,
            "specs/b.yaml": f"# c\nname: a\n{GOOD}",
            "specs/c.yaml": f"{GOOD}name: a\n",
            "specs/d.yaml": GOOD,
        },
    )

    specs = read(tmp_path)

    assert names(specs) == ["d"]
    assert lines(specs) == [
        (
            'specs/a.yaml:1: name: "a" is also the name of the job at specs/b.yaml:2; rename one of'
            " them"
        ),
        (
            'specs/b.yaml:2:7: name: "a" is already the name of the job at specs/a.yaml:1; rename'
            " one of them"
        ),
        (
            'specs/c.yaml:3:7: name: "a" is already the name of the job at specs/a.yaml:1; rename'
            " one of them"
        ),
    ]


def test_a_file_from_outside_may_not_take_a_name_either(tmp_path: Path) -> None:
    lay_out(tmp_path, {"specs/a.yaml": GOOD, "far/a.yaml": GOOD})

    specs = read(tmp_path, "far/a.yaml")

    assert lines(specs) == [
        'far/a.yaml:1: name: "a" is also the name of the job at specs/a.yaml:1; rename one of them'
    ]


def test_two_jobs_may_not_share_an_output(tmp_path: Path) -> None:
    lay_out(
        tmp_path,
        {
            "specs/a.yaml": GOOD,
            "specs/b.yaml": f"{GOOD}output: outputs/./a\n",
            "specs/c.yaml": f"{GOOD}output: r\n",
            "specs/d.yaml": f"{GOOD}output: r/\n",
            "specs/e.yaml": f"{GOOD}output: outputs/e\n",
        },
    )

    specs = read(tmp_path)

    assert names(specs) == ["a", "c", "e"]
    assert lines(specs) == [
        (
            'specs/b.yaml:3:9: output: the results of the job at specs/a.yaml:1 go to "outputs/a"'
            " already"
        ),
        'specs/d.yaml:3:9: output: the results of the job at specs/c.yaml:1 go to "r" already',
    ]


def test_documents_that_share_a_file_need_names(tmp_path: Path) -> None:
    lay_out(tmp_path, {"specs/a.yaml": f"{GOOD}---\nname: b\n{GOOD}"})

    specs = read(tmp_path)

    assert names(specs) == ["b"]
    assert lines(specs) == [
        'specs/a.yaml:1: name: several documents share this file; give each a "name: " of its own'
    ]


def test_odd_things_in_the_specs_folder_are_problems(tmp_path: Path) -> None:
    lay_out(tmp_path, {"specs/ok.yaml": GOOD, "specs/empty.yaml": "# later\n", "specs/s/x": ""})
    (tmp_path / "specs" / "dead.yaml").symlink_to("nowhere")
    (tmp_path / "specs" / "self.yaml").symlink_to("self.yaml")
    (tmp_path / "specs" / "s" / "up").symlink_to("..")
    (tmp_path / "specs" / "twin").symlink_to("s")
    os.mkfifo(tmp_path / "specs" / "pipe.yaml")

    specs = read(tmp_path)

    assert names(specs) == ["ok"]
    assert lines(specs) == [
        (
            "specs/dead.yaml: is a link to a file that does not exist; put the file there, or"
            " correct the link"
        ),
        "specs/empty.yaml: contains no job; write one, or remove the file",
        "specs/pipe.yaml: is not a regular file; put one in its place",
        "specs/s/up: is a link to a folder that contains it; remove the link",
        "specs/self.yaml: cannot be read: too many levels of symbolic links",
    ]
    assert not specs.complete


def test_what_is_meant_as_a_spec_and_not_read_is_a_problem(tmp_path: Path) -> None:
    spec = '{"name": "%s", "endpoint": "/v1/chat/completions", "input": "data/x.jsonl"}'
    lay_out(
        tmp_path,
        {
            "specs/ok.yaml": GOOD,
            "specs/big.YAML": GOOD,
            "specs/deep/short.Yml": GOOD,
            "specs/lists.json": spec % "lists",
            "specs/hidden.yaml.txt": GOOD,
            "specs/folder.yaml/a.yaml": GOOD,
            "specs/project/runner.yaml/x": "",
        },
    )
    (tmp_path / "specs/team").symlink_to("../../nowhere")

    specs = read(tmp_path)

    assert names(specs) == ["ok"]
    assert lines(specs) == [
        "specs/big.YAML: is not read: specs end in .yaml or .yml; rename it to big.yaml",
        "specs/deep/short.Yml: is not read: specs end in .yaml or .yml; rename it to short.yaml",
        "specs/folder.yaml: is a folder with the name of a spec; rename it",
        "specs/hidden.yaml.txt: is not read: specs end in .yaml or .yml; rename it to hidden.yaml",
        "specs/lists.json: is not read: specs end in .yaml or .yml; rename it to lists.yaml",
        "specs/project/runner.yaml: is a folder with the name of a spec; rename it",
        "specs/team: is a link to a file or folder that does not exist; correct or remove the link",
    ]
    assert not specs.complete


def test_data_beside_the_specs_is_left_alone(tmp_path: Path) -> None:
    lay_out(
        tmp_path,
        {
            "specs/ok.yaml": GOOD,
            "specs/README.json": "{",
            "specs/data.json": '[{"endpoint": 1, "input": 2}]',
            "specs/deep.json": '{"x": {"endpoint": "/v1/embeddings", "input": "y"}}',
            "specs/large.json": '{"endpoint": 1, "input": "' + "x" * 2**20 + '"}',
            "root.yaml": GOOD,
        },
    )
    (tmp_path / "specs/annexed.jsonl").symlink_to("nowhere")
    os.mkfifo(tmp_path / "specs/pipe.json")

    specs = read(tmp_path)

    assert (names(specs), lines(specs)) == (["ok"], [])


@pytest.mark.parametrize("with_folder", [True, False])
def test_specs_in_the_root_are_problems_if_there_are_no_others(
    tmp_path: Path,
    with_folder: bool,  # noqa: FBT001
) -> None:
    lay_out(
        tmp_path,
        {
            "a.yaml": GOOD,
            "b.yml": "{name: b, endpoint: /v1/embeddings, input: data/x.jsonl}",
            "c.json": '{"endpoint": "/v1/embeddings", "input": "data/x.jsonl"}',
            "d.yaml": '{\n  "endpoint": "/v1/embeddings",\n  "input": "data/x.jsonl"\n}\n',
            "compose.yaml": "services:\n  x:\n    endpoint: /v1\n    input: y\n",
            **({"specs/notes.txt": ""} if with_folder else {}),
        },
    )

    specs = read(tmp_path)

    why = "is not read: specs are in specs; move it to specs, or name the file in the command"
    assert lines(specs) == [f"{name}: {why}" for name in ("a.yaml", "b.yml", "c.json", "d.yaml")]
    assert not specs.complete
    assert names(read(tmp_path, "a.yaml")) == ["a"]


def test_specs_read_from_inside_their_folder(tmp_path: Path) -> None:
    lay_out(tmp_path, {"specs/a.yaml": GOOD})

    assert lines(read(tmp_path / "specs")) == [
        (
            "a.yaml: is not read: specs are in specs; run the command in the folder above, or name"
            " the file in the command"
        )
    ]


def test_a_specs_folder_that_is_a_dead_link(tmp_path: Path) -> None:
    (tmp_path / "specs").symlink_to("nowhere")

    assert lines(read(tmp_path)) == [
        "specs: is a link to a file or folder that does not exist; correct or remove the link"
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_files_and_folders_are_problems(tmp_path: Path) -> None:
    lay_out(tmp_path, {"specs/ok.yaml": GOOD, "specs/s/x.yaml": GOOD, "specs/t.yaml": GOOD})
    (tmp_path / "specs/s").chmod(0)
    (tmp_path / "specs/t.yaml").chmod(0)

    specs = read(tmp_path)

    assert lines(specs) == [
        "specs/s: cannot be read: permission denied",
        "specs/t.yaml: cannot be read: permission denied",
    ]


def test_a_specs_folder_that_is_a_file(tmp_path: Path) -> None:
    lay_out(tmp_path, {"specs": "x"})

    specs = read(tmp_path)

    assert lines(specs) == ["specs: cannot be read: not a directory"]
    assert not specs.complete


def test_a_specs_folder_with_a_name_beyond_any_file_system(tmp_path: Path) -> None:
    lay_out(tmp_path, {"runner.yaml": f"specs: {'x' * 300}\n"})

    with pytest.raises(UsageError, match="there is no folder xxx"):
        read(tmp_path)


def test_a_file_name_that_is_no_unicode_is_shown_escaped(tmp_path: Path) -> None:
    lay_out(tmp_path, {"specs/ok.yaml": GOOD})
    (tmp_path / "specs" / os.fsdecode(b"\xff\n.yaml")).write_bytes(b"a: [")

    (problem,) = read(tmp_path).problems

    assert problem.path == "specs/\\xff\\n.yaml"


def test_a_folder_tree_deeper_than_the_stack(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    with deep_folders(tmp_path / "specs", 1500):
        assert read(tmp_path).problems == ()


@contextmanager
def deep_folders(root: Path, depth: int) -> Iterator[None]:
    """Create nested folders and remove them one by one: pytest's clean-up is recursive."""
    here = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        here = _step(here, "d")
    try:
        yield
    finally:
        for _ in range(depth):
            here = _step(here, "..")
            os.rmdir("d", dir_fd=here)
        os.close(here)


def _step(here: int, name: str) -> int:
    there = os.open(name, os.O_RDONLY, dir_fd=here)
    os.close(here)
    return there


@given(text=st.text() | st.text("name:enpoit/v1embdgs\n-{}[]'\"# 24h", max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_in_a_spec_gives_a_job_or_problems(tmp_path: Path, text: str) -> None:
    lay_out(tmp_path, {"specs/a.yaml": text.encode(errors="surrogatepass")})

    specs = read(tmp_path)

    assert bool(specs.jobs) != bool(specs.problems)


keys = ["name", "endpoint", "input", "completion_window", "metadata", "provider", "replicate"]
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(["/v1/embeddings", "data/x.jsonl", "24h", "local", "a", "../b"])
)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)


@given(content=st.dictionaries(st.sampled_from([*keys, "retry", "output", "x"]), trees))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_values_in_a_spec_give_a_job_or_problems(
    tmp_path: Path, content: dict[str, object]
) -> None:
    lay_out(tmp_path, {"specs/a.yaml": json.dumps(content).encode()})

    specs = read(tmp_path)

    assert bool(specs.jobs) != bool(specs.problems)
    assert all(problem.message.isprintable() for problem in specs.problems)


@pytest.mark.parametrize("size", [8191, 8192, 8193, 20_000])
def test_a_spec_of_any_size_is_read_whole(tmp_path: Path, size: int) -> None:
    last = "replicate: 7\n"
    padding = "#" * (size - len(GOOD) - len(last) - 1) + "\n"
    lay_out(tmp_path, {"specs/a.yaml": GOOD + padding + last})

    specs = read(tmp_path)

    assert (tmp_path / "specs" / "a.yaml").stat().st_size == size
    assert specs.problems == ()
    assert [(job.replicate, len(job.document)) for job in specs.jobs] == [(7, size)]
