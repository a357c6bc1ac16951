"""What markets said in the past, put between the fills of a recording that is fetched: facts, prices and decisions.

Asked about is what leaders traded, from their first trade until the question is decided. Facts are those of today, told with
the first trade. Prices are as fine as the source remembers them. A decision stands at its block where the chain tells it; where
only the source does, nobody knows when it was, and it stands at the end.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

from attrs import define, field

from trio_copy.chain.decoders.resolutions import (
    DECISION_TOPICS,
    MODULE_TOPICS,
    RESOLUTION_TOPIC,
    ResolutionDecoder,
    ResolutionSettings,
)
from trio_copy.chain.feed import SeenLog
from trio_copy.engine.market_source.together import together
from trio_copy.engine.recordings.recorded_lines import Moment, Told
from trio_copy.errors import ConfigError, UndecodableLog
from trio_copy.model.books import PastPrice, Quote, SeenPrice
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import Address, TokenId
from trio_copy.model.logs import BlockRef, RawLog
from trio_copy.model.protocol_v2 import answer_of
from trio_copy.model.resolutions import Decided, Resolution
from trio_copy.model.units import Price
from trio_copy.ports import Decoder, Markets, PastPrices

_TOGETHER = 50
"""Tokens or questions that are asked about in one call."""
_DAY_S = 86_400.0
_TOKENS_MOST = 10_000
"""Tokens whose prices are read at the same time; those that were traded longest ago go first."""
At = tuple[float, Told]


@define(eq=False)
class _Token:
    """How far the prices of a token are read."""

    until: float
    """Unix seconds."""
    coming: deque[PastPrice] = field(factory=deque)
    """Read, and later than what is written."""
    told: Price | None = None


@define(eq=False, kw_only=True)
class PastMarkets:
    source: Markets
    leaders: Collection[Address]
    decoders: Sequence[Decoder]
    """Those of whoever plays the recording."""
    now: float
    """Unix seconds."""
    on_trouble: Callable[[str, str], None]
    _past: PastPrices = field(init=False)
    _by_topic: dict[str, Decoder] = field(init=False)
    _beside: ResolutionDecoder = field(init=False)
    """Reads those decisions which whoever plays the recording does not."""
    _facts: dict[TokenId, TokenFacts] = field(factory=dict)
    _tokens: OrderedDict[TokenId, _Token] = field(factory=OrderedDict)
    """Those whose prices are read; the one that was traded last is the last."""
    _questions: dict[str, set[TokenId]] = field(factory=dict)
    """Those of what was traded that are not decided."""

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.source, PastPrices):
            raise ConfigError(["--market-data: expected a market source that knows the past, got one that does not"])
        self._past = self.source
        self._by_topic = {topic: decoder for decoder in self.decoders for topic in decoder.topics}
        ours = ResolutionSettings()
        self._beside = ResolutionDecoder(
            frozenset() if RESOLUTION_TOPIC in self._by_topic else frozenset(ours.contracts),
            frozenset() if self._by_topic.keys() & set(MODULE_TOPICS) else frozenset(ours.modules),
        )

    @property
    def asked(self) -> Sequence[Decoder]:
        """The decoders whose logs are read: decisions are, whether whoever plays the recording reads them or not."""
        return (*self.decoders, self._beside) if self._beside.topics else self.decoders

    def recall(self, moments: Iterable[Moment], until: float) -> None:
        """Learn what an earlier call has written, up to a moment in Unix seconds."""
        told: dict[TokenId, Price | None] = {}
        decided: list[str] = []
        traded: dict[TokenId, float] = {}
        for moment in moments:
            match moment.seen:
                case SeenLog(log=log):
                    traded.update(self._traded([log]))
                case TokenFacts():
                    self._facts[moment.seen.token_id] = moment.seen
                case SeenPrice(token_id=token, quote=quote):
                    told[token] = quote.price
                case Decided(condition_id=condition):
                    decided.append(condition)
        for token in traded:
            self._watch(token, until)
            self._tokens[token].told = told.get(token)
        for condition in decided:
            self._end(condition)

    async def between(
        self, since: float, end: BlockRef, logs: Sequence[RawLog]
    ) -> tuple[Sequence[RawLog], Sequence[At]]:
        """Return which logs of some blocks are kept, and what markets said in their time, in its order.

        Raises:
            MarketsUnavailable: the source does not answer.
        """
        traded, told = self._traded(logs), list[At]()
        new = [token for token in traded if token not in self._facts]
        for token, facts in (await self._learn(new)).items():
            # What was not traded itself is the other side of what was.
            other = token if token in traded or facts.opposite is None else facts.opposite
            told.append((traded.get(other, since), facts))
        for token in traded:
            self._watch(token, since)
        await together(partial(self._read, token, end.time) for token in self._tokens)
        kept, decided = self._decided(logs)
        for token, known in self._tokens.items():
            told += self._prices(token, known, end.time)
        for at, one in decided:
            told.append((at, one))
            self._end(one.condition_id)
        # By time alone, and in this order within it: facts before the trade that they are about.
        return kept, sorted(told, key=lambda one: one[0])

    async def decided_by_now(self, end: BlockRef) -> Sequence[At]:
        """Return which of the questions are decided by what the source says today. Raises `MarketsUnavailable`."""
        open_questions, told = sorted(self._questions), list[At]()
        for start in range(0, len(open_questions), _TOGETHER):
            asked = open_questions[start : start + _TOGETHER]
            for one in await self.source.resolutions(asked):
                if one.condition_id in asked:
                    told.append((end.time, Decided(condition_id=one.condition_id, payouts=one.payouts)))
        return told

    @property
    def unknown(self) -> int:
        """Tokens that were traded, and of which nobody knows what they are about."""
        return sum(token not in self._facts for token in self._tokens)

    def _traded(self, logs: Iterable[RawLog]) -> dict[TokenId, float]:
        """Return the tokens that leaders traded, each with the moment of the first trade."""
        found: dict[TokenId, float] = {}
        for log in logs:
            decoder = self._by_topic.get(log.topics[0]) if log.topics else None
            try:
                fills = () if decoder is None else decoder.decode(log)
            except UndecodableLog:
                continue  # told by whoever plays it
            for fill in fills if isinstance(fills, tuple) else ():
                if fill.owner in self.leaders:
                    found.setdefault(fill.token_id, float(log.block_time or 0))
        return found

    def _decided(self, logs: Sequence[RawLog]) -> tuple[list[RawLog], list[tuple[float, Decided]]]:
        """Part decisions from other logs; those of questions that nobody here traded are left out."""
        kept, decided = list[RawLog](), list[tuple[float, Decided]]()
        for log in logs:
            topic = log.topics[0] if log.topics else ""
            if topic not in DECISION_TOPICS:
                kept.append(log)
                continue
            try:
                one = self._by_topic.get(topic, self._beside).decode(log)
            except UndecodableLog as error:
                self.on_trouble("markets-unreadable", str(error))
                continue
            if isinstance(one, Resolution) and (told := self._told_by(one)):
                decided += [(float(log.block_time or 0), each) for each in told]
                kept += [log] if topic in self._by_topic else []
        return kept, decided

    def _told_by(self, one: Resolution) -> list[Decided]:
        """Return what a resolution says of the questions that somebody here has traded."""
        told = [one] if one.condition_id in self._questions else []
        if one.event is not None:
            told += [other for name in self._questions if (other := one.of_other(name)) is not None]
        return [Decided(condition_id=each.condition_id, payouts=each.payouts) for each in told]

    async def _learn(self, tokens: Sequence[TokenId]) -> dict[TokenId, TokenFacts]:
        """Ask what tokens are about, and their opposites, which a reverse copy buys."""
        found: dict[TokenId, TokenFacts] = {}
        wanted = list(tokens)
        while wanted:
            batch, wanted = wanted[:_TOGETHER], wanted[_TOGETHER:]
            answer = {facts.token_id: facts for facts in await self.source.facts(batch) if facts.token_id in batch}
            found |= answer
            others = (facts.opposite for facts in answer.values())
            wanted += [one for one in dict.fromkeys(others) if one and one not in (*found, *self._facts, *wanted)]
        self._facts |= found
        return found

    def _watch(self, token: TokenId, since: float) -> None:
        named, facts = answer_of(token), self._facts.get(token)
        if named is not None:  # as for the catalog of whoever plays it
            self._questions.setdefault(named[0], set()).add(token)
        elif facts is not None:
            self._questions.setdefault(facts.condition_id, set()).add(token)
        self._tokens.setdefault(token, _Token(since))
        self._tokens.move_to_end(token)
        if len(self._tokens) > _TOKENS_MOST:
            left_out, _ = self._tokens.popitem(last=False)
            self.on_trouble("prices-left-out", f"of token {left_out}: more than {_TOKENS_MOST} at once")

    def _end(self, condition: str) -> None:
        for token in self._questions.pop(condition, ()):
            self._tokens.pop(token, None)

    async def _read(self, token: TokenId, until: float) -> None:
        """Read the prices of a token at least up to a moment, and for a day where there is as much."""
        known = self._tokens[token]
        while known.until < until:
            end = max(min(known.until + _DAY_S, self.now), min(until, known.until + _DAY_S))
            last = known.coming[-1].price if known.coming else known.told
            for one in await self._past.past_prices(token, known.until, end):
                if one.price != last:
                    known.coming.append(one)
                last = one.price
            known.until = end

    def _prices(self, token: TokenId, known: _Token, until: float) -> Iterable[At]:
        while known.coming and known.coming[0].at <= until:
            one = known.coming.popleft()
            known.told = one.price
            yield one.at, SeenPrice(token_id=token, quote=Quote(bid=None, ask=None, price=one.price), at=one.at)
