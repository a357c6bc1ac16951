"""The lines of a copy's story that tell what its token's book was: while it was made, and a little later."""

from collections.abc import Iterator

from trio_copy.accounts.telling import OrderEnd
from trio_copy.model.books import Quote
from trio_copy.model.fills import Side
from trio_copy.model.sightings import LOOKS_S, Allotment, Look, Looks, Sighting
from trio_copy.model.units import Rounding

Line = tuple[float | None, str, str]
"""When, which step, and what happened."""


def book_lines(order: OrderEnd, sighting: Sighting | None, looks: Looks | None, seen_at: float) -> Iterator[Line]:
    """Tell what the book was at each moment of which it is known."""
    if sighting is not None:
        moments = ((seen_at, sighting.seen), (order.placed_at, sighting.decided), (order.at, sighting.answered))
        for at, quote in moments:
            if quote is not None:
                yield at, "book", _best(quote)
        if sighting.allotment is not None:
            yield order.placed_at, "shared", _shared(sighting.allotment, order)
    if looks is not None:
        for after_s, look in zip(LOOKS_S, looks.after, strict=False):
            if look is not None:
                yield order.at + after_s, "book", f"{after_s:g} s later, {_found(look, looks, order.side)}"


def _best(quote: Quote) -> str:
    bid, ask = ("nobody" if price is None else str(price) for price in (quote.bid, quote.ask))
    return f"bid {bid}, ask {ask}"


def _shared(one: Allotment, order: OrderEnd) -> str:
    buys = order.side is Side.BUY
    unit, verb = ("USD", "costs") if buys else ("shares", "brings")
    row = f"{one.place} of {one.of} in the row for one book, which holds {one.offered} {unit} within its limit"
    most = "" if one.most is None else f"; it may take {one.most} of {one.own}"
    price = "" if one.price is None else f"; by it a share {verb} {one.price}"
    got = None if order.report is None else order.report.price
    by = "" if got is None or one.price is None else f", and came to {got}"
    return f"{row}, for {one.wanted} that all want{most}{price}{by}"


def _found(look: Look, looks: Looks, side: Side) -> str:
    if not look.shares:
        return "it held nothing for them"
    verb = "cost" if side is Side.BUY else "bring"
    part = (
        f"the {look.shares}" if look.shares == looks.shares else f"{look.shares} of the {looks.shares}, which was all,"
    )
    source = "" if look.by_book else ", by its best price alone"
    price = look.notional.per(look.shares, Rounding.NEAREST)
    return f"{part} would {verb} {look.notional} USD, {price} a share{source}"
