"""What the gas of operators has cost, for people who ask: from what executors keep of each beside its sendings."""

from collections.abc import Iterable

import msgspec
from attrs import evolve, frozen

from trio_copy.engine.journal import KIND
from trio_copy.model.coins import Coins
from trio_copy.model.ids import Address
from trio_copy.ports import Document, History
from trio_copy.records import read_plain

_GAS = "gas"


@frozen(kw_only=True)
class GasPaid:
    """Of one operator for one wallet, on one chain, by one executor."""

    executor: str
    chain_id: int
    wallet: Address
    """Which the transactions moved: the operator itself where it has its own shares, or acted for none, as when it fills a nonce."""
    operator: Address
    transactions: int
    coins: Coins
    """In the chain's own coin: of everything that is final, what was refused or took a nonce from another included."""


async def gas_paid(history: History) -> list[GasPaid]:
    """Return what each operator has paid for each wallet, sorted; what is not as it was written here is left out."""
    in_all, parts = list[GasPaid](), list[GasPaid]()
    for document in await history.documents(KIND):
        match document.name.split("/"):
            case executor, chain_id, operator, name if name == _GAS:
                in_all += _read(document, executor, chain_id, operator, operator)
            case executor, chain_id, name, wallet, operator if name == _GAS:
                parts += _read(document, executor, chain_id, wallet, operator)
            case _:
                pass
    of_wallets = dict[tuple[str, int, Address], tuple[int, int]]()
    for part in parts:
        count, wei = of_wallets.get(_payer(part), (0, 0))
        of_wallets[_payer(part)] = count + part.transactions, wei + part.coins.wei
    found = parts
    for whole in in_all:
        count, wei = of_wallets.get(_payer(whole), (0, 0))
        if whole.transactions > count:
            own = Coins(whole.coins.wei - wei)
            found.append(evolve(whole, transactions=whole.transactions - count, coins=own))
    return sorted(found, key=lambda one: (one.executor, one.chain_id, one.wallet, one.operator))


def _payer(paid: GasPaid) -> tuple[str, int, Address]:
    return paid.executor, paid.chain_id, paid.operator


def _read(document: Document, executor: str, chain_id: str, wallet: str, operator: str) -> Iterable[GasPaid]:
    try:
        _, transactions, wei = read_plain(document.body)
        yield GasPaid(
            executor=executor,
            chain_id=int(chain_id),
            wallet=Address(wallet),
            operator=Address(operator),
            transactions=int(transactions),
            coins=Coins(int(wei)),
        )
    except (ValueError, TypeError, msgspec.MsgspecError):
        return
