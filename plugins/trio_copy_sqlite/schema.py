"""The tables, and how a file of an earlier version becomes one of this version."""

import sqlite3

from trio_copy.errors import ConfigError

APPLICATION_ID = 0x7472696F
"""Marks a file as ours: "trio" in ASCII."""

MIGRATIONS = (
    # 1: the gate, the queue, the journal, budgets, the ledger, follows and control.
    """
    CREATE TABLE signals (
        signal_id TEXT PRIMARY KEY, known_as TEXT NOT NULL, record TEXT NOT NULL, credit_key TEXT,
        admitted_at REAL NOT NULL, retracted INTEGER NOT NULL DEFAULT 0, credit_until REAL
    ) WITHOUT ROWID;
    CREATE INDEX signals_by_age ON signals (admitted_at);
    CREATE INDEX signals_by_credit ON signals (credit_key) WHERE credit_until IS NOT NULL;
    CREATE TABLE signal_blocks (
        known_as TEXT NOT NULL, block_hash TEXT NOT NULL, PRIMARY KEY (known_as, block_hash)
    ) WITHOUT ROWID;
    CREATE TABLE tasks (
        seq INTEGER PRIMARY KEY, task_id TEXT NOT NULL UNIQUE, signal_id TEXT NOT NULL, follower TEXT NOT NULL,
        leader TEXT NOT NULL, token TEXT NOT NULL, side TEXT NOT NULL, executor TEXT NOT NULL, intent TEXT NOT NULL,
        deadline REAL NOT NULL, decided_at REAL NOT NULL, not_before REAL NOT NULL, gathers INTEGER NOT NULL,
        again INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL, rank INTEGER NOT NULL, owner TEXT, until REAL,
        leased_at REAL, wait_end REAL, outcome TEXT, ended_at REAL, why TEXT
    );
    CREATE INDEX tasks_by_state ON tasks (state, executor, rank);
    CREATE INDEX tasks_of_signal ON tasks (signal_id);
    CREATE INDEX tasks_of_follower ON tasks (follower, decided_at);
    CREATE INDEX tasks_by_end ON tasks (ended_at) WHERE state = 'ended';
    CREATE TABLE skips (
        seq INTEGER PRIMARY KEY, at REAL NOT NULL, signal_id TEXT NOT NULL, follower TEXT NOT NULL,
        leader TEXT NOT NULL, token TEXT NOT NULL, record TEXT NOT NULL
    );
    CREATE INDEX skips_by_time ON skips (at);
    CREATE TABLE orders (
        key TEXT PRIMARY KEY, order_id TEXT NOT NULL, task_id TEXT NOT NULL, state TEXT NOT NULL, record TEXT NOT NULL,
        task TEXT NOT NULL, report TEXT, at REAL NOT NULL, frozen_at REAL NOT NULL, sent_at REAL, ended_at REAL
    ) WITHOUT ROWID;
    CREATE INDEX orders_open ON orders (frozen_at) WHERE state != 'ended';
    CREATE INDEX orders_by_end ON orders (ended_at) WHERE state = 'ended';
    CREATE INDEX orders_of_task ON orders (task_id);
    CREATE INDEX orders_by_id ON orders (order_id);
    CREATE TABLE order_members (
        task_id TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (task_id, key)
    ) WITHOUT ROWID;
    CREATE INDEX members_of_order ON order_members (key);
    CREATE TABLE counters (counter TEXT PRIMARY KEY, used INTEGER NOT NULL, until REAL) WITHOUT ROWID;
    CREATE INDEX counters_by_end ON counters (until) WHERE until IS NOT NULL;
    CREATE TABLE claims (
        key TEXT NOT NULL, counter TEXT NOT NULL, amount INTEGER NOT NULL, per TEXT NOT NULL, PRIMARY KEY (key, counter)
    ) WITHOUT ROWID;
    CREATE TABLE settled (key TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
    CREATE INDEX settled_by_age ON settled (at);
    CREATE TABLE entries (
        seq INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, task_id TEXT NOT NULL,
        follower TEXT NOT NULL, leader TEXT NOT NULL, token TEXT NOT NULL, booked_at REAL NOT NULL,
        record TEXT NOT NULL, booking TEXT NOT NULL
    );
    CREATE INDEX entries_of_position ON entries (follower, leader, token, seq);
    CREATE INDEX entries_by_time ON entries (booked_at);
    CREATE INDEX entries_of_task ON entries (task_id);
    CREATE TABLE positions (
        follower TEXT NOT NULL, leader TEXT NOT NULL, token TEXT NOT NULL, record TEXT NOT NULL, lots TEXT NOT NULL,
        PRIMARY KEY (follower, leader, token)
    ) WITHOUT ROWID;
    CREATE INDEX positions_open ON positions (follower, leader, token) WHERE lots != '';
    CREATE TABLE performance (follower TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE follows (
        follower TEXT NOT NULL, leader TEXT NOT NULL, own TEXT NOT NULL, source TEXT NOT NULL, version INTEGER NOT NULL,
        removed INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (leader, follower)
    ) WITHOUT ROWID;
    CREATE INDEX follows_by_version ON follows (version);
    CREATE TABLE modes (scope TEXT PRIMARY KEY, mode TEXT NOT NULL, why TEXT NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
    CREATE TABLE leases (
        name TEXT PRIMARY KEY, owner TEXT, token INTEGER NOT NULL, until REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE instances (instance TEXT PRIMARY KEY, seen_at REAL NOT NULL) WITHOUT ROWID;
    CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    INSERT INTO facts VALUES ('follows_version', '0'), ('modes_version', '0');
    """,
    # 2: what positions could be sold for, and which questions were decided.
    """
    CREATE TABLE marks (
        follower TEXT NOT NULL, leader TEXT NOT NULL, token TEXT NOT NULL, record TEXT NOT NULL,
        PRIMARY KEY (follower, leader, token)
    ) WITHOUT ROWID;
    CREATE TABLE resolutions (condition_id TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
    """,
    # 3: what an instance says of itself, and whether it was asked to drain.
    """
    DROP TABLE instances;
    CREATE TABLE instances (
        instance TEXT PRIMARY KEY, record TEXT NOT NULL, drain INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    """,
)
VERSION = len(MIGRATIONS)


def migrate(connection: sqlite3.Connection, name: str) -> None:
    """Bring a file to this version, each step whole or not at all.

    Raises:
        ConfigError: the file belongs to another program, or to a newer version of this one.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and (tables or version or application):
        raise ConfigError([f"{name}: expected a file of trio-copy, got a database of another program"])
    if version > VERSION:
        raise ConfigError([f"{name}: expected version {VERSION} or older, got {version}: it needs a newer trio-copy"])
    for step in range(version, VERSION):
        script = f"BEGIN IMMEDIATE; {MIGRATIONS[step]}; PRAGMA user_version = {step + 1};"
        connection.executescript(f"{script} PRAGMA application_id = {APPLICATION_ID}; COMMIT;")
