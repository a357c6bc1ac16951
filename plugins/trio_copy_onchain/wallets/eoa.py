"""A wallet that is a key's own address: it is its only operator, and makes one call in a transaction."""

from collections.abc import Collection, Sequence

from attrs import frozen

from trio_copy.model.ids import Address, IntentKey
from trio_copy.transactions.calls import Call
from trio_copy_onchain.wallets.seam import marked_with, unmarked


@frozen(kw_only=True)
class Eoa:
    """An externally owned account. An approval is a transaction of its own, with a nonce before."""

    address: Address
    approves: bool = False
    hides: frozenset[str] = frozenset()

    def outer(self, calls: Sequence[Call], operator: Address, key: IntentKey | None = None) -> Call:
        if operator != self.address:
            raise ValueError(f"operator: expected the wallet's own key of {self.address}, got {operator}")
        if len(calls) != 1:
            raise ValueError(f"expected one call of a wallet that is no contract, got {len(calls)}")
        return marked_with(calls[0], key)

    def inner(self, call: Call, *, marked: bool = True) -> tuple[Call, ...]:
        return (unmarked(call) if marked else call,)

    def reads(self) -> tuple[Call, ...]:
        return ()

    def check(self, answers: Sequence[bytes], operators: Collection[Address]) -> tuple[str, ...]:
        strangers = sorted(set(operators) - {self.address})
        return tuple(f"operator: expected the wallet's own key of {self.address}, got {other}" for other in strangers)

    def gas_around(self, calls: Sequence[Call]) -> int:
        return 0
