"""The tables. They are made to be asked by people too: bodies are JSON, ids and amounts have columns."""

import sqlite3

from trio_copy.errors import ConfigError, MadeEarlier

APPLICATION_ID = 0x7472696F
"""Marks a file as ours: "trio" in ASCII."""
VERSION = 5
OLD_VERSIONS = range(1, 4)
"""Of files that kept a queue and a journal instead of documents."""
GOOD_VERSIONS = (4, VERSION)
"""Of files that are taken as they are; one of the first becomes one of the last when it is opened."""
IS_OPEN = "kind IN ('order', 'waits')"
STEM = 8
"""Ids are indexed by so many characters: enough to find them, and an eighth of the space."""
KEY_IS_TASK = f"substr(key, 1, {STEM}) = substr(task_id, 1, {STEM})"
"""Most facts are keyed by their task, and found by that; only the others are indexed. Word for word as in the index."""

SAME = "\U0010ffff"
"""After the first characters of a key it stands for the whole of it, where that is the task as well. No id has it."""
_VIEW = f"""CREATE VIEW facts AS
    SELECT number, key, k.name AS kind, at, date(CAST(at AS INTEGER), 'unixepoch') AS day, f.name AS follower,
        l.name AS leader, t.name AS token_id, signal_id,
        CASE WHEN task_id = substr(key, 1, {STEM}) || '{SAME}' THEN key ELSE task_id END AS task_id, order_id,
        trades, bought, sold, fees, realised, provisional, body
    FROM fact_rows r
    JOIN names k ON k.id = r.kind JOIN names f ON f.id = r.follower
    JOIN names l ON l.id = r.leader JOIN names t ON t.id = r.token_id"""
_BY_DAY = "names_by_day ON names (told_on) WHERE told_on NOT NULL"
_REMOVED = "follows_removed ON follows (version) WHERE removed = 1"
_TABLES = f"""
CREATE TABLE shards (
    shard INTEGER PRIMARY KEY, token INTEGER NOT NULL, number INTEGER NOT NULL, checkpoint TEXT
);
-- By kind first: what a signal changes of many accounts at once then lies in few pages, and each page is written whole.
CREATE TABLE documents (
    number INTEGER PRIMARY KEY, shard INTEGER NOT NULL, kind TEXT NOT NULL, follower TEXT NOT NULL, name TEXT NOT NULL,
    body NOT NULL, UNIQUE (shard, kind, follower, name)
);
-- A name goes once all is forgotten that it was told in: that of a market soon after it. `told_on`, in days since 1970, is the
-- last day on which it was told or that it was told of; without one it stands in totals, or is of a file of version 4.
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, told_on INTEGER);
CREATE INDEX {_BY_DAY};
-- Kinds, followers, leaders and token ids are few and long: in rows they are numbers, in the view below they are themselves.
CREATE TABLE fact_rows (
    number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, kind INTEGER NOT NULL, at REAL NOT NULL,
    follower INTEGER NOT NULL, leader INTEGER NOT NULL, token_id INTEGER NOT NULL,
    signal_id TEXT NOT NULL, task_id TEXT NOT NULL, order_id TEXT NOT NULL,
    trades INTEGER NOT NULL, bought INTEGER NOT NULL, sold INTEGER NOT NULL, fees INTEGER NOT NULL,
    realised INTEGER NOT NULL, provisional INTEGER NOT NULL, body NOT NULL
);
{_VIEW};
-- Holds all that is asked for and added up: neither reads the facts themselves. New ones come at its end, which is cheap.
CREATE INDEX facts_by_time ON fact_rows (
    at, kind, follower, leader, token_id, trades, bought, sold, fees, realised, provisional
);
CREATE INDEX facts_by_follower ON fact_rows (follower, at);
CREATE INDEX facts_by_signal ON fact_rows (substr(signal_id, 1, {STEM})) WHERE signal_id != '';
CREATE INDEX facts_by_task ON fact_rows (substr(task_id, 1, {STEM})) WHERE task_id != '' AND NOT {KEY_IS_TASK};
CREATE INDEX facts_by_order ON fact_rows (substr(order_id, 1, {STEM})) WHERE order_id != '';
-- What facts that were forgotten add up to, by days since 1970: their tokens are forgotten with them.
CREATE TABLE totals (
    kind INTEGER NOT NULL, follower INTEGER NOT NULL, leader INTEGER NOT NULL, day INTEGER NOT NULL,
    trades INTEGER NOT NULL, bought INTEGER NOT NULL, sold INTEGER NOT NULL, fees INTEGER NOT NULL,
    realised INTEGER NOT NULL, provisional INTEGER NOT NULL, PRIMARY KEY (follower, leader, day, kind)
) WITHOUT ROWID;
CREATE TABLE requests (
    number INTEGER PRIMARY KEY, shard INTEGER NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,
    at REAL NOT NULL, answer TEXT, answered_at REAL, UNIQUE (shard, name)
);
CREATE INDEX requests_open ON requests (shard, at) WHERE answer IS NULL;
CREATE INDEX requests_answered ON requests (answered_at) WHERE answer IS NOT NULL;
CREATE TABLE budgets (
    budget TEXT NOT NULL, shard INTEGER NOT NULL, has INTEGER NOT NULL, drawn_at REAL NOT NULL,
    PRIMARY KEY (budget, shard)
) WITHOUT ROWID;
CREATE TABLE follows (
    follower TEXT NOT NULL, leader TEXT NOT NULL, own TEXT NOT NULL, source TEXT NOT NULL, version INTEGER NOT NULL,
    removed INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (leader, follower)
) WITHOUT ROWID;
CREATE INDEX follows_by_version ON follows (version);
CREATE INDEX {_REMOVED};
CREATE TABLE modes (scope TEXT PRIMARY KEY, mode TEXT NOT NULL, why TEXT NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE leases (name TEXT PRIMARY KEY, owner TEXT, token INTEGER NOT NULL, until REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE instances (
    instance TEXT PRIMARY KEY, record TEXT NOT NULL, seen_at REAL NOT NULL, drain INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO numbers VALUES ('follows_version', 0), ('modes_version', 0);
"""


# Nobody knows what the names that are there are told in, also meanwhile by an engine of the version before: they stay.
_SINCE_4 = (
    "ALTER TABLE names ADD COLUMN told_on INTEGER",
    f"CREATE INDEX {_BY_DAY}",
    f"CREATE INDEX {_REMOVED}",
    "DROP VIEW facts",
    _VIEW,
    f"PRAGMA user_version = {VERSION}",
)


def prepare(connection: sqlite3.Connection, name: str) -> None:
    """Make the tables where there are none, or what the version before had not; whole or not at all.

    Raises:
        MadeEarlier: an earlier version of this program made the file.
        ConfigError: it belongs to another program, or to a later version of this one.
    """
    version = version_of(connection, name)
    if version in OLD_VERSIONS:
        raise MadeEarlier(
            [
                f"{name}: expected version {VERSION}, got {version}: made by an earlier version, and what was open there is"
                " not carried over; export its follows and ledger first, then use another file"
            ]
        )
    if version > VERSION:
        raise ConfigError([f"{name}: expected version {VERSION}, got {version}: it needs a newer trio-copy"])
    if version == 0:
        marks = f"PRAGMA user_version = {VERSION}; PRAGMA application_id = {APPLICATION_ID};"
        connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} {marks} COMMIT;")
    elif version < VERSION:
        _take_over(connection, name)


def _take_over(connection: sqlite3.Connection, name: str) -> None:
    """Make a file of the version before one of this."""
    connection.execute("BEGIN IMMEDIATE")
    if version_of(connection, name) < VERSION:  # else another process was first
        for statement in _SINCE_4:
            connection.execute(statement)
    connection.execute("COMMIT")


def version_of(connection: sqlite3.Connection, name: str) -> int:
    """Return the version of a file of ours; 0 of an empty one. Raises `ConfigError` for one of another program."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and (tables or version or application):
        raise ConfigError([f"{name}: expected a file of trio-copy, got a database of another program"])
    return int(version)
