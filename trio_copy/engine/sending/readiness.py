"""What has to be known before a task is decided about, and why there may be nothing to decide."""

from typing import NamedTuple

from attrs import define

from trio_copy.accounts.costs import worst_cost
from trio_copy.clock import WallClock
from trio_copy.copying.filters import check_book
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.borders.contract import Contract
from trio_copy.engine.sending.calling_off import not_followed
from trio_copy.engine.sending.modes import ModeBoard
from trio_copy.engine.sending.shared_depth import SharedDepth, left_out
from trio_copy.engine.sending.submitting import refused
from trio_copy.engine.shards.queued import Queued
from trio_copy.engine.shards.shard import Shard
from trio_copy.errors import OrderNotSent
from trio_copy.model.decisions import Code, CopyTask, End, Outcome, Reason, too_late
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.orders import Market
from trio_copy.model.sightings import Allotment

_BUY, _SELL = Side.BUY, Side.SELL
_UNFOLLOWED = FollowSettings()
"""How exits are carried out whose follow was removed since."""


class Ready(NamedTuple):
    """What a decision needs."""

    settings: FollowSettings
    market: Market
    allotment: Allotment | None
    now: float
    """When all of it was known, in Unix seconds."""


@define(eq=False, kw_only=True)
class Readiness:
    """Of the tasks of one executor."""

    executor: Contract
    book: FollowBook
    mode: ModeBoard
    depth: SharedDepth
    wall: WallClock

    async def of(self, shard: Shard, queued: Queued, now: float) -> Outcome | Ready:
        """Learn what a decision needs, or why there is none to be made."""
        task = queued.task
        settings = self._settings_of(task, now)
        if isinstance(settings, Outcome):
            return settings
        try:
            market, allotment = await self.depth.of(queued)
        except OrderNotSent as error:
            return refused(error)
        now = self.wall()
        if now > task.deadline:
            return too_late(task, now)
        unwanted = self._unwanted(task, settings, market) or left_out(task, allotment, market)
        if unwanted is not None:
            return unwanted
        if shard.grants.limit is not None and task.intent.side is _BUY:
            cost = worst_cost(task.intent.max_cost, task.intent.limit_price, market.fee)
            while not shard.grants.covers(task, cost) and await shard.grants.draw(task, cost):
                now = self.wall()
        return Ready(settings, market, allotment, now)

    def _settings_of(self, task: CopyTask, now: float) -> FollowSettings | Outcome:
        """Return the settings in force for a task, or why nothing may be sent for it now."""
        intent = task.intent
        if now > task.deadline:
            return too_late(task, now)
        forbidden = self.mode.forbids(intent.side, task.follower, task.signal.leader)
        if forbidden is not None:
            return Outcome(end=End.HALTED, reason=forbidden)
        terms = self.book.find(task.follower, task.signal.leader)
        if task.follower in self.book.terms.followers:
            if intent.side is _SELL:
                return _UNFOLLOWED if terms is None else terms.settings
            if terms is not None and terms.settings.status == "active":
                return terms.settings
        unwanted = not_followed(self.book, task.follower, task.signal.leader)
        return Outcome(end=End.SKIPPED, reason=unwanted)

    def _unwanted(self, task: CopyTask, settings: FollowSettings, market: Market) -> Outcome | None:
        """Return why the venue, or its book, is not wanted for a task."""
        if market.closed is not None:
            reason = Reason(code=Code.VENUE_REFUSED, control="venue.market", value=market.closed, limit="tradable")
            return Outcome(end=End.REJECTED, reason=reason)
        if task.intent.side is _SELL:
            return None
        if task.intent.rest_until and not self.executor.rests:
            wanted, limit = task.intent.order_type, "FAK or FOK: no order of this executor rests"
            reason = Reason(code=Code.VENUE_REFUSED, control="execution.order_type", value=wanted, limit=limit)
            return Outcome(end=End.REJECTED, reason=reason)
        poor = check_book(task.intent, settings, market)
        return None if poor is None else Outcome(end=End.SKIPPED, reason=poor)
