"""A store that forgot accounts which nobody has in memory: no entry leaves, for nobody knows what they may still spend."""

from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import ALICE, NOW, hash_of, make_follow, usd
from tests.engine.rig import Rig, buy, on_memory, open_rig, sell
from trio_copy.engine.shards.taking_in import arm, seal
from trio_copy.model.control import ENGINE, Mode, ModeChange, Modes
from trio_copy.model.decisions import Code, CopyTask, End
from trio_copy.model.logs import BlockRef
from trio_copy_memory.data import MemoryData

Clock = trio.testing.MockClock
CAPPED: dict[str, Any] = {"max_day_usd": usd("8")}
"""Of which each entry costs five."""
ON, HALTED = (End.FILLED, None), (End.HALTED, Code.MODE_FORBIDS)
CAPPED_OUT = (End.DENIED, Code.CAP_REACHED)
SWEEP_S = 600


def late(number: int, rig: Rig, follower: str = "alice") -> CopyTask:
    return buy(number, follower, token=number, deadline=rig.wall() + 5)


def only(rig: Rig, *followers: str) -> None:
    rig.book.replace_all(make_follow(name, **CAPPED) for name in followers)


async def written(rig: Rig, times: int = 2) -> None:
    """Let the shard write, as it does with each block."""
    for _ in range(times):
        await rig.shard.confirm()


async def close(rig: Rig, task: CopyTask) -> None:
    """Sell what a task bought, and let everything of it be passed: of the day's spending alone the account knows then."""
    leave = sell(task.signal.block_number, task.follower, token=task.intent.token_id, deadline=rig.wall() + 5)
    for signal in (task.signal, leave.signal):
        rig.shard.met.meet(signal, rig.wall(), whole=True)
    assert await rig.end_of(leave) == [ON]
    arm(rig.shard, BlockRef(number=1, hash=hash_of(1), parent=hash_of(0), time=0), 1, anew=True)
    seal(rig.shard, BlockRef(number=1000, hash=hash_of(2), parent=hash_of(1), time=0))
    await written(rig)


def alerts(rig: Rig) -> list[str]:
    return [kind for kind, _ in rig.recorder.alerts if kind in ("store-forgot", "accounts-forgotten")]


async def test_what_is_at_hand_is_written_again_and_goes_on(clock: Clock) -> None:
    """Everything is gone, and the owner knows everybody who may buy: the cap is kept by what he remembers."""
    data = MemoryData()
    async with open_rig(open_store=on_memory(data)) as rig:
        only(rig, "alice")
        assert await rig.end_of(late(1, rig)) == [ON]
        await written(rig)
        data.fall_back(MemoryData())
        assert await rig.end_of(late(2, rig)) == [CAPPED_OUT]
        await written(rig)
        assert alerts(rig) == ["store-forgot"]


async def test_an_account_that_was_not_read_since_the_start_is_not_taken_for_new(clock: Clock) -> None:
    """All that is left of it is what it has spent today. Forgotten with everything else, it would begin anew: nothing is sent."""
    data = MemoryData()
    async with open_rig(open_store=on_memory(data)) as rig:
        only(rig, "alice")
        task = late(1, rig)
        assert await rig.end_of(task) == [ON]
        await close(rig, task)
        await rig.holder.end(0)
    async with open_rig(open_store=on_memory(data)) as rig:
        only(rig, "alice")
        await written(rig)
        assert rig.shard.accounts == {}
        data.fall_back(MemoryData())
        assert await rig.end_of(late(2, rig)) == [HALTED]
        assert rig.executor.sent == []
        assert alerts(rig) == ["store-forgot", "accounts-forgotten"]
        assert (await rig.store.control.modes()).of(ENGINE).mode is Mode.HALT_NEW
        assert await rig.end_of(late(3, rig)) == [HALTED]


@pytest.mark.parametrize("writes", [0, 2])
async def test_what_was_read_just_now_may_have_been_read_too_late(clock: Clock, writes: int) -> None:
    """It is at hand, and only a write that came after it says that the store still knew it then."""
    data = MemoryData()
    async with open_rig(open_store=on_memory(data)) as rig:
        only(rig, "alice")
        await written(rig)
        await rig.shard.load([ALICE])
        await written(rig, writes)
        data.fall_back(MemoryData())
        assert await rig.end_of(late(1, rig)) == [ON if writes else HALTED]


@pytest.mark.parametrize(("copied_at", "end"), [("before", HALTED), ("after", CAPPED_OUT)])
async def test_an_account_that_was_let_go_is_safe_in_a_store_that_lost_less(
    clock: Clock, copied_at: str, end: tuple[End, Code]
) -> None:
    """Nothing has happened to it for so long that a store which goes back to later than that has it as it was."""
    data = MemoryData()
    async with open_rig(open_store=on_memory(data)) as rig:
        only(rig, "alice")
        copy = data.copy()
        task = late(1, rig)
        assert await rig.end_of(task) == [ON]
        await close(rig, task)
        await trio.sleep(SWEEP_S * 1.5)
        if copied_at == "after":
            copy = data.copy()
        assert rig.shard.accounts != {}
        await trio.sleep(SWEEP_S)
        assert rig.shard.accounts == {}
        data.fall_back(copy)
        assert await rig.end_of(late(2, rig)) == [end]
        assert ("accounts-forgotten" in alerts(rig)) is (end is HALTED)


async def test_a_mode_that_is_stricter_stays(clock: Clock) -> None:
    """It stood in the same store, which has forgotten it as well: it is set anew."""
    data = MemoryData()
    async with open_rig(open_store=on_memory(data)) as rig:
        change = ModeChange(mode=Mode.HALT_ALL, why="a person", at=NOW)
        rig.mode.modes = Modes(version=0, by_scope={ENGINE: change})
        data.fall_back(MemoryData())
        await rig.shard.confirm()
        stored = (await rig.store.control.modes()).of(ENGINE)
        assert evolve(stored, at=NOW) == change
        assert rig.mode.engine == stored
