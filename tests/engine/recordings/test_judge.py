"""What a recording came to, worked out by hand: money, risk, luck, and what refusals have cost."""

from collections.abc import Callable
from typing import Any

from attrs import evolve

from tests.builders import ALICE, LEADER, NOW, OTHER_LEADER, TOKEN, make_settings, make_signal, make_task
from trio_copy.engine.recordings.judge import Judge
from trio_copy.engine.recordings.recorded_lines import Moment, SeenQuote
from trio_copy.engine.recordings.standing import Curve
from trio_copy.model.books import Quote
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.decisions import Code, End, Outcome, Reason, Skip
from trio_copy.model.facts import Amounts
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.ids import Address, SignalId, TaskId, TokenId
from trio_copy.model.positions import EMPTY, EntryKind, LedgerEntry, Position
from trio_copy.model.resolutions import Decided
from trio_copy.model.signals import Signal
from trio_copy.model.units import NO_USD, Price, Ratio, Shares, Usd
from trio_copy.telemetry.observer import Finished

OPPOSITE = TokenId(778)


class Books:
    """Books trades as an account does, and lets a judge hear of them."""

    def __init__(self, facts_of: Callable[[TokenId], TokenFacts | None] = lambda token: None) -> None:
        self.judge = Judge.over(NOW, NOW + 100, facts_of=facts_of)
        self.positions: dict[tuple[Address, TokenId], Position] = {}
        self.count = 0

    def trade(
        self,
        side: Side,
        shares: int,
        usd: str,
        *,
        leader: Address = LEADER,
        token: TokenId = TOKEN,
        fee: str = "0",
        reference: str = "0.5",
        firm: bool = True,
    ) -> tuple[LedgerEntry, Amounts]:
        self.count += 1
        entry = LedgerEntry(
            key=f"key-{self.count}",
            task_id=TaskId(""),
            signal_id=SignalId(""),
            follower=ALICE,
            leader=leader,
            token_id=token,
            side=side,
            shares=Shares(shares * 1_000_000),
            notional=Usd.parse(usd),
            fee=Usd.parse(fee),
            booked_at=NOW,
            reference=Price.parse(reference),
            firm=firm,
        )
        before = self.positions.get((leader, token), EMPTY)
        after = self.positions[leader, token] = before.after(entry)
        bought, sold = (entry.notional, NO_USD) if side is Side.BUY else (NO_USD, entry.notional)
        gained = (after.realised.micro - before.realised.micro, after.provisional.micro - before.provisional.micro)
        amounts = (1, bought.micro, sold.micro, entry.fee.micro, *gained)
        self.judge.on_entry(entry, amounts)
        return entry, amounts

    def mark(self, price: str, token: TokenId = TOKEN) -> None:
        quote = Quote(bid=Price.parse(price), ask=Price.parse("0.99"))
        self.judge.note_moment(Moment(self.judge.at + 1, SeenQuote(token, quote)))


def usd(text: str) -> int:
    return Usd.parse(text).micro


def test_equity_is_cash_and_what_is_held_at_its_mark() -> None:
    """Bought for 51 with the fee, marked at 80, half sold for 30 less 1: realised and unrealised come apart."""
    books = Books()
    books.mark("0.5")
    books.trade(Side.BUY, 100, "50", fee="1")
    total = books.judge.total
    assert (total.equity, total.realised, total.unrealised) == (usd("-1"), 0, usd("-1"))
    assert (total.invested, total.at_risk, total.fees) == (usd("51"), usd("51"), usd("1"))
    books.mark("0.8")
    assert total.unrealised == usd("29")
    books.trade(Side.SELL, 50, "30", fee="1")
    assert total.realised == usd("3.5")  # 30 - 1 - 25.5
    assert total.unrealised == usd("14.5")  # 40 - 25.5
    assert total.return_bps == 3529  # 18 of 51
    assert books.judge.leaders[LEADER].equity == total.equity


def test_the_worst_fall_is_measured_from_the_highest_equity_whatever_comes_later() -> None:
    """Up by 30, down by 50, up again: the fall is 50, and the curve has it where it happened."""
    books = Books()
    books.mark("0.5")
    books.trade(Side.BUY, 100, "50")
    for price in ("0.8", "0.3", "0.9"):
        books.mark(price)
    assert books.judge.total.drawdown == usd("50")
    curve = books.judge.total.curve
    assert curve is not None
    assert max(point.drawdown for point in curve.points) == usd("50")
    assert [point.last for point in curve.points][-3:] == [usd("30"), usd("-20"), usd("40")]


def test_risk_of_two_leaders_counts_when_it_is_held_at_once() -> None:
    """What one has given back is not at risk any more when the other one begins."""
    books = Books()
    books.trade(Side.BUY, 100, "50")
    books.trade(Side.SELL, 100, "60")
    books.trade(Side.BUY, 100, "40", leader=OTHER_LEADER)
    judge = books.judge
    assert (judge.total.at_risk, judge.leaders[LEADER].at_risk) == (usd("50"), usd("50"))
    books.trade(Side.BUY, 100, "50")
    assert judge.total.at_risk == usd("90")


def test_a_position_is_won_when_it_brought_more_than_it_cost() -> None:
    """By position, not by sale; what is still open is neither won nor lost."""
    books = Books()
    books.trade(Side.BUY, 100, "50")
    books.trade(Side.SELL, 50, "20")
    books.trade(Side.SELL, 50, "31")
    books.trade(Side.BUY, 100, "50", token=TokenId(2))
    books.trade(Side.SELL, 100, "50", token=TokenId(2))
    books.trade(Side.BUY, 100, "50", token=TokenId(3))
    total = books.judge.total
    assert (total.closed, total.won, total.win_bps) == (2, 1, 5000)


def test_slippage_is_weighed_by_money_and_leaves_out_what_had_no_price() -> None:
    """Bought at 0.55 and sold at 0.45 instead of 0.5: 1,000 bps, in dollars as well."""
    books = Books()
    books.trade(Side.BUY, 100, "55")
    books.trade(Side.SELL, 100, "45")
    books.trade(Side.BUY, 1000, "1000", reference="0", token=TokenId(2))
    total = books.judge.total
    assert (total.slippage_bps, total.worse) == (1000, usd("10"))


def test_what_never_settled_did_not_happen() -> None:
    """A reversal takes back cash, shares, slippage and risk to come."""
    books = Books()
    books.mark("0.5")
    entry, (_, bought, sold, fees, *_) = books.trade(Side.BUY, 100, "55", firm=False)
    reverse = evolve(
        entry, key="r", kind=EntryKind.REVERSE, of=entry.key, shares=Shares(0), notional=NO_USD, fee=NO_USD
    )
    books.judge.on_entry(reverse, (-1, -bought, -sold, -fees, 0, 0))
    books.mark("0.9")
    total = books.judge.total
    assert (total.equity, total.invested, total.worse, total.closed) == (0, 0, 0, 0)
    assert books.judge.without_mark == 0


def test_what_settled_in_part_happened_in_part() -> None:
    """A correction takes back its part of cash, shares, slippage and risk; a reversal after it the rest."""
    books = Books()
    books.mark("0.5")
    entry, _ = books.trade(Side.BUY, 100, "55", firm=False)
    changes: dict[str, Any] = {"shares": Shares.parse(-40), "notional": Usd.parse(-22), "fee": NO_USD}
    books.judge.on_entry(
        evolve(entry, key="c", kind=EntryKind.CORRECT, of=entry.key, **changes), (0, usd("-22"), 0, 0, 0, 0)
    )
    total = books.judge.total
    assert (total.equity, total.invested, total.worse) == (usd("-3"), usd("33"), usd("3"))
    assert total.slippage_bps == 1000
    reverse = evolve(
        entry, key="r", kind=EntryKind.REVERSE, of=entry.key, shares=Shares(0), notional=NO_USD, fee=NO_USD
    )
    books.judge.on_entry(reverse, (-1, usd("-33"), 0, 0, 0, 0))
    books.mark("0.9")
    assert (total.equity, total.invested, total.worse, total.closed) == (0, 0, 0, 0)


def test_what_has_no_price_counts_as_worth_nothing_and_is_told() -> None:
    """Nothing is guessed in our favour."""
    books = Books()
    books.trade(Side.BUY, 100, "50")
    assert (books.judge.total.unrealised, books.judge.without_mark) == (usd("-50"), 1)


def test_the_other_side_of_a_question_has_a_price_too() -> None:
    """Where the catalog knows it, a trade at 0.3 marks the opposite token at 0.7."""
    facts = TokenFacts(token_id=TOKEN, condition_id="0x1", opposite=OPPOSITE)
    books = Books(lambda token: facts if token == TOKEN else None)
    books.trade(Side.BUY, 100, "60", token=OPPOSITE)
    fill_price = Price.parse("0.3")
    books.judge._mark(TOKEN, fill_price.micro)
    assert books.judge.total.unrealised == usd("10")


def judging(settings: FollowSettings) -> Judge:
    """Make a judge of follows that all have the same settings."""
    return Judge.over(NOW, NOW + 100, settings_of=lambda follower, leader: settings)


def admitted(judge: Judge, signal: Signal) -> Signal:
    judge.on_signal(signal, "admitted", 1, NOW)
    return signal


def skip(judge: Judge, signal: Signal, control: str = "filters.price_max") -> None:
    reason = Reason(code=Code.PRICE_TOO_HIGH, control=control, value="", limit="")
    judge.on_skip(Skip(signal_id=signal.signal_id, follower=ALICE, leader=signal.leader, reason=reason), signal)


def test_a_refusal_costs_what_the_copy_would_have_made() -> None:
    """A tenth of 100 shares at 0.5; the leader sells half of his at 0.8, the rest is worth 0.6: 5 would have become 7."""
    judge = judging(make_settings(minimum_usd=Usd.parse("1000"), ratio=Ratio.parse("0.1")))
    buy = admitted(judge, make_signal(1))
    skip(judge, buy)
    admitted(judge, make_signal(2, side=Side.SELL, shares="50", price="0.8"))
    judge.marks[TOKEN] = 600_000
    (forgone,) = judge.forgone
    assert (forgone.entries, forgone.exits, forgone.valued, forgone.would) == (1, 0, 1, usd("2"))


def test_a_refusal_that_is_told_late_still_meets_the_sales_after_its_signal() -> None:
    """The order is that of the signals, not that in which things became durable; earlier sales are none of it."""
    judge = judging(make_settings())
    admitted(judge, make_signal(1))
    admitted(judge, make_signal(2, side=Side.SELL, shares="100", price="0.9"))
    buy = admitted(judge, make_signal(3))
    admitted(judge, make_signal(4, side=Side.SELL, shares="100", price="0.2"))
    skip(judge, buy)
    assert [one.would for one in judge.forgone] == [usd("-3")]  # 10 shares from 0.5 to 0.2: saved


def test_refusals_are_told_by_control_the_dearest_first_and_exits_only_counted() -> None:
    """Of a skip, of a cap and of an exit; what cannot be sized is counted and not valued."""
    judge = judging(make_settings())
    skip(judge, admitted(judge, make_signal(2, side=Side.SELL)), "leaving.sell")
    skip(judge, admitted(judge, make_signal(1)))
    skip(judge, admitted(judge, make_signal(5, price=None)), "filters.unpriced")
    capped = admitted(judge, make_signal(3, token_id=TokenId(9)))
    denied = Outcome(
        end=End.DENIED, reason=Reason(code=Code.CAP_REACHED, control="caps.max_day_usd", value="1", limit="0")
    )
    task = make_task(capped)
    judge.on_finished(Finished(task=task, outcome=denied, report=None, started_at=0.0, ended_at=NOW))
    judge.marks |= {TOKEN: 400_000, TokenId(9): 900_000}
    told = [(one.control, one.entries, one.exits, one.valued, one.would) for one in judge.forgone]
    assert told == [
        ("caps.max_day_usd", 1, 0, 1, usd("4")),
        ("filters.price_max", 1, 0, 1, usd("-1")),
        ("filters.unpriced", 1, 0, 0, 0),
        ("leaving.sell", 0, 1, 0, 0),
    ]
    assert (judge.total.tasks, judge.total.orders, judge.total.copies) == (1, 0, 0)


def test_a_curve_is_as_short_as_it_may_be() -> None:
    """However often equity changes: each stretch keeps its lowest, highest and last, and nothing falls out."""
    curve = Curve(0.0, 100.0, most=10)
    for at in range(1000):
        curve.note(at / 10, at % 7, 0)
    curve.note(500.0, 99, 5)
    points = curve.points
    assert len(points) == 10
    assert (points[0].lowest, points[0].highest, points[0].at) == (0, 6, 10.0)
    assert (points[-1].highest, points[-1].last, points[-1].drawdown) == (99, 99, 5)


def test_what_is_held_of_a_decided_question_is_worth_what_it_pays() -> None:
    """Whatever was paid for it last, and whether it is redeemed yet or not."""
    books = Books()
    for token, slot in ((TOKEN, 0), (OPPOSITE, 1)):
        facts = TokenFacts(token_id=token, condition_id="0xab", slot=slot)
        books.judge.note_moment(Moment(NOW, facts))
        books.mark("0.5", token)
    books.trade(Side.BUY, 100, "50")
    books.trade(Side.BUY, 10, "5", token=OPPOSITE)
    books.judge.note_moment(Moment(NOW + 1, Decided(condition_id="0xab", payouts=(3, 1))))
    assert books.judge.total.value == usd("75") + usd("2.5")
    books.judge.note_moment(Moment(NOW + 2, Decided(condition_id="0xcd", payouts=(0, 1))))
    assert books.judge.total.equity == usd("22.5")
