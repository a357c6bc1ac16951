"""The follow book's truth. Another process may change it: whoever waits looks at the file again and again."""

import sqlite3
from collections.abc import Sequence

import trio
from attrs import define

from trio_copy.model.follows import Follow
from trio_copy.model.ids import Address, FollowerId
from trio_copy.ports import FollowChange
from trio_copy.records import decode_layer, encode_layer
from trio_copy_sqlite.numbers import count_up, number
from trio_copy_sqlite.writer import Writer

LOOK_EVERY_S = 0.25
"""Changes by another process are seen this soon."""
_VERSION = "follows_version"


@define(eq=False)
class SqliteFollows:
    writer: Writer

    async def load(self) -> tuple[int, tuple[Follow, ...]]:
        def work(connection: sqlite3.Connection) -> tuple[int, tuple[Follow, ...]]:
            rows = connection.execute("SELECT follower, leader, own, source, version FROM follows WHERE removed = 0")
            # Equal texts become one layer and one follower's name one string, which keeps large books small.
            layers = {"{}": decode_layer("{}")}
            names: dict[str, str] = {}
            follows = []
            for follower, leader, own, source, version in rows:
                if own not in layers:
                    layers[own] = decode_layer(own)
                follows.append(
                    Follow(
                        follower=FollowerId(names.setdefault(follower, follower)),
                        leader=Address(names.setdefault(leader, leader)),
                        own=layers[own],
                        source=source,
                        version=version,
                    )
                )
            return number(connection, _VERSION), tuple(follows)

        return await self.writer.read(work)

    async def put(self, follows: Sequence[Follow]) -> int:
        rows = [(follow, encode_layer(follow.own)) for follow in follows]

        def work(connection: sqlite3.Connection) -> int:
            for follow, own in rows:
                held = connection.execute(
                    "SELECT own, source, removed FROM follows WHERE leader = ? AND follower = ?",
                    (follow.leader, follow.follower),
                ).fetchone()
                if held != (own, follow.source, 0):
                    connection.execute(
                        "INSERT INTO follows VALUES (?, ?, ?, ?, ?, 0) ON CONFLICT DO UPDATE SET"
                        " own = excluded.own, source = excluded.source, version = excluded.version, removed = 0",
                        (follow.follower, follow.leader, own, follow.source, count_up(connection, _VERSION)),
                    )
            return number(connection, _VERSION)

        return await self.writer.run(work)

    async def remove(self, keys: Sequence[tuple[FollowerId, Address]]) -> int:
        def work(connection: sqlite3.Connection) -> int:
            for follower, leader in keys:
                row = connection.execute(
                    "SELECT 1 FROM follows WHERE leader = ? AND follower = ? AND removed = 0", (leader, follower)
                ).fetchone()
                if row is not None:
                    connection.execute(
                        "UPDATE follows SET removed = 1, version = ? WHERE leader = ? AND follower = ?",
                        (count_up(connection, _VERSION), leader, follower),
                    )
            return number(connection, _VERSION)

        return await self.writer.run(work)

    async def wait_changes(self, since: int) -> tuple[FollowChange, ...]:
        while True:
            changes = await self.writer.read(lambda connection: _changes(connection, since))
            if changes:
                return changes
            await trio.sleep(LOOK_EVERY_S)


def _changes(connection: sqlite3.Connection, since: int) -> tuple[FollowChange, ...]:
    if number(connection, _VERSION) <= since:
        return ()
    rows = connection.execute(
        "SELECT follower, leader, own, source, version, removed FROM follows WHERE version > ? ORDER BY version",
        (since,),
    )
    return tuple(
        FollowChange(
            version=version,
            follow=Follow(
                follower=FollowerId(follower),
                leader=Address(leader),
                own=decode_layer(own),
                source=source,
                version=version,
            ),
            removed=bool(removed),
        )
        for follower, leader, own, source, version, removed in rows.fetchall()
    )
