"""Signals about which some follows cannot decide yet: what their settings need may be told in a moment. Decision 0032.

A first trade in a question that nobody here has seen meets settings that need its facts or its price. Those follows wait,
for at most `_PATIENCE_S` and never past what makes the copy too late; then they decide by what is known. All others go on at
once, and so does the exit of a leader whose entry waits: that is decided first, by what is known. Nobody waits for what is
not under way: the market source is away, has said that it does not know, or was waited for in vain a moment ago.
"""

from collections import Counter, OrderedDict
from collections.abc import Sequence
from math import inf

import trio
from attrs import define, field

from trio_copy.clock import WallClock
from trio_copy.copying.needs import Lack, QuoteOf, lack, looks_at_book
from trio_copy.engine.gate.deciding import Deciding
from trio_copy.engine.market_source.watched_tokens import WatchedTokens
from trio_copy.engine.shards.shard import Shard
from trio_copy.engine.shards.taking_in import retract
from trio_copy.errors import LeaseLost
from trio_copy.model.catalog import Catalog
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.follows import Terms
from trio_copy.model.ids import SignalId, TaskId, TokenId
from trio_copy.model.signals import Signal
from trio_copy.telemetry.observer import Observer

_PATIENCE_S = 2.0
"""Facts take some tenths of a second; a copy that is later than this meets another book."""
_REST_S = 30.0
"""How long nobody waits for what was waited for in vain: a token without a market would hold up each of its copies."""
_PARTS_MOST = 10_000
_IN_VAIN_MOST = 1000
_STEP = 200
"""Parts that are looked at in one step."""
_SOONER_S = 0.05
"""So much before it is too late the decision is made, so that the reason is what was missing."""


@define(eq=False)
class _Part:
    """What follows with the same settings want of a signal."""

    name: TaskId
    shard: Shard
    signal: Signal
    settings: FollowSettings
    lacks: tuple[Lack, TokenId]
    until: float
    """Unix seconds."""
    follows: list[Terms] = field(factory=list)


@define(eq=False, kw_only=True)
class Undecided:
    deciding: Deciding
    """How the follows decide once it is their time."""
    catalog: Catalog
    quote: QuoteOf | None
    """What the market source tells of prices; None where executors have theirs from somebody else."""
    tokens: WatchedTokens
    """Knows what may be told of them in a moment."""
    observer: Observer
    wall: WallClock
    deadline_s: float
    """`engine.deadline_s`."""
    _parts: dict[TaskId, _Part] = field(factory=dict)
    """As their signals came."""
    _open: Counter[SignalId] = field(factory=Counter)
    """How many parts wait of each signal."""
    _in_vain: OrderedDict[tuple[Lack, TokenId], float] = field(factory=OrderedDict)
    """Until when nobody waits for it, by our wall clock."""
    _owed: dict[SignalId, tuple[Signal, int]] = field(factory=dict)
    """Signals that the observer is told of once all of them is decided, and how many tasks wait by now."""
    _late: dict[SignalId, int] = field(factory=dict)
    """Tasks of signals that were decided before the others have told of them."""
    _news: trio.Event = field(factory=trio.Event)
    _told: bool = False
    """Whether something was told since all was looked at."""
    _soonest: float = inf
    """When something has waited long enough, in Unix seconds."""
    _number: int = 0

    def __len__(self) -> int:
        """How many decisions wait."""
        return len(self._parts)

    def tell(self) -> None:
        """Take note that something was told, or that somebody will not tell it."""
        if self._parts:
            self._told = True
            self._news.set()

    # --------------------------------------------------------------------------------------------------- from the gate

    def keep_back(self, shard: Shard, signal: Signal, follows: Sequence[Terms]) -> Sequence[Terms]:
        """Return the follows that decide about a signal now; the others wait. Their accounts must be at hand."""
        ready, parts = self._divided(shard, signal, follows)
        if signal.side is Side.SELL:
            # What waits of his entries must not be bought after he has left: it is decided now, by what is known. An exit that
            # waits itself, of who bets against him, comes behind it.
            for part in [part for part in self._parts.values() if part.shard is shard]:
                same = part.signal.leader == signal.leader and part.signal.token_id == signal.token_id
                if same and id(part.settings) not in parts:
                    self._end(part)
        for part in parts.values():
            self._parts[part.name] = part
            self._open[signal.signal_id] += 1
            shard.progress.begin(part.name, signal.block_number)
            if part.lacks[0] is Lack.PRICE:
                self.tokens.note(part.lacks[1])
            if part.until < self._soonest:
                self._soonest = part.until
                self._news.set()
        return ready

    def _divided(
        self, shard: Shard, signal: Signal, follows: Sequence[Terms]
    ) -> tuple[Sequence[Terms], dict[int, _Part]]:
        known = self.catalog.of(signal.token_id) is not None
        entry = signal.side is Side.BUY
        if known and not entry:
            return follows, {}
        ready: list[Terms] = []
        parts: dict[int, _Part] = {}
        decides: set[int] = set()  # settings, by identity: equal ones share one object
        for terms in follows:
            settings = terms.settings
            part = parts.get(id(settings))
            if part is None and id(settings) not in decides:
                if not known or looks_at_book(settings):
                    part = self._part(shard, signal, settings)
                if part is None:
                    decides.add(id(settings))
                else:
                    parts[id(settings)] = part
            if part is None:
                ready.append(terms)
            else:
                part.follows.append(terms)
        return ready, parts

    def _part(self, shard: Shard, signal: Signal, settings: FollowSettings) -> _Part | None:
        """Return what waits for settings that lack something which may be told; None where they decide now."""
        lacks = lack(signal, settings, self.deciding.judge(signal, settings), self.catalog, self.quote)
        if lacks is None or not self._may_come(lacks) or len(self._parts) >= _PARTS_MOST:
            return None
        own_s, now = settings.execution.deadline_s, self.wall()
        deadline_s = min(self.deadline_s, inf if own_s is None else own_s, settings.filters.max_age_s)
        until = min(now + _PATIENCE_S, signal.block_time + deadline_s - self.deciding.behind_s() - _SOONER_S)
        if until <= now:
            return None
        self._number += 1
        return _Part(TaskId(f"undecided {self._number}"), shard, signal, settings, lacks, until)

    def _may_come(self, lacks: tuple[Lack, TokenId]) -> bool:
        what, token = lacks
        if self._in_vain.get(lacks, -inf) > self.wall():
            return False
        return self.tokens.may_tell_facts(token) if what is Lack.FACTS else self.tokens.may_tell_price(token)

    def owes(self, signal: Signal, tasks: int) -> int | None:
        """Return how many tasks wait of a signal of which `tasks` do so far; None while some of it is undecided.

        Then the observer is told once it is decided.
        """
        if self._open[signal.signal_id]:
            self._owed[signal.signal_id] = (signal, tasks)
            return None
        return tasks + self._late.pop(signal.signal_id, 0)

    # ------------------------------------------------------------------------------------------------------- deciding

    async def run(self) -> None:
        """Decide what can be decided, and what has waited long enough, until cancelled."""
        while True:
            with trio.move_on_after(max(0.0, self._soonest - self.wall())):
                await self._news.wait()
            self._news = trio.Event()
            # A new part alone is no reason to look at all the others: there may be thousands of one trade.
            if not self._told and self.wall() < self._soonest:
                continue
            self._told = False
            for count, part in enumerate(tuple(self._parts.values()), 1):
                await self._look(part)
                if count % _STEP == 0:
                    await trio.lowlevel.checkpoint()
            self._soonest = min((part.until for part in self._parts.values()), default=inf)

    async def decide_all(self) -> None:
        """Decide everything by what is known: nothing more is read."""
        for part in tuple(self._parts.values()):
            await self._load(part)
            self._end(part)

    async def _look(self, part: _Part) -> None:
        late = self.wall() >= part.until
        if late:
            self._in_vain[part.lacks] = self.wall() + _REST_S
            self._in_vain.move_to_end(part.lacks)
            if len(self._in_vain) > _IN_VAIN_MOST:
                self._in_vain.popitem(last=False)
        elif self._lacks_still(part):
            return
        if part.signal.side is Side.SELL:
            # An entry may have come to lack something else meanwhile: it is decided first, or it would be bought after this.
            for earlier in self._before(part):
                await self._load(earlier)
                self._end(earlier)
        await self._load(part)
        self._end(part)

    def _before(self, part: _Part) -> list[_Part]:
        """Return what came before a part, of the same follows and token."""
        whose = (part.shard, part.signal.leader, part.signal.token_id, id(part.settings))
        found = []
        for one in self._parts.values():
            if one is part:
                break
            if (one.shard, one.signal.leader, one.signal.token_id, id(one.settings)) == whose:
                found.append(one)
        return found

    def _lacks_still(self, part: _Part) -> bool:
        what, token = part.lacks
        told = self.catalog.of(token) if what is Lack.FACTS else self.quote and self.quote(token)
        if told is None:
            return self._may_come(part.lacks)
        lacks = lack(
            part.signal, part.settings, self.deciding.judge(part.signal, part.settings), self.catalog, self.quote
        )
        if lacks is None or not self._may_come(lacks):
            return False
        if lacks != part.lacks:
            part.lacks = lacks
            if lacks[0] is Lack.PRICE:
                self.tokens.note(lacks[1])
        return True

    async def _load(self, part: _Part) -> None:
        """Have the accounts at hand: of one that nothing happened to meanwhile, nobody else needs it."""
        try:
            await part.shard.load([terms.follower for terms in part.follows])
        except LeaseLost as error:
            part.shard.lose(error)

    def _end(self, part: _Part) -> None:
        """Decide by what is known; of a shard that is somebody else's by now, whoever has it meets the signal."""
        if self._parts.pop(part.name, None) is None:
            return  # an exit came first
        shard, signal = part.shard, part.signal
        if not shard.is_read():
            # Not finished: whoever has it next has to read it again, and the checkpoint must not pass it here.
            self._note_decided(signal, 0)
            return
        # Who is not at hand, although all that follow his leader are, does not follow him any more.
        follows = [terms for terms in part.follows if terms.follower in shard.accounts]
        tasks = self.deciding.decide(shard, signal, follows)
        if tasks and shard.met.is_retracted(signal.signal_id):
            retract(shard, signal.signal_id)  # while it was undecided there was nothing to suspend
        shard.progress.finish(part.name)
        shard.writer.tell()
        self._note_decided(signal, tasks)

    def _note_decided(self, signal: Signal, tasks: int) -> None:
        name = signal.signal_id
        self._late[name] = self._late.get(name, 0) + tasks
        self._open[name] -= 1
        if self._open[name]:
            return
        del self._open[name]
        owed = self._owed.pop(name, None)
        if owed is not None:
            self.observer.on_signal(signal, "admitted", owed[1] + self._late.pop(name), self.wall())
