"""No missed log, no double signal: through dead, late and forking nodes. Virtual time, real WebSockets."""

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import OTHER_LEADER, hash_of
from tests.engine.gate.mined import expected_copies, mine_steadily, push_log
from tests.harness import make_test_plan, open_world, patient, running_engine
from trio_copy.engine.books.books import positions
from trio_copy.model.decisions import Code, End
from trio_copy.testing.devnet.wire import log_object
from trio_copy.testing.scripted import ScriptedExecutor, scripted_plugin

Clock = trio.testing.MockClock


async def test_a_fill_is_copied_once_by_every_follower(clock: Clock) -> None:
    """The whole spine: frame, fill, signal, tasks, orders, positions."""
    async with open_world() as world, running_engine(world, make_test_plan()) as service:
        world.chain.mine(world.buy())
        await world.recorder.wait_copies(2)
        held = await positions(service.store.history)
    expected_copies(world, signals=1)
    assert {"10"} == {str(position.shares) for position in held.values()}


async def test_three_nodes_bring_a_fill_three_times_and_it_counts_once(clock: Clock) -> None:
    """First wins, union completes: the scanner's copy and the other nodes' are dropped."""
    async with open_world(nodes=3) as world, running_engine(world, make_test_plan()) as service:
        for node in world.nodes:
            node.faults.each_log_twice = True
        for _ in range(5):
            world.chain.mine(world.buy())
        await mine_steadily(world, 3)
        reader = service.gate.reader
    expected_copies(world, signals=5)
    assert reader.counts["copy"] >= 5 * 6


async def test_what_a_dead_connection_missed_is_filled_in(clock: Clock) -> None:
    """Fills mined while no node was connected are found by the scanner after the reconnect."""
    async with open_world() as world, running_engine(world, make_test_plan(engine={"deadline_s": 60})):
        world.down = {0}
        world.nodes[0].drop_connections()
        for _ in range(3):
            world.chain.mine(world.buy())
        await trio.sleep(1)
        world.down = set()
        await world.recorder.wait_copies(6)
    expected_copies(world, signals=3)
    assert "endpoint-lost" in dict(world.recorder.alerts)


async def test_a_gap_wider_than_the_window_is_read_in_ranges(clock: Clock) -> None:
    """A long outage is caught up in ranges that shrink when the node refuses them."""
    plan = make_test_plan(engine={"deadline_s": 600}, chain={"window_blocks": 8, "max_range_blocks": 50})
    plan = patient(plan)
    async with open_world() as world, running_engine(world, plan):
        world.nodes[0].faults.max_range = 7
        world.down = {0}
        world.nodes[0].drop_connections()
        for _ in range(40):
            world.chain.mine(world.buy())
        world.down = set()
        await world.recorder.wait_copies(80)
    expected_copies(world, signals=40)


async def test_old_fills_are_recorded_but_never_copied(clock: Clock) -> None:
    """What is found too late is counted with its reason; nothing is sent after its deadline."""
    async with open_world() as world, running_engine(world, make_test_plan()):
        world.down = {0}
        world.nodes[0].drop_connections()
        world.chain.mine(world.buy())
        await trio.sleep(20)
        world.down = set()
        await world.recorder.wait_until(lambda: len(world.recorder.skips) == 2)
    assert {Code.TOO_OLD} == {skip.reason.code for skip in world.recorder.skips}
    assert world.recorder.copies == []


async def test_fills_before_arming_are_not_copied(clock: Clock) -> None:
    """The story starts at the head of the first start, not before."""
    async with open_world() as world:
        world.chain.mine(world.buy())
        async with running_engine(world, make_test_plan()):
            world.chain.mine(world.buy())
            await world.recorder.wait_copies(2)
            await mine_steadily(world, 40)
    expected_copies(world, signals=1)


async def test_logs_that_only_a_rescan_finds_are_copied_and_counted(clock: Clock) -> None:
    """A node that sends no logs and answers [] once does not hide a fill; the miss is counted."""
    plan = patient(make_test_plan(engine={"deadline_s": 60}, chain={"rescan_every_s": 5.0}))
    async with open_world() as world, running_engine(world, plan) as service:
        await mine_steadily(world, 3)
        await trio.sleep(0.5)
        world.nodes[0].faults.silent_logs = True
        world.nodes[0].faults.empty_logs = 1
        world.chain.mine(world.buy())
        await mine_steadily(world, 8)
        assert service.scanner.late_logs == 1
    expected_copies(world, signals=1)
    assert "late-log" in dict(world.recorder.alerts)


async def test_an_empty_block_needs_a_second_nodes_word(clock: Clock) -> None:
    """With two nodes, one that answers [] for a block whose bloom says otherwise is overruled at once."""
    async with open_world(nodes=2) as world, running_engine(world, make_test_plan()) as service:
        await mine_steadily(world, 2)
        for node in world.nodes:
            node.faults.silent_logs = True
        world.nodes[0].faults.empty_logs = 1
        world.chain.mine(world.buy())
        await world.recorder.wait_copies(2)
        assert service.scanner.late_logs == 0
    expected_copies(world, signals=1)


@pytest.mark.parametrize("without_removed", [False, True])
@pytest.mark.parametrize("depth", [1, 3, 20])
async def test_a_remined_fill_is_adopted_not_copied_again(clock: Clock, depth: int, without_removed: bool) -> None:
    """A reorg takes fills back and mines them in other blocks, with other log indexes: still one copy each."""
    async with open_world() as world, running_engine(world, make_test_plan()) as service:
        world.nodes[0].faults.without_removed = without_removed
        txs = [world.buy() for _ in range(depth)]
        for tx in txs:
            world.chain.mine(tx)
            await trio.sleep(0.1)
        await world.recorder.wait_copies(2 * depth)
        world.chain.reorg(depth, [(world.buy(OTHER_LEADER), tx) for tx in txs] + [()])
        await mine_steadily(world, 3)
        assert service.scanner.reorgs == 1
    expected_copies(world, signals=depth)


async def test_a_resubmitted_trade_is_adopted_by_its_order_hash(clock: Clock) -> None:
    """The same order filled again for the same amounts under a new transaction hash is the old trade."""
    async with open_world() as world, running_engine(world, make_test_plan()):
        first = world.buy()
        world.chain.mine(first)
        await world.recorder.wait_copies(2)
        world.chain.reorg(1, [(world.buy(OTHER_LEADER),), (evolve(first, tx_hash=hash_of(999)),)])
        await mine_steadily(world, 2)
    expected_copies(world, signals=1)
    assert "adopted" in world.recorder.admissions


async def test_a_retracted_fill_that_had_not_started_waits_and_then_ends(clock: Clock) -> None:
    """Tasks of a retracted fill are suspended; when it is not mined again in time they end with a reason, unsent."""
    plan = make_test_plan(engine={"workers": 1}, executor={"latency_ms": 3000})
    async with open_world() as world, running_engine(world, plan) as service:
        world.chain.mine(world.buy(token=1))
        await world.recorder.wait_until(lambda: len(world.recorder.admitted) == 1)
        world.chain.mine(world.buy(token=2))
        await world.recorder.wait_until(lambda: len(world.recorder.admitted) == 2)
        world.chain.reorg(1, [(), ()])
        await world.recorder.wait_until(lambda: bool(world.recorder.retracted))
        assert service.status().suspended == 2
        await mine_steadily(world, 12)
    ends = {finished.task.intent.token_id: finished.outcome.end for finished in world.recorder.finished}
    assert ends[1] is End.FILLED  # type: ignore[index]  # a literal token
    assert ends[2] in (End.RETRACTED, End.EXPIRED)  # type: ignore[index]  # a literal token


async def test_a_subscription_that_its_node_ends_costs_no_copy(clock: Clock) -> None:
    """It says so: nobody waits for the silence to be noticed, which takes longer than a copy has."""
    async with open_world() as world, running_engine(world, make_test_plan()):
        world.nodes[0].faults.end_subscriptions = 1
        for _ in range(3):
            world.chain.mine(world.buy())
            await trio.sleep(2)
        await world.recorder.wait_copies(6)
    expected_copies(world, signals=3)


async def test_a_removal_that_only_one_node_claims_is_looked_into(clock: Clock) -> None:
    """Waiting copies are held at once, and go on as soon as the scanner has seen that the log is still there."""
    plan = make_test_plan(engine={"workers": 1, "deadline_s": 60}, executor={"latency_ms": 2000})
    async with open_world(nodes=3) as world, running_engine(world, patient(plan)) as service:
        world.chain.mine(world.buy())
        await world.recorder.wait_until(lambda: len(world.recorder.admitted) == 1)
        await trio.sleep(0.5)
        push_log(world, 2, log_object(world.chain.head.logs[0], removed=True))
        await world.recorder.wait_until(lambda: bool(world.recorder.retracted))
        await world.recorder.wait_until(lambda: "adopted" in world.recorder.admissions)
        await world.recorder.wait_copies(2)
        assert service.scanner.late_logs == 0
    expected_copies(world, signals=1)


async def test_a_drain_waits_for_outcomes_that_can_still_be_proven(clock: Clock) -> None:
    """An order whose reply was lost is looked up before the engine ends; its fill is booked."""
    scripted = ScriptedExecutor(script=["lose reply", "lose reply"])
    plan = make_test_plan(engine={"drain_s": 60.0})
    executors = tuple(evolve(planned, plugin=scripted_plugin(scripted)) for planned in plan.executors)
    async with open_world() as world:
        async with running_engine(world, evolve(plan, executors=executors)) as service:
            world.chain.mine(world.buy())
            await world.recorder.wait_until(lambda: len(scripted.sent) == 2)
            service.drain()
        assert len(world.recorder.copies) == 2
        assert len(await positions(service.store.history)) == 2
