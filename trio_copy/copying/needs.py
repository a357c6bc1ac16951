"""What a follow's settings need to know about a token, besides its number, before they can decide about an entry."""

from collections.abc import Callable, Mapping
from enum import Enum
from types import MappingProxyType

from trio_copy.model.books import Quote
from trio_copy.model.catalog import Catalog
from trio_copy.model.decisions import Code, OrderIntent, Reason
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.ids import TokenId
from trio_copy.model.signals import Signal

FACTS: Mapping[str, str] = MappingProxyType(
    {
        "size.direction": "opposite",
        "caps.max_event_usd": "event",
        "filters.condition_allow": "condition_id",
        "filters.condition_deny": "condition_id",
        "filters.keyword_allow": "question",
        "filters.keyword_deny": "question",
        "filters.category_allow": "category",
        "filters.category_deny": "category",
        "filters.min_hours_to_end": "ends_at",
        "filters.max_days_to_end": "ends_at",
    }
)
"""Settings that, once set, need something of a token to be known, and what."""
PRICES = (
    "filters.min_depth_usd",
    "filters.max_spread_bps",
    "execution.too_good_bps",
    "leaving.take_profit_bps",
    "leaving.stop_loss_bps",
    "leaving.trailing_bps",
    "leaving.max_hold_s",
    "size.equity_by",
    "caps.drawdown_by",
)
"""Settings that, once set, need the best prices of tokens: own exits sell below the bid, whatever makes them."""
CLOSES = ("leaving.when_paused", "leaving.when_unfollowed")
"""Settings that need them as well where they are "close"."""
QuoteOf = Callable[[TokenId], Quote | None]


class Lack(Enum):
    """What is missing that somebody may tell."""

    FACTS = "facts"
    PRICE = "price"

    __hash__ = object.__hash__


def lack(
    signal: Signal, settings: FollowSettings, verdict: OrderIntent | Reason, catalog: Catalog, quote: QuoteOf | None
) -> tuple[Lack, TokenId] | None:
    """Return what was missing for a verdict, and of which token; None where it stands whatever is told later.

    What is refused for another reason needs nothing. `quote` is None where nobody tells prices.
    """
    entry = signal.side is Side.BUY
    if catalog.of(signal.token_id) is None:
        refused = isinstance(verdict, Reason) and verdict.code is Code.MARKET_UNKNOWN
        if refused or (entry and isinstance(verdict, OrderIntent) and _counts_by_question(settings)):
            return Lack.FACTS, signal.token_id
    if entry and isinstance(verdict, OrderIntent) and quote is not None and looks_at_book(settings):
        # The token that is bought, which is another one for who bets against his leader.
        return None if quote(verdict.token_id) is not None else (Lack.PRICE, verdict.token_id)
    return None


def looks_at_book(settings: FollowSettings) -> bool:
    """Tell whether an entry is judged by the best prices that it meets."""
    filters = settings.filters
    return (filters.min_depth_usd, filters.max_spread_bps, settings.execution.too_good_bps) != (None, None, None)


def _counts_by_question(settings: FollowSettings) -> bool:
    caps = settings.caps
    return settings.filters.entry == "first" or (caps.max_market_usd, caps.max_event_usd) != (None, None)
