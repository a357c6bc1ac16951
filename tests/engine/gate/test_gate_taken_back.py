"""Trades that a reorg takes back: what is not placed waits, what is placed goes on, and nothing is bought twice."""

from typing import Any

import pytest
import trio
import trio.testing

from tests.builders import usd
from tests.engine.gate.fed import DEADLINE_S, FOLLOWERS, Stuck, begin_second_shard, bought, comes_back, gate_at
from tests.engine.rig import Rig, on_memory, open_rig
from trio_copy.chain.feed import SCAN
from trio_copy.model.decisions import Code, End

Clock = trio.testing.MockClock


# ------------------------------------------------------------------------------------------------------ retraction

WHERE: dict[str, dict[str, Any]] = {
    "in a lane": {"workers": 0},
    "in hand": {},
    "for company": {"terms": {"minimum_policy": "accumulate", "minimum_usd": usd("9"), "accumulate_s": 300.0}},
    "for its time": {"terms": {"delay_s": 30.0}},
}


@pytest.mark.parametrize("other_tx", [False, True], ids=["the same transaction", "another transaction"])
@pytest.mark.parametrize("restarts", [False, True], ids=["one owner", "two owners"])
@pytest.mark.parametrize("where", WHERE)
async def test_what_is_not_placed_waits_for_its_signal(
    clock: Clock, where: str, *, other_tx: bool, restarts: bool
) -> None:
    """Suspended wherever it stands, it goes on under its first identity and deadline once the trade is mined again.

    Meanwhile the checkpoint goes on, for what is suspended is written down; and so it does where the owner changes.
    """
    store, options = on_memory(), WHERE[where]
    async with open_rig(open_store=store, **options) as rig, gate_at(rig) as feed:
        chain, trade = feed.chain, feed.buy()
        stuck = Stuck(rig) if where == "in hand" else None
        await feed.arm(0)
        await feed.mine(trade)
        (signal,) = rig.recorder.admitted
        await trio.sleep(1)
        await feed.reorg()
        assert rig.recorder.retractions == [(3, 0)]
        if stuck is not None:
            assert stuck.asked == 1  # for all three of them
            stuck.answers.set()
        await feed.mine()
        await trio.sleep(35)
        assert rig.executor.sent == rig.recorder.finished == []
        assert rig.shard.checkpoint is not None
        assert rig.shard.checkpoint.number == 2
        if not restarts:
            await comes_back(feed, trade, other_tx=other_tx)
            await went_on(rig, signal, options)
    if restarts:
        async with open_rig(open_store=store, **options) as rig, gate_at(rig, chain) as feed:
            await feed.arm(2)
            await comes_back(feed, trade, other_tx=other_tx)
            await went_on(rig, signal, options)


async def went_on(rig: Rig, signal: Any, options: dict[str, Any]) -> None:
    """Wait for the end of everybody's task, and look whose they are."""
    waits_on = "minimum_usd" in options.get("terms", {})
    if options.get("workers") == 0 or waits_on:
        # Nobody works here, or it is still too little: it waits as it did before the reorg.
        waiting = [waits for name in FOLLOWERS for waits in rig.account(name).waiting.values()]
        assert [waits.suspended for waits in waiting] == [False] * 3
        tasks = [waits.task for waits in waiting]
    else:
        await rig.recorder.wait_until(lambda: len(rig.recorder.finished) == 3)
        assert bought(rig) == sorted(FOLLOWERS)
        tasks = [one.task for one in rig.recorder.finished]
    assert {task.signal.signal_id for task in tasks} == {signal.signal_id}
    assert {task.deadline for task in tasks} == {signal.block_time + DEADLINE_S}


async def test_each_shard_suspends_its_own(clock: Clock) -> None:
    """Shards of one process share the lanes: what a reorg takes back is counted once, and goes on once."""
    async with open_rig(alone=False, workers=0) as rig, gate_at(rig) as feed:
        feed.gate.shard_of = lambda follower: 0 if follower == "alice" else 1
        await begin_second_shard(rig)
        trade = feed.buy()
        await feed.arm(0)
        await feed.mine(trade)
        await feed.reorg()
        assert rig.recorder.retractions == [(3, 0)]
        waiting = {
            number: [follower for follower, account in shard.accounts.items() if account.waiting]
            for number, shard in rig.holder.shards.items()
        }
        assert waiting == {0: ["alice"], 1: ["bob", "carol"]}
        await comes_back(feed, trade, other_tx=False)
        assert rig.lanes.unplaced.suspended == 0


async def test_a_trade_that_does_not_come_back_ends_unsent(clock: Clock) -> None:
    """At its deadline, with its reason; the owner after that has nothing more of it."""
    store = on_memory()
    async with open_rig(open_store=store, workers=0) as rig, gate_at(rig) as feed:
        await feed.arm(0)
        await feed.mine(feed.buy())
        await feed.reorg()
        await rig.recorder.wait_until(lambda: len(rig.recorder.finished) == 3)
        assert {(end, code) for _, end, code in rig.ends()} == {(End.RETRACTED, Code.RETRACTED)}
        await trio.sleep(1)
    async with open_rig(open_store=store) as rig:
        assert not any(rig.account(name).waiting for name in rig.shard.accounts)


@pytest.mark.parametrize("other_tx", [False, True], ids=["the same transaction", "another transaction"])
@pytest.mark.parametrize("restarts", [False, True], ids=["one owner", "two owners"])
async def test_what_is_placed_goes_on_and_is_not_bought_twice(clock: Clock, *, other_tx: bool, restarts: bool) -> None:
    """The order is on its way when the reorg comes: somebody is told, and the trade's return adds nothing."""
    store = on_memory()
    async with open_rig(open_store=store) as rig, gate_at(rig) as feed:
        chain, trade = feed.chain, feed.buy()
        goes_on, submit = trio.Event(), rig.executor.submit

        async def slowly(order: Any) -> Any:
            await goes_on.wait()
            return await submit(order)

        rig.executor.submit = slowly
        await feed.arm(0)
        await feed.mine(trade)
        await trio.sleep(1)
        await feed.reorg()
        assert rig.recorder.retractions == [(0, 3)]
        goes_on.set()
        await rig.recorder.wait_until(lambda: len(bought(rig)) == 3)
        await feed.mine()
        await trio.sleep(30)
        if not restarts:
            await comes_back(feed, trade, other_tx=other_tx)
            await trio.sleep(10)
            assert len(rig.executor.sent) == 3
    if restarts:
        async with open_rig(open_store=store) as rig, gate_at(rig, chain) as feed:
            await feed.arm(2)
            await comes_back(feed, trade, other_tx=other_tx)
            await trio.sleep(10)
            assert rig.executor.sent == []


async def test_an_owner_who_had_met_it_before_knows_what_a_reorg_took(clock: Clock) -> None:
    """Met by the first owner, read again and taken back by the second one, and mined in another transaction: once bought."""
    store = on_memory()
    async with open_rig(open_store=store) as rig, gate_at(rig) as feed:
        chain, trade = feed.chain, feed.buy()
        await feed.arm(0)
        await feed.mine(trade)
        await trio.sleep(30)
        assert len(rig.executor.sent) == 3
    async with open_rig(open_store=store) as rig, gate_at(rig, chain) as feed:
        await feed.arm(0)
        await feed.read(1)
        await feed.reorg()
        assert rig.recorder.retractions == [(0, 0)]
        await comes_back(feed, trade, other_tx=True)
        await trio.sleep(10)
        assert rig.executor.sent == []


@pytest.mark.parametrize("restarts", [False, True], ids=["one owner", "two owners"])
async def test_a_trade_whose_name_was_given_away_is_copied_once(clock: Clock, *, restarts: bool) -> None:
    """A reorg mines an equal trade first, and the first one later, maybe for the next owner: two trades, two copies, no third."""
    store = on_memory()
    async with open_rig(open_store=store) as rig, gate_at(rig) as feed:
        chain, trade = feed.chain, feed.buy()
        await feed.arm(0)
        await feed.mine(trade)
        await trio.sleep(5)
        await feed.reorg()
        await comes_back(feed, trade, other_tx=True)
        await trio.sleep(30)
        assert len(rig.executor.sent) == 3
        if not restarts:
            await feed.mine(trade)
            await trio.sleep(5)
            assert len(rig.executor.sent) == 6
    for sent in (3, 0) if restarts else (0,):
        async with open_rig(open_store=store) as rig, gate_at(rig, chain) as feed:
            await feed.arm(0)
            await feed.read(1, source=SCAN)
            if sent:
                await feed.mine(trade)
            await trio.sleep(5)
            assert len(rig.executor.sent) == sent
