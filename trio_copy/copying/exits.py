"""How much of a position an exit sells, and when a follower's own rule wants to leave."""

from hashlib import sha256

from trio_copy.model.fills import Kind, Role, Side
from trio_copy.model.follow_settings import FollowSettings, Leaving
from trio_copy.model.ids import Address, ChainId, Hash32, SignalId
from trio_copy.model.positions import Mark, Position, PositionKey
from trio_copy.model.signals import OWN_EXIT_TURN_S, Signal
from trio_copy.model.units import Price, Rounding

_NOWHERE = Address("0x" + "0" * 40)
_NO_HASH = Hash32("0x" + "0" * 64)


def wants_out(settings: FollowSettings | None, position: Position, mark: Mark | None, now: float) -> str | None:
    """Name the rule by which a position should be left now; None to stay. Without settings nobody follows any more."""
    if settings is None or not position.shares:
        return None
    leaving = settings.leaving
    if settings.status == "paused" and leaving.when_paused == "close":
        return "leaving.when_paused"
    if settings.status == "leaving" and leaving.when_unfollowed == "close":
        return "leaving.when_unfollowed"
    if leaving.max_hold_s is not None and now - position.opened_at > leaving.max_hold_s:
        return "leaving.max_hold_s"
    return None if mark is None else _by_price(leaving, position, mark)


def needs_looks(settings: FollowSettings) -> bool:
    """Tell whether somebody has to look at a follow's positions all the time: they may have to be left, or count by mark."""
    leaving = settings.leaving
    rules = (leaving.take_profit_bps, leaving.stop_loss_bps, leaving.trailing_bps, leaving.max_hold_s)
    return (
        settings.status != "active"
        or rules != (None, None, None, None)
        or drawdown_by_mark(settings)
        or sized_by_mark(settings)
    )


def counts_by_mark(settings: FollowSettings) -> bool:
    """Tell whether a follow counts all that its follower holds, whomever that is copied from."""
    return drawdown_by_mark(settings) or sized_by_mark(settings)


def drawdown_by_mark(settings: FollowSettings) -> bool:
    """Tell whether a cap on the drawdown counts what is held."""
    return settings.caps.max_drawdown_usd is not None and settings.caps.drawdown_by == "mark"


def sized_by_mark(settings: FollowSettings) -> bool:
    """Tell whether copies are sized by what the follower's wallet is worth."""
    return settings.size.mode == "equity" and settings.size.equity_by == "mark"


def _by_price(leaving: Leaving, position: Position, mark: Mark) -> str | None:
    cost = position.average_cost
    assert cost is not None  # it holds shares
    if leaving.take_profit_bps is not None and mark.price >= cost.raised_bps(leaving.take_profit_bps, Rounding.UP):
        return "leaving.take_profit_bps"
    if leaving.stop_loss_bps is not None and mark.price <= cost.lowered_bps(leaving.stop_loss_bps, Rounding.DOWN):
        return "leaving.stop_loss_bps"
    if leaving.trailing_bps is not None and mark.price <= mark.peak.lowered_bps(leaving.trailing_bps, Rounding.DOWN):
        return "leaving.trailing_bps"
    return None


def exit_signal(
    chain_id: ChainId, key: PositionKey, position: Position, rule: str, bid: Price, block_number: int, now: float
) -> Signal:
    """Make the signal of an exit of one's own.

    Its identity holds the oldest lot and a half-minute of time: every instance that sees the rule broken makes the same
    one, and an exit that was not filled is tried again later.
    """
    follower, leader, token_id = key
    turn = int(now // OWN_EXIT_TURN_S)
    fields = ("exit1", chain_id, follower, leader, token_id, position.lots[0].key, rule, turn)
    digest = sha256("|".join(map(str, fields)).encode()).hexdigest()
    return Signal(
        signal_id=SignalId(digest),
        chain_id=chain_id,
        exchange=_NOWHERE,
        leader=leader,
        role=Role.UNKNOWN,
        side=Side.SELL,
        token_id=token_id,
        shares=position.shares,
        price=bid,
        notional=position.shares.at(bid, Rounding.DOWN),
        order_hash=None,
        tx_hash=Hash32("0x" + digest),
        block_number=block_number,
        block_hash=_NO_HASH,
        block_time=int(now),
        seen_at=now,
        kind=Kind.EXIT,
    )
