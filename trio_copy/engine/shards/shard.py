"""A slice of accounts and everything that is kept of it, by its one owner.

What happens to an account is applied at once and handed to the writer in the same step; whoever needs it durable waits for
the batch. What rides along with that is in `riding_along.py`, what the chain brings in `taking_in.py`.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence, Set

import trio
from attrs import define, field

from trio_copy.accounts import Account, OpenOrder, OrderState
from trio_copy.accounts import commands as c
from trio_copy.accounts import events as e
from trio_copy.accounts.orders import not_sent
from trio_copy.accounts.plain import Plain
from trio_copy.clock import WallClock
from trio_copy.engine.shards.at_hand import AtHand
from trio_copy.engine.shards.grants import Grants
from trio_copy.engine.shards.journal import ShardJournal
from trio_copy.engine.shards.known_tokens import KnownTokens
from trio_copy.engine.shards.lanes import Lanes
from trio_copy.engine.shards.marks import Marks
from trio_copy.engine.shards.met import Met
from trio_copy.engine.shards.paperwork import put, told_resting
from trio_copy.engine.shards.progress import Progress
from trio_copy.engine.shards.queued import LaneKey, Queued
from trio_copy.engine.shards.resolved import Resolved
from trio_copy.engine.shards.sightings import Sightings
from trio_copy.engine.shards.writing import Writer
from trio_copy.errors import LeaseLost
from trio_copy.model.catalog import Catalog
from trio_copy.model.decisions import CopyTask, Outcome
from trio_copy.model.ids import FollowerId, IntentKey
from trio_copy.model.logs import Checkpoint
from trio_copy.ports import NOBODY, Store, nowhere
from trio_copy.telemetry.observer import Observer

_MAY_SETTLE = (e.Learned, e.OnChain, e.Settled, e.Reversed, e.Corrected)
"""After these, an exit may find more that is settled, or less to wait for."""
_UNKNOWN = OrderState.UNKNOWN
RUNNING = ("running", "")
"""The document that stands while somebody owns the shard, with `AtHand.swept_at`; its owner takes it away at a good end."""


@define(eq=False, kw_only=True)
class Shard:
    number: int
    store: Store
    writer: Writer
    lanes: Mapping[str, Lanes]
    """By executor; shared by all shards of the process."""
    catalog: Catalog
    wall: WallClock
    observer: Observer
    met: Met
    progress: Progress
    grants: Grants
    resolved: Resolved
    tokens: KnownTokens
    marks: Marks
    sightings: Sightings
    """Shared by all shards of the process."""
    lane_of: Callable[[CopyTask], LaneKey]
    """What must not run beside a task, by its executor."""
    shards: Mapping[int, "Shard"]
    """Those that are held here: their tasks share the lanes."""
    on_lost: Callable[["Shard", LeaseLost], None]
    """Told when it turns out to be somebody else's."""
    at_hand: AtHand
    accounts: dict[FollowerId, Account] = field(init=False)
    """Those at hand."""
    unproven: dict[IntentKey, OpenOrder] = field(factory=dict)
    """Orders that the reconciler has to ask about, as they became so: unknown, resting, or matched and not settled."""
    contradicted: set[IntentKey] = field(factory=set)
    """Those of them of which a person was told that the venue takes something back: it is asked again and again."""
    journals: dict[str, ShardJournal] = field(factory=dict)
    """What executors write down here, by their names."""
    until: float = float("inf")
    """When the lease ends, by our own clock; see `extend`."""
    at: Callable[[str], None] = nowhere
    """Called at each point where a crash would matter."""
    armed: bool = False
    """Whether it is read since it was taken over."""
    leaving: bool = False
    """Whether it is being given up: nothing more is read for it."""
    lost: bool = False
    """Whether somebody else owns it now: nothing may be sent or written any more."""
    unclean: bool = False
    """Whether the owner before ended without saying so."""
    taken_at: float = 0.0
    """When this owner took it over: what was traded before may have been under way when the one before ended."""
    recovering: deque[CopyTask] = field(factory=deque)
    """Tasks that are taken up one by one, because one of them may have ended the process."""
    touched: dict[FollowerId, Account] = field(factory=dict)
    """Accounts that something happened to since the last write."""
    forgot_at: float = 0.0
    """When accounts were let forget last what nobody can ask about any more."""
    _followed: trio.Event | None = None
    """Made by whoever waits until something happens to an account."""
    _extended: trio.Event = field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        self.accounts = self.at_hand.accounts

    # ---------------------------------------------------------------------------------------------------- whose it is

    def is_read(self) -> bool:
        """Tell whether it is ours, and shall be: what comes is taken in."""
        return not (self.lost or self.leaving)

    def extend(self, until: float) -> None:
        """Take note until when the lease lasts now."""
        self.until = until
        self._tell_extended()

    async def wait_extended(self) -> None:
        """Wait until the lease is ours for longer, or the shard is lost. Many wait at once, and none of them looks at a clock."""
        await self._extended.wait()

    def _tell_extended(self) -> None:
        self._extended.set()
        self._extended = trio.Event()

    def lose(self, error: LeaseLost) -> None:
        """Say that somebody else owns the shard, or may own it by now."""
        self.on_lost(self, error)

    def end(self, error: LeaseLost) -> None:
        """Let nothing more be decided or written; whoever waits for something is told."""
        self.lost = True
        self.writer.give_up(error)
        self.tell_followed()
        self._tell_extended()
        # Whoever has it next closes the lanes himself; should it come back here, what was proven elsewhere is not told here.
        for open_order in self.unproven.values():
            self.open_lane(open_order)

    async def confirm(self) -> None:
        """Write under our token, so that we know that nobody else has taken the shard. Raises `LeaseLost` when one has."""
        self.put_running()
        await self.writer.flush()

    def put_running(self) -> None:
        put(self.writer.open, NOBODY, *RUNNING, self.running)

    @property
    def running(self) -> Plain:
        """What `RUNNING` holds; the first owners wrote no more than the version."""
        return [1, self.at_hand.swept_at]

    def leave(self) -> None:
        """Take note that the process ends in good order: nothing that was under way is to blame for it."""
        self.writer.open.delete((NOBODY, *RUNNING))
        self.writer.tell()

    # ------------------------------------------------------------------------------------------------------- accounts

    async def load(self, followers: Iterable[FollowerId]) -> None:
        """Have accounts at hand. Raises what the store raises."""
        await self.at_hand.load(followers)

    def open_keys(self) -> Set[IntentKey]:
        """Return the keys of all orders that are open; whoever has one open is at hand."""
        return {key for account in self.accounts.values() for key in account.orders}

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The block up to which every effect is durable."""
        return self.writer.checkpoint

    def act(self, follower: FollowerId, command: c.Command) -> Sequence[e.Event]:
        """Let an account decide and apply what it decided; the account must be at hand.

        Returns what happened. All of it is durable together with `writer.open`, as that is now.

        Raises:
            LeaseLost: the shard is not ours any more; nothing was decided, for nobody may write it down.
        """
        if self.lost:
            raise LeaseLost(f"shard {self.number} is not ours any more")
        account = self.accounts[follower]
        events = self.carry_out(account, command)
        if events:
            self.touched[follower] = account
            self.writer.tell()
        return events

    def carry_out(self, account: Account, command: c.Command) -> Sequence[e.Event]:
        """Do what `act` does where the account is being written already."""
        events = account.decide(command)
        if events:
            account.apply(events)
            for event in events:
                self._follow(account, event)
                if isinstance(event, _MAY_SETTLE):
                    for lanes in self.lanes.values():
                        lanes.bring_back(account.follower)
            self.tell_followed()
        return events

    def _follow(self, account: Account, event: e.Event) -> None:
        """Let the shard's own tables follow what happened to an account."""
        match event:
            case e.Placed(order=order, task=task, cost=cost):
                self.progress.finish(task.task_id)
                self.grants.hold(order.key, task, cost)
                self.sightings.place(order, task)
            case e.Learned(key=key, state=state):
                before = self.unproven.pop(key, None)
                if before is None:
                    self.sightings.answer(event, self.writer)
                self.contradicted.discard(key)
                now = account.orders.get(key)
                if now is not None:
                    self.unproven[key] = now
                if state is not _UNKNOWN:
                    self.grants.spend(key, event)
                if now is not None and now.unproven:
                    self.close_lane(now)
                elif before is not None:
                    self.open_lane(before)
                if now is not None and now.rests and not now.off_book:
                    self.observer.on_step("rests", told_resting(now, self.catalog.name_of(now.order.token_id)))
            case e.CalledOff(key=key) | e.Breached(key=key):
                # Nothing of its lane is placed before it is proven what came of it.
                self.unproven[key] = account.orders[key]
                self.close_lane(account.orders[key])
            case e.HandedOver(key=key):
                self.open_lane(account.orders[key])
            case e.OnChain(key=key):
                self.unproven[key] = account.orders[key]
            case e.Corrected(key=key, task=task, spent=spent):
                self.contradicted.discard(key)
                self.grants.correct(task, spent)
                if key in account.orders:
                    self.unproven[key] = account.orders[key]
            case e.Settled(key=key) | e.Reversed(key=key):
                self.unproven.pop(key, None)
                self.contradicted.discard(key)
            case e.Contradicted(key=key):
                if key in self.contradicted:
                    return
                if key in self.unproven:
                    self.contradicted.add(key)
                self.observer.on_alert(
                    "outcome-contradicted",
                    f"order {account.orders[key].order.order_id} of {account.follower}: the venue takes back what it had proven",
                )
            case e.Ended(task=task, key=key):
                self.progress.finish(task.task_id)
                self._leave_lanes(task)
                if key is not None:
                    # A person has to look, which may take days: what waits behind it goes on, and what it holds stays held.
                    self.open_lane(account.orders[key])
            case e.Buried(task=task):
                self.progress.finish(task.task_id)
                self._leave_lanes(task)
            case e.Waits(task=task, until=until):
                self.progress.finish(task.task_id)
                self.at_hand.note_waiting(account.follower)
                if task.executor in self.lanes:
                    self.lanes[task.executor].unplaced.amend(task)
                if until is not None:
                    self._leave_lanes(task)
            case e.ModeSet(change=change):
                self.observer.on_alert("mode", f"follower:{account.follower}: {change.mode.value}: {change.why}")
            case _:
                pass

    async def wait_followed(self) -> None:
        if self._followed is None:
            self._followed = trio.Event()
        await self._followed.wait()

    def tell_followed(self) -> None:
        """Let whoever waits for news of an account, or of its tasks, look."""
        if self._followed is not None:
            self._followed.set()
            self._followed = None

    # ---------------------------------------------------------------------------------------------------------- lanes

    def queue_up(self, task: CopyTask, now: float, *, suspended: bool = False) -> None:
        """Let a task that the account has durably wait in its lane; it ends where its executor is not running."""
        if task.executor not in self.lanes:
            outcome = not_sent(f"no executor named {task.executor} is running")
            self.act(task.follower, c.Refuse(task=task, outcome=outcome, at=now))
            return
        queued = Queued(task, self.number, self.lane_of(task), suspended=suspended)
        self.lanes[task.executor].restore(queued, now)

    def give_up(self, queued: Queued, outcome: Outcome) -> None:
        """End a task that is not placed and shall not be."""
        resting = self.lanes[queued.task.executor].unplaced.resting(queued)
        self.act(queued.task.follower, c.Refuse(task=queued.task, outcome=outcome, resting=resting, at=self.wall()))

    def _leave_lanes(self, task: CopyTask) -> None:
        lanes = self.lanes.get(task.executor)
        queued = None if lanes is None else lanes.unplaced.find(task.task_id)
        if lanes is not None and queued is not None and not queued.in_hand:
            lanes.remove(queued)

    def close_lane(self, open_order: OpenOrder) -> None:
        lanes = self.lanes.get(open_order.order.executor)
        if lanes is not None and open_order.unproven and not open_order.handed_over:
            lanes.close_lane(self.lane_of(open_order.task), open_order.order.key)

    def open_lane(self, open_order: OpenOrder) -> None:
        lanes = self.lanes.get(open_order.order.executor)
        if lanes is not None:
            lanes.free(self.lane_of(open_order.task), open_order.order.key)
