"""Why something is sent: what a signature needs to know again when the same call has to pay more."""

from collections.abc import Set

from attrs import frozen

from trio_copy.errors import OrderNotSent
from trio_copy.model.decisions import Reason
from trio_copy.model.ids import ChainId, IntentKey
from trio_copy.ports.signing import NOTHING, Purpose, Signer
from trio_copy.transactions.calls import Call
from trio_copy.transactions.transaction import Transaction
from trio_copy_onchain.tx.fees import Fees
from trio_copy_onchain.tx.sendings import Sending, doing_nothing
from trio_copy_onchain.tx.texts import PRICE_REASONS


@frozen(kw_only=True)
class Cause:
    """What one key's transactions carry, who signs them, and for what."""

    key: IntentKey
    signer: Signer
    purpose: Purpose
    call: Call
    """What the operator's transaction calls."""
    gas: int
    """That it may use at most."""
    until: float
    """Unix seconds from which on it is not to be mined any more."""
    released: bytes = b""
    """As what the guard has let it go, and lets it go again; empty of what needs no release."""
    prices: Set[str] = PRICE_REASONS
    """The venue's reasons for a limit that was not met."""

    def signed(self, chain_id: ChainId, nonce: int, fees: Fees, at: float) -> Sending:
        """Sign it. Raises `OrderNotSent` where the guard refuses."""
        transaction = Transaction(
            chain_id=chain_id,
            nonce=nonce,
            tip=fees.tip,
            max_fee=fees.max_fee,
            gas=self.gas,
            to=self.call.to,
            value=self.call.value,
            data=self.call.data,
        )
        return _signed(self.signer, transaction, self.purpose, at, cancels=False)


def signed_nothing(signer: Signer, chain_id: ChainId, nonce: int, fees: Fees, at: float) -> Sending:
    """Sign what does nothing but use a nonce. Raises `OrderNotSent` where the guard refuses."""
    transaction = doing_nothing(chain_id, signer.address, nonce, fees)
    return _signed(signer, transaction, NOTHING, at, cancels=True)


def _signed(signer: Signer, transaction: Transaction, purpose: Purpose, at: float, *, cancels: bool) -> Sending:
    signature = signer.sign_transaction(transaction, purpose)
    if isinstance(signature, Reason):
        raise OrderNotSent(signature.because, signature)
    return Sending.of(transaction, lambda _digest: signature, at=at, cancels=cancels)
