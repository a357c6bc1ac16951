"""Where each follower stands when a run ends: what is held, what was earned. For the summary, and for it alone."""

from collections.abc import Iterator, Mapping, Sequence
from heapq import nlargest

import trio
from attrs import define, frozen
from rich.text import Text

from trio_copy.cli.gas import gas_in_all
from trio_copy.cli.pnl import Profit, read_profits
from trio_copy.cli.positions import EVERYTHING, NO_LABELS, HeldPosition, held_positions, token_name
from trio_copy.engine.books.gas import GasPaid, gas_paid
from trio_copy.errors import StoreError
from trio_copy.model.counts import counted
from trio_copy.model.ids import TokenId
from trio_copy.model.units import NO_USD, Usd
from trio_copy.ports import Store
from trio_copy.telemetry.render import Json
from trio_copy.telemetry.tape import decimals, summary_row
from trio_copy.telemetry.visible import cut_inside, visible

_READ_S = 2.0
"""An end must not wait for a store that is away, nor for years of books."""
_FOLLOWERS_MOST = 10
_POSITIONS_MOST = 5
_LABEL_LEAST = 14


@define
class Standing:
    """What one follower holds and has earned, by all that the store knows."""

    profit: Profit
    positions: int = 0
    cost: Usd = NO_USD


@frozen
class Standings:
    followers: Sequence[Standing]
    """Those who hold most first."""
    total: Standing | None
    """None where the store did not tell in time."""
    largest: Sequence[HeldPosition] = ()
    """What most was paid for."""
    gas: Sequence[GasPaid] = ()
    """What transactions have cost, by wallet and operator."""


async def read_standings(store: Store, labels: Mapping[TokenId, str] = NO_LABELS) -> Standings:
    """Read where the followers stand; a store that fails, or takes long, does not spoil the end of a run."""
    found = Standings((), None)
    try:
        with trio.move_on_after(_READ_S):
            found = await _read(store, labels)
    except* StoreError:
        pass
    return found


async def _read(store: Store, labels: Mapping[TokenId, str]) -> Standings:
    found = {profit.name: Standing(profit) for profit in await read_profits(store, "follower")}
    total = Standing(Profit("all"))
    positions = tuple(await held_positions(store, EVERYTHING, labels))
    for one in positions:
        standing = found.setdefault(one.key[0], Standing(Profit(one.key[0])))
        for row in (standing, total):
            row.positions += 1
            row.cost += one.position.cost
    for standing in found.values():
        profit = total.profit
        profit.trades += standing.profit.trades
        for name in ("bought", "sold", "fees", "realised", "provisional"):
            setattr(profit, name, getattr(profit, name) + getattr(standing.profit, name))
        more = standing.profit.unrealised
        profit.unrealised = None if more is None or profit.unrealised is None else profit.unrealised + more
    largest = nlargest(_POSITIONS_MOST, positions, key=lambda one: one.position.cost)
    held_most = sorted(found.values(), key=lambda one: (-one.cost.micro, one.profit.name))
    return Standings(held_most, total, largest, await gas_paid(store.history))


def standing_lines(standings: Standings, width: int | None = None) -> Iterator[Text]:
    """Write what is held and earned in total, by follower, and in the largest positions, for a terminal so wide."""
    if standings.total is None:
        yield from summary_row("books", "the store did not tell in time; ask it later: trio-copy pnl", width)
        return
    rows = [("held", _held(standings.total)), ("p&l", _earned(standings.total.profit))]
    if standings.gas:
        rows.append(("gas", _gas(standings.gas)))
    if len(standings.followers) > 1:
        shown = standings.followers[:_FOLLOWERS_MOST]
        rows += [(f"  {one.profit.name}", f"{_held(one)}; {_earned(one.profit)}") for one in shown]
    if (more := len(standings.followers) - _FOLLOWERS_MOST) > 0:
        rows.append(("", f"and {counted(more, 'more follower')}: trio-copy pnl"))
    if standings.largest:
        rows.append(("positions", "what most was paid for"))
    for name, text in rows:
        yield from summary_row(name, text, width)
    for held in standings.largest:
        yield _position(held, width)
    if standings.largest and (more := standings.total.positions - len(standings.largest)) > 0:
        yield from summary_row("", f"and {counted(more, 'more position')}", width)


def standing_objects(standings: Standings) -> list[Json]:
    """Write the same for machines."""
    return [
        {
            "follower": one.profit.name,
            "positions": one.positions,
            "cost": one.cost.micro,
            "realised": one.profit.realised.micro,
            "provisional": one.profit.provisional.micro,
            "unrealised": None if one.profit.unrealised is None else one.profit.unrealised.micro,
            "fees": one.profit.fees.micro,
        }
        for one in standings.followers
    ]


def gas_objects(standings: Standings) -> list[Json]:
    """Write what gas has cost for machines: the coins as decimal text."""
    return [
        {
            "executor": one.executor,
            "chain": one.chain_id,
            "wallet": one.wallet,
            "operator": one.operator,
            "transactions": one.transactions,
            "coins": str(one.coins),
        }
        for one in standings.gas
    ]


def _gas(paid: Sequence[GasPaid]) -> str:
    return f"{gas_in_all(paid)} of {counted(len({one.operator for one in paid}), 'operator')}"


def _held(standing: Standing) -> str:
    if not standing.positions:
        return "nothing"
    return f"{counted(standing.positions, 'position')} for ${standing.cost.cents}"


def _position(held: HeldPosition, width: int | None) -> Text:
    follower, _, token_id = held.key
    shares, unrealised = decimals(held.position.shares.micro), held.unrealised
    worth = "no bid" if held.mark is None else f"bid {held.mark.price}"
    earned = "" if unrealised is None else f"  {_signed(unrealised)}"
    said = f"{shares} for ${held.position.cost.cents}  {worth}{earned}  "
    row = Text.assemble((f"{visible(f'  {follower}'):<10} ", "bold"), said)
    label = visible(held.label or token_name(token_id))
    row.append(label if width is None else cut_inside(label, max(width - len(row), _LABEL_LEAST)), "dim")
    return row


def _earned(profit: Profit) -> str:
    parts = [f"realised {_signed(profit.realised)}"]
    parts += [f"provisional {_signed(profit.provisional)}"] if profit.provisional else []
    parts += [f"unrealised {'not known, no bid' if profit.unrealised is None else _signed(profit.unrealised)}"]
    parts += [f"fees ${profit.fees.cents}"] if profit.fees else []
    return ", ".join(parts) + ("" if profit.total is None else f"; in all {_signed(profit.total)}")


def _signed(amount: Usd) -> str:
    cents = amount.cents
    return f"-${cents[1:]}" if cents.startswith("-") else f"+${cents}"
