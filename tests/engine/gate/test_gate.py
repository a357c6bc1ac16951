"""The gate and the shards behind it, without nodes: what is met twice, and by whom."""

from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import hash_of, make_signal
from tests.engine.gate.fed import (
    DEADLINE_S,
    FOLLOWERS,
    Stuck,
    begin_second_shard,
    bought,
    gate_at,
    pause_shard,
    take_shard,
)
from tests.engine.rig import on_memory, open_rig
from trio_copy.chain.feed import SCAN, Armed, Joined, Sealed
from trio_copy.engine.gate.gate import in_turn
from trio_copy.engine.shards.tidying import tidy
from trio_copy.model.decisions import Code
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId
from trio_copy.telemetry.tally import Tally

Clock = trio.testing.MockClock


# ------------------------------------------------------------------------------------------------------ met before


async def test_the_first_copy_wins(clock: Clock) -> None:
    """Read anew from the same block, by another source and beside a second copy, a trade is what it was: met."""
    async with open_rig() as rig, gate_at(rig) as feed:
        await feed.arm(0)
        await feed.mine(feed.buy())
        await feed.bring(*feed.chain.head.logs, source="another node")
        await feed.bring(*feed.chain.head.logs, source=SCAN)
        await trio.sleep(1)
        await feed.arm(0)
        await feed.read(1, source=SCAN)
        await trio.sleep(1)
        assert rig.recorder.admissions == ["admitted", "duplicate"]
        assert bought(rig) == sorted(FOLLOWERS)
        assert len(rig.executor.sent) == 3


async def test_each_shard_meets_a_signal_for_itself(clock: Clock) -> None:
    """A shard that comes later is met anew; for the one that was there, the same signal is a copy."""
    async with open_rig(alone=False) as rig, gate_at(rig) as feed:
        feed.gate.shard_of = lambda follower: 0 if follower == "alice" else 1
        await feed.arm(0)
        await feed.mine(feed.buy())
        await trio.sleep(1)
        assert bought(rig) == ["alice"]
        await begin_second_shard(rig)
        await feed.arm(0)
        await feed.read(1)
        await trio.sleep(1)
        assert bought(rig) == sorted(FOLLOWERS)
        assert len(rig.executor.sent) == 3


async def test_a_leaders_follows_are_parted_once_for_all_shards(clock: Clock) -> None:
    """Sixteen shards would look through thousands of follows sixteen times."""
    asked: list[str] = []

    def shard_of(follower: FollowerId) -> int:
        asked.append(follower)
        return 0 if follower == "alice" else 1

    async with open_rig(alone=False) as rig, gate_at(rig) as feed:
        feed.gate.shard_of = shard_of
        await begin_second_shard(rig)
        await feed.arm(0)
        await feed.mine(feed.buy())
        await trio.sleep(1)
        assert bought(rig) == asked == sorted(FOLLOWERS)


def test_another_shard_is_the_first_for_another_signal() -> None:
    """And each of them as often: followers of the same place are not always served last."""
    shards: list[Any] = ["a", "b", "c"]
    turns: list[Any] = [in_turn(shards, make_signal(number).signal_id) for number in range(300)]
    assert {tuple(turn) for turn in turns} == {("a", "b", "c"), ("b", "c", "a"), ("c", "a", "b")}
    assert all(70 < sum(turn[0] == shard for turn in turns) < 130 for shard in shards)
    assert in_turn([], make_signal().signal_id) == ()


async def test_a_signal_is_told_once_however_many_shards_meet_it(clock: Clock) -> None:
    """What a person counts are trades of the leader: the copies of all shards stand in one line."""
    async with open_rig(alone=False) as rig, gate_at(rig) as feed:
        told = feed.gate.observer = Tally()
        feed.gate.shard_of = lambda follower: 0 if follower == "alice" else 1
        await begin_second_shard(rig)
        await feed.arm(0)
        await feed.mine(feed.buy())
        await trio.sleep(1)
        assert bought(rig) == sorted(FOLLOWERS)
        assert (told.signals, told.tasks, told.duplicates) == (1, len(FOLLOWERS), 0)
        await feed.bring(*feed.chain.head.logs, source=SCAN)
        await feed.arm(0)
        await feed.read(1)
        assert (told.signals, told.duplicates) == (1, 1)


@pytest.mark.parametrize("sealed", [True, False], ids=["passed by the checkpoint", "above the checkpoint"])
@pytest.mark.parametrize("waits_s", [1.0, 60.0], ids=["at once", "after accounts forgot what the shard knows"])
async def test_what_an_earlier_owner_met_changes_nothing(clock: Clock, *, sealed: bool, waits_s: float) -> None:
    """Whatever the second owner reads again: nothing more is sent, and no position changes."""
    store = on_memory()
    async with open_rig(open_store=store) as rig, gate_at(rig) as feed:
        chain = feed.chain
        await feed.arm(0)
        chain.mine(feed.buy())
        await feed.bring(*chain.head.logs)
        if sealed:
            await feed.tell(Sealed(chain.head.ref))
        await trio.sleep(waits_s)
        assert len(rig.executor.sent) == 3
        task = rig.recorder.finished[0].task
        held = rig.position(task)
        assert held.shares
        checkpoint = rig.shard.checkpoint
        assert checkpoint is not None
        assert checkpoint.number == (1 if sealed else 0)
    async with open_rig(open_store=store) as rig, gate_at(rig, chain) as feed:
        await feed.arm(0)
        await feed.read(1)
        await trio.sleep(20)
        assert [rig.executor.sent, rig.recorder.finished, rig.recorder.skips] == [[], [], []]
        assert rig.position(task) == held


async def test_a_late_trade_below_the_checkpoint_is_met_once(clock: Clock) -> None:
    """A node had hidden it; it is decided when it comes, and the next owner knows, though no block was passed since."""
    store = on_memory()
    async with open_rig(open_store=store) as rig, gate_at(rig) as feed:
        chain, late = feed.chain, feed.buy()
        await feed.arm(0)
        chain.mine(late)
        for _ in range(3):
            await feed.mine()
        await feed.tell(Sealed(chain.head.ref))
        assert rig.shard.checkpoint is not None
        assert rig.shard.checkpoint.number == 4
        await feed.bring(*chain.blocks[1].logs, source=SCAN)
        for _ in range(60):
            await trio.sleep(1)
            tidy(rig.shard)
        assert len(rig.executor.sent) == 3
    async with open_rig(open_store=store) as rig, gate_at(rig, chain) as feed:
        await feed.arm(0)
        await feed.read(1)
        await trio.sleep(20)
        assert rig.executor.sent == []


async def test_the_seal_of_a_chain_that_is_just_replaced_tells_nothing_of_the_new_one(clock: Clock) -> None:
    """Two equal fills of one transaction come back in two. Decided with half of them known, one would be copied twice."""
    async with open_rig() as rig, gate_at(rig) as feed:
        await feed.arm(0)
        one = feed.buy()
        feed.chain.mine(evolve(one, logs=one.logs * 2))
        fills = [evolve(log, nth=nth) for nth, log in enumerate(feed.chain.head.logs)]
        await feed.bring(*fills, source=SCAN)
        await feed.tell(Sealed(feed.chain.head.ref))
        await trio.sleep(1)
        feed.chain.mine()
        above = feed.chain.head.ref
        # Its subscription tells the fills of one transaction that are equal as one.
        first, second = (evolve(log, removed=True) for log in fills)
        await feed.bring(first)
        feed.chain.reorg(2, [(evolve(one, tx_hash=hash_of(92)), evolve(one, tx_hash=hash_of(93))), ()])
        back, last = feed.chain.blocks[1].logs
        await feed.bring(back)
        await feed.tell(Sealed(above))  # the scanner had begun to read it before
        await feed.bring(last)
        await feed.bring(second, source=SCAN)
        await feed.read(1, source=SCAN)
        await trio.sleep(1)
        assert rig.recorder.admissions == ["admitted"] * 2 + ["adopted"] * 2
        assert bought(rig) == sorted(2 * FOLLOWERS)


async def test_a_trade_of_a_gap_that_waits_is_met_once_the_gap_is_read(clock: Clock) -> None:
    """Blocks of a gap are not sealed one by one: what the scanner has read far below the newest seal is whole."""
    async with open_rig() as rig, gate_at(rig) as feed:
        await feed.arm(0)
        one = feed.buy()
        await feed.mine(one)
        await trio.sleep(1)
        (dropped,) = feed.chain.reorg(1, [(evolve(one, tx_hash=hash_of(92)),)])
        for _ in range(4):
            feed.chain.mine()
        await feed.bring(*(evolve(log, removed=True) for log in dropped.logs), source=SCAN)
        await feed.bring(*feed.chain.blocks[1].logs)  # of a subscription, and the scanner confirms it
        await feed.bring(*feed.chain.blocks[1].logs, source=SCAN)
        await feed.tell(Sealed(feed.chain.head.ref))
        assert rig.recorder.admissions[-1] == "adopted"


# -------------------------------------------------------------------------------------------------------- takeover


@pytest.mark.parametrize("late", [False, True])
async def test_a_second_owner_reads_from_the_checkpoint(clock: Clock, *, late: bool) -> None:
    """The first one died between two trades' effects: the one is done, the other is decided now, or ends as too old."""
    store = on_memory()
    async with open_rig(open_store=store) as rig, gate_at(rig) as feed:
        chain = feed.chain
        await feed.arm(0)
        await feed.mine(feed.buy(token=1))
        await trio.sleep(1)
        Stuck(rig)
        await feed.mine(feed.buy(token=2))
        await feed.mine()
        await trio.sleep(1)
        # Behind the block whose effect is missing, no checkpoint goes.
        assert rig.shard.checkpoint is not None
        assert rig.shard.checkpoint.number == 1
    if late:
        await trio.sleep(2 * DEADLINE_S)
    async with open_rig(open_store=store) as rig, gate_at(rig, chain) as feed:
        checkpoint = rig.shard.checkpoint
        assert checkpoint is not None
        await feed.arm(checkpoint.number)
        await feed.read(checkpoint.number + 1)
        await trio.sleep(10)
        assert {int(order.token_id) for order in rig.executor.sent} == (set() if late else {2})
        assert bought(rig) == ([] if late else sorted(FOLLOWERS))
        assert {skip.reason.code for skip in rig.recorder.skips} == ({Code.TOO_OLD} if late else set())
        assert rig.shard.checkpoint is not None
        assert rig.shard.checkpoint.number == 3


async def test_a_warm_instance_tells_a_shard_what_it_has_missed(clock: Clock) -> None:
    """Nothing is read once more: what came since its checkpoint is met as it came, what a reorg took back is not there."""
    async with open_rig() as rig, gate_at(rig, warm=True) as feed:
        await feed.arm(0)
        await feed.mine(feed.buy(token=1))
        await trio.sleep(1)
        await pause_shard(rig)
        await feed.mine(feed.buy(token=2))
        await feed.mine(feed.buy(token=2, side=Side.SELL))
        await feed.mine(feed.buy(token=3))
        await feed.reorg(feed.buy(token=4))
        await take_shard(rig)
        # Before it is told, it meets nothing: an exit would find nothing to sell.
        await feed.mine(feed.buy(token=5))
        await trio.sleep(1)
        assert bought(rig) == sorted(FOLLOWERS)
        assert feed.gate.can_tell([0])
        await feed.tell(Joined(frozenset([0])))
        await trio.sleep(2)
        # What its leader has sold again meanwhile is not bought.
        assert bought(rig) == sorted(FOLLOWERS * 3)
        assert {int(order.token_id) for order in rig.executor.sent} == {1, 4, 5}
        assert [code for _, _, code in rig.ends()].count(Code.LEADER_LEFT) == 2 * len(FOLLOWERS)
        assert rig.shard.checkpoint is not None
        assert rig.shard.checkpoint.number == 5
        await feed.mine(feed.buy(token=6))
        await trio.sleep(1)
        assert bought(rig) == sorted(FOLLOWERS * 4)


async def test_what_is_not_all_there_is_not_told(clock: Clock) -> None:
    """The chain is read from the checkpoint instead: after a start behind it, after new leaders, and where nothing is kept."""
    async with open_rig(alone=False) as rig:
        async with gate_at(rig) as cold:
            await cold.arm(0)
            await cold.mine(cold.buy(token=1))
            await trio.sleep(1)
            assert not cold.gate.can_tell([0])
        async with gate_at(rig, cold.chain, warm=True) as warm:
            assert not warm.gate.can_tell([0])
            await warm.mine()
            await warm.mine()
            await warm.tell(Armed(warm.chain.head.ref))
            await trio.sleep(1)
            await pause_shard(rig)
            await warm.mine(warm.buy(token=2))
            await take_shard(rig)
            assert warm.gate.can_tell([0])
            warm.gate.recent.change_leaders(rig.wall())
            assert not warm.gate.can_tell([0])  # at once, before another block has come
            await warm.mine()
            await trio.sleep(60)
            await warm.mine()
            assert not warm.gate.can_tell([0])  # what came before is not whole for those who are read now
            await warm.tell(Joined(frozenset([0])))
            assert not rig.holder.shards  # asked for all the same, it is given back, and taken anew
        assert {int(order.token_id) for order in rig.executor.sent} == {1}
