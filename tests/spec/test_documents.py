from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from runner.spec.yaml.documents import MAX_BYTES, read_documents
from runner.spec.yaml.tree import to_python, value_positions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.errors import Problem
    from runner.spec.yaml.documents import Document

PIECES = [
    *("a", "b: ", "- ", "\n", "\n  ", "\t", "'", '"', "{", "}", "[", "]", ",", ": ", "? ", " "),
    *("&a ", "*a", "!t ", "!!str ", "|\n", "> ", "#", "%YAML 1.1\n", "---\n", "...\n", "\\x07"),
    *("24:00", "~", "\r\n", "\r", "é", "\u2028", '"\\U00110000"', "<<", "1_0", "@", "`", "\ufeff"),
]


@pytest.fixture(params=[True, False], ids=["libyaml", "pure"], autouse=True)
def _parser(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if not request.param:
            patch.setattr(yaml, "__with_libyaml__", request.param)
        yield


def read(text: str) -> tuple[Document, ...]:
    documents, problems = read_documents(text.encode(), "s.yaml")
    assert problems == ()
    return documents


def messages(text: str | bytes) -> list[str]:
    data = text.encode() if isinstance(text, str) else text
    documents, problems = read_documents(data, "s.yaml")
    return [str(p) for p in (*problems, *(p for d in documents for p in d.problems))]


def values(text: str) -> list[object]:
    documents = read(text)
    assert [p for document in documents for p in document.problems] == []
    return [to_python(document.root) for document in documents if document.root]


def test_values_and_their_places() -> None:
    text = "# c\n---\nname: x\nmetadata: {a: \"1\", 'b': c}\nlist:\n- |\n  t\n"
    (document,) = read(text)

    assert document.root is not None
    assert to_python(document.root) == {
        "name": "x",
        "metadata": {"a": "1", "b": "c"},
        "list": ["t\n"],
    }
    assert dict(value_positions(document.root)) == {
        "name": (3, 7),
        "metadata": (4, 11),
        "metadata.a": (4, 15),
        "metadata.b": (4, 25),
        "list": (6, 1),
        "list[0]": (6, 3),
    }
    assert document.line == 3


def test_each_document_has_its_own_text_line_and_digest() -> None:
    first, second, third = read(
        "# top\n---\na: 1\n--- {b: 2}\n...\n# between\n---\r\nc: 3\r\n---\n"
    )

    assert (first.text, first.line) == ("a: 1\n", 3)
    assert (second.text, second.line) == (" {b: 2}\n", 4)
    assert (third.text, third.line) == ("c: 3\r\n", 8)
    assert first.sha256 == sha256(b"a: 1\n").hexdigest()


def test_a_document_is_the_same_whatever_stands_around_it() -> None:
    (alone,) = read("a: 1\n")
    among = read("x: y\n---\na: 1\n---\nz: 1\n")

    assert among[1].sha256 == alone.sha256


@pytest.mark.parametrize("text", ["", "\n", "# c", "---\n", "---\n---\n# x\n...\n", "--- \n...\n"])
def test_files_that_say_nothing_hold_no_documents(text: str) -> None:
    assert read(text) == ()


def test_a_marker_inside_a_text_ends_the_document_as_yaml_says() -> None:
    assert messages("a: |\n  x\n---\nb: 1\n") == []
    assert messages("a: 'x\n---\nb: 1\n") == [
        "s.yaml:1:4: this quote is not closed; write the same quote at the end of the value"
    ]


def test_a_mistake_leaves_the_other_documents_whole() -> None:
    documents = read("a: [\n---\nb: 1\n")

    assert [document.root is None for document in documents] == [True, False]
    assert documents[1].problems == ()


def test_an_alias_stands_for_its_value() -> None:
    assert values("a: &x {k: v}\nb: *x\n&y c: *y\n") == [
        {"a": {"k": "v"}, "b": {"k": "v"}, "c": "c"}
    ]


def test_a_bomb_of_aliases_is_refused() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n"
        for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    (problem,) = messages(bomb)
    assert problem.endswith("aliases repeat more than 1,000 values; write them out")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: &x [*x]\n", "s.yaml:1:8: a[0]: *x is an alias of a value that contains it"),
        (
            "a: *x\n",
            's.yaml:1:4: a: no value is marked &x; if "*x" is the value, put it in quotes',
        ),
        ("<<: {a: 1}\n", 's.yaml:1:1: "<<" (merge) is not supported; write the fields out'),
        (
            "m:\n  a: 1\n  a: 2\n",
            ("s.yaml:3:3: m.a: is written twice, first at line 2; keep one of the two"),
        ),
        (
            "a: !!python/object:os.system x\n",
            ("s.yaml:1:4: a: the tag !!python/object:os.system is not allowed; remove it"),
        ),
        ("a: !foo x\n", "s.yaml:1:4: a: the tag !foo is not allowed; remove it"),
        ("a: ! x\n", "s.yaml:1:4: a: the tag ! is not allowed; remove it"),
        (
            "no: x\n",
            (
                "s.yaml:1:1: the field no is read by YAML 1.1 as the boolean false;"
                ' write "no" in quotes'
            ),
        ),
        ("m: {2024: x}\n", 's.yaml:1:5: m: the field 2024 is not a text; write "2024" in quotes'),
        ("null: x\n", 's.yaml:1:1: the field null is not a text; write "null" in quotes'),
        (
            "? [a]\n: x\n",
            (
                "s.yaml:1:3: a field name is one text, not a list, mapping or number;"
                " put it in quotes"
            ),
        ),
        ("a:\nb: x\n", "s.yaml:1:1: a: has no value; write one, or remove the line"),
        ("a: ~\n", "s.yaml:1:4: a: has no value; write one, or remove the line"),
        ("{a}\n", "s.yaml:1:2: a: has no value; write one, or remove the line"),
        ("- a\n", 's.yaml:1:1: expected fields and values, such as "name: x"'),
        ("just words\n", 's.yaml:1:1: expected fields and values, such as "name: x"'),
        ("a:\n\tb: 1\n", "s.yaml:2:1: a tab cannot indent YAML; write spaces"),
        ("a: 1\n \tb: 1\n", "s.yaml:2:2: a tab cannot indent YAML; write spaces"),
        (
            "a: 1\n  b: 2\n",
            (
                's.yaml:2:4: a ": " is not expected here; align this line with those'
                " above, or quote the value"
            ),
        ),
        (
            "a: b: c\n",
            (
                's.yaml:1:5: a ": " is not expected here; align this line with those'
                " above, or quote the value"
            ),
        ),
        (
            "a: 1\nb:2\nc: 3\n",
            (
                "s.yaml:2:1: this is neither a field nor a value; write a field as"
                ' "name: x", with a space'
            ),
        ),
        (
            "a: [1, 2\nb: 1\n",
            (
                's.yaml:1:4: this "[" is not closed; write commas between its items'
                ' and "]" after the last'
            ),
        ),
        (
            "a: {b: c\n",
            (
                's.yaml:1:4: this "{" is not closed; write commas between its pairs'
                ' and "}" after the last'
            ),
        ),
        (
            'a: "x\n',
            ("s.yaml:1:4: this quote is not closed; write the same quote at the end of the value"),
        ),
        ("a: @x\n", 's.yaml:1:4: "@" cannot begin a value; put the value in quotes'),
        ("a: }\n", 's.yaml:1:4: "}" cannot begin a value; put the value in quotes'),
        ("a: - b\n", 's.yaml:1:4: a list cannot begin here; start each "- " on a line of its own'),
        (
            "a: 'b' c\n",
            (
                "s.yaml:1:8: this does not fit the text before it; check indentation,"
                " quotes and commas"
            ),
        ),
        (
            "%YAML 1.1\n---\na: b\n",
            ('s.yaml:1:1: lines that begin with "%" (directives) are not needed; remove them'),
        ),
        ('a: "\\a"\n', "s.yaml:1:4: a: contains the control character U+0007; remove it"),
        (b"a: \xff\n", "s.yaml:1:4: is not UTF-8 (byte 0xFF); save the file as UTF-8"),
        (
            b"\xef\xbb\xbfa: b\n",
            ("s.yaml:1:1: contains a byte order mark; save the file as UTF-8 without BOM"),
        ),
        ("a: b\n".encode("utf-16"), "s.yaml:1:1: is UTF-16; save the file as UTF-8"),
        (
            b"a: b\nc: d\x00\n",
            ("s.yaml:2:5: contains the invisible character U+0000; remove or escape it"),
        ),
        (
            "a: b\u2028c\n",
            "s.yaml:1:5: contains the invisible character U+2028; remove or escape it",
        ),
        (
            b"a: b\rc: d\n",
            (
                "s.yaml:1:5: contains a carriage return without a line feed; save the file"
                " with Unix line ends"
            ),
        ),
        (
            b" " * (MAX_BYTES + 1),
            ("s.yaml: is larger than 1 MiB; write data into the input, not into the spec"),
        ),
        ("[" * 1000, "s.yaml:1:22: more than 20 levels deep; remove some levels"),
        (
            "a: [" + "x," * 30_000 + "]",
            ("s.yaml:1:39999: more than 20,000 values; split the document"),
        ),
    ],
)
def test_invalid_yaml_is_explained(text: str | bytes, expected: str) -> None:
    assert messages(text) == [expected]


@pytest.mark.parametrize("line", ["?\n", "NO: 1\n", "? a\n", "NO:\n"])
def test_mistakes_are_bounded_as_values_are(line: str) -> None:
    # Each message takes time: a missing or refused key counts as a value too.
    assert messages(line * 42_000) == messages(line * 21_000)


def test_an_unknown_escape_is_explained() -> None:
    (problem,) = messages('a: "\\q"\n')
    assert "a backslash between double quotes begins an escape" in problem


def test_every_problem_of_a_document_is_found() -> None:
    assert len(messages("".join(f"k{number}: NO\n" for number in range(50)))) == 50


def check(data: bytes) -> None:
    documents, problems = read_documents(data, "s.yaml")
    last = data.count(b"\n") + 1
    found: list[Problem] = [*problems, *(p for d in documents for p in d.problems)]
    assert all(0 <= problem.line <= last for problem in found)
    assert all(problem.message.isprintable() for problem in found)
    assert all(document.root is not None or document.problems for document in documents)
    for document in documents:
        assert document.text in data.decode()
        assert document.sha256 == sha256(document.text.encode()).hexdigest()


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
@example('"\\ud800": x\n')
@example("? &a *a : x")
def test_any_text_gives_documents_or_problems(text: str) -> None:
    check(text.encode())


@given(st.binary(max_size=60))
@example(b"\x80---")
def test_any_bytes_give_documents_or_problems(data: bytes) -> None:
    check(data)


words = st.text("abcdefgh -:#\"'\\\n\u2028é🙂0123456789", max_size=12)


@given(st.dictionaries(words.filter(bool), words, min_size=1))
def test_what_a_writer_of_yaml_writes_is_read_back(content: dict[str, str]) -> None:
    quoted = yaml.safe_dump(content, default_style='"', allow_unicode=False)
    assert values(quoted) == [content]
