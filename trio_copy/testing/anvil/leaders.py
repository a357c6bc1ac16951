"""Leaders who trade by a script: the same seed, the same trades in the same order. Blocks come when the node mines them."""

from collections.abc import Iterator, Sequence
from enum import Enum

import trio
from attrs import frozen

from trio_copy.entropy import Entropy
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address
from trio_copy.testing.anvil.sending import Reverted, Written
from trio_copy.testing.anvil.stage import Stage

_DOLLARS = (20, 40, 80, 150)
_SELLS = 0.4


class Place(Enum):
    """What a leader buys and sells."""

    YES = "the market maker's first outcome"
    NO = "its second"
    POOL = "the pool's outcome"

    __hash__ = object.__hash__


@frozen(kw_only=True)
class Trade:
    leader: Address
    place: Place
    side: Side
    dollars: int
    """What a BUY spends; what a SELL is to bring at the market maker, and about half of what there is at the pool."""


def trades(leaders: Sequence[Address], entropy: Entropy) -> Iterator[Trade]:
    """Yield trades without end; nobody sells what he has not bought. None where there are no leaders."""
    spent: dict[tuple[Address, Place], int] = {}
    while leaders:
        leader, place = entropy.choice(leaders), entropy.choice(list(Place))
        held = spent.get((leader, place), 0)
        if held > 1 and entropy.random() < _SELLS:
            spent[leader, place] = held - held // 2
            yield Trade(leader=leader, place=place, side=Side.SELL, dollars=held // 2)
        else:
            dollars = entropy.choice(_DOLLARS)
            spent[leader, place] = held + dollars
            yield Trade(leader=leader, place=place, side=Side.BUY, dollars=dollars)


async def call_of(stage: Stage, trade: Trade) -> Written:
    """Return what a leader calls for a trade; the half that he sells at the pool is counted now."""
    match trade.place, trade.side:
        case Place.POOL, Side.BUY:
            return stage.pool.buying(trade.leader, trade.dollars)
        case Place.POOL, Side.SELL:
            return stage.pool.selling(trade.leader, await stage.shares(trade.leader, stage.pool_token) // 2)
        case place, side:
            call = stage.amm.buying if side is Side.BUY else stage.amm.selling
            return call(trade.dollars, 0 if place is Place.YES else 1)


async def carry_out(stage: Stage, trade: Trade) -> None:
    """Let a leader trade, and wait until it is mined. Raises `Reverted` where the price has gone too far for it."""
    await stage.chain.do(trade.leader, *await call_of(stage, trade))


async def run_leaders(stage: Stage, script: Iterator[Trade], every_s: float) -> None:
    """Let leaders trade, one trade after another, until cancelled. Raises `ChainError` where the node is gone."""
    for trade in script:
        await trio.sleep(every_s)
        try:
            await carry_out(stage, trade)
        except Reverted:
            continue
