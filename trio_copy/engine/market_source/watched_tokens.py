"""Which tokens somebody here needs to know about, and what the market source was asked of each. Sync, apart from waiting.

Whoever trades or decides notes tokens and asks what may be told of them; `engine/market_source/market_watch.py` asks the source.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence

import trio
from attrs import define, field

from trio_copy.clock import WallClock
from trio_copy.engine.market_source.prices import Prices
from trio_copy.entropy import Entropy
from trio_copy.model.catalog import Catalog
from trio_copy.model.ids import TokenId

_AT_ONCE = 50
"""Tokens that are asked about in one call."""
_REFRESH_S = 6 * 3600.0
"""Facts that are older are asked for again: a question's end may be put off."""
_SPREAD_S = 600.0
"""What was kept from an earlier run is asked for anew within so long, not all at once."""
_UNKNOWN_BASE_S, _UNKNOWN_MOST_S = 15.0, 3600.0
"""A token that nobody knows is asked about again after so long, and each time after twice as long: new markets are told late."""
_LONG_S = 2.0
"""A call for facts that takes longer is not waited for."""
_TRADED_S = 600.0
"""How long the prices of a token are watched that a leader has traded and nobody holds."""
_TOKENS_MOST = 10_000


@define(eq=False)
class _Asked:
    due: float
    """By Trio's clock."""
    tries: int = 0
    """In vain, since it was known last."""


@define(eq=False, kw_only=True)
class WatchedTokens:
    catalog: Catalog
    prices: Prices
    wall: WallClock
    entropy: Entropy
    held: dict[TokenId, None] = field(factory=dict)
    """What accounts here held when they were gone through last."""
    _traded: OrderedDict[TokenId, float] = field(factory=OrderedDict)
    """When a leader traded a token last, by our wall clock; the latest last."""
    _asked: dict[TokenId, _Asked] = field(factory=dict)
    _asking_since: float | None = None
    """When the call for facts began that is under way, by Trio's clock."""
    _away: bool = False
    """Whether nobody answered the last one."""
    _news: trio.Event = field(factory=trio.Event)
    """Set when a token is traded that nobody here knows."""
    _unwatched: trio.Event = field(factory=trio.Event)
    """Set when one is traded whose prices nobody watches."""

    # ---------------------------------------------------------------------------------------- from whoever needs to know

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

    # --------------------------------------------------------------------------------------------- from whoever asks

    def hold(self, held: dict[TokenId, None]) -> None:
        """Take note of all that accounts here hold now."""
        self.held = held

    def wanted(self) -> frozenset[TokenId]:
        """Return the tokens that somebody here needs to know about now; what is held goes before what was traded."""
        old = self.wall() - _TRADED_S
        while self._traded and next(iter(self._traded.values())) < old:
            self._traded.popitem(last=False)
        return frozenset(tuple({**self.held, **dict.fromkeys(reversed(self._traded))})[:_TOKENS_MOST])

    def due(self) -> list[TokenId]:
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

    def begin_asking(self) -> None:
        """Take note that a call for facts begins."""
        self._asking_since = trio.current_time()

    def end_asking(self) -> None:
        """Take note that the call for facts has ended."""
        self._asking_since = None

    def note_away(self, *, away: bool) -> None:
        """Take note whether nobody has answered a call for facts."""
        self._away = away

    def note_answered(self, tokens: Sequence[TokenId], found: Iterable[TokenId]) -> None:
        """Take note what was told about the tokens that were asked for, or were told of unasked."""
        now = trio.current_time()
        for token in tokens:
            asked = self._asked.setdefault(token, _Asked(now))
            asked.due = now + min(_UNKNOWN_BASE_S * 2**asked.tries, _UNKNOWN_MOST_S)
            asked.tries = min(asked.tries + 1, 20)
        for token in found:
            self._asked[token] = _Asked(now + _REFRESH_S)

    async def wait_unknown(self, most_s: float) -> None:
        """Wait until a token is traded that nobody here knows, but no longer than so many seconds."""
        with trio.move_on_after(most_s):
            await self._news.wait()
        self._news = trio.Event()

    async def wait_unwatched(self, most_s: float) -> None:
        """Wait until a token is traded whose prices nobody watches, but no longer than so many seconds."""
        with trio.move_on_after(most_s):
            await self._unwatched.wait()
        self._unwatched = trio.Event()
