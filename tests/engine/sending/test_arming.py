"""Where the story begins, and that nothing is copied before it is known. Virtual time, real WebSockets."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import hash_of
from tests.harness import World, leave_checkpoint, make_test_plan, open_world, patient, running_engine
from trio_copy.cli.ending import why_not_armed
from trio_copy.config import PluginTable
from trio_copy.engine.opening import open_service
from trio_copy.engine.plan import Plan
from trio_copy.engine.sending.reconciler import Reconciler
from trio_copy.engine.service import Service
from trio_copy.errors import CheckpointAhead
from trio_copy.model.decisions import Code
from trio_copy.model.logs import Checkpoint
from trio_copy.telemetry.status import Phase

Clock = trio.testing.MockClock


@asynccontextmanager
async def starting(
    world: World, plan: Plan, checkpoint: Checkpoint, *, from_head: bool = False
) -> AsyncGenerator[Service, None]:
    """An engine that starts on a store with a checkpoint, not waited for."""
    seams = world.seams()
    seams.from_head = from_head
    async with open_service(plan, seams, world.endpoints) as service, trio.open_nursery() as nursery:
        await leave_checkpoint(service.store, checkpoint)
        nursery.start_soon(service.run)  # noqa: ASYNC113  it is armed only later, or never
        await world.nodes[0].wait_log_filters(1)
        yield service
        service.drain()


async def test_nothing_is_copied_before_arming(clock: Clock) -> None:
    """A subscription brings fills while the node is still behind the checkpoint: they wait for the scanner."""
    plan = patient(make_test_plan(engine={"deadline_s": 600}))
    async with (
        open_world() as world,
        starting(world, plan, Checkpoint(number=3, hash=hash_of(1), armed_at=2)) as service,
    ):
        world.chain.mine(world.buy(token=1))
        world.chain.mine(world.buy(token=2))
        await trio.sleep(1)
        assert service.gate.reader.counts["before-arming"] == 2
        assert world.recorder.admitted == []
        world.chain.mine(world.buy(token=3))
        world.chain.mine(world.buy(token=4))
        await world.recorder.wait_copies(4)
    assert {signal.token_id for signal in world.recorder.admitted} == {3, 4}


async def test_who_never_armed_says_why(clock: Clock) -> None:
    """A node that is connected but behind is not 'never reached'; once it has caught up there is nothing to say."""
    async with (
        open_world() as world,
        starting(world, make_test_plan(), Checkpoint(number=1, hash=hash_of(1), armed_at=0)) as service,
    ):
        assert why_not_armed(service) == "the end came before a node told its head"
        await trio.sleep(1)
        assert service.gate.sealed is None
        behind = "the node's head 0 is behind the checkpoint 1; wait for it, or start with --from-head"
        assert why_not_armed(service) == behind
        world.chain.mine()
        await world.recorder.wait_until(lambda: "armed" in world.recorder.steps)
        assert service.scanner.not_armed == ""


async def test_who_waits_for_proof_or_drains_misses_no_node(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the outcomes of an earlier run are proven nothing is followed, and that is what an end says, not a node."""

    async def wait(_: Reconciler) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(Reconciler, "settle_earlier_run", wait)
    async with open_world() as world:
        async with (
            open_service(make_test_plan(), world.seams(), world.endpoints) as service,
            trio.open_nursery() as tree,
        ):
            tree.start_soon(service.run)
            await trio.sleep(1)
            assert service.status().phase is Phase.PROVING
            service.drain()
            assert service.status().phase is Phase.DRAINING
        assert "an earlier run's orders" in why_not_armed(service)


async def test_a_poisoned_checkpoint_is_refused_and_the_head_is_the_way_out(clock: Clock) -> None:
    """A store that claims a block far above every node is no place to start; a person may start at the head."""
    poisoned = Checkpoint(number=999_974, hash=hash_of(1), armed_at=0)
    async with open_world() as world:
        with pytest.RaisesGroup(CheckpointAhead, flatten_subgroups=True):
            async with starting(world, make_test_plan(), poisoned):
                await trio.sleep(60)
        async with starting(world, make_test_plan(), poisoned, from_head=True) as service:
            await world.recorder.wait_until(lambda: "armed" in world.recorder.steps)
            world.chain.mine(world.buy())
            await world.recorder.wait_copies(2)
            await trio.sleep(1)
            stored = service.holder.shards[0].checkpoint
    assert stored is not None
    assert stored.number < 10


async def test_a_restart_finds_what_a_node_hid_before_the_stop(clock: Clock, tmp_path: Path) -> None:
    """The only node answered [] for a block, and the engine stopped before it was read again: the fill is not lost."""
    sqlite = PluginTable(name="sqlite", plugin="sqlite", options={"path": str(tmp_path / "books.db")})
    plan = patient(make_test_plan(engine={"deadline_s": 600}, store=sqlite))
    async with open_world() as world:
        world.chain.mine(world.buy(token=1))
        async with running_engine(world, plan):
            await trio.sleep(1)
            world.nodes[0].faults.silent_logs = True
            world.nodes[0].faults.empty_logs = 1
            world.chain.mine(world.buy(token=2))
            await trio.sleep(2)
        assert world.recorder.admitted == []
        async with running_engine(world, plan):
            await world.recorder.wait_copies(2)
            await trio.sleep(60)
    assert [signal.token_id for signal in world.recorder.admitted] == [2]


async def test_a_fill_that_was_too_old_at_the_start_is_counted(clock: Clock, tmp_path: Path) -> None:
    """What the window below the checkpoint brings is decided like everything else, and never twice."""
    sqlite = PluginTable(name="sqlite", plugin="sqlite", options={"path": str(tmp_path / "books.db")})
    plan = make_test_plan(store=sqlite)
    async with open_world() as world:
        for _ in range(2):
            async with running_engine(world, evolve(plan)):
                world.chain.mine(world.buy())
                await trio.sleep(2)
            await trio.sleep(30)
        async with running_engine(world, plan):
            await trio.sleep(40)
    assert len(world.recorder.copies) == 4
    assert {Code.TOO_OLD} >= {skip.reason.code for skip in world.recorder.skips}
