"""The block scanner alone: what it passes on, in which order, whatever the chain did meanwhile. Virtual time."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio.testing
from attrs import define, field

from tests.builders import LEADER, hash_of
from tests.harness import World, open_world
from trio_copy.chain.decoders.order_filled import EXCHANGE_V2, OrderFilledDecoder
from trio_copy.chain.endpoints import Endpoint, EndpointPool
from trio_copy.chain.feed import SCAN, Armed, FeedItem, Sealed, SeenLog, TooDeep
from trio_copy.chain.filters import FilterBoard, build_filters
from trio_copy.chain.scanner import Scanner
from trio_copy.chain.subscriber import follow_endpoint
from trio_copy.config import ChainSettings
from trio_copy.entropy import seeded_entropy
from trio_copy.errors import CheckpointAhead
from trio_copy.model.logs import Checkpoint
from trio_copy.testing.devnet import DevChain, DevNode

Clock = trio.testing.MockClock


@define(eq=False)
class Feed:
    """What the scanner sent, in short: (+block, -block) for logs, and the numbers of sealed blocks."""

    scanner: Scanner
    troubles: list[tuple[str, str]]
    items: list[FeedItem] = field(factory=list)

    def logs(self) -> list[int]:
        return [
            -item.log.block_number if item.log.removed else item.log.block_number
            for item in self.items
            if isinstance(item, SeenLog) and item.source == SCAN
        ]

    def sealed(self) -> list[int]:
        return [item.block.number for item in self.items if isinstance(item, Sealed)]

    async def wait_sealed(self, number: int) -> None:
        for _ in range(30_000):
            if number in self.sealed():
                return
            await trio.sleep(0.01)
        raise AssertionError(f"block {number} was not sealed in five virtual minutes")


@asynccontextmanager
async def scanning(world: World, checkpoint: Checkpoint | None = None, **settings: float) -> AsyncGenerator[Feed, None]:
    chain = ChainSettings(chain_id=world.chain.chain_id, **{"window_blocks": 8, "silence_s": 3600.0, **settings})  # type: ignore[arg-type]  # by name
    troubles: list[tuple[str, str]] = []
    pool = EndpointPool(
        [Endpoint(settings) for settings in world.endpoints],
        lambda kind, detail: None,
        settings=chain,
        entropy=seeded_entropy(1),
        on_trouble=lambda kind, detail: troubles.append((kind, detail)),
    )
    board = FilterBoard()
    board.replace(build_filters([OrderFilledDecoder(frozenset({EXCHANGE_V2}))], [LEADER], 500))
    send, receive = trio.open_memory_channel[FeedItem](1000)
    scanner = Scanner(
        settings=chain,
        pool=pool,
        board=board,
        send=send,
        wall=world.wall,
        on_trouble=lambda kind, detail: troubles.append((kind, detail)),
    )
    feed = Feed(scanner, troubles)

    async def collect() -> None:
        async for item in receive:
            feed.items.append(item)

    async def follow(endpoint: Endpoint) -> None:
        run = partial(
            follow_endpoint, dial=world.dial, settings=chain, pool=pool, board=board, send=send, wall=world.wall
        )
        await run(endpoint)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(collect)
        for endpoint in pool.endpoints:
            nursery.start_soon(follow, endpoint)
        await scanner.arm(checkpoint)
        await nursery.start(scanner.run)
        for node in world.nodes:
            await node.wait_log_filters(1)
        yield feed
        nursery.cancel_scope.cancel()


def mine(world: World, count: int) -> None:
    for _ in range(count):
        world.chain.mine(world.buy())


async def test_blocks_are_sealed_in_order_after_their_logs(clock: Clock) -> None:
    """A seal promises that every log up to it has gone before."""
    async with open_world() as world, scanning(world) as feed:
        mine(world, 5)
        await feed.wait_sealed(5)
    scanned = [item for item in feed.items if not isinstance(item, SeenLog) or item.source == SCAN]
    assert isinstance(scanned[0], Armed)
    order = [
        ("log", item.log.block_number) if isinstance(item, SeenLog) else ("seal", item.block.number)
        for item in scanned[1:]
        if isinstance(item, SeenLog | Sealed)
    ]
    assert [(kind, number) for number in range(1, 6) for kind in ("log", "seal")] == order


async def test_a_restart_continues_at_its_checkpoint(clock: Clock) -> None:
    """What was mined while the process was away is read, and the window below it once more."""
    async with open_world() as world:
        mine(world, 10)
        block = world.chain.blocks[4].ref
        async with scanning(world, Checkpoint(number=4, hash=block.hash)) as feed:
            await feed.wait_sealed(10)
    assert feed.logs() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]


async def test_a_checkpoint_that_was_reorganised_away_is_read_again_from_below(clock: Clock) -> None:
    """A reorg during the absence: the window under the checkpoint is read again; the gate drops the doubles."""
    async with open_world() as world:
        mine(world, 12)
        async with scanning(world, Checkpoint(number=12, hash=hash_of(1))) as feed:
            mine(world, 1)
            await feed.wait_sealed(13)
    assert feed.logs() == [5, 6, 7, 8, 9, 10, 11, 12, 13]


async def test_a_node_behind_the_checkpoint_is_waited_for(clock: Clock) -> None:
    """A node that has not come so far yet cannot say where to start."""
    async with open_world() as world:
        mine(world, 6)
        block = world.chain.blocks[6].ref
        world.nodes[0].faults.behind = 3

        async def recover() -> None:
            await trio.sleep(5)
            world.nodes[0].faults.behind = 0
            mine(world, 1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(recover)
            async with scanning(world, Checkpoint(number=6, hash=block.hash)) as feed:
                mine(world, 1)
                await feed.wait_sealed(7)
    assert feed.logs()[:7] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(("armed_at", "first"), [(0, 3), (7, 8), (-1, 3)])
async def test_a_restart_reads_the_window_below_its_checkpoint_again(clock: Clock, armed_at: int, first: int) -> None:
    """A node may have answered [] for a block just before the stop; but what is older than the arming stays unread."""
    async with open_world() as world:
        mine(world, 10)
        block = world.chain.blocks[10].ref
        async with scanning(world, Checkpoint(number=10, hash=block.hash, armed_at=armed_at)) as feed:
            mine(world, 1)
            await feed.wait_sealed(11)
    assert feed.logs() == list(range(first, 12))


async def test_a_checkpoint_that_no_node_will_reach_is_refused(clock: Clock) -> None:
    """Waiting for a head that nobody has would be waiting for ever: the error says the way out."""
    async with open_world(nodes=2) as world:
        mine(world, 3)
        with pytest.RaisesGroup(pytest.RaisesExc(CheckpointAhead, match="--from-head"), flatten_subgroups=True):
            async with scanning(world, Checkpoint(number=999_974, hash=hash_of(1), armed_at=0)):
                pass


def liar(world: World, blocks: int) -> DevNode:
    """A node on a chain of its own, that is ahead of everybody's."""
    chain = DevChain(world.chain.chain_id, world.wall)
    for _ in range(blocks):
        chain.mine(world.buy())
    return DevNode(chain)


async def test_a_start_takes_the_head_that_two_nodes_agree_on(clock: Clock) -> None:
    """The node that connects first is alone in what it says: the engine is not armed there."""
    async with open_world(nodes=3) as world:
        world.nodes[0] = liar(world, 300)
        mine(world, 4)
        async with scanning(world) as feed:
            mine(world, 1)
            await feed.wait_sealed(5)
    armed = [item.block.number for item in feed.items if isinstance(item, Armed)]
    assert (armed, feed.sealed()) == ([4], [5])


async def test_a_leap_forward_needs_a_second_nodes_word(clock: Clock) -> None:
    """One node announces a head far above, consistent with itself: nothing is sealed, and the others are followed."""
    async with open_world(nodes=3) as world:
        mine(world, 4)
        async with scanning(world) as feed:
            world.nodes[2].faults.false_head = 1_000_000
            mine(world, 2)
            await feed.wait_sealed(6)
            mine(world, 1)
            await feed.wait_sealed(7)
    assert feed.sealed() == [5, 6, 7]
    assert feed.scanner.reorgs == 0


async def test_a_leap_that_time_allows_is_believed(clock: Clock) -> None:
    """After an outage one node that is in step is enough, though the other one hangs behind."""
    async with open_world(nodes=2) as world:
        mine(world, 4)
        async with scanning(world, silence_s=600.0, behind_blocks=1000) as feed:
            world.nodes[1].faults.behind = 100
            world.nodes[0].faults.silent_heads = True
            for _ in range(99):
                await trio.sleep(1)
                mine(world, 1)
            world.nodes[0].faults.silent_heads = False
            for _ in range(15):
                mine(world, 1)
                await trio.sleep(1)
            await feed.wait_sealed(118)
    assert feed.logs() == list(range(5, 119))


async def test_two_nodes_confirm_a_reorg(clock: Clock) -> None:
    """With two nodes both have to be on the new chain; then it is followed, newest block first."""
    async with open_world(nodes=2) as world, scanning(world) as feed:
        mine(world, 4)
        await feed.wait_sealed(4)
        world.chain.reorg(2, [(), (), ()])
        await feed.wait_sealed(5)
    assert feed.logs() == [1, 2, 3, 4, -4, -3]
    assert (feed.scanner.reorgs, feed.scanner.deepest_reorg) == (1, 2)


async def test_a_reorg_that_takes_back_nothing_of_ours_is_no_alert(clock: Clock) -> None:
    """It is counted. What it takes back of ours is told, with how much that is."""
    async with open_world() as world, scanning(world) as feed:
        world.chain.mine()
        await feed.wait_sealed(1)
        world.chain.reorg(1, [(), ()])
        await feed.wait_sealed(2)
        quiet = [kind for kind, _ in feed.troubles]
        mine(world, 1)
        await feed.wait_sealed(3)
        world.chain.reorg(1, [(), ()])
        await feed.wait_sealed(4)
    assert feed.scanner.reorgs == 2
    assert "reorg" not in quiet
    assert ("reorg", "1 block taken back, 1 log") in feed.troubles


async def test_a_gap_wider_than_the_window_with_a_reorg_inside(clock: Clock) -> None:
    """Away for thirty blocks, and the last known ones were dropped meanwhile: they are taken back, the rest is read."""
    async with open_world() as world, scanning(world) as feed:
        mine(world, 6)
        await feed.wait_sealed(6)
        world.nodes[0].faults.silent_heads = world.nodes[0].faults.silent_logs = True
        world.chain.reorg(2, [(world.buy(),), (), ()])
        mine(world, 30)
        world.nodes[0].faults.silent_heads = False
        mine(world, 1)
        await feed.wait_sealed(world.chain.head.ref.number)
    logs = feed.logs()
    assert logs[:8] == [1, 2, 3, 4, 5, 6, -6, -5]
    canonical = [log.block_number for block in world.chain.blocks for log in block.logs]
    assert canonical == [1, 2, 3, 4, *logs[8:]]


async def test_a_reorg_below_the_window_is_reported_and_read_again(clock: Clock) -> None:
    """When no known block is left on the chain, everything known is taken back, and a person is told."""
    async with open_world() as world, scanning(world) as feed:
        for number in range(1, 21):
            mine(world, 1)
            await feed.wait_sealed(number)
        world.chain.reorg(15, [(world.buy(),) for _ in range(16)])
        await feed.wait_sealed(21)
    assert sum(isinstance(item, TooDeep) for item in feed.items) == 1
    taken_back = [-number for number in feed.logs() if number < 0]
    assert taken_back == [20, 19, 18, 17, 16, 15, 14, 13]
    after = feed.logs()[feed.logs().index(-13) + 1 :]
    assert list(range(13, 22)) == sorted(set(after))


async def test_a_reorg_below_the_window_after_a_long_gap(clock: Clock) -> None:
    """The worst case at once: away, reorganised below the window, and far ahead."""
    async with open_world() as world, scanning(world) as feed:
        for number in range(1, 21):
            mine(world, 1)
            await feed.wait_sealed(number)
        world.nodes[0].faults.silent_heads = world.nodes[0].faults.silent_logs = True
        world.chain.reorg(15, [(world.buy(),) for _ in range(40)])
        world.nodes[0].faults.silent_heads = False
        mine(world, 1)
        await feed.wait_sealed(world.chain.head.ref.number)
    after = feed.logs()[feed.logs().index(-13) + 1 :]
    assert list(range(13, 47)) == sorted(set(after))


async def test_a_gap_between_blocks_that_fell_out_of_the_window_is_no_late_find(clock: Clock) -> None:
    """What was read in ranges is known, though blocks before and after it left the window without a re-scan."""
    async with open_world() as world, scanning(world, rescan_every_s=3600.0) as feed:
        for number in range(1, 13):
            mine(world, 1)
            await feed.wait_sealed(number)
        world.nodes[0].faults.silent_heads = True
        mine(world, 20)
        world.nodes[0].faults.silent_heads = False
        for number in range(33, 46):
            mine(world, 1)
            await feed.wait_sealed(number)
        feed.scanner.pool.want_rescan()
        await trio.sleep(1)
        assert feed.scanner.late_logs == 0
