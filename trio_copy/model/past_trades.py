"""What somebody traded, as a venue tells it: less than the chain says."""

from attrs import frozen

from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, Hash32, TokenId
from trio_copy.model.units import Price, Shares


@frozen(kw_only=True)
class PastTrade:
    at: float
    """Unix seconds."""
    wallet: Address
    token_id: TokenId
    side: Side
    shares: Shares
    price: Price
    tx_hash: Hash32
    maker: bool | None
    """Whether the order had rested; None where nobody tells."""
