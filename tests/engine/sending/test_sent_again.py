"""An order whose request was lost, and that its venue provably does not have: is it still wanted when it would be sent again?"""

from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import NOW
from tests.engine.rig import Rig, buy, open_rig, sell
from tests.engine.sending.answers import lose_request, prove_absence
from tests.engine.sending.rests import CALLED_OFF, resting
from trio_copy.engine.shards.taking_in import retract
from trio_copy.model.decisions import Code, CopyTask, End
from trio_copy.model.fills import Kind, Side
from trio_copy.model.ids import Address

Clock = trio.testing.MockClock
ABSENT = (End.REJECTED, Code.NOT_SENT)
SENT = (End.FILLED, None)
LATE: dict[str, Any] = {"deadline": NOW + 600}
OF_RESTING = ("the engine drains", "its time is over", "everything halts")
"""What is sent is finished in a drain; and while everything halts, what is in doubt stays so."""


@pytest.mark.parametrize("why", [why for why in CALLED_OFF if why not in OF_RESTING])
async def test_what_forbids_an_entry_keeps_it_from_being_sent_again(clock: Clock, why: str) -> None:
    """What would take it off a venue's book does not put it there either: the proof of its absence ends it."""
    happens, _, _ = CALLED_OFF[why]
    task = buy(**LATE)
    async with open_rig() as rig:
        await lose_request(rig, task)
        happens(rig, task)
        prove_absence(rig)
        assert await rig.wait_ends(task) == [ABSENT]
        assert len(rig.executor.sent) == 1
        assert rig.open_orders() == []


async def test_what_would_rest_no_longer_is_not_sent_again(clock: Clock) -> None:
    """Its deadline is not over, and its time at the venue is."""
    task = resting(deadline=NOW + 600)
    task = evolve(task, intent=evolve(task.intent, rest_until=int(NOW) + 10))
    async with open_rig() as rig:
        await lose_request(rig, task)
        await trio.sleep(10)
        prove_absence(rig)
        assert await rig.wait_ends(task) == [ABSENT]
        assert len(rig.executor.sent) == 1


def _sale(**changes: Any) -> CopyTask:
    task = sell(2, **LATE)
    return evolve(task, signal=evolve(task.signal, **changes))


async def _comes(rig: Rig, task: CopyTask) -> None:
    await rig.take_in(task)


async def _comes_and_goes(rig: Rig, task: CopyTask) -> None:
    await rig.take_in(task)
    retract(rig.shard, task.signal.signal_id)


EXITS: dict[str, tuple[CopyTask, Callable[[Rig, CopyTask], Any], bool]] = {
    # And whether the entry is sent again.
    "its leader has sold": (_sale(), _comes, False),
    "a rule of the follower's own": (_sale(kind=Kind.EXIT), _comes, False),
    "its leader has sold before": (evolve(_sale(), decided_at=NOW - 1), _comes, True),
    "a reorg took his sale back": (_sale(), _comes_and_goes, True),
    "another leader has sold": (_sale(leader=Address("0x" + "9" * 40)), _comes, True),
    "another token": (sell(2, token=8, **LATE), _comes, True),
}


@pytest.mark.parametrize("case", EXITS)
async def test_nothing_is_sent_again_only_to_be_sold(clock: Clock, case: str) -> None:
    """The exit waits behind the entry that nobody has proven; once its absence is, there is nothing to buy first."""
    leaves, comes, again = EXITS[case]
    task = buy(**LATE)
    async with open_rig() as rig:
        await lose_request(rig, task)
        await comes(rig, leaves)
        prove_absence(rig)
        assert await rig.wait_ends(task) == [SENT if again else ABSENT]
        assert [one.side for one in rig.executor.sent[:2]] == [Side.BUY] * (1 + again)


async def test_an_exit_is_sent_again_though_its_follow_is_gone(clock: Clock) -> None:
    """Who copies a leader no more still leaves with him."""
    task = sell(**LATE)
    async with open_rig() as rig:
        await rig.hold()
        await lose_request(rig, task)
        rig.book.replace_all(())
        prove_absence(rig)
        assert await rig.wait_ends(task) == [SENT]
        assert len(rig.executor.sent) == 2
