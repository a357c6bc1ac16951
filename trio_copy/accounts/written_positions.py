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

PositionParts = Mapping[int | None, Plain]
"""A position's own document, by None, and its bundles, by their numbers."""
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


def holding_of(parts: PositionParts) -> Holding:
    """Read a position.

    Raises:
        ValueError, TypeError, KeyError, IndexError: the parts are not what was written, all at one moment.
    """
    version, base, tail, *divided = parts[None]
    oldest, apart = 0, range(0)
    if version == _DIVIDED:
        oldest, count, shares, cost = divided
        apart = bundles_apart(oldest, count)
    elif version != _WHOLE or divided:
        raise PlainError("expected a document of version 1 or 2")
    if len(parts) - 1 != max(0, apart.stop - apart.start):
        raise PlainError(f"expected the bundles from {apart.start} to {apart.stop}")
    ends, *rest = base
    head = apart.start * BUNDLE - oldest
    between = (lot for bundle in apart for lot in first(parts[bundle])[1])
    lots = [*ends[:head], *between, *ends[head:]]
    position = position_of([lots, *rest])
    if divided and (len(lots), position.shares.micro, position.cost.micro) != (count, shares, cost):
        raise PlainError(f"expected {count} lots of {shares} shares that cost {cost}, in millionths")
    return Holding.of(position, map(entry_of, tail), oldest)
