"""What an operator's gas has cost, in all and for each wallet, as documents of a journal.

Named `CHAIN/OPERATOR/gas`; and of each wallet that is a contract its part of that, `CHAIN/gas/WALLET/OPERATOR`. Each is
`[1, transactions, wei]`.
"""

from typing import Any

import msgspec
from attrs import define, field

from trio_copy.errors import InvariantBroken
from trio_copy.model.ids import Address, ChainId
from trio_copy.ports import Journal
from trio_copy.records import write_plain

GAS = "gas"
_READ = msgspec.json.Decoder(tuple[int, int, int])


@define(eq=False, kw_only=True)
class GasBook:
    """That of one operator. Raises `InvariantBroken` where what is in its journal cannot be read."""

    journal: Journal
    chain_id: ChainId
    operator: Address
    _paid: dict[str, tuple[int, int]] = field(factory=dict, init=False)
    """Transactions and wei, by the name of their document."""

    def __attrs_post_init__(self) -> None:
        parts = f"{self.chain_id}/{GAS}/"
        for name, body in self.journal.documents().items():
            if name == self._in_all or (name.startswith(parts) and name.endswith(f"/{self.operator}")):
                try:
                    _, transactions, wei = _READ.decode(body)
                except msgspec.MsgspecError as error:
                    raise InvariantBroken(
                        f"what the gas of {self.operator} has cost cannot be read: {name}: {error}"
                    ) from error
                self._paid[name] = transactions, wei

    @property
    def transactions(self) -> int:
        """Return how many were counted."""
        return self._paid.get(self._in_all, (0, 0))[0]

    @property
    def wei(self) -> int:
        """Return what they have cost."""
        return self._paid.get(self._in_all, (0, 0))[1]

    def pay(self, wei: int, wallet: Address) -> None:
        """Count what a transaction's gas has cost, and for which wallet: the operator itself where for no other."""
        self._add(self._in_all, wei)
        if wallet != self.operator:
            self._add(f"{self.chain_id}/{GAS}/{wallet}/{self.operator}", wei)

    @property
    def _in_all(self) -> str:
        return f"{self.chain_id}/{self.operator}/{GAS}"

    def _add(self, name: str, wei: int) -> None:
        transactions, before = self._paid.get(name, (0, 0))
        self._paid[name] = transactions + 1, before + wei
        body: list[Any] = [1, *self._paid[name]]
        self.journal.put(name, write_plain(body))
