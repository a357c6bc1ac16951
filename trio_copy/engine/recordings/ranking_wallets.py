"""Ranks wallets that nobody here follows by what a venue tells of them: who earned most, and what they traded since."""

from collections.abc import Callable, Sequence
from functools import partial

from attrs import define, field

from trio_copy.engine.market_source.together import together
from trio_copy.engine.recordings.ranking import Ranking
from trio_copy.errors import ConfigError
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import Address
from trio_copy.model.past_trades import PastTrade
from trio_copy.model.resolutions import Resolution
from trio_copy.ports import Markets, Traders

_TRADES_MOST = 5_000
"""Of one wallet. Whoever trades more often than that in a week is followed by nobody by hand."""
_TOGETHER = 50


@define(eq=False, kw_only=True)
class WalletRanking:
    """Reads, and lets `ranking` work out the rest."""

    source: Markets
    ranking: Ranking
    since: float
    """Unix seconds, as `until`, which is excluded."""
    until: float
    most: int
    """Wallets."""
    on_progress: Callable[[int, int], None]
    """Hears how many wallets of how many are read."""
    cut_off: int = 0
    """Wallets of which not everything was read."""
    undecided: int = 0
    """Tokens of questions that are still open, and of those that nobody knows."""
    _trades: list[PastTrade] = field(factory=list)
    _read: int = 0

    async def run(self) -> None:
        """Read wallets, their trades, and how the questions were decided.

        Raises:
            ConfigError: this source knows no traders.
            MarketsUnavailable: it does not answer.
        """
        source = self.source
        if not isinstance(source, Traders):
            raise ConfigError(["--source: expected a market source that knows who trades, got one that does not"])
        wallets = list(await source.best_wallets(self.until - self.since, self.most))[: self.most]
        await together(partial(self._read_wallet, source, wallet, len(wallets)) for wallet in wallets)
        for trade in sorted(self._trades, key=lambda one: (one.at, one.wallet)):
            self.ranking.trade(trade)
        await self._decide(await self._learn())

    async def _read_wallet(self, source: Traders, wallet: Address, of: int) -> None:
        found = await source.trades_of(wallet, self.since, self.until, _TRADES_MOST)
        self.cut_off += len(found) >= _TRADES_MOST
        self._trades += found
        self._read += 1
        self.on_progress(self._read, of)

    async def _learn(self) -> Sequence[TokenFacts]:
        tokens = list(dict.fromkeys(trade.token_id for trade in self._trades))
        self.undecided = len(tokens)
        found: list[TokenFacts] = []
        for start in range(0, len(tokens), _TOGETHER):
            batch = tokens[start : start + _TOGETHER]
            found += [facts for facts in await self.source.facts(batch) if facts.token_id in batch]
        return found

    async def _decide(self, known: Sequence[TokenFacts]) -> None:
        """Let what is held of decided questions be worth what it pays: nobody sells what is redeemed."""
        questions: dict[str, list[TokenFacts]] = {}
        for facts in known:
            questions.setdefault(facts.condition_id, []).append(facts)
        names = list(questions)
        for start in range(0, len(names), _TOGETHER):
            for decided in await self.source.resolutions(names[start : start + _TOGETHER]):
                told = Resolution(condition_id=decided.condition_id, payouts=decided.payouts, block_number=0)
                for facts in questions.pop(decided.condition_id, ()):
                    self.undecided -= 1
                    self.ranking.decide(facts.token_id, told.payout(facts.slot))
