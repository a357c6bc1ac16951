"""Positions as documents: one for each, and one for each bundle of its lots that is written apart."""

from collections.abc import Mapping

from trio_copy.accounts.holdings import BUNDLE, Holding, bundles_apart
from trio_copy.accounts.plain import (
    Plain,
    PlainError,
    entry_of,
    first,
    plain_entry,
    plain_lot,
    plain_position,
    position_of,
)

Bundles = Mapping[int, Plain]
"""A position's bundles, by their numbers."""
NO_BUNDLES: Bundles = {}
_WHOLE, _DIVIDED = 1, 2
"""Versions. Where nothing is apart it is the first, which earlier versions of the program read as well."""


def plain_holding(holding: Holding) -> Plain:
    """Write a position: its firm base, without the lots that are apart, and its unsettled tail."""
    base, apart, oldest = holding.base, holding.apart, holding.oldest
    tail = list(map(plain_entry, holding.tail))
    if not apart:
        return [_WHOLE, plain_position(base, base.lots), tail]
    lots = (*base.lots[: apart.start * BUNDLE - oldest], *base.lots[apart.stop * BUNDLE - oldest :])
    # What all lots come to, so that bundles of another moment are never taken for its own.
    return [_DIVIDED, plain_position(base, lots), tail, oldest, len(base.lots), base.shares.micro, base.cost.micro]


def plain_bundle(holding: Holding, bundle: int) -> Plain | None:
    """Write lots that are apart; None where these are not: then there is to be no such document."""
    if bundle not in holding.apart:
        return None
    start = bundle * BUNDLE - holding.oldest
    return [1, [plain_lot(lot) for lot in holding.base.lots[start : start + BUNDLE]]]


def holding_of(body: Plain, bundles: Bundles = NO_BUNDLES) -> Holding:
    """Read a position.

    Raises:
        ValueError, TypeError, KeyError, IndexError: it is not what was written, all at one moment.
    """
    if body[0] == _DIVIDED:
        return _divided(body, bundles)
    _, base, tail = first(body)
    if bundles:
        raise PlainError("expected no bundles of it")
    return Holding.of(position_of(base), map(entry_of, tail))


def _divided(body: Plain, bundles: Bundles) -> Holding:
    _, base, tail, oldest, count, shares, cost = body
    apart = bundles_apart(oldest, count)
    if len(bundles) != apart.stop - apart.start:
        raise PlainError(f"expected the bundles from {apart.start} to {apart.stop}")
    ends, *rest = base
    head = apart.start * BUNDLE - oldest
    between = (lot for bundle in apart for lot in first(bundles[bundle])[1])
    lots = [*ends[:head], *between, *ends[head:]]
    position = position_of([lots, *rest])
    if (len(lots), position.shares.micro, position.cost.micro) != (count, shares, cost):
        raise PlainError(f"expected {count} lots of {shares} shares that cost {cost}, in millionths")
    return Holding.of(position, map(entry_of, tail), oldest)
