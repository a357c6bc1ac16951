"""A slice of accounts and everything that is kept of it, by its one owner.

What happens to an account is applied at once and handed to the writer in the same step; whoever needs it durable waits for
the batch. The checkpoint rides along with the effects that it vouches for.
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
from trio_copy.accounts.settling import late
from trio_copy.accounts.telling import SkipTold, Told
from trio_copy.clock import WallClock
from trio_copy.engine.shards.at_hand import AtHand
from trio_copy.engine.shards.grants import Grants
from trio_copy.engine.shards.journal import ShardJournal
from trio_copy.engine.shards.known_tokens import KIND as TOKEN
from trio_copy.engine.shards.known_tokens import KnownTokens
from trio_copy.engine.shards.lanes import Lanes
from trio_copy.engine.shards.marks import Marks
from trio_copy.engine.shards.met import Met
from trio_copy.engine.shards.paperwork import put, put_account, told_resting
from trio_copy.engine.shards.progress import Progress
from trio_copy.engine.shards.queued import LaneKey, Queued
from trio_copy.engine.shards.resolved import Resolved
from trio_copy.engine.shards.sightings import Sightings
from trio_copy.engine.shards.stored import stored_fact
from trio_copy.engine.shards.writing import Batch, Writer
from trio_copy.errors import LeaseLost
from trio_copy.model.catalog import Catalog
from trio_copy.model.decisions import Code, CopyTask, End, Outcome, Reason, Skip, evicted, retracted, shed
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, FollowerId, IntentKey, SignalId, TaskId, TokenId, task_id
from trio_copy.model.logs import BlockRef, Checkpoint
from trio_copy.model.signals import Signal
from trio_copy.ports import NOBODY, Store, nowhere
from trio_copy.telemetry.observer import Observer

_FORGET_EVERY_S = 10.0
_KEPT_S = 600.0
"""An account that has nothing open, and that nothing happened to for so long, is read again when it is needed. Not sooner:
to a store that forgot its last moments they are told anew by whoever has them at hand."""
_RECENT_MOST = 8
"""An account that knows of more signals is asked to forget before it is written: each of them is in its document."""
_RETRACTABLE_S = 1800.0
"""How long the details of a signal are remembered that a reorg may still take back: longer than any window is deep."""
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
    _touched: dict[FollowerId, Account] = field(factory=dict)
    """Accounts that something happened to since the last write."""
    _forgot_at: float = 0.0
    _followed: trio.Event | None = None
    """Made by whoever waits until something happens to an account."""
    _extended: trio.Event = field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        self.accounts = self.at_hand.accounts

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

    def close_lane(self, open_order: OpenOrder) -> None:
        lanes = self.lanes.get(open_order.order.executor)
        if lanes is not None and open_order.unproven and not open_order.handed_over:
            lanes.close_lane(self.lane_of(open_order.task), open_order.order.key)

    def open_lane(self, open_order: OpenOrder) -> None:
        lanes = self.lanes.get(open_order.order.executor)
        if lanes is not None:
            lanes.free(self.lane_of(open_order.task), open_order.order.key)

    def queue_up(self, task: CopyTask, now: float, *, suspended: bool = False) -> None:
        """Let a task that the account has durably wait in its lane; it ends where its executor is not running."""
        if task.executor not in self.lanes:
            outcome = not_sent(f"no executor named {task.executor} is running")
            self.act(task.follower, c.Refuse(task=task, outcome=outcome, at=now))
            return
        queued = Queued(task, self.number, self.lane_of(task), suspended=suspended)
        self.lanes[task.executor].restore(queued, now)

    async def wait_followed(self) -> None:
        if self._followed is None:
            self._followed = trio.Event()
        await self._followed.wait()

    def tell_followed(self) -> None:
        """Let whoever waits for news of an account, or of its tasks, look."""
        if self._followed is not None:
            self._followed.set()
            self._followed = None

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The block up to which every effect is durable."""
        return self.writer.checkpoint

    def open_keys(self) -> Set[IntentKey]:
        """Return the keys of all orders that are open; whoever has one open is at hand."""
        return {key for account in self.accounts.values() for key in account.orders}

    async def load(self, followers: Iterable[FollowerId]) -> None:
        """Have accounts at hand. Raises what the store raises."""
        await self.at_hand.load(followers)

    # ------------------------------------------------------------------------------------------------------- signals

    def take_in(self, signal: Signal, tasks: Sequence[CopyTask], skips: Sequence[Skip]) -> int:
        """Let a signal's tasks wait to be placed, and write down what was not wanted; the accounts must be at hand.

        What an account knows already changes nothing. Returns how many tasks wait.
        """
        if not self.is_read():
            return 0  # whoever has it next reads it from the chain
        now, waiting = self.wall(), 0
        self.progress.meet(signal.signal_id, signal.block_number)
        self.sightings.see(signal.signal_id, signal.token_id, tasks)
        for skip in skips:
            self._pass(skip, signal, now)
        # By their names, which are hashes of signal and follower: who goes first is another one each time, and the same everywhere.
        for task in sorted(tasks, key=_task_id):
            met = self.accounts[task.follower].has_met(signal.signal_id, task.task_id)
            if met or task.task_id in self.lanes[task.executor].unplaced:
                continue
            waiting += 1
            if self.unclean and signal.block_time <= self.taken_at:
                self.act(task.follower, c.Park(task=task, at=now))
                self.recovering.append(task)
            else:
                self._wait_in_lane(task, signal.block_number, now)
        self.writer.tell()
        return waiting

    def _wait_in_lane(self, task: CopyTask, block: int, now: float) -> None:
        lanes = self.lanes[task.executor]
        self.progress.begin(task.task_id, block)
        pushed_out = lanes.add(Queued(task, self.number, self.lane_of(task)), now)
        if pushed_out is not None:
            outcome = shed(lanes.capacity) if pushed_out.task is task else evicted(lanes.capacity)
            owner = self if pushed_out.shard == self.number else self.shards[pushed_out.shard]
            owner.give_up(pushed_out, outcome)
        if task.not_before > now and task.task_id in lanes.unplaced:
            self.act(task.follower, c.Park(task=task, at=now))

    def _pass(self, skip: Skip, signal: Signal, now: float) -> None:
        """Write down that a follow did not want a signal."""
        if signal.side is Side.SELL:
            if skip.reason.code is Code.TOO_OLD:
                self._call_off(skip.follower, signal, now)
            self.act(skip.follower, c.Pass(skip=skip, signal=signal, at=now))
            return
        # What was wanted once goes on, or has ended: read again, it may be too old by now, and that is not its end.
        if self.accounts[skip.follower].has_met(signal.signal_id, task_id(signal.signal_id, skip.follower)):
            return
        # An entry that nobody wanted changes no account: repeated after a crash, it is the same fact.
        told = Told(record=SkipTold(skip=skip, signal=signal, at=now))
        self.writer.open.facts.append(stored_fact(told))
        self.writer.open.told.append(told)

    def _call_off(self, follower: FollowerId, signal: Signal, now: float) -> None:
        """Buy nothing more of what a leader has sold: it is too late to sell with him, and not to stop buying after him."""
        account = self.accounts[follower]
        if account.has_met(signal.signal_id, task_id(signal.signal_id, follower)):
            return
        value = f"{signal.shares} sold, heard of too late"
        why = Reason(code=Code.LEADER_LEFT, control="leader", value=value, limit="bought before he sold")
        whose = (signal.leader, signal.token_id)
        for order in [one for one in account.orders.values() if one.rests and _copies(one.task) == whose]:
            self.act(follower, c.CallOff(key=order.order.key, why=why, at=now))
        for waits in [one for one in account.waiting.values() if _copies(one.task) == whose]:
            if waits.task.intent.side is Side.BUY:
                outcome = Outcome(end=End.SKIPPED, reason=why)
                self.act(follower, c.Refuse(task=waits.task, outcome=outcome, at=now))

    def retract(self, first: SignalId) -> tuple[int, int]:
        """Suspend what is not placed of a signal; returns how many tasks that are, and how many are placed."""
        now, suspended, placed = self.wall(), 0, 0
        for lanes in self.lanes.values():
            for queued in lanes.suspend(first, self.number):
                # Durable from now on: mined again in another transaction, it is known by what was kept of it alone.
                self.act(queued.task.follower, c.Park(task=queued.task, at=now))
        for account in self.accounts.values():
            placed += account.placed_of(first)
        for account in self.at_hand.waiting():
            waiting = account.waits_of(first)
            if waiting:
                suspended += waiting
                self.act(account.follower, c.Retract(signal=first, at=now))
        self.writer.tell()
        return suspended, placed

    def resume(self, first: SignalId) -> int:
        """Let what was suspended of a signal go on, under its first identity and deadline; returns how many tasks do."""
        now, resumed = self.wall(), 0
        for account in self.at_hand.waiting():
            waiting = account.waits_of(first)
            if waiting:
                resumed += waiting
                self.act(account.follower, c.Resume(signal=first, at=now))
        if resumed:  # what is suspended waits durably, and every new trade asks for it: a queue is long
            for lanes in self.lanes.values():
                lanes.resume(first, self.number, now)
            self.writer.tell()
        return resumed

    def give_up_late(self, queued: Queued) -> None:
        """End a task whose deadline has passed, and say what it waited for."""
        account, now = self.accounts[queued.task.follower], self.wall()
        self.give_up(queued, retracted(queued.task) if queued.suspended else late(account, queued.task, now))

    def give_up(self, queued: Queued, outcome: Outcome) -> None:
        """End a task that is not placed and shall not be."""
        resting = self.lanes[queued.task.executor].unplaced.resting(queued)
        self.act(queued.task.follower, c.Refuse(task=queued.task, outcome=outcome, resting=resting, at=self.wall()))

    def arm(self, block: BlockRef, armed_at: int, *, anew: bool) -> None:
        """Take note where the reading begins: before that, no checkpoint is made. `anew` forgets how far one had come."""
        self.armed = True
        if anew:
            self.progress.floor = -1
        self.progress.armed_at = armed_at
        self.seal(block)

    def seal(self, block: BlockRef) -> None:
        """Take note that everything up to a block was read; the checkpoint follows once it all has its effect."""
        self.progress.seal(block)
        self.met.forget(self.wall(), settled_before=self.wall() - _RETRACTABLE_S)
        # What becomes of that is written soon, and takes the checkpoint along.
        under_way = self.progress.waiting or any(lanes.sending[self.number] for lanes in self.lanes.values())
        if not under_way:
            self.writer.tell()

    def tick(self) -> None:
        """End what has waited in vain; now and then, let accounts forget what nobody can ask about any more."""
        now = self.wall()
        if now - self._forgot_at >= _FORGET_EVERY_S:
            self._forgot_at = now
            due = [one for one in self.accounts.values() if one.waiting or one.recent or one.windows]
        else:
            due = self.at_hand.waiting()
        for account in due:
            self.act(account.follower, self._tick())
        if now - self.at_hand.swept_at >= _KEPT_S and self.is_read() and not self.at_hand.reading:
            self._sweep(now)

    def _sweep(self, now: float) -> None:
        """Forget what nothing is open of: accounts, and questions that were decided."""
        queued = [queued.task for lanes in self.lanes.values() for queued in lanes.unplaced]
        self.at_hand.drop_idle({task.follower for task in (*queued, *self.recovering)}, now)
        self.put_running()
        self.writer.tell()
        tokens = {task.intent.token_id for task in queued}
        for account in self.accounts.values():
            tokens.update(token for _, token in account.holdings)
            tokens.update(order.order.token_id for order in account.orders.values())
            tokens.update(waits.task.intent.token_id for waits in account.waiting.values())
        questions = [self.catalog.question_of(token) for token in tokens]
        known = {question[0] for question in questions if question is not None}
        if self.progress.sealed is not None and None not in questions:
            # A token that the catalog does not know yet may be of any question.
            self.resolved.forget(self.progress.sealed.number, known)

    def _tick(self) -> c.Tick:
        return c.Tick(passed=self.progress.known_up_to, met=self.met, at=self.wall())

    # ------------------------------------------------------------------------------------------------------ accounts

    def act(self, follower: FollowerId, command: c.Command) -> Sequence[e.Event]:
        """Let an account decide and apply what it decided; the account must be at hand.

        Returns what happened. All of it is durable together with `writer.open`, as that is now.

        Raises:
            LeaseLost: the shard is not ours any more; nothing was decided, for nobody may write it down.
        """
        if self.lost:
            raise LeaseLost(f"shard {self.number} is not ours any more")
        account = self.accounts[follower]
        events = self._carry_out(account, command)
        if events:
            self._touched[follower] = account
            self.writer.tell()
        return events

    def _carry_out(self, account: Account, command: c.Command) -> Sequence[e.Event]:
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

    def _leave_lanes(self, task: CopyTask) -> None:
        lanes = self.lanes.get(task.executor)
        queued = None if lanes is None else lanes.unplaced.find(task.task_id)
        if lanes is not None and queued is not None and not queued.in_hand:
            lanes.remove(queued)

    # ------------------------------------------------------------------------------------------------------- writing

    def before_write(self, batch: Batch) -> None:
        """Add what rides along with every write: what the shard itself remembers, and how far it has come."""
        settled = self.progress.known_up_to
        # Only now: what happened to an account several times since the last write is written once.
        for account in self._touched.values():
            # Within a block there is nothing to forget, however many trades it holds.
            if len(account.recent) > _RECENT_MOST and account.oldest_recent <= settled:
                self._carry_out(account, self._tick())
            put_account(batch, account, self.marks, self.sightings)
        self.at_hand.note(self._touched)
        self._touched.clear()
        reached = self.progress.next_checkpoint()
        if reached is not None:
            batch.checkpoint, passed = reached
            self.met.passed(passed)
        for kind, signal, body in self.met.take_changes():
            self.put_own(kind, signal, body)
        for name, body in self.grants.take_changes():
            self.put_own("spent", name, body)
        for name, body in self.resolved.take_changes():
            self.put_own("resolution", name, body)
        for name, body in self.tokens.take_changes():
            self.put_own(TOKEN, name, body)
        for follower, name, body in self.marks.take_changes():
            put(batch, follower, "mark", name, body)

    def put_own(self, kind: str, name: str, body: Plain | None) -> None:
        put(self.writer.open, NOBODY, kind, name, body)

    def put_running(self) -> None:
        self.put_own(*RUNNING, self.running)

    @property
    def running(self) -> Plain:
        """What `RUNNING` holds; the first owners wrote no more than the version."""
        return [1, self.at_hand.swept_at]

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

    def leave(self) -> None:
        """Take note that the process ends in good order: nothing that was under way is to blame for it."""
        self.writer.open.delete((NOBODY, *RUNNING))
        self.writer.tell()


def _task_id(task: CopyTask) -> TaskId:
    return task.task_id


def _copies(task: CopyTask) -> tuple[Address, TokenId]:
    """Return whose trade of what a task copies, also where it bets against him."""
    return (task.signal.leader, task.signal.token_id)
