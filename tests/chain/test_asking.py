"""How nodes are asked: less where they refuse, seldom where they limit, another way where they cannot. Virtual time."""

from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import hash_of
from tests.chain.test_scanner import Clock, mine, scanning
from tests.harness import World, make_test_plan, open_world, patient, running_engine
from trio_copy.chain.feed import GLANCE, SeenLog
from trio_copy.model.logs import BlockRef, Checkpoint, RawLog
from trio_copy.testing.devnet import shown
from trio_copy.testing.devnet.chain import DevTx
from trio_copy.testing.devnet.wire import log_object


def kinds(troubles: list[tuple[str, str]]) -> list[str]:
    return [kind for kind, _ in troubles]


async def mine_every(world: World, seconds: float, count: int, fills: int = 1) -> None:
    for _ in range(count):
        world.chain.mine(*(world.buy() for _ in range(fills)))
        await trio.sleep(seconds)


def away(world: World, blocks: int) -> Checkpoint:
    """Mine a chain whose first block is the checkpoint of a reader that was away for the others."""
    mine(world, blocks + 1)
    return Checkpoint(number=1, hash=world.chain.blocks[1].ref.hash, armed_at=1)


async def test_a_range_that_hangs_is_halved_and_the_width_remembered(clock: Clock) -> None:
    """Silence means "ask for less": each timeout halves, and what is known to hang is not asked again at once."""
    async with open_world() as world:
        checkpoint = away(world, 400)
        world.nodes[0].faults.hang_range = 100
        async with scanning(world, checkpoint) as feed:
            await feed.wait_sealed(401)
        hung = [stop - start + 1 for start, stop in world.nodes[0].ranges if stop - start + 1 > 100]
    assert sorted(feed.logs()) == list(range(2, 402))
    assert hung == [396, 198]
    assert len(world.nodes[0].ranges) < 30


async def test_a_range_that_hangs_is_not_sent_to_the_second_node_as_wide(clock: Clock) -> None:
    """What has just been too much for one node is not tried on the next."""
    async with open_world(nodes=2) as world:
        checkpoint = away(world, 400)
        for node in world.nodes:
            node.faults.hang_range = 100
        async with scanning(world, checkpoint) as feed:
            await feed.wait_sealed(401)
        hung = [stop - start + 1 for node in world.nodes for start, stop in node.ranges if stop - start + 1 > 100]
    assert sorted(feed.logs()) == list(range(2, 402))
    assert sorted(hung, reverse=True) == [396, 198]


async def test_a_range_that_ends_the_connection_is_halved(clock: Clock) -> None:
    """A connection that ends over a wide range is a refusal too: after the reconnect less is asked for."""
    plan = patient(make_test_plan(engine={"deadline_s": 600}, chain={"window_blocks": 8}))
    async with open_world() as world, running_engine(world, plan) as service:
        world.nodes[0].faults.close_range = 10
        world.down = {0}
        world.nodes[0].drop_connections()
        mine(world, 60)
        world.down = set()
        await world.recorder.wait_copies(120)
        assert service.gate.sealed is not None
    assert len(world.recorder.copies) == len(set(world.recorder.copies)) == 120
    too_wide = [blocks for start, stop in world.nodes[0].ranges if (blocks := stop - start + 1) > 10]
    assert too_wide == [56, 28, 14]


async def test_a_width_grows_again(clock: Clock) -> None:
    """A node that has recovered is asked for wide ranges again, after some time and by and by."""
    async with open_world() as world, scanning(world, rescan_every_s=5.0, window_blocks=32) as feed:
        mine(world, 32)
        await feed.wait_sealed(32)
        world.nodes[0].faults.hang_range = 10
        await trio.sleep(40)
        narrow = world.nodes[0].ranges[-1]
        world.nodes[0].faults.hang_range = None
        await trio.sleep(100)
        wide = world.nodes[0].ranges[-1]
    assert narrow[1] - narrow[0] < 10
    assert wide == (1, 32)


async def test_what_was_read_of_a_gap_is_not_read_again(clock: Clock) -> None:
    """A node that fails in the middle of a gap costs the piece it failed at, not the whole gap."""
    async with open_world() as world:
        checkpoint = away(world, 200)
        node = world.nodes[0]

        async with scanning(world, checkpoint, max_range_blocks=9, requests_per_s=5.0) as feed:
            await feed.wait_sealed(91)
            node.faults.error = "internal error"
            await trio.sleep(20)
            before = len(node.ranges)
            node.faults.error = None
            await feed.wait_sealed(100)
            assert node.ranges[before][0] in (92, 101)
            await feed.wait_sealed(201)
    assert feed.logs() == list(range(2, 202))


async def test_new_fills_do_not_wait_for_a_gap(clock: Clock) -> None:
    """A node that answers a long gap block by block, and subscriptions without logs: the newest blocks are read meanwhile."""
    async with open_world() as world:
        checkpoint = away(world, 500)
        world.nodes[0].faults.max_range = 1
        world.nodes[0].faults.silent_logs = True
        async with scanning(world, checkpoint, requests_per_s=10.0) as feed:
            await mine_every(world, 2.0, 5)
            early = [
                item.log.block_number for item in feed.items if isinstance(item, SeenLog) and item.source == GLANCE
            ]
            assert max(feed.sealed(), default=0) < 400
    assert set(range(503, 506)) <= set(early)


async def test_a_rate_limit_is_waited_for(clock: Clock) -> None:
    """Copies go on by subscription; the node is asked less and less, and a person is told once in a while."""
    async with open_world() as world, running_engine(world, make_test_plan()) as service:
        node = world.nodes[0]
        node.faults.rate_limited = True
        node.requests.clear()
        await mine_every(world, 0.5, 150)
        assert len(world.recorder.copies) == 300
        assert node.requests["eth_getLogs"] < 20
        assert node.requests.get("eth_getBlockByHash", 0) < 60
        alerts = kinds(world.recorder.alerts)
        assert 1 <= alerts.count("rate-limited") <= 4
        assert alerts.count("scan-failed") <= 4
        node.faults.rate_limited = False
        await mine_every(world, 2.0, 50)
        assert service.gate.sealed is not None
        assert service.gate.sealed.number >= 199
    assert ("rate-limited", True) in [(kind, "over" in detail) for kind, detail in world.recorder.alerts]


async def test_another_node_is_asked_while_one_rests(clock: Clock) -> None:
    """A limit is one node's: the blocks are read from the other one, and the first is hardly asked."""
    async with open_world(nodes=2) as world, scanning(world) as feed:
        world.nodes[0].faults.rate_limited = True
        world.nodes[0].requests.clear()
        for number in range(1, 31):
            mine(world, 1)
            await trio.sleep(0.5)
            assert number in feed.sealed()
    assert world.nodes[0].requests.get("eth_getLogs", 0) < 8


async def test_a_rate_limit_does_not_narrow(clock: Clock) -> None:
    """A limit on requests is no limit on ranges: asking for less would only ask more often."""
    async with open_world() as world:
        checkpoint = away(world, 100)
        world.nodes[0].faults.rate_limited = True
        async with scanning(world, checkpoint) as feed:
            await trio.sleep(20)
            world.nodes[0].faults.rate_limited = False
            await feed.wait_sealed(101)
    assert world.nodes[0].ranges[0] == (2, 97)


async def test_requests_keep_to_the_rate(clock: Clock) -> None:
    """No endpoint is asked more often than the setting says, whatever there is to read."""
    async with open_world() as world:
        checkpoint = away(world, 300)
        async with scanning(world, checkpoint, max_range_blocks=1, requests_per_s=5.0) as feed:
            world.nodes[0].requests.clear()
            await trio.sleep(20)
            asked = sum(world.nodes[0].requests.values())
            assert feed.sealed()
    assert 90 <= asked <= 20 * 5 + 10


async def test_a_node_that_lags_is_not_stormed_while_arming(clock: Clock) -> None:
    """Waiting for a node to reach the checkpoint costs few requests and few alerts."""
    async with open_world() as world:
        mine(world, 6)
        block = world.chain.blocks[6].ref
        world.nodes[0].faults.behind = 3
        troubles: list[tuple[str, str]] = []

        async def recover() -> None:
            await trio.sleep(60)
            world.nodes[0].faults.behind = 0

        async with trio.open_nursery() as nursery:
            nursery.start_soon(recover)
            async with scanning(world, Checkpoint(number=6, hash=block.hash), silence_s=600.0) as feed:
                troubles += feed.troubles
                mine(world, 1)
                await feed.wait_sealed(7)
    assert 1 <= kinds(troubles).count("arm-failed") <= 3
    assert world.nodes[0].requests["eth_getBlockByNumber"] < 40


async def test_a_node_that_takes_no_hashes_is_asked_by_number(clock: Clock) -> None:
    """Every block is read and sealed; the refusal is remembered, and a block costs one question, two when it is empty."""
    async with open_world() as world, scanning(world, rescan_every_s=3600.0) as feed:
        node = world.nodes[0]
        await trio.sleep(1)
        node.faults.refuse_block_hash = True
        node.requests.clear()
        for _ in range(15):
            mine(world, 1)
            world.chain.mine()
            await trio.sleep(2)
        await feed.wait_sealed(30)
    assert feed.logs() == list(range(1, 31, 2))
    assert node.requests["eth_getLogs"] == 31
    assert node.requests["eth_getBlockByNumber"] == 15


async def test_a_node_that_ignores_hashes_is_asked_by_number(clock: Clock) -> None:
    """Logs of another block answer another question: nothing is missed until a re-scan."""
    async with open_world() as world, scanning(world, rescan_every_s=3600.0) as feed:
        node = world.nodes[0]
        await trio.sleep(1)
        node.faults.ignore_block_hash = True
        for _ in range(3):
            mine(world, 4)
            await trio.sleep(2)
        await feed.wait_sealed(12)
        assert feed.scanner.late_logs == 0
    assert feed.logs() == list(range(1, 13))


async def test_an_answer_by_number_has_to_carry_the_hash(clock: Clock) -> None:
    """A block is not sealed with the logs of another one that has its number."""
    async with open_world() as world, scanning(world) as feed:
        node = world.nodes[0]
        node.faults.refuse_block_hash = True
        mine(world, 2)
        await feed.wait_sealed(2)
        node.faults.silent_heads = True
        mine(world, 1)
        other = evolve(world.chain.head.ref, hash=hash_of(9))
        feed.scanner.pool.announce(feed.scanner.pool.endpoints[0], other)
        await trio.sleep(5)
        assert feed.sealed() == [1, 2]
        feed.scanner.pool.announce(feed.scanner.pool.endpoints[0], world.chain.head.ref)
        await feed.wait_sealed(3)
    assert feed.logs() == [1, 2, 3]


async def test_a_node_that_cuts_its_answers_is_asked_in_parts(clock: Clock) -> None:
    """90 logs in a gap, and a node that tells at most 32: all are read, and a person is told once."""
    async with open_world() as world:
        checkpoint = away(world, 90)
        world.nodes[0].faults.cut_logs = 32
        async with scanning(world, checkpoint) as feed:
            await feed.wait_sealed(91)
        asked = world.nodes[0].requests["eth_getLogs"]
    assert sorted(feed.logs()) == list(range(2, 92))
    assert kinds(feed.troubles).count("cuts-answers") == 1
    assert asked < 60


async def test_logs_that_all_stand_in_one_half_are_not_taken_for_whole(clock: Clock) -> None:
    """The halves of a cut answer can hold as many as it: then the fuller one is halved on."""
    async with open_world() as world:
        world.chain.mine()
        checkpoint = Checkpoint(number=1, hash=world.chain.blocks[1].ref.hash, armed_at=1)
        for _ in range(10):
            world.chain.mine(*(world.buy() for _ in range(6)))
        for _ in range(60):
            world.chain.mine()
        world.nodes[0].faults.cut_logs = 32
        async with scanning(world, checkpoint) as feed:
            await feed.wait_sealed(71)
    assert len(feed.logs()) == 60


async def test_a_block_that_is_cut_needs_a_second_nodes_word(clock: Clock) -> None:
    """One block with more logs of one leader than a node tells: the other node has them, and alone a person is told."""
    for nodes, found, told in ((2, 50, 0), (1, 32, 1)):
        async with open_world(nodes=nodes) as world, scanning(world) as feed:
            world.nodes[0].faults.cut_logs = 32
            await mine_every(world, 1.0, 12, fills=6)
            await trio.sleep(40)
            feed.items.clear()
            for node in world.nodes:
                node.faults.silent_logs = True
            world.chain.mine(*(world.buy() for _ in range(50)))
            await feed.wait_sealed(13)
        assert len(feed.logs()) == found
        assert kinds(feed.troubles).count("block-cut") == told


async def test_a_healthy_block_costs_one_request_a_filter(clock: Clock) -> None:
    """With one, two and three nodes; whatever the logs in it, once the longest answers were looked into."""
    for nodes in (1, 2, 3):
        async with open_world(nodes=nodes) as world, scanning(world, window_blocks=32) as feed:
            await mine_every(world, 2.0, 50, fills=3)
            for node in world.nodes:
                node.requests.clear()
            await mine_every(world, 2.0, 30, fills=3)
            await feed.wait_sealed(80)
            requests = [node.requests for node in world.nodes]
        assert sum(counts.get("eth_getBlockByHash", 0) for counts in requests) == 0
        # One a block, and in this minute two or three re-scans, by two nodes where there are two.
        assert 30 < sum(counts.get("eth_getLogs", 0) for counts in requests) <= 30 + 3 * min(nodes, 2)


async def test_removals_that_are_wrong_are_believed_once(clock: Clock) -> None:
    """500 false removals in ten seconds from one of three nodes: one look, then that node is doubted; copied once."""
    plan = patient(make_test_plan(engine={"deadline_s": 60}, chain={"rescan_every_s": 3600.0, "silence_s": 3600.0}))
    async with open_world(nodes=3) as world, running_engine(world, plan):
        await mine_every(world, 1.0, 3)
        await world.recorder.wait_copies(6)
        for node in world.nodes:
            node.requests.clear()
        for _ in range(500):
            _push_removed(world, 2, world.chain.head.ref)
            await trio.sleep(0.02)
        asked = sum(node.requests.get("eth_getLogs", 0) for node in world.nodes)
    assert asked <= 4
    assert kinds(world.recorder.alerts).count("false-removal") == 1
    assert len(world.recorder.copies) == len(set(world.recorder.copies)) == 6


async def test_a_real_reorg_is_followed_though_the_node_is_doubted(clock: Clock) -> None:
    """Whoever took logs back in vain is not heard; the chain is."""
    async with open_world() as world, running_engine(world, patient(make_test_plan())) as service:
        await mine_every(world, 1.0, 3)
        for _ in range(50):
            _push_removed(world, 0, world.chain.head.ref)
            await trio.sleep(0.02)
        await world.recorder.wait_copies(6)
        before = len(world.recorder.retracted)
        world.chain.reorg(1, [(), ()])
        await world.recorder.wait_until(lambda: len(world.recorder.retracted) > before)
        assert service.scanner.reorgs == 1


def _push_removed(world: World, node: int, block: BlockRef) -> None:
    """Let one node take back the logs of a block that is on the chain."""
    for log in world.chain.blocks[block.number].logs:
        for client in world.nodes[node]._clients:
            for subscription in client.subscriptions.values():
                if subscription.log_filter is not None:
                    params = {"subscription": subscription.id, "result": log_object(log, removed=True)}
                    client.push({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})


async def test_a_block_is_not_sealed_without_logs_that_cannot_be_read(clock: Clock) -> None:
    """The only node writes logs that nobody can read: it is as good as away, and nothing is lost when it recovers."""
    plan = patient(make_test_plan(engine={"deadline_s": 600}))
    async with open_world() as world, running_engine(world, plan) as service:
        world.nodes[0].faults.unreadable_logs = True
        await mine_every(world, 1, 5)
        assert service.gate.sealed is not None
        assert service.gate.sealed.number == 0
        world.nodes[0].faults.unreadable_logs = False
        await mine_every(world, 1, 5)
        await world.recorder.wait_copies(20)


async def test_a_node_that_cannot_be_read_gives_way_to_one_that_can(clock: Clock) -> None:
    """With a second node nothing waits."""
    async with open_world(nodes=2) as world, scanning(world) as feed:
        world.nodes[0].faults.unreadable_logs = True
        mine(world, 3)
        await feed.wait_sealed(3)
    assert feed.logs() == [1, 2, 3]


def _illegible(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let every node write the logs of one block so that nobody can read them."""

    def written(log: RawLog, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {**log_object(log, *args, **kwargs), **({"data": "0x?"} if log.block_number == number else {})}

    monkeypatch.setattr(shown, "log_object", written)


@pytest.mark.parametrize("nodes", [1, 2])
@pytest.mark.parametrize("gap", [False, True], ids=["at the head", "in a gap"])
async def test_a_log_that_nobody_can_read_stops_its_block_for_a_while_only(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, nodes: int, gap: bool
) -> None:
    """Everything else is read, in a gap too; a person is told once which block is incomplete."""
    _illegible(monkeypatch, 20)
    async with open_world(nodes=nodes) as world:
        checkpoint = away(world, 60) if gap else None
        async with scanning(world, checkpoint, window_blocks=8 if gap else 128, rescan_every_s=5.0) as feed:
            if not gap:
                mine(world, 61)
            await mine_every(world, 2.0, 12)
            assert feed.sealed()[-1] == 19
            await mine_every(world, 2.0, 20)
            assert feed.sealed()[-1] == 93
            await trio.sleep(60)
        assert all(endpoint.manners.range_blocks(2000) == 2000 for endpoint in feed.scanner.pool.endpoints)
    assert sorted(feed.logs()) == [number for number in range(2 if gap else 1, 94) if number != 20]
    (told,) = (detail for kind, detail in feed.troubles if kind == "log-lost")
    assert told.startswith("block 20 is read without 1 log that")


async def test_a_block_is_waited_for_longer_while_another_node_may_still_give_it(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It refuses for now, which is no word about the block; but nothing is waited for without end."""
    _illegible(monkeypatch, 2)
    async with open_world(nodes=2) as world, scanning(world) as feed:
        world.nodes[1].faults.rate_limited = 1
        mine(world, 3)
        await trio.sleep(290)
        assert feed.sealed() == [1]
        await trio.sleep(30)
        assert feed.sealed() == [1, 2, 3]
    assert kinds(feed.troubles).count("log-lost") == 1


async def test_the_newest_blocks_are_read_while_an_older_one_cannot_be(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No subscription brings them, and they would be too old afterwards."""
    _illegible(monkeypatch, 2)
    async with open_world() as world, scanning(world) as feed:
        world.nodes[0].faults.silent_logs = True
        mine(world, 2)
        await trio.sleep(2)
        await mine_every(world, 2.0, 5)
        await trio.sleep(6)
        assert feed.sealed() == [1]
        glanced = {item.log.block_number for item in feed.items if isinstance(item, SeenLog) and item.source == GLANCE}
        assert 7 in glanced


async def test_a_log_may_be_as_large_as_a_message(clock: Clock) -> None:
    """Anybody can pay for one of a megabyte."""
    async with open_world() as world, scanning(world) as feed:
        (log,) = world.buy().logs
        large = evolve(log, data=log.data + bytes(1 << 20))
        world.chain.mine(DevTx(tx_hash=hash_of(77), logs=(large,)))
        mine(world, 1)
        await feed.wait_sealed(2)
    assert feed.logs() == [1, 2]
    assert feed.troubles == []
