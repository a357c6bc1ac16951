"""`trio-copy gas`"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from trio_copy.cli.opened import Conf, ask_store, find_plan
from trio_copy.cli.redact import Redact
from trio_copy.cli.tables import Column, Csv, Json, short, show
from trio_copy.engine.books.gas import GasPaid, gas_paid
from trio_copy.model.coins import Coins
from trio_copy.model.counts import counted


def gas(*, redactor: Redact, conf: Conf = None, json: Json = False, csv: Csv = False) -> int:
    """Show what transactions have cost in gas, by wallet and operator, in the chain's own coin; `pnl` does not count it.

    Everything that is final counts, also what was refused within its block, and what only took a nonce from another. Gas of
    what moved no wallet, as what fills a nonce or refuels, stands with the operator itself.
    """
    plan = find_plan(conf, redactor)
    rows = ask_store(plan, lambda store: gas_paid(store.history))
    names = {table.address: name for name, table in plan.settings.wallet.items() if table.address is not None}
    columns: tuple[Column[GasPaid], ...] = (
        Column("executor", lambda row: row.executor, detail=True),
        Column("chain", lambda row: str(row.chain_id), right=True),
        Column("wallet", lambda row: row.wallet, shown=lambda address: names.get(address) or short(address)),
        Column("operator", lambda row: row.operator, shown=short),
        Column("transactions", lambda row: row.transactions, right=True),
        Column("coins", lambda row: str(row.coins), right=True),
    )
    show(columns, rows, json=json, csv_=csv, empty="no transaction is final yet")
    return 0


def gas_in_all(paid: Iterable[GasPaid]) -> str:
    """Write what all of it has cost: for each chain, where a store has seen several, as their coins add up to nothing."""
    by_chain = defaultdict[int, list[GasPaid]](list)
    for one in paid:
        by_chain[one.chain_id].append(one)
    return ", ".join(
        _cost(rows, f" of chain {chain_id}" if len(by_chain) > 1 else "") for chain_id, rows in sorted(by_chain.items())
    )


def _cost(rows: Sequence[GasPaid], of: str) -> str:
    coins = Coins(sum(one.coins.wei for one in rows))
    return f"{coins} coins{of} for {counted(sum(one.transactions for one in rows), 'transaction')}"
