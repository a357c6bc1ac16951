"""A reorg mines a leader's fills in other transactions, and two nodes tell of it while the scanner reads: in whatever order.

Each brings its own words in their order; between them there is none. The same order is filled by the same amount each time, so
that nothing but the gate's care tells one trade from the other.
"""

from collections.abc import Iterator, Sequence
from random import Random

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import hash_of
from tests.engine.gate.fed import FOLLOWERS, Feed, bought, gate_at, pause_shard, take_shard
from tests.engine.rig import on_memory, open_rig
from trio_copy.chain.feed import SCAN, FeedItem, Joined, Sealed, SeenLog
from trio_copy.model.logs import EqualLogs, RawLog
from trio_copy.testing.devnet import DevChain, DevTx

Clock = trio.testing.MockClock
Block = tuple[int, ...]
"""How many fills its transactions have; what is equal in both is mined again as it was."""
REORGS: tuple[tuple[Block, Block], ...] = (
    ((1,), (0, 1)),
    ((2,), (0, 1, 1)),
    ((1, 1), (0, 0, 2)),
    ((1, 1), (0, 1, 1)),
    ((1, 1), (0, 0, 1, 1)),
    ((1,), (0, 1, 1)),
    ((1, 1), (0, 0, 1)),
)
ORDERS = 100
every_reorg = pytest.mark.parametrize(
    ("before", "after", "later"), [(*reorg, later) for reorg in REORGS for later in (0, 1)]
)
"""In the block that it replaces, or in the one above."""


@every_reorg
async def test_each_trade_is_copied_once_in_whatever_order_it_is_told(
    clock: Clock, before: Block, after: Block, later: int
) -> None:
    """As many as stood in the chain at once, before or after: what was copied and mined again is not copied again."""
    for seed in range(ORDERS):
        async with open_rig() as rig, gate_at(rig) as feed:
            await feed.arm(0)
            for item in in_some_order(told(feed, before, after, later), Random(seed)):
                await feed.tell(item)
            await trio.sleep(1)
            copied = rig.recorder.admissions.count("admitted")
            assert copied == max(sum(before), sum(after)), (seed, rig.recorder.admissions)


@every_reorg
async def test_a_shard_that_changes_hands_in_the_middle_copies_each_trade_once(
    clock: Clock, before: Block, after: Block, later: int
) -> None:
    """Whoever was warm tells it what it has missed, and of which blocks he had not read all: some trades may be gone by then."""
    for seed in range(ORDERS):
        dice = Random(seed)
        async with open_rig() as rig, gate_at(rig, warm=True) as feed:
            await feed.arm(0)
            items = list(in_some_order(told(feed, before, after, later), dice))
            given_up, taken = sorted(dice.sample(range(len(items) + 1), 2))
            for place, item in enumerate([*items, None]):
                if place == given_up:
                    await pause_shard(rig)
                if place == taken:
                    await take_shard(rig)
                    assert feed.gate.can_tell([0])
                    await feed.tell(Joined(frozenset([0])))
                if item is not None:
                    await tell_now(feed, item)
            await trio.sleep(10)
            copies, rest = divmod(len(bought(rig)), len(FOLLOWERS))
            assert not rest
            assert sum(after) <= copies <= max(sum(before), sum(after)), (seed, rig.recorder.admissions, rig.ends())


@every_reorg
async def test_an_owner_who_comes_in_the_middle_copies_nothing_again(
    clock: Clock, before: Block, after: Block, later: int
) -> None:
    """The first one is gone, whatever he had heard by then; the next one reads the chain as it is, and hears nodes beside."""
    for seed in range(ORDERS):
        dice, store = Random(seed), on_memory()
        async with open_rig(open_store=store) as rig, gate_at(rig) as feed:
            await feed.arm(0)
            items, chain = list(in_some_order(told(feed, before, after, later), dice)), feed.chain
            for item in items[: dice.randrange(len(items) + 1)]:
                await tell_now(feed, item)
            await trio.sleep(dice.choice((0.0, 2.0)))
            copied = bought(rig)
        async with open_rig(open_store=store) as rig, gate_at(rig, chain) as feed:
            await feed.arm(0)
            for item in in_some_order(told_now(chain), dice):
                await tell_now(feed, item)
            await trio.sleep(10)
            copies, rest = divmod(len(copied + bought(rig)), len(FOLLOWERS))
            assert not rest
            assert sum(after) <= copies <= max(sum(before), sum(after)), (seed, copied, rig.ends())


def told_now(chain: DevChain) -> Sequence[list[FeedItem]]:
    """What a node says, and the scanner, of a chain as it is."""
    node = [item for block in chain.blocks[1:] for item in logs(block.logs, "node")]
    scan = [item for block in chain.blocks[1:] for item in (*logs(numbered(block.logs), SCAN), Sealed(block.ref))]
    return [node, scan]


async def tell_now(feed: Feed, item: FeedItem) -> None:
    """Tell something as heard at this moment: what is old is not copied."""
    await feed.tell(evolve(item, seen_at=feed.rig.wall()) if isinstance(item, SeenLog) else item)


def told(feed: Feed, before: Block, after: Block, later: int) -> Sequence[list[FeedItem]]:
    """What each of two nodes says, and the scanner, of a block that another chain takes the place of."""
    one = feed.buy()
    chain = feed.chain
    chain.mine(*mined(one, before))
    old, old_logs = chain.head.ref, chain.head.logs
    chain.mine()
    above = chain.head.ref
    chain.reorg(2, [*[()] * later, mined(one, after), (), (), ()])
    new_logs = chain.blocks[1 + later].logs
    nodes = [
        [*logs(old_logs, name), *logs(old_logs, name, removed=True), *logs(new_logs, name)]
        for name in ("node", "another node")
    ]
    scan = [
        *logs(numbered(old_logs), SCAN),
        Sealed(old),
        Sealed(above),
        *logs(numbered(old_logs), SCAN, removed=True),
    ]
    for block in chain.blocks[1:]:
        scan += [*logs(numbered(block.logs), SCAN), Sealed(block.ref)]
    return [*nodes, scan]


def mined(one: DevTx, block: Block) -> tuple[DevTx, ...]:
    return tuple(
        evolve(one, tx_hash=hash_of(100 + place), logs=one.logs * fills) for place, fills in enumerate(block) if fills
    )


def numbered(those: Sequence[RawLog]) -> list[RawLog]:
    equal = EqualLogs()
    return [equal.numbered(log) for log in those]


def logs(those: Sequence[RawLog], source: str, *, removed: bool = False) -> list[FeedItem]:
    return [SeenLog(evolve(log, removed=removed), source, 0.0) for log in those]


def in_some_order(sources: Sequence[list[FeedItem]], dice: Random) -> Iterator[FeedItem]:
    """Shuffle what several say, each in its own order."""
    turns = [place for place, items in enumerate(sources) for _ in items]
    dice.shuffle(turns)
    rests = [iter(items) for items in sources]
    for place in turns:
        yield next(rests[place])
