"""What follows make of a signal, by what is known at that moment: the gate has most decide at once, and some wait for more."""

from collections.abc import Callable, Sequence
from functools import partial
from math import inf, nextafter

from attrs import define

from trio_copy.clock import WallClock
from trio_copy.config import EngineSettings
from trio_copy.copying.decide import decide, judge
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.shards.shard import Shard
from trio_copy.engine.shards.taking_in import take_in
from trio_copy.engine.shards.worth import equity, held_since
from trio_copy.model.catalog import Catalog
from trio_copy.model.decisions import OrderIntent, Reason
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.follows import Terms
from trio_copy.model.ids import FollowerId
from trio_copy.model.signals import Signal
from trio_copy.model.units import Usd
from trio_copy.ports import nowhere


@define(eq=False, kw_only=True)
class Deciding:
    """Sync: nothing comes between a decision and the task that waits for it."""

    book: FollowBook
    catalog: Catalog
    settings: EngineSettings
    wall: WallClock
    behind_s: Callable[[], float] = lambda: 0.0
    """How far our clock is behind the chain's: what an age by our clock lacks."""
    halted: Callable[[], Reason | None] = lambda: None
    """Tells why no entry may leave at this moment."""
    at: Callable[[str], None] = nowhere
    """Called at each point where a crash would matter."""
    _decided_at: float = 0.0

    def judge(self, signal: Signal, settings: FollowSettings) -> OrderIntent | Reason:
        """Return what a follow with these settings wants of a signal, or why it wants nothing; nothing comes of it."""
        return judge(signal, settings, self.catalog, self.wall() + self.behind_s(), self.halted())

    def decide(self, shard: Shard, signal: Signal, follows: Sequence[Terms]) -> int:
        """Let follows of one shard decide, and their tasks wait there; returns how many do."""
        # Never the same moment twice: an exit has to know which entries were decided before it.
        now = self._decided_at = max(self.wall(), nextafter(self._decided_at, inf))
        self.at("gate: before admission")
        tasks, skips = decide(
            signal,
            follows,
            self.book.terms.followers,
            now=now,
            deadline_s=self.settings.deadline_s,
            catalog=self.catalog,
            behind_s=self.behind_s(),
            halted=self.halted(),
            equity_of=partial(self._equity_of, shard),
        )
        waiting = take_in(shard, signal, tasks, skips)
        self.at("gate: admitted")
        return waiting

    def _equity_of(self, shard: Shard, follower: FollowerId) -> Usd | Reason:
        start = self.book.terms.followers[follower].paper_usd
        since = held_since(self.settings, self.wall())
        return equity(shard.accounts[follower], start, shard.marks, "size.equity_by", since)
