"""The follow book's truth. Another process may change it: whoever waits looks at the file again and again."""

import sqlite3
from collections.abc import Sequence
from itertools import repeat

import msgspec
import trio
from attrs import define

from trio_copy.errors import StoreError
from trio_copy.model.follow_columns import ColumnsMaker, FollowColumns, Kind
from trio_copy.model.follows import Follow
from trio_copy.model.ids import Address, FollowerId
from trio_copy.ports import FollowChange
from trio_copy.records import decode_layer, encode_layer
from trio_copy_sqlite.numbers import count_up, number
from trio_copy_sqlite.writer import Writer

LOOK_EVERY_S = 0.25
"""Changes by another process are seen this soon."""
BOOK_VERSION = "follows_version"
_PAGE = 20_000
_NEXT_PAGE = (
    f"SELECT leader, follower FROM follows WHERE (leader, follower) > (?, ?) ORDER BY 1, 2 LIMIT 1 OFFSET {_PAGE}"
)
_BY_LEADER = """
    SELECT leader, json_group_array(follower), json_group_array(source || '|' || own), json_group_array(version)
    FROM follows WHERE removed = 0 AND (leader, follower) > (?, ?) AND (leader, follower) <= (?, ?) GROUP BY leader
"""
_BEGIN, _END = ("", ""), ("\U0010ffff", "")
"""Before and behind every leader and follower."""
_TEXTS, _NUMBERS = msgspec.json.Decoder(list[str]), msgspec.json.Decoder(list[int])


@define(eq=False)
class SqliteFollows:
    writer: Writer

    async def load(self) -> tuple[int, FollowColumns]:
        return await self.writer.read(lambda connection: (number(connection, BOOK_VERSION), _read(connection)))

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
                        (follow.follower, follow.leader, own, follow.source, count_up(connection, BOOK_VERSION)),
                    )
            return number(connection, BOOK_VERSION)

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
                        (count_up(connection, BOOK_VERSION), leader, follower),
                    )
            return number(connection, BOOK_VERSION)

        return await self.writer.run(work)

    async def wait_changes(self, since: int) -> tuple[FollowChange, ...]:
        while True:
            changes = await self.writer.read(lambda connection: _changes(connection, since))
            if changes:
                return changes
            await trio.sleep(LOOK_EVERY_S)


def _read(connection: sqlite3.Connection) -> FollowColumns:
    """Read every follow. SQLite makes the columns of each leader: row by row it takes three times as long."""
    maker = ColumnsMaker(str, _kind)
    begin, end = _BEGIN, _BEGIN
    while end != _END:  # in pages, for a leader may have a million followers
        end = connection.execute(_NEXT_PAGE, begin).fetchone() or _END
        for leader, followers, kinds, versions in connection.execute(_BY_LEADER, (*begin, *end)):
            names = _TEXTS.decode(followers)
            try:
                maker.add(names, repeat(leader, len(names)), _TEXTS.decode(kinds), _NUMBERS.decode(versions))
            except (ValueError, OverflowError) as error:
                raise StoreError(f"expected stored follows of {leader[:80]}, was {followers[:80]}: {error}") from error
        begin = end
    return maker.columns


def _kind(told: str) -> Kind:
    source, _, own = told.partition("|")
    return (source, decode_layer(own))


def _changes(connection: sqlite3.Connection, since: int) -> tuple[FollowChange, ...]:
    if number(connection, BOOK_VERSION) <= since:
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
