"""Single values by name."""

import sqlite3


def number(connection: sqlite3.Connection, name: str) -> int:
    """Return a number; it must be there."""
    (value,) = connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    return int(value)


def count_up(connection: sqlite3.Connection, name: str) -> int:
    """Raise a number by one and return it."""
    value = number(connection, name) + 1
    connection.execute("UPDATE facts SET value = ? WHERE name = ?", (str(value), name))
    return value


def text(connection: sqlite3.Connection, name: str) -> str | None:
    row = connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def put_text(connection: sqlite3.Connection, name: str, value: str) -> None:
    connection.execute(
        "INSERT INTO facts VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", (name, value)
    )
