"""What is asked of the market source while an engine runs: what tokens are about, what they cost, how questions were decided.

Asked is what accounts hold and what leaders trade. An answer is waited for a moment at most, and by those follows alone whose
settings need it (`engine/undecided.py`). A source that is away, or breaks its contract, is told about once and asked again
later; copying goes on.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from math import inf

import trio
from attrs import define, field

from trio_copy.clock import WallClock
from trio_copy.engine.calls import Call
from trio_copy.engine.market_asks import MarketAsks
from trio_copy.engine.prices import Prices
from trio_copy.engine.shard import Shard
from trio_copy.engine.told_lines import FactsAnswered
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
_REFRESH_S = 6 * 3600.0
"""Facts that are older are asked for again: a question's end may be put off."""
_SPREAD_S = 600.0
"""What was kept from an earlier run is asked for anew within so long, not all at once."""
_UNKNOWN_BASE_S, _UNKNOWN_MOST_S = 15.0, 3600.0
"""A token that nobody knows is asked about again after so long, and each time after twice as long: new markets are told late."""
_RETRY_BASE_S, _RETRY_MOST_S = 1.0, 60.0
_LONG_S = 2.0
"""A call for facts that takes longer is not waited for."""
_TRADED_S = 600.0
"""How long the prices of a token are watched that a leader has traded and nobody holds."""
_TOKENS_MOST = 10_000
_DECISIONS_EVERY_S = 60.0
_LONG_AGO = 0
"""The block that a decision is said to stand in which the source tells: nobody takes it back."""
_PRICES_WAITING = 1000


@define(eq=False)
class _Asked:
    due: float
    """By Trio's clock."""
    tries: int = 0
    """In vain, since it was known last."""


@define(eq=False, kw_only=True)
class MarketWatch:
    asks: MarketAsks
    catalog: Catalog
    prices: Prices
    shards: Mapping[int, Shard]
    """Those that are held here."""
    wall: WallClock
    entropy: Entropy
    decides: bool
    """Whether positions are redeemed by what the source says: where money moves, the chain alone decides."""
    on_news: Callable[[Sequence[TokenId]], None] = lambda tokens: None
    """Told of tokens whose facts came; of none when it turns out that somebody, or nobody, answers."""
    _prices: Call = field(init=False)
    _traded: OrderedDict[TokenId, float] = field(factory=OrderedDict)
    """When a leader traded a token last, by our wall clock; the latest last."""
    _held: dict[TokenId, None] = field(factory=dict)
    """What accounts here held when they were gone through last."""
    _asked: dict[TokenId, _Asked] = field(factory=dict)
    _asking_since: float | None = None
    """When the call for facts began that is under way, by Trio's clock."""
    _away: bool = False
    """Whether nobody answered the last one."""
    _news: trio.Event = field(factory=trio.Event)
    """Set when a token is traded that nobody here knows."""
    _unwatched: trio.Event = field(factory=trio.Event)
    """Set when one is traded whose prices nobody watches."""

    def __attrs_post_init__(self) -> None:
        self._prices = self.asks.call("run_prices")

    def note(self, token_id: TokenId) -> None:
        """Take note that a leader trades a token: it is asked about at once, and its prices are watched for a while."""
        self._traded[token_id] = self.wall()
        self._traded.move_to_end(token_id)
        if len(self._traded) > _TOKENS_MOST:
            self._traded.popitem(last=False)
        if self.catalog.of(token_id) is None:
            self._news.set()
        if not self.prices.wants(token_id):
            self._unwatched.set()

    def hear(self, told: FactsAnswered | TokenFacts | Decided | SeenPrice | PricesLost) -> None:
        """Take in what a source tells unasked, as one that plays the past does."""
        match told:
            case FactsAnswered(unknown=unknown, failed=failed):
                self._away = failed
                self._learn(tuple(unknown), ())
            case TokenFacts():
                self._learn((), (told,))
            case Decided():
                self._decide(_for_good(told))
            case _:
                self.prices.take(told)

    def may_tell_facts(self, token_id: TokenId) -> bool:
        """Tell whether the facts of a token that was noted may come in a moment."""
        asked = self._asked.get(token_id)
        in_vain = asked is not None and asked.tries > 0
        # A call that takes so long is of a source that hangs: whoever comes now does not wait for the next one.
        hangs = self._asking_since is not None and trio.current_time() - self._asking_since > _LONG_S
        return not (self._away or in_vain or hangs)

    def may_tell_price(self, token_id: TokenId) -> bool:
        """Tell whether a price of a token that was noted may come in a moment."""
        return self.prices.may_tell(token_id)

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

    def wanted(self) -> frozenset[TokenId]:
        """Return the tokens that somebody here needs to know about now; what is held goes before what was traded."""
        old = self.wall() - _TRADED_S
        while self._traded and next(iter(self._traded.values())) < old:
            self._traded.popitem(last=False)
        return frozenset(tuple({**self._held, **dict.fromkeys(reversed(self._traded))})[:_TOKENS_MOST])

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
        self._held = held

    # ---------------------------------------------------------------------------------------------------------- facts

    async def _learn_facts(self) -> None:
        failed = 0
        while True:
            tokens = self._due()
            if not tokens:
                with trio.move_on_after(_LOOK_EVERY_S):
                    await self._news.wait()
                self._news = trio.Event()
                continue
            self._asking_since = trio.current_time()
            found = await self.asks.facts(tokens)
            self._asking_since, self._away = None, found is None
            if found is None:
                self.on_news(())
                failed += 1
                await trio.sleep(self._pause(failed))
                continue
            failed = 0
            self._learn(tokens, found)

    def _due(self) -> list[TokenId]:
        """Return what is asked about next: what nobody knows first."""
        now, wanted = trio.current_time(), self.wanted()
        for token in self._asked.keys() - wanted:
            del self._asked[token]
        for token in wanted:
            if token not in self._asked:
                known = self.catalog.of(token) is not None
                self._asked[token] = _Asked(now + self.entropy.uniform(0, _SPREAD_S) if known else now)
        due = [token for token in wanted if self._asked[token].due <= now and not self.catalog.is_pinned(token)]
        return sorted(due, key=lambda token: (self.catalog.of(token) is not None, self._asked[token].due))[:_AT_ONCE]

    def _learn(self, tokens: Sequence[TokenId], found: Sequence[TokenFacts]) -> None:
        now = trio.current_time()
        for token in tokens:
            asked = self._asked.setdefault(token, _Asked(now))
            asked.due = now + min(_UNKNOWN_BASE_S * 2**asked.tries, _UNKNOWN_MOST_S)
            asked.tries = min(asked.tries + 1, 20)
        for facts in found:
            self._asked[facts.token_id] = _Asked(now + _REFRESH_S)
        self.catalog.put(found)
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
        known = filter(None, map(self.catalog.question_of, self._held))
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
            nursery.start_soon(self.prices.run, receive)
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
                tokens = self.wanted()
                if tokens != told:
                    self.prices.want(tokens)
                    await send.send(tokens)
                    told = tokens
                with trio.move_on_after(_LOOK_EVERY_S):
                    await self._unwatched.wait()
                self._unwatched = trio.Event()

    def _pause(self, failed: int) -> float:
        most = min(_RETRY_BASE_S * 2 ** min(failed, 10), _RETRY_MOST_S)
        return self.entropy.uniform(most / 2, most)


def _for_good(decided: Decided) -> Resolution:
    return Resolution(condition_id=decided.condition_id, payouts=decided.payouts, block_number=_LONG_AGO)
