"""The orders that the venue took: whose they are, what of them is open, and who hears of a change."""

from collections.abc import Callable, Sequence

from attrs import define, field

from trio_copy.model.ids import Address
from trio_copy.testing.clob_venue.books import TradedVenue
from trio_copy.testing.clob_venue.placed import Placed
from trio_copy.testing.clob_venue.record import Ended, VenueRecord
from trio_copy.testing.clob_venue.wallets import VenueWallet


@define(eq=False, kw_only=True)
class Orders:
    venue: TradedVenue
    record: VenueRecord
    now: Callable[[], float]
    """Unix seconds, truly."""
    by_id: dict[str, Placed] = field(factory=dict)
    on_order: list[Callable[[Placed, str], None]] = field(factory=list)
    """Hears of an order and of what happened to it: PLACEMENT, UPDATE or CANCELLATION."""
    _of_signers: dict[Address, list[Placed]] = field(factory=dict)

    def add(self, placed: Placed) -> None:
        self.by_id[placed.order_id] = placed
        self._of_signers.setdefault(placed.key.address, []).append(placed)

    def forget(self, placed: Placed) -> None:
        """Let nobody find it any more."""
        del self.by_id[placed.order_id]
        self._of_signers[placed.key.address].remove(placed)

    def of(self, signer: Address) -> Sequence[Placed]:
        """Return the orders that somebody placed, the oldest first."""
        return self._of_signers.get(signer, ())

    def open_of(self, signer: Address) -> list[Placed]:
        """Return what a client has open."""
        return [one for one in self.of(signer) if one.is_open]

    def filled(self, placed: Placed, *, maker: bool) -> None:
        """Hold what is left of an order that got something: one that rested, and is whole, ends."""
        if maker:
            left = placed.posted.shares - placed.shares
            placed.hold_for(left)
            if not left:
                self.end(placed, "MATCHED")
        self.tell(placed, "UPDATE")

    def end(self, placed: Placed, status: str) -> None:
        """Let nothing more be filled of an order."""
        placed.status, placed.waits = status, False
        placed.keep(0)
        self.venue.withdraw(placed.posted.token_id, placed.order_id)
        self.record.add(Ended(at_ms=int(self.now() * 1000), order_id=placed.order_id, status=status))
        if status != "MATCHED":
            self.tell(placed, "CANCELLATION")

    def cover(self, wallet: VenueWallet) -> None:
        """Cancel orders of a wallet that has not what they would give any more, the newest first."""
        if not wallet.held.total():
            return
        mine = [one for one in self.open_of(wallet.owner) if one.wallet is wallet and one.resting is not None]
        for placed in reversed(mine):
            if wallet.held[placed.gives] + wallet.matched[placed.gives] > wallet.known[placed.gives]:
                self.end(placed, "CANCELED_NOT_ENOUGH_BALANCE")

    def tell(self, placed: Placed, what: str) -> None:
        for hear in self.on_order:
            hear(placed, what)
