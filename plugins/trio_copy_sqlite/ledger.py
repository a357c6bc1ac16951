"""Entries, and the positions and performance that they add up to."""

import sqlite3
from collections.abc import Collection, Mapping

from attrs import define, evolve

from trio_copy.clock import WallClock, utc_date
from trio_copy.model.budgets import Performance
from trio_copy.model.ids import FollowerId
from trio_copy.model.positions import Booking, EntryKind, LedgerEntry, Mark, Position, PositionKey, fold
from trio_copy.model.resolutions import Resolution
from trio_copy.ports import Closing, Freed, nothing_freed
from trio_copy.records import decode, encode
from trio_copy_sqlite.journal import mark
from trio_copy_sqlite.limits import credit, settle
from trio_copy_sqlite.positions import OF_POSITION, Positions, columns_of, key_of, read_positions
from trio_copy_sqlite.writer import Writer


@define(eq=False)
class SqliteLedger:
    writer: Writer
    cache: Positions
    wall: WallClock

    async def book(self, entry: LedgerEntry, freed: Freed = nothing_freed, closing: Closing | None = None) -> Booking:
        now = self.wall()

        def work(connection: sqlite3.Connection) -> Booking:
            if closing is not None:  # first: an order that nobody knows books nothing, and leaves the cache alone
                mark(connection, closing.key, closing.state, encode(closing.report), now)
                settle(connection, closing.key, closing.spent, now)
            return _book(connection, self.cache, entry, freed)

        return await self.writer.run(work)

    async def position(self, key: PositionKey) -> Position:
        return await self.writer.read(lambda connection: self.cache.read(connection, key))

    async def positions(self) -> Mapping[PositionKey, Position]:
        return await self.writer.read(read_positions)

    async def open_positions(self) -> Mapping[PositionKey, Position]:
        def work(connection: sqlite3.Connection) -> dict[PositionKey, Position]:
            rows = connection.execute("SELECT follower, leader, token FROM positions WHERE lots != ''").fetchall()
            return {key: self.cache.read(connection, key) for key in (key_of(*row) for row in rows)}

        return await self.writer.read(work)

    async def performance(self, follower: FollowerId) -> Performance:
        return await self.writer.read(lambda connection: _performance(connection, follower))

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

    async def resolutions(self, conditions: Collection[str]) -> Mapping[str, Resolution]:
        def work(connection: sqlite3.Connection) -> dict[str, Resolution]:
            found = {}
            for name in conditions:
                row = connection.execute("SELECT record FROM resolutions WHERE condition_id = ?", (name,)).fetchone()
                if row is not None:
                    found[name] = decode(row[0], Resolution)
            return found

        return await self.writer.read(work)

    async def note_marks(self, marks: Mapping[PositionKey, Mark]) -> None:
        rows = [(*columns_of(key), encode(mark)) for key, mark in marks.items()]
        await self.writer.run(
            lambda connection: connection.executemany(
                "INSERT INTO marks VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET record = excluded.record", rows
            )
        )

    async def marks(self) -> Mapping[PositionKey, Mark]:
        def work(connection: sqlite3.Connection) -> dict[PositionKey, Mark]:
            rows = connection.execute("SELECT follower, leader, token, record FROM marks")
            return {key_of(*row[:3]): decode(row[3], Mark) for row in rows.fetchall()}

        return await self.writer.read(work)


def _book(connection: sqlite3.Connection, positions: Positions, entry: LedgerEntry, freed: Freed) -> Booking:
    known = connection.execute("SELECT booking FROM entries WHERE key = ?", (entry.key,)).fetchone()
    if known is not None:
        return evolve(decode(known[0], Booking), first=False)
    key = entry.position
    before = positions.read(connection, key)
    if entry.kind in (EntryKind.CONFIRM, EntryKind.REVERSE):
        rows = connection.execute(f"SELECT record FROM entries WHERE {OF_POSITION} ORDER BY seq", columns_of(key))
        after = fold([*(decode(text, LedgerEntry) for (text,) in rows.fetchall()), entry])
    else:
        after = before.after(entry)
    booking = Booking.of(before, after)
    connection.execute(
        "INSERT INTO entries (key, kind, task_id, follower, leader, token, booked_at, record, booking)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (entry.key, entry.kind.value, entry.task_id, *columns_of(key), entry.booked_at, encode(entry), encode(booking)),
    )
    positions.write(connection, key, before, after)
    credit(connection, freed(booking))
    if not after.lots:
        connection.execute(f"DELETE FROM marks WHERE {OF_POSITION}", columns_of(key))
    if booking.realised:
        performance = _performance(connection, entry.follower).after(booking.realised, utc_date(entry.booked_at))
        _save_performance(connection, entry.follower, performance)
    return booking


def _performance(connection: sqlite3.Connection, follower: FollowerId) -> Performance:
    row = connection.execute("SELECT record FROM performance WHERE follower = ?", (follower,)).fetchone()
    return Performance() if row is None else decode(row[0], Performance)


def _save_performance(connection: sqlite3.Connection, follower: FollowerId, performance: Performance) -> None:
    connection.execute(
        "INSERT INTO performance VALUES (?, ?) ON CONFLICT DO UPDATE SET record = excluded.record",
        (follower, encode(performance)),
    )
