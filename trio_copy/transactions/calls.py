"""A call of a contract, whoever makes it."""

from attrs import frozen

from trio_copy.model.ids import Address, ChainId, IntentKey
from trio_copy.native import keccak

_WORD = 32


@frozen(kw_only=True)
class Call:
    """What is asked of a contract by a question or by a transaction."""

    to: Address
    data: bytes = b""
    value: int = 0
    """Of the chain's coin, in wei."""

    def marked(self, key: IntentKey) -> "Call":
        """Return the call with the key of its intent behind the arguments: no contract reads so far, and whoever finds
        the transaction on the chain knows what it was for."""
        return Call(to=self.to, data=self.data + bytes.fromhex(key), value=self.value)


def call_digest(chain_id: ChainId, sender: Address, call: Call) -> bytes:
    """Name what a key's transactions do, whatever nonce and fees they have: 32 bytes by which a guard knows it again."""
    numbers = chain_id.to_bytes(_WORD) + call.value.to_bytes(_WORD)
    return keccak(numbers + bytes.fromhex(sender[2:]) + bytes.fromhex(call.to[2:]) + call.data)
