"""Budgets, modes, leases and instances."""

import sqlite3
from collections.abc import Mapping, Sequence

import trio
from attrs import define, evolve

from trio_copy.clock import WallClock
from trio_copy.errors import LeaseLost
from trio_copy.model.control import ENGINE, Heard, Instance, Lease, Mode, ModeChange, Modes
from trio_copy.records import decode, encode
from trio_copy_sqlite.follows import LOOK_EVERY_S
from trio_copy_sqlite.numbers import count_up, number
from trio_copy_sqlite.writer import Writer

_VERSION = "modes_version"
_DAY_S = 86_400.0


@define(eq=False)
class SqliteControl:
    writer: Writer
    wall: WallClock

    async def draw(self, budget: str, shard: int, total: int, limit: int) -> int:
        now = self.wall()

        def work(connection: sqlite3.Connection) -> int:
            has, all_have = connection.execute(
                "SELECT coalesce(sum(has) FILTER (WHERE shard = ?), 0), coalesce(sum(has), 0)"
                " FROM budgets WHERE budget = ?",
                (shard, budget),
            ).fetchone()
            covered = limit - all_have + has  # what the others leave, and what is its own
            has = max(has, min(total, covered))
            connection.execute(
                "INSERT INTO budgets VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET has = excluded.has",
                (budget, shard, has, now),
            )
            connection.execute("UPDATE budgets SET drawn_at = ? WHERE budget = ?", (now, budget))
            return max(0, min(int(has), int(covered)))

        return await self.writer.run(work)

    async def modes(self) -> Modes:
        return await self.writer.read(_modes)

    async def set_mode(self, mode: Mode, why: str, scope: str = ENGINE) -> ModeChange:
        change = ModeChange(mode=mode, why=why, at=self.wall())

        def work(connection: sqlite3.Connection) -> ModeChange:
            connection.execute(
                "INSERT INTO modes VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " mode = excluded.mode, why = excluded.why, at = excluded.at",
                (scope, mode.value, why, change.at),
            )
            count_up(connection, _VERSION)
            return change

        return await self.writer.run(work)

    async def wait_modes(self, since: int) -> Modes:
        while True:
            version = await self.writer.read(lambda connection: number(connection, _VERSION))
            if version > since:
                return await self.modes()
            await trio.sleep(LOOK_EVERY_S)

    async def acquire(self, name: str, owner: str, lease_s: float) -> Lease | None:
        now = self.wall()

        def work(connection: sqlite3.Connection) -> Lease | None:
            held = connection.execute("SELECT owner, token, until FROM leases WHERE name = ?", (name,)).fetchone()
            mine = held is not None and held[0] == owner and held[2] > now
            if held is not None and held[0] not in (None, owner) and held[2] > now:
                return None
            token = 1 if held is None else held[1] if mine else held[1] + 1
            lease = Lease(name=name, owner=owner, token=token, until=now + lease_s)
            connection.execute(
                "INSERT INTO leases VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " owner = excluded.owner, token = excluded.token, until = excluded.until",
                (name, owner, token, lease.until),
            )
            return lease

        return await self.writer.run(work)

    async def renew(self, lease: Lease, lease_s: float) -> Lease:
        now = self.wall()

        def work(connection: sqlite3.Connection) -> Lease:
            renewed = connection.execute(
                "UPDATE leases SET until = ? WHERE name = ? AND token = ? AND owner IS NOT NULL AND until > ?",
                (now + lease_s, lease.name, lease.token, now),
            ).rowcount
            if not renewed:
                raise LeaseLost(f"{lease.name} is no longer held with token {lease.token}")
            return evolve(lease, until=now + lease_s)

        return await self.writer.run(work)

    async def release(self, lease: Lease) -> None:
        await self.writer.run(
            lambda connection: connection.execute(
                "UPDATE leases SET owner = NULL WHERE name = ? AND token = ?", (lease.name, lease.token)
            )
        )

    async def held(self, names: Sequence[str]) -> Mapping[str, Lease]:
        now = self.wall()

        def work(connection: sqlite3.Connection) -> dict[str, Lease]:
            rows = connection.execute(
                "SELECT name, owner, token, until FROM leases WHERE owner IS NOT NULL AND until > ?", (now,)
            ).fetchall()
            leases = (Lease(name=name, owner=owner, token=token, until=until) for name, owner, token, until in rows)
            return {lease.name: lease for lease in leases if lease.name in names}

        return await self.writer.read(work)

    async def beat(self, instance: Instance) -> Heard:
        now = self.wall()
        record = encode(evolve(instance, seen_at=now))

        def work(connection: sqlite3.Connection) -> Heard:
            known = connection.execute(
                "SELECT drain FROM instances WHERE instance = ?", (instance.instance,)
            ).fetchone()
            connection.execute(
                "INSERT INTO instances VALUES (?, ?, ?, 0) ON CONFLICT DO UPDATE SET"
                " record = excluded.record, seen_at = excluded.seen_at",
                (instance.instance, record, now),
            )
            return Heard(drain=known is not None and bool(known[0]), new=known is None)

        return await self.writer.run(work)

    async def leave(self, instance: str) -> None:
        await self.writer.run(
            lambda connection: connection.execute("DELETE FROM instances WHERE instance = ?", (instance,))
        )

    async def ask_drain(self, instance: str) -> bool:
        asked = await self.writer.run(
            lambda connection: (
                connection.execute("UPDATE instances SET drain = 1 WHERE instance = ?", (instance,)).rowcount
            )
        )
        return bool(asked)

    async def instances(self) -> tuple[Instance, ...]:
        since = self.wall() - _DAY_S

        def work(connection: sqlite3.Connection) -> tuple[Instance, ...]:
            rows = connection.execute(
                "SELECT record FROM instances WHERE seen_at >= ? ORDER BY instance", (since,)
            ).fetchall()
            return tuple(decode(record, Instance) for (record,) in rows)

        return await self.writer.read(work)


def _modes(connection: sqlite3.Connection) -> Modes:
    rows = connection.execute("SELECT scope, mode, why, at FROM modes").fetchall()
    by_scope = {scope: ModeChange(mode=Mode(mode), why=why, at=at) for scope, mode, why, at in rows}
    return Modes(version=number(connection, _VERSION), by_scope=by_scope)
