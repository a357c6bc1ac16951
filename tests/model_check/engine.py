"""A tiny engine over real accounts, one step at a time: every step is a choice, and the world between two steps a value.

Its rules are those of the real one. Events are applied at once; nothing is sent before its write has returned; writes leave
in order; a fenced write ends the process. The checkpoint passes a block only when every signal of it is placed, ended or
waiting in an account, and rides in a write. What it passes the shard remembers as met; what ended above it the account
remembers itself. What a reorg took back is written down with what it was known by.

Steps that only touch a process's own memory are not steps of their own where a crash right after them is a crash right before
them: an answer is learned with the sending, and who was taken over from can only send what was durable before, or die.
"""

from collections.abc import Callable, Iterator
from typing import Any

from tests.model_check.promises import Promises
from tests.model_check.state import (
    COST,
    MORE,
    OVER,
    SETTLES,
    Checkpoint,
    Frozen,
    Process,
    Puts,
    Store,
    World,
    Write,
    Wrong,
)
from tests.model_check.worlds import Accounts, Done, Held, Item, Scenario
from trio_copy.accounts import Account, OpenOrder, OrderState
from trio_copy.model.decisions import CopyTask
from trio_copy.model.fills import Side
from trio_copy.model.ids import IntentKey, SignalId
from trio_copy.model.signals import Signal

_KINDS = ("kill", "rest", "pending")


class Engine(Promises):
    """The rules; a mutant replaces one of them."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.accounts = Accounts(scenario)
        self.held: dict[str, Held] = {}
        self.by_id = {signal.signal_id: signal for signal in scenario.signals.values()}

    def start(self) -> World:
        first = Process(token=1, marks=("",) * len(self.scenario.followers))
        return World(processes=(first,))

    # What may happen next

    def steps(self, world: World) -> Iterator[tuple[bool, Callable[[], World]]]:
        """Yield what may happen next: whether it must happen some day, and how."""
        for number, process in enumerate(world.processes):
            if not process.alive:
                continue
            own = list(self._own_steps(world, process))
            # Nobody can come between any more: one order of what only it sees stands for all.
            alone = number == len(world.processes) - 1 and not self._may_be_followed(world)
            for step in own[:1] if alone and process.writes else own:
                yield True, _bind(self._carry_out, world, number, step)
        owner = world.processes[-1]
        for order, what in world.venue:
            if what in MORE:
                yield False, _bind(self.fills, world, order, MORE[what])
            for settled in SETTLES.get(what, ()):
                yield True, _bind(self.fills, world, order, settled)
        if self.scenario.reorg and not world.reorged:
            yield False, lambda: world._replace(reorged=True)
        if not world.late and (world.reorged or world.crashes or len(world.processes) > 1):
            yield False, lambda: world._replace(late=True)
        if owner.alive and world.crashes < self.scenario.crashes:
            yield False, lambda: self._with(world, _gone(owner))._replace(crashes=world.crashes + 1)
        if not owner.alive or (self.scenario.zombie and len(world.processes) == 1):
            yield not owner.alive, lambda: self.take_over(world)

    def _may_be_followed(self, world: World) -> bool:
        return world.crashes < self.scenario.crashes or (self.scenario.zombie and len(world.processes) == 1)

    def _carry_out(self, world: World, number: int, step: Callable[[World, Process], World]) -> World:
        return step(world, world.processes[number])

    def _own_steps(self, world: World, process: Process) -> Iterator[Callable[[World, Process], World]]:
        if process.writes:
            yield self.write
        if self.fenced(world, process):
            yield lambda world, process: self._with(world, _gone(process))
        elif process.position < len(self._stream(world, process)):
            yield self.read
        lanes = set()
        for task in process.queue:
            follower = self.accounts.tasks[task].follower
            if follower not in lanes and not self._busy(process, follower):
                yield _asked(self.place, task)
            lanes.add(follower)
        for order in process.outbox:
            for answer in self.scenario.answers:
                yield _asked(self.send, order, answer)
        for held in self._loaded(process):
            for key, open_order in held.account.orders.items():
                if open_order.state is OrderState.UNKNOWN and (found := self.find(world, key)) is not None:
                    yield _asked(self.learn, key, found)
                if self.scenario.hands_over and _nobody_knows(open_order):
                    yield _asked(self.learn, key, "hand over")
                if open_order.rests:
                    yield from self._resting_steps(world, open_order)
                if open_order.state is OrderState.MATCHED and open_order.report is not None:
                    whole = open_order.report.shares == open_order.order.shares
                    found = self.find(world, key)
                    if found is not None and found != ("pending" if whole else "half pending"):
                        yield _asked(self.learn, key, found)
            if world.late and any(waits.suspended for waits in held.account.waiting.values()):
                yield _asked(self.tick, str(held.account.follower))
        if not process.writes and self.passable(process) != process.asked:
            yield lambda world, process: self._with(world, self._commit(process))

    def _resting_steps(self, world: World, open_order: OpenOrder) -> Iterator[Callable[[World, Process], World]]:
        """Ask what it has filled since; call it off, as an engine may at any time; and then cancel it and ask."""
        key, found = open_order.order.key, self.find(world, open_order.order.key)
        if open_order.called_off is None:
            yield _asked(self.learn, key, "call off")
            known = "half" if open_order.report is not None and open_order.report.shares else "rest"
            if found is not None and found != known:
                yield _asked(self.learn, key, found)
        else:
            yield _asked(self.cancel, key)

    def fills(self, world: World, order: Frozen, what: str) -> World:
        """Let the venue fill an order that rests further, or the chain say what it makes of a fill."""
        return world._replace(venue=tuple(sorted({**dict(world.venue), order: what}.items())))

    def cancel(self, world: World, process: Process, key: str) -> World:
        venue = {order: OVER.get(what, what) if order[0] == key else what for order, what in world.venue}
        world = world._replace(venue=tuple(sorted(venue.items())))
        found = self.find(world, key)
        return world if found is None else self.learn(world, process, key, found)

    # Reading

    def _stream(self, world: World, process: Process) -> tuple[Item, ...]:
        scenario = self.scenario
        if process.canonical:
            items = scenario.canonical
        else:
            items = (() if process.since else scenario.before) + (scenario.reorg if world.reorged else ())
        retracts = process.since == 0
        return tuple(item for item in items if (retracts if item.what == "retract" else item.number > process.start))

    def read(self, world: World, process: Process) -> World:
        item = self._stream(world, process)[process.position]
        process = process._replace(position=process.position + 1)
        if item.what == "retract":
            process = process._replace(sealed=min(process.sealed, item.number - 1), version=1)
        for name in item.signals:
            signal = self.scenario.signals[name]
            heard = self._retract if item.what == "retract" else self._hear
            process = heard(world, process, signal, item.number)
            if not process.alive:
                return self._with(world, process)
        if item.what == "block":
            process = process._replace(sealed=item.number)
        return self._with(world, process)

    def _hear(self, world: World, process: Process, signal: Signal, block: int) -> Process:
        credits = dict(process.first)
        mine = credits.get(signal.credit_key or ())
        identity = signal.signal_id if mine is None else self.by_id[SignalId(mine)].signal_id
        heard = dict(process.heard)
        heard[signal.signal_id] = heard[identity] = block
        process = process._replace(heard=tuple(sorted(heard.items())))
        for number, follower in enumerate(self.scenario.followers):
            process = self._load(world, process, number)
            if not process.alive:
                return process
            task = self.accounts.task_of(identity, follower)
            account = self.held[process.marks[number]].account
            waits = account.waiting.get(task.task_id)
            if waits is not None and waits.suspended:
                process = self._apply(process, number, "resume", identity)
                process = process._replace(queue=(*process.queue, task.task_id))
            elif task.task_id not in process.queue and not self._knows(process, account.has_met, task):
                process = process._replace(queue=(*process.queue, task.task_id))
        return process

    def _knows(self, process: Process, has_met: Callable[..., bool], task: CopyTask) -> bool:
        return task.signal.signal_id in process.met or has_met(task.signal.signal_id, task.task_id)

    def _retract(self, world: World, process: Process, signal: Signal, block: int) -> Process:
        first = dict(process.first)
        if signal.credit_key is not None:
            first[signal.credit_key] = signal.signal_id
        process = process._replace(first=tuple(sorted(first.items())))
        process = self._commit(process, puts=((("", "credit", signal.signal_id), b"retracted"),))
        for number, follower in enumerate(self.scenario.followers):
            process = self._load(world, process, number)
            if not process.alive:
                return process
            task = self.accounts.task_of(signal.signal_id, follower)
            if task.task_id in process.queue:
                process = process._replace(queue=tuple(one for one in process.queue if one != task.task_id))
                process = self._apply(process, number, "park", task.task_id)
            process = self._apply(process, number, "retract", signal.signal_id)
        return process

    # Placing, sending, learning

    def place(self, world: World, process: Process, name: str) -> World:
        task = self.accounts.tasks[name]
        number = self.scenario.followers.index(task.follower)
        resting = tuple(
            one for one in process.queue if one != name and self.accounts.tasks[one].follower == task.follower
        )
        left = None
        if self.scenario.day is not None:
            for each in range(len(self.scenario.followers)):
                process = self._load(world, process, each)
            if not process.alive:
                return self._with(world, process)
            spent = sum(_spent(held) for held in self._loaded(process))
            if task.intent.side is Side.BUY and process.granted < spent + COST <= self.scenario.day:
                return self.draw(world, process, spent + COST)
            left = process.granted - spent
        process = self._load(world, process, number)
        if not process.alive:
            return self._with(world, process)
        what = "refuse" if world.late else "offer"
        held_up = self.held[process.marks[number]].account.resting_before(task)
        if what == "refuse" or not held_up:
            process = process._replace(queue=tuple(one for one in process.queue if one != name))
        process = self._apply(process, number, what, name, *resting, left=left)
        self._check_exit(task, self.held[process.marks[number]].account)
        return self._with(world, process)

    def _check_exit(self, task: CopyTask, account: Account) -> None:
        """An exit meets no entry that is known to rest, unless a person was asked what came of calling it off."""
        if task.intent.side is Side.SELL and task.key in account.orders:
            for one in account.orders.values():
                if one.rests and not (one.called_off is not None and one.handed_over):
                    raise Wrong("an exit was placed beside an entry that rests")

    def draw(self, world: World, process: Process, total: int) -> World:
        """Have more of the common budget: durable before it is spent."""
        drawn = max(world.store.drawn, total)
        world = world._replace(store=world.store._replace(drawn=drawn))
        return self._with(world, process._replace(granted=total))

    def write(self, world: World, process: Process) -> World:
        write, *rest = process.writes
        return self._written(world, process._replace(writes=tuple(rest)), write)

    def _written(self, world: World, process: Process, write: Write) -> World:
        store = world.store
        if self.fenced(world, process):
            return self._with(world, _gone(process))
        documents = dict(store.documents)
        for key, body in write.puts:
            if body is None:
                documents.pop(key, None)
            else:
                documents[key] = body
        kinds = dict(store.facts)
        for name, kind in write.facts:
            if kinds.setdefault(name, kind) != kind:
                raise Wrong(f"doubled: a task ended as {kinds[name]} and as {kind}")
        store = store._replace(
            documents=tuple(sorted(documents.items())),
            facts=tuple(sorted(kinds.items())),
            checkpoint=write.checkpoint or store.checkpoint,
            placed=tuple(sorted({*store.placed, *write.sends})),
        )
        process = process._replace(outbox=(*process.outbox, *(one for one in write.sends if one not in process.outbox)))
        if write.checkpoint is not None:
            for number, mark in enumerate(process.marks):
                if mark:
                    known = self.known_to_the_shard(process)
                    process = self._apply(process, number, "tick", str(write.checkpoint.number), "0", *known)
        return self._with(world._replace(store=store), process)

    def send(self, world: World, process: Process, order: Frozen, answer: str) -> World:
        if order not in world.store.placed:
            raise Wrong("sent before it was durable")
        process = process._replace(outbox=tuple(one for one in process.outbox if one != order))
        venue = dict(world.venue)
        if order in venue:
            # Its own name makes it one order, whoever sends it.
            said = venue[order]
        elif answer == "lose request":
            said = "nothing"
        else:
            what = answer.removesuffix(" unheard")
            said = venue[order] = what if what in _KINDS and self._may(order, what) else "fill"
        heard = "doubt" if answer.startswith("lose") or answer.endswith("unheard") else said
        world = world._replace(venue=tuple(sorted(venue.items())))
        self.check_venue(world)
        return self.learn(world, process, order[0], heard)

    def _may(self, order: Frozen, answer: str) -> bool:
        return answer != "rest" or self.accounts.orders[order].side is Side.BUY

    def learn(self, world: World, process: Process, key: str, what: str) -> World:
        for number, mark in enumerate(process.marks):
            if mark and IntentKey(key) in self.held[mark].account.orders:
                process = self._apply(process, number, what, key)
                # What goes on with another attempt waits for its turn, and so do exits of what may have settled.
                for task, waits in self.held[process.marks[number]].account.waiting.items():
                    goes_on = waits.task.attempt or (waits.task.intent.side is Side.SELL and not waits.suspended)
                    if goes_on and task not in process.queue:
                        process = process._replace(queue=(*process.queue, task))
        return self._with(world, process)

    def find(self, world: World, key: str) -> str | None:
        """Ask the venue for an order: it is there, or can never be, or nobody can say."""
        for (known, _), what in world.venue:
            if known == key:
                return what
        under_way = any(key == one for process in world.processes if process.alive for one, _ in process.outbox)
        return None if under_way else "absent"

    def tick(self, world: World, process: Process, follower: str) -> World:
        number = self.scenario.followers.index(follower)
        return self._with(world, self._apply(process, number, "tick", "0", "9"))

    # Owning

    def take_over(self, world: World) -> World:
        """Become the only writer of the shard; open orders and what waits come first."""
        token = world.processes[-1].token + 1
        before = self.fence(world.processes[-1])
        world = self._with(world, before)._replace(store=world.store._replace(token=token))
        store = world.store
        canonical = world.reorged and bool(self.scenario.canonical)
        start = store.checkpoint.number
        if canonical and store.checkpoint.version == 0:
            # The block that it stands at is not in the chain any more: from where both agree.
            fork = self.scenario.reorg[0].number
            start = min(start, fork - 1)
        process = Process(
            token=token,
            canonical=canonical,
            version=max(int(canonical), store.checkpoint.version),
            start=start,
            since=store.checkpoint.version,
            first=self._retracted(store),
            sealed=start,
            asked=store.checkpoint,
            marks=("",) * len(self.scenario.followers),
            met=self.remembered(store),
        )
        heads = {key[0] for key, _ in store.documents if key[1] in ("order", "waits")}
        for number, follower in enumerate(self.scenario.followers):
            if follower not in heads:
                continue
            process = self._load(world, process, number)
            account = self.held[process.marks[number]].account
            for key, open_order in account.orders.items():
                if open_order.state is OrderState.PLACED:
                    process = self._apply(process, number, "doubt", key)
            waiting = [waits.task for waits in account.waiting.values() if not waits.suspended]
            ready = sorted(waiting, key=lambda task: task.decided_at)
            process = process._replace(queue=(*process.queue, *(task.task_id for task in ready)))
        return world._replace(processes=(*world.processes, process))

    def _retracted(self, store: Store) -> tuple[tuple[tuple[str, ...], str], ...]:
        """Say by what retracted signals are known again: whoever took them back wrote it down."""
        known = [self.by_id[SignalId(key[2])] for key, _ in store.documents if key[1] == "credit"]
        return tuple(sorted((one.credit_key, one.signal_id) for one in known if one.credit_key is not None))

    def remembered(self, store: Store) -> tuple[str, ...]:
        return tuple(sorted(key[2] for key, _ in store.documents if key[1] == "met"))

    def fence(self, before: Process) -> Process:
        """Say what an owner can still do that was taken over from: each of its writes will fail, but what was durable it may send."""
        if not before.outbox:
            return _gone(before)
        return Process(token=before.token, outbox=before.outbox, marks=("",) * len(self.scenario.followers))

    def fenced(self, world: World, process: Process) -> bool:
        return world.store.token != process.token

    def known_to_the_shard(self, process: Process) -> tuple[str, ...]:
        return process.met

    def passable(self, process: Process) -> Checkpoint:
        """Return up to where every signal is placed, ended or waiting in an account."""
        number = process.sealed
        for name in process.queue:
            task = self.accounts.tasks[name]
            mark = process.marks[self.scenario.followers.index(task.follower)]
            if not mark or task.task_id not in self.held[mark].account.waiting:
                block = dict(process.heard).get(task.signal.signal_id, task.signal.block_number)
                number = min(number, block - 1)
        return process.asked if number <= process.start else Checkpoint(number, process.version)

    # Inside

    def _busy(self, process: Process, follower: str) -> bool:
        mark = process.marks[self.scenario.followers.index(follower)]
        return bool(mark) and any(
            one.unproven and not one.handed_over for one in self.held[mark].account.orders.values()
        )

    def _loaded(self, process: Process) -> list[Held]:
        return [self.held[mark] for mark in process.marks if mark]

    def _load(self, world: World, process: Process, number: int) -> Process:
        if not process.alive or process.marks[number]:
            return process
        if self.fenced(world, process):
            return _gone(process)
        held = self.accounts.read(self.scenario.followers[number], frozenset(world.store.documents))
        return self._mark(process, number, held)

    def _mark(self, process: Process, number: int, held: Held) -> Process:
        self.held[held.mark] = held
        marks = list(process.marks)
        marks[number] = held.mark
        return process._replace(marks=tuple(marks))

    def _apply(self, process: Process, number: int, *command: str, left: int | None = None) -> Process:
        done = self.carry_out(self.held[process.marks[number]], *command, left=left)
        process = self._mark(process, number, done.held)
        return self._commit(process, done) if done.puts or done.facts else process

    def carry_out(self, held: Held, *command: str, left: int | None = None) -> Done:
        return self.accounts.do(held, *command, left=left)

    def _commit(self, process: Process, done: Done | None = None, puts: Puts = ()) -> Process:
        """Put what is to be written in line, and with it how far the checkpoint may pass."""
        checkpoint: Checkpoint | None = self.passable(process)
        puts = puts if done is None else done.puts
        if checkpoint is not None and checkpoint != process.asked:
            met = [name for name, block in process.heard if block <= checkpoint.number and name not in process.met]
            puts += tuple((("", "met", name), b"met") for name in met)
            process = process._replace(asked=checkpoint, met=tuple(sorted({*process.met, *met})))
        else:
            checkpoint = None
        write = Write(
            puts=puts,
            facts=() if done is None else done.facts,
            checkpoint=checkpoint,
            sends=() if done is None else done.orders,
        )
        return self.queue_write(process, write)

    def queue_write(self, process: Process, write: Write) -> Process:
        return process._replace(writes=(*process.writes, write))

    def _with(self, world: World, process: Process) -> World:
        same = [process if one.token == process.token else one for one in world.processes]
        return world._replace(processes=tuple(same))


def _spent(held: Held) -> int:
    """What an account has spent of a day, or may have: every signal of these worlds is of one day."""
    return sum(
        window.used + window.held
        for name, window in held.account.windows.items()
        if name.startswith("day ") and name.count(" ") == 1
    )


def _nobody_knows(open_order: OpenOrder) -> bool:
    """Tell whether an order may be handed over to a person now."""
    return open_order.unproven and not open_order.handed_over and open_order.state is not OrderState.PLACED


def _gone(process: Process) -> Process:
    """What is left of an owner that is no more: who died where is one state, whatever it had read by then."""
    return Process(token=process.token, alive=False)


def _bind(step: Callable[..., World], *args: Any) -> Callable[[], World]:
    return lambda: step(*args)


def _asked(step: Callable[..., World], *args: Any) -> Callable[[World, Process], World]:
    return lambda world, process: step(world, process, *args)
