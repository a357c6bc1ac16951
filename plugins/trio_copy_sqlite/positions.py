"""Positions on disk: a summary, and one line per lot, so that a purchase adds a line instead of writing hundreds anew.

What was read or written last is kept in memory too. Another process that books something (a person who settles an order)
changes SQLite's data version, and everything is read again.
"""

import sqlite3
from collections import OrderedDict

from attrs import define, evolve, field

from trio_copy.model.ids import Address, FollowerId, TokenId
from trio_copy.model.positions import EMPTY, Position, PositionKey
from trio_copy.records import decode, encode, read_lots, write_lots

OF_POSITION = "follower = ? AND leader = ? AND token = ?"
_KEPT = 10_000


@define(eq=False)
class Positions:
    _known: OrderedDict[PositionKey, Position] = field(factory=OrderedDict)
    _seen: tuple[sqlite3.Connection | None, int] = (None, -1)

    def read(self, connection: sqlite3.Connection, key: PositionKey) -> Position:
        """Return a position; an empty one where there is none."""
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        # A guest asks through a connection per question, and versions of two connections say nothing about each other.
        if self._seen[0] is not connection or self._seen[1] != version:
            self._known.clear()
            self._seen = connection, version
        position = self._known.get(key)
        if position is None:
            row = connection.execute(
                f"SELECT record, lots FROM positions WHERE {OF_POSITION}", columns_of(key)
            ).fetchone()
            position = EMPTY if row is None else _whole(*row)
            self._keep(key, position)
        return position

    def write(self, connection: sqlite3.Connection, key: PositionKey, before: Position, after: Position) -> None:
        """Write what a booking changed."""
        grown = len(after.lots) - len(before.lots)
        added = grown == 1 and after.lots[:-1] == before.lots
        lots = write_lots(after.lots[-1:] if added else after.lots)
        connection.execute(
            "INSERT INTO positions VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET record = excluded.record,"
            f" lots = {'lots || excluded.lots' if added else 'excluded.lots'}",
            (*columns_of(key), encode(evolve(after, lots=())), lots),
        )
        self._keep(key, after)

    def _keep(self, key: PositionKey, position: Position) -> None:
        self._known[key] = position
        self._known.move_to_end(key)
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)


def read_positions(connection: sqlite3.Connection) -> dict[PositionKey, Position]:
    """Return every position that was ever opened."""
    rows = connection.execute("SELECT follower, leader, token, record, lots FROM positions").fetchall()
    return {key_of(*row[:3]): _whole(*row[3:]) for row in rows}


def columns_of(key: PositionKey) -> tuple[str, str, str]:
    follower, leader, token_id = key
    return follower, leader, str(token_id)


def key_of(follower: str, leader: str, token: str) -> PositionKey:
    return FollowerId(follower), Address(leader), TokenId(int(token))


def _whole(record: str, lots: str) -> Position:
    return evolve(decode(record, Position), lots=read_lots(lots))
