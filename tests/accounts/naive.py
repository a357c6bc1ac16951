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
from trio_copy.model.orders import Status
from trio_copy.model.positions import EntryKind, LedgerEntry, Position, fold
from trio_copy.model.units import NO_SHARES

Spot = tuple[Address, TokenId]


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
        """Orders whose outcome is not proven."""
        placed = self.placed
        return [placed[key] for key, state in self.states.items() if state in (OrderState.PLACED, OrderState.UNKNOWN)]

    def ledger(self) -> Iterator[LedgerEntry]:
        """Retell the entries in the order in which they were booked."""
        fills: dict[IntentKey, LedgerEntry] = {}
        for event in self.events:
            match event:
                case e.Learned(key=key, entry=entry) if entry is not None:
                    fills[key] = entry
                    yield entry
                case e.Missed(entry=entry) | e.Redeemed(entry=entry):
                    yield entry
                case e.Settled(key=key):
                    yield _about(fills[key], EntryKind.CONFIRM)
                case e.Reversed(key=key):
                    yield _about(fills[key], EntryKind.REVERSE)

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
                    cost[name] += placed.cost.micro
        return {name: amount for name, amount in cost.items() if amount}

    def open_spots(self) -> set[Spot]:
        """Return where something is held, or may soon be."""
        held = {spot for spot, position in self.positions().items() if position.lots}
        return held | {_spot(placed) for placed in self.holding_back if placed.order.side is Side.BUY}

    def question(self, spot: Spot) -> tuple[Address, str]:
        leader, token = spot
        facts = self.catalog.of(token)
        return (leader, f"token {token}" if facts is None else facts.condition_id)

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
        sent = [event for event in self.events if isinstance(event, e.Learned)]
        for learned in sent:
            report = learned.report
            proven = learned.state is not OrderState.UNKNOWN
            if proven and report is not None and report.status is not Status.ABSENT:
                _use(used, placed[learned.key], report.notional.micro + report.fee.micro)
        for order in self.holding_back:
            _use(used, order, order.cost.micro)
        return {name: amount for name, amount in used.items() if amount}

    def cash(self, start: int) -> int:
        """Add up what a paper wallet holds: every payment there was, and what open entries may cost."""
        cash = start
        ledger = list(self.ledger())
        undone = {entry.of for entry in ledger if entry.kind is EntryKind.REVERSE}
        for entry in ledger:
            if entry.key not in undone and entry.shares:
                paid = entry.notional.micro if entry.side is Side.SELL else -entry.notional.micro
                cash += paid - entry.fee.micro
        cash += sum(event.funding.amount.micro for event in self.events if isinstance(event, e.Funded))
        return cash - sum(one.cost.micro for one in self.holding_back if one.order.side is Side.BUY)

    def _about(self, spot: Spot) -> Iterable[str]:
        leader, token = spot
        facts = self.catalog.of(token)
        yield from ("all", f"leader {leader}", f"token {token}")
        if facts is not None:
            yield from (f"market {facts.condition_id}", f"event {facts.event or facts.condition_id}")


def _use(used: Counter[str], placed: e.Placed, cost: int) -> None:
    if placed.order.side is Side.BUY:
        signal = placed.task.signal
        day = datetime.fromtimestamp(signal.block_time, UTC).date()
        used[f"day {day}"] += cost
        used[f"day {day} {signal.leader}"] += cost
        used[f"minute {signal.block_time // 60}"] += 1


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
