"""Frames, answers and logs that cannot be: counted, quarantined, survived, and none hides a good one."""

import msgspec
import pytest
import trio
import trio.testing

from tests.builders import OTHER_LEADER
from tests.engine.gate.mined import expect_a_fresh_copy_and_an_old_skip, expected_copies, mine_steadily, push_log
from tests.harness import make_test_plan, open_world, running_engine
from trio_copy.testing.devnet.wire import log_object

Clock = trio.testing.MockClock


@pytest.mark.parametrize(
    "frame",
    [
        b"{",
        b"[]",
        b'"text"',
        b'{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"0x1"}}',
        b"\xff\xfe",
        b"[" * 5000,
        b"{}" * 10,
    ],
)
async def test_garbage_is_counted_and_changes_nothing(clock: Clock, frame: bytes) -> None:
    """A frame that is no JSON-RPC is quarantined; the next fill is copied as if nothing had been."""
    async with open_world() as world, running_engine(world, make_test_plan()) as service:
        for _ in range(3):
            world.nodes[0].send_to_all(frame)
        world.chain.mine(world.buy())
        await world.recorder.wait_copies(2)
        await mine_steadily(world, 2)
        assert service.quarantine.total() >= 1 or world.recorder.alerts
    expected_copies(world, signals=1)
    assert len(world.recorder.quarantined) == len(set(world.recorder.quarantined))


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"data": "0x12"}, "order-filled-v2"),
        ({"data": "0x1"}, "malformed-log"),
        ({"topics": ["0x" + "77" * 32]}, "unknown-topic"),
        ({"address": "0x" + "12" * 20}, "unknown-contract"),
        ({"logIndex": None}, "malformed-log"),
    ],
)
async def test_a_lying_log_is_quarantined_by_kind(clock: Clock, changes: dict[str, object], kind: str) -> None:
    """Logs of other contracts, with other topics or of the wrong shape never become a signal."""
    async with open_world() as world, running_engine(world, make_test_plan()) as service:
        (node,) = world.nodes
        world.chain.mine(world.buy(OTHER_LEADER))
        written = {**log_object(world.chain.head.logs[0]), **changes}
        for client in node._clients:
            for subscription in client.subscriptions.values():
                if subscription.log_filter is not None:
                    params = {"subscription": subscription.id, "result": written}
                    client.push({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})
        await world.recorder.wait_until(lambda: bool(world.recorder.quarantined))
        assert service.quarantine[kind] == 1
    assert [kind] == world.recorder.quarantined
    assert world.recorder.admitted == []


async def test_a_huge_frame_ends_one_connection_only(clock: Clock) -> None:
    """A frame over the limit closes that connection; the other node carries on."""
    plan = make_test_plan(chain={"max_message_mib": 1})
    async with open_world(nodes=2) as world, running_engine(world, plan):
        world.nodes[0].send_to_all(msgspec.json.encode({"id": 1, "result": "x" * (1 << 21)}))
        await world.recorder.wait_until(lambda: "endpoint-lost" in dict(world.recorder.alerts))
        world.chain.mine(world.buy())
        await world.recorder.wait_copies(2)
    expected_copies(world, signals=1)


async def test_error_answers_are_survived(clock: Clock) -> None:
    """A node that answers every request with an error brings fills over its subscription; the scan resumes later."""
    async with open_world() as world, running_engine(world, make_test_plan()) as service:
        world.nodes[0].faults.error = "internal error"
        world.chain.mine(world.buy())
        await world.recorder.wait_copies(2)
        assert service.gate.sealed is not None
        assert service.gate.sealed.number == 0
        world.nodes[0].faults.error = None
        await mine_steadily(world, 3)
        assert service.gate.sealed.number >= 3
    expected_copies(world, signals=1)


async def test_logs_without_a_time_are_taken_as_fresh_only_from_a_subscription(clock: Clock) -> None:
    """Nodes that send no blockTimestamp are fine: the scanner asks for the block's time."""
    async with open_world() as world, running_engine(world, make_test_plan()):
        world.nodes[0].faults.without_time = True
        await expect_a_fresh_copy_and_an_old_skip(world)


async def test_null_for_no_logs_is_an_answer(clock: Clock) -> None:
    """The scan goes on over empty blocks of a node that has no empty list, and nothing is told against it."""
    async with open_world() as world, running_engine(world, make_test_plan()) as service:
        world.nodes[0].faults.null_logs = True
        await mine_steadily(world, 3)
        world.chain.mine(world.buy())
        await world.recorder.wait_copies(2)
        await mine_steadily(world, 3)
        assert service.gate.sealed is not None
        assert service.gate.sealed.number >= world.chain.head.ref.number - 1
    assert world.recorder.alerts == []


async def test_what_has_no_block_yet_is_counted_and_not_held_against_its_node(clock: Clock) -> None:
    """Nodes tell logs and heads before they are mined: the copy is made of the one that has a block, once."""
    async with open_world() as world, running_engine(world, make_test_plan()) as service:
        world.nodes[0].faults.pending = True
        world.chain.mine(world.buy())
        await world.recorder.wait_copies(2)
        await mine_steadily(world, 3)
        assert not service.pool.endpoints[0].unreadable
        assert set(service.quarantine) == {"pending-head", "pending-log"}
    expected_copies(world, signals=1)
    assert world.recorder.alerts == []


async def test_a_log_of_no_block_in_the_answer_for_one_is_not_passed_over(clock: Clock) -> None:
    """Nobody tells it again: its block is not sealed without it, a person hears of it, and it is copied once it can be read."""
    async with open_world() as world, running_engine(world, make_test_plan()) as service:
        faults = world.nodes[0].faults
        faults.silent_logs = faults.blockless_answers = True
        world.chain.mine(world.buy())
        await trio.sleep(1)
        assert service.gate.sealed is not None
        assert service.gate.sealed.number < world.chain.head.ref.number
        faults.blockless_answers = False
        await mine_steadily(world, 5)
    expected_copies(world, signals=1)
    assert "unreadable" in {kind for kind, _ in world.recorder.alerts}


async def test_a_spoiled_copy_of_a_log_does_not_hide_the_good_one(clock: Clock) -> None:
    """The first node sends a truncated log; the scanner's copy of the same log is still copied."""
    async with open_world() as world, running_engine(world, make_test_plan()):
        world.nodes[0].faults.silent_logs = world.nodes[0].faults.silent_heads = True
        world.chain.mine(world.buy())
        spoiled = {**log_object(world.chain.head.logs[0]), "data": "0x00"}
        push_log(world, 0, spoiled)
        await world.recorder.wait_until(lambda: bool(world.recorder.quarantined))
        world.nodes[0].faults.silent_heads = False
        world.chain.mine()
        await world.recorder.wait_copies(2)
    expected_copies(world, signals=1)


async def test_a_block_from_the_future_has_a_deadline_too(clock: Clock) -> None:
    """A node that claims a time far ahead neither crashes anything nor makes a copy that may be sent for ever."""
    async with open_world() as world, running_engine(world, make_test_plan()):
        world.nodes[0].faults.silent_logs = world.nodes[0].faults.silent_heads = True
        world.chain.mine(world.buy())
        push_log(world, 0, {**log_object(world.chain.head.logs[0]), "blockTimestamp": hex(2**39)})
        await world.recorder.wait_copies(2)
        push_log(world, 0, {**log_object(world.chain.head.logs[0]), "logIndex": "0x9", "blockTimestamp": hex(2**256)})
        push_log(world, 0, {**log_object(world.chain.head.logs[0]), "logIndex": "-1"})
        await world.recorder.wait_until(lambda: "malformed-log" in world.recorder.quarantined)
    deadlines = [finished.task.deadline for finished in world.recorder.finished]
    assert max(deadlines) <= world.wall() + 5
