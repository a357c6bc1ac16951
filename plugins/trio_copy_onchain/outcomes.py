"""What became of an order on the chain, as reports: by the receipt of whichever of its transactions was mined. Pure.

What was booked once is told again where it has to be taken back, so it is kept: the journal's document `told/KEY`,
`[1, status, shares, notional, fee]`.
"""

from typing import Any

import msgspec
from attrs import evolve

from trio_copy.model.fills import Side
from trio_copy.model.orders import ExecutionReport, Order, Settlement, Status
from trio_copy.model.units import Shares, Usd
from trio_copy_onchain.markets import Terms
from trio_copy_onchain.placing import Body
from trio_copy_onchain.tx.receipts import Failure, Receipt
from trio_copy_onchain.venues.seam import NOTHING

_READ = msgspec.json.Decoder(list[Any])


def filled(order: Order, body: Body, terms: Terms, receipt: Receipt, settlement: Settlement) -> ExecutionReport:
    """Report what a transaction that went through has exchanged.

    Raises:
        ValueError: its logs tell of something else, or of no trade, and may not be all: a venue that exchanges nothing refuses
            the call.
    """
    exchanged = terms.venue.decode(body.wallet, order.side, receipt.logs)
    if exchanged == NOTHING:
        if settlement is Settlement.FIRM and (receipt.whole or receipt.everywhere):
            return ended(
                order, Status.KILLED, "it went through, and nothing was exchanged: is there a venue's contract?"
            )
        raise ValueError("no trade of this wallet is among them")
    booked = terms.decimals.booked(order.side, exchanged)
    asked = (
        terms.decimals.cash_units(order.max_cost)
        if order.side is Side.BUY
        else terms.decimals.shares_units(order.shares)
    )
    given = exchanged.cash if order.side is Side.BUY else exchanged.shares
    return ExecutionReport(
        order_id=order.order_id,
        status=Status.FILLED if given >= asked else Status.PARTIAL,
        shares=booked.shares,
        notional=booked.notional,
        fee=booked.fee,
        settlement=settlement,
        detail=receipt.tx_hash,
    )


def failed(order: Order, failure: Failure) -> ExecutionReport:
    """Report what was refused within its block."""
    return ended(order, Status.KILLED if failure.killed else Status.REJECTED, failure.words)


def ended(order: Order, status: Status, detail: str = "") -> ExecutionReport:
    return ExecutionReport(order_id=order.order_id, status=status, detail=detail)


def undone(told: ExecutionReport) -> ExecutionReport:
    """Report that a reorg took back what was told, and that it can happen no more."""
    return evolve(told, settlement=Settlement.FAILED)


def off_chain(told: ExecutionReport) -> ExecutionReport:
    """Report that a reorg took back what was told, and that it goes out again."""
    return evolve(told, settlement=Settlement.PENDING)


def plain_told(report: ExecutionReport) -> list[Any]:
    return [1, report.status.value, report.shares.micro, report.notional.micro, report.fee.micro]


def told_of(order: Order, body: bytes) -> ExecutionReport:
    """Read what was told of an order. Raises `ValueError`."""
    try:
        _, status, shares, notional, fee = _READ.decode(body)
        return ExecutionReport(
            order_id=order.order_id,
            status=Status(status),
            shares=Shares(shares),
            notional=Usd(notional),
            fee=Usd(fee),
            settlement=Settlement.MINED,
        )
    except (ValueError, TypeError, msgspec.MsgspecError) as error:
        raise ValueError(f"what was told of order {order.order_id} cannot be read: {error}") from None
