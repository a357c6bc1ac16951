"""What of the SQLite file goes: names of markets that are over, removed follows. The file must not grow for ever."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tests.builders import NOW
from tests.plugins.stores import in_place
from tests.plugins.test_sqlite import open_at
from trio_copy.clock import wall_clock_from
from trio_copy.errors import StoreUnavailable
from trio_copy.model.facts import FactQuery
from trio_copy.model.follows import Follow
from trio_copy.model.ids import Address, FollowerId
from trio_copy.ports import Changes, Store, StoreContext
from trio_copy.testing.conformance.terms import ALICE, LEADER, fact
from trio_copy_sqlite import SqliteSettings, open_sqlite_store
from trio_copy_sqlite.backup import back_up, restore

Clock = trio.testing.MockClock
DAY_S = 86_400.0
A_DAY = 30
"""Markets that open on a day."""
EVERY = FactQuery(kinds=["filled", "skip"], limit=10**6)
ONE = (1, 2, 3, 4, 5, 6)


def asked(path: Path, question: str) -> Any:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(question).fetchone()[0]


def strangers(path: Path) -> int:
    """Return how many facts and totals nobody can be told of, for a name of theirs is gone."""
    of_facts = asked(path, "SELECT (SELECT count(*) FROM fact_rows) - (SELECT count(*) FROM facts)")
    known = "NOT IN (SELECT id FROM names)"
    of_totals = asked(path, f"SELECT count(*) FROM totals WHERE kind {known} OR follower {known} OR leader {known}")
    return int(of_facts + of_totals)


async def trade(store: Store, number: int, *tokens: int, at: float, token: int = 1) -> None:
    """Book a copy of each token, and let a stranger's trade in it be skipped."""
    facts = [fact(f"{one}", token_id=one, at=at, amounts=ONE) for one in tokens]
    facts += [fact(f"skip {one}", kind="skip", token_id=one, at=at, leader=Address(f"0x{one:040x}")) for one in tokens]
    await store.accounts.write(0, token, number, Changes(facts=facts))


async def test_names_of_markets_go_with_what_was_told_of_them(tmp_path: Path, clock: Clock) -> None:
    """After `keep_days` the file has as many names on each day, and still knows all that it needs."""
    path, names = tmp_path / "books.db", list[int]()
    async with open_at(path, keep_days=2.0) as store:
        await store.accounts.take(0, 1)
        for day in range(12):
            await trade(store, day + 1, *range(day * A_DAY, (day + 1) * A_DAY), 10**9, at=NOW + day * DAY_S)
            await trio.sleep(DAY_S)
            names.append(asked(path, "SELECT count(*) FROM names"))
            assert strangers(path) == 0
        assert len(set(names[4:])) == 1, names
        assert names[-1] < 5 * 2 * A_DAY
        sums = await store.history.sums(EVERY, ("follower", "leader"))
        assert sums[ALICE, LEADER][0] == 11 * A_DAY + A_DAY + 1  # that of the old market is one fact, told again
        assert (await store.history.sums(EVERY, ("token_id",)))[("1000000000",)][0] == 1


async def test_a_crash_while_names_go_leaves_none_missing(tmp_path: Path, clock: Clock) -> None:
    """They go in the step in which the last of their facts do, or not yet."""
    path = tmp_path / "books.db"
    async with open_at(path, keep_days=1.0) as store:
        await store.accounts.take(0, 1)
        await trade(store, 1, *range(500), at=NOW)
    for steps in range(12):
        left = steps

        def crash(point: str) -> None:
            nonlocal left
            if point == "sqlite: before commit" and (left := left - 1) < 0:
                raise KeyboardInterrupt

        context = StoreContext(
            settings=SqliteSettings(path=str(path), keep_days=1.0),
            wall=wall_clock_from(NOW + 3 * DAY_S),
            in_thread=in_place,
            at=crash,
        )
        with pytest.RaisesGroup(KeyboardInterrupt, allow_unwrapped=True, flatten_subgroups=True):
            async with open_sqlite_store(context):
                await trio.sleep(3600)
        assert strangers(path) == 0
        if not asked(path, "SELECT count(*) FROM fact_rows"):
            break
    assert asked(path, "SELECT sum(trades) FROM totals") == 500
    async with open_at(path, keep_days=1.0):
        await trio.sleep(3 * DAY_S)
    assert asked(path, "SELECT count(*) FROM names") == 3  # what stands in totals


async def test_a_market_that_comes_back_is_known_again(tmp_path: Path, clock: Clock) -> None:
    """Whoever remembers the number of its name, in this process or in another, learns that it is gone."""
    path = tmp_path / "books.db"
    async with open_at(path, keep_days=1.0) as store, open_at(path, guest=True) as guest:
        await guest.accounts.take(0, 1)
        await trade(guest, 1, 1, 2, 3, at=NOW)
        await store.accounts.take(0, 2)
        await trade(store, 1, 1, 2, 3, at=NOW, token=2)
        await trio.sleep(4 * DAY_S)
        assert asked(path, "SELECT count(*) FROM names") == 3
        later = NOW + 4 * DAY_S
        await trade(store, 2, 7, 8, 9, at=later, token=2)
        await guest.accounts.take(0, 3)
        await trade(guest, 1, 3, 2, 1, at=later, token=3)
        await store.accounts.take(0, 4)
        await trade(store, 1, 4, 3, at=later, token=4)
        assert strangers(path) == 0
        told = await store.history.facts(FactQuery(kinds=["filled"]))
        assert {(one.key, one.token_id) for one in told} == {(str(one), one) for one in (1, 2, 3, 4, 7, 8, 9)}


async def test_a_clock_that_leaps_there_and_back_takes_no_name_away(tmp_path: Path, clock: Clock) -> None:
    """What was forgotten meanwhile is asked for again, and what comes from the future keeps its names as long as itself."""
    path, ahead = tmp_path / "books.db", 0.0
    wall = wall_clock_from(NOW)
    context = StoreContext(
        settings=SqliteSettings(path=str(path), keep_days=1.0), wall=lambda: wall() + ahead, in_thread=in_place
    )
    async with open_sqlite_store(context) as store:
        await store.accounts.take(0, 1)
        await trade(store, 1, 1, 2, at=NOW)
        await trade(store, 2, 3, 2, at=NOW + 50 * DAY_S)
        ahead = 10 * DAY_S
        await trio.sleep(200)
        ahead = 0.0
        await trade(store, 3, 1, 2, 3, at=NOW)
        assert strangers(path) == 0
        await trade(store, 4, 3, at=NOW + 50 * DAY_S)
        await trio.sleep(5 * DAY_S)
        assert strangers(path) == 0
        assert {one.token_id for one in await store.history.facts(EVERY)} == {3}


async def test_a_file_of_the_version_before_is_taken_as_it_is(tmp_path: Path, clock: Clock) -> None:
    """By whoever opens it first, and out of a copy; its names stay, for nobody knows what they are told in."""
    path, copy = tmp_path / "books.db", tmp_path / "copy.db"
    async with open_at(path, keep_days=1.0) as store:
        await store.accounts.take(0, 1)
        await trade(store, 1, 1, 2, at=NOW)
        await trade(store, 2, 3, at=NOW)
    with closing(sqlite3.connect(path)) as connection:
        for change in (
            "DROP INDEX names_by_day",
            "DROP INDEX follows_removed",
            "ALTER TABLE names DROP COLUMN told_on",
            "PRAGMA user_version = 4",
        ):
            connection.execute(change)
    back_up(SqliteSettings(path=str(path)), copy, lambda part: None)
    for _ in range(2):
        async with open_at(path, guest=True) as guest:
            assert len(await guest.history.facts(EVERY)) == 6
        async with open_at(path, keep_days=1.0) as store:
            await store.accounts.take(0, 2)
            await trade(store, 1, 3, 4, at=NOW + DAY_S, token=2)
            await trio.sleep(4 * DAY_S)
            assert strangers(path) == 0
            assert asked(path, "SELECT group_concat(name) FROM names WHERE length(name) = 1") == "1,2,3"
        restore(SqliteSettings(path=str(path)), copy, lambda part: None)


async def test_removed_follows_go_once_whoever_waits_has_read_the_book(tmp_path: Path, clock: Clock) -> None:
    """Not while the engine runs that is told of them; the next one has no use for them."""
    path = tmp_path / "books.db"
    follows = [Follow(follower=FollowerId(f"f{number}"), leader=LEADER) for number in range(500)]
    async with open_at(path) as store:
        await store.follows.put(follows)
        await store.follows.remove([one.key for one in follows[:450]])
        await trio.sleep(DAY_S)
        assert len(await store.follows.wait_changes(499)) == 451
    async with open_at(path) as store:
        version, kept = await store.follows.load()
        await store.follows.remove([follows[450].key])
        await trio.sleep(DAY_S)
        assert [one.removed for one in await store.follows.wait_changes(version)] == [True]
        assert (version, len(kept)) == (950, 50)
    assert asked(path, "SELECT count(*) FROM follows") == 50


async def test_a_full_disk_while_names_go_is_told(tmp_path: Path, clock: Clock) -> None:
    """As for any other step: nothing is traded on a file that failed."""
    path = tmp_path / "books.db"
    async with open_at(path, keep_days=1.0) as store:
        await store.accounts.take(0, 1)
        await trade(store, 1, *range(100), at=NOW)
        store.accounts.writer.connection.execute(
            "CREATE TRIGGER no BEFORE DELETE ON names BEGIN SELECT raise(FAIL, 'full'); END"
        )
        await trio.sleep(4 * DAY_S)
        with pytest.raises(StoreUnavailable):
            await trade(store, 2, 1, at=NOW)
    assert strangers(path) == 0
