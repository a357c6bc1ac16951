"""Which signals a follow wants. Exits pass every filter but those for sides, kinds and age: what was bought while a
filter said yes must be sold when it says no."""

from trio_copy.model.catalog import Catalog, TokenFacts
from trio_copy.model.counts import counted
from trio_copy.model.decisions import Code, OrderIntent, Reason
from trio_copy.model.fills import Kind, Side
from trio_copy.model.follow_settings import Filters, FollowSettings
from trio_copy.model.orders import Market
from trio_copy.model.signals import Signal
from trio_copy.model.units import Rounding

_HOUR_S, _DAY_S = 3600.0, 86_400.0
_SELL = Side.SELL


def check(signal: Signal, settings: FollowSettings, catalog: Catalog, now: float) -> Reason | None:
    """Return why a signal is not wanted, or None when it is. `now` is Unix seconds."""
    filters = settings.filters
    if signal.side not in filters.sides:
        wanted = ", ".join(sorted(side.value for side in filters.sides)) or "none"
        return _no(Code.SIDE_NOT_WANTED, "filters.sides", signal.side.value, wanted)
    if signal.kind not in filters.kinds and signal.kind is not Kind.EXIT:
        wanted = ", ".join(sorted(kind.value for kind in filters.kinds)) or "none"
        return _no(Code.KIND_NOT_WANTED, "filters.kinds", signal.kind.value, wanted)
    age = now - signal.block_time
    if age > filters.max_age_s:
        return _no(Code.TOO_OLD, "filters.max_age_s", f"{age:.1f}", f"{filters.max_age_s:g}")
    if signal.price is None and filters.unpriced != "copy":
        return _no(Code.PRICE_UNKNOWN, "filters.unpriced", "no price", "a price")
    if signal.side is _SELL:
        return _check_exit(settings)
    return _check_entry(signal, settings, catalog, now)


def check_book(intent: OrderIntent, settings: FollowSettings, market: Market) -> Reason | None:
    """Return why an entry does not like the book it meets, right before its order; exits always like it."""
    filters, quote = settings.filters, market.quote
    if intent.side is _SELL:
        return None
    ask = None if quote is None else quote.ask
    if filters.min_depth_usd is not None:
        offered = quote.ask_shares if quote is not None else None
        if ask is None or offered is None:
            return _no(Code.BOOK_TOO_THIN, "filters.min_depth_usd", "unknown", str(filters.min_depth_usd))
        depth = offered.at(ask, Rounding.DOWN)
        if depth < filters.min_depth_usd:
            return _no(Code.BOOK_TOO_THIN, "filters.min_depth_usd", str(depth), str(filters.min_depth_usd))
    if filters.max_spread_bps is not None:
        bid = None if quote is None else quote.bid
        if not ask or bid is None:
            return _no(Code.SPREAD_TOO_WIDE, "filters.max_spread_bps", "unknown", str(filters.max_spread_bps))
        spread = -(-(ask.micro - bid.micro) * 10_000 // ask.micro)
        if spread > filters.max_spread_bps:
            return _no(Code.SPREAD_TOO_WIDE, "filters.max_spread_bps", str(spread), str(filters.max_spread_bps))
    too_good = settings.execution.too_good_bps
    if too_good is not None and ask is not None:
        least = intent.price.lowered_bps(too_good, Rounding.DOWN)
        if ask < least:
            return _no(Code.PRICE_TOO_GOOD, "execution.too_good_bps", str(ask), str(least))
    return None


def _check_exit(settings: FollowSettings) -> Reason | None:
    if settings.leaving.sell == "never":
        return _no(Code.EXIT_NOT_WANTED, "leaving.sell", "never", "proportional, all or sized")
    if settings.status == "paused" and settings.leaving.when_paused == "hold":
        return _no(Code.FOLLOW_PAUSED, "leaving.when_paused", "hold", "exits")
    return None


def _check_entry(signal: Signal, settings: FollowSettings, catalog: Catalog, now: float) -> Reason | None:
    filters = settings.filters
    if settings.status != "active":
        return _no(Code.FOLLOW_PAUSED, "status", settings.status, "active")
    if signal.role not in filters.roles:
        wanted = ", ".join(sorted(role.value for role in filters.roles)) or "none"
        return _no(Code.ROLE_NOT_WANTED, "filters.roles", signal.role.value, wanted)
    if signal.token_id in filters.token_deny:
        return _no(Code.TOKEN_DENIED, "filters.token_deny", str(signal.token_id), "not on the list")
    if filters.token_allow is not None and signal.token_id not in filters.token_allow:
        wanted = counted(len(filters.token_allow), "token")
        return _no(Code.TOKEN_NOT_ALLOWED, "filters.token_allow", str(signal.token_id), wanted)
    return _check_price(signal, filters) or _check_facts(catalog.of(signal.token_id), filters, now)


def _check_price(signal: Signal, filters: Filters) -> Reason | None:
    if signal.price is None or signal.notional is None:
        return None
    if signal.price < filters.price_min:
        return _no(Code.PRICE_TOO_LOW, "filters.price_min", str(signal.price), str(filters.price_min))
    if signal.price > filters.price_max:
        return _no(Code.PRICE_TOO_HIGH, "filters.price_max", str(signal.price), str(filters.price_max))
    if signal.notional < filters.leader_min_usd:
        return _no(Code.LEADER_TOO_SMALL, "filters.leader_min_usd", str(signal.notional), str(filters.leader_min_usd))
    if filters.leader_max_usd is not None and signal.notional > filters.leader_max_usd:
        return _no(Code.LEADER_TOO_BIG, "filters.leader_max_usd", str(signal.notional), str(filters.leader_max_usd))
    return None


def _check_facts(facts: TokenFacts | None, filters: Filters, now: float) -> Reason | None:
    """Check what only the catalog can tell. A deny list does not guess either: it refuses what nobody knows."""
    if facts is None:
        needs = _first_fact_needed(filters)
        return None if needs is None else _no(Code.MARKET_UNKNOWN, needs, "unknown", "a token of the catalog")
    question, condition, category = facts.question.lower(), facts.condition_id.lower(), facts.category.lower()
    if condition in _lower(filters.condition_deny):
        return _no(Code.CONDITION_DENIED, "filters.condition_deny", condition, "not on the list")
    if filters.condition_allow is not None and condition not in _lower(filters.condition_allow):
        wanted = counted(len(filters.condition_allow), "question")
        return _no(Code.CONDITION_NOT_ALLOWED, "filters.condition_allow", condition, wanted)
    for word in sorted(_lower(filters.keyword_deny)):
        if word in question:
            return _no(Code.KEYWORD_DENIED, "filters.keyword_deny", word, f"not in: {facts.question}")
    if filters.keyword_allow is not None and not any(word in question for word in _lower(filters.keyword_allow)):
        wanted = ", ".join(sorted(filters.keyword_allow))
        return _no(Code.KEYWORD_NOT_ALLOWED, "filters.keyword_allow", facts.question, wanted)
    if category in _lower(filters.category_deny):
        return _no(Code.CATEGORY_DENIED, "filters.category_deny", facts.category, "not on the list")
    if filters.category_allow is not None and category not in _lower(filters.category_allow):
        wanted = ", ".join(sorted(filters.category_allow))
        return _no(Code.CATEGORY_NOT_ALLOWED, "filters.category_allow", facts.category or "none", wanted)
    return _check_time_to_end(facts.ends_at, filters, now)


def _check_time_to_end(ends_at: float | None, filters: Filters, now: float) -> Reason | None:
    soonest, latest = filters.min_hours_to_end, filters.max_days_to_end
    if ends_at is None:
        if soonest is None and latest is None:
            return None
        control = "filters.min_hours_to_end" if soonest is not None else "filters.max_days_to_end"
        return _no(Code.MARKET_UNKNOWN, control, "no end date", "an end date in the catalog")
    if soonest is not None and ends_at - now < soonest * _HOUR_S:
        return _no(Code.ENDS_TOO_SOON, "filters.min_hours_to_end", f"{(ends_at - now) / _HOUR_S:.1f}", f"{soonest:g}")
    if latest is not None and ends_at - now > latest * _DAY_S:
        return _no(Code.ENDS_TOO_LATE, "filters.max_days_to_end", f"{(ends_at - now) / _DAY_S:.1f}", f"{latest:g}")
    return None


def _first_fact_needed(filters: Filters) -> str | None:
    needs = (
        ("filters.condition_allow", filters.condition_allow is not None),
        ("filters.condition_deny", bool(filters.condition_deny)),
        ("filters.keyword_allow", filters.keyword_allow is not None),
        ("filters.keyword_deny", bool(filters.keyword_deny)),
        ("filters.category_allow", filters.category_allow is not None),
        ("filters.category_deny", bool(filters.category_deny)),
        ("filters.min_hours_to_end", filters.min_hours_to_end is not None),
        ("filters.max_days_to_end", filters.max_days_to_end is not None),
    )
    return next((control for control, needed in needs if needed), None)


def _lower(words: frozenset[str]) -> frozenset[str]:
    return frozenset(word.lower() for word in words)


def _no(code: Code, control: str, value: str, limit: str) -> Reason:
    return Reason(code=code, control=control, value=value, limit=limit)
