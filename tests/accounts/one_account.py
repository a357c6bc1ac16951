"""One account under test: what is asked of it, its naive double, and what always holds."""

from collections.abc import Sequence
from typing import Any

from attrs import evolve
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from tests.accounts.naive import Naive, ended
from tests.accounts.played import Played, freeze, report_on
from tests.accounts.states import Documents, derived, documents, held, open_cost
from tests.builders import ALICE, NOW, make_settings, make_signal, make_task
from trio_copy.accounts import Account, OpenOrder
from trio_copy.accounts import commands as c
from trio_copy.accounts import events as e
from trio_copy.accounts.budgets import day_of
from trio_copy.accounts.cash import cash
from trio_copy.accounts.documents import document_of
from trio_copy.accounts.facts import fact_of, record_of
from trio_copy.accounts.orders import OrderState
from trio_copy.model.catalog import Catalog
from trio_copy.model.decisions import CopyTask, OrderIntent
from trio_copy.model.facts import AMOUNTS
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.ids import IntentKey
from trio_copy.model.orders import ExecutionReport, Market, Order, Settlement, Status
from trio_copy.model.units import NO_SHARES, NO_USD, Price, Ratio, Rounding, Shares, Usd
from trio_copy.records import read_plain, write_plain

DAY_S = 86_400
ENGINE_DAY = Usd(40_000_000)
FEE_BPS = 150
USD_CAPS = (
    "max_order_usd",
    "max_token_usd",
    "max_market_usd",
    "max_event_usd",
    "max_leader_usd",
    "max_exposure_usd",
    "max_day_usd",
    "max_leader_day_usd",
)
CAPS = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.integers(0, 30_000_000).map(Usd) for name in USD_CAPS},
        "max_positions": st.integers(0, 4),
        "max_orders_per_minute": st.integers(1, 6),
        "max_day_loss_usd": st.integers(1, 5_000_000).map(Usd),
        "max_drawdown_usd": st.integers(1, 5_000_000).map(Usd),
        "on_breach": st.sampled_from(["stop-buying", "close-only", "halt"]),
        "entry": st.sampled_from(["every", "first"]),
        "minimum_usd": st.integers(0, 3_000_000).map(Usd),
        "minimum_policy": st.sampled_from(["skip", "accumulate"]),
    },
)


class OneAccount(RuleBasedStateMachine):
    """One account, its naive double, and a store that knows only what it was told has changed."""

    def __init__(self) -> None:
        super().__init__()
        self.catalog = Catalog()
        self.played = Played(account=Account(ALICE, self.catalog))
        self.naive = Naive(self.catalog)
        self.stored: Documents = documents(self.account)
        self.tasks: list[CopyTask] = []
        self.passed = 0
        self.commands: list[c.Command] = []
        self.forgotten: set[str] = set()
        self.gone_windows: set[str] = set()
        self.facts: dict[str, Any] = {}
        self.held_up: set[str] = set()
        """Exits that were offered while entries of their token rested: they are offered again."""
        self.made_of: dict[IntentKey, OrderIntent] = {}
        self.bodies: dict[IntentKey, bytes] = {}

    @property
    def account(self) -> Account:
        return self.played.account

    @property
    def open_orders(self) -> list[OpenOrder]:
        return list(self.account.orders.values())

    @initialize(
        caps=CAPS, paper=st.none() | st.integers(1, 60_000_000).map(Usd), minimum=st.sampled_from([0, 0, 5_000_000])
    )
    def choose(self, caps: dict[str, Any], paper: Usd | None, minimum: int) -> None:
        self.paper, self.minimum = paper, Shares(minimum)
        self.settings: FollowSettings = make_settings(**{"max_order_usd": None, **caps})

    # What is asked of it

    def do(self, command: c.Command) -> Sequence[e.Event]:
        account, before = self.account, documents(self.account)
        sums = derived(account)
        if isinstance(command, c.Offer) and account.resting_before(command.task):
            self.held_up.add(command.task.task_id)
        cost = self.naive.cost()
        events = account.decide(command)
        assert account.decide(command) == events
        assert (documents(account), account.changed, account.told) == (before, {}, [])
        assert derived(account) == sums or account.exposure.version != sums["version"]
        account.apply(events)
        self.naive.events += events
        known = {task.task_id for task in self.tasks}
        self.tasks += [
            event.task for event in events if isinstance(event, e.Waits) and event.task.task_id not in known
        ]  # what an exit left for later
        self._write()
        self._check_caps(events, cost)
        if not isinstance(command, c.Try | c.SetMode | c.ResetPeak | c.Fund):
            again = account.decide(command)
            # What contradicts does so each time; what a tick ended below the checkpoint, the next one forgets.
            assert all(isinstance(event, e.Contradicted | e.Forgot) for event in again), (command, again)
        self.commands.append(command)
        return events

    def _write(self) -> None:
        """Keep what it says has changed, and nothing else."""
        changed, told = self.account.take_changes()
        for part in changed:
            body = document_of(self.account, part)
            if body is None:
                self.stored.pop(part, None)
            else:
                self.stored[part] = read_plain(write_plain(body))
        for one in told:
            fact = fact_of(one, write_plain)
            assert record_of(fact, read_plain(fact.body)) == one.record
            assert fact.key not in self.facts
            self.facts[fact.key] = fact

    def _check_caps(self, events: Sequence[e.Event], before: dict[str, int]) -> None:
        """Nothing that is placed passes a cap; nothing else makes what is open grow, but what settles otherwise than told."""
        cost, caps = self.naive.cost(), self.settings.caps
        placed = [event for event in events if isinstance(event, e.Placed)]
        undone = any(isinstance(event, e.Reversed | e.Corrected) for event in events)
        if not placed and not undone:
            assert all(amount <= before.get(name, 0) for name, amount in cost.items())
        for event in placed:
            # What was frozen for a key may have left: nothing else ever does for it.
            assert self.bodies.setdefault(event.order.key, event.order.body) == event.order.body
            assert self.account.mode is None or event.order.side is Side.SELL
            spot = (event.task.signal.leader, event.order.token_id)
            if event.order.side is Side.BUY and self.paper is not None:
                assert self.naive.cash(self.paper.micro) >= 0
            if event.order.side is Side.SELL:
                for one in self.account.orders.values():
                    # An exit never meets an entry of ours, unless a person was asked about just that.
                    if one.rests and one.order.token_id == event.order.token_id:
                        assert one.handed_over
                        assert one.called_off is not None or one.breached
                assert event.order.shares > NO_SHARES
                settled = self.naive.positions()[spot].shares.micro - self.naive.unsettled(spot)
                assert self.naive.promised()[spot] <= settled
                continue
            facts, used = self.catalog.of(spot[1]), self.naive.days()
            market = f"token {spot[1]}" if facts is None else f"market {facts.condition_id}"
            its_event = f"token {spot[1]}" if facts is None else f"event {facts.event or facts.condition_id}"
            day = f"day {day_of(event.task.signal.block_time)}"
            for limit, amount in (
                (caps.max_order_usd, event.cost.micro),
                (caps.max_token_usd, cost.get(f"token {spot[1]}", 0)),
                (caps.max_market_usd, cost.get(market, 0)),
                (caps.max_event_usd, cost.get(its_event, 0)),
                (caps.max_leader_usd, cost.get(f"leader {spot[0]}", 0)),
                (caps.max_exposure_usd, cost.get("all", 0)),
                (caps.max_day_usd, used.get(day, 0)),
                (caps.max_leader_day_usd, used.get(f"{day} {spot[0]}", 0)),
                (ENGINE_DAY, used.get(day, 0)),
            ):
                assert limit is None or amount <= limit.micro, (limit, amount)
            opened = self.naive.open_spots()
            new = spot not in _spots_without(self.naive, event)
            assert caps.max_positions is None or not new or len(opened) <= caps.max_positions
            if self.settings.filters.entry == "first":
                question = self.naive.question(spot)
                assert [self.naive.question(one) for one in opened].count(question) == 1
            minute = used.get(f"minute {event.task.signal.block_time // 60}", 0)
            assert caps.max_orders_per_minute is None or minute <= caps.max_orders_per_minute

    @property
    def now(self) -> float:
        """A moment of its own for each command."""
        return NOW + len(self.commands) / 1000

    @property
    def _block(self) -> int:
        return self.passed + 1 + len(self.tasks) // 3

    def _offer(self, task: CopyTask, *, crowded: bool = False) -> c.Offer:
        spent = self.naive.days().get(f"day {day_of(task.signal.block_time)}", 0)
        return c.Offer(
            task=task,
            resting=self._resting(task),
            settings=self.settings,
            market=Market(token_id=task.intent.token_id, tick=Price(1), minimum=self.minimum, fee_bps=FEE_BPS),
            prepare=self.freeze,
            day=c.EngineDay(limit=ENGINE_DAY, left=Usd(ENGINE_DAY.micro - spent)),
            at=NOW + len(self.tasks),
            crowded=crowded,
            paper=self.paper,
        )

    def freeze(self, key: IntentKey, intent: OrderIntent) -> Order:
        self.made_of[key] = intent
        return evolve(freeze(key, intent), fee_bps=FEE_BPS)

    def _resting(self, task: CopyTask) -> tuple[CopyTask, ...]:
        """Return what an engine may still have in its queue, as it was when it came in: durable or not, ended or not."""
        return tuple(one for one in self.tasks if one.signal.signal_id not in self.forgotten and one is not task)

    # What always holds

    @invariant()
    def the_store_has_everything(self) -> None:
        assert self.stored == documents(self.account)

    @invariant()
    def sums_are_what_a_recount_says(self) -> None:
        self.account.decide(c.Doubt(key=make_task(make_signal()).key, at=NOW))  # follows the catalog
        before = derived(self.account)
        self.account.recount()
        assert derived(self.account) == before

    @invariant()
    def the_naive_model_agrees(self) -> None:
        account, naive = self.account, self.naive
        assert open_cost(account) == naive.cost()
        assert set(account.exposure._places) == naive.open_spots()
        assert cash(account, NO_USD).micro == naive.cash(0)
        assert dict(account._promised) == naive.promised()
        together = {name: window.used + window.held for name, window in account.windows.items()}
        counted = {name: amount for name, amount in naive.days().items() if name not in self.gone_windows}
        assert {name: amount for name, amount in together.items() if name not in self.gone_windows} == counted
        positions = naive.positions()
        for spot in {*positions, *account.holdings}:
            mine, theirs = account.position(spot), positions[spot]
            assert (mine.lots, mine.shares, mine.cost) == (theirs.lots, theirs.shares, theirs.cost)
            assert (mine.leader_shares, mine.oversold) == (theirs.leader_shares, theirs.oversold)
        earned = sum(one.realised.micro + one.provisional.micro for one in positions.values())
        assert account.performance.realised.micro == earned
        since = naive.doubted_since()
        assert {key: one.at for key, one in account.orders.items() if one.rests and one.unproven} == {
            key: since[key] for key, one in account.orders.items() if key in since and one.rests
        }
        assert {key: one.state for key, one in account.orders.items()} == {
            key: state for key, state in naive.states.items() if state is not OrderState.ENDED
        }

    @invariant()
    def every_task_ends_once(self) -> None:
        ends = ended(self.naive.events)
        open_tasks = {one.task.task_id for one in self.open_orders if not one.ended}
        alive = {*self.account.waiting, *self.account.dead, *open_tasks}
        passed = {event.signal.signal_id for event in self.naive.events if isinstance(event, e.Passed)}
        for task in self.tasks:
            if ends[task.task_id] == 0 and task.task_id in self.held_up:
                continue
            assert (ends[task.task_id] == 1) != (task.task_id in alive or task.signal.signal_id in passed)

    @invariant()
    def facts_add_up(self) -> None:
        sums = dict(
            zip(AMOUNTS, map(sum, zip(*(one.amounts for one in self.facts.values()), strict=True)), strict=False)
        )
        positions = self.naive.positions().values()
        assert sums.get("realised", 0) + sums.get("provisional", 0) == self.account.performance.realised.micro
        assert sums.get("provisional", 0) == sum(one.provisional.micro for one in positions)
        assert sums.get("fees", 0) == sum(one.fees.micro for one in positions)
        counted = self.naive.counted()
        assert sums.get("trades", 0) == len(counted)
        for name, side in (("bought", Side.BUY), ("sold", Side.SELL)):
            assert sums.get(name, 0) == sum(one.notional.micro for one in counted if one.side is side)

    def teardown(self) -> None:
        """Once every order is proven, nothing is held for any."""
        for open_order in self.open_orders:
            if open_order.state is not OrderState.MATCHED:
                # Of what rested, all that is known: it is gone from the venue.
                report = report_of(open_order, "absent" if open_order.rests else "killed", 1, {})
                self.do(c.Answer(key=open_order.order.key, report=report, by_hand=open_order.breached, at=NOW))
        assert not held(self.account)
        assert not self.account._promised
        assert self.account.exposure.cost("all") == sum(
            one.cost.micro for one in (holding.now for holding in self.account.holdings.values())
        )
        for spot, holding in self.account.holdings.items():
            assert self.account.free(spot) == holding.now.shares
        # Once everything is settled, no exit waits for that any more.
        for open_order in self.open_orders:
            assert open_order.report is not None
            report = evolve(open_order.report, settlement=Settlement.FIRM)
            self.do(c.Answer(key=open_order.order.key, report=report, at=NOW))
        for waits in list(self.account.waiting.values()):
            if waits.task.intent.side is Side.SELL and not waits.suspended:
                self.do(self._offer(waits.task))
                assert waits.task.task_id not in self.account.waiting


def _spots_without(naive: Naive, event: e.Placed) -> set[Any]:
    return Naive(naive.catalog, [one for one in naive.events if one is not event]).open_spots()


def report_of(
    open_order: OpenOrder, status: str, part: int, settlement: dict[str, Any], more: int = 0
) -> ExecutionReport:
    """Say something about an order: at its limit, with the whole fee; `more` tenths of what is bought come on top for nothing."""
    order = open_order.order
    if status == "outside":
        return report_on(order, shares=order.shares + Shares(10**9), notional=Usd(10**12))
    report = report_on(order, Status(status))
    if not report.shares and status != "resting":
        return report
    shares = order.shares if status == "filled" else Shares(max(1, order.shares.micro * part // 10))
    rounding = Rounding.DOWN if order.side is Side.BUY else Rounding.UP
    notional = shares.at(order.limit_price, rounding)
    if order.side is Side.SELL:
        notional = min(notional, shares.at(Price(1_000_000), Rounding.UP))
    if order.side is Side.BUY:
        shares = min(Shares(shares.micro * (10 + more) // 10), Shares(max(notional.micro, shares.micro)))
    fee = notional.scaled(Ratio(FEE_BPS * 100), Rounding.DOWN) if notional else NO_USD
    return evolve(report, shares=shares, notional=notional, fee=fee, **settlement)
