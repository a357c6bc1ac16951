"""What is asked of the market source while an engine runs: what tokens are about, what they cost, how questions were decided.

Asked is what accounts hold and what leaders trade. An answer is waited for a moment at most, and by those follows alone whose
settings need it (`engine/gate/undecided.py`). A source that is away, or breaks its contract, is told about once and asked again
later; copying goes on.
"""

from collections.abc import Callable, Mapping, Sequence
from math import inf

import trio
from attrs import define, field

from trio_copy.engine.borders.calls import Call
from trio_copy.engine.borders.market_asks import MarketAsks
from trio_copy.engine.market_source.prices import Prices
from trio_copy.engine.market_source.told_lines import FactsAnswered
from trio_copy.engine.market_source.watched_tokens import WatchedTokens
from trio_copy.engine.shards.shard import Shard
from trio_copy.entropy import Entropy
from trio_copy.errors import MarketsUnavailable
from trio_copy.model.books import PricesLost, SeenPrice
from trio_copy.model.catalog import Catalog, TokenFacts
from trio_copy.model.ids import TokenId
from trio_copy.model.resolutions import Decided, Resolution

_AT_ONCE = 50
"""Tokens that are asked about in one call."""
_LOOK_EVERY_S = 2.0
_HELD_EVERY_S = 10.0
"""How often everything that is held is gone through: what is new in it was traded a moment ago, and is watched for that."""
_ACCOUNTS_AT_ONCE = 200
"""Accounts that are gone through in one step: there may be a million positions, and copies do not wait for them."""
_RETRY_BASE_S, _RETRY_MOST_S = 1.0, 60.0
_DECISIONS_EVERY_S = 60.0
_LONG_AGO = 0
"""The block that a decision is said to stand in which the source tells: nobody takes it back."""
_PRICES_WAITING = 1000


@define(eq=False, kw_only=True)
class MarketWatch:
    asks: MarketAsks
    tokens: WatchedTokens
    catalog: Catalog
    prices: Prices
    shards: Mapping[int, Shard]
    """Those that are held here."""
    entropy: Entropy
    decides: bool
    """Whether positions are redeemed by what the source says: where money moves, the chain alone decides."""
    learn: Callable[[Sequence[TokenFacts]], object]
    """Puts facts into the catalog."""
    on_news: Callable[[Sequence[TokenId]], None] = lambda tokens: None
    """Told of tokens whose facts came, or a first price; of none when it turns out that somebody, or nobody, answers."""
    _prices: Call = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._prices = self.asks.call("run_prices")

    def hear(self, told: FactsAnswered | TokenFacts | Decided | SeenPrice | PricesLost) -> None:
        """Take in what a source tells unasked, as one that plays the past does."""
        match told:
            case FactsAnswered(unknown=unknown, failed=failed):
                self.tokens.note_away(away=failed)
                self._learn(tuple(unknown), ())
            case TokenFacts():
                self._learn((), (told,))
            case Decided():
                self._decide(_for_good(told))
            case _:
                self._note_first(self.prices.take(told))

    async def run(self) -> None:
        """Ask until cancelled."""
        await self._go_through_holdings()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow_holdings)
            nursery.start_soon(self._learn_facts)
            nursery.start_soon(self._watch_prices)
            if self.decides:
                nursery.start_soon(self._learn_decisions)

    # --------------------------------------------------------------------------------------------------------- wanted

    async def _follow_holdings(self) -> None:
        while True:
            await trio.sleep(_HELD_EVERY_S)
            await self._go_through_holdings()

    async def _go_through_holdings(self) -> None:
        held: dict[TokenId, None] = {}
        for shard in tuple(self.shards.values()):
            accounts = tuple(shard.accounts.values())
            for start in range(0, len(accounts), _ACCOUNTS_AT_ONCE):
                for account in accounts[start : start + _ACCOUNTS_AT_ONCE]:
                    held.update((token, None) for _, token in account.holdings)
                await trio.lowlevel.checkpoint()
        self.tokens.hold(held)

    # ---------------------------------------------------------------------------------------------------------- facts

    async def _learn_facts(self) -> None:
        failed = 0
        while True:
            tokens = self.tokens.due()
            if not tokens:
                await self.tokens.wait_unknown(_LOOK_EVERY_S)
                continue
            self.tokens.begin_asking()
            found = await self.asks.facts(tokens)
            self.tokens.end_asking()
            self.tokens.note_away(away=found is None)
            if found is None:
                self.on_news(())
                failed += 1
                await trio.sleep(self._pause(failed))
                continue
            failed = 0
            self._learn(tokens, found)

    def _learn(self, tokens: Sequence[TokenId], found: Sequence[TokenFacts]) -> None:
        self.tokens.note_answered(tokens, [facts.token_id for facts in found])
        self.learn(found)
        shard = min(self.shards.values(), key=lambda shard: shard.number, default=None)
        if shard is not None and found:
            for facts in found:
                shard.tokens.note(facts)
            shard.writer.tell()
        self.on_news([facts.token_id for facts in found])

    # ------------------------------------------------------------------------------------------------------ decisions

    async def _learn_decisions(self) -> None:
        """Ask now and then whether the questions of what is held are decided."""
        while True:
            await trio.sleep(_DECISIONS_EVERY_S)
            undecided = self._undecided()
            for start in range(0, len(undecided), _AT_ONCE):
                for decided in await self.asks.resolutions(undecided[start : start + _AT_ONCE]) or ():
                    self._decide(_for_good(decided))

    def _undecided(self) -> list[str]:
        """Return the questions of what is held of which some shard has not heard how they were decided."""
        known = filter(None, map(self.catalog.question_of, self.tokens.held))
        questions = dict.fromkeys(condition_id for condition_id, _ in known)
        return [one for one in questions if any(shard.resolved.of(one) is None for shard in self.shards.values())]

    def _decide(self, resolution: Resolution) -> None:
        """Let every shard know, as of what the chain says; but where it has spoken, it is right."""
        for shard in self.shards.values():
            if shard.resolved.of(resolution.condition_id) is None:
                shard.resolved.note(resolution)
                shard.writer.tell()

    # --------------------------------------------------------------------------------------------------------- prices

    async def _watch_prices(self) -> None:
        failed = 0
        while True:
            began = trio.current_time()
            if await self._run_prices():
                return
            failed = 1 if trio.current_time() - began > _RETRY_MOST_S else failed + 1
            await trio.sleep(self._pause(failed))

    async def _run_prices(self) -> bool:
        """Listen to the source until it ends; True when it has no prices at all."""
        never = False
        want, wanted = trio.open_memory_channel[frozenset[TokenId]](1)
        send, receive = trio.open_memory_channel[SeenPrice | PricesLost](_PRICES_WAITING)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.prices.run, receive, self._note_first)
            nursery.start_soon(self._tell_wanted, want)
            try:
                pair = (wanted, send)
                with wanted, send:  # also of a source that leaves them open
                    await self.asks.calls.watch(
                        self._prices, inf, lambda both: self.asks.source.run_prices(*both), pair
                    )
                self.asks.tell_failure(self._prices, "has ended although tokens are wanted")
            except MarketsUnavailable:
                never = True
            except (Exception, BaseExceptionGroup, SystemExit, KeyboardInterrupt) as error:
                self.asks.take_failure(self._prices, error)
            self.prices.lose_all()
            nursery.cancel_scope.cancel()
        return never

    async def _tell_wanted(self, send: trio.MemorySendChannel[frozenset[TokenId]]) -> None:
        """Tell the source which prices are wanted, whenever that changes."""
        told: frozenset[TokenId] = frozenset()
        async with send:
            while True:
                tokens = self.tokens.wanted()
                if tokens != told:
                    self.prices.want(tokens)
                    await send.send(tokens)
                    told = tokens
                await self.tokens.wait_unwatched(_LOOK_EVERY_S)

    def _note_first(self, token_id: TokenId | None) -> None:
        """Hear of a token that has a price now and had none."""
        if token_id is not None:
            self.on_news((token_id,))

    def _pause(self, failed: int) -> float:
        most = min(_RETRY_BASE_S * 2 ** min(failed, 10), _RETRY_MOST_S)
        return self.entropy.uniform(most / 2, most)


def _for_good(decided: Decided) -> Resolution:
    return Resolution(condition_id=decided.condition_id, payouts=decided.payouts, block_number=_LONG_AGO)
