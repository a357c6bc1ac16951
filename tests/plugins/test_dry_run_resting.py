"""Orders that rest in the simulated venue: filled carefully by later books, and ended by their time or by a cancel."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, evolve, field

from tests.builders import ALICE, LEADER, NOW, TOKEN, make_intent, make_signal, make_task
from tests.engine.rig import open_rig
from tests.plugins.test_shared_books import book
from trio_copy.clock import wall_clock_from
from trio_copy.model.books import Book
from trio_copy.model.breaches import breach_of_report
from trio_copy.model.decisions import Code, CopyTask, End
from trio_copy.model.fills import Side
from trio_copy.model.ids import TokenId
from trio_copy.model.orders import ExecutionReport, Market, Order, Settlement, Status, Wallet
from trio_copy.model.units import NO_SHARES, Price, Shares
from trio_copy.ports import ExecutorContext
from trio_copy_dry_run import open_dry_run
from trio_copy_dry_run.executor import DryRunExecutor
from trio_copy_dry_run.settings import DryRunSettings

Clock = trio.testing.MockClock
Asks = Sequence[tuple[str, str]]
REST_S = 600
CALM: dict[str, Any] = {"latency_jitter_ms": 0, "partial_bps": 0, "slippage_bps": 0}


@define(eq=False)
class Moving:
    """A market whose book a test moves."""

    asks: list[tuple[str, str]] = field(factory=list)
    known: bool = True
    at: float = NOW
    """When the venue has changed it last."""

    def show(self, asks: Asks) -> None:
        self.at += self.asks != list(asks)
        self.asks = list(asks)

    async def book(self, token_id: TokenId) -> Book | None:
        await trio.lowlevel.checkpoint()
        return book(asks=self.asks, bids=[("0.4", "100")], at=self.at) if self.known else None


def task(number: int = 1, kind: str = "GTC", shares: str = "100", side: Side = Side.BUY) -> CopyTask:
    signal = make_signal(number, shares=shares, side=side, token_id=TOKEN, block_time=int(NOW))
    made = make_task(signal, intent=make_intent(signal, order_type=kind, sell="all"), deadline=NOW + 30)
    return evolve(made, intent=evolve(made.intent, rest_until=int(NOW) + REST_S if side is Side.BUY else 0))


def executor_on(books: Moving | None, **settings: Any) -> Any:
    context = ExecutorContext(
        name="sim",
        settings=DryRunSettings(**{**CALM, **settings}),
        wall=wall_clock_from(NOW + trio.current_time()),
        quotes=None,
        books=books,
    )
    return open_dry_run(context)


def order_of(executor: Any, made: CopyTask) -> Order:
    market = Market(token_id=TOKEN, tick=Price(1), minimum=NO_SHARES, fee_bps=100)
    prepared: Order = executor.prepare(made.key, made.intent, Wallet(follower=ALICE, address=None), market)
    return prepared


def told(report: ExecutionReport | None) -> tuple[str, str, str, str]:
    assert report is not None
    return (report.status.value, str(report.shares), str(report.notional), str(report.fee))


LATER: dict[str, tuple[Asks, Sequence[Asks], tuple[str, str, str, str]]] = {
    # the book when it comes, the books at the next looks, and how it stands then: ten are wanted, at 0.51
    "nothing comes": ([("0.6", "9")], [[("0.6", "9")], [("0.55", "9")]], ("resting", "0", "0", "0")),
    "somebody offers at its limit": ([], [[], [("0.51", "4")]], ("resting", "4", "2.04", "0")),
    "and under it: it pays its own limit": ([], [[], [("0.3", "4")]], ("resting", "4", "2.04", "0")),
    "the same offer is taken once": ([], [[], *[[("0.5", "4")]] * 3], ("resting", "4", "2.04", "0")),
    "only what is new of it": ([], [[], [("0.5", "4")], [("0.5", "6")]], ("resting", "6", "3.06", "0")),
    "gone and there again is new": ([], [[], [("0.5", "4")], [], [("0.5", "4")]], ("resting", "8", "4.08", "0")),
    "what was there when it came is not": ([("0.5", "4")], [[("0.5", "4")]] * 3, ("resting", "4", "2", "0.02")),
    "more than it wants": ([("0.5", "4")], [[], [("0.51", "90")]], ("filled", "10", "5.06", "0.02")),
}


@pytest.mark.parametrize("how", LATER)
async def test_it_is_filled_by_what_is_offered_since(autojump_clock: Clock, how: str) -> None:
    """At its own limit, as a maker, without the fee that a taker pays; each report lies inside its order, none shrinks."""
    at_first, later, expected = LATER[how]
    market = Moving(list(at_first))
    async with executor_on(market, fee_bps=100) as executor:
        order = order_of(executor, task())
        reports = [await executor.submit(order)]
        for asks in later:
            market.show(asks)
            reports.append(await executor.find(order))
        assert told(reports[-1]) == expected
        assert told(await executor.submit(order)) == expected
        for before, after in pairwise(reports):
            assert breach_of_report(after, order) is None
            assert (after.shares, after.notional, after.fee) >= (before.shares, before.notional, before.fee)


async def test_two_that_rest_do_not_take_the_same_offer(autojump_clock: Clock) -> None:
    """What one of them took is not there for the other until the book changes."""
    market = Moving()
    async with executor_on(market) as executor:
        orders = [order_of(executor, task(number)) for number in (1, 2)]
        for order in orders:
            assert told(await executor.submit(order))[0] == "resting"
            await executor.find(order)
        market.show([("0.5", "12")])
        reports = [await executor.find(order) for order in orders]
        assert [str(report.shares) for report in reports] == ["10", "2"]


ENDS: dict[str, tuple[str, bool, float, str]] = {
    # kind, whether it is called off, how long it stands, and what it is then
    "GTD rests": ("GTD", False, REST_S - 1, "resting"),
    "GTD ends by itself": ("GTD", False, REST_S, "killed"),
    "GTD is called off": ("GTD", True, 10, "killed"),
    "GTC does not end by itself": ("GTC", False, 10 * REST_S, "resting"),
    "GTC is called off": ("GTC", True, 10, "killed"),
}


@pytest.mark.parametrize("books", [None, Moving(), Moving(known=False)], ids=["leader", "book", "no book"])
@pytest.mark.parametrize("how", ENDS)
async def test_how_it_ends(autojump_clock: Clock, how: str, books: Moving | None) -> None:
    """Also where prices are arithmetic: there what was left at first rests, and nothing fills it later."""
    kind, cancels, waits_s, status = ENDS[how]
    async with executor_on(books, price_source="leader" if books is None else "book", partial_bps=10_000) as executor:
        order = order_of(executor, evolve(task(kind=kind)))
        first = await executor.submit(order)
        assert first.status is Status.RESTING
        await trio.sleep(waits_s)
        for _ in range(2 * cancels):
            await executor.cancel(order)
        found = await executor.find(order)
        ended = "partial" if status == "killed" and first.shares else status
        assert (found.status.value, found.shares) == (ended, first.shares)
        assert await executor.find(order) == found


MEETS: dict[str, tuple[Moving | None, str]] = {
    "nothing is offered": (Moving(), "resting"),
    "over its limit": (Moving([("0.52", "9")]), "resting"),
    "at its limit": (Moving([("0.51", "0.01")]), "rejected"),
    "under its limit": (Moving([("0.4", "90")]), "rejected"),
    "nobody knows the book, and the leader's price would do": (Moving(known=False), "rejected"),
    "without books, the same": (None, "rejected"),
}


@pytest.mark.parametrize("how", MEETS)
async def test_what_is_post_only_rests_or_is_refused(autojump_clock: Clock, how: str) -> None:
    """It takes nothing, of nobody's offer; refused, it stays so."""
    market, status = MEETS[how]
    made = task()
    async with executor_on(market, price_source="leader" if market is None else "book") as executor:
        order = order_of(executor, evolve(made, intent=evolve(made.intent, post_only=True)))
        report = await executor.submit(order)
        assert told(report) == (status, "0", "0", "0")
        assert await executor.submit(order) == await executor.find(order) == report
        if market is not None and market.asks:
            # What it has met is there for whoever may take it.
            other = order_of(executor, task(2))
            assert (await executor.submit(other)).shares == min(
                Shares.parse(10), Shares.parse(market.asks[0][1] if status == "rejected" else 0)
            )


async def test_a_copy_that_would_take_ends_refused(autojump_clock: Clock) -> None:
    """With the venue's words, and nothing of it stays held."""
    made = task()
    made = evolve(made, intent=evolve(made.intent, post_only=True))
    async with executor_on(Moving([("0.5", "4")])) as executor, open_rig(executor=executor) as rig:
        assert await rig.end_of(made) == [(End.REJECTED, Code.VENUE_REFUSED)]
        (finished,) = rig.recorder.finished
        assert finished.outcome.reason is not None
        assert "post-only" in finished.outcome.reason.value
        assert (rig.open_orders(), rig.open_cost().micro) == ([], 0)


async def test_what_fails_to_settle_is_said_at_its_end(autojump_clock: Clock) -> None:
    """While it rests its fills are pending; then they are undone."""
    market = Moving([("0.5", "4")])
    async with executor_on(market, faults=("settle-fail",), settle_s=5.0) as executor:
        order = order_of(executor, task())
        report = await executor.submit(order)
        await trio.sleep(20)
        assert (await executor.find(order)).settlement is Settlement.PENDING
        await executor.cancel(order)
        await trio.sleep(20)
        found = await executor.find(order)
        assert (found.status, found.shares, found.settlement) == (Status.PARTIAL, report.shares, Settlement.FAILED)


async def test_what_settles_in_part_says_so_on_the_way(autojump_clock: Clock, tmp_path: Path) -> None:
    """Whole at first, then without what was undone, then firm: also where the process changes meanwhile; sent again, the same."""
    file, market = str(tmp_path / "venue.jsonl"), Moving([("0.5", "4")])
    settings: dict[str, Any] = {"venue_file": file, "faults": ("settle-part",), "settle_s": 10.0}
    async with executor_on(market, **settings) as executor:
        made = task(kind="FAK")
        order = order_of(executor, evolve(made, intent=evolve(made.intent, rest_until=0)))
        report = await executor.submit(order)
        assert (report.settlement, report.shares) == (Settlement.PENDING, Shares.parse(4))
        await trio.sleep(6)
        found = await executor.find(order)
        assert (found.settlement, found.shares, found.status) == (
            Settlement.PENDING,
            Shares.parse("2.8"),
            Status.PARTIAL,
        )
    async with executor_on(market, **settings) as executor:
        assert await executor.submit(order) == found
        await trio.sleep(6)
        settled = await executor.find(order)
        assert settled == evolve(found, settlement=Settlement.FIRM)
        assert breach_of_report(settled, order) is None
        assert settled.detail == "a trade of it was undone"


async def test_what_rested_and_settles_in_part_says_so_at_its_end(autojump_clock: Clock) -> None:
    """While it rests, nothing that it filled is taken back."""
    market = Moving([("0.5", "4")])
    async with executor_on(market, faults=("settle-part",), settle_s=5.0) as executor:
        order = order_of(executor, task())
        report = await executor.submit(order)
        await trio.sleep(20)
        assert await executor.find(order) == report
        await executor.cancel(order)
        await trio.sleep(20)
        found = await executor.find(order)
        assert (found.status, found.settlement) == (Status.PARTIAL, Settlement.FIRM)
        assert found.shares == Shares(report.shares.micro * 7 // 10)


async def test_a_venue_with_a_file_remembers_how_it_stands(autojump_clock: Clock, tmp_path: Path) -> None:
    """The next process finds what was filled, and that it is still open."""
    file, market = str(tmp_path / "venue.jsonl"), Moving([("0.5", "4")])
    async with executor_on(market, venue_file=file) as executor:
        order = order_of(executor, task())
        await executor.submit(order)
        market.show([])
        await executor.find(order)
        market.show([("0.5", "3")])
        await executor.find(order)
    async with executor_on(market, venue_file=file) as executor:
        assert told(await executor.find(order))[:2] == ("resting", "7")
        await executor.cancel(order)
    async with executor_on(market, venue_file=file) as executor:
        assert told(await executor.find(order))[:2] == ("partial", "7")


async def test_a_copy_rests_fills_and_is_sold_when_its_leader_sells(autojump_clock: Clock) -> None:
    """The whole way: four at once, three later, then his sale calls the rest off and sells seven."""
    market = Moving([("0.5", "4")])
    async with executor_on(market) as executor:
        assert isinstance(executor, DryRunExecutor)
        async with open_rig(executor=executor) as rig:
            entry, leave = task(1), task(2, kind="FAK", side=Side.SELL)
            await rig.take_in(entry)
            await trio.sleep(10)
            assert rig.position(entry).shares == Shares.parse(4)
            market.show([])
            await trio.sleep(10)
            market.show([("0.5", "3")])
            await trio.sleep(10)
            assert rig.position(entry).shares == Shares.parse(7)
            leave = evolve(leave, deadline=rig.wall() + 5, decided_at=rig.wall())
            limit = evolve(leave.intent, sell="all", limit_price=Price.parse("0.3"))
            assert await rig.end_of(evolve(leave, intent=limit)) == [(End.FILLED, None)]
            assert await rig.wait_ends(entry) == [(End.PARTIAL, None)]
            assert rig.account().position((LEADER, TOKEN)).shares == Shares(0)
            assert rig.recorder.alerts == []
