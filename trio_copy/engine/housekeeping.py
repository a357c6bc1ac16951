"""What is done now and then while an engine runs, apart from following the chain and copying. Each is a task of its own."""

from collections.abc import Callable
from contextlib import suppress

import trio
from attrs import define

from trio_copy.config import Settings
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.follows_of_file import put_follows_of_file
from trio_copy.engine.gate.undecided import Undecided
from trio_copy.engine.intake import Intake
from trio_copy.engine.market_source.market_watch import MarketWatch
from trio_copy.engine.owning.holder import Holder
from trio_copy.engine.owning.keeper import Keeper
from trio_copy.engine.people.hearing import Hearing
from trio_copy.engine.people.redeeming import Redeeming
from trio_copy.engine.plan import Plan
from trio_copy.engine.seams import Seams
from trio_copy.engine.sending.exit_rules import ExitRules
from trio_copy.engine.sending.modes import ModeBoard
from trio_copy.engine.sending.reconciler import Reconciler
from trio_copy.engine.shards.lanes import Lanes
from trio_copy.engine.shards.later_looks import LaterLooks
from trio_copy.engine.shards.stored import stored_place
from trio_copy.engine.shards.tidying import give_up_late, tidy
from trio_copy.errors import LeaseLost
from trio_copy.model.control import ENGINE, Mode
from trio_copy.model.counts import counted
from trio_copy.model.follows import TermsOfFollows
from trio_copy.model.ids import Address
from trio_copy.ports import FollowChange, Store

_EXPIRE_EVERY_S = 0.25
_TICK_EVERY_S = 1.0
_REQUESTS_EVERY_S = 1.0
_CHANGES_AT_ONCE = 100
"""Follows that change in one step: thousands may at once, and copies do not wait for them."""


@define(eq=False, kw_only=True)
class Housekeeping:
    """Whatever of it is cancelled is done by the next run."""

    plan: Plan
    seams: Seams
    store: Store
    book: FollowBook
    follows_version: int
    holder: Holder
    mode: ModeBoard
    intake: Intake
    reconciler: Reconciler
    exit_rules: ExitRules
    market_watch: MarketWatch | None
    later_looks: LaterLooks | None
    undecided: Undecided | None
    hearing: Hearing
    redeeming: Redeeming
    _meanwhile: list[FollowChange] | None = None
    """What was taken up since a reload began; None where there is none."""

    async def load_positions(self) -> None:
        """Have every account at hand that holds something: its exit rules are looked at from now on."""
        held = await self.store.history.documents("position")
        followers = dict.fromkeys(document.follower for document in held)
        for number, shard in tuple(self.holder.shards.items()):
            try:
                await shard.load([follower for follower in followers if self.plan.shard_of(follower) == number])
            except LeaseLost as error:
                shard.lose(error)
        positions = sum(stored_place(document)[1] is None for document in held)
        self.seams.observer.on_step("positions", f"{counted(positions, 'position')} loaded")

    async def follow_shards(self, keeper: Keeper, drain: Callable[[], None]) -> None:
        """Read other leaders when shards come or go, look at what they hold, and end when somebody asked for it."""
        seen = keeper.gained
        while not keeper.drain_asked.is_set():
            if keeper.gained == seen:
                await keeper.wait_news()
            await self.intake.narrow_to_shards()
            if keeper.gained != seen:
                seen = keeper.gained
                await self.load_positions()
        drain()

    async def reconcile(self) -> None:
        while True:
            await trio.sleep(self.plan.settings.engine.reconcile_every_s)
            await self.reconciler.look()

    async def expire(self, lanes: Lanes) -> None:
        """End what has become too old, and let what has come to its time be placed, whatever the workers do."""
        while True:
            await lanes.unplaced.wait_any()
            now = self.seams.wall()
            lanes.push_due(now)
            for queued in lanes.take_late(now):
                shard = self.holder.shards.get(queued.shard)
                if shard is not None:
                    give_up_late(shard, queued)
            await trio.sleep(_EXPIRE_EVERY_S)

    async def tick(self) -> None:
        """End what waits in accounts in vain."""
        while True:
            await trio.sleep(_TICK_EVERY_S)
            for shard in self.holder.shards.values():
                tidy(shard)

    async def hear_requests(self) -> None:
        """Carry out what people ask of the owner of their accounts, where a command can reach them at all."""
        while self.plan.store.plugin.durable:
            for shard in tuple(self.holder.shards.values()):
                with suppress(LeaseLost):  # whoever has it now is asked
                    await self.hearing.hear(shard)
            await trio.sleep(_REQUESTS_EVERY_S)

    async def refresh_follows(self) -> None:
        version = self.follows_version
        while True:
            changes = await self.store.follows.wait_changes(version)
            changed = set[Address]()
            for count, change in enumerate(changes, 1):
                if count % _CHANGES_AT_ONCE == 0:
                    # Until the filters follow, whoever is new is not read yet, as if it had been told a moment later.
                    await trio.lowlevel.checkpoint()
                version = max(version, change.version)
                changed.add(change.follow.leader)
                self._take_up(change)
                if self._meanwhile is not None:
                    self._meanwhile.append(change)
            self.intake.narrow(changed)

    def _take_up(self, change: FollowChange) -> None:
        if change.removed:
            self.book.remove(change.follow)
            return
        self.seams.names.note(change.follow)
        if not self.book.put(change.follow):
            unknown = f"{change.follow.follower} copies {change.follow.leader}"
            self.seams.observer.on_alert("unknown-follower", f"{unknown}, but is no configured follower")

    async def reload_follows(self, settings: Settings, terms: TermsOfFollows) -> None:
        """Take over the follows and followers of a file that was read again. One at a time.

        Others run meanwhile, and every follow is judged as before until all of them are others at once. Cancelled, or when the
        store fails, they stay as they were.
        """
        self.book.set_terms(terms)
        self._meanwhile = meanwhile = list[FollowChange]()
        try:
            version, follows = await put_follows_of_file(self.store, settings)
            for _ in self.seams.names.learn_in_slices(terms, follows):
                await trio.lowlevel.checkpoint()
            for _ in self.book.reload_in_slices(follows):
                await trio.lowlevel.checkpoint()
        finally:
            self._meanwhile = None
        for change in meanwhile:
            # Nobody tells it once more, and the store may have been read before it.
            if change.version > version:
                self._take_up(change)
        await self.intake.narrow_anew()

    async def watch_markets(self) -> None:
        """Ask the market source, where there is one."""
        if self.market_watch is not None:
            await self.market_watch.run()

    async def look_later(self) -> None:
        """Look at the books again after copies, where anybody can tell them."""
        if self.later_looks is not None:
            await self.later_looks.run()

    async def decide_late(self) -> None:
        """Let follows decide that wait for what a market source may tell."""
        if self.undecided is not None:
            await self.undecided.run()

    async def refresh_mode(self) -> None:
        while True:
            before, self.mode.modes = self.mode.modes, await self.store.control.wait_modes(self.mode.modes.version)
            for scope, change in self.mode.modes.by_scope.items():
                if before.by_scope.get(scope) == change:
                    continue
                if scope == ENGINE:
                    self.seams.observer.on_alert("mode", f"{scope}: {change.mode.value}: {change.why}")
                else:
                    what = "resumed" if change.mode is Mode.RUN else "no entries"
                    self.seams.observer.on_alert("pause", f"{scope}: {what}: {change.why}")
