"""Calls that a relayer carries to the chain for a wallet: what the wallet's key signs in place of a transaction."""

from attrs import frozen

from trio_copy.model.ids import Address, ChainId
from trio_copy.model.orders import SignatureType
from trio_copy.transactions.calls import Call


@frozen(kw_only=True)
class Relayed:
    """What is signed; the kind of the wallet says how it is hashed."""

    chain_id: ChainId
    wallet: Address
    kind: SignatureType
    """PROXY, SAFE or DEPOSIT."""
    calls: tuple[Call, ...]
    nonce: int
    """The relayer's."""
    deadline: int = 0
    """Unix seconds; of a deposit wallet."""
    relay: Address | None = None
    """Of a proxy wallet: who carries it."""
