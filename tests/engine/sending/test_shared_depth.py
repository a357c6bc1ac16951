"""One look at a book for all who copy a trade, and what each of them may take of it: who shares, who does not, and when it is read."""

from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, evolve, field

from tests.builders import NOW
from tests.engine.rig import Rig, Venue, buy, open_rig, sell
from trio_copy.engine.shards.queued import Queued
from trio_copy.engine.shards.stored import copied_by
from trio_copy.engine.shards.taking_in import retract, take_in
from trio_copy.errors import OrderNotSent
from trio_copy.model.books import Book, Level
from trio_copy.model.decisions import Code, CopyTask, End, OrderIntent, Reason
from trio_copy.model.facts import FactQuery
from trio_copy.model.fills import Side
from trio_copy.model.ids import IntentKey, TokenId
from trio_copy.model.orders import ExecutionReport, Market, Order, Settlement, Wallet
from trio_copy.model.units import Price, Rounding, Shares, Usd

Clock = trio.testing.MockClock
ALL = ("alice", "bob", "carol")
_BOOK_S = 0.05


@define(eq=False)
class Shown(Venue):
    """A venue that shows its book, of one level: so many shares at half a dollar."""

    offered: str = "12"
    reads: list[float] = field(factory=list)
    book_s: float = _BOOK_S
    error: OrderNotSent | None = None
    silent: bool = False
    shown_closed: bool = False
    slow: set[str] = field(factory=set)
    """Whose purchases do not reach the chain."""

    async def market(self, token_id: TokenId) -> Market:
        market = await super().market(token_id)
        return evolve(market, minimum=Shares.parse(2), least_cost=Usd.parse(1))

    async def market_with_book(self, token_id: TokenId) -> Market:
        self.reads.append(trio.current_time())
        await trio.sleep(self.book_s)
        if self.error is not None:
            raise self.error
        level = (Level(Price.parse("0.5"), Shares.parse(self.offered)),)
        book = Book(token_id=token_id, bids=level, asks=level, at=0.0)
        closed = "no orders" if self.shown_closed else None
        return evolve(await self.market(token_id), book=None if self.silent else book, closed=closed)

    async def submit(self, order: Order) -> ExecutionReport:
        report = await super().submit(order)
        if order.side is Side.BUY and order.wallet.follower in self.slow:
            report = self.filled[order.order_id] = evolve(report, settlement=Settlement.PENDING)
        return report

    def prepare(self, key: IntentKey, intent: OrderIntent, wallet: Wallet, market: Market) -> Order:
        assert market.book is None
        if intent.side is Side.BUY:
            within = intent.max_cost.shares_at(intent.limit_price, Rounding.DOWN)
            intent = evolve(intent, shares=min(intent.shares, within))
        return super().prepare(key, intent, wallet, market)


async def copy_all(rig: Rig, *tasks: CopyTask) -> None:
    """Take the tasks of one signal in, as the gate does: at once."""
    await rig.shard.load([task.follower for task in tasks])
    take_in(rig.shard, tasks[0].signal, tasks, ())


def of_all(number: int = 1, **changes: Any) -> list[CopyTask]:
    return [buy(number, follower, **changes) for follower in ALL]


def with_intent(task: CopyTask, **changes: Any) -> CopyTask:
    return evolve(task, intent=evolve(task.intent, **changes))


def costs(venue: Shown) -> list[str]:
    return sorted(str(order.max_cost.cents) for order in venue.sent)


async def test_the_followers_of_a_signal_share_one_look(autojump_clock: Clock) -> None:
    """In parts of what is there; another signal has a look of its own, and who is alone needs none."""
    venue = Shown(name="sim")
    async with open_rig(executor=venue) as rig:
        tasks = of_all()
        await copy_all(rig, *tasks)
        assert await rig.wait_ends(*tasks) == [(End.FILLED, None)] * 3
        assert (len(venue.reads), costs(venue)) == (1, ["2.00", "2.00", "2.00"])
        venue.offered = "1000"
        more = of_all(2)
        await copy_all(rig, *more)
        await rig.wait_ends(*more)
        assert (len(venue.reads), costs(venue)[3:]) == (2, ["5.10", "5.10", "5.10"])
        await rig.end_of(buy(3))
        assert len(venue.reads) == 2


@pytest.mark.parametrize(
    "changes",
    [{"order_type": "GTC", "rest_until": 2_000_000_000}, {"token_id": TokenId(8)}],
    ids=["it may rest, and waits for what it does not get", "it buys another token"],
)
async def test_who_wants_something_else_takes_no_part(autojump_clock: Clock, changes: dict[str, Any]) -> None:
    """What is there is shared among the others."""
    venue = Shown(name="sim")
    async with open_rig(executor=venue) as rig:
        first, *others = of_all()
        tasks = [with_intent(first, **changes), *others]
        await copy_all(rig, *tasks)
        await rig.wait_ends(*tasks)
        assert (len(venue.reads), costs(venue)) == (1, ["3.00", "3.00", "5.10"])


async def test_nothing_is_held_back_where_nobody_shows_the_book(autojump_clock: Clock) -> None:
    """Nor is it asked for again by each of them."""
    venue = Shown(name="sim", silent=True)
    async with open_rig(executor=venue) as rig:
        tasks = of_all()
        await copy_all(rig, *tasks)
        await rig.wait_ends(*tasks)
        assert (len(venue.reads), costs(venue)) == (1, ["5.10"] * 3)


async def test_a_book_that_does_not_come_ends_entries_and_no_exits(autojump_clock: Clock) -> None:
    """Who wants to leave asks as if alone."""
    venue = Shown(name="sim")
    async with open_rig(executor=venue) as rig:
        for follower in ALL:
            await rig.hold(follower)
        venue.error = OrderNotSent("nobody answers")
        tasks = of_all(2)
        await copy_all(rig, *tasks)
        assert await rig.wait_ends(*tasks) == [(End.REJECTED, Code.NOT_SENT)] * 3
        exits = [sell(3, follower) for follower in ALL]
        await copy_all(rig, *exits)
        assert await rig.wait_ends(*exits) == [(End.FILLED, None)] * 3
        assert len(venue.reads) == 2


async def test_a_book_of_a_closed_market_ends_entries_and_no_exits(autojump_clock: Clock) -> None:
    """They ask for themselves, as an exit that is alone does."""
    venue = Shown(name="sim")
    async with open_rig(executor=venue) as rig:
        for number, follower in enumerate(ALL):
            await rig.hold(follower, number=900 + number)
        venue.shown_closed = True
        tasks, exits = of_all(2), [sell(3, follower) for follower in ALL]
        await copy_all(rig, *tasks)
        assert await rig.wait_ends(*tasks) == [(End.REJECTED, Code.VENUE_REFUSED)] * 3
        await copy_all(rig, *exits)
        assert await rig.wait_ends(*exits) == [(End.FILLED, None)] * 3


async def test_exits_do_not_wait_for_a_book_until_it_is_too_late(autojump_clock: Clock) -> None:
    """The venue takes orders, and does not show its book: who wants to leave goes as if alone, and in time."""
    venue = Shown(name="sim")
    async with open_rig(executor=venue, send_timeout_s=10.0, deadline_s=5.0) as rig:
        for number, follower in enumerate(ALL):
            await rig.hold(follower, number=900 + number)
        venue.book_s = 60.0
        exits = [sell(3, follower, deadline=rig.wall() + 4) for follower in ALL]
        await copy_all(rig, *exits)
        began = trio.current_time()
        assert await rig.wait_ends(*exits) == [(End.FILLED, None)] * 3
        assert trio.current_time() - began < 1


async def test_entries_that_wait_for_a_book_keep_no_exit_waiting(autojump_clock: Clock) -> None:
    """They never have all of the workers, whatever they wait for; once they are over, the others follow."""
    venue = Shown(name="sim")
    async with open_rig(executor=venue, workers=3, send_timeout_s=10.0, deadline_s=5.0) as rig:
        rig.execution.settings = evolve(rig.execution.settings, workers=2)
        assert rig.execution.workers == 3
        await rig.hold("alice", token=9)
        venue.book_s = 60.0
        entries = [buy(2, follower, deadline=rig.wall() + 30) for follower in ALL]
        await copy_all(rig, *entries)
        await trio.sleep(0.1)
        began = trio.current_time()
        assert await rig.end_of(sell(3, token=9)) == [(End.FILLED, None)]
        assert trio.current_time() - began < 1
        # The third comes when another has given up, and may be alone by then.
        assert {end for end, _ in await rig.wait_ends(*entries)} <= {End.FILLED, End.REJECTED}


async def test_exits_share_bids_and_are_all_sent(autojump_clock: Clock) -> None:
    """Five shares are two orders of at least two: the third is sent as well, as small as may be, for bids may have come."""
    venue = Shown(name="sim")
    async with open_rig(executor=venue) as rig:
        for number, follower in enumerate(ALL):
            await rig.hold(follower, number=900 + number)
        venue.offered = "5"
        exits = [with_intent(sell(3, follower), limit_price=Price.parse("0.5")) for follower in ALL]
        await copy_all(rig, *exits)
        assert await rig.wait_ends(*exits) == [(End.FILLED, None)] * 3
        assert sorted(str(order.shares) for order in venue.sent) == ["2", "2.5", "2.5"]


async def test_what_is_tried_again_is_not_held_to_what_was_allotted(autojump_clock: Clock) -> None:
    """It was not to be had: who is alone then meets the venue as if he had always been."""
    venue = Shown(name="sim", script=["kill"] * 3)
    async with open_rig(executor=venue, terms={"attempts": 2}) as rig:
        tasks = of_all()
        await copy_all(rig, *tasks)
        assert await rig.wait_ends(*tasks) == [(End.FILLED, None)] * 3
        assert (len(venue.reads), costs(venue)) == (1, ["2.00"] * 3 + ["5.10"] * 3)


async def test_a_market_that_changed_is_read_again_for_all(autojump_clock: Clock) -> None:
    """What was allotted by the old one serves nobody."""
    venue = Shown(name="sim")
    async with open_rig(executor=venue, at_work=False) as rig:
        await copy_all(rig, *of_all())
        queued = [one for _ in ALL if (one := rig.lanes.take_nowait()) is not None]
        await rig.execution.depth.of(queued[0])
        rig.execution.depth.forget(queued[0].task.intent.token_id)
        venue.offered = "9"
        _, allotment = await rig.execution.depth.of(queued[1])
        assert (str(allotment and allotment.most), len(venue.reads)) == ("1.5", 2)


async def test_a_book_grows_old(autojump_clock: Clock) -> None:
    """Who comes to be sent more than a second later shares another one, with those who still wait."""
    venue = Shown(name="sim", latency_s=1.5)
    async with open_rig(executor=venue, workers=1) as rig:
        tasks = of_all()
        await copy_all(rig, *tasks)
        await rig.wait_ends(*tasks)
        assert (len(venue.reads), costs(venue)) == (2, ["2.00", "3.00", "5.10"])


async def test_who_asks_may_be_cancelled(autojump_clock: Clock) -> None:
    """Then the next one asks; and what was held up meanwhile shares as well."""
    venue = Shown(name="sim")
    async with open_rig(executor=venue, at_work=False) as rig:
        await copy_all(rig, *of_all())
        queued = [rig.lanes.take_nowait() for _ in ALL]
        found: list[str] = []

        async def ask(one: Queued | None) -> None:
            assert one is not None
            _, allotment = await rig.execution.depth.of(one)
            found.append("" if allotment is None else str(allotment.most))

        async with trio.open_nursery() as nursery:
            with trio.move_on_after(_BOOK_S / 2):
                await ask(queued[0])
            for one in queued:
                nursery.start_soon(ask, one)
        assert (len(venue.reads), found) == (2, ["2"] * 3)


async def test_what_may_not_go_out_takes_nothing(autojump_clock: Clock) -> None:
    """A lane that an unproven order keeps closed, and a signal that a reorg took back."""
    venue = Shown(name="sim")
    async with open_rig(executor=venue, at_work=False) as rig:
        await copy_all(rig, *of_all())
        first = rig.lanes.take_nowait()
        assert first is not None
        others = [one for one in rig.lanes.unplaced if one is not first]
        rig.lanes.close_lane(others[0].lane, "an order")
        _, allotment = await rig.execution.depth.of(first)
        assert (str(allotment and allotment.most), len(venue.reads)) == ("3", 1)
        retract(rig.shard, first.task.signal.signal_id)
        _, allotment = await rig.execution.depth.of(first)
        assert (allotment, len(venue.reads)) == (None, 1)


async def test_what_is_not_on_the_chain_takes_nothing(autojump_clock: Clock) -> None:
    """An exit that waits for its shares to settle cannot sell: the bids are there for those who can."""
    venue = Shown(name="sim", slow={"bob", "carol"})
    async with open_rig(executor=venue) as rig:
        for number, follower in enumerate(ALL):
            await rig.hold(follower, number=900 + number)
        venue.offered = "12"
        _, *others = exits = [with_intent(sell(3, name), limit_price=Price.parse("0.5")) for name in ALL]
        await copy_all(rig, *others)
        await trio.sleep(2)
        assert not venue.sent
        venue.reads.clear()
        await copy_all(rig, exits[0])
        assert await rig.wait_ends(exits[0]) == [(End.FILLED, None)]
        assert ([str(order.shares) for order in venue.sent], venue.reads) == (["10"], [])


async def test_those_that_go_out_in_one_order_want_as_much(autojump_clock: Clock) -> None:
    """Of a follower whose earlier copy still waits, both are in the order, and in what it wants of the book."""
    venue = Shown(name="sim")
    async with open_rig(executor=venue) as rig:
        waiting = buy(7, aggregates=True, not_before=NOW + 30)
        await rig.take_in(waiting)
        tasks = of_all(8, aggregates=True)
        await copy_all(rig, *tasks)
        await rig.wait_ends(waiting, *tasks)
        assert sorted(one.outcome.end.value for one in rig.recorder.finished) == ["filled"] * 3 + ["gathered"]
        assert costs(venue) == ["1.71", "1.71", "2.59"]


async def test_what_was_allotted_is_kept_with_the_copy(autojump_clock: Clock) -> None:
    """Where nobody tells prices, by itself; the one who is left out ends with the reason, and no order."""
    venue = Shown(name="sim", offered="5")
    async with open_rig(executor=venue) as rig:
        tasks = of_all()
        await copy_all(rig, *tasks)
        await rig.wait_ends(*tasks)
        facts = await rig.store.history.facts(FactQuery(kinds=("filled",)))
        kept = [copied.sighting for fact in facts if (copied := copied_by(fact)) is not None]
        allotted = [one.allotment for one in kept if one is not None and one.allotment is not None]
        assert sorted((one.place, one.of, str(one.offered), str(one.wanted), str(one.most)) for one in allotted) == [
            (1, 3, "2.5", "15.3", "1.25"),
            (2, 3, "2.5", "15.3", "1.25"),
        ]
        (left_out,) = [one.outcome for one in rig.recorder.finished if one.outcome.end is End.SKIPPED]
        assert left_out.reason == Reason(
            code=Code.BOOK_SHARED_OUT,
            control="venue.book",
            value="2.5 USD for 15.3, 3 of 3 in the row",
            limit="1 USD for it",
        )
