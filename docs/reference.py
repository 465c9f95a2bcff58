"""Write the reference below docs/reference from the code and the commands themselves.

    python docs/reference.py            write it
    python docs/reference.py --check    show what is out of date; exit with 1 if anything is

A block between `<!-- reference: NAME -->` and `<!-- end -->` is made from what it is about: the
commands' own help, the shapes of spec and `runner.yaml`, a new ledger, the classes of `run.json`,
the tree of errors. The sentences around the blocks are written by hand.
"""
# ruff: noqa: INP001 -- a script, run by its path

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import re
import sys
import tempfile
import typing
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click
from pages import checking, keep

from runner import errors
from runner.cli.main import cli
from runner.ledger.connection import connect
from runner.ledger.records import Event, FileRecord, JobRecord, Run, ShardRecord, Submission
from runner.outputs import record
from runner.spec import schema as spec_schema

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pages import Contents

_WIDTH: Final = 80
"""Columns of the help texts: those of a small terminal."""

_KINDS: Final = {
    spec_schema.NAME_PATTERN: "a name",
    spec_schema.WINDOW_PATTERN: "hours or days",
    spec_schema.DURATION_PATTERN: "minutes, hours or days",
    spec_schema.VARIABLE_PATTERN: "a variable's name",
}
"""What people call texts of a form that a pattern describes."""

_TYPES: Final = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "array": "list",
    "object": "mapping",
}


_READ_AS: Final[Mapping[str, type[Any]]] = {
    "jobs": JobRecord,
    "runs": Run,
    "shards": ShardRecord,
    "submissions": Submission,
    "files": FileRecord,
    "events": Event,
}
"""What the rows of a table are read as; what is said there of a field holds for its column."""


def reference() -> Contents:
    """Make every block of every page of the reference."""
    return {
        f"docs/reference/{page}.md": {name: f"\n{make()}\n\n" for name, make in blocks.items()}
        for page, blocks in _BLOCKS.items()
    }


# Commands.


def _commands(group: click.Group, parent: click.Context) -> Iterator[click.Context]:
    """Yield a context for each command of a group, in the order of its help."""
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        if command is None:
            raise RuntimeError(f"{parent.command_path} lists {name} and does not have it")
        context = click.Context(command, info_name=name, parent=parent, terminal_width=_WIDTH)
        yield context
        if isinstance(command, click.Group):
            yield from _commands(command, context)


def _program() -> click.Context:
    return click.Context(cli, info_name="runner", terminal_width=_WIDTH, **cli.context_settings)


def _table_of_commands() -> str:
    rows = []
    for context in _commands(cli, _program()):
        path = context.command_path
        usage = " ".join([path, *_arguments(context.command)])
        rows.append(
            (
                f"[`{_cell(usage)}`](#{path.replace(' ', '-')})",
                context.command.get_short_help_str(200),
            )
        )
    return _table(("command", "does"), rows)


def _arguments(command: click.Command) -> Iterator[str]:
    """Yield what a command takes and, of its options, those it cannot do without."""
    context = click.Context(command)
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            yield parameter.make_metavar(context)
        elif parameter.required:
            yield f"{parameter.opts[0]} {parameter.make_metavar(context)}"


def _helps() -> str:
    return "\n\n".join(
        f"## {context.command_path}\n\n{_fenced(context.command.get_help(context))}"
        for context in _commands(cli, _program())
    )


def _own_help() -> str:
    return _fenced(cli.get_help(_program()))


def _exit_codes() -> str:
    told = cli.get_help(_program()).partition("Exit codes:\n")[2]
    rows = re.findall(r"(?m)^  (\d+) +(.+(?:\n {4,}.+)*)", told)
    return _table(("code", "meaning"), [(code, re.sub(r"\s+", " ", words)) for code, words in rows])


# Spec and project file.


def _keys(shape: type[Any], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Yield each key of a pydantic shape: its dotted name, what fits, its default, its meaning."""
    schema = shape.model_json_schema()
    yield from _rows(schema, schema.get("$defs", {}), prefix)


def _rows(
    schema: Mapping[str, Any], named: Mapping[str, Any], prefix: str
) -> Iterator[tuple[str, str, str, str]]:
    for name, member in schema["properties"].items():
        key = f"{prefix}{name}"
        below, dots = _below(member, named)
        if below is not None:
            yield from _rows(below, named, f"{key}{dots}")
            continue
        required = name in schema.get("required", ())
        default = "required" if required else _default(member.get("default"))
        yield f"`{key}`", _fitting(member), default, _cell(member.get("description", ""))


def _below(
    member: Mapping[str, Any], named: Mapping[str, Any]
) -> tuple[Mapping[str, Any] | None, str]:
    """Return the shape below a key, if keys of ours are there, and what leads to them."""
    for choice in member.get("anyOf", [member]):
        if "$ref" in choice:
            return named[choice["$ref"].rpartition("/")[2]], "."
    if "$ref" in (item := member.get("items", {})):
        return named[item["$ref"].rpartition("/")[2]], "[]."
    inner = member.get("additionalProperties")
    patterns = member.get("patternProperties")
    if patterns:
        [inner] = patterns.values()
    if isinstance(inner, dict) and "$ref" in inner:
        return named[inner["$ref"].rpartition("/")[2]], ".NAME."
    return None, ""


def _default(value: object) -> str:
    if value is None or value in ({}, []):
        return ""
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{shown}`"


def _fitting(member: Mapping[str, Any]) -> str:
    """Say in a few words what may be written."""
    choices = [choice for choice in member.get("anyOf", [member]) if choice.get("type") != "null"]
    return " or ".join(dict.fromkeys(_one(choice) for choice in choices))


def _one(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "enum" in (item := schema.get("items", {})):
        return f"list of {_one(item)}"
    if isinstance(schema["type"], list):
        return " or ".join(_TYPES[kind] for kind in schema["type"])
    if schema.get("pattern") in _KINDS:
        return _KINDS[schema["pattern"]]
    lowest = schema.get("minimum")
    highest = schema.get("maximum")
    if lowest is None or highest is None:
        return _TYPES[schema["type"]]
    return f"from {lowest:,}" if highest == spec_schema.LARGEST else f"{lowest:,} to {highest:,}"


def _spec() -> str:
    return _table(("key", "value", "default", "meaning"), _keys(spec_schema.SpecSchema))


def _project() -> str:
    return _table(("key", "value", "default", "meaning"), _keys(spec_schema.ConfigSchema))


# Ledger.


@contextlib.contextmanager
def _new_ledger() -> Iterator[sqlite3.Connection]:
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(connect(Path(folder) / "ledger.db")) as connection,
    ):
        yield connection


def _names(connection: sqlite3.Connection, kind: str) -> list[str]:
    """List the tables or views that are not SQLite's own."""
    found = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = ? AND name NOT LIKE 'sqlite%'", (kind,)
    )
    return [row["name"] for row in found]


def _tables() -> str:
    with _new_ledger() as connection:
        return "\n\n".join(
            f"### {name}\n\n{_columns(connection, name)}" for name in _names(connection, "table")
        )


def _columns(connection: sqlite3.Connection, table: str) -> str:
    """Show a table's columns with what the class that is read from it says of them."""
    foreign = {
        row["from"]: f"`{row['table']}.{row['to']}`"
        for row in connection.execute("SELECT * FROM pragma_foreign_key_list(?)", (table,))
    }
    about = _attributes(_READ_AS[table]) if table in _READ_AS else {}
    rows = []
    for column in connection.execute("SELECT * FROM pragma_table_info(?)", (table,)):
        name = column["name"]
        notes = [
            "primary key" if column["pk"] else "" if column["notnull"] else "may be null",
            f"one of {foreign[name]}" if name in foreign else "",
            about.get(name, ""),
        ]
        rows.append((f"`{name}`", column["type"].lower(), "; ".join(filter(None, notes))))
    return _table(("column", "type", ""), rows)


def _attributes(shape: type[Any]) -> dict[str, str]:
    """Read the section `Attributes:` of a docstring."""
    told = (inspect.getdoc(shape) or "").partition("\nAttributes:\n")[2]
    found = re.findall(r"(?m)^ +([\w, ]+): (.+(?:\n {8,}.+)*)", told)
    return {name: _cell(words.rstrip(".")) for names, words in found for name in names.split(", ")}


def _views() -> str:
    with _new_ledger() as connection:
        rows = [
            (
                f"`{name}`",
                ", ".join(
                    f"`{column['name']}`"
                    for column in connection.execute("SELECT * FROM pragma_table_info(?)", (name,))
                ),
            )
            for name in _names(connection, "view")
        ]
    return _table(("view", "columns"), rows)


# Record.


def _record() -> str:
    """Show the classes that `run.json` is made of, the outermost first."""
    return "\n\n".join(_class(shape) for shape in _within(record.RunRecord, {}))


def _within(shape: type[Any], found: dict[type[Any], None]) -> Iterable[type[Any]]:
    """Collect a dataclass and those that its fields are made of, each once."""
    found[shape] = None
    for kind in _hints(shape).values():
        for inner in _dataclasses(kind):
            if inner not in found:
                _within(inner, found)
    return found


def _hints(shape: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(shape)


def _dataclasses(kind: object) -> Iterator[type[Any]]:
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        yield kind
    for inner in typing.get_args(kind):
        yield from _dataclasses(inner)


def _class(shape: type[Any]) -> str:
    about = re.sub(r"\bNone\b", "null", inspect.getdoc(shape) or "")
    documented = typing.get_type_hints(shape, include_extras=True)
    fields = [
        (f"`{name}`", _json(kind), _described(documented[name]))
        for name, kind in _hints(shape).items()
    ]
    return f"### {shape.__name__}\n\n{about}\n\n{_table(('field', 'JSON', 'meaning'), fields)}"


def _described(kind: object) -> str:
    """Return the description of a field, or else that of the class that it holds."""
    metas = getattr(kind, "__metadata__", ())
    described = [meta.description for meta in metas if meta.description]
    return described[-1] if described else inspect.getdoc(kind) or ""


def _json(kind: object) -> str:
    """Name the JSON that a value of a Python type becomes."""
    inner = typing.get_args(kind)
    if type(None) in inner:
        [value] = (part for part in inner if part is not type(None))
        return f"{_json(value)}, or null"
    if inner == (str, record.FileDigest):
        return f"object: a {_json(record.FileDigest)} by its name"
    if typing.get_origin(kind) is tuple:
        return f"list of {_json(inner[0])}"
    if inner:
        return "object"
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    return {str: "string", int: "integer", bool: "true or false"}[cast("type", kind)]


# Errors.


def _tree() -> str:
    drawn = (errors.__doc__ or "").partition("\n\n    ")[2].rstrip()
    return _fenced(inspect.cleandoc(f"    {drawn}"))


def _errors() -> str:
    return _table(
        ("error", "exit code", "meaning"),
        [
            (f"`{kind.__name__}`", str(kind.exit_code), _first_line(kind))
            for kind in _subclasses(errors.RunnerError)
        ],
    )


def _subclasses(kind: type[errors.RunnerError]) -> Iterator[type[errors.RunnerError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _subclasses(below)


def _first_line(kind: type[Any]) -> str:
    return _cell((inspect.getdoc(kind) or "").partition("\n\n")[0])


# Markdown.


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    lines.insert(1, f"|{'---|' * len(head)}")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "\\<")


def _fenced(text: str) -> str:
    return f"```text\n{text}\n```"


_BLOCKS: Final[Mapping[str, Mapping[str, Callable[[], str]]]] = {
    "commands": {"table": _table_of_commands, "runner": _own_help, "helps": _helps},
    "exit-codes": {"codes": _exit_codes},
    "spec": {"keys": _spec},
    "project": {"keys": _project},
    "ledger": {"tables": _tables, "views": _views},
    "record": {"fields": _record},
    "errors": {"tree": _tree, "errors": _errors},
}


if __name__ == "__main__":
    check = checking(sys.argv[1:], __doc__)
    sys.exit(keep("reference", reference(), check=check))
