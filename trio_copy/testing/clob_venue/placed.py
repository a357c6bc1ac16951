"""An order that the venue took, and what became of it."""

from attrs import define, field

from trio_copy.model.units import MICRO
from trio_copy.testing.clob_venue.api_keys import ApiKey
from trio_copy.testing.clob_venue.books import Resting
from trio_copy.testing.clob_venue.posted import Posted
from trio_copy.testing.clob_venue.wallets import Asset, VenueWallet

OPEN = ("LIVE", "DELAYED", "UNMATCHED")


@define(eq=False, kw_only=True)
class Placed:
    order_id: str
    posted: Posted
    wallet: VenueWallet
    key: ApiKey
    exchange: str
    limit: int
    """On its tick, in millionths of a USD a share."""
    created_at: int
    """Unix seconds."""
    status: str = "LIVE"
    waits: bool = False
    """Whether it was made to wait: it can neither be matched nor, if delayed, be cancelled."""
    shares: int = 0
    """Matched so far, as the cash; in millionths."""
    cash: int = 0
    fee: int = 0
    hold: int = 0
    """Of what it gives, in the books of its wallet."""
    trade_ids: list[str] = field(factory=list)
    resting: Resting | None = None

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def gives(self) -> Asset:
        return None if self.posted.buys else self.posted.token_id

    @property
    def gets(self) -> Asset:
        return self.posted.token_id if self.posted.buys else None

    def hold_for(self, shares: int) -> None:
        """Hold what so many shares may still cost; 0 gives everything back."""
        amount = -(-shares * self.limit // MICRO) if self.posted.buys else shares
        self.keep(amount)

    def keep(self, amount: int) -> None:
        """Hold this much of what it gives, and not what it held before."""
        self.wallet.held[self.gives] += amount - self.hold
        self.hold = amount
