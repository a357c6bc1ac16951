"""A transaction as a node shows it, proven by its hash: what is signed is built again, and whose it is read from that. Pure."""

import msgspec
from attrs import frozen

from trio_copy.model.ids import Address, ChainId, Hash32, IntentKey
from trio_copy.transactions.transaction import Signed, Transaction, read_signed
from trio_copy_onchain.tx.wire import MISREAD, Number, address_of, bytes_of, hash_of, number_of

_MOST_INPUT = 1 << 20
_TYPE = 2
_KEY = 32


@frozen(kw_only=True)
class Written:
    """One that was sent, by whomever."""

    signed: Signed
    transaction: Transaction
    sender: Address

    @property
    def key(self) -> IntentKey | None:
        """Return the 32 bytes behind its call, which are a key where it was sent for one; see `Call.marked`."""
        data = self.transaction.data
        return IntentKey(data[-_KEY:].hex()) if len(data) >= _KEY else None


class _Shown(msgspec.Struct, rename="camel"):
    hash: str
    type: Number = 0
    access_list: list[msgspec.Raw] | None = None
    nonce: Number = 0
    max_priority_fee_per_gas: Number | None = None
    max_fee_per_gas: Number | None = None
    gas: Number = 0
    to: str | None = None
    value: Number = 0
    input: str = "0x"
    y_parity: Number | None = None
    v: Number | None = None
    r: Number = 0
    s: Number = 0


def read_written(result: bytes, tx_hash: Hash32, chain_id: ChainId) -> Written | None:
    """Read the answer to `eth_getTransactionByHash`; None where it is shown as one of a kind that is never ours.

    Raises:
        ValueError: the node has none, or shows something whose hash is another.
    """
    try:
        shown = msgspec.json.decode(result, type=_Shown)
        if hash_of(shown.hash) != tx_hash:
            raise ValueError(f"expected {tx_hash}, got {shown.hash[:80]}")
        tip, max_fee, to = shown.max_priority_fee_per_gas, shown.max_fee_per_gas, shown.to
        if number_of(shown.type) != _TYPE or shown.access_list or to is None or tip is None or max_fee is None:
            return None
        odd = shown.v if shown.y_parity is None else shown.y_parity
        if odd is None:
            raise ValueError("expected a signature")
        transaction = Transaction(
            chain_id=chain_id,
            nonce=number_of(shown.nonce),
            tip=number_of(tip),
            max_fee=number_of(max_fee),
            gas=number_of(shown.gas),
            to=address_of(to),
            value=number_of(shown.value),
            data=bytes_of(shown.input, _MOST_INPUT),
        )
        signature = number_of(shown.r).to_bytes(32) + number_of(shown.s).to_bytes(32) + bytes((27 + number_of(odd, 1),))
        signed = transaction.signed(lambda digest: signature)
        if signed.hash != tx_hash:
            raise ValueError(f"expected what has the hash {tx_hash}, got {signed.hash}")
        return Written(signed=signed, transaction=transaction, sender=read_signed(signed.raw)[1])
    except MISREAD as error:
        raise ValueError(f"transaction: {error}") from None
