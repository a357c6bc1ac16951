"""Stands for the key of an operator that nobody here has any more: what it has sent is followed, and nothing is signed for it."""

from attrs import frozen

from trio_copy.errors import OrderNotSent
from trio_copy.model.decisions import Code, Reason
from trio_copy.model.ids import Address, IntentKey
from trio_copy.ports.signing import Access, Purpose, Signer, Spending
from trio_copy.transactions.relayed import Relayed
from trio_copy.transactions.transaction import Transaction


@frozen
class Keyless(Signer):
    """Refuses everything."""

    of: Address

    @property
    def address(self) -> Address:
        return self.of

    @property
    def armed_at(self) -> float:
        return 0.0

    def sign(self, wanted: Spending, digest: bytes) -> bytes | Reason:
        return self._reason

    def sign_access(self, access: Access) -> bytes | Reason:
        return self._reason

    def sign_transaction(self, transaction: Transaction, purpose: Purpose) -> bytes | Reason:
        return self._reason

    def sender_of(self, key: IntentKey) -> Address | None:
        return None

    def sign_relayed(self, relayed: Relayed, purpose: Purpose) -> bytes | Reason:
        return self._reason

    async def wait_counted(self) -> None:
        raise OrderNotSent(self._reason.because, self._reason)

    async def release(self, wanted: Spending, digest: bytes) -> None:
        raise OrderNotSent(self._reason.because, self._reason)

    @property
    def _reason(self) -> Reason:
        return Reason(code=Code.GUARD_REFUSED, control="operator", value=self.of, limit="one whose key is configured")
