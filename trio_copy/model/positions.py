"""The ledger: immutable entries, and positions as folds over them."""

from attrs import frozen

from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, FollowerId, IntentKey, SignalId, TokenId
from trio_copy.model.units import NO_SHARES, NO_USD, Price, Rounding, Shares, Usd, divide

PositionKey = tuple[FollowerId, Address, TokenId]


@frozen(kw_only=True)
class LedgerEntry:
    """One booking; `key` makes it count once however often it is booked."""

    key: IntentKey
    signal_id: SignalId
    follower: FollowerId
    leader: Address
    token_id: TokenId
    side: Side
    shares: Shares
    notional: Usd
    fee: Usd
    booked_at: float
    """Unix seconds."""

    @property
    def position(self) -> PositionKey:
        return (self.follower, self.leader, self.token_id)


@frozen(kw_only=True)
class Position:
    """What one follower holds of one token on one leader's account, at average cost."""

    shares: Shares = NO_SHARES
    cost: Usd = NO_USD
    """Paid for the shares still held, fees included."""
    realised: Usd = NO_USD
    """Proceeds of what was sold, less fees, less its average cost (rounded up)."""

    def after(self, entry: LedgerEntry) -> "Position":
        """Fold one entry in.

        Raises:
            ValueError: it sells more than is held.
        """
        if entry.side is Side.BUY:
            return Position(
                shares=self.shares + entry.shares,
                cost=self.cost + entry.notional + entry.fee,
                realised=self.realised,
            )
        if entry.shares > self.shares:
            raise ValueError(f"expected to sell at most {self.shares} shares, was {entry.shares}")
        if not entry.shares:
            return self
        cost = Usd(divide(self.cost.micro * entry.shares.micro, self.shares.micro, Rounding.UP))
        return Position(
            shares=self.shares - entry.shares,
            cost=self.cost - cost,
            realised=self.realised + entry.notional - entry.fee - cost,
        )


def slippage_bps(side: Side, reference: Price, price: Price) -> int | None:
    """Return how much worse than a reference a price was, in basis points rounded up; negative when better."""
    if not reference:
        return None
    worse = price.micro - reference.micro if side is Side.BUY else reference.micro - price.micro
    return -(-worse * 10_000 // reference.micro)
