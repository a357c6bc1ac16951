"""One execution of one owner's order, as the chain recorded it: an immutable fact."""

from enum import Enum

from attrs import frozen

from trio_copy.model.ids import ZERO_ADDRESS, Address, ChainId, Hash32, TokenId
from trio_copy.model.units import Price, Rounding, Shares, Usd


class Side(Enum):
    BUY = "BUY"
    SELL = "SELL"

    __hash__ = object.__hash__  # members are singletons; Enum's own hash is a Python call on a hot path

    @property
    def opposite(self) -> "Side":
        return Side.SELL if self is Side.BUY else Side.BUY


class Role(Enum):
    """Whether the owner's order rested (MAKER) or crossed (TAKER); UNKNOWN where the log does not tell."""

    MAKER = "MAKER"
    TAKER = "TAKER"
    UNKNOWN = "UNKNOWN"

    __hash__ = object.__hash__


class Kind(Enum):
    """Why shares changed hands."""

    TRADE = "trade"
    SPLIT = "split"
    MERGE = "merge"
    REDEMPTION = "redemption"
    TRANSFER = "transfer"
    EXIT = "exit"
    """No act of the leader: the follower's own rule, such as a stop loss, wants to leave."""

    __hash__ = object.__hash__


@frozen(kw_only=True)
class Fill:
    chain_id: ChainId
    exchange: Address
    """The contract that emitted the log: an exchange, an AMM, or a share ledger for plain transfers."""
    owner: Address
    """Whose order it was: the funding wallet, never the signing key behind it."""
    counterparty: Address
    role: Role
    side: Side
    token_id: TokenId
    shares: Shares
    notional: Usd | None
    """Collateral paid or received before fees; None where the log moves shares without saying for how much."""
    fee: Usd | Shares
    """Charged on top of the notional (BUY) or out of it (SELL); the dead V1 exchanges charged buys in shares."""
    order_hash: Hash32 | None
    """None for fills that no order stands behind: AMM trades and transfers."""
    tx_hash: Hash32
    log_index: int
    nth: int = 0
    """Which of the equal fills of its transaction it is: equal in all that its identity is made of."""
    operator: Address = ZERO_ADDRESS
    """By whose hand shares were moved; zero where the log does not tell."""
    block_number: int
    block_hash: Hash32
    block_time: int | None
    kind: Kind = Kind.TRADE

    @property
    def price(self) -> Price | None:
        """The average price to the nearest millionth: a fact to show and compare, not a limit."""
        if self.notional is None or not self.shares:
            return None
        return self.notional.per(self.shares, Rounding.NEAREST)


@frozen(kw_only=True)
class NotAFill:
    """A well-formed log that moves shares or money without being a trade."""

    kind: str
    """split, merge, redeem, move, empty, or the name of a companion event such as orders-matched."""
