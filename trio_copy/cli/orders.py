"""`trio-copy orders list | settle`"""

from typing import Annotated

from cyclopts import App, Parameter

from trio_copy.cli.opened import Conf, ask_store, find_plan
from trio_copy.cli.output import out
from trio_copy.cli.queries import utc, utc_short
from trio_copy.cli.redact import Redact
from trio_copy.cli.tables import Column, Csv, Json, short, show
from trio_copy.clock import anchored_wall_clock
from trio_copy.copying.catalog import Catalog
from trio_copy.engine.settlement import Settlements
from trio_copy.engine.wiring import read_facts
from trio_copy.errors import ConfigError
from trio_copy.model.orders import ExecutionReport, JournalState, Status
from trio_copy.model.records import OrderRecord
from trio_copy.model.units import NO_USD, ONE_USD_PER_SHARE, Rounding, Shares, Usd
from trio_copy.ports import Store, nowhere

app = App(
    name="orders",
    help="Orders whose outcome is not proven yet, and what a person knows about them.",
)

_COLUMNS: tuple[Column[OrderRecord], ...] = (
    Column("order_id", lambda row: row.order.order_id, elastic=True),
    Column("state", lambda row: row.state.value),
    Column("since", lambda row: utc(row.at), shown=utc_short, detail=True),
    Column("follower", lambda row: row.task.follower),
    Column("side", lambda row: row.order.side.value),
    Column("shares", lambda row: str(row.order.shares), right=True),
    Column("limit_price", lambda row: str(row.order.limit_price), right=True, detail=True),
    Column("token_id", lambda row: str(row.order.token_id), shown=short, detail=True),
    Column("executor", lambda row: row.order.executor, detail=True),
)


@app.command(name="list")
def list_(*, redactor: Redact, conf: Conf = None, json: Json = False, csv: Csv = False) -> int:
    """List orders that were frozen and have not ended."""
    rows = ask_store(find_plan(conf, redactor), lambda store: store.journal.unresolved())
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
    """Write down what became of an order that the venue does not tell about. Look there first: this is final."""
    plan = find_plan(conf, redactor)
    try:
        filled, paid, charged = Shares.parse(shares), Usd.parse(notional), Usd.parse(fee)
    except ValueError as error:
        raise ConfigError([f"--shares, --notional, --fee: {error}"]) from None

    async def ask(store: Store) -> str:
        found = [record for record in await store.journal.unresolved() if record.order.order_id.startswith(order)]
        if len(found) != 1:
            raise ConfigError([f'expected one open order, got {len(found)} that start with "{order}"'])
        (record,) = found
        if record.state not in (JournalState.SENDING, JournalState.UNKNOWN):
            raise ConfigError(
                [
                    f"{record.order.order_id} is {record.state.value}, not in doubt: its books are kept by what the venue says"
                ]
            )
        if filled < Shares(0) or filled > record.order.shares or paid < NO_USD or charged < NO_USD:
            raise ConfigError([f"--shares: expected 0 to {record.order.shares}, and no negative dollars"])
        if filled and paid > filled.at(ONE_USD_PER_SHARE, Rounding.UP):
            raise ConfigError([f"--notional: expected at most 1 USD per share, got {paid} for {filled}"])
        if bool(filled) != bool(paid):
            raise ConfigError(["--notional: expected dollars for the shares that were filled, and none for none"])
        catalog = Catalog()
        catalog.put(read_facts(plan))
        settlements = Settlements(store=store, catalog=catalog, wall=anchored_wall_clock(), at=nowhere)
        status = Status.REJECTED if not filled else Status.FILLED if filled == record.order.shares else Status.PARTIAL
        report = ExecutionReport(
            order_id=record.order.order_id,
            status=status,
            shares=filled,
            notional=paid,
            fee=charged,
            detail="settled by hand",
        )
        outcome = await settlements.settle(record.task, record.order, report)
        return f"{record.order.order_id}: {outcome.end.value}, written down by hand"

    out(ask_store(plan, ask))
    return 0
