"""No missed log, no double signal: through dead, silent, lying and forking nodes. Virtual time, real WebSockets."""

from itertools import pairwise

import msgspec
import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import LEADER, NOW, OTHER_LEADER, hash_of
from tests.harness import World, make_test_plan, open_world, patient, running_engine
from trio_copy.engine.books.books import positions
from trio_copy.engine.opening import open_service
from trio_copy.errors import RestartBudgetExhausted, WrongChain
from trio_copy.model.control import ENGINE, Mode
from trio_copy.model.decisions import Code, End
from trio_copy.model.follows import Follow
from trio_copy.model.ids import Address
from trio_copy.testing.devnet.wire import log_object
from trio_copy.testing.scripted import ScriptedExecutor, scripted_plugin

Clock = trio.testing.MockClock


async def mine_steadily(world: World, seconds: float, every: float = 1.0) -> None:
    """Let empty blocks pass, as a chain does."""
    for _ in range(int(seconds / every)):
        await trio.sleep(every)
        world.chain.mine()


def expected_copies(world: World, signals: int, followers: int = 2) -> None:
    """Every signal was copied exactly once by everybody."""
    recorder = world.recorder
    assert signals == len(recorder.admitted)
    assert signals * followers == len(recorder.copies) == len(set(recorder.copies))


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


async def test_a_lower_head_of_one_node_is_a_suspect_not_a_reorg(clock: Clock) -> None:
    """A node on a fork of its own, or behind, takes nothing back while the other one disagrees."""
    async with open_world(nodes=2) as world, running_engine(world, make_test_plan()) as service:
        world.chain.mine(world.buy())
        await world.recorder.wait_copies(2)
        world.nodes[1].faults.behind = 3
        await mine_steadily(world, 4)
        assert service.scanner.reorgs == 0
    assert world.recorder.retracted == []


async def test_a_silent_head_ends_the_connection(clock: Clock) -> None:
    """Pings that are answered prove nothing: without new heads the subscription is stale."""
    async with open_world() as world, running_engine(world, make_test_plan()):
        world.nodes[0].faults.silent_heads = True
        await world.recorder.wait_until(lambda: "endpoint-lost" in dict(world.recorder.alerts))
    assert "no new head for" in dict(world.recorder.alerts)["endpoint-lost"]


async def test_a_node_that_stops_answering_ends_the_connection(clock: Clock) -> None:
    """A request without an answer, on a socket that looks alive, does not hang anything."""
    plan = patient(make_test_plan(engine={"deadline_s": 600}))
    async with open_world() as world, running_engine(world, plan):
        world.nodes[0].faults.deaf = True
        world.chain.mine()
        await world.recorder.wait_until(lambda: "endpoint-lost" in dict(world.recorder.alerts))
        world.nodes[0].faults.deaf = False
        world.chain.mine(world.buy())
        await world.recorder.wait_copies(2)
    expected_copies(world, signals=1)


async def test_a_node_behind_the_others_is_reconnected(clock: Clock) -> None:
    """An endpoint that stays behind the best head is not worth listening to."""
    async with open_world(nodes=2) as world, running_engine(world, make_test_plan(chain={"behind_blocks": 3})):
        await mine_steadily(world, 5)
        world.nodes[1].faults.behind = 4
        await mine_steadily(world, 20)
    assert any("is behind" in detail for _, detail in world.recorder.alerts)


async def test_a_wrong_chain_refuses_to_start(clock: Clock) -> None:
    """A node of another chain is a configuration error, named with both numbers, and with the endpoint that has to be changed."""
    async with open_world() as world:
        world.nodes[0].faults.chain_id = 1
        with pytest.RaisesGroup(
            pytest.RaisesExc(WrongChain, match="^endpoint [a-z0-9-]+: expected chain id 137, the node serves 1$"),
            flatten_subgroups=True,
        ):
            async with running_engine(world, make_test_plan()):
                pass


async def test_without_any_node_the_budget_runs_out(clock: Clock) -> None:
    """A lasting outage halts entries and ends with an error instead of trying for ever."""
    plan = make_test_plan(engine={"restarts": 5, "restart_window_s": 3600.0})
    async with open_world() as world:
        with pytest.RaisesGroup(RestartBudgetExhausted, flatten_subgroups=True):
            async with running_engine(world, plan) as service:
                world.down = {0}
                world.nodes[0].drop_connections()
                await trio.sleep(3600)
        assert (await service.store.control.modes()).of(ENGINE).mode is Mode.HALT_NEW
    assert world.dials <= 2 * 6


async def test_one_live_node_costs_no_budget(clock: Clock) -> None:
    """While another node is alive nothing is missed, so a dead one may be tried for ever."""
    plan = make_test_plan(engine={"restarts": 2, "restart_window_s": 3600.0})
    async with open_world(nodes=2) as world:
        world.down = {1}
        async with running_engine(world, plan):
            await mine_steadily(world, 120, every=5.0)
            world.chain.mine(world.buy())
            await world.recorder.wait_copies(2)
    expected_copies(world, signals=1)
    assert world.dials > 5


@pytest.mark.no_cover
async def test_a_lost_node_is_told_of_at_first_then_now_and_then_and_when_it_is_back(clock: Clock) -> None:
    """A node that is away for hours is tried each half minute; nobody wants a line for each."""
    async with open_world(nodes=2) as world:
        world.down = {1}
        async with running_engine(world, make_test_plan()):
            await mine_steadily(world, 1500, every=5.0)
            tries = world.dials
            away = [detail for kind, detail in world.recorder.alerts if kind == "endpoint-lost"]
            world.down = set()
            await mine_steadily(world, 120, every=5.0)
            back = [detail for kind, detail in world.recorder.alerts if kind == "endpoint-lost"][len(away) :]
    assert tries > 20
    assert 3 <= len(away) <= 12
    assert away[0].endswith(" s")
    assert all(" times in " in detail for detail in away[1:])
    assert len(back) == 1
    assert ": over, after " in back[0]


async def test_a_new_follow_widens_the_filters_without_a_gap(clock: Clock) -> None:
    """The new subscription stands before the old one falls, and the window is read again."""
    async with open_world() as world, running_engine(world, make_test_plan()) as service:
        (node,) = world.nodes
        (follow,) = [f for f in (await service.store.follows.load())[1] if f.follower == "alice"]
        new = Follow(follower=follow.follower, leader=OTHER_LEADER, own=follow.own)
        await service.store.follows.put([new])
        world.chain.mine(world.buy(OTHER_LEADER), world.buy(LEADER))
        await world.recorder.wait_copies(3)
        await mine_steadily(world, 2)
        assert len(node.log_filters) == 1
        await service.store.follows.remove([new.key])
        await mine_steadily(world, 2)
        world.chain.mine(world.buy(OTHER_LEADER))
        await mine_steadily(world, 2)
        assert service.scanner.late_logs == 0
    assert len(world.recorder.copies) == 3


async def test_many_leaders_are_spread_over_several_subscriptions(clock: Clock) -> None:
    """Filters are cut into chunks that nodes accept."""
    leaders = tuple("0x" + f"{number:040x}" for number in range(1, 26))
    plan = make_test_plan(leaders=leaders, chain={"leaders_per_subscription": 10})  # type: ignore[arg-type]  # addresses
    async with open_world() as world, running_engine(world, plan):
        assert len(world.nodes[0].log_filters) == 3
        world.chain.mine(*(world.buy(leader) for leader in leaders))  # type: ignore[arg-type]  # addresses
        await world.recorder.wait_copies(50)
    expected_copies(world, signals=25)


async def test_of_very_many_leaders_everybodys_logs_are_read_and_those_of_nobody_dropped(clock: Clock) -> None:
    """One subscription that names contracts alone; of who is followed from now on, the window is read again."""
    leaders = tuple("0x" + f"{number:040x}" for number in range(1, 26))
    chain = {"leaders_per_subscription": 10, "leaders_named": 24}
    plan = make_test_plan(leaders=leaders, followers=("alice",), chain=chain)  # type: ignore[arg-type]  # addresses
    async with open_world() as world, running_engine(world, plan) as service:
        (log_filter,) = world.nodes[0].log_filters
        assert len(log_filter.topics) == 1
        world.chain.mine(*(world.buy(leader) for leader in (*leaders, LEADER, OTHER_LEADER)))  # type: ignore[arg-type]  # addresses
        await world.recorder.wait_copies(25)
        await mine_steadily(world, 2)
        (follow, *_) = (await service.store.follows.load())[1]
        await service.store.follows.put([Follow(follower=follow.follower, leader=LEADER, own=follow.own)])
        await mine_steadily(world, 2)
        world.chain.mine(world.buy(LEADER))
        await world.recorder.wait_copies(27)
        await mine_steadily(world, 2)
        assert service.scanner.late_logs == 0
        assert service.gate.reader.counts["new"] == 27
    expected_copies(world, signals=27, followers=1)


async def test_without_follows_nothing_is_subscribed(clock: Clock) -> None:
    """An engine that copies nobody asks for no logs."""
    async with open_world() as world, running_engine(world, make_test_plan(followers=())):
        await mine_steadily(world, 3)
        assert world.nodes[0].log_filters == []


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
        world.chain.mine(world.buy())
        await world.recorder.wait_copies(2)
        world.down = {0}
        world.nodes[0].drop_connections()
        world.chain.mine(world.buy())
        await trio.sleep(20)
        world.down = set()
        await world.recorder.wait_until(lambda: len(world.recorder.skips) == 2)
    assert {Code.TOO_OLD} == {skip.reason.code for skip in world.recorder.skips}
    assert len(world.recorder.copies) == 2


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


async def test_a_subscription_that_its_node_ends_costs_no_copy(clock: Clock) -> None:
    """It says so: nobody waits for the silence to be noticed, which takes longer than a copy has."""
    async with open_world() as world, running_engine(world, make_test_plan()):
        world.nodes[0].faults.end_subscriptions = 1
        for _ in range(3):
            world.chain.mine(world.buy())
            await trio.sleep(2)
        await world.recorder.wait_copies(6)
    expected_copies(world, signals=3)


async def test_a_head_that_is_made_up_hides_nothing(clock: Clock) -> None:
    """One node announces block 1,000,000: the honest one is followed as before, and is not taken for late."""
    lie = {"number": hex(10**6), "hash": hash_of(1), "parentHash": hash_of(2), "timestamp": hex(int(NOW))}
    async with open_world(nodes=2) as world, running_engine(world, make_test_plan()) as service:
        await mine_steadily(world, 2)
        for client in world.nodes[1]._clients:
            for subscription in client.subscriptions.values():
                if subscription.log_filter is None:
                    client.push(_notification(subscription.id, lie))
        world.nodes[1].faults.silent_heads = True
        world.chain.mine(world.buy())
        await world.recorder.wait_copies(2)
        await mine_steadily(world, 8)
        assert service.gate.sealed is not None
        assert service.gate.sealed.number >= world.chain.head.ref.number - 1
    assert not any("is behind" in detail for _, detail in world.recorder.alerts)


def _notification(subscription: str, result: object) -> dict[str, object]:
    return {
        "jsonrpc": "2.0",
        "method": "eth_subscription",
        "params": {"subscription": subscription, "result": result},
    }


def _push_log(world: World, node: int, written: dict[str, object]) -> None:
    """Let one node send a log of its own making."""
    for client in world.nodes[node]._clients:
        for subscription in client.subscriptions.values():
            if subscription.log_filter is not None:
                client.push(_notification(subscription.id, written))


async def test_a_spoiled_copy_of_a_log_does_not_hide_the_good_one(clock: Clock) -> None:
    """The first node sends a truncated log; the scanner's copy of the same log is still copied."""
    async with open_world() as world, running_engine(world, make_test_plan()):
        world.nodes[0].faults.silent_logs = world.nodes[0].faults.silent_heads = True
        world.chain.mine(world.buy())
        spoiled = {**log_object(world.chain.head.logs[0]), "data": "0x00"}
        _push_log(world, 0, spoiled)
        await world.recorder.wait_until(lambda: bool(world.recorder.quarantined))
        world.nodes[0].faults.silent_heads = False
        world.chain.mine()
        await world.recorder.wait_copies(2)
    expected_copies(world, signals=1)


async def test_a_removal_that_only_one_node_claims_is_looked_into(clock: Clock) -> None:
    """Waiting copies are held at once, and go on as soon as the scanner has seen that the log is still there."""
    plan = make_test_plan(engine={"workers": 1, "deadline_s": 60}, executor={"latency_ms": 2000})
    async with open_world(nodes=3) as world, running_engine(world, patient(plan)) as service:
        world.chain.mine(world.buy())
        await world.recorder.wait_until(lambda: len(world.recorder.admitted) == 1)
        await trio.sleep(0.5)
        _push_log(world, 2, log_object(world.chain.head.logs[0], removed=True))
        await world.recorder.wait_until(lambda: bool(world.recorder.retracted))
        await world.recorder.wait_until(lambda: "adopted" in world.recorder.admissions)
        await world.recorder.wait_copies(2)
        assert service.scanner.late_logs == 0
    expected_copies(world, signals=1)


async def test_a_block_from_the_future_has_a_deadline_too(clock: Clock) -> None:
    """A node that claims a time far ahead neither crashes anything nor makes a copy that may be sent for ever."""
    async with open_world() as world, running_engine(world, make_test_plan()):
        world.nodes[0].faults.silent_logs = world.nodes[0].faults.silent_heads = True
        world.chain.mine(world.buy())
        _push_log(world, 0, {**log_object(world.chain.head.logs[0]), "blockTimestamp": hex(2**39)})
        await world.recorder.wait_copies(2)
        _push_log(world, 0, {**log_object(world.chain.head.logs[0]), "logIndex": "0x9", "blockTimestamp": hex(2**256)})
        _push_log(world, 0, {**log_object(world.chain.head.logs[0]), "logIndex": "-1"})
        await world.recorder.wait_until(lambda: "malformed-log" in world.recorder.quarantined)
    deadlines = [finished.task.deadline for finished in world.recorder.finished]
    assert max(deadlines) <= world.wall() + 5


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


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"\x00\x01 this is not HTTP\r\n\r\n",
        b"",
    ],
)
async def test_a_refused_handshake_is_one_more_reconnect(clock: Clock, answer: bytes) -> None:
    """Whatever a server says instead of a WebSocket handshake ends that connection only."""

    async def refuse(stream: trio.abc.Stream) -> None:
        async with stream:
            await stream.receive_some(65_536)
            await stream.send_all(answer)

    async with open_world(nodes=2) as world:
        world.instead[1] = refuse
        plan = make_test_plan(chain={"connect_timeout_s": 1.0})
        async with open_service(plan, world.seams(), world.endpoints) as service, trio.open_nursery() as nursery:
            await nursery.start(service.run)
            await world.recorder.wait_until(lambda: "endpoint-lost" in dict(world.recorder.alerts))
            del world.instead[1]
            await world.nodes[1].wait_log_filters(1)
            world.chain.mine(world.buy())
            await world.recorder.wait_copies(2)
            service.drain()
    expected_copies(world, signals=1)


async def test_thousands_of_follows_may_change_at_once_and_nothing_else_waits_for_all(clock: Clock) -> None:
    """They are taken up in short steps, and the filters change once."""
    async with open_world() as world, running_engine(world, make_test_plan()) as service:
        (follow, *_) = (await service.store.follows.load())[1]
        steps, before = [len(service.book)], len(world.recorder.steps)

        async def watch() -> None:
            while len(service.book) < 2002:
                await trio.lowlevel.checkpoint()
                steps.append(len(service.book))

        new = [evolve(follow, leader=Address(f"0x{number:040x}")) for number in range(1, 2001)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            await service.store.follows.put(new)
        assert (
            max(after - earlier for earlier, after in pairwise(steps)) <= 200
        )  # two, where it comes last and then first
        await trio.sleep(1)
        assert world.recorder.steps[before:].count("filters") == 1
        world.chain.mine(world.buy(new[-1].leader))
        await world.recorder.wait_copies(1)
