"""Which signals a follow wants. Exits pass every filter but the one for sides and the one for age: what was bought
while a filter said yes must be sold when it says no."""

from trio_copy.model.decisions import Code, Reason
from trio_copy.model.fills import Side
from trio_copy.model.follows import Filters
from trio_copy.model.signals import Signal


def check(signal: Signal, filters: Filters, now: float) -> Reason | None:
    """Return why a signal is not wanted, or None when it is. `now` is Unix seconds."""
    if signal.side not in filters.sides:
        return Reason(
            code=Code.SIDE_NOT_WANTED,
            control="filters.sides",
            value=signal.side.value,
            limit=", ".join(sorted(side.value for side in filters.sides)) or "none",
        )
    age = now - signal.block_time
    if age > filters.max_age_s:
        return Reason(
            code=Code.TOO_OLD, control="filters.max_age_s", value=f"{age:.1f}", limit=f"{filters.max_age_s:g}"
        )
    if signal.price is None and filters.unpriced != "copy":
        return Reason(code=Code.PRICE_UNKNOWN, control="filters.unpriced", value="no price", limit="a price")
    return _check_entry(signal, filters) if signal.side is Side.BUY else None


def _check_entry(signal: Signal, filters: Filters) -> Reason | None:
    if signal.token_id in filters.token_deny:
        return Reason(
            code=Code.TOKEN_DENIED, control="filters.token_deny", value=str(signal.token_id), limit="not on the list"
        )
    if filters.token_allow and signal.token_id not in filters.token_allow:
        return Reason(
            code=Code.TOKEN_NOT_ALLOWED,
            control="filters.token_allow",
            value=str(signal.token_id),
            limit=f"{len(filters.token_allow)} tokens",
        )
    if signal.price is None or signal.notional is None:
        return None
    if signal.price < filters.price_min:
        return Reason(
            code=Code.PRICE_TOO_LOW, control="filters.price_min", value=str(signal.price), limit=str(filters.price_min)
        )
    if signal.price > filters.price_max:
        return Reason(
            code=Code.PRICE_TOO_HIGH, control="filters.price_max", value=str(signal.price), limit=str(filters.price_max)
        )
    if signal.notional < filters.leader_min_usd:
        return Reason(
            code=Code.LEADER_TOO_SMALL,
            control="filters.leader_min_usd",
            value=str(signal.notional),
            limit=str(filters.leader_min_usd),
        )
    return None
