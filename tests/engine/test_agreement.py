"""One node's word carries the engine nowhere, and one node's silence does not hold it up. Virtual time, real WebSockets."""

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.harness import World, make_test_plan, open_world, running_engine
from trio_copy.model.control import ENGINE, Mode
from trio_copy.testing.devnet.shown import ShownChain

Clock = trio.testing.MockClock


async def trade(world: World, blocks: int, every_s: float = 2.0) -> None:
    for _ in range(blocks):
        world.chain.mine(world.buy())
        await trio.sleep(every_s)


@pytest.mark.parametrize("honest_times", [True, False])
async def test_a_liar_that_goes_ahead_step_by_step_is_left_behind(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, honest_times: bool
) -> None:
    """A little further at each block, or with headers of years ago: what time allows is counted by our own clock."""
    if not honest_times:
        invented = ShownChain._invented
        monkeypatch.setattr(
            ShownChain, "_invented", lambda self, number, base: evolve(invented(self, number, base), time=1_590_824_900)
        )
    async with open_world(nodes=3) as world, running_engine(world, make_test_plan()) as service:
        await trade(world, 10)
        liar = world.nodes[2]
        for ahead in range(10, 400, 13):
            liar.faults.false_head = world.chain.head.ref.number + ahead
            world.chain.mine()
            await trio.sleep(0.2)
        liar.faults.false_head = 1_000_000
        await trade(world, 10)
        liar.faults.clear()
        await trade(world, 10)
        await world.recorder.wait_copies(60)
        checkpoint = service.holder.shards[0].checkpoint
        mode = (await service.store.control.modes()).of(ENGINE).mode
    assert checkpoint is not None
    assert checkpoint.number <= world.chain.head.ref.number
    assert mode is Mode.RUN
    assert len(world.recorder.copies) == len(set(world.recorder.copies)) == 60


async def test_a_gap_is_read_beside_a_liar(clock: Clock) -> None:
    """Who claims most is not asked first: no block by number is one node's word."""
    async with open_world(nodes=3) as world, running_engine(world, make_test_plan()) as service:
        await trade(world, 10)
        world.nodes[2].faults.false_head = 1_000_000
        for node in world.nodes:
            node.faults.silent_heads = node.faults.silent_logs = True
        await trade(world, 100, every_s=0.07)
        for node in world.nodes:
            node.faults.silent_heads = node.faults.silent_logs = False
        await trade(world, 40)
        assert (await service.store.control.modes()).of(ENGINE).mode is Mode.RUN
        assert service.scanner.reorgs == 0
    assert len(world.recorder.admitted) == 150


async def test_a_node_that_answers_nothing_does_not_veto_a_reorg(clock: Clock) -> None:
    """It tells the new chain itself, though every request to it is refused: that is a second word."""
    async with open_world(nodes=2) as world, running_engine(world, make_test_plan()) as service:
        await trade(world, 5)
        world.nodes[1].faults.error = "daily request limit reached, quota exceeded"
        await trade(world, 5)
        world.chain.reorg(1, [(), ()])
        for node in world.nodes:
            node.faults.lose_log = True
        await trade(world, 20)
        assert service.scanner.reorgs == 1
        await world.recorder.wait_until(lambda: len(world.recorder.admitted) == 30)


async def test_a_node_that_lags_does_not_hold_up_a_start(clock: Clock) -> None:
    """It is on the same chain, and only as far behind as the time of its head explains."""
    async with open_world(nodes=2) as world:
        await trade(world, 60)
        world.nodes[1].faults.behind = 40
        async with running_engine(world, make_test_plan()) as service:
            assert service.gate.armed_at == 60
