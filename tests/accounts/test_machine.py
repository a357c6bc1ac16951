"""Anything may happen to an account in any order: what holds then.

A naive model beside it keeps every event and adds everything up anew after each step; it must agree to the millionth.
"""

import os
from typing import Any

from attrs import evolve
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.accounts.one_account import DAY_S, OneAccount, report_of
from tests.accounts.played import FAILED, MINED, PENDING, report_on
from tests.accounts.states import derived, documents, kept
from tests.builders import ALICE, LEADER, NOW, OTHER_LEADER, make_settings, make_signal, make_task
from trio_copy.accounts import commands as c
from trio_copy.accounts import events as e
from trio_copy.accounts.documents import PlainDocument, account_of
from trio_copy.accounts.entries import is_of
from trio_copy.accounts.orders import OrderState, outside
from trio_copy.copying.sizing import size
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.control import Mode
from trio_copy.model.decisions import Code, End, OrderIntent, Outcome, Reason, Skip
from trio_copy.model.fills import Kind, Side
from trio_copy.model.ids import TokenId
from trio_copy.model.orders import ExecutionReport, Settlement, Status
from trio_copy.model.positions import LedgerEntry
from trio_copy.model.units import NO_USD, Price, Ratio, Shares, Usd

LEADERS = (LEADER, OTHER_LEADER)
TOKENS = (TokenId(1), TokenId(2), TokenId(3))
OVER = Outcome(end=End.EXPIRED, reason=Reason(code=Code.DEADLINE_PASSED, control="c", value="v", limit="l"))
BLOCK_TIMES = st.sampled_from([int(NOW), int(NOW) + 61, int(NOW) + DAY_S])
STATUSES = st.sampled_from(
    ["filled", "filled", "partial", "killed", "rejected", "absent", "unknown", "outside", "resting", "resting"]
)
SETTLEMENTS = st.sampled_from([{}, PENDING, PENDING, MINED, FAILED])


class AnAccount(OneAccount):
    """What happens to it."""

    @rule(
        leader=st.sampled_from(LEADERS),
        token=st.sampled_from(TOKENS),
        shares=st.integers(1, 400_000_000),
        price=st.integers(1, 999_999),
        at=BLOCK_TIMES,
        aggregates=st.booleans(),
        park=st.booleans(),
        rests=st.booleans(),
    )
    def he_buys(
        self,
        leader: Any,
        token: TokenId,
        shares: int,
        price: int,
        at: int,
        aggregates: bool,
        park: bool,
        rests: bool,
    ) -> None:
        signal = make_signal(
            len(self.tasks), side=Side.BUY, leader=leader, token_id=token, block_time=at, block_number=self._block
        )
        signal = evolve(signal, shares=Shares(shares), price=Price(price), notional=None)
        self._want(signal, park=park, aggregates=aggregates, rests=rests)

    @rule(
        leader=st.sampled_from(LEADERS),
        token=st.sampled_from(TOKENS),
        shares=st.integers(1, 400_000_000),
        sell=st.sampled_from(["proportional", "all", "sized"]),
        kind=st.sampled_from([Kind.TRADE, Kind.TRADE, Kind.TRADE, Kind.EXIT]),
        how=st.sampled_from(["offer", "offer", "crowded", "park", "refuse", "pass"]),
    )
    def he_sells(self, leader: Any, token: TokenId, shares: int, sell: str, kind: Kind, how: str) -> None:
        signal = make_signal(
            len(self.tasks), side=Side.SELL, leader=leader, token_id=token, kind=kind, block_number=self._block
        )
        self._want(evolve(signal, shares=Shares(shares)), how=how, sell=sell)

    def _want(
        self,
        signal: Any,
        *,
        park: bool = False,
        how: str = "offer",
        aggregates: bool = False,
        rests: bool = False,
        **wish: Any,
    ) -> None:
        sized = size(signal, make_settings(ratio=Ratio.parse("0.1"), max_order_usd=None, **wish), None)
        if not isinstance(sized, OrderIntent):
            return
        if rests:
            sized = evolve(sized, order_type="GTC", rest_until=int(NOW) + 10**8)
        number = len(self.tasks)
        task = make_task(signal, intent=sized, decided_at=NOW + number, deadline=NOW + 10**6, aggregates=aggregates)
        self.tasks.append(task)
        if how == "park" or park:
            self.do(c.Park(task=task, at=NOW))
        elif how == "refuse":
            self.do(c.Refuse(task=task, outcome=OVER, resting=self._resting(task), at=NOW))
        elif how == "pass":
            reason = Reason(code=Code.EXIT_NOT_WANTED, control="c", value="v", limit="l")
            skip = Skip(signal_id=signal.signal_id, follower=ALICE, leader=signal.leader, reason=reason)
            self.do(c.Pass(skip=skip, signal=signal, at=NOW))
        else:
            self.do(self._offer(task, crowded=how == "crowded"))

    @precondition(lambda self: self.tasks)
    @rule(data=st.data(), crowded=st.booleans())
    def is_offered_again(self, data: st.DataObject, crowded: bool) -> None:
        """Whatever is known of it: at most what waits of it is placed."""
        task = data.draw(st.sampled_from(self.tasks))
        if task.signal.signal_id not in self.forgotten:
            self.do(self._offer(task, crowded=crowded))

    @precondition(lambda self: self.account.orders)
    @rule(
        data=st.data(),
        status=STATUSES,
        part=st.integers(1, 9),
        more=st.sampled_from([0, 0, 1, 7]),
        settlement=SETTLEMENTS,
        again=st.booleans(),
    )
    def the_venue_answers(
        self, data: st.DataObject, status: str, part: int, more: int, settlement: dict[str, Any], again: bool
    ) -> None:
        open_order = data.draw(st.sampled_from(self.open_orders))
        report = report_of(open_order, status, part, settlement, more)
        self.do(c.Answer(key=open_order.order.key, report=report, again=again, at=self.now))

    @precondition(lambda self: any(one.state is OrderState.MATCHED for one in self.open_orders))
    @rule(data=st.data(), firm=st.booleans())
    def the_chain_has_the_last_word(self, data: st.DataObject, firm: bool) -> None:
        matched = [one for one in self.open_orders if one.state is OrderState.MATCHED]
        open_order = data.draw(st.sampled_from(matched))
        assert open_order.report is not None
        report = evolve(open_order.report, **({"settlement": Settlement.FIRM} if firm else FAILED))
        self.do(c.Answer(key=open_order.order.key, report=report, at=NOW))
        assert open_order.order.key not in self.account.orders

    @precondition(lambda self: any(one.state is OrderState.MATCHED for one in self.open_orders))
    @rule(data=st.data(), on=st.booleans())
    def it_reaches_the_chain(self, data: st.DataObject, on: bool) -> None:
        """Or is off it again: its shares can be sold just as long."""
        open_order = data.draw(st.sampled_from([one for one in self.open_orders if one.state is OrderState.MATCHED]))
        assert open_order.report is not None
        report = evolve(open_order.report, **(MINED if on else PENDING))
        self.do(c.Answer(key=open_order.order.key, report=report, at=self.now))
        now = self.account.orders[open_order.order.key].report
        assert now is not None
        assert now.settlement is report.settlement

    @precondition(lambda self: any(self.account.unsettled(one) for one in self.open_orders))
    @rule(
        data=st.data(),
        shares=st.sampled_from([-1.0, -0.6, -0.1, 0, 0, 0.1]),
        hair=st.integers(-2, 2),
        fee=st.integers(-2, 2),
        firm=st.booleans(),
    )
    def it_settles_otherwise(self, data: st.DataObject, shares: float, hair: int, fee: int, firm: bool) -> None:
        """A part of it was undone, or is more than was told; a millionth was rounded elsewhere; the fee is the chain's."""
        open_order = data.draw(st.sampled_from([one for one in self.open_orders if self.account.unsettled(one)]))
        booked, order = open_order.report, open_order.order
        assert booked is not None
        now = Shares(max(0, booked.shares.micro + round(booked.shares.micro * shares) + hair))
        notional = Usd(booked.notional.micro * now.micro // max(1, booked.shares.micro))
        paid = Usd(booked.fee.micro * now.micro // max(1, booked.shares.micro) + fee)
        settlement = Settlement.FIRM if firm else Settlement.PENDING
        report = report_on(order, Status.PARTIAL, shares=now, notional=notional, fee=paid, settlement=settlement)
        before = {one.key for one in self.naive.counted() if one.firm}
        inside, kept = outside(open_order, report) is None, self.naive.counted()
        events = self.do(c.Answer(key=order.key, report=report, at=self.now))
        told = any(isinstance(event, e.Contradicted) for event in events)
        ours = [one for one in self.naive.counted() if is_of(order.key, one)]
        if firm and inside and not open_order.breached and not told:
            totals = [sum(part.micro for part in parts) for parts in zip(*map(_figures, ours), strict=True)]
            assert totals == [part.micro for part in _figures(report)]
        if told or not inside:
            assert self.naive.counted() == kept
        assert before <= {one.key for one in self.naive.counted()}

    @precondition(lambda self: self.account.orders)
    @rule(data=st.data(), what=st.sampled_from([c.Doubt, c.NotSent, c.Escalate]))
    def nobody_answers(self, data: st.DataObject, what: Any) -> None:
        key = data.draw(st.sampled_from(list(self.account.orders)))
        outcome: dict[str, Any] = {} if what is c.Doubt else {"outcome": OVER}
        if what is c.NotSent:
            outcome["waits_on"] = data.draw(st.booleans())
            outcome["intent"] = data.draw(st.sampled_from([None, self.made_of[key]]))
        self.do(what(key=key, at=NOW, **outcome))

    @precondition(lambda self: any(one.rests for one in self.open_orders))
    @rule(data=st.data())
    def an_order_is_called_off(self, data: st.DataObject) -> None:
        open_order = data.draw(st.sampled_from([one for one in self.open_orders if one.rests]))
        assert OVER.reason is not None
        self.do(c.CallOff(key=open_order.order.key, why=OVER.reason, at=self.now))
        assert self.account.orders[open_order.order.key].unproven

    @precondition(lambda self: self.account.waiting)
    @rule(data=st.data(), what=st.sampled_from(["retract", "resume", "try"]))
    def happens_to_what_waits(self, data: st.DataObject, what: str) -> None:
        task = data.draw(st.sampled_from([waits.task for waits in self.account.waiting.values()]))
        match what:
            case "retract":
                self.do(c.Retract(signal=task.signal.signal_id, at=NOW))
            case "resume":
                self.do(c.Resume(signal=task.signal.signal_id, at=NOW))
            case "try":
                self.do(c.Try(task=task.task_id, most=2, at=NOW))

    @precondition(lambda self: self.account.dead)
    @rule(data=st.data(), replay=st.booleans())
    def a_person_looks_at_a_dead_letter(self, data: st.DataObject, replay: bool) -> None:
        task = data.draw(st.sampled_from(list(self.account.dead)))
        self.do(c.Replay(task=task, at=NOW) if replay else c.Purge(task=task, outcome=OVER, at=NOW))

    @precondition(lambda self: self.account.holdings)
    @rule(data=st.data(), payout=st.sampled_from([0, 500_000, 1_000_000]))
    def is_resolved(self, data: st.DataObject, payout: int) -> None:
        spot = data.draw(st.sampled_from(list(self.account.holdings)))
        self.do(c.Resolve(position=(ALICE, *spot), condition_id="0xc0", payout=Price(payout), at=NOW))

    @rule(late=st.sampled_from([0.0, 0.0, 10.0**7]), blocks=st.integers(0, 2))
    def time_passes(self, late: float, blocks: int) -> None:
        self.passed += blocks
        events = self.do(c.Tick(passed=self.passed, at=NOW + late))
        # From here on it is the shard that remembers them.
        self.forgotten |= {signal for event in events if isinstance(event, e.Forgot) for signal in event.signals}
        self.gone_windows |= {name for event in events if isinstance(event, e.Forgot) for name in event.windows}

    @rule(mode=st.sampled_from(Mode))
    def a_person_sets_the_mode(self, mode: Mode) -> None:
        self.do(c.SetMode(mode=mode, why="why", at=NOW))
        self.do(c.SetMode(mode=Mode.RUN, why="why", at=NOW))
        self.do(c.ResetPeak(at=NOW))

    @rule(amount=st.integers(-30_000_000, 30_000_000).map(Usd))
    def a_person_funds_the_wallet(self, amount: Usd) -> None:
        start = self.paper or NO_USD
        before = self.naive.cash(start.micro)
        events = self.do(c.Fund(amount=amount, start=start, why="why", at=NOW))
        assert bool(events) == (amount >= NO_USD or before + amount.micro >= 0)

    @rule(token=st.sampled_from(TOKENS), question=st.sampled_from(["q1", "q2"]), event=st.sampled_from(["", "e"]))
    def the_catalog_learns(self, token: TokenId, question: str, event: str) -> None:
        self.catalog.put([TokenFacts(token_id=token, condition_id=question, event=event)])

    @rule()
    def is_read_again(self) -> None:
        """By another process, from what was written."""
        again = account_of(ALICE, self.catalog, [PlainDocument(*part, body) for part, body in self.stored.items()])
        self.account.recount()
        assert kept(again) == kept(self.account)
        assert derived(again) == derived(self.account)
        self.played.account = again

    @precondition(lambda self: self.commands)
    @rule(data=st.data())
    def a_prefix_is_replayed(self, data: st.DataObject) -> None:
        """Whoever takes over asks again what may have been asked: nothing changes."""
        upto = data.draw(st.integers(1, len(self.commands)))
        before = documents(self.account)
        for command in self.commands[:upto]:
            match command:
                case c.Offer(task=task) | c.Refuse(task=task) | c.Park(task=task):
                    met = task.task_id not in self.account.waiting and task.signal.signal_id not in self.forgotten
                case c.Pass(signal=signal):
                    met = signal.signal_id not in self.forgotten
                case c.Answer(key=key, report=report):
                    # Undone is believed of as much as is booked, which may have become less since it was said.
                    # On the chain is what was said to be so last.
                    met = key not in self.account.orders or report.settlement is Settlement.FIRM
                case c.Doubt(key=key):
                    # What was certainly not sent goes again under its key: then it is another sending that is doubted.
                    known = self.account.orders.get(key)
                    met = known is None or known.state is not OrderState.PLACED
                case c.NotSent(key=key) | c.Escalate(key=key) | c.CallOff(key=key):
                    met = key not in self.account.orders
                case _:
                    met = False
            if met:
                self.account.apply(self.account.decide(command))
                assert documents(self.account) == before, command
        assert not self.account.take_changes()[1]


def _figures(filled: LedgerEntry | ExecutionReport) -> tuple[Shares, Usd, Usd]:
    return (filled.shares, filled.notional, filled.fee)


TestAnAccount = AnAccount.TestCase
TestAnAccount.settings = settings(
    max_examples=int(os.environ.get("ACCOUNT_EXAMPLES", "60")),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
