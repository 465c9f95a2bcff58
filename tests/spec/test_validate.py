"""Every error in a spec, and the message about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.spec.folders import GOOD, lay_out, lines, read

if TYPE_CHECKING:
    from pathlib import Path

ALL_ENDPOINTS = (
    "/v1/responses, /v1/chat/completions, /v1/embeddings, /v1/completions, /v1/moderations,"
    " /v1/images/generations, /v1/images/edits, /v1/videos"
)
NAME = 'a name is 1 to 63 of a-z, 0-9, ".", "_" and "-", and begins with a-z or 0-9'


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("name: Big", f'3:7: name: "Big" is not a valid name; {NAME}'),
        (f"name: {'a' * 64}", f'3:7: name: "{"a" * 59}…" is not a valid name; {NAME}'),
        ("name: 7", '3:7: name: 7 is a number; write "7" in quotes'),
        ("name: true", '3:7: name: true is a boolean; write "true" in quotes'),
        ("name: [a]", "3:7: name: expected one text, not a list"),
        ("name: {a: b}", "3:7: name: expected one text, not a mapping"),
        (
            "completion_window: 24:00",
            (
                "3:20: completion_window: 24:00 is read by YAML 1.1 as the number 1440;"
                ' write "24h" in quotes'
            ),
        ),
        (
            "completion_window: 24",
            '3:20: completion_window: 24 is a number; write "24h" in quotes',
        ),
        (
            "completion_window: 1 day",
            (
                '3:20: completion_window: "1 day" is not a duration;'
                ' write hours or days, such as "24h"'
            ),
        ),
        (
            'completion_window: "24h\\n"',
            (
                '3:20: completion_window: "24h\\n" is not a duration; write hours or days,'
                ' such as "24h"'
            ),
        ),
        (
            "completion_window: 7d",
            '3:20: completion_window: "7d" is not offered by api.openai.com; write "24h"',
        ),
        (
            "metadata: x",
            ('3:11: metadata: expected fields below it, such as "project: acl"'),
        ),
        ("metadata:", "3:1: metadata: has no value; write one, or remove the line"),
        ("metadata: {year: 2024}", '3:18: metadata.year: 2024 is a number; write "2024" in quotes'),
        (
            "metadata: {ok: NO}",
            (
                "3:16: metadata.ok: NO is read by YAML 1.1 as the boolean false;"
                ' write "NO" in quotes, or false'
            ),
        ),
        ('metadata: {"": x}', "3:12: metadata: a key is empty; write a name for it"),
        (
            "metadata: {runner: x}",
            (
                "3:12: metadata.runner: this key is reserved: runner finds its"
                " batches by it; choose another"
            ),
        ),
        (
            f"metadata: {{{'k' * 65}: x}}",
            (f'3:12: metadata: the key "{"k" * 59}…" has 65 characters; at most 64 are allowed'),
        ),
        (
            f"metadata: {{k: {'v' * 513}}}",
            "3:15: metadata.k: has 513 characters; at most 512 are allowed",
        ),
        (
            f"metadata: {{{', '.join(f'k{number}: v' for number in range(17))}}}",
            "3:11: metadata: has 17 pairs; at most 16 are allowed",
        ),
        (
            "provider: opnai",
            ('3:11: provider: "opnai" is not a provider of this project; did you mean "openai"?'),
        ),
        (
            "provider: mistral",
            (
                '3:11: provider: "mistral" is not a provider of this project;'
                " there are: lab, local, openai"
            ),
        ),
        ("replicate: 0", "3:12: replicate: 0 is too small; write at least 1"),
        ("replicate: 1.5", "3:12: replicate: 1.5 is not a whole number; write one, such as 1"),
        ("replicate: true", "3:12: replicate: true is not a whole number; write one, such as 1"),
        ('replicate: "2"', "3:12: replicate: expected a whole number; write 2 without quotes"),
        ("replicate: [2]", "3:12: replicate: expected a whole number"),
        (
            "replicate: 9999999999999999999",
            (
                "3:12: replicate: 9999999999999999999 is too large;"
                " write at most 1,000,000,000,000,000"
            ),
        ),
        ("retry: 3", '3:8: retry: expected "attempts: 3" below it'),
        ("retry: {attempts: 0}", "3:19: retry.attempts: 0 is too small; write at least 1"),
        ("retry: {attempts: 101}", "3:19: retry.attempts: 101 is too large; write at most 100"),
        ("retry: {attempt: 3}", '3:9: retry.attempt: unknown field; did you mean "attempts"?'),
        ("inptu: x", '3:1: inptu: unknown field; did you mean "input"?'),
        ("Metadata: {}", '3:1: Metadata: unknown field; did you mean "metadata"?'),
        (
            "zzz: x",
            (
                "3:1: zzz: unknown field; there are: name, endpoint, input, completion_window,"
                " metadata, provider, replicate, ask_again, retry, deadline, canary, keep_remote,"
                " output"
            ),
        ),
        ("deadline: 30h", '3:11: deadline: expected "after: 30h" or "action: resubmit" below it'),
        ("deadline: {after: 30}", '3:19: deadline.after: 30 is a number; write "30h" in quotes'),
        (
            "deadline: {after: 30x}",
            (
                '3:19: deadline.after: "30x" is not a duration;'
                " write minutes, hours or days, such as 30h"
            ),
        ),
        (
            "deadline: {action: warm}",
            '3:20: deadline.action: "warm" is not one of these: warn, resubmit, wait',
        ),
        ("canary: 0", "3:9: canary: 0 is too small; write at least 1"),
        (
            "keep_remote: 1",
            "3:14: keep_remote: 1 is neither true nor false; write one of them, without quotes",
        ),
        ('output: ""', "3:9: output: is empty; write a value, or remove the line"),
        (
            "output: /else/x",
            ('3:9: output: "/else/x" is outside of the project; write a folder inside it'),
        ),
        (
            "output: a/../../b",
            ('3:9: output: "a/../../b" is outside of the project; write a folder inside it'),
        ),
        ("output: .", "3:9: output: is the project itself; write a folder inside it"),
        ("output: .git/x", '3:9: output: ".git/x" is hidden; write a folder without a leading dot'),
        ("output: specs", '3:9: output: "specs" is the folder of the specs; write another folder'),
    ],
)
def test_a_mistake_in_an_optional_field(tmp_path: Path, more: str, expected: str) -> None:
    lay_out(
        tmp_path,
        {
            "specs/a.yaml": GOOD + more + "\n",
            "runner.yaml": "providers: {lab: {base_url: http://lab/v1}}\n",
        },
    )

    specs = read(tmp_path)

    assert lines(specs) == [f"specs/a.yaml:{expected}"]
    assert specs.jobs == ()
    assert not specs.complete


@pytest.mark.parametrize(
    ("endpoint", "provider", "expected"),
    [
        (
            "v1/chat/completions",
            "openai",
            ('not an endpoint of openai; did you mean "/v1/chat/completions"?'),
        ),
        (
            "/chat/completions",
            "local",
            ('not an endpoint of local; did you mean "/v1/chat/completions"?'),
        ),
        (
            "https://api.openai.com/v1/embeddings",
            "openai",
            ('not an endpoint of openai; did you mean "/v1/embeddings"?'),
        ),
        ("/v1/embeding/", "openai", 'not an endpoint of openai; did you mean "/v1/embeddings"?'),
        ("/zzz", "openai", f"not an endpoint of openai; there are: {ALL_ENDPOINTS}"),
        ("responses", "lab", 'not a path; did you mean "/v1/responses"?'),
        ("zzz", "lab", 'not a path; write its path, beginning with "/"'),
        ("/a b", "lab", 'not a path; write its path, beginning with "/"'),
    ],
)
def test_a_wrong_endpoint(tmp_path: Path, endpoint: str, provider: str, expected: str) -> None:
    text = f"provider: {provider}\nendpoint: {endpoint}\ninput: data/x.jsonl\n"
    config = "providers: {lab: {base_url: http://lab/v1}}\n"
    lay_out(tmp_path, {"specs/a.yaml": text, "runner.yaml": config})

    assert lines(read(tmp_path)) == [f'specs/a.yaml:2:11: endpoint: "{endpoint}" is {expected}']


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data/y.jsonl", "no such file: data/y.jsonl (in ROOT)"),
        ("~/y.jsonl", 'no such file: ~/y.jsonl (in ROOT); "~" is not expanded'),
        ("/nowhere/y.jsonl", "no such file: /nowhere/y.jsonl"),
        ("data", "data is a folder; write the path of a JSONL file"),
        ("/dev/null", "/dev/null is not a regular file; write the path of a JSONL file"),
        ("data/x.jsonl/y", "data/x.jsonl/y cannot be read: not a directory"),
        ("loop", "loop cannot be read: too many levels of symbolic links"),
    ],
)
def test_an_input_that_cannot_be_read(tmp_path: Path, text: str, expected: str) -> None:
    lay_out(tmp_path, {"specs/a.yaml": f"endpoint: /v1/embeddings\ninput: {text}\n"})
    (tmp_path / "loop").symlink_to("loop")

    problems = [line.replace(str(tmp_path), "ROOT") for line in lines(read(tmp_path))]

    assert problems == [f"specs/a.yaml:2:8: input: {expected}"]


def test_a_missing_field_is_reported_at_the_document(tmp_path: Path) -> None:
    lay_out(tmp_path, {"specs/a.yaml": "\n# c\nname: a\n"})

    assert lines(read(tmp_path)) == [
        (
            'specs/a.yaml:3: endpoint: is missing; write "endpoint: /v1/chat/completions" or'
            " another path of the API"
        ),
        'specs/a.yaml:3: input: is missing; write "input: " and the path of a JSONL file',
    ]


def test_a_value_beyond_reading_is_not_missing_too(tmp_path: Path) -> None:
    lay_out(tmp_path, {"specs/a.yaml": "endpoint: NO\ninput: data/x.jsonl\n"})

    assert lines(read(tmp_path)) == [
        (
            "specs/a.yaml:1:11: endpoint: NO is read by YAML 1.1 as the boolean false;"
            ' write "NO" in quotes, or false'
        )
    ]


@pytest.mark.parametrize(
    ("stem", "proposal"),
    [("My Job", "my-job"), ("Überprüfung", "uberprufung"), ("_x_", "x"), ("日本", "job")],
)
def test_a_file_name_that_is_no_name(tmp_path: Path, stem: str, proposal: str) -> None:
    lay_out(tmp_path, {f"specs/{stem}.yaml": GOOD})

    assert lines(read(tmp_path)) == [
        (
            f'specs/{stem}.yaml:1: name: the file name "{stem}" is not a valid name;'
            f' write "name: {proposal}" ({NAME})'
        )
    ]


def test_all_problems_of_all_specs_are_reported(tmp_path: Path) -> None:
    bad = """\
        name: two
        endpoint: /v1/chat/completions
        input: data/y.jsonl
        completion_window: 24:00
        metadata: {year: 2024, runner: x}
        replicate: 0
        retry: {attempts: many}
        """
    lay_out(tmp_path, {"specs/a.yaml": "a: [", "specs/b.yaml": bad, "specs/c.yaml": GOOD})

    specs = read(tmp_path)

    assert [line.split(": ")[0] for line in lines(specs)] == [
        "specs/a.yaml:1:5",
        "specs/b.yaml:3:8",
        "specs/b.yaml:4:20",
        "specs/b.yaml:5:18",
        "specs/b.yaml:5:24",
        "specs/b.yaml:6:12",
        "specs/b.yaml:7:19",
    ]
    assert [job.name for job in specs.jobs] == ["c"]


def test_twenty_problems_of_a_file_are_shown_and_the_others_counted(tmp_path: Path) -> None:
    lay_out(
        tmp_path,
        {
            "specs/a.yaml": "".join(f"field{number}: x\n" for number in range(5000)),
            "specs/b.yaml": "---\n".join(GOOD + "replicate: 0\n" for _ in range(15)),
            "specs/c.yaml": "nothing: x\n",
        },
    )

    problems = lines(read(tmp_path))

    of_a, of_b, of_c = (
        [line for line in problems if line.startswith(f"specs/{name}.yaml:")] for name in "abc"
    )
    assert len(of_a) == len(of_b) == 21
    assert of_a[-1] == "specs/a.yaml:19: and 4,982 more problems in this file"
    assert of_b[-1] == "specs/b.yaml:41: and 10 more problems in this file"
    assert len(of_c) == 3


@pytest.mark.parametrize(
    ("host", "window", "offered"),
    [
        ("api.groq.com/openai/v1", "6h", "24h to 7d"),
        ("api.groq.com/openai/v1", "24h", None),
        ("api.groq.com/openai/v1", "7d", None),
        ("api.groq.com/openai/v1", "169h", "24h to 7d"),
        ("api.moonshot.cn/v1", "12h", None),
        ("dashscope.aliyuncs.com/compatible-mode/v1", "336h", None),
        ("dashscope.aliyuncs.com/compatible-mode/v1", "15d", "24h to 14d"),
        ("mine.openai.azure.com/openai/v1", "7d", "24h"),
        ("api.doubleword.ai/v1", "1h", None),
        ("api.doubleword.ai/v1", "2d", "1h to 1d"),
        ("lab.example/v1", "99d", None),
    ],
)
def test_a_window_that_a_host_is_not_known_to_offer_is_a_warning(
    tmp_path: Path, host: str, window: str, offered: str | None
) -> None:
    config = f"default_provider: lab\nproviders: {{lab: {{base_url: 'https://{host}'}}}}\n"
    spec = f"{GOOD}completion_window: {window}\n"
    lay_out(tmp_path, {"runner.yaml": config, "specs/a.yaml": spec})

    (job,) = read(tmp_path).selected

    expected = (
        f'specs/a.yaml:3:20: warning: completion_window: "{window}" is probably not offered by'
        f" {host.partition('/')[0]}, which is known to take {offered}"
    )
    assert [str(each) for each in job.warnings] == ([expected] if offered else [])
