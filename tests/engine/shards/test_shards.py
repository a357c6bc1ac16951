"""How instances share the shards: evenly, without anybody in charge, on virtual time and one store."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
import trio.testing
from attrs import define, evolve, field

from tests.builders import LEADER, OTHER_LEADER, make_follow
from tests.harness import Recorder
from tests.plugins.stores import open_memory
from trio_copy.clock import WallClock, wall_clock_from
from trio_copy.config import ShardsSettings
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.gate.read_leaders import ReadLeaders
from trio_copy.engine.owning.holder import Holder
from trio_copy.engine.owning.keeper import Keeper
from trio_copy.engine.shards.lanes import Lanes
from trio_copy.errors import LeaseLost
from trio_copy.model.catalog import Catalog
from trio_copy.model.control import LEASE_BEATS, Lease, account_shard
from trio_copy.model.follows import EVERYBODY, Follower, Followers, TermsOfFollows
from trio_copy.model.ids import FollowerId
from trio_copy.model.resolutions import Resolution
from trio_copy.ports import NOBODY, Accounts, Control, Heads, Store
from trio_copy.testing.conformance import StoreTerms

START = 1_764_000_000.0
COUNT = 16
SETTINGS = ShardsSettings(count=COUNT)


@define(eq=False)
class Member:
    """One instance, as far as it keeps shards."""

    keeper: Keeper
    holder: Holder
    recorder: Recorder
    scope: trio.CancelScope = field(factory=trio.CancelScope)

    @property
    def sending(self) -> dict[int, int]:
        return self.holder.lanes["sim"].sending


@define(eq=False)
class Crowd:
    """Instances that share one store; each runs in a scope of its own, and dies with it."""

    wall: WallClock
    store: Store
    nursery: trio.Nursery
    members: dict[str, Member] = field(factory=dict)
    holders: list[Holder] = field(factory=list)
    """Of the dead as well."""

    async def join(self, name: str, settings: ShardsSettings = SETTINGS) -> Member:
        recorder = Recorder()
        holder = Holder(
            store=self.store,
            lanes={"sim": Lanes(100)},
            catalog=Catalog(),
            wall=self.wall,
            observer=recorder,
            lane_of=lambda task: (task.follower, str(task.intent.token_id)),
            dedup_ttl_s=600.0,
            max_day_usd=None,
            alone=False,
            owner=name,
            lease_s=LEASE_BEATS * settings.heartbeat_s,
        )
        keeper = Keeper(
            settings=settings,
            store=self.store,
            holder=holder,
            instance=name,
            wall=self.wall,
            observer=recorder,
            describe=lambda me: me,
        )
        member = self.members[name] = Member(keeper, holder, recorder)
        self.holders.append(holder)
        await self.nursery.start(holder.run)
        await keeper.enter()
        self.nursery.start_soon(self._run, member)
        return member

    async def _run(self, member: Member) -> None:
        with member.scope:
            await member.keeper.run()

    def kill(self, name: str) -> Member:
        """Let an instance die, or stand still: it says nothing any more, and believes what it believed."""
        member = self.members.pop(name)
        member.scope.cancel()
        return member

    def owned(self) -> dict[str, int]:
        every = [shard for member in self.members.values() for shard in member.holder.shards]
        assert len(set(every)) == len(every), "two owners of one shard"
        return {name: len(member.holder.shards) for name, member in self.members.items()}


@define(eq=False)
class SlowControl:
    """Of a busy machine: each lease is renewed a quarter of a second after it was asked for."""

    inner: Control

    async def renew(self, lease: Lease, lease_s: float) -> Lease:
        await trio.sleep(0.25)
        return await self.inner.renew(lease, lease_s)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@define(eq=False)
class SlowAccounts:
    """What an owner before has left is much: it takes a second to read."""

    inner: Accounts

    async def take(self, shard: int, token: int) -> Heads:
        await trio.sleep(1)
        return await self.inner.take(shard, token)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@asynccontextmanager
async def open_crowd(folder: Path) -> AsyncGenerator[Crowd, None]:
    wall = wall_clock_from(START)
    async with open_memory(StoreTerms(wall=wall, folder=folder, shards=COUNT)) as store, trio.open_nursery() as nursery:
        crowd = Crowd(wall, store, nursery)
        try:
            yield crowd
        finally:
            for holder in crowd.holders:
                holder.stop()
        nursery.cancel_scope.cancel()


async def test_shards_are_shared_evenly(clock: trio.testing.MockClock, tmp_path: Path) -> None:
    """Whoever comes gets its share, and all shards always have exactly one owner soon after."""
    async with open_crowd(tmp_path) as crowd:
        await crowd.join("a")
        assert crowd.owned() == {"a": 16}
        for name, shares in (("b", [8, 8]), ("c", [5, 5, 6]), ("d", [4, 4, 4, 4])):
            await crowd.join(name)
            await trio.sleep(3)
            assert sorted(crowd.owned().values()) == shares


async def test_a_dead_ones_shards_are_owned_again_within_three_heartbeats(
    clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """Nobody gives them up: their leases run out, and the living take them, with a word to a person."""
    async with open_crowd(tmp_path) as crowd:
        for name in ("a", "b", "c"):
            await crowd.join(name)
            await trio.sleep(3)
        crowd.kill("b")
        await trio.sleep(3)
        assert sorted(crowd.owned().values()) == [8, 8]
        assert "instance-dead" in dict(crowd.members["a"].recorder.alerts)


async def test_a_shard_is_handed_over_when_nothing_of_it_is_under_way(
    clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """What is being sent ends where it began; until then the shard stays, and nothing new of it is taken in."""
    async with open_crowd(tmp_path) as crowd:
        member = await crowd.join("a")
        member.sending.update(dict.fromkeys(range(COUNT), 1))
        await crowd.join("b")
        await trio.sleep(5)
        assert crowd.owned() == {"a": 16, "b": 0}
        assert sum(shard.is_read() for shard in member.holder.shards.values()) == 8
        member.sending.clear()
        await trio.sleep(3)
        assert crowd.owned() == {"a": 8, "b": 8}
        assert all(shard.is_read() for shard in member.holder.shards.values())


async def test_each_shard_that_goes_is_counted_once(clock: trio.testing.MockClock, tmp_path: Path) -> None:
    """From when nothing more of it is placed: what is open of it ends elsewhere, and who had it cannot say what became of it."""
    async with open_crowd(tmp_path) as crowd:
        first = await crowd.join("a")
        first.sending.update(dict.fromkeys(range(COUNT), 1))
        second = await crowd.join("b")
        await trio.sleep(5)
        assert (first.holder.gone, len(first.holder.shards)) == (8, 16)
        first.sending.clear()
        await trio.sleep(3)
        assert (first.holder.gone, len(first.holder.shards)) == (8, 8)
        shard = next(iter(first.holder.shards.values()))
        shard.lose(LeaseLost("somebody else has it"))
        assert (first.holder.gone, second.holder.gone) == (9, 0)


async def test_who_drains_gives_everything_up(clock: trio.testing.MockClock, tmp_path: Path) -> None:
    """It hears the wish with its next heartbeat, and the others own everything soon after."""
    async with open_crowd(tmp_path) as crowd:
        for name in ("a", "b"):
            await crowd.join(name)
            await trio.sleep(3)
        assert await crowd.store.control.ask_drain("a")
        await trio.sleep(1)
        assert crowd.members["a"].keeper.drain_asked.is_set()
        await trio.sleep(2)
        assert crowd.owned() == {"a": 0, "b": 16}
        assert crowd.members["a"].keeper.label == "none of 16, paused"


async def test_who_drains_alone_finishes_here_and_is_heard(clock: trio.testing.MockClock, tmp_path: Path) -> None:
    """Nobody would take the shards: they stay until the end, and whoever waits for news hears of the wish at once."""
    async with open_crowd(tmp_path) as crowd:
        member = await crowd.join("a")
        assert await crowd.store.control.ask_drain("a")
        with trio.fail_after(1):
            await member.keeper.wait_news()
        assert member.keeper.drain_asked.is_set()
        await trio.sleep(3)
        assert crowd.owned() == {"a": 16}


async def test_who_leaves_frees_everything_at_once(clock: trio.testing.MockClock, tmp_path: Path) -> None:
    """The next owner need not wait for a lease to run out, and nobody takes the end for a death."""
    async with open_crowd(tmp_path) as crowd:
        first, second = await crowd.join("a"), await crowd.join("b")
        await trio.sleep(3)
        crowd.kill("a")
        await first.keeper.leave()
        await trio.sleep(1.1)
        assert crowd.owned() == {"b": 16}
        assert "instance-dead" not in dict(second.recorder.alerts)
        assert not any(shard.unclean for shard in second.holder.shards.values())


async def test_fixed_parts_stay_fixed(clock: trio.testing.MockClock, tmp_path: Path) -> None:
    """With index and of, each takes its own part only, and nobody takes over another's."""
    async with open_crowd(tmp_path) as crowd:
        for index in range(2):
            await crowd.join(f"part-{index}", ShardsSettings(count=4, index=index, of=2))
        assert [set(member.holder.shards) for member in crowd.members.values()] == [{0, 2}, {1, 3}]
        assert [member.keeper.label for member in crowd.members.values()] == ["1/2", "2/2"]
        crowd.kill("part-1")
        await trio.sleep(10)
        assert set(crowd.members["part-0"].holder.shards) == {0, 2}


async def test_a_lease_that_nobody_took_is_taken_back(clock: trio.testing.MockClock, tmp_path: Path) -> None:
    """It ran out, or was forgotten, and the store would refuse our writes if somebody else had written: we go on."""
    async with open_crowd(tmp_path) as crowd:
        member = await crowd.join("a")
        seen, before = member.keeper.gained, dict(member.holder.shards)
        lease = await crowd.store.control.acquire("shard-3", "a", 2.5)
        assert lease is not None
        await crowd.store.control.release(lease)
        await trio.sleep(1)
        held = await crowd.store.control.held(["shard-3"])
        assert held["shard-3"].owner == "a"
        assert held["shard-3"].token > lease.token
        assert dict(member.holder.shards) == before
        assert member.keeper.gained == seen
        assert before[3].until == held["shard-3"].until
        assert "shard-lost" not in dict(member.recorder.alerts)


async def test_what_another_took_for_a_moment_is_read_anew(clock: trio.testing.MockClock, tmp_path: Path) -> None:
    """Whoever had it meanwhile may have written: our writes are refused, and it counts as gained, with a new memory."""
    async with open_crowd(tmp_path) as crowd:
        member = await crowd.join("a")
        seen, before = member.keeper.gained, dict(member.holder.shards)
        control = crowd.store.control
        mine = await control.acquire("shard-3", "a", 2.5)
        assert mine is not None
        await control.release(mine)
        theirs = await control.acquire("shard-3", "b", 2.5)
        assert theirs is not None
        await crowd.store.accounts.take(3, theirs.token)
        await control.release(theirs)
        before[3].writer.open.delete((NOBODY, "kind", "name"))
        before[3].writer.tell()
        await trio.sleep(2)
        assert set(member.holder.shards) == set(range(COUNT))
        assert member.keeper.gained > seen
        assert [number for number, shard in member.holder.shards.items() if shard is not before[number]] == [3]
        assert before[3].lost
        assert "shard-lost" in dict(member.recorder.alerts)


async def test_what_a_store_forgot_is_left_to_its_owners(clock: trio.testing.MockClock, tmp_path: Path) -> None:
    """Every lease, the list of instances and what was drawn are gone at once: nobody takes, or draws, what others have."""
    async with open_crowd(tmp_path) as crowd:
        members = [await crowd.join(name) for name in ("a", "b")]
        await trio.sleep(5)
        before = [dict(member.holder.shards) for member in members]
        assert all(len(shards) == COUNT // 2 for shards in before)
        control = crowd.store.control
        for member in members:
            for lease in tuple(member.keeper._leases.values()):
                await control.release(lease)
        for name in ("a", "b"):
            await control.leave(name)
        assert not await members[0].holder.forgetting.is_steady()
        for _ in range(20):
            await trio.sleep(0.25)
            assert [dict(member.holder.shards) for member in members] == before
        assert len(await control.held([f"shard-{number}" for number in range(COUNT)])) == COUNT
        assert all("store-forgot" in dict(member.recorder.alerts) for member in members)
        assert await members[0].holder.forgetting.is_steady()


async def test_a_shard_that_turned_out_to_be_lost_is_owned_again(clock: trio.testing.MockClock, tmp_path: Path) -> None:
    """Its clock said that the lease was over, the store says that it is not: it is taken again, not left lying about."""
    async with open_crowd(tmp_path) as crowd:
        member = await crowd.join("a")
        before = member.holder.shards[5]
        before.lose(LeaseLost("the clock says so"))
        assert 5 not in member.holder.shards
        await trio.sleep(1)
        assert member.holder.shards[5] is not before
        assert member.holder.shards[5].is_read()
        assert member.holder.shards[5].writer.token > before.writer.token


async def test_a_shard_that_is_lost_while_it_is_handed_over_stops_nobody(
    clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """What was to be given up is gone already: the others are given up all the same."""
    async with open_crowd(tmp_path) as crowd:
        member = await crowd.join("a")
        member.sending.update(dict.fromkeys(range(COUNT), 1))
        await crowd.join("b")
        await trio.sleep(2)
        for shard in [shard for shard in member.holder.shards.values() if not shard.is_read()][:3]:
            shard.lose(LeaseLost("the store says so"))
        await trio.sleep(2)
        assert crowd.owned() == {"a": 13, "b": 3}
        member.sending.clear()
        await trio.sleep(3)
        assert crowd.owned() == {"a": 8, "b": 8}


async def test_nothing_is_sent_after_the_lease_ran_out(clock: trio.testing.MockClock, tmp_path: Path) -> None:
    """An instance that stood still knows by its own clock, before it asks anybody."""
    async with open_crowd(tmp_path) as crowd:
        await crowd.join("a")
        await trio.sleep(10)
        shards = crowd.kill("a").holder.shards.values()
        assert all(shard.until > crowd.wall() for shard in shards)
        await trio.sleep(2.6)
        assert all(shard.until <= crowd.wall() for shard in shards)


async def test_a_slow_store_does_not_let_the_last_of_many_leases_run_out(
    clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """Each answer takes a quarter of a second: sixteen of them, one after the other, would take longer than a lease."""
    async with open_crowd(tmp_path) as crowd:
        member = await crowd.join("a")
        store: Any = crowd.store
        member.keeper.store = evolve(store, control=SlowControl(store.control))
        for _ in range(100):
            await trio.sleep(0.1)
            assert all(shard.until > crowd.wall() for shard in member.holder.shards.values())


async def test_what_is_held_does_not_run_out_while_more_is_taken(clock: trio.testing.MockClock, tmp_path: Path) -> None:
    """To read what another one has left takes longer than a lease, shard by shard: meanwhile all of them are renewed."""
    async with open_crowd(tmp_path) as crowd:
        member = await crowd.join("a")
        await crowd.join("b")
        await trio.sleep(3)
        store: Any = crowd.store
        member.holder.store = evolve(store, accounts=SlowAccounts(store.accounts))
        crowd.kill("b")
        for _ in range(150):
            await trio.sleep(0.1)
            assert all(shard.until > crowd.wall() for shard in member.holder.shards.values())
        assert crowd.owned() == {"a": 16}
        assert "shard-lost" not in dict(member.recorder.alerts)


async def test_who_stood_still_writes_nothing_more(clock: trio.testing.MockClock, tmp_path: Path) -> None:
    """Another one has the shards: the first write of the one that wakes up is refused, and it drops what it had."""
    async with open_crowd(tmp_path) as crowd:
        await crowd.join("a")
        await trio.sleep(1)
        frozen = crowd.kill("a")
        await crowd.join("b")
        await trio.sleep(3)
        assert crowd.owned() == {"b": 16}
        for shard in tuple(frozen.holder.shards.values()):
            shard.resolved.note(Resolution(condition_id="0xc", payouts=(1, 0), block_number=1))
            shard.writer.tell()
        await trio.testing.wait_all_tasks_blocked()
        assert frozen.holder.shards == {}
        assert await crowd.store.history.documents("resolution") == []


def test_who_hears_along_reads_the_others_leaders_too() -> None:
    """A warm instance reads every leader, another one only those whose followers are its own."""
    book = FollowBook(TermsOfFollows(followers=Followers({EVERYBODY: Follower(follower=EVERYBODY, executor="sim")})))
    book.replace_all([make_follow("alice", LEADER), make_follow("bob", OTHER_LEADER)])
    shard_of = {"alice": 0, "bob": 1}.__getitem__
    for warm, leaders in ((False, {LEADER}), (True, {LEADER, OTHER_LEADER})):
        reads = ReadLeaders(book=book, shards={0: object()}, shard_of=shard_of, warm=warm)  # type: ignore[dict-item]
        list(reads.count())
        assert set(reads) == leaders


def test_accounts_spread_evenly_and_stay_with_their_wallet() -> None:
    """An account's shard depends on its wallet alone, or on its name where it has none."""
    accounts = [Follower(follower=FollowerId(f"user-{number}"), executor="sim") for number in range(16_000)]
    places = [account_shard(account, COUNT) for account in accounts]
    assert all(800 < places.count(shard) < 1200 for shard in range(COUNT))
    same = [evolve(account, address=LEADER) for account in accounts[:10]]
    assert len({account_shard(account, COUNT) for account in same}) == 1
