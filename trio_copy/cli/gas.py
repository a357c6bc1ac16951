"""`trio-copy gas`"""

from trio_copy.cli.opened import Conf, ask_store, find_plan
from trio_copy.cli.redact import Redact
from trio_copy.cli.tables import Column, Csv, Json, short, show
from trio_copy.engine.gas import GasPaid, gas_paid

_COLUMNS: tuple[Column[GasPaid], ...] = (
    Column("executor", lambda row: row.executor, detail=True),
    Column("chain", lambda row: str(row.chain_id), right=True),
    Column("operator", lambda row: row.operator, shown=short),
    Column("transactions", lambda row: row.transactions, right=True),
    Column("coins", lambda row: str(row.coins), right=True),
)


def gas(*, redactor: Redact, conf: Conf = None, json: Json = False, csv: Csv = False) -> int:
    """Show what transactions have cost in gas, by operator, in the chain's own coin; `pnl` does not count it.

    Everything that is final counts, also what was refused within its block, and what only took a nonce from another.
    """
    plan = find_plan(conf, redactor)
    rows = ask_store(plan, lambda store: gas_paid(store.history))
    show(_COLUMNS, rows, json=json, csv_=csv, empty="no transaction is final yet")
    return 0
