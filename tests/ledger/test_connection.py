"""Opening a ledger: a new, an old and a damaged one, and a file that is not a ledger."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlite_utils import Database

from runner.errors import LedgerDamaged, LedgerError, LedgerTooNew
from runner.ledger import connection as connecting
from runner.ledger.migrations import APPLICATION_ID, MIGRATIONS
from runner.ledger.peek import job_names
from runner.ledger.store import Ledger
from tests.ledger.entries import Clock, start

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OPENINGS = [
    pytest.param(Ledger.open, id="for-writing"),
    pytest.param(Ledger.open_read_only, id="for-looking"),
]
Opening = "Callable[..., Ledger | None]"


def pragma(path: Path, name: str) -> object:
    with closing(sqlite3.connect(path)) as connection:
        [value] = connection.execute(f"PRAGMA {name}").fetchone()
        return value


@pytest.fixture
def closed(path: Path) -> Path:
    """Create a ledger with a run, and close it."""
    with Ledger.open(path, clock=Clock()) as ledger:
        start(ledger)
    return path


def test_a_new_ledger_is_made_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "ledger.db"

    Ledger.open(path, clock=Clock()).close()

    assert pragma(path, "application_id") == APPLICATION_ID
    assert pragma(path, "user_version") == len(MIGRATIONS)


def test_looking_at_a_ledger_that_is_not_there_makes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a" / "ledger.db"

    assert Ledger.open_read_only(path, clock=Clock()) is None

    assert list(tmp_path.iterdir()) == []


def test_looking_changes_not_a_byte(closed: Path) -> None:
    before = closed.read_bytes()

    ledger = Ledger.open_read_only(closed, clock=Clock())

    assert ledger is not None
    with ledger:
        assert [run.job for run in ledger.runs()] == ["hello"]
    assert closed.read_bytes() == before


def test_whoever_looks_cannot_write(closed: Path) -> None:
    ledger = Ledger.open_read_only(closed, clock=Clock())
    assert ledger is not None

    def write() -> None:
        with ledger.transaction() as transaction:
            transaction.record_event("scribbled", job="hello")

    with ledger, pytest.raises(LedgerError, match="cannot be opened or written"):
        write()


@pytest.mark.parametrize("opening", OPENINGS)
def test_an_empty_file_is_no_ledger_yet(path: Path, opening: Callable[..., Ledger | None]) -> None:
    path.touch()

    ledger = opening(path, clock=Clock())

    if ledger is None:
        assert path.stat().st_size == 0
    else:
        with ledger:
            assert ledger.runs() == ()


@pytest.mark.parametrize("opening", OPENINGS)
def test_a_ledger_of_a_later_version_is_refused_and_kept(
    closed: Path, opening: Callable[..., Ledger | None]
) -> None:
    with closing(sqlite3.connect(closed)) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = closed.read_bytes()

    with pytest.raises(LedgerTooNew, match=r"later version of runner .*: upgrade runner"):
        opening(closed, clock=Clock())

    assert closed.read_bytes() == before


@pytest.mark.parametrize("opening", OPENINGS)
def test_a_database_of_another_program_is_refused_and_kept(
    path: Path, opening: Callable[..., Ledger | None]
) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
        connection.commit()
    before = path.read_bytes()

    with pytest.raises(LedgerError, match="of another program"):
        opening(path, clock=Clock())

    assert path.read_bytes() == before


@pytest.mark.parametrize("opening", OPENINGS)
def test_a_file_that_is_no_database_is_refused_and_kept(
    path: Path, opening: Callable[..., Ledger | None]
) -> None:
    path.write_text("Dear diary,\n" * 500, encoding="utf-8")
    before = path.read_bytes()

    with pytest.raises(LedgerError, match=r"is damaged .*nothing is submitted twice"):
        opening(path, clock=Clock())

    assert path.read_bytes() == before


@pytest.mark.parametrize("opening", OPENINGS)
def test_damage_is_told_in_words_with_what_to_do(
    closed: Path, opening: Callable[..., Ledger | None]
) -> None:
    page = pragma(closed, "page_size")
    assert isinstance(page, int)
    content = bytearray(closed.read_bytes())
    content[page:] = b"\xff" * (len(content) - page)
    closed.write_bytes(content)

    def look() -> None:
        ledger = opening(closed, clock=Clock())
        assert ledger is not None
        with ledger:
            ledger.runs()

    with pytest.raises(LedgerDamaged, match=r"is damaged .*Run `runner rebuild`"):
        look()


def test_a_folder_in_its_place_is_told_in_words(path: Path) -> None:
    path.mkdir()

    with pytest.raises(LedgerError, match="cannot be opened"):
        Ledger.open(path, clock=Clock())


def test_a_file_in_the_place_of_its_folder_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "a").touch()

    with pytest.raises(LedgerError, match="cannot be opened"):
        Ledger.open(tmp_path / "a" / "ledger.db", clock=Clock())


def test_a_full_disk_is_told_in_words_and_loses_nothing(ledger: Ledger) -> None:
    start(ledger)
    ledger.query("PRAGMA max_page_count = 1")  # as many as there are: not one more

    def write() -> None:
        with ledger.transaction() as transaction:
            transaction.record_event("much", job="hello", text="x" * 1_000_000)

    with pytest.raises(LedgerError, match="is full; nothing more was submitted"):
        write()

    assert [row["kind"] for row in ledger.query("SELECT kind FROM events")] == ["run_started"]


@pytest.mark.parametrize(("network", "mode"), [(False, "wal"), (True, "delete")])
def test_the_journal_suits_the_disk(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, network: bool, mode: str
) -> None:
    monkeypatch.setattr(connecting, "on_network_file_system", lambda _path: network)

    with Ledger.open(path, clock=Clock()) as ledger:
        [row] = ledger.query("PRAGMA journal_mode")

    assert row[0] == mode


def test_this_disk_is_recognised_as_a_local_one(path: Path) -> None:
    assert connecting.on_network_file_system(path) is False


def test_a_commit_is_on_the_disk_when_it_returns(ledger: Ledger) -> None:
    [row] = ledger.query("PRAGMA synchronous")

    assert row[0] == 2  # FULL


def test_a_network_file_system_is_warned_of_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "on_network_file_system", lambda _path: True)
    told: list[str] = []
    for _ in range(2):
        Ledger.open(path, clock=Clock(), warn=told.append).close()
    [warning] = told
    assert "network file system" in warning


def test_a_ledger_that_moved_to_a_network_file_system_loses_its_log(
    closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pragma(closed, "journal_mode") == "wal"
    monkeypatch.setattr(connecting, "on_network_file_system", lambda _path: True)
    told: list[str] = []
    for _ in range(2):
        with Ledger.open(closed, clock=Clock(), warn=told.append) as ledger:
            assert len(ledger.runs()) == 1
    assert pragma(closed, "journal_mode") == "delete"
    assert len(told) == 1


def test_a_disk_of_its_own_is_not_warned_of(path: Path) -> None:
    told: list[str] = []
    Ledger.open(path, clock=Clock(), warn=told.append).close()
    assert told == []


ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS name FROM n"


@pytest.mark.parametrize("opening", OPENINGS)
@pytest.mark.parametrize(
    "statements",
    [
        pytest.param(("DROP TABLE jobs", f"CREATE VIEW jobs AS {ENDLESS}"), id="view-as-table"),
        pytest.param(("DROP VIEW current", f"CREATE VIEW current AS {ENDLESS}"), id="our-view"),
        pytest.param((f"CREATE VIEW more AS {ENDLESS}",), id="view"),
        pytest.param(
            ("CREATE TRIGGER more AFTER INSERT ON events BEGIN DELETE FROM runs; END",),
            id="trigger",
        ),
        pytest.param(
            ("DROP TABLE jobs", "CREATE VIRTUAL TABLE jobs USING fts5(name)"), id="virtual-table"
        ),
        pytest.param(
            ("ALTER TABLE jobs ADD COLUMN more TEXT AS (printf('%.*c', 400000000, 'x'))",),
            id="computed-column",
        ),
        pytest.param(
            (
                "DROP TABLE jobs",
                f"CREATE VIEW jobs AS {ENDLESS}",
                "PRAGMA writable_schema = ON",
                "UPDATE sqlite_master SET type = 'table' WHERE name = 'jobs'",
            ),
            id="in-disguise",
        ),
    ],
)
def test_code_of_somebody_else_is_refused_and_not_run(
    closed: Path, opening: Callable[..., Ledger | None], statements: tuple[str, ...]
) -> None:
    with closing(sqlite3.connect(closed)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        for statement in statements:
            connection.execute(statement)
        connection.commit()

    with pytest.raises(LedgerError, match=r"virtual table that is not runner's|is damaged"):
        opening(closed, clock=Clock())
    assert len(job_names(closed)) <= 1


def test_a_table_of_the_user_is_none_of_our_business(closed: Path) -> None:
    with closing(sqlite3.connect(closed)) as connection:
        connection.execute("CREATE TABLE notes (job TEXT, note TEXT)")

    Ledger.open(closed, clock=Clock()).close()


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_the_views_and_triggers_of_each_version_are_known(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        database = Database(connection, execute_plugins=False)
        for migrate in MIGRATIONS[:version]:
            migrate(database)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {version}")

    Ledger.open(path, clock=Clock()).close()


def test_a_ledger_is_for_this_user_only(path: Path) -> None:
    Ledger.open(path, clock=Clock()).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)

    with Ledger.open(path, clock=Clock()) as ledger:
        start(ledger)
        beside = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}

    assert {name: mode for name, mode in beside.items() if name.startswith(path.name)} == {
        path.name: 0o600,
        f"{path.name}-wal": 0o600,
        f"{path.name}-shm": 0o600,
    }


@pytest.mark.parametrize("there", [True, False])
def test_a_link_in_its_place_is_refused(tmp_path: Path, *, there: bool) -> None:
    path, target = tmp_path / "ledger.db", tmp_path / "theirs.db"
    if there:
        target.write_bytes(b"")
    path.symlink_to(target)

    with pytest.raises(LedgerError, match=r"is a symbolic link, to .*theirs.db"):
        Ledger.open(path, clock=Clock())

    assert target.exists() is there
    assert not there or target.read_bytes() == b""
