"""What does a copy cost in its account alone: offered, placed, answered, and written down as documents and facts?"""

from collections.abc import Sequence
from functools import partial

from attrs import evolve

from bench.timing import RUNS, cpu_per_item, row
from trio_copy.accounts import Account
from trio_copy.accounts import commands as c
from trio_copy.accounts.documents import document_of
from trio_copy.accounts.facts import fact_of
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
NOW = 1_764_000_000.0
ALICE = FollowerId("alice")
SETTINGS = FollowSettings()
WALLET = Wallet(follower=ALICE, address=None)
GOAL_US = 25.0


def main() -> None:
    print(f"one account: offer, place, answer, documents and facts as JSON; {COPIES} copies, best of {RUNS}")
    baseline = cpu_per_item(lambda: [sum(range(1_000)) for _ in range(COPIES)], COPIES)
    row("baseline: add up a thousand numbers", baseline)
    for held, written in ((1, True), (1_000, True), (1, False)):
        fresh = [_account(held) for _ in range(RUNS)]
        us = cpu_per_item(partial(_copy_next, fresh, written=written), COPIES)
        row(f"a copy beside {held:,} open positions" if written else "of it without documents and facts", us, baseline)
    print(f"  goal: {GOAL_US:g} us a copy, as dear beside 1,000 positions as beside one")


def _task(number: int, token: int, side: Side = Side.BUY) -> CopyTask:
    signal = evolve(sample_signal(number, side=side, now=NOW + number // 50), token_id=TokenId(token))
    task = sample_task(signal, deadline=NOW + 1e6)
    return evolve(task, decided_at=NOW, intent=evolve(task.intent, token_id=signal.token_id, sell="all"))


TASKS = [_task(number, 10_000 + number // 2, (Side.BUY, Side.SELL)[number % 2]) for number in range(COPIES)]
"""He buys and sells in turns."""


def _account(held: int) -> Account:
    account = Account(ALICE, Catalog())
    _copy_all(account, [_task(10**6 + number, number) for number in range(held)], written=False)
    return account


def _copy_next(fresh: list[Account], *, written: bool) -> None:
    _copy_all(fresh.pop(), TASKS, written=written)


def _freeze(key: IntentKey, intent: OrderIntent) -> Order:
    return Order(
        key=key,
        order_id=OrderId("0x" + key),
        executor="sample",
        wallet=WALLET,
        side=intent.side,
        token_id=intent.token_id,
        shares=intent.shares,
        limit_price=intent.limit_price,
        body=b"a body of some hundred bytes".ljust(300, b"."),
    )


def _copy_all(account: Account, tasks: Sequence[CopyTask], *, written: bool) -> None:
    for number, task in enumerate(tasks):
        market = Market(token_id=task.intent.token_id, tick=Price(1), minimum=NO_SHARES, fee_bps=0)
        offer = c.Offer(task=task, settings=SETTINGS, market=market, prepare=_freeze, at=NOW)
        account.apply(account.decide(offer))
        _write(account, written=written)
        order = account.orders[task.key].order
        report = ExecutionReport(
            order_id=order.order_id,
            status=Status.FILLED,
            shares=order.shares,
            notional=order.shares.at(order.limit_price, Rounding.DOWN if order.side is Side.BUY else Rounding.UP),
        )
        account.apply(account.decide(c.Answer(key=order.key, report=report, at=NOW)))
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
            write_plain(fact_of(one).body)


if __name__ == "__main__":
    main()
