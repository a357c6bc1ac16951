"""How positions are left: with the leader, by rules of one's own, at the end of a follow, and when a question is decided."""

from collections import Counter
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, evolve, field

from tests.builders import LEADER, OTHER_LEADER, usd
from tests.harness import World, make_test_plan, open_world, running_engine, with_follow_settings
from trio_copy.chain.decoders.resolutions import CONDITIONAL_TOKENS, RESOLUTION_TOPIC
from trio_copy.config import PluginTable
from trio_copy.config.settings import LeaderTable
from trio_copy.engine.books.stories import stories
from trio_copy.engine.people.requests import REFUSED, leave
from trio_copy.engine.plan import Plan
from trio_copy.engine.service import Service
from trio_copy.model.books import Quote
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.control import Mode, follow_scope, follower_scope, leader_scope
from trio_copy.model.decisions import Code, End, Outcome, Reason
from trio_copy.model.facts import AMOUNTS, FactQuery
from trio_copy.model.fills import Kind, Side
from trio_copy.model.follow_settings import Execution, Leaving, Sizing
from trio_copy.model.follows import Follow
from trio_copy.model.ids import FollowerId, TokenId
from trio_copy.model.layers import layer
from trio_copy.model.orders import Market
from trio_copy.model.positions import Position, PositionKey
from trio_copy.model.units import NO_USD, Price, Ratio, Shares, Usd
from trio_copy.testing.devnet import DevTx
from trio_copy.testing.devnet.chain import DevLog, fake_hash
from trio_copy_dry_run.executor import DryRunExecutor

Clock = trio.testing.MockClock
ALICE = FollowerId("alice")
CONDITION = fake_hash("condition", 1)
TENTH = Sizing(ratio=Ratio.parse("0.1"), minimum_usd=NO_USD)


@define(eq=False)
class Book:
    """A book that a test moves by hand."""

    prices: dict[TokenId, str] = field(factory=dict)

    def quote(self, token_id: TokenId) -> Quote | None:
        price = self.prices.get(token_id)
        return None if price is None else Quote(bid=Price.parse(price), ask=Price.parse(price))


def plan_for(**tables: Any) -> Plan:
    plan = make_test_plan(
        followers=("alice",),
        chain={"window_blocks": 4, "rescan_every_s": 5.0},
        executor={"price_source": "book"},
        decoders=(
            PluginTable(name="order-filled", plugin="order-filled", options={}),
            PluginTable(name="resolutions", plugin="resolutions", options={}),
        ),
    )
    return with_follow_settings(plan, **{"size": TENTH, **tables})


async def mine_for(world: World, seconds: float) -> None:
    """Let blocks come every second."""
    for _ in range(int(seconds)):
        world.chain.mine()
        await trio.sleep(1)


def position_of(service: Service, token: int = 1) -> Position:
    return service.holder.shards[0].accounts[ALICE].position((LEADER, TokenId(token)))


async def realised(service: Service) -> dict[str, Usd]:
    """What was gained, by token, as the books say."""
    sums = await service.store.history.sums(FactQuery(kinds=("filled", "entry")), ("token_id",))
    return {token: Usd(amounts[AMOUNTS.index("realised")]) for (token,), amounts in sums.items()}


async def test_an_exit_follows_the_leader_in_proportion(clock: Clock) -> None:
    """He sells a quarter of what he bought, and a quarter of the copy goes; he sells the rest, and it is all gone."""
    async with open_world() as world:
        world.quotes = Book({TokenId(1): "0.5"})
        async with running_engine(world, plan_for()) as service:
            world.chain.mine(world.buy(shares=400))
            await world.recorder.wait_copies(1)
            assert Shares.parse(40) == position_of(service).shares
            world.chain.mine(world.buy(side=Side.SELL, shares=100))
            await world.recorder.wait_copies(2)
            assert Shares.parse(30) == position_of(service).shares
            world.chain.mine(world.buy(side=Side.SELL, shares=300))
            await world.recorder.wait_copies(3)
            assert not position_of(service).lots


@pytest.mark.parametrize(
    ("leaving", "bid"),
    [
        (Leaving(take_profit_bps=1000), "0.56"),
        (Leaving(stop_loss_bps=1000), "0.44"),
        (Leaving(max_hold_s=20.0), "0.5"),
    ],
)
async def test_a_rule_of_ones_own_sells_once(clock: Clock, leaving: Leaving, bid: str) -> None:
    """The price, or the time, comes to the rule: everything is sold, by one order, and the story has a leader."""
    async with open_world() as world:
        book = world.quotes = Book({TokenId(1): "0.5"})
        async with running_engine(world, plan_for(leaving=leaving)) as service:
            world.chain.mine(world.buy())
            await world.recorder.wait_copies(1)
            await mine_for(world, 6)
            assert len(world.recorder.copies) == 1
            book.prices[TokenId(1)] = bid
            await mine_for(world, 40)
            assert not position_of(service).lots
        exits = [one for one in world.recorder.finished if one.task.signal.kind is Kind.EXIT]
        assert [one.outcome.end for one in exits] == [End.FILLED]


@pytest.mark.parametrize("hung", [1, 12])
async def test_an_exit_waits_for_no_bid_but_its_own(clock: Clock, monkeypatch: pytest.MonkeyPatch, hung: int) -> None:
    """Tokens that the venue says nothing of are asked about, one call each at a time; the others are left as soon as ever."""
    silent, asked = {TokenId(2 + number) for number in range(hung)}, Counter[TokenId]()
    hangs = False
    market = DryRunExecutor.market

    async def asked_for(self: DryRunExecutor, token_id: TokenId) -> Market:
        if hangs and token_id in silent:
            asked[token_id] += 1
            try:
                await trio.sleep_forever()
            finally:
                asked[token_id] -= 1
        return await market(self, token_id)

    monkeypatch.setattr(DryRunExecutor, "market", asked_for)
    async with open_world() as world:
        book = world.quotes = Book(dict.fromkeys((TokenId(1), *silent), "0.5"))
        async with running_engine(world, plan_for(leaving=Leaving(stop_loss_bps=1000))) as service:
            for token in (*silent, 1):
                world.chain.mine(world.buy(token=token))
            await world.recorder.wait_copies(hung + 1)
            hangs = True
            await mine_for(world, 5)
            assert set(asked.values()) == {1}
            book.prices[TokenId(1)] = "0.44"
            began = trio.current_time()
            await world.recorder.wait_copies(hung + 2)
            assert trio.current_time() - began < 3
            assert not position_of(service).lots
            hangs = False
            book.prices.update(dict.fromkeys(silent, "0.44"))
            await mine_for(world, 20)
            assert not any(position_of(service, token).lots for token in silent)


async def test_a_trailing_stop_remembers_the_highest_bid(clock: Clock) -> None:
    """Up to 0.80 and back to 0.71 is more than a tenth; the entry price has no part in it."""
    async with open_world() as world:
        book = world.quotes = Book({TokenId(1): "0.5"})
        async with running_engine(world, plan_for(leaving=Leaving(trailing_bps=1000))) as service:
            world.chain.mine(world.buy())
            await world.recorder.wait_copies(1)
            for price, sold in (("0.8", False), ("0.73", False), ("0.71", True)):
                book.prices[TokenId(1)] = price
                await mine_for(world, 6)
                assert (not position_of(service).lots) == sold


async def test_an_exit_that_nobody_takes_is_tried_again(clock: Clock) -> None:
    """The book is empty when the stop fires; half a minute later somebody bids."""
    async with open_world() as world:
        book = world.quotes = Book({TokenId(1): "0.5"})
        plan = plan_for(leaving=Leaving(stop_loss_bps=1000, exit_slippage_bps=100))
        async with running_engine(world, plan) as service:
            world.chain.mine(world.buy())
            await world.recorder.wait_copies(1)
            del book.prices[TokenId(1)]
            await mine_for(world, 10)
            assert position_of(service).lots
            book.prices[TokenId(1)] = "0.3"
            await mine_for(world, 70)
            assert not position_of(service).lots


async def test_a_person_leaves_a_position_at_once(clock: Clock) -> None:
    """Whether it is paused or followed at all; asked twice it is sold once, and what is not held is refused."""
    async with open_world() as world:
        world.quotes = book = Book({TokenId(1): "0.5"})
        async with running_engine(world, plan_for(leaving=Leaving(when_paused="hold"))) as service:
            world.chain.mine(world.buy())
            await world.recorder.wait_copies(1)
            held, key = position_of(service).shares, (ALICE, LEADER, TokenId(1))
            await service.store.follows.remove([(ALICE, LEADER)])
            await trio.sleep(1)

            async def ask(position: PositionKey, *names: str) -> list[str]:
                for name in names:
                    await service.store.accounts.ask(0, leave(name, position, world.wall()))
                await service.housekeeping.hearing.hear(service.holder.shards[0])
                await trio.testing.wait_all_tasks_blocked()
                return [str(await service.store.accounts.answer(0, name)) for name in names]

            del book.prices[TokenId(1)]
            assert "nobody bids" in (await ask(key, "no bid"))[0]
            book.prices[TokenId(1)] = "0.4"
            first, again = await ask(key, "first", "again")
            assert first == again
            assert f" sells {held} shares, not under 0.38" in first
            await mine_for(world, 2)
            assert not position_of(service).shares
            (story,) = await stories(service.store.history, first.split()[0])
            assert story.record.outcome == Outcome(end=End.FILLED)
            refused = [
                *await ask(key, "sold"),
                *await ask((ALICE, LEADER, TokenId(7)), "never"),
                *await ask((FollowerId("zoe"), LEADER, TokenId(1)), "nobody"),
            ]
            assert all(one.startswith(REFUSED) for one in refused), refused


@pytest.mark.parametrize(
    ("leaving", "left", "exits"),
    [
        (Leaving(when_paused="exits"), True, True),
        (Leaving(when_paused="hold"), True, False),
        (Leaving(when_paused="close"), False, False),
    ],
)
async def test_a_pause_takes_no_entries_and_does_with_positions_what_was_said(
    clock: Clock, leaving: Leaving, left: bool, exits: bool
) -> None:
    """Paused by a command while running: entries stop at once, exits and what is held go by `when_paused`."""
    async with open_world() as world:
        world.quotes = Book({TokenId(1): "0.5"})
        async with running_engine(world, plan_for(leaving=leaving)) as service:
            world.chain.mine(world.buy())
            await world.recorder.wait_copies(1)
            _, (follow,) = await service.store.follows.load()
            await service.store.follows.put([evolve(follow, own=layer({**dict(follow.own), "status": "paused"}))])
            await mine_for(world, 6)
            assert bool(position_of(service).lots) == left
            world.chain.mine(world.buy(), world.buy(side=Side.SELL))
            await mine_for(world, 3)
            assert position_of(service).shares == (Shares.parse(10) if left and not exits else Shares(0))


@pytest.mark.parametrize(
    "scope", [leader_scope(LEADER), follower_scope("alice"), follow_scope("alice", LEADER)], ids=lambda scope: scope[:7]
)
async def test_a_pause_by_name_blocks_entries_only_and_is_named(clock: Clock, scope: str) -> None:
    """Heard within a second, of whatever kind; the leader's exits are copied, and resumed, so are his entries."""
    async with open_world() as world:
        world.quotes = Book({TokenId(1): "0.5"})
        async with running_engine(world, plan_for()) as service:
            world.chain.mine(world.buy())
            await world.recorder.wait_copies(1)
            await service.store.control.set_mode(Mode.REDUCE_ONLY, "a look first", scope)
            await service.store.control.set_mode(Mode.REDUCE_ONLY, "of somebody else", leader_scope(OTHER_LEADER))
            await trio.sleep(1)
            held = position_of(service).shares
            world.chain.mine(world.buy())
            await mine_for(world, 3)
            reason = world.recorder.finished[-1].outcome.reason
            assert reason == Reason(code=Code.FOLLOW_PAUSED, control="pause", value=scope, limit="a look first")
            assert position_of(service).shares == held
            world.chain.mine(world.buy(side=Side.SELL))
            await mine_for(world, 3)
            assert position_of(service).shares < held
            await service.store.control.set_mode(Mode.RUN, "seen", scope)
            await trio.sleep(1)
            held = position_of(service).shares
            world.chain.mine(world.buy())
            await mine_for(world, 3)
            assert position_of(service).shares > held
        assert ("pause", f"{scope}: no entries: a look first") in world.recorder.alerts


async def test_a_follow_that_is_left_disappears_when_it_is_flat(clock: Clock) -> None:
    """Unfollowed with `close`: what is held is sold, and then nobody remembers the follow."""
    async with open_world() as world:
        world.quotes = Book({TokenId(1): "0.5"})
        async with running_engine(world, plan_for(leaving=Leaving(when_unfollowed="close"))) as service:
            world.chain.mine(world.buy())
            await world.recorder.wait_copies(1)
            _, (follow,) = await service.store.follows.load()
            await service.store.follows.put([evolve(follow, own=layer({**dict(follow.own), "status": "leaving"}))])
            await mine_for(world, 14)
            assert not position_of(service).lots
            assert list((await service.store.follows.load())[1]) == []
            assert LEADER not in service.book


async def test_a_follow_whose_account_is_not_at_hand_disappears_as_well(clock: Clock) -> None:
    """Nothing was ever traded, so nobody has read the account: what is stored of it says that nothing is held."""
    async with open_world() as world, running_engine(world, plan_for()) as service:
        _, (follow,) = await service.store.follows.load()
        await service.store.follows.put([evolve(follow, own=layer({"status": "leaving"}))])
        await mine_for(world, 14)
        assert list((await service.store.follows.load())[1]) == []


def resolved(payouts: tuple[int, ...]) -> DevTx:
    words = (len(payouts), 64, len(payouts), *payouts)
    data = b"".join(word.to_bytes(32, "big") for word in words)
    topics = (RESOLUTION_TOPIC, CONDITION, "0x" + "0" * 64, fake_hash("question", 1))
    return DevTx(
        tx_hash=fake_hash("resolution", *payouts),
        logs=(DevLog(address=CONDITIONAL_TOKENS, topics=topics, data=data),),
    )


async def test_winners_are_redeemed_once_the_resolution_is_deep(clock: Clock) -> None:
    """Not at once, for it may be taken back; four blocks later, at its payout, and only once."""
    async with open_world() as world:
        world.quotes = Book({TokenId(1): "0.5", TokenId(2): "0.5"})
        world.catalog.put(
            TokenFacts(token_id=TokenId(token), condition_id=CONDITION, slot=slot) for slot, token in enumerate((1, 2))
        )
        async with running_engine(world, plan_for()) as service:
            world.chain.mine(world.buy(token=1), world.buy(token=2))
            await world.recorder.wait_copies(2)
            world.chain.mine(resolved((1, 0)))
            await trio.sleep(3)
            assert world.recorder.steps.count("decided") == 2  # once for each token that is held
            assert position_of(service).lots
            await mine_for(world, 12)
            assert not position_of(service, 1).lots
            assert not position_of(service, 2).lots
            assert await realised(service) == {"1": usd("5"), "2": usd("-5")}
            await mine_for(world, 5)
            exposure = service.holder.shards[0].accounts[ALICE].exposure
            assert (exposure.cost("all"), exposure.spots) == (0, 0)
    assert world.recorder.steps.count("redeemed") == 2


async def test_a_resolution_that_a_reorg_took_back_redeems_nothing(clock: Clock) -> None:
    """The chain changed its mind before it was deep enough; the other outcome then counts."""
    async with open_world() as world:
        world.quotes = Book({TokenId(1): "0.5"})
        world.catalog.put([TokenFacts(token_id=TokenId(1), condition_id=CONDITION, slot=0)])
        async with running_engine(world, plan_for()) as service:
            world.chain.mine(world.buy(token=1))
            await world.recorder.wait_copies(1)
            await mine_for(world, 3)
            world.chain.mine(resolved((1, 0)))
            await trio.sleep(1)
            world.chain.reorg(1, [(resolved((0, 1)),), ()])
            await mine_for(world, 12)
            assert not position_of(service).lots
            assert await realised(service) == {"1": usd("-5")}


async def test_follows_of_strangers_are_heard_within_a_second(clock: Clock) -> None:
    """A follow that a command adds is copied by an engine that is running, without a restart."""
    async with open_world() as world:
        world.quotes = Book({TokenId(1): "0.5"})
        plan = make_test_plan(followers=("*",), leaders=())
        async with running_engine(world, plan) as service:
            world.chain.mine()
            await trio.sleep(1)
            own = layer({"size.ratio": Ratio.parse("0.1"), "size.minimum_usd": NO_USD})
            await service.store.follows.put([Follow(follower=FollowerId("dora"), leader=LEADER, own=own)])
            await trio.sleep(1)
            await world.nodes[0].wait_log_filters(1)
            world.chain.mine(world.buy())
            await world.recorder.wait_copies(1)
        assert [follower for _, follower in world.recorder.copies] == ["dora"]


async def test_names_of_leaders_are_heard_while_running(clock: Clock) -> None:
    """Of the file at the start, of a change within a second; a name of the leader's own table goes before."""
    plan = plan_for()
    tables = (LeaderTable(address=OTHER_LEADER, name="Table"),)
    plan = evolve(plan, settings=evolve(plan.settings, leader=tables))
    async with open_world() as world, running_engine(world, plan) as service:
        names = service.seams.names
        _, (follow,) = await service.store.follows.load()
        assert (names.of(follow.leader), names.of(OTHER_LEADER)) == (None, "Table")
        for leader in (follow.leader, OTHER_LEADER):
            await service.store.follows.put(
                [evolve(follow, leader=leader, source="command", own=layer({"name": "Fish"}))]
            )
        await trio.sleep(1)
        assert (names.of(follow.leader), names.of(OTHER_LEADER)) == ("Fish", "Table")
        await service.apply(service.plan.settings)  # what stands in the file is what it says there
        assert names.called("fish") == [OTHER_LEADER]


async def test_a_burst_is_gathered_into_one_order_and_a_large_entry_does_not_wait(clock: Clock) -> None:
    """Five trades of one leader in one block are one order; a big one goes at once and takes along what waits."""
    gather = Execution(aggregate_s=1.0, aggregate_bypass_usd=usd("40"))
    async with open_world() as world:
        world.quotes = Book({TokenId(1): "0.5"})
        async with running_engine(world, plan_for(execution=gather)) as service:
            world.chain.mine(*(world.buy() for _ in range(5)))
            await world.recorder.wait_until(lambda: len(world.recorder.finished) == 5)
            ends = sorted(one.outcome.end.value for one in world.recorder.finished)
            assert ends == ["filled"] + ["gathered"] * 4
            assert Shares.parse(50) == position_of(service).shares
            before = trio.current_time()
            world.chain.mine(world.buy(), world.buy(shares=1000))
            await world.recorder.wait_until(lambda: len(world.recorder.finished) == 7)
            assert trio.current_time() - before < 0.9
            assert Shares.parse(160) == position_of(service).shares
