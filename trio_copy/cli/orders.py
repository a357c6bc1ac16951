"""`trio-copy orders list | settle | cancel`"""

from typing import Annotated

from cyclopts import App, Parameter

from trio_copy.accounts import OpenOrder
from trio_copy.cli.asked import asker_of, new_name
from trio_copy.cli.opened import Conf, ask_store, find_plan
from trio_copy.cli.output import out
from trio_copy.cli.queries import utc, utc_short
from trio_copy.cli.redact import Redact
from trio_copy.cli.tables import Column, Csv, Json, Styled, short, show
from trio_copy.engine.books.books import open_orders
from trio_copy.engine.people.requests import call_off
from trio_copy.engine.people.requests import settle as settle_request
from trio_copy.errors import ConfigError
from trio_copy.model.units import Shares, Usd
from trio_copy.ports import Store

app = App(
    name="orders",
    help="Orders that rest at a venue, or whose outcome is not proven yet, and what a person knows about them.",
)

_ID_LEAST = 4
_ID_SHOWN = 14
"""Its beginning can be pasted into the commands below; what is cut in the middle cannot."""
_COLUMNS: tuple[Column[OpenOrder], ...] = (
    Column("order_id", lambda row: row.order.order_id, shown=lambda name: str(name)[:_ID_SHOWN]),
    Column("state", lambda row: row.state.value),
    Column("breached", lambda row: row.breached, shown=lambda value: Styled("yes", "red") if value else "no"),
    Column("since", lambda row: utc(row.at), shown=utc_short, detail=True),
    Column("follower", lambda row: row.task.follower),
    Column("side", lambda row: row.order.side.value),
    Column("shares", lambda row: str(row.order.shares), right=True),
    Column("filled", lambda row: None if row.report is None else str(row.report.shares), right=True, detail=True),
    Column("limit_price", lambda row: str(row.order.limit_price), right=True, detail=True),
    Column("token_id", lambda row: str(row.order.token_id), shown=short, detail=True),
    Column("executor", lambda row: row.order.executor, detail=True),
)


@app.command(name="list")
def list_(*, redactor: Redact, conf: Conf = None, json: Json = False, csv: Csv = False) -> int:
    """List orders that rest at a venue, that may have been sent and are not proven, or that are not settled for good.

    Breached is one about which its executor reported what cannot be: the venue has to be looked at.
    """
    rows = ask_store(find_plan(conf, redactor), lambda store: open_orders(store.history))
    show(_COLUMNS, rows, json=json, csv_=csv, empty="every order has ended")
    return 0


@app.command
def settle(
    order: Annotated[str, Parameter(help="The order id, or the beginning of one.")],
    /,
    *,
    shares: Annotated[str, Parameter(help="Shares that were filled; 0 when nothing was and nothing will be.")],
    notional: Annotated[str, Parameter(help="Dollars paid or received for them, before fees.")] = "0",
    fee: Annotated[str, Parameter(help="Fee in dollars.")] = "0",
    redactor: Redact,
    conf: Conf = None,
) -> int:
    """Write down what became of an order that the venue does not tell about. Look there first: this is final.

    Whoever owns the account does it; where no engine runs, this command.
    """
    plan = find_plan(conf, redactor)
    try:
        filled, paid, charged = Shares.parse(shares), Usd.parse(notional), Usd.parse(fee)
    except ValueError as error:
        raise ConfigError([f"--shares, --notional, --fee: {error}"]) from None

    async def ask(store: Store) -> str:
        one = await _find(store, order)
        asker, whose = asker_of(store, plan), one.task.follower
        amounts = (filled, paid, charged)
        request = settle_request(new_name("settle"), whose, one.order.key, amounts, asker.wall())
        return await asker.ask(plan.shard_of(whose), request)

    out(ask_store(plan, ask))
    return 0


@app.command
def cancel(
    order: Annotated[str, Parameter(help="The order id, or the beginning of one.")],
    /,
    *,
    redactor: Redact,
    conf: Conf = None,
) -> int:
    """Take an entry that rests off the venue's book, whatever its lifetime. What it has filled stays.

    The engine that owns the account does it within seconds; where none runs, the next one does, before it copies.
    """
    plan = find_plan(conf, redactor)

    async def ask(store: Store) -> str:
        one = await _find(store, order)
        asker, whose = asker_of(store, plan), one.task.follower
        request = call_off(new_name("call-off"), whose, one.order.key, asker.wall())
        return await asker.ask(plan.shard_of(whose), request)

    out(ask_store(plan, ask))
    return 0


async def _find(store: Store, order: str) -> OpenOrder:
    if len(order.removeprefix("0x")) < _ID_LEAST:
        raise ConfigError([f'expected at least {_ID_LEAST} letters of an order id, got "{order}"'])
    found = [one for one in await open_orders(store.history) if one.order.order_id.startswith(order)]
    if len(found) != 1:
        raise ConfigError([f'expected one open order, got {len(found)} that start with "{order}"'])
    return found[0]
