"""An operator's bindings as documents of a journal, named `CHAIN/OPERATOR/NONCE/KEY`, `-` for nobody's key."""

from collections.abc import Iterator
from typing import Any

import msgspec
from attrs import define

from trio_copy.errors import InvariantBroken
from trio_copy.model.ids import Address, ChainId
from trio_copy.ports import Journal
from trio_copy.records import write_plain
from trio_copy_onchain.sending.gas_book import GAS
from trio_copy_onchain.tx.nonces import Nonces
from trio_copy_onchain.tx.sendings import Binding, binding_of, plain_binding

_READ = msgspec.json.Decoder(list[Any])
_NOBODY = "-"


@define(eq=False, kw_only=True)
class Written:
    """What one operator has in a journal."""

    journal: Journal
    chain_id: ChainId
    operator: Address

    def read(self) -> Nonces:
        """Read what there is.

        Raises:
            InvariantBroken: a document cannot be read; nothing may be sent by this operator.
        """
        bindings: list[Binding] = []
        for name, body in self._documents():
            if name == GAS:
                continue
            try:
                bindings.append(binding_of(_READ.decode(body), self.chain_id, self.operator))
            except (ValueError, msgspec.MsgspecError) as error:
                raise InvariantBroken(f"what {self.operator} has sent cannot be read: {name}: {error}") from error
        return Nonces.restored(bindings)

    def put(self, nonces: Nonces) -> None:
        """Write down what has changed; nothing of it leaves before `Journal.wait_durable` has returned."""
        for (nonce, key), binding in nonces.take_changes().items():
            name = f"{nonce}/{key or _NOBODY}"
            self._put(name, None if binding is None else plain_binding(binding))

    def _documents(self) -> Iterator[tuple[str, bytes]]:
        prefix = self._prefix
        for name, body in self.journal.documents().items():
            if name.startswith(prefix):
                yield name.removeprefix(prefix), body

    def _put(self, name: str, body: list[Any] | None) -> None:
        self.journal.put(self._prefix + name, None if body is None else write_plain(body))

    @property
    def _prefix(self) -> str:
        return f"{self.chain_id}/{self.operator}/"
