"""Leaves positions by the followers' own rules: profits, losses, time, pauses and ends of follows. And redeems winners."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

import trio
from attrs import define, field

from trio_copy.accounts import Account, Spot
from trio_copy.accounts import commands as c
from trio_copy.clock import WallClock
from trio_copy.config import EngineSettings
from trio_copy.copying.decide import make_task
from trio_copy.copying.exits import exit_signal, wants_out
from trio_copy.copying.follow_book import FollowBook
from trio_copy.copying.sizing import size
from trio_copy.engine.people.requests import LEAVE, REFUSED
from trio_copy.engine.sending.execution import Execution
from trio_copy.engine.shards.payouts import Payout, book
from trio_copy.engine.shards.shard import Shard
from trio_copy.engine.shards.taking_in import take_in
from trio_copy.engine.shards.worth import held_since, unrealised
from trio_copy.errors import ExecutorError, LeaseLost
from trio_copy.model.catalog import Catalog
from trio_copy.model.decisions import OrderIntent
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.follows import Terms
from trio_copy.model.ids import Address, ChainId, FollowerId, TokenId
from trio_copy.model.orders import Market
from trio_copy.model.positions import PositionKey
from trio_copy.model.units import NO_SHARES, Price, Shares, Usd
from trio_copy.ports import Store
from trio_copy.telemetry.observer import Observer

_DEFAULTS = FollowSettings()
_TOLD_MOST = 1000
_ASKED_AT_ONCE = 20
"""Tokens that one executor is asked about beside each other."""
Venue = tuple[str, TokenId]
"""An executor, and the token that it is asked about."""
Held = tuple[int, FollowerId, Spot]
"""A position: its shard, whose it is, and whose trades of what it copies."""
LeaveIt = Callable[[Shard, Account, Spot, Shares], None]
_ALL_EVERY = 10
"""Positions that no rule watches are looked at, and marked, at every so many looks."""


@define(eq=False, kw_only=True)
class ExitRules:
    """Compares open positions with their rules, every `engine.exits_every_s`."""

    store: Store
    shards: Mapping[int, Shard]
    shard_of: Callable[[FollowerId], int]
    book: FollowBook
    catalog: Catalog
    executions: Mapping[str, Execution]
    settings: EngineSettings
    chain_id: ChainId
    observer: Observer
    wall: WallClock
    sealed_number: Callable[[], int]
    """The newest block of which everything was read."""
    window_blocks: int
    """A resolution this deep in the chain is not taken back any more."""
    payout_of: Callable[[FollowerId], Payout]
    redeem: Callable[[Shard, FollowerId, str], None]
    """Told at every look what is held of a question that is decided for good, by a wallet that redeems it."""
    leaving: bool = True
    """Whether followers' own rules are followed. Winners are redeemed all the same."""
    _looks: int = 0
    _flat_since: dict[tuple[FollowerId, Address], float] = field(factory=dict)
    _told: set[tuple[str, str]] = field(factory=set)
    _asked: set[Venue] = field(factory=set)
    """What is being asked about: nobody is asked a second time before he has answered."""
    _turns: dict[str, trio.CapacityLimiter] = field(factory=dict)
    """By executor: one that does not answer holds up its own tokens alone."""

    async def run(self) -> None:
        """Look again and again, until cancelled, at every open position that something may have to be done about.

        Venues are asked beside each other, and each position is left as soon as its own bid is known.
        """
        async with trio.open_nursery() as nursery:
            while True:
                await trio.sleep(self.settings.exits_every_s)
                self._looks += 1
                everything = self._looks % _ALL_EVERY == 1
                # Of the marks that the last look has brought: before new ones come, or a peak would pass unseen.
                self._see_worth()
                self._redeem_decided(everything=everything)
                for venue, positions in self._due(everything=everything).items():
                    nursery.start_soon(self._look_at, venue, positions, self._leave)
                await self._forget_follows_that_are_over()

    async def mark_all(self) -> None:
        """Ask once more what every position could be sold for: what the books show when nobody looks any more."""
        async with trio.open_nursery() as nursery:
            for venue, positions in self._due(everything=True).items():
                nursery.start_soon(self._look_at, venue, positions, None)

    def _redeem_decided(self, *, everything: bool) -> None:
        """Book what is held of questions that were decided for good."""
        for shard in tuple(self.shards.values()):
            if news := shard.resolved.take_news():
                self._tell_decided(shard, news, self._final)
            if shard.resolved.has_become_final(self._final) or (everything and len(shard.resolved) > 0):
                for account, spot in tuple(self._positions(shard, everything=True)):
                    if (decided := self._decided(shard, spot)) is not None:
                        self._redeem(shard, account, spot, *decided)

    @property
    def _final(self) -> int:
        """The block up to which no resolution is taken back any more."""
        return self.sealed_number() - self.window_blocks

    def _decided(self, shard: Shard, spot: Spot) -> tuple[str, Price] | None:
        """Return the question of a spot and what its shares pay, once that is for good."""
        question = self.catalog.question_of(spot[1])
        resolution = None if question is None else shard.resolved.of(question[0])
        if question is None or resolution is None or resolution.block_number > self._final:
            return None
        condition_id, slot = question
        return condition_id, resolution.payout(slot)

    def _positions(self, shard: Shard, *, everything: bool) -> Iterator[tuple[Account, Spot]]:
        """Return the open positions of a shard: all, or those that have to be looked at each time."""
        accounts = shard.accounts
        followers: Iterable[FollowerId] = accounts if everything else sorted(self.book.watched & accounts.keys())
        for follower in followers:
            account = accounts[follower]
            for spot in account.holdings:
                if everything or follower in self.book.by_mark or self.book.needs_looks(follower, spot[0]):
                    yield account, spot

    def _due(self, *, everything: bool) -> dict[Venue, list[Held]]:
        """Return the positions whose bids are to be asked for, by where; none that somebody is being asked for already."""
        due: dict[Venue, list[Held]] = {}
        for number, shard in self.shards.items():
            for account, spot in self._positions(shard, everything=everything):
                due.setdefault((self._executor_of(account.follower), spot[1]), []).append(
                    (number, account.follower, spot)
                )
        due = {venue: positions for venue, positions in due.items() if venue not in self._asked}
        self._asked |= due.keys()
        return due

    async def _look_at(self, venue: Venue, positions: Sequence[Held], leave: LeaveIt | None) -> None:
        """Ask what some positions could be sold for, keep the highest since they were opened, and leave those that want out."""
        try:
            async with self._turns.setdefault(venue[0], trio.CapacityLimiter(_ASKED_AT_ONCE)):
                market = await self._market(*venue)
        finally:
            self._asked.discard(venue)
        bid, now = _bid(market), self.wall()
        for number, follower, spot in positions:
            # Anew: of what was closed while somebody was asked, nothing is remembered.
            shard = self.shards.get(number)
            account = None if shard is None else shard.accounts.get(follower)
            if shard is None or account is None or spot not in account.holdings:
                continue
            if bid is not None and shard.marks.note((follower, *spot), bid, now):
                shard.writer.tell()
            if leave is not None and self._decided(shard, spot) is None:
                leave(shard, account, spot, NO_SHARES if market is None else market.minimum)

    def _see_worth(self) -> None:
        """Let accounts whose drawdown is counted by mark know how high they stand."""
        now = self.wall()
        for shard in self.shards.values():
            for follower in sorted(self.book.by_mark & shard.accounts.keys()):
                since = held_since(self.settings, now)
                gained = unrealised(shard.accounts[follower], shard.marks, "caps.max_drawdown_usd", since)
                if isinstance(gained, Usd):
                    shard.act(follower, c.SeeWorth(unrealised=gained, at=now))

    def _executor_of(self, follower: FollowerId) -> str:
        """Return where a follower trades; nowhere, when the configuration does not name him any more."""
        followers = self.book.terms.followers
        return followers[follower].executor if follower in followers else ""

    async def _market(self, executor: str, token_id: TokenId) -> Market | None:
        execution = self.executions.get(executor)
        if execution is None:
            return None
        try:
            with trio.move_on_after(self.settings.send_timeout_s):
                return await execution.executor.market(token_id)
        except ExecutorError as error:
            self._tell_once("no-market", f"{self.catalog.name_of(token_id)} on {executor}: {error}")
        return None

    def _leave(self, shard: Shard, account: Account, spot: Spot, least: Shares) -> None:
        """Leave a position if one of its rules wants that; `least` is what its venue sells at least."""
        if not self.leaving:
            return
        follower, (leader, token_id), now = account.follower, spot, self.wall()
        terms, position = self.book.find(follower, leader), account.position(spot)
        mark = shard.marks.of((follower, leader, token_id))
        rule = wants_out(None if terms is None else terms.settings, position, mark, now)
        if rule is None or terms is None:
            return
        if mark is None:
            self._tell_once(
                "no-bid", f"{rule} wants {follower} out of {self.catalog.name_of(token_id)}, but nobody bids"
            )
            return
        if position.shares < least:
            # Each try would be refused, and written down, every half minute until the question is decided.
            what = f"{rule} wants {follower} out of {self.catalog.name_of(token_id)}, but the venue sells no less than {least} shares"
            # No alert: there is nothing that a person could do about it.
            if self._is_new("kept", what):
                self.observer.on_step("kept", f"{what}: what is left waits to be redeemed")
            return
        key = (follower, leader, token_id)
        signal = exit_signal(self.chain_id, key, position, rule, mark.price, self.sealed_number(), now)
        intent = size(signal, terms.settings, None)
        if not isinstance(intent, OrderIntent):
            return
        executor = self.book.terms.followers[follower].executor
        task = make_task(signal, terms, executor, intent, now=now, deadline_s=self.settings.deadline_s)
        if take_in(shard, signal, [task], ()):
            self.observer.on_signal(signal, "admitted", 1, now)
            self._tell_exit(rule, key, mark.price)

    async def look_for(self, follower: FollowerId, token_id: TokenId) -> Market | None:
        """Ask what a person's exit needs to know of a market, before `leave_now`; None where nobody tells it in time."""
        return await self._market(self._executor_of(follower), token_id)

    def leave_now(self, shard: Shard, key: PositionKey, market: Market | None) -> str:
        """Sell a position because a person says so; returns the task that does it, and how, or why it is refused.

        The account must be at hand. The task waits durably, for no trade on the chain brings it again: with the next write.
        Said again within half a minute, it is the same task, whatever came of it. Raises `LeaseLost` as `Shard.act` does.
        """
        follower, leader, token_id = key
        bid = _bid(market)
        position = shard.accounts[follower].position((leader, token_id))
        if not position.shares:
            return (
                f"{REFUSED}expected a position that is held, got none of {follower} in {self.catalog.name_of(token_id)}"
            )
        if not bid:
            return f"{REFUSED}nobody bids for {self.catalog.name_of(token_id)}: nothing was sent"
        if market is not None and position.shares < market.minimum:
            held = f"{position.shares} of {self.catalog.name_of(token_id)} are held"
            return f"{REFUSED}{held}, and the venue sells no less than {market.minimum}: nothing was sent"
        terms = self.book.find(follower, leader) or Terms(follower, _DEFAULTS)
        now = self.wall()
        signal = exit_signal(self.chain_id, key, position, LEAVE, bid, self.sealed_number(), now)
        intent = size(signal, terms.settings, None)
        if not isinstance(intent, OrderIntent):
            return f"{REFUSED}{intent.text}"
        executor = self.book.terms.followers[follower].executor
        task = make_task(signal, terms, executor, intent, now=now, deadline_s=self.settings.deadline_s)
        if take_in(shard, signal, [task], ()):
            self.observer.on_signal(signal, "admitted", 1, now)
            self._tell_exit("a person", key, bid)
            shard.act(follower, c.Park(task=task, at=now))
        return f"{task.task_id} sells {position.shares} shares, not under {intent.limit_price}"

    def _redeem(self, shard: Shard, account: Account, spot: Spot, condition_id: str, payout: Price) -> None:
        """Book a position of a decided question at its payout, once; or have it redeemed, where books are the chain's."""
        follower, (leader, token_id) = account.follower, spot
        terms = self.book.find(follower, leader)
        if not (_DEFAULTS if terms is None else terms.settings).leaving.redeem:
            return
        way = self.payout_of(follower)
        if way is Payout.REDEEMED:
            self.redeem(shard, follower, condition_id)
            return
        position = (follower, leader, token_id)
        if way is Payout.LEFT and payout:
            worth = f"{account.position(spot).shares} of {self.catalog.name_of(token_id)} pay {payout} each"
            wallet = self.book.terms.followers[follower].wallet_name
            self._tell_once("to-redeem", f"{follower}: {worth}; `trio-copy wallet redeem {wallet}` has it done")
            return
        book(shard, c.Resolve(position=position, condition_id=condition_id, payout=payout, at=self.wall()))

    def _tell_decided(self, shard: Shard, news: Collection[str], final: int) -> None:
        """Tell people of the questions among these of which somebody here holds something."""
        held = {spot[1]: self.catalog.question_of(spot[1]) for _, spot in self._positions(shard, everything=True)}
        for token_id, question in held.items():
            if question is None or shard.resolved.decided_by(question[0]) not in news:
                continue
            condition_id, slot = question
            if (resolution := shard.resolved.of(condition_id)) is not None:
                later = "" if resolution.block_number <= final else f", for good after {self.window_blocks} more blocks"
                paid = f"{self.catalog.name_of(token_id)} pays {resolution.payout(slot)}"
                self.observer.on_step("decided", f"{paid}{later}")

    def _tell_exit(self, who: str, key: PositionKey, bid: Price) -> None:
        follower, _, token_id = key
        self.observer.on_step("exit", f"{who} takes {follower} out of {self.catalog.name_of(token_id)} at {bid}")

    def _tell_once(self, kind: str, detail: str) -> None:
        """Alert a person, but not every two seconds about the same."""
        if self._is_new(kind, detail):
            self.observer.on_alert(kind, detail)

    def _is_new(self, kind: str, detail: str) -> bool:
        if (kind, detail) in self._told:
            return False
        if len(self._told) > _TOLD_MOST:
            self._told.clear()
        self._told.add((kind, detail))
        return True

    async def _forget_follows_that_are_over(self) -> None:
        if not self.book.leaving:
            return
        for number, shard in tuple(self.shards.items()):
            # Whoever holds nothing need not be at hand.
            with suppress(LeaseLost):
                await shard.load([follower for follower, _ in self.book.leaving if self.shard_of(follower) == number])
        now, flat = self.wall(), {key for key in self.book.leaving if self._is_flat(*key)}
        self._flat_since = {key: self._flat_since.get(key, now) for key in flat}
        # An entry that was under way when the follow was ended may still come in; after its deadline, none does.
        over = [key for key, since in self._flat_since.items() if now - since > self.settings.deadline_s]
        if over:
            await self.store.follows.remove(sorted(over))

    def _is_flat(self, follower: FollowerId, leader: Address) -> bool:
        """Tell whether nothing is held or on its way of a follow; False where somebody else owns the account."""
        shard = self.shards.get(self.shard_of(follower))
        if shard is None:
            return False
        account = shard.accounts.get(follower)
        if account is None:
            return False
        spots = (*account.holdings, *(order.spot for order in account.orders.values()))
        return all(of != leader for of, _ in spots)


def _bid(market: Market | None) -> Price | None:
    """Return what a position could be sold for, or what it was worth where only that is known: of the past."""
    if market is None or market.quote is None:
        return None
    return market.quote.bid if market.quote.price is None else market.quote.price
