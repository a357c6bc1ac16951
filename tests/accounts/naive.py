"""An account told again from everything that ever happened to it, slowly, and with none of its own sums."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from attrs import define, evolve, field

from trio_copy.accounts import events as e
from trio_copy.accounts.orders import OrderState
from trio_copy.model.catalog import Catalog
from trio_copy.model.decisions import CopyTask
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, IntentKey, TokenId
from trio_copy.model.orders import Settlement, Status
from trio_copy.model.positions import EntryKind, LedgerEntry, Position, fold
from trio_copy.model.units import NO_SHARES

Spot = tuple[Address, TokenId]
_HOLDS = (OrderState.PLACED, OrderState.UNKNOWN, OrderState.RESTING)
_LAST_WORDS = {Settlement.FIRM: EntryKind.CONFIRM, Settlement.FAILED: EntryKind.REVERSE}


@define
class Naive:
    """Keeps events and adds them up anew for each question."""

    catalog: Catalog
    events: list[e.Event] = field(factory=list)

    @property
    def placed(self) -> dict[IntentKey, e.Placed]:
        return {event.order.key: event for event in self.events if isinstance(event, e.Placed)}

    @property
    def states(self) -> dict[IntentKey, OrderState]:
        states: dict[IntentKey, OrderState] = {}
        for event in self.events:
            match event:
                case e.Placed(order=order):
                    states[order.key] = OrderState.PLACED
                case e.Learned(key=key, state=state):
                    states[key] = state
                case e.Settled(key=key) | e.Reversed(key=key):
                    states[key] = OrderState.ENDED
        return states

    @property
    def holding_back(self) -> list[e.Placed]:
        """Orders whose outcome is not proven, or that rest."""
        placed = self.placed
        return [placed[key] for key, state in self.states.items() if state in _HOLDS]

    @property
    def last_learned(self) -> dict[IntentKey, e.Learned]:
        return {event.key: event for event in self.events if isinstance(event, e.Learned)}

    def left(self, placed: e.Placed) -> int:
        """Return what an entry may still cost."""
        learned = self.last_learned.get(placed.order.key)
        if learned is None or learned.state is not OrderState.RESTING or learned.report is None:
            return placed.cost.micro
        return placed.cost.micro - learned.report.notional.micro - learned.report.fee.micro

    def doubted_since(self) -> dict[IntentKey, float]:
        """Say since when nobody knows what came of orders that rested: they were called off, or lied about."""
        since: dict[IntentKey, float] = {}
        for event in self.events:
            match event:
                case e.Learned(key=key, state=state) if state is not OrderState.RESTING:
                    since.pop(key, None)
                case e.CalledOff(key=key, at=at):
                    since[key] = at
                case e.Breached(key=key, at=at) if self.states[key] is OrderState.RESTING:
                    since.setdefault(key, at)
        return since

    def ledger(self) -> Iterator[LedgerEntry]:
        """Retell the entries in the order in which they were booked."""
        fills: dict[IntentKey, list[LedgerEntry]] = {}
        firm: set[str] = set()
        rests: set[IntentKey] = set()
        for event in self.events:
            match event:
                case e.Learned(key=key, state=state, report=report, entry=entry):
                    if entry is not None:
                        fills.setdefault(key, []).append(entry)
                        firm |= {entry.key} if entry.firm else set()
                        yield entry
                    if key in rests and report is not None and report.settlement in _LAST_WORDS:
                        yield from _tell(fills.get(key, ()), firm, _LAST_WORDS[report.settlement])
                    rests = rests | {key} if state is OrderState.RESTING else rests - {key}
                case e.Missed(entry=entry) | e.Redeemed(entry=entry):
                    yield entry
                case e.Corrected(entries=entries):
                    yield from entries
                case e.Settled(key=key):
                    yield from _tell(fills[key], firm, EntryKind.CONFIRM)
                case e.Reversed(key=key):
                    yield from _tell(fills[key], firm, EntryKind.REVERSE)

    def counted(self) -> list[LedgerEntry]:
        """Return what the entries that count come to by now, each in its old place."""
        counted: dict[str, LedgerEntry] = {}
        for entry in self.ledger():
            match entry.kind:
                case EntryKind.REVERSE:
                    counted.pop(entry.of, None)
                case EntryKind.CORRECT:
                    shares, notional, fee = (
                        getattr(counted[entry.of], name) + getattr(entry, name)
                        for name in ("shares", "notional", "fee")
                    )
                    counted[entry.of] = evolve(counted[entry.of], shares=shares, notional=notional, fee=fee)
                case _ if entry.shares:
                    counted[entry.key] = entry
        return list(counted.values())

    def positions(self) -> dict[Spot, Position]:
        ledger = list(self.ledger())
        spots = {(entry.leader, entry.token_id) for entry in ledger}
        return {spot: fold(entry for entry in ledger if (entry.leader, entry.token_id) == spot) for spot in spots}

    def cost(self) -> dict[str, int]:
        """Add up what is open by everything that a cap may be about."""
        cost: Counter[str] = Counter()
        for spot, position in self.positions().items():
            for name in self._about(spot):
                cost[name] += position.cost.micro
        for placed in self.holding_back:
            if placed.order.side is Side.BUY:
                for name in self._about(_spot(placed)):
                    cost[name] += self.left(placed)
        return {name: amount for name, amount in cost.items() if amount}

    def open_spots(self) -> set[Spot]:
        """Return where something is held, or may soon be."""
        held = {spot for spot, position in self.positions().items() if position.lots}
        return held | {_spot(placed) for placed in self.holding_back if placed.order.side is Side.BUY}

    def question(self, spot: Spot) -> tuple[Address, str]:
        leader, token = spot
        facts = self.catalog.of(token)
        return (leader, f"token {token}" if facts is None else facts.condition_id)

    def unsettled(self, spot: Spot) -> int:
        """Add up what was bought at a spot and is not on the chain, as was told last."""
        told: dict[IntentKey, Settlement] = {}
        for event in self.events:
            match event:
                case e.Learned(key=key, report=report) | e.Corrected(key=key, report=report) if report is not None:
                    told[key] = report.settlement
                case e.OnChain(key=key, settlement=settlement):
                    told[key] = settlement
        firm = {one.of for one in self.ledger() if one.kind is EntryKind.CONFIRM}
        return sum(
            one.shares.micro
            for one in self.counted()
            if (one.leader, one.token_id) == spot
            and one.side is Side.BUY
            and not (one.firm or one.key in firm)
            and told[IntentKey(one.key.partition(":")[0])] is Settlement.PENDING
        )

    def promised(self) -> dict[Spot, int]:
        promised: Counter[Spot] = Counter()
        for placed in self.holding_back:
            if placed.order.side is Side.SELL:
                promised[_spot(placed)] += placed.order.shares.micro
        return dict(promised)

    def days(self) -> dict[str, int]:
        """Add up what was spent, or may have been, by day and by day and leader, and sent by minute."""
        used: Counter[str] = Counter()
        placed = self.placed
        for key, learned in self.last_learned.items():
            report = learned.report
            proven = learned.state is not OrderState.UNKNOWN
            if proven and report is not None and report.status is not Status.ABSENT:
                # One that rests is among those that may yet be more: there it counts as sent.
                sent = int(learned.state is not OrderState.RESTING)
                _use(used, placed[key], report.notional.micro + report.fee.micro, sent)
        for event in self.events:
            if isinstance(event, e.Corrected):
                _use(used, placed[event.key], self._more(event), 0)
        for order in self.holding_back:
            _use(used, order, self.left(order), 1)
        return {name: amount for name, amount in used.items() if amount}

    def _more(self, corrected: e.Corrected) -> int:
        """Say by how much more an order has cost than was told last before it was corrected."""
        told = 0
        for event in self.events:
            if event is corrected:
                break
            if isinstance(event, e.Learned | e.Corrected) and event.key == corrected.key and event.report is not None:
                told = event.report.notional.micro + event.report.fee.micro
        return max(0, corrected.report.notional.micro + corrected.report.fee.micro - told)

    def cash(self, start: int) -> int:
        """Add up what a paper wallet holds: every payment there was, and what open entries may cost."""
        cash = start
        for entry in self.counted():
            paid = entry.notional.micro if entry.side is Side.SELL else -entry.notional.micro
            cash += paid - entry.fee.micro
        cash += sum(event.funding.amount.micro for event in self.events if isinstance(event, e.Funded))
        return cash - sum(self.left(one) for one in self.holding_back if one.order.side is Side.BUY)

    def _about(self, spot: Spot) -> Iterable[str]:
        leader, token = spot
        facts = self.catalog.of(token)
        yield from ("all", f"leader {leader}", f"token {token}")
        if facts is not None:
            yield from (f"market {facts.condition_id}", f"event {facts.event or facts.condition_id}")


def _tell(fills: Iterable[LedgerEntry], firm: set[str], kind: EntryKind) -> Iterator[LedgerEntry]:
    """Say of what is not firm that it is now, or never was."""
    for entry in fills:
        if entry.key not in firm:
            firm.add(entry.key)
            yield _about(entry, kind)


def _use(used: Counter[str], placed: e.Placed, cost: int, sent: int) -> None:
    if placed.order.side is Side.BUY:
        signal = placed.task.signal
        day = datetime.fromtimestamp(signal.block_time, UTC).date()
        used[f"day {day}"] += cost
        used[f"day {day} {signal.leader}"] += cost
        used[f"minute {signal.block_time // 60}"] += sent


def _spot(placed: e.Placed) -> Spot:
    return (placed.task.signal.leader, placed.order.token_id)


def _about(entry: LedgerEntry, kind: EntryKind) -> LedgerEntry:
    return evolve(entry, key=f"{entry.key}:{kind.value}", kind=kind, of=entry.key, shares=NO_SHARES)


def ended(events: Iterable[e.Event]) -> Counter[str]:
    """Count how often each task ended."""
    ends: Counter[str] = Counter()
    orders: dict[IntentKey, CopyTask] = {}
    over: set[str] = set()
    for event in events:
        match event:
            case e.Placed(order=order, task=task):
                orders[order.key] = task
            case e.Ended(task=task):
                ends[task.task_id] += 1
                over.add(task.task_id)
            case e.Learned(key=key, outcome=outcome) if outcome is not None and orders[key].task_id not in over:
                ends[orders[key].task_id] += 1
    return ends
