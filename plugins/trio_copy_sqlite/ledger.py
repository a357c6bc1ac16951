"""Entries, and the positions and performance that they add up to."""

import sqlite3
from collections.abc import Mapping

from attrs import define, evolve

from trio_copy.clock import utc_date
from trio_copy.model.budgets import Performance
from trio_copy.model.ids import Address, FollowerId, TokenId
from trio_copy.model.positions import EMPTY, Booking, EntryKind, LedgerEntry, Mark, Position, PositionKey, fold
from trio_copy.model.resolutions import Resolution
from trio_copy.records import decode, encode
from trio_copy_sqlite.writer import Writer

_OF_POSITION = "follower = ? AND leader = ? AND token = ?"


@define(eq=False)
class SqliteLedger:
    writer: Writer

    async def book(self, entry: LedgerEntry) -> Booking:
        return await self.writer.run(lambda connection: _book(connection, entry))

    async def position(self, key: PositionKey) -> Position:
        return await self.writer.run(lambda connection: _position(connection, key))

    async def positions(self) -> Mapping[PositionKey, Position]:
        def work(connection: sqlite3.Connection) -> dict[PositionKey, Position]:
            rows = connection.execute("SELECT follower, leader, token, record FROM positions")
            return {_key(*row[:3]): decode(row[3], Position) for row in rows.fetchall()}

        return await self.writer.run(work)

    async def performance(self, follower: FollowerId) -> Performance:
        return await self.writer.run(lambda connection: _performance(connection, follower))

    async def reset_peak(self, follower: FollowerId) -> None:
        def work(connection: sqlite3.Connection) -> None:
            performance = _performance(connection, follower)
            _save_performance(connection, follower, evolve(performance, peak=performance.realised))

        await self.writer.run(work)

    async def note_resolution(self, resolution: Resolution) -> None:
        text = encode(resolution)
        await self.writer.run(
            lambda connection: connection.execute(
                "INSERT INTO resolutions VALUES (?, ?) ON CONFLICT DO UPDATE SET record = excluded.record",
                (resolution.condition_id, text),
            )
        )

    async def drop_resolution(self, condition_id: str) -> None:
        await self.writer.run(
            lambda connection: connection.execute("DELETE FROM resolutions WHERE condition_id = ?", (condition_id,))
        )

    async def resolutions(self) -> Mapping[str, Resolution]:
        def work(connection: sqlite3.Connection) -> dict[str, Resolution]:
            rows = connection.execute("SELECT condition_id, record FROM resolutions")
            return {name: decode(text, Resolution) for name, text in rows.fetchall()}

        return await self.writer.run(work)

    async def note_marks(self, marks: Mapping[PositionKey, Mark]) -> None:
        rows = [(*_columns(key), encode(mark)) for key, mark in marks.items()]
        await self.writer.run(
            lambda connection: connection.executemany(
                "INSERT INTO marks VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET record = excluded.record", rows
            )
        )

    async def marks(self) -> Mapping[PositionKey, Mark]:
        def work(connection: sqlite3.Connection) -> dict[PositionKey, Mark]:
            rows = connection.execute("SELECT follower, leader, token, record FROM marks")
            return {_key(*row[:3]): decode(row[3], Mark) for row in rows.fetchall()}

        return await self.writer.run(work)


def _book(connection: sqlite3.Connection, entry: LedgerEntry) -> Booking:
    known = connection.execute("SELECT booking FROM entries WHERE key = ?", (entry.key,)).fetchone()
    if known is not None:
        return evolve(decode(known[0], Booking), first=False)
    key = entry.position
    before = _position(connection, key)
    if entry.kind in (EntryKind.CONFIRM, EntryKind.REVERSE):
        rows = connection.execute(f"SELECT record FROM entries WHERE {_OF_POSITION} ORDER BY seq", _columns(key))
        after = fold([*(decode(text, LedgerEntry) for (text,) in rows.fetchall()), entry])
    else:
        after = before.after(entry)
    booking = Booking.of(before, after)
    connection.execute(
        "INSERT INTO entries (key, kind, task_id, follower, leader, token, booked_at, record, booking)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (entry.key, entry.kind.value, entry.task_id, *_columns(key), entry.booked_at, encode(entry), encode(booking)),
    )
    connection.execute(
        "INSERT INTO positions VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET record = excluded.record",
        (*_columns(key), encode(after)),
    )
    if not after.lots:
        connection.execute(f"DELETE FROM marks WHERE {_OF_POSITION}", _columns(key))
    if booking.realised:
        performance = _performance(connection, entry.follower).after(booking.realised, utc_date(entry.booked_at))
        _save_performance(connection, entry.follower, performance)
    return booking


def _position(connection: sqlite3.Connection, key: PositionKey) -> Position:
    row = connection.execute(f"SELECT record FROM positions WHERE {_OF_POSITION}", _columns(key)).fetchone()
    return EMPTY if row is None else decode(row[0], Position)


def _performance(connection: sqlite3.Connection, follower: FollowerId) -> Performance:
    row = connection.execute("SELECT record FROM performance WHERE follower = ?", (follower,)).fetchone()
    return Performance() if row is None else decode(row[0], Performance)


def _save_performance(connection: sqlite3.Connection, follower: FollowerId, performance: Performance) -> None:
    connection.execute(
        "INSERT INTO performance VALUES (?, ?) ON CONFLICT DO UPDATE SET record = excluded.record",
        (follower, encode(performance)),
    )


def _columns(key: PositionKey) -> tuple[str, str, str]:
    follower, leader, token_id = key
    return follower, leader, str(token_id)


def _key(follower: str, leader: str, token: str) -> PositionKey:
    return FollowerId(follower), Address(leader), TokenId(int(token))
