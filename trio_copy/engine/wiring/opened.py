"""What is open before a service is put together."""

from collections.abc import Mapping

from attrs import frozen

from trio_copy.chain.pacing import Pace
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.borders.calls import Whose
from trio_copy.engine.borders.contract import Contract
from trio_copy.engine.borders.market_asks import MarketAsks
from trio_copy.engine.borders.quarantine import Quarantine
from trio_copy.engine.borders.store_border import JudgedStore
from trio_copy.engine.gate.facts_soon import FactsSoon
from trio_copy.engine.market_source.prices import Prices
from trio_copy.engine.market_source.watched_tokens import WatchedTokens
from trio_copy.engine.plan import Plan
from trio_copy.engine.sending.news import News
from trio_copy.model.control import Modes
from trio_copy.ports import DecoderPlugin, ExecutorPlugin, MarketsPlugin, Quotes, StorePlugin
from trio_copy.signing.signers import OpenSigners


@frozen(kw_only=True)
class Opened:
    """What is open before a service is put together."""

    store: JudgedStore
    executors: Mapping[str, Contract]
    """By name."""
    markets: MarketAsks | None
    prices: Prices
    """What the market source tells; empty where there is none."""
    tokens: WatchedTokens | None
    """What it is asked about; None where there is none."""
    quotes: Quotes | None
    facts: FactsSoon
    """What executors are told of prices, whoever tells it; None where nobody does."""
    news: News
    """What executors have heard of their orders."""
    signers: OpenSigners | None
    """Who signs for the wallets; None on paper."""
    book: FollowBook
    follows_version: int
    modes: Modes
    quarantine: Quarantine
    paces: Mapping[str, Pace]
    """How often each node may be asked, whoever asks it; by name."""


def whose(
    kind: str, name: str, plan: Plan, plugin: ExecutorPlugin | StorePlugin | DecoderPlugin | MarketsPlugin
) -> Whose:
    """Name a plugin for whoever has to mend it."""
    return Whose(kind=kind, name=name, distribution=plan.registry.distribution_of(plugin))
