"""Budgets that never give out more than they have. Amounts are integers of millionths."""

import sqlite3
from collections.abc import Mapping, Sequence

from attrs import define

from trio_copy.clock import WallClock
from trio_copy.model.budgets import Claim, Credit, Per
from trio_copy.model.ids import FollowerId, FollowKey, IntentKey
from trio_copy.model.units import Count, Usd
from trio_copy.ports import Refused, Reserved
from trio_copy_sqlite.positions import Positions
from trio_copy_sqlite.writer import Writer


@define(eq=False)
class SqliteLimits:
    writer: Writer
    wall: WallClock
    positions: Positions

    async def reserve(self, follow: FollowKey, key: IntentKey, claims: Sequence[Claim]) -> Reserved | Refused:
        def work(connection: sqlite3.Connection) -> Reserved | Refused:
            if _is_settled(connection, key) or _claims_of(connection, key):
                return Reserved()
            for claim in claims:
                used = _used(connection, claim.counter)
                limit = claim.limit if claim.of is None else self.positions.read(connection, claim.of).shares
                if used + claim.amount.micro > limit.micro:
                    return Refused(claim=claim, used=used)
            for claim in claims:
                _add(connection, claim.counter, claim.amount.micro, claim.until)
            connection.executemany(
                "INSERT INTO claims VALUES (?, ?, ?, ?)",
                [(key, claim.counter, claim.amount.micro, claim.per.value) for claim in claims],
            )
            return Reserved()

        return await self.writer.run(work)

    async def commit(self, follow: FollowKey, key: IntentKey, spent: Usd) -> None:
        now = self.wall()

        await self.writer.run(lambda connection: settle(connection, key, spent, now))

    async def release(self, follow: FollowKey, key: IntentKey) -> None:
        def work(connection: sqlite3.Connection) -> None:
            for counter, amount, _ in _claims_of(connection, key):
                _add(connection, counter, -amount)
            connection.execute("DELETE FROM claims WHERE key = ?", (key,))

        await self.writer.run(work)

    async def restate(self, prefix: str, used: Mapping[FollowerId, Mapping[str, int]]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            until = prefix + "\U0010ffff"
            connection.execute("DELETE FROM counters WHERE counter BETWEEN ? AND ?", (prefix, until))
            for budgets in used.values():
                for counter, micro in budgets.items():
                    _add(connection, counter, micro)
            reserved = connection.execute(
                "SELECT counter, sum(amount) FROM claims WHERE counter BETWEEN ? AND ? GROUP BY counter",
                (prefix, until),
            ).fetchall()
            for counter, micro in reserved:
                _add(connection, counter, micro)

        await self.writer.run(work)

    async def used(self, follower: FollowerId, counter: str) -> int:
        return await self.writer.read(lambda connection: _used(connection, counter))


def settle(connection: sqlite3.Connection, key: IntentKey, spent: Usd, now: float) -> None:
    """Turn a reservation into spending, as part of a larger step."""
    claims = _claims_of(connection, key)
    for counter, amount, per in claims:
        kept = Claim(counter=counter, control="", amount=Count(amount), limit=Count(0), per=per).kept(spent)
        _add(connection, counter, kept - amount)
    if claims:
        connection.execute("DELETE FROM claims WHERE key = ?", (key,))
        connection.execute("INSERT INTO settled VALUES (?, ?)", (key, now))


def credit(connection: sqlite3.Connection, credits: Sequence[Credit]) -> None:
    """Give back to budgets what a booking freed, as part of a larger step."""
    for one in credits:
        _add(connection, one.counter, -one.amount.micro)


def _used(connection: sqlite3.Connection, counter: str) -> int:
    row = connection.execute("SELECT used FROM counters WHERE counter = ?", (counter,)).fetchone()
    return 0 if row is None else int(row[0])


def _add(connection: sqlite3.Connection, counter: str, micro: int, until: float | None = None) -> None:
    connection.execute(
        "INSERT INTO counters VALUES (?, max(0, ?), ?) ON CONFLICT DO UPDATE"
        " SET used = max(0, used + ?), until = coalesce(excluded.until, until)",
        (counter, micro, until, micro),
    )
    connection.execute("DELETE FROM counters WHERE counter = ? AND used = 0", (counter,))


def _claims_of(connection: sqlite3.Connection, key: IntentKey) -> list[tuple[str, int, Per]]:
    rows = connection.execute("SELECT counter, amount, per FROM claims WHERE key = ?", (key,))
    return [(counter, amount, Per(per)) for counter, amount, per in rows.fetchall()]


def _is_settled(connection: sqlite3.Connection, key: str) -> bool:
    return connection.execute("SELECT 1 FROM settled WHERE key = ?", (key,)).fetchone() is not None
