"""Single numbers by name."""

import sqlite3


def number(connection: sqlite3.Connection, name: str) -> int:
    """Return a number; it must be there."""
    (value,) = connection.execute("SELECT value FROM numbers WHERE name = ?", (name,)).fetchone()
    return int(value)


def count_up(connection: sqlite3.Connection, name: str) -> int:
    """Raise a number by one and return it."""
    value = number(connection, name) + 1
    connection.execute("UPDATE numbers SET value = ? WHERE name = ?", (value, name))
    return value
