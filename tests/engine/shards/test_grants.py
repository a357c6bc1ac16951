"""The budget of a day that all accounts share: drawn before it is spent, and never more than was drawn."""

import random
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, evolve, field

from tests.builders import NOW, usd
from tests.engine.rig import buy, on_memory, open_rig, sell
from trio_copy.accounts.plain import PlainError
from trio_copy.engine.shards.grants import Grants
from trio_copy.model.control import Mode
from trio_copy.model.decisions import Code, CopyTask, End
from trio_copy.model.ids import FollowerId
from trio_copy.model.units import Usd

Clock = trio.testing.MockClock
TODAY, NEXT_DAY = "day 2025-11-24", 86_400


@define(eq=False)
class Common:
    """The budget that all shards draw on; each draw takes a while, before and after it counts."""

    dice: random.Random = field(factory=lambda: random.Random(1))
    has: dict[tuple[str, int], int] = field(factory=dict)
    draws: int = 0

    async def draw(self, budget: str, shard: int, total: int, limit: int) -> int:
        self.draws += 1
        await trio.sleep(self.dice.random())
        others = sum(has for (name, of), has in self.has.items() if name == budget and of != shard)
        mine = self.has.get((budget, shard), 0)
        free = limit - others - mine
        self.has[budget, shard] = min(total, mine + max(free, 0))
        drawn = self.has[budget, shard]
        await trio.sleep(self.dice.random())
        return drawn

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"nobody asks for {name}")


def grants(common: Common, shard: int = 0, limit: str | None = "100", *, alone: bool = False) -> Grants:
    return Grants(control=common, shard=shard, alone=alone, limit=None if limit is None else usd(limit))


def on_day(task: CopyTask, day: int) -> CopyTask:
    return evolve(task, signal=evolve(task.signal, block_time=int(NOW) + day * NEXT_DAY))


async def test_who_is_alone_draws_everything_once(clock: Clock) -> None:
    """Nobody else can want any."""
    common = Common()
    mine = grants(common, alone=True)
    assert not mine.covers(buy(), usd("5"))
    assert await mine.draw(buy(), usd("5"))
    assert mine.covers(buy(), usd("100"))
    assert not await mine.draw(buy(), usd("100.01"))
    assert common.has == {(TODAY, 0): usd("100").micro}


async def test_what_is_drawn_is_small_near_the_limit(clock: Clock) -> None:
    """So that no shard keeps what another one needs: together they can spend nearly all of it."""
    common = Common()
    shards = [grants(common, number) for number in range(4)]
    spent = 0
    for number in range(100):
        mine, task = shards[number % 4], buy(number)
        if mine.covers(task, usd("5")) or await mine.draw(task, usd("5")):
            mine.hold(task.key, task, usd("5"))
            spent += usd("5").micro
    assert usd("80").micro <= spent <= usd("100").micro


def test_without_a_budget_nothing_is_drawn() -> None:
    """What is spent is counted all the same: a limit that is set later must know."""
    common = Common()
    mine = grants(common, limit=None)
    assert mine.day(buy()) is None
    assert mine.covers(buy(), usd("1000000"))
    assert common.draws == 0


def test_exits_draw_nothing() -> None:
    """A budget stops entries only."""
    assert grants(Common(), limit="0").covers(sell(), usd("5"))


async def test_every_day_has_its_own_budget(clock: Clock) -> None:
    """The day is that of the leader's block."""
    common = Common()
    mine = grants(common, limit="5", alone=True)
    for day in range(3):
        task = on_day(buy(day), day)
        assert await mine.draw(task, usd("5"))
        mine.hold(task.key, task, usd("5"))
        assert not await mine.draw(on_day(buy(10 + day), day), usd("5"))
    assert len(common.has) == 3


async def test_draws_at_the_same_time_believe_no_more_than_was_drawn(clock: Clock) -> None:
    """Workers of one shard ask for different sums at once: what the shard believes to have is what the store gave it."""
    for seed in range(30):
        common = Common(random.Random(seed))
        mine = grants(common)

        async def spend(number: int, mine: Grants = mine, common: Common = common) -> None:
            dice = common.dice
            await trio.sleep(dice.random())
            task, cost = buy(number), Usd(dice.randrange(1, 20) * 1_000_000)
            while not mine.covers(task, cost) and await mine.draw(task, cost):
                pass
            if mine.covers(task, cost):
                mine.hold(task.key, task, cost)
            held = mine._days[TODAY.removeprefix("day ")].held
            assert held <= common.has[TODAY, 0]

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(spend, number)


async def test_shards_together_never_pass_the_limit(clock: Clock) -> None:
    """Whoever draws, whenever: what all of them hold stays within the budget."""
    for seed in range(20):
        common = Common(random.Random(seed))
        shards = [grants(common, number, "60") for number in range(3)]

        async def spend(number: int, shards: list[Grants] = shards, dice: random.Random = common.dice) -> None:
            mine, task, cost = dice.choice(shards), buy(number), Usd(dice.randrange(1, 10) * 1_000_000)
            await trio.sleep(dice.random() * 5)
            if mine.covers(task, cost) or await mine.draw(task, cost):
                mine.hold(task.key, task, cost)

        async with trio.open_nursery() as nursery:
            for number in range(60):
                nursery.start_soon(spend, number)
        held = sum(day.spent + day.held for shard in shards for day in shard._days.values())
        assert usd("40").micro <= held <= usd("60").micro


async def test_an_entry_beyond_the_budget_is_denied_by_its_name(clock: Clock) -> None:
    """Twelve dollars are two entries of five, whoever's; the third one names the setting, and an exit goes through."""
    async with open_rig(max_day_usd=usd("12")) as rig:
        # One after the other: who comes first of those that wait together is nobody's promise.
        assert await rig.end_of(buy(1)) == [(End.FILLED, None)]
        assert await rig.end_of(buy(2, "bob")) == [(End.FILLED, None)]
        assert await rig.end_of(buy(3, "carol"), sell(4)) == [(End.DENIED, Code.CAP_REACHED), (End.FILLED, None)]
        reason = next(one.outcome.reason for one in rig.recorder.finished if one.task.follower == "carol")
        assert reason is not None
        assert reason.control == "engine.max_day_usd"
    assert rig.mode.engine.mode is Mode.RUN


async def test_what_was_not_spent_is_free_again(clock: Clock) -> None:
    """A killed order cost nothing, and one in doubt keeps what it may cost until somebody knows."""
    async with open_rig(max_day_usd=usd("6")) as rig:
        rig.executor.script = ["kill", "lose reply"]
        assert await rig.end_of(buy(1)) == [(End.KILLED, Code.NO_FILL)]
        rig.executor.hide = True
        await rig.take_in(buy(2))
        await trio.sleep(1)
        assert await rig.end_of(buy(3, token=8)) == [(End.DENIED, Code.CAP_REACHED)]
        rig.executor.hide = False
        assert await rig.wait_ends(buy(2)) == [(End.FILLED, None)]


async def test_the_next_owner_knows_what_was_spent_and_what_is_held(clock: Clock) -> None:
    """A filled order and one in doubt: after a crash there is not a cent more than before."""
    books = on_memory()
    async with open_rig(open_store=books, max_day_usd=usd("12")) as rig:
        assert await rig.end_of(buy(1)) == [(End.FILLED, None)]
        rig.executor.script, rig.executor.hide = ["lose reply"], True
        await rig.take_in(buy(2, token=8))
        await trio.sleep(1)
        left = rig.shard.grants._of(buy()).left
        venue = rig.executor
    async with open_rig(open_store=books, executor=venue, max_day_usd=usd("12")) as rig:
        assert await rig.end_of(buy(3, token=9)) == [(End.DENIED, Code.CAP_REACHED)]
        assert rig.shard.grants._of(buy()).left == left
        venue.hide = False
        assert await rig.wait_ends(buy(2, token=8)) == [(End.FILLED, None)]
        today = rig.account(FollowerId("alice")).windows[TODAY]
        assert (today.used, today.held) == (2 * usd("5.1").micro, 0)


async def test_days_that_are_over_are_forgotten(clock: Clock) -> None:
    """Four are kept; one that an open order still counts in is kept as well."""
    mine = grants(Common(), alone=True)
    for day in range(10):
        task = on_day(buy(day), day)
        assert await mine.draw(task, usd("5"))
        if day == 0:
            mine.hold(task.key, task, usd("5"))
    assert list(mine.take_changes()) == []
    assert len(mine._days) == 10
    mine._days["2025-11-24"].held = 0
    assert len(list(mine.take_changes())) == 6
    assert len(mine._days) == 4


def test_what_is_no_such_document_is_refused() -> None:
    """A store that gives back something else is not believed."""
    with pytest.raises(PlainError, match="expected what a shard has spent"):
        grants(Common()).load({("spent", "2025-11-24"): [1]})
