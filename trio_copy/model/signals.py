"""A leader bought or sold: what may be copied."""

from collections.abc import Sequence

from attrs import field, frozen

from trio_copy.model.fills import Fill, Kind, Role, Side
from trio_copy.model.ids import Address, ChainId, Hash32, SignalId, TokenId, order_signal_id, transfer_signal_id
from trio_copy.model.units import Price, Shares, Usd

OWN_EXIT_TURN_S = 30
"""An exit of one's own that was not filled is tried again after this, under another identity: turns counted from the epoch."""


@frozen(kw_only=True)
class Signal:
    signal_id: SignalId
    chain_id: ChainId
    exchange: Address
    leader: Address
    role: Role
    side: Side
    token_id: TokenId
    shares: Shares
    price: Price | None
    notional: Usd | None
    order_hash: Hash32 | None
    tx_hash: Hash32
    block_number: int
    block_hash: Hash32
    block_time: int
    """Unix seconds; deadlines count from here."""
    seen_at: float
    """Unix seconds at which the log reached this process."""
    kind: Kind = Kind.TRADE
    nth: int = 0
    """Which of the equal fills of its transaction it is."""
    written: Sequence[object] | None = field(default=None, init=False, eq=False, repr=False)
    """The signal as plain values, once somebody has written it: it is written anew with each task of each follower."""

    @property
    def leader_time(self) -> int:
        """Unix seconds that an order's timestamp is made of: the leader's block, or the turn that names an exit of one's own.

        Whoever makes an order of it again, another instance or the next run, makes the same one.
        """
        at = self.block_time
        return at - at % OWN_EXIT_TURN_S if self.kind is Kind.EXIT else at

    @property
    def credit_key(self) -> tuple[str, ...] | None:
        """What stays equal when a transaction that a reorg dropped is sent again under another hash.

        None where no order hash ties the two together: then nothing can prove that they are the same trade. `nth` has
        no part in it: it counts within one transaction, and equal fills may come back divided among others.
        """
        if self.order_hash is None:
            return None
        return (
            self.exchange,
            self.order_hash,
            self.side.value,
            str(self.token_id),
            str(self.shares),
            str(self.notional),
        )


def fill_signal_id(fill: Fill) -> SignalId:
    """Derive the identity of a fill from what the chain says of it; nodes' own numbers have no part in it."""
    filled = (fill.shares.micro, None if fill.notional is None else fill.notional.micro, fill.fee.micro)
    if fill.order_hash is not None:
        return order_signal_id(fill.chain_id, fill.exchange, fill.order_hash, fill.tx_hash, filled, fill.nth)
    ends = (fill.counterparty, fill.owner) if fill.side is Side.BUY else (fill.owner, fill.counterparty)
    return transfer_signal_id(
        fill.chain_id,
        fill.exchange,
        fill.tx_hash,
        fill.operator,
        *ends,
        fill.token_id,
        fill.side.value,
        filled,
        fill.nth,
    )


def signal_from_fill(fill: Fill, *, block_time: int, seen_at: float) -> Signal:
    """Turn a leader's fill into a signal; both times are Unix seconds."""
    return Signal(
        signal_id=fill_signal_id(fill),
        chain_id=fill.chain_id,
        exchange=fill.exchange,
        leader=fill.owner,
        role=fill.role,
        side=fill.side,
        token_id=fill.token_id,
        shares=fill.shares,
        price=fill.price,
        notional=fill.notional,
        order_hash=fill.order_hash,
        tx_hash=fill.tx_hash,
        block_number=fill.block_number,
        block_hash=fill.block_hash,
        block_time=block_time,
        seen_at=seen_at,
        kind=fill.kind,
        nth=fill.nth,
    )
