"""The gate and the shards behind it, without nodes: what is met twice, by whom, and what a reorg takes back."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, evolve, field

from tests.builders import LEADER, POLYGON, hash_of, make_signal, usd
from tests.engine.rig import Rig, on_memory, open_rig
from tests.harness import World
from trio_copy.chain.decoders.order_filled import EXCHANGE_V2, OrderFilledDecoder
from trio_copy.chain.feed import Armed, FeedItem, Joined, Sealed, SeenLog
from trio_copy.chain.scanner import SCAN
from trio_copy.config import EngineSettings
from trio_copy.engine.gate.deciding import Deciding
from trio_copy.engine.gate.gate import Gate, alone, in_turn
from trio_copy.engine.gate.reader import LogReader
from trio_copy.engine.gate.recent import Recent
from trio_copy.model.catalog import Catalog
from trio_copy.model.control import shard_lease
from trio_copy.model.decisions import Code, End
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId
from trio_copy.model.logs import RawLog
from trio_copy.telemetry.tally import Tally
from trio_copy.testing.devnet import DevChain, DevTx

Clock = trio.testing.MockClock
FOLLOWERS = ("alice", "bob", "carol")
DEADLINE_S = 300.0


@define(eq=False)
class Feed:
    """A chain, and a gate that hears of it as a test wants."""

    rig: Rig
    chain: DevChain
    gate: Gate
    _send: trio.MemorySendChannel[FeedItem]
    _txs: World = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._txs = World(self.chain, [], self.rig.wall)

    async def tell(self, *items: FeedItem) -> None:
        for item in items:
            await self._send.send(item)
        await trio.testing.wait_all_tasks_blocked()

    async def arm(self, number: int) -> None:
        """Begin to read behind a block, as the owner of all shards that are held."""
        await self.tell(Armed(self.chain.blocks[number].ref, None, self.rig.shard.checkpoint))

    async def read(self, first: int, source: str = "node") -> None:
        """Bring every log from a block on, and seal each block."""
        for block in self.chain.blocks[first:]:
            await self.bring(*block.logs, source=source)
            await self.tell(Sealed(block.ref))

    async def bring(self, *logs: RawLog, source: str = "node") -> None:
        await self.tell(*(SeenLog(log, source, self.rig.wall()) for log in logs))

    async def mine(self, *txs: DevTx) -> None:
        """Let a block pass, with all its logs."""
        self.chain.mine(*txs)
        await self.read(len(self.chain.blocks) - 1)

    async def reorg(self, *txs: DevTx) -> None:
        """Put the newest block away and another one in its place."""
        (dropped,) = self.chain.reorg(1, [txs])
        await self.bring(*(evolve(log, removed=True) for log in dropped.logs), source=SCAN)
        await self.read(len(self.chain.blocks) - 1, source=SCAN)

    def buy(self, **changes: Any) -> DevTx:
        return self._txs.buy(LEADER, **changes)


@asynccontextmanager
async def gate_at(rig: Rig, chain: DevChain | None = None, *, warm: bool = False) -> AsyncGenerator[Feed, None]:
    send, receive = trio.open_memory_channel[FeedItem](0)
    decoder = OrderFilledDecoder(frozenset({EXCHANGE_V2}))
    gate = Gate(
        reader=LogReader(
            decoders=dict.fromkeys(decoder.topics, decoder),
            book=rig.book,
            quarantine=lambda kind, detail: None,
            on_fill=lambda fill, signal_id, source: None,
        ),
        book=rig.book,
        deciding=Deciding(
            book=rig.book, catalog=Catalog(), settings=EngineSettings(deadline_s=DEADLINE_S), wall=rig.wall
        ),
        store=rig.store,
        shards=rig.holder.shards,
        shard_of=alone,
        observer=rig.recorder,
        wall=rig.wall,
        recent=Recent(keeps=warm),
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gate.run, receive)  # noqa: ASYNC113  what is sent waits in the channel
        yield Feed(rig, chain or DevChain(POLYGON, rig.wall), gate, send)
        nursery.cancel_scope.cancel()


@define
class Stuck:
    """A market that a test keeps from answering."""

    rig: Rig
    asked: int = 0
    answers: trio.Event = field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        self.rig.execution.markets.ask = self.market

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rig.executor, name)

    async def market(self, token_id: Any) -> Any:
        self.asked += 1
        await self.answers.wait()
        return await self.rig.executor.market(token_id)


def bought(rig: Rig) -> list[str]:
    """Who bought, in order; each as often as he did."""
    return sorted(one.task.follower for one in rig.recorder.finished if one.outcome.end is End.FILLED)


async def begin_second_shard(rig: Rig) -> None:
    """Let another shard be held beside the first."""
    lease = await rig.store.control.acquire(shard_lease(1), "me", 600.0)
    assert lease is not None
    await rig.holder.begin(1, lease)


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
            rig.shard.tick()
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


async def pause_shard(rig: Rig) -> None:
    """Give the only shard up, in good order: from now on it is nobody's."""
    await rig.holder.end(0)
    await rig.store.control.release(rig.lease)


async def take_shard(rig: Rig) -> None:
    lease = await rig.store.control.acquire(shard_lease(0), "one who was warm", 30.0)
    assert lease is not None
    await rig.holder.begin(0, lease)


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


async def comes_back(feed: Feed, trade: DevTx, *, other_tx: bool) -> None:
    feed.chain.mine(evolve(trade, tx_hash=hash_of(999)) if other_tx else trade)
    await feed.read(len(feed.chain.blocks) - 1, source=SCAN)
    assert feed.rig.recorder.admissions[-1] == "adopted"


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
        assert rig.lanes.suspended == 0


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
