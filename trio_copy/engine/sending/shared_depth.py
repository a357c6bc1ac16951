"""One look at a token's book for all followers of a signal, and what each of them may take of it.

Sent as they are wanted, the first of a hundred orders would take what is there, and the others be killed. So a book is read once for
those that wait for the same side of a token by the same signal, and shared among them when it comes. Which of them is the first
follows from signal and follower: it is another one each time, and the same one on every instance. What this process does not know of,
it does not share with: followers of other instances, and orders of other signals. Nor do orders that may rest, which wait for what
they do not get.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from math import inf

import trio
from attrs import define, evolve, field, frozen

from trio_copy.accounts.exits import portion, spot_of
from trio_copy.accounts.settling import sold_now
from trio_copy.clock import WallClock
from trio_copy.copying.allotting import Claim, allot
from trio_copy.engine.borders.contract import Contract
from trio_copy.engine.sending.markets import Markets
from trio_copy.engine.shards.lanes import Lanes
from trio_copy.engine.shards.queued import Queued
from trio_copy.engine.shards.shard import Shard
from trio_copy.errors import OrderNotSent
from trio_copy.model.decisions import Code, CopyTask, End, Outcome, Reason
from trio_copy.model.fills import Side
from trio_copy.model.ids import SignalId, TaskId, TokenId
from trio_copy.model.orders import Market
from trio_copy.model.sightings import Allotment
from trio_copy.model.units import Rounding, Usd

_FRESH_S = 1.0
"""So long after its book came an order may go out by it: a thousand leave within less."""
_EXITS_WAIT_S = 0.5
"""So long exits wait for a book, which takes some hundredths of a second: a venue that shows none may take orders all the same."""
_TWO = 2
"""Fewer have nobody to share with."""
_Key = tuple[SignalId, TokenId, bool]
"""Whose orders share: of a signal, for a token, exits or entries."""


@define(eq=False)
class _Asked:
    """A book that is asked for; neither told nor refused where whoever asked was cancelled."""

    over: trio.Event = field(factory=trio.Event)
    told: bool = False
    error: OrderNotSent | None = None


@frozen
class _Allotted:
    market: Market
    """Without its book: that is shared."""
    allotment: Allotment | None
    """None where nobody showed the book, or it wants nothing."""
    fresh_until: float
    """By Trio's clock."""


@define(eq=False, kw_only=True)
class SharedDepth:
    """Of one executor."""

    executor: Contract
    markets: Markets
    """Tells those that have nobody to share with."""
    lanes: Lanes
    shards: Mapping[int, Shard]
    wall: WallClock
    _asked: dict[_Key, _Asked] = field(factory=dict)
    _allotted: OrderedDict[TaskId, _Allotted] = field(factory=OrderedDict)
    """What tasks have not taken up yet, the oldest first."""

    async def of(self, queued: Queued) -> tuple[Market, Allotment | None]:
        """Return what the venue says about the token of a task in hand, and what it may take of the book where others want it too.

        Raises:
            OrderNotSent: the executor says so. Exits are not held up by a book that nobody shows: they ask as if alone.
        """
        task, token, exits = queued.task, queued.task.intent.token_id, queued.is_exit
        if not self.executor.shows_books or not _takes(task):
            return await self.markets.of(token, exits=exits), None
        key = (task.signal.signal_id, token, exits)
        while True:
            # Once: tried again, it meets another book.
            found = self._allotted.pop(task.task_id, None)
            if found is not None and found.fresh_until >= trio.current_time():
                return found.market, found.allotment
            asked = self._asked.get(key)
            if asked is not None:
                await asked.over.wait()
            elif len(self._row(key)) >= _TWO:
                asked = await self._ask(key)
            else:
                break
            if asked.error is not None:
                if exits:
                    break
                raise type(asked.error)(str(asked.error)) from asked.error
            if asked.told and task.task_id not in self._allotted:
                break  # suspended meanwhile, it was left out, and would be again
        return await self.markets.of(token, exits=exits), None

    def forget(self, token_id: TokenId) -> None:
        """Ask anew about a token: its market is not as it was read."""
        self.markets.forget(token_id)
        for task in [task for task, one in self._allotted.items() if one.market.token_id == token_id]:
            del self._allotted[task]

    async def _ask(self, key: _Key) -> _Asked:
        asked = self._asked[key] = _Asked()
        try:
            with trio.move_on_after(_EXITS_WAIT_S if key[2] else inf):
                market = await self.executor.market_with_book(key[1])
                # That no orders are taken ends no exit before it has asked for itself.
                if market.closed is None or not key[2]:
                    self._share(market, self._row(key))
                    asked.told = True
            if not asked.told:
                asked.error = OrderNotSent("no book for exits, or not in the time that they have for one")
        except OrderNotSent as error:
            asked.error = error
        finally:
            del self._asked[key]
            asked.over.set()
        return asked

    def _forget_old(self) -> None:
        """Let go what nobody took up: of tasks that ended otherwise, or were too late."""
        now = trio.current_time()
        while self._allotted and next(iter(self._allotted.values())).fresh_until < now:
            self._allotted.popitem(last=False)

    def _row(self, key: _Key) -> list[Queued]:
        """Return what waits to share, in the order in which it is given out: see `take_in`."""
        self._forget_old()
        signal, token, exits = key
        now = self.wall()
        row = [
            one
            for one in self.lanes.unplaced.of_signal(signal)
            if one.is_exit is exits
            and one.task.intent.token_id == token
            and _takes(one.task)
            and one.task.not_before <= now
            and one.task.task_id not in self._allotted
            and not (one.suspended or one.aside or self.lanes.is_held_up(one))
        ]
        return sorted(row, key=lambda one: one.task.task_id)

    def _share(self, market: Market, row: Sequence[Queued]) -> None:
        fresh_until, bookless = trio.current_time() + _FRESH_S, evolve(market, book=None)
        allotments: dict[TaskId, Allotment | None] = dict.fromkeys(one.task.task_id for one in row)
        claims = {one.task.task_id: claim for one in row if (claim := self._claim(one, market)) is not None}
        if market.book is not None and len(claims) >= _TWO:
            side, book = (Side.SELL, market.book.bids) if row[0].is_exit else (Side.BUY, market.book.asks)
            allotments.update(zip(claims, allot(list(claims.values()), side, book), strict=True))
        self._allotted.update((task, _Allotted(bookless, one, fresh_until)) for task, one in allotments.items())

    def _claim(self, queued: Queued, market: Market) -> Claim | None:
        """Return what a task wants; None where it will want nothing."""
        task, intent = queued.task, queued.task.intent
        whole = intent.order_type == "FOK"
        if not queued.is_exit:
            # Those that go out in its order are in it.
            others = self.lanes.unplaced.resting(queued)
            cash = intent.max_cost.micro + sum(other.intent.max_cost.micro for other in others if other.aggregates)
            return Claim(intent.limit_price, cash, _least_cost(task, market).micro, whole) if cash else None
        shard = self.shards.get(queued.shard)
        account = None if shard is None else shard.accounts.get(task.follower)
        if account is None:
            return None
        sold = portion(intent, account.position(spot_of(task)), account.free(spot_of(task)))
        if isinstance(sold, Reason):
            return None
        # What is not on the chain cannot take anything: kept for it, it would be kept from the others.
        now = sold_now(account, spot_of(task), sold.shares, market.minimum)
        return Claim(intent.limit_price, now.micro, max(1, market.minimum.micro), whole) if now else None


def left_out(task: CopyTask, allotment: Allotment | None, market: Market) -> Outcome | None:
    """Say how an entry ends to which nothing was allotted; an exit is sent all the same, for bids may have come."""
    if allotment is None or allotment.most is None or allotment.most.micro or task.intent.side is Side.SELL:
        return None
    value = f"{allotment.offered} USD for {allotment.wanted}, {allotment.place} of {allotment.of} in the row"
    least = allotment.own if task.intent.order_type == "FOK" else _least_cost(task, market)
    reason = Reason(code=Code.BOOK_SHARED_OUT, control="venue.book", value=value, limit=f"{least} USD for it")
    return Outcome(end=End.SKIPPED, reason=reason)


def _least_cost(task: CopyTask, market: Market) -> Usd:
    """Return what an entry has to cost at least, to be an order."""
    least = market.least_cost if market.least_cost else market.minimum.at(task.intent.limit_price, Rounding.UP)
    return max(least, Usd(1))


def _takes(task: CopyTask) -> bool:
    return not task.intent.rest_until
