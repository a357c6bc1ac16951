"""What proves the outcome of an order: a pure function from what was seen to a report, or None where it proves nothing.

Fills come from the trades and from the chain, never from how an order is said to stand: of a matched FAK the venue often
has no order any more. Each maker is paid in whole millionths; where a trade does not name them all, amounts are added up as they
are and rounded once. Until all that was matched is seen, nothing is said of an amount, for what is booked once has to settle.
"""

from collections.abc import Iterable

from attrs import evolve, frozen

from trio_copy.model.breaches import breach_of_report
from trio_copy.model.counts import counted
from trio_copy.model.fills import Side
from trio_copy.model.orders import ExecutionReport, Order, Settlement, Status
from trio_copy.model.units import MICRO, NO_SHARES, NO_USD, Shares, Usd
from trio_copy_clob.sending.chain_logs import SeenFill
from trio_copy_clob.sending.seen import OrderStanding, SeenOrder, SeenTrade, TradeState

QUIET_S = 60.0
"""So long after an order was last sent, nothing of it is under way any more: confirmations were seen to take 40 s."""
TOLD_LATE_S = 1.5
"""So long after its last sign of life, trades of an order that is over may still be told that its row has counted: an exit that
waits for them sells what they bought, and one that waits for longer sells nothing at all."""
COUNTED_OUT_S = 3600.0
"""So long after an instant order was last sent, what the chain does not have for good of it by then, it never will."""
_DUST = 10_000
"""A hundredth of a share, or of a dollar: what rounding leaves."""
_ROUNDING = 10
"""Millionths by which two ways to add up one fill may differ."""
_CENT = 10_000
"""Millionths a share by which the price of a trade, an average, may be rounded."""
_OVER = (OrderStanding.MATCHED, OrderStanding.CANCELED, OrderStanding.INVALID)


@frozen(kw_only=True)
class Evidence:
    """All that was seen of an order, in one round of questions."""

    trades: tuple[SeenTrade, ...] = ()
    order: SeenOrder | None = None
    """None where the venue has none."""
    fills: tuple[SeenFill, ...] | None = None
    """None where no chain was asked."""
    whole: bool = True
    """Whether the venue answered, in full: what is missing was not there, rather than not read."""
    heard: bool = True
    """Whether the chain did, where there is one: without it nothing is proven that it might contradict."""
    was_on_chain: bool = False
    """Whether the chain has shown a fill of it before: a reorg may have taken it back, and then it comes again."""
    shown: int = 0
    """How many millionths of a share of it the chain showed when it was last asked: it is not asked at each look."""
    quiet_s: float = 0.0
    """How long before the first of these questions the order was last sent; of one that rests, or that something of it was new."""
    there: bool = False
    """Whether the venue has said that it has the order."""
    told: tuple[Shares, Usd] | None = None
    """What it said that was filled when the order was sent, and over with that."""


def prove(order: Order, seen: Evidence, *, rests: bool) -> ExecutionReport | None:
    """Say what became of an order; None where nobody can tell yet.

    `rests` is said of one that stays open where it is not filled: a GTC or GTD order.
    """
    report = _resting(order, seen) if rests else _instant(order, seen)
    # What would leave its order is the venue's error, or ours in reading: it proves nothing.
    return None if report is None or breach_of_report(report, order) is not None else report


def filled(order: Order, shares: Shares, notional: Usd, settlement: Settlement, *, rests: bool) -> ExecutionReport:
    """Report a fill that a taker paid for, with the fee of the formula: the venue's own figure is always 0."""
    return ExecutionReport(
        order_id=order.order_id,
        status=_status(order, shares, notional, rests=rests),
        shares=shares,
        notional=notional,
        fee=order.fee.of(shares, notional),
        settlement=settlement,
    )


def _status(order: Order, shares: Shares, notional: Usd, *, rests: bool) -> Status:
    """Say whether a fill is all of an order, but for what rounding leaves: of an instant BUY its cash, else its shares.

    A book better than the limit brings an instant BUY the shares that it names while it still spends.
    """
    if order.side is Side.BUY and not rests:
        got, wanted = notional.micro, order.max_cost.micro
    else:
        got, wanted = shares.micro, order.shares.micro
    return Status.FILLED if shares and got + _DUST > wanted else Status.PARTIAL


def _instant(order: Order, seen: Evidence) -> ExecutionReport | None:
    if seen.trades or seen.fills:
        return _settled(order, seen, rests=False) if _is_all(order, seen, rests=False) else None
    if seen.told is not None or seen.was_on_chain or not seen.whole:
        return None
    # How a killed rest reads is nowhere written down: a venue that counts late calls it over, and empty, before it has counted.
    empty = seen.order is not None and _ended_empty(seen.order) and _quiet(seen)
    return _nothing(order, seen, over=empty or _is_counted_out(seen))


def _resting(order: Order, seen: Evidence) -> ExecutionReport | None:
    standing = None if seen.order is None else seen.order.standing
    if not seen.whole:
        return None
    if standing in (OrderStanding.OPEN, OrderStanding.UNMATCHED):
        return _rests(order, seen)
    over = standing in _OVER
    report = _rested(order, seen, over=over)
    # It counts more than anybody has told: that may never be told, and no exit waits for it longer than trades are late.
    return _off_book(order, seen) if report is None and over and seen.quiet_s >= TOLD_LATE_S else report


def _rested(order: Order, seen: Evidence, *, over: bool) -> ExecutionReport | None:
    """Say what came of one that is open no longer, where all of it is seen or nothing is left to be."""
    if seen.trades or seen.fills:
        full = _amounts(order, seen.trades, rests=True).status is Status.FILLED
        if not (_is_all(order, seen, rests=True) and (over or full)):
            return None
        # A row may be counted as late as the trades are told, and the chain be behind both: what was matched right before the
        # end, after something else, is in none of them for a while.
        sure = full or seen.quiet_s >= QUIET_S
        return _settled(order, seen, rests=True) if sure else _off_book(order, seen)
    if seen.told is not None or seen.was_on_chain or (seen.order is None and seen.there):
        return None
    empty = seen.order is not None and _ended_empty(seen.order)
    return _nothing(order, seen, over=empty and _quiet(seen)) or (_off_book(order, seen) if empty else None)


def _off_book(order: Order, seen: Evidence) -> ExecutionReport:
    """Report an order that rests no longer, and of which nobody can say yet that this is all."""
    return evolve(_rests(order, seen), off_book=True)


def _rests(order: Order, seen: Evidence) -> ExecutionReport:
    """Report what an order that rests has filled so far, what the chain has undone included: it never shrinks."""
    amounts = _amounts(order, seen.trades, rests=True)
    firm = all(trade.state is TradeState.CONFIRMED for trade in seen.trades)
    return evolve(amounts, status=Status.RESTING, settlement=Settlement.FIRM if firm else _on_its_way(seen.trades))


def _nothing(order: Order, seen: Evidence, *, over: bool) -> ExecutionReport | None:
    """Report an order of which nothing was filled, if that is proven."""
    standing = None if seen.order is None else seen.order.standing
    quiet = _quiet(seen)
    if standing is OrderStanding.INVALID and over:
        status, detail = Status.REJECTED, "the venue calls it invalid"
    elif over and standing is not OrderStanding.CANCELED:
        status, detail = Status.KILLED, "nothing of what it counts is settled, or told"
    elif over:
        status, detail = Status.KILLED, f"{OrderStanding.CANCELED.value}, without a trade"
    elif standing is OrderStanding.UNMATCHED and quiet:
        status, detail = Status.KILLED, "it could not be matched in time"
    elif seen.order is None and quiet:
        # What is there and was never filled is not sent again; the venue would call it a duplicate.
        status = Status.KILLED if seen.there else Status.ABSENT
        detail = f"no order and no trade, {seen.quiet_s:.0f} s after it was sent"
    else:
        return None
    return ExecutionReport(order_id=order.order_id, status=status, detail=detail)


def _quiet(seen: Evidence) -> bool:
    """Tell whether what is not there by now was never there; where there is a chain, it has to say so as well."""
    return seen.quiet_s >= QUIET_S and seen.heard


def _ended_empty(order: SeenOrder) -> bool:
    """Tell whether the order itself says that it is over and filled nothing."""
    over = order.standing in (OrderStanding.CANCELED, OrderStanding.INVALID)
    return over and order.matched == 0 and not order.trades


def _settled(order: Order, seen: Evidence, *, rests: bool) -> ExecutionReport:
    """Report all that was matched, and how far it is settled. What the chain says comes before what the venue says of it.

    Of an order that rests it does so where the venue says that something was undone, or where more is on the chain than its
    trades tell; else these count as they did while it rested: two ways to add up would take turns, and what is booked never
    shrinks.
    """
    good = [trade for trade in seen.trades if trade.state is not TradeState.FAILED]
    failed = len(seen.trades) - len(good)
    amounts = _amounts(order, good, rests=rests)
    detail = f"{failed} of {counted(len(seen.trades), 'trade')} undone by the chain" if failed else ""
    chain = _chain(order, seen.fills or (), rests=rests)
    if chain is not None and rests and good and not failed:
        more = chain.shares.micro > amounts.shares.micro + _ROUNDING
        # What its trades cost by the formula is booked, maybe for good: where the chain took less, it is no less in the books.
        cost, fee = max(chain.notional, amounts.notional), max(chain.fee, amounts.fee)
        chain = evolve(chain, notional=cost, fee=fee) if more else None
    if chain is not None and chain.shares.micro >= amounts.shares.micro - _ROUNDING:
        firm = all(fill.deep for fill in seen.fills or ())
        settlement = Settlement.FIRM if firm or _all_confirmed(good, chain, amounts) else Settlement.MINED
        undone = chain.shares.micro <= amounts.shares.micro + _ROUNDING
        report = evolve(chain, settlement=settlement, detail=detail if undone else "")
        return _as_told(order, report, seen, _ROUNDING, rests=rests)
    sure = seen.whole and seen.heard
    if not good:
        # Undone is what was booked: all of it. Where there is a chain, it has to say so as well.
        settlement = Settlement.FAILED if sure else Settlement.PENDING
        report = evolve(
            _amounts(order, seen.trades, rests=rests), settlement=settlement, detail="matched, and undone by the chain"
        )
        return _as_told(order, report, seen, _off(report), rests=rests)
    firm = all(trade.state is TradeState.CONFIRMED for trade in good) and (not failed or sure)
    on_its_way = _on_its_way(good)
    if not failed and seen.fills is None and seen.shown >= amounts.shares.micro - _ROUNDING:
        on_its_way = Settlement.MINED  # as the chain said when it was last asked
    report = evolve(amounts, settlement=Settlement.FIRM if firm else on_its_way, detail=detail)
    return report if failed else _as_told(order, report, seen, _off(report), rests=rests)


def _on_its_way(trades: Iterable[SeenTrade]) -> Settlement:
    """Say whether all trades are on the chain, where what they bought can be sold."""
    mined = all(trade.state in (TradeState.MINED, TradeState.CONFIRMED) for trade in trades)
    return Settlement.MINED if mined else Settlement.PENDING


def _all_confirmed(good: list[SeenTrade], chain: ExecutionReport, amounts: ExecutionReport) -> bool:
    same = abs(chain.shares.micro - amounts.shares.micro) <= _ROUNDING
    return bool(good) and same and all(trade.state is TradeState.CONFIRMED for trade in good)


def _is_all(order: Order, seen: Evidence, *, rests: bool) -> bool:
    """Tell whether all that was matched is seen: as much as was told, or as much as there can be, or nothing more comes."""
    amounts = _amounts(order, seen.trades, rests=rests)
    chain = _chain(order, seen.fills or (), rests=rests)
    if chain is not None and (chain.status is Status.FILLED or _says_as_much(seen, chain)):
        return True
    if not rests and _is_counted_out(seen):
        return True
    if seen.order is not None and not seen.order.trades <= {trade.trade_id for trade in seen.trades}:
        return False
    most = max(amounts.shares.micro, 0 if chain is None else chain.shares.micro)
    if seen.fills is None and seen.shown > most + _ROUNDING:
        return False  # the venue is behind the chain
    # Said in cash, as it may be of an instant BUY, it is less than the shares: those cost under a dollar.
    if seen.order is not None and (seen.order.matched or 0) > most + _ROUNDING:
        return False
    if seen.told is not None:
        return most >= seen.told[0].micro - _ROUNDING
    if not rests and amounts.status is Status.FILLED:
        return True
    standing = None if seen.order is None else seen.order.standing
    if not rests and standing in (OrderStanding.OPEN, OrderStanding.HELD):
        # It may go on; but a row that stays as it is would keep out of the books what is on the chain for good.
        return _quiet(seen) and bool(seen.fills) and all(fill.deep for fill in seen.fills or ())
    if amounts.status is Status.FILLED:
        return True
    named = seen.order is not None and bool(seen.order.trades) and (rests or standing in _OVER)
    return seen.whole and (named or seen.quiet_s >= QUIET_S or _says_as_much(seen, amounts))


def lacks(order: Order, seen: Evidence) -> str | None:
    """Say what an order that is over counts more than its trades add up to, a minute after its last sign of life; None where it
    does not. What is missing may come, and may never.
    """
    row, told = seen.order, {trade.trade_id for trade in seen.trades}
    if row is None or row.standing not in _OVER or not seen.whole or seen.quiet_s < QUIET_S:
        return None
    matched, counted_up = row.matched or 0, sum(trade.shares for trade in seen.trades)
    if row.trades <= told and (matched <= counted_up + _ROUNDING or matched <= _spent(order, seen) + _ROUNDING):
        return None
    named = f", and names {counted(len(row.trades - told), 'trade')} that nobody tells" if row.trades - told else ""
    on_chain = "" if seen.fills is None else f", on the chain {Shares(sum(fill.shares for fill in seen.fills))}"
    return f"it is over, with {Shares(matched)} matched{named}; its trades are {Shares(counted_up)}{on_chain}"


def _spent(order: Order, seen: Evidence) -> int:
    """Return the cash of an instant BUY's trades: its row may count in that."""
    return sum(trade.paid for trade in seen.trades) // MICRO if order.side is Side.BUY else 0


def _is_counted_out(seen: Evidence) -> bool:
    """Tell whether what an instant order that is over counts more than can be found will not come any more.

    All that was found is final, and as much is on the chain for good, an hour after the last send. What the venue has told when
    the order was sent is booked, and only its trades take it back.
    """
    if seen.order is None or seen.order.standing not in _OVER or seen.told is not None or seen.fills is None:
        return False
    final = all(trade.state in (TradeState.CONFIRMED, TradeState.FAILED) for trade in seen.trades)
    good = sum(trade.shares for trade in seen.trades if trade.state is TradeState.CONFIRMED)
    deep = sum(fill.shares for fill in seen.fills if fill.deep)
    # What the chain has shown before may be there again, or, by another node, still.
    all_deep = all(fill.deep for fill in seen.fills) and (bool(seen.fills) or not seen.was_on_chain)
    same = good - _ROUNDING <= deep and seen.shown <= deep + _ROUNDING
    return seen.whole and seen.heard and seen.quiet_s >= COUNTED_OUT_S and final and all_deep and same


def _says_as_much(seen: Evidence, amounts: ExecutionReport) -> bool:
    """Tell whether an order that is over says that as much of it is matched as was seen."""
    over = seen.order is not None and seen.order.standing in (OrderStanding.CANCELED, OrderStanding.MATCHED)
    matched = None if seen.order is None else seen.order.matched
    return over and matched is not None and abs(matched - amounts.shares.micro) <= _ROUNDING


def _amounts(order: Order, trades: Iterable[SeenTrade], *, rests: bool) -> ExecutionReport:
    """Add up trades. Who rested and was taken pays no fee."""
    shares = paid = taken = spent = 0
    for trade in trades:
        shares, paid = shares + trade.shares, paid + trade.paid
        if not trade.maker:
            taken, spent = taken + trade.shares, spent + trade.paid
    report = filled(order, Shares(shares), Usd(paid // MICRO), Settlement.PENDING, rests=rests)
    return report if taken == shares else evolve(report, fee=order.fee.of(Shares(taken), Usd(spent // MICRO)))


def _chain(order: Order, fills: Iterable[SeenFill], *, rests: bool) -> ExecutionReport | None:
    """Add up what the chain says; None where it says nothing."""
    shares = paid = fee = 0
    for fill in fills:
        shares, paid, fee = shares + fill.shares, paid + fill.paid, fee + fill.fee
    if not shares:
        return None
    return evolve(filled(order, Shares(shares), Usd(paid), Settlement.PENDING, rests=rests), fee=Usd(fee))


def _off(report: ExecutionReport) -> int:
    """Return by how much the cash that trades add up to may be off."""
    return _ROUNDING + report.shares.micro * _CENT // MICRO


def _as_told(order: Order, report: ExecutionReport, seen: Evidence, off: int, *, rests: bool) -> ExecutionReport:
    """Keep the amounts that the venue told when the order was sent, where these are the same but for rounding.

    They are booked, and what is booked settles.
    """
    shares, notional = seen.told or (NO_SHARES, NO_USD)
    same = abs(shares.micro - report.shares.micro) <= _ROUNDING and abs(notional.micro - report.notional.micro) <= off
    if not same or not shares.micro:
        return report
    return evolve(report, status=_status(order, shares, notional, rests=rests), shares=shares, notional=notional)
