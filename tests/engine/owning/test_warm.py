"""Whoever reads along takes a shard over with all that its owner had under way: nothing lost, nothing doubled, no block read again."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, evolve

from tests.builders import ALICE, LEADER, hash_of
from tests.engine.sending.test_leaving import Book
from tests.harness import make_test_plan, open_world, patient, with_follow_settings
from tests.worlds.instances import Engine, Fleet
from trio_copy.config import ShardsSettings
from trio_copy.engine.people import requests as asked
from trio_copy.engine.plan import Plan
from trio_copy.entropy import seeded_entropy
from trio_copy.model.control import Mode
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import Execution, Sizing
from trio_copy.model.ids import FollowerId, TokenId
from trio_copy.model.units import NO_USD, Ratio, Shares, Usd
from trio_copy.ports import Request
from trio_copy.testing.devnet import DevTx

Clock = trio.testing.MockClock
TENTH = Sizing(ratio=Ratio.parse("0.1"), minimum_usd=NO_USD)
NAMES = ("alice", "bob")


def plan_for(executor: dict[str, Any], **follows: Any) -> Plan:
    """All accounts are in one shard, which one instance owns, and for which the other one reads along."""
    made = make_test_plan(
        followers=NAMES,
        chain={"window_blocks": 64, "rescan_every_s": 10.0},
        engine={"deadline_s": 600.0, "send_timeout_s": 5.0, "reconcile_every_s": 1.0},
        executor={"latency_ms": 10, "prove_absence_s": 5.0, **executor},
    )
    plan = with_follow_settings(patient(made), **follows)
    return evolve(plan, settings=evolve(plan.settings, shards=ShardsSettings(count=1, warm=True)))


@define(eq=False)
class Pair:
    fleet: Fleet

    @property
    def owner(self) -> Engine:
        return self.fleet.engines[0]

    @property
    def warm(self) -> Engine:
        return self.fleet.engines[1]

    @property
    def owns(self) -> bool:
        """Whether the one that read along has the shard."""
        return self.warm.service is not None and bool(self.warm.service.holder.shards)

    async def mine(self, *trades: DevTx, blocks: int = 0) -> None:
        """Mine trades, and then some blocks, one a second."""
        self.fleet.world.chain.mine(*trades)
        for _ in range(blocks):
            await trio.sleep(1)
            self.fleet.world.chain.mine()
        await trio.sleep(0.5)

    def buy(self, **changes: Any) -> DevTx:
        return self.fleet.world.buy(LEADER, **changes)

    def sell(self, **changes: Any) -> DevTx:
        return self.buy(side=Side.SELL, **changes)

    async def ask(self, request: Request) -> None:
        assert self.owner.service is not None
        await self.owner.service.store.accounts.ask(0, request)

    async def answer(self, name: str) -> str | None:
        assert self.warm.service is not None
        return await self.warm.service.store.accounts.answer(0, name)

    def shares(self, follower: str) -> Shares:
        """What a follower holds of token 1, as the books say."""
        (shard,) = [
            shard
            for engine in self.fleet.going
            if engine.service is not None
            for shard in engine.service.holder.shards.values()
        ]
        account = shard.accounts.get(FollowerId(follower))
        return Shares(0) if account is None else account.position((LEADER, TokenId(1))).shares

    def kinds(self) -> set[str]:
        """What is open, as it is stored."""
        return {one.kind for one in self.fleet.data.documents() if one.kind in ("order", "waits")}

    async def goes(self, how: str) -> None:
        """Let the owner go, and the other one take over while blocks come."""
        self.begin_to_go(how)
        await self.wait_owned()

    def begin_to_go(self, how: str) -> None:
        match how:
            case "dies":
                self.owner.process.die()
            case "stands still":
                self.fleet.nursery.start_soon(self.owner.process.stand_still, 20.0)
            case _:
                assert self.owner.service is not None
                self.owner.service.drain()

    async def wait_owned(self) -> None:
        for _ in range(20):
            await self.mine(blocks=1)
            if self.owns:
                return
        raise AssertionError("nobody has taken over")


@asynccontextmanager
async def open_pair(executor: dict[str, Any] | None = None, **follows: Any) -> AsyncGenerator[Pair, None]:
    """Two instances on one store and at one venue; in the end the books say what the chain and the venue say.

    The one that read along has read nothing a second time: it was armed once, at its start.
    """
    async with open_world(nodes=2) as world:
        world.quotes = Book({TokenId(1): "0.5"})
        fleet = Fleet(world, seeded_entropy(1), plan_for(executor or {}, **{"size": TENTH, **follows}))
        async with trio.open_nursery() as nursery:
            fleet.nursery = nursery
            await fleet.join()
            await fleet.join()
            pair = Pair(fleet)
            await pair.mine(blocks=40)  # of blocks before, leaders that are read by now may not have been
            yield pair
            while pair.kinds():
                await pair.mine(blocks=1)
            await pair.mine(blocks=12)  # a re-scan: what it would find late, or copy twice, it has
            service = pair.warm.service
            assert service is not None
            steps = service.seams.observer.steps  # type: ignore[attr-defined]
            assert steps.count("armed") == 1
            assert "joined" in steps
            for engine in fleet.engines:
                if engine.service is not None and engine.process.alive:
                    engine.service.drain()
        verdict = await fleet.check()
        assert not verdict, verdict


GOES = pytest.mark.parametrize("how", ["dies", "stands still", "drains"])


@GOES
async def test_orders_whose_answers_were_on_their_way(clock: Clock, how: str) -> None:
    """They are in doubt, and asked about; what comes meanwhile is copied behind them."""
    async with open_pair({"latency_ms": 4000}) as pair:
        await pair.mine(pair.buy())
        assert pair.kinds() == {"order"}
        await pair.goes(how)
        await pair.mine(pair.buy(), pair.sell(shares=200))


@GOES
@pytest.mark.parametrize(
    "follows",
    [
        {"execution": Execution(delay_s=30.0)},
        {"execution": Execution(aggregate_s=30.0)},
        {"size": evolve(TENTH, minimum_usd=Usd.parse("8"), minimum_policy="accumulate", accumulate_s=60.0)},
    ],
    ids=["for a later time", "to be gathered", "for company"],
)
async def test_entries_that_wait(clock: Clock, how: str, follows: dict[str, Any]) -> None:
    """For their time or for company: they go on with what comes after, and are bought as if nothing had happened."""
    async with open_pair(**follows) as pair:
        await pair.mine(pair.buy())
        assert pair.kinds() == {"waits"}
        await pair.goes(how)
        assert pair.kinds() == {"waits"}
        await pair.mine(pair.buy(), blocks=70)
        assert pair.kinds() == set()
        assert [pair.shares(name) for name in NAMES] == [Shares.parse(20)] * 2


@GOES
async def test_exits_that_wait_for_what_they_sell_to_settle(clock: Clock, how: str) -> None:
    """They are sold once it has, by whoever owns the account then."""
    async with open_pair({"settle_s": 30.0}) as pair:
        await pair.mine(pair.buy())
        await pair.mine(pair.sell())
        assert pair.kinds() == {"order", "waits"}
        await pair.goes(how)
        assert pair.kinds() == {"order", "waits"}
        await pair.mine(blocks=70)
        assert [pair.shares(name) for name in NAMES] == [Shares.parse(0)] * 2


@pytest.mark.parametrize("what", ["entries for a later time", "exits until it settles"])
async def test_what_only_waits_is_to_blame_for_no_end(clock: Clock, what: str) -> None:
    """However often its owner dies meanwhile: nobody had it in hand, or it did no harm there, and no person has to look."""
    entries = what.startswith("entries")
    async with open_pair({"settle_s": 1.0 if entries else 45.0}, execution=Execution(delay_s=45.0 * entries)) as pair:
        await pair.mine(pair.buy())
        if not entries:
            await pair.mine(pair.sell())
        for _ in range(5):
            engine = next(one for one in pair.fleet.going if one.service is not None and one.service.holder.shards)
            engine.process.die()
            await pair.fleet.join()
            await pair.mine(blocks=6)
            assert "waits" in pair.kinds()
        await pair.mine(blocks=60)
        assert [pair.shares(name) for name in NAMES] == [Shares.parse(10 * entries)] * 2


@GOES
async def test_what_people_asked_for(clock: Clock, how: str) -> None:
    """Of the one who has just gone: the next owner does it, once, and answers."""
    async with open_pair({"price_source": "book"}) as pair:
        await pair.mine(pair.buy())
        wall = pair.fleet.world.wall()
        if how == "stands still":
            pair.fleet.nursery.start_soon(pair.owner.process.stand_still, 20.0)
        for request in (
            asked.set_mode("halt", ALICE, Mode.HALT_NEW, "lunch", wall),
            asked.leave("exit", (ALICE, LEADER, TokenId(1)), wall),
        ):
            await pair.ask(request)
        await pair.goes(how)
        await pair.mine(pair.buy(), blocks=5)
        assert await pair.answer("halt") == "alice: halt-new"
        assert " sells 10 shares" in str(await pair.answer("exit"))
        assert [pair.shares(name) for name in NAMES] == [Shares.parse(0), Shares.parse(20)]


@GOES
@pytest.mark.parametrize("when", ["before", "meanwhile", "after"])
@pytest.mark.parametrize("back", [True, False], ids=["and comes back", "for good"])
async def test_a_trade_that_is_taken_back(clock: Clock, how: str, when: str, back: bool) -> None:
    """Before its owner goes, while nobody owns the account, or after: what waits of it goes on, once, or ends with it."""
    async with open_pair(execution=Execution(delay_s=40.0)) as pair:
        trade, chain = pair.buy(), pair.fleet.world.chain
        await pair.mine(trade)
        if when != "before":
            pair.begin_to_go(how)
        if when == "after":
            await pair.wait_owned()
        depth = next(depth for depth, block in enumerate(reversed(chain.blocks), 1) if trade in block.txs)
        chain.reorg(depth, [[]] * (depth + 1))
        if when == "before":
            await pair.mine(blocks=2)
            pair.begin_to_go(how)
        await pair.wait_owned()
        if back:
            await pair.mine(evolve(trade, tx_hash=hash_of(999)))
        await pair.mine(blocks=60)
        assert [pair.shares(name) for name in NAMES] == [Shares.parse(10 * back)] * 2
