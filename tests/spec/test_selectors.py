from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runner.errors import UsageError
from runner.spec.load import load_specs
from runner.spec.project import find_project
from tests.spec.folders import GOOD, lay_out, read

if TYPE_CHECKING:
    from pathlib import Path

    from runner.spec.job import Specs


def names(specs: Specs) -> list[str]:
    return [job.name for job in specs.jobs]


def selected(specs: Specs) -> list[str]:
    return [job.name for job in specs.selected]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("specs/a.yaml", ["a"]),
        ("./specs/../specs/a.yaml", ["a"]),
        ("specs", ["a", "x", "y", "dir"]),
        ("specs/", ["a", "x", "y", "dir"]),
        ("specs/many.yaml", ["x", "y"]),
        ("y", ["y"]),
        ("dir", ["dir"]),  # a bare word is a job before it is a folder
        ("dir/", ["far"]),
        ("outside.yaml", ["outside"]),
        ("x", ["x"]),
    ],
)
def test_selectors(tmp_path: Path, selector: str, expected: list[str]) -> None:
    many = f"name: x\n{GOOD}---\nname: y\n{GOOD}"
    lay_out(
        tmp_path,
        {
            "specs/a.yaml": GOOD,
            "specs/many.yaml": many,
            "specs/other.yaml": f"name: dir\n{GOOD}",
            "dir/far.yaml": GOOD,
            "outside.yaml": GOOD,
        },
    )

    specs = read(tmp_path, selector)

    assert selected(specs) == expected
    assert set(names(specs)) == {"a", "x", "y", "dir", *expected}
    assert specs.complete


@pytest.mark.parametrize(
    ("selectors", "expected", "jobs_without_spec"),
    [
        (["bank*"], ["bank-a", "bank-b"], []),
        (["bank-[ab]"], ["bank-a", "bank-b"], []),
        (["?ther"], ["other"], []),
        (["*"], ["bank-a", "bank-b", "other"], ["bank-old"]),
        (["*-old"], [], ["bank-old"]),
        (["bank-old", "other"], ["other"], ["bank-old"]),
        ([], ["bank-a", "bank-b", "other"], ["bank-old"]),
    ],
)
def test_patterns_fit_names_also_of_jobs_that_are_gone(
    tmp_path: Path, selectors: list[str], expected: list[str], jobs_without_spec: list[str]
) -> None:
    lay_out(tmp_path, {f"specs/{name}.yaml": GOOD for name in ("bank-a", "bank-b", "other")})
    project = find_project(tmp_path, {})
    known = ("bank-old", "other") if jobs_without_spec else ("other",)

    specs = load_specs(project, selectors, start=tmp_path, known=known)

    assert selected(specs) == expected
    assert list(specs.jobs_without_spec) == jobs_without_spec


def test_a_pattern_that_fits_no_name_is_an_error(tmp_path: Path) -> None:
    lay_out(tmp_path, {"specs/a.yaml": GOOD, "runner.yaml": ""})

    with pytest.raises(UsageError, match=r'no job name matches "b\*"; jobs: a, gone'):
        load_specs(find_project(tmp_path, {}), ["b*"], start=tmp_path, known=["gone"])


def test_a_selector_is_tried_from_where_one_stands_then_from_the_root(tmp_path: Path) -> None:
    lay_out(tmp_path, {"specs/sub/a.yaml": GOOD, "runner.yaml": ""})
    project = find_project(tmp_path / "specs" / "sub", {})

    for selector in ("a.yaml", "specs/sub/a.yaml", ".", str(tmp_path / "specs")):
        specs = load_specs(project, [selector], start=tmp_path / "specs" / "sub")
        assert selected(specs) == ["a"]
        assert specs.jobs[0].source.path == "specs/sub/a.yaml"


def test_without_a_start_the_current_folder_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(tmp_path, {"specs/a.yaml": GOOD, "runner.yaml": ""})
    monkeypatch.chdir(tmp_path / "specs")

    assert selected(load_specs(find_project(tmp_path, {}), ["a.yaml"])) == ["a"]


def test_only_problems_of_selected_specs_are_reported(tmp_path: Path) -> None:
    lay_out(
        tmp_path,
        {"specs/a.yaml": GOOD, "specs/b.yaml": "a: [", "specs/c.yaml": f"name: q\n{GOOD}x: y\n"},
    )

    good, bad, by_name = read(tmp_path, "a"), read(tmp_path, "b"), read(tmp_path, "q", "a")

    assert (selected(good), good.problems, good.complete) == (["a"], (), False)
    assert (selected(bad), len(bad.problems)) == ([], 1)
    assert (selected(by_name), len(by_name.problems)) == (["a"], 1)


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("sentimnt", 'no job, file or folder is called "sentimnt"; did you mean "sentiment"?'),
        ("qqq", 'no job, file or folder is called "qqq"; jobs: sentiment'),
        ("specs/b.yaml", "no such file or folder: specs/b.yaml"),
        ("data/x.jsonl", "data/x.jsonl is not a spec: specs end in .yaml or .yml"),
        ("data", "no specs in the folder data (*.yaml, *.yml)"),
        ("runner.yaml", "runner.yaml is the project file, not a spec"),
        ("", 'no job, file or folder is called ""; jobs: sentiment'),
        ("a\0b", 'no job, file or folder is called "a\\x00b"; jobs: sentiment'),
    ],
)
def test_a_selector_that_matches_nothing(tmp_path: Path, selector: str, message: str) -> None:
    lay_out(tmp_path, {"specs/sentiment.yaml": GOOD, "runner.yaml": ""})

    with pytest.raises(UsageError) as caught:
        read(tmp_path, selector)

    assert str(caught.value) == message


def test_a_name_that_cannot_be_found_may_be_in_a_broken_spec(tmp_path: Path) -> None:
    lay_out(tmp_path, {"specs/a.yaml": "a: ["})

    with pytest.raises(UsageError, match="`runner validate` shows them"):
        read(tmp_path, "qqq")


def test_without_specs_init_is_offered(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no folder specs in .*`runner init`"):
        read(tmp_path)

    lay_out(tmp_path, {"x.yaml": GOOD})
    specs = read(tmp_path, "x.yaml")
    assert (selected(specs), specs.complete) == (["x"], False)
