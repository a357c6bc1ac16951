"""What the gas of operators has cost, for people who ask: from what executors keep of each beside its sendings."""

import msgspec
from attrs import frozen

from trio_copy.accounts.plain import Plain
from trio_copy.engine.journal import KIND
from trio_copy.model.coins import Coins
from trio_copy.model.ids import Address
from trio_copy.ports import History
from trio_copy.records import read_plain

_GAS = "gas"


@frozen(kw_only=True)
class GasPaid:
    """Of one operator, on one chain, by one executor."""

    executor: str
    chain_id: int
    operator: Address
    transactions: int
    coins: Coins
    """In the chain's own coin: of everything that is final, what was refused or took a nonce from another included."""


async def gas_paid(history: History) -> list[GasPaid]:
    """Return what each operator has paid, sorted; what is not as it was written here is left out."""
    found = []
    for document in await history.documents(KIND):
        parts = document.name.split("/")
        if len(parts) != 4 or parts[-1] != _GAS:
            continue
        try:
            body: Plain = read_plain(document.body)
            _, transactions, wei = body
            executor, chain_id, operator, _ = parts
            paid = GasPaid(
                executor=executor,
                chain_id=int(chain_id),
                operator=Address(operator),
                transactions=int(transactions),
                coins=Coins(int(wei)),
            )
        except (ValueError, TypeError, msgspec.MsgspecError):
            continue
        found.append(paid)
    return sorted(found, key=lambda one: (one.executor, one.chain_id, one.operator))
