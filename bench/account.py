"""What does a copy cost in its account alone: offered, placed, answered, and written down as documents and facts?

What comes from outside is made before: the task, the market, the frozen order and the venue's report.
"""

from collections.abc import Sequence
from functools import partial

from attrs import evolve, frozen

from bench.timing import RUNS, cpu_per_item, row
from trio_copy.accounts import Account
from trio_copy.accounts import commands as c
from trio_copy.accounts.documents import document_of
from trio_copy.accounts.facts import fact_of
from trio_copy.cli.interpreter import tune_interpreter
from trio_copy.model.catalog import Catalog
from trio_copy.model.decisions import CopyTask, OrderIntent
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.ids import FollowerId, IntentKey, OrderId, TokenId
from trio_copy.model.orders import ExecutionReport, Market, Order, Status, Wallet
from trio_copy.model.units import NO_SHARES, Price, Rounding
from trio_copy.records import write_plain
from trio_copy.testing.samples import sample_signal, sample_task

COPIES = 2_000
PURCHASES = 100
NOW = 1_764_000_000.0
ALICE = FollowerId("alice")
SETTINGS = FollowSettings()
WALLET = Wallet(follower=ALICE, address=None)
GOAL_US = 25.0


def main() -> None:
    tune_interpreter()  # as the engine does
    print(f"one account: offer, place, answer, documents and facts as JSON; {COPIES} copies, best of {RUNS}")
    baseline = cpu_per_item(lambda: [sum(range(1_000)) for _ in range(COPIES)], COPIES)
    row("baseline: add up a thousand numbers", baseline)
    for held, written in ((1, True), (1_000, True), (1, False)):
        fresh = [(make_account(held), make_copies()) for _ in range(RUNS)]
        us = cpu_per_item(partial(_copy_next, fresh, written=written), COPIES)
        row(f"a copy beside {held:,} open positions" if written else "of it without documents and facts", us, baseline)
    for lots in (1, 100, 1_000, 5_000):
        fresh = [(make_account(lots, of_one_token=True), make_purchases()) for _ in range(RUNS)]
        us = cpu_per_item(partial(_copy_next, fresh, written=True), PURCHASES)
        row(f"a purchase of a token that was bought {lots:,} times before", us, baseline)
    print(f"  goal: {GOAL_US:g} us a copy, as dear beside 1,000 positions, or after 1,000 purchases, as beside one")


@frozen
class Copy:
    """A task and what the world makes of it."""

    task: CopyTask
    market: Market
    order: Order
    report: ExecutionReport

    def prepare(self, _key: IntentKey, _intent: OrderIntent) -> Order:
        return self.order


def _copy(number: int, token: int, side: Side = Side.BUY) -> Copy:
    signal = evolve(sample_signal(number, side=side, now=NOW + number // 50), token_id=TokenId(token))
    task = sample_task(signal, deadline=NOW + 1e6)
    task = evolve(task, decided_at=NOW, intent=evolve(task.intent, token_id=signal.token_id, sell="all"))
    intent = task.intent
    order = Order(
        key=task.key,
        order_id=OrderId("0x" + task.key),
        executor="sample",
        wallet=WALLET,
        side=intent.side,
        token_id=intent.token_id,
        shares=intent.shares,
        limit_price=intent.limit_price,
        body=b"a body of some hundred bytes".ljust(300, b"."),
    )
    filled = order.shares.at(order.limit_price, Rounding.DOWN if side is Side.BUY else Rounding.UP)
    return Copy(
        task,
        Market(token_id=order.token_id, tick=Price(1), minimum=NO_SHARES, fee_bps=0),
        order,
        ExecutionReport(order_id=order.order_id, status=Status.FILLED, shares=order.shares, notional=filled),
    )


TOKEN = 1 << 255
"""Token ids have 77 digits."""


def make_copies() -> list[Copy]:
    """He buys and sells in turns."""
    return [_copy(number, TOKEN + number // 2, (Side.BUY, Side.SELL)[number % 2]) for number in range(COPIES)]


def make_purchases() -> list[Copy]:
    """He buys one token again and again."""
    return [_copy(number, 0) for number in range(PURCHASES)]


def make_account(held: int, *, of_one_token: bool = False) -> Account:
    account = Account(ALICE, Catalog())
    copy_all(account, [_copy(10**6 + number, 0 if of_one_token else number) for number in range(held)], written=False)
    return account


def _copy_next(fresh: list[tuple[Account, list[Copy]]], *, written: bool) -> None:
    copy_all(*fresh.pop(), written=written)


def copy_all(account: Account, copied: Sequence[Copy], *, written: bool) -> None:
    for number, copy in enumerate(copied):
        offer = c.Offer(task=copy.task, settings=SETTINGS, market=copy.market, prepare=copy.prepare, at=NOW)
        account.apply(account.decide(offer))
        _write(account, written=written)
        account.apply(account.decide(c.Answer(key=copy.order.key, report=copy.report, at=NOW)))
        _write(account, written=written)
        if number % 20 == 19:  # as the checkpoint moves on
            account.apply(account.decide(c.Tick(passed=1 << 60, at=NOW)))
            account.take_changes()


def _write(account: Account, *, written: bool) -> None:
    changed, told = account.take_changes()
    if written:
        for part in changed:
            body = document_of(account, part)
            if body is not None:
                write_plain(body)
        for one in told:
            fact_of(one, write_plain)


if __name__ == "__main__":
    main()
