"""Leaves positions by the followers' own rules: profits, losses, time, pauses and ends of follows. And redeems winners."""

from collections.abc import Callable, Mapping
from contextlib import suppress

import trio
from attrs import define, field

from trio_copy.clock import WallClock
from trio_copy.config import EngineSettings
from trio_copy.copying.catalog import Catalog
from trio_copy.copying.decide import make_task
from trio_copy.copying.exits import exit_signal, has_rules, wants_out
from trio_copy.copying.follow_book import FollowBook
from trio_copy.copying.sizing import size
from trio_copy.engine.settlement import Settlements
from trio_copy.engine.workers import WorkerGroup
from trio_copy.errors import ExecutorError, LeaseLost
from trio_copy.model.decisions import OrderIntent
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.ids import Address, ChainId, FollowerId, SignalId, TaskId, TokenId
from trio_copy.model.positions import EntryKind, LedgerEntry, Mark, Position, PositionKey
from trio_copy.model.resolutions import Resolution
from trio_copy.model.units import NO_SHARES, NO_USD, Price, Rounding
from trio_copy.ports import Admitted, Store
from trio_copy.telemetry.observer import Observer

_DEFAULTS = FollowSettings()
_TOLD_MOST = 1000
_ALL_EVERY = 10
"""Positions that no rule watches are marked at every so many looks."""


@define(eq=False, kw_only=True)
class Leaver:
    """Compares open positions with their rules, every `engine.exits_every_s`."""

    store: Store
    book: FollowBook
    catalog: Catalog
    settlements: Settlements
    groups: Mapping[str, WorkerGroup]
    settings: EngineSettings
    chain_id: ChainId
    observer: Observer
    wall: WallClock
    sealed_number: Callable[[], int]
    """The newest block of which everything is stored."""
    window_blocks: int
    """A resolution this deep in the chain is not taken back any more."""
    owns: Callable[[Address], bool]
    """Whether a leader's positions are looked after here."""
    _looks: int = 0
    _flat_since: dict[tuple[FollowerId, Address], float] = field(factory=dict)
    _told: set[tuple[str, str]] = field(factory=set)

    async def look(self) -> None:
        """Look at every open position once."""
        positions = await self.store.ledger.open_positions()
        marks = await self._marks(positions)
        final = self.sealed_number() - self.window_blocks
        known = {key: facts for key in positions if (facts := self.catalog.of(key[2])) is not None}
        conditions = {facts.condition_id for facts in known.values()}
        resolutions = await self.store.ledger.resolutions(conditions) if conditions else {}
        decided = {name: one for name, one in resolutions.items() if one.block_number <= final}
        # What an open order may still sell, or has not settled yet, is not ours to redeem.
        in_flight = await self._in_flight() if decided else frozenset()
        for key, position in positions.items():
            facts = known.get(key)
            resolution = None if facts is None else decided.get(facts.condition_id)
            if facts is not None and resolution is not None:
                if key not in in_flight:
                    with suppress(LeaseLost):  # its shard has another owner by now, who looks after it
                        await self._redeem(key, position, resolution, facts.slot)
            else:
                with suppress(LeaseLost):
                    await self._leave(key, position, marks.get(key))
        await self._forget_follows_that_are_over(positions)

    async def mark_all(self) -> None:
        """Ask once more what every position could be sold for: what the books show when nobody looks any more."""
        self._looks = 0
        await self._marks(await self.store.ledger.open_positions())

    async def _marks(self, positions: Mapping[PositionKey, Position]) -> dict[PositionKey, Mark]:
        """Ask what each position could be sold for, once per token; keep the highest since it was opened."""
        self._looks += 1
        if not positions:
            return {}
        before, now = await self.store.ledger.marks(), self.wall()
        bids: dict[tuple[str, TokenId], Price | None] = {}
        marks = {}
        for key in positions:
            follower, _, token_id = key
            if follower not in self.book.terms.followers or not (self._looks % _ALL_EVERY == 1 or self._watched(key)):
                continue
            executor = self.book.terms.followers[follower].executor
            if (executor, token_id) not in bids:
                bids[executor, token_id] = await self._bid(executor, token_id)
            bid = bids[executor, token_id]
            if bid is not None:
                peak = max(bid, before[key].peak) if key in before else bid
                marks[key] = Mark(price=bid, peak=peak, at=now)
        if marks:
            await self.store.ledger.note_marks(marks)
        return marks

    def _watched(self, key: PositionKey) -> bool:
        """Tell whether a rule of the position may need a bid now; the others are only looked at for the books."""
        terms = self.book.find(key[0], key[1])
        if terms is None:
            return False
        return terms.settings.status != "active" or has_rules(terms.settings.leaving)

    async def _bid(self, executor: str, token_id: TokenId) -> Price | None:
        group = self.groups.get(executor)
        if group is None:
            return None
        try:
            with trio.move_on_after(self.settings.send_timeout_s):
                quote = (await group.execution.executor.market(token_id)).quote
                return None if quote is None else quote.bid
        except ExecutorError as error:
            self._tell_once("no-market", f"token {token_id} on {executor}: {error}")
        return None

    async def _leave(self, key: PositionKey, position: Position, mark: Mark | None) -> None:
        follower, leader, _ = key
        terms = self.book.find(follower, leader)
        now = self.wall()
        rule = wants_out(None if terms is None else terms.settings, position, mark, now)
        if rule is None or terms is None:
            return
        if mark is None:
            self._tell_once("no-bid", f"{rule} wants {follower} out of token {key[2]}, but nobody bids")
            return
        signal = exit_signal(self.chain_id, key, position, rule, mark.price, self.sealed_number(), now)
        intent = size(signal, terms.settings, None)
        if not isinstance(intent, OrderIntent):
            return
        executor = self.book.terms.followers[follower].executor
        task = make_task(signal, terms, executor, intent, now=now, deadline_s=self.settings.deadline_s)
        if isinstance(await self.store.inbox.admit(signal, [task], None), Admitted):
            self.observer.on_signal(signal, "admitted", 1, now)
            self.observer.on_step("exit", f"{rule} takes {follower} out of token {key[2]} at {mark.price}")

    async def _in_flight(self) -> frozenset[PositionKey]:
        return frozenset(
            (record.task.follower, record.task.signal.leader, record.order.token_id)
            for record in await self.store.journal.unresolved()
        )

    def _tell_once(self, kind: str, detail: str) -> None:
        """Alert a person, but not every two seconds about the same."""
        if (kind, detail) not in self._told:
            if len(self._told) > _TOLD_MOST:
                self._told.clear()
            self._told.add((kind, detail))
            self.observer.on_alert(kind, detail)

    async def _redeem(self, key: PositionKey, position: Position, resolution: Resolution, slot: int) -> None:
        """Book a position of a decided question at its payout, once."""
        follower, leader, token_id = key
        terms = self.book.find(follower, leader)
        settings = _DEFAULTS if terms is None else terms.settings
        if not settings.leaving.redeem:
            return
        entry = redemption(key, position, resolution, slot, self.wall())
        with trio.CancelScope(shield=True):
            booking = await self.settlements.redeem(entry)
        if booking.first:
            worth = f"{position.shares} of token {token_id} paid {entry.notional}"
            self.observer.on_step("redeemed", f"{follower}: {worth}, realised {booking.realised}")

    async def _forget_follows_that_are_over(self, positions: Mapping[PositionKey, Position]) -> None:
        if not self.book.leaving:
            return
        busy = {(follower, leader) for follower, leader, _ in positions}
        busy |= {(follower, leader) for follower, leader, _ in await self._in_flight()}
        now = self.wall()
        flat = {key for key in self.book.leaving - busy if self.owns(key[1])}
        self._flat_since = {key: self._flat_since.get(key, now) for key in flat}
        # An entry that was under way when the follow was ended may still come in; after its deadline, none does.
        over = [key for key, since in self._flat_since.items() if now - since > self.settings.deadline_s]
        if over:
            await self.store.follows.remove(sorted(over))


def redemption(key: PositionKey, position: Position, resolution: Resolution, slot: int, now: float) -> LedgerEntry:
    """Make the booking of a position at the payout of its token; its key makes it count once per set of lots."""
    follower, leader, token_id = key
    payout = resolution.payout(slot)
    newest = position.lots[-1].key
    return LedgerEntry(
        key=f"redeem:{resolution.condition_id}:{token_id}:{leader}:{newest}",
        kind=EntryKind.REDEMPTION,
        task_id=TaskId(""),
        signal_id=SignalId(""),
        follower=follower,
        leader=leader,
        token_id=token_id,
        side=Side.SELL,
        shares=position.shares,
        notional=position.shares.at(payout, Rounding.DOWN),
        fee=NO_USD,
        leader_shares=NO_SHARES,
        booked_at=now,
    )
