"""How an order meets a book: level by level, never beyond its limit, and in integers of millionths."""

from collections.abc import Sequence
from fractions import Fraction

from attrs import evolve, frozen

from trio_copy.model.fills import Side
from trio_copy.model.units import MICRO, Ratio
from trio_copy.testing.clob_venue.books import Offer
from trio_copy.testing.clob_venue.posted import Posted

_FEE_STEP = 10
"""Fees have five decimals."""
_HUNDREDTH = 10_000


@frozen
class Taken:
    offer: Offer
    shares: int
    cash: int


@frozen
class Match:
    taken: Sequence[Taken]
    whole: bool
    """Whether nothing of the order is left."""

    @property
    def shares(self) -> int:
        return sum(one.shares for one in self.taken)

    @property
    def cash(self) -> int:
        return sum(one.cash for one in self.taken)


def crosses(order: Posted, price: int) -> bool:
    """Tell whether an order takes what is offered at a price, by the price that its own amounts make."""
    if order.side is Side.BUY:
        return price * order.taker_amount <= order.maker_amount * MICRO
    return price * order.maker_amount >= order.taker_amount * MICRO


def match(order: Posted, offers: Sequence[Offer]) -> Match:
    """Return what an order takes of offers that stand the best first.

    An instant BUY spends its cash, and gets the more shares the better the book is; all others trade shares.
    """
    spends = order.buys and order.instant
    left = order.cash if spends else order.shares
    taken: list[Taken] = []
    for offer in offers:
        if not left or not crosses(order, offer.price):
            break
        wanted = left * MICRO // offer.price if spends else left
        shares = min(wanted, offer.shares)
        cash = shares * offer.price // MICRO
        if shares:
            taken.append(Taken(offer, shares, cash))
        # Where the level had enough, nothing is left: the last millionth of the cash may buy nothing, and stays.
        left = left - (cash if spends else shares) if wanted > shares else 0
    return Match(taken, whole=not left)


def in_two(found: Match, percent: int) -> Sequence[Match]:
    """Part what an order takes in two, the second about so many per cent of it; one where there is nothing to be parted.

    In hundredths of a share, which cost whole millionths at every tick: what the parts cost adds up.
    """
    first, second = [], []
    for one in found.taken:
        shares = one.shares * percent // 100 // _HUNDREDTH * _HUNDREDTH
        cash = shares * one.offer.price // MICRO
        first.append(Taken(one.offer, one.shares - shares, one.cash - cash))
        second.append(Taken(one.offer, shares, cash))
    parts = [evolve(found, taken=[one for one in taken if one.shares > 0]) for taken in (first, second)]
    return parts if all(part.taken for part in parts) else [found]


def fee_of(shares: int, cash: int, rate: Ratio | None, exponent: int | None) -> int:
    """Return what a taker pays: shares x rate x (p x (1 - p)) ^ exponent at the average price, down to five decimals."""
    if not rate or not shares:
        return 0
    price = Fraction(cash, shares)
    exact = Fraction(shares * rate.micro, MICRO) * (price * (1 - price)) ** (exponent or 1)
    return int(exact) // _FEE_STEP * _FEE_STEP
