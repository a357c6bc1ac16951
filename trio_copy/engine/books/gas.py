"""What the gas of operators has cost, for people who ask: from what executors keep of each beside its sendings."""

from collections.abc import Iterable
from typing import Self

import msgspec
from attrs import evolve, frozen

from trio_copy.engine.shards.journal import KIND
from trio_copy.model.coins import Coins
from trio_copy.model.ids import Address, parse_address
from trio_copy.ports import Document, History

_GAS = "gas"
_READ = msgspec.json.Decoder(tuple[int, int, int])


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

    @property
    def payer(self) -> tuple[str, int, Address]:
        """Return whose coins they were."""
        return self.executor, self.chain_id, self.operator

    def plus(self, other: Self) -> Self:
        """Return both together."""
        transactions, wei = self.transactions + other.transactions, self.coins.wei + other.coins.wei
        return evolve(self, transactions=transactions, coins=Coins(wei))

    def less(self, part: Self) -> Self:
        """Return what is left of it without a part."""
        transactions, wei = self.transactions - part.transactions, self.coins.wei - part.coins.wei
        return evolve(self, transactions=transactions, coins=Coins(wei))


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
    found = _together(parts)
    of_wallets = {one.payer: one for one in _together(evolve(part, wallet=part.operator) for part in parts)}
    for whole in _together(in_all):
        part = of_wallets.get(whole.payer)
        own = whole if part is None else whole.less(part)
        if own.transactions > 0:
            found.append(own)
    return sorted(found, key=lambda one: (one.executor, one.chain_id, one.wallet, one.operator))


def _together(paid: Iterable[GasPaid]) -> list[GasPaid]:
    """Add up what is of the same operator for the same wallet: each shard that it was in has a document of its own."""
    found = dict[tuple[str, int, Address, Address], GasPaid]()
    for one in paid:
        name = (*one.payer, one.wallet)
        found[name] = found[name].plus(one) if name in found else one
    return list(found.values())


def _read(document: Document, executor: str, chain_id: str, wallet: str, operator: str) -> Iterable[GasPaid]:
    try:
        _, transactions, wei = _READ.decode(document.body)
        found = GasPaid(
            executor=executor,
            chain_id=int(chain_id),
            wallet=parse_address(wallet),
            operator=parse_address(operator),
            transactions=transactions,
            coins=Coins(wei),
        )
    except (ValueError, msgspec.MsgspecError):
        return
    if transactions > 0 and wei >= 0:
        yield found
