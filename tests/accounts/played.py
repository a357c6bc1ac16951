"""One account, and commands to it with only the interesting part spelled out."""

from collections.abc import Sequence
from typing import Any

from attrs import define, evolve, field

from tests.builders import ALICE, LEADER, NOW, TOKEN, make_intent, make_settings, make_signal, make_task
from trio_copy.accounts import Account
from trio_copy.accounts import commands as c
from trio_copy.accounts import events as e
from trio_copy.accounts.budgets import day_of
from trio_copy.accounts.names import Part
from trio_copy.accounts.telling import TaskEnd, Told
from trio_copy.model.catalog import Catalog
from trio_copy.model.decisions import CopyTask, End, OrderIntent, Outcome
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.ids import IntentKey, OrderId
from trio_copy.model.orders import ExecutionReport, Market, Order, Settlement, Status, Wallet
from trio_copy.model.units import NO_SHARES, NO_USD, Price, Rounding, Shares, Usd

SPOT = (LEADER, TOKEN)
MARKET = Market(token_id=TOKEN, tick=Price(1), minimum=NO_SHARES, fee_bps=0)
UNCAPPED = make_settings(max_order_usd=None)


def freeze(key: IntentKey, intent: OrderIntent) -> Order:
    """Prepare an order as an executor does."""
    return Order(
        key=key,
        order_id=OrderId(f"0x{key}"),
        executor="sim",
        wallet=Wallet(follower=ALICE, address=None),
        side=intent.side,
        token_id=intent.token_id,
        shares=intent.shares,
        limit_price=intent.limit_price,
        body=f"{key} {intent.shares} at {intent.limit_price}".encode(),
    )


def entry(number: int = 1, shares: str = "100", **changes: Any) -> CopyTask:
    """A task that buys a tenth of what the leader bought: `shares` at half a dollar, two per cent of slippage."""
    return _task(make_signal(number, shares=shares), changes)


def resting_entry(number: int = 1, shares: str = "100", **changes: Any) -> CopyTask:
    """The same as an order that may rest for ten minutes."""
    task = entry(number, shares, **changes)
    return evolve(task, intent=evolve(task.intent, order_type="GTD", rest_until=int(NOW) + 600))


def leave(number: int = 2, shares: str = "100", sell: str = "proportional", **changes: Any) -> CopyTask:
    """A task by which the leader sells `shares`, decided a second later."""
    signal = make_signal(number, shares=shares, side=Side.SELL)
    task = _task(signal, {"decided_at": NOW + 1, **changes})
    return evolve(task, intent=make_intent(task.signal, sell=sell))


def _task(signal: Any, changes: dict[str, Any]) -> CopyTask:
    of_signal = {name: changes.pop(name) for name in list(changes) if hasattr(signal, name)}
    signal = evolve(signal, **of_signal)
    return make_task(signal, **{"intent": make_intent(signal), "decided_at": NOW, **changes})


def report_on(order: Order, status: Status = Status.FILLED, **changes: Any) -> ExecutionReport:
    """Say that an order was filled whole at its limit, unless changed; nothing where it was not filled."""
    filled = status in (Status.FILLED, Status.PARTIAL)
    rounding = Rounding.DOWN if order.side is Side.BUY else Rounding.UP
    report = ExecutionReport(
        order_id=order.order_id,
        status=status,
        shares=order.shares if filled else NO_SHARES,
        notional=order.shares.at(order.limit_price, rounding) if filled else NO_USD,
    )
    return evolve(report, **changes)


MINED: dict[str, Any] = {"settlement": Settlement.MINED}
PENDING: dict[str, Any] = {"settlement": Settlement.PENDING}
FAILED: dict[str, Any] = {"settlement": Settlement.FAILED}


@define
class Played:
    """An account that is asked and obeys, and all that it told."""

    account: Account = field(factory=lambda: Account(ALICE, Catalog()))
    settings: FollowSettings = UNCAPPED
    market: Market = MARKET
    told: list[Told] = field(factory=list)
    at: float = NOW + 2
    changed: Sequence[Part] = ()
    """The documents that the last command had written or deleted."""

    def do(self, command: c.Command) -> Sequence[e.Event]:
        """Carry a command out."""
        events = self.account.decide(command)
        self.account.apply(events)
        self.changed, told = self.account.take_changes()
        self.told += told
        return events

    def offer(self, task: CopyTask, **changes: Any) -> Sequence[e.Event]:
        offer = c.Offer(task=task, settings=self.settings, market=self.market, prepare=freeze, at=self.at)
        return self.do(evolve(offer, **changes))

    def answer(self, order: Order, status: Status = Status.FILLED, *, again: bool = False, **changes: Any) -> Any:
        return self.do(c.Answer(key=order.key, report=report_on(order, status, **changes), again=again, at=self.at))

    def place(self, task: CopyTask, **changes: Any) -> Order:
        """Place a task, which the account must do."""
        (placed,) = [event for event in self.offer(task, **changes) if isinstance(event, e.Placed)]
        return placed.order

    def fill(self, task: CopyTask, **changes: Any) -> Order:
        """Place a task and fill it whole."""
        order = self.place(task)
        self.answer(order, **changes)
        return order

    def hold(self, shares: str = "10", number: int = 900) -> Order:
        """Hold so many shares of a leader who bought ten times as many."""
        return self.fill(entry(number, str(Shares.parse(shares).micro * 10 / 10**6)))

    def end_of(self, task: CopyTask) -> Outcome:
        """Return how a task ended: once."""
        (end,) = [told.record for told in self.told if _ends(told.record, task)]
        assert isinstance(end, TaskEnd)
        assert end.outcome is not None
        return end.outcome

    def open(self, task: CopyTask) -> bool:
        """Tell whether a task has not ended."""
        return not any(_ends(told.record, task) for told in self.told)

    @property
    def shares(self) -> Shares:
        return self.account.position(SPOT).shares

    @property
    def cost(self) -> Usd:
        """What is open of everything, in cost."""
        return Usd(self.account.exposure.cost("all"))

    def day(self, task: CopyTask) -> int:
        """What is used of a task's day, what is held for open orders included."""
        window = self.account.windows.get(f"day {day_of(task.signal.block_time)}")
        return 0 if window is None else window.used + window.held


def _ends(record: object, task: CopyTask) -> bool:
    return isinstance(record, TaskEnd) and record.outcome is not None and record.task.task_id == task.task_id


def reason_of(outcome: Outcome) -> tuple[End, str | None, str | None]:
    """Shorten an outcome to its end, code and control."""
    reason = outcome.reason
    return (outcome.end, None, None) if reason is None else (outcome.end, reason.code.name, reason.control)
