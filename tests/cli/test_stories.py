"""`trio-copy explain trade`: what it says of copies that are not just sent and filled, by whatever id somebody asks."""

from pathlib import Path

import pytest
from attrs import evolve

from tests.builders import LEADER, NOW, TOKEN, make_signal, make_task
from tests.cli.filled import Owner
from tests.cli.small_books import conf, own
from trio_copy.accounts.commands import Answer
from trio_copy.cli import main
from trio_copy.copying.exits import exit_signal
from trio_copy.model.decisions import CopyTask
from trio_copy.model.ids import ChainId, FollowerId
from trio_copy.model.orders import ExecutionReport, Order, Settlement, Status
from trio_copy.model.units import Price, Shares, Usd

Capture = pytest.CaptureFixture[str]
__all__ = ["conf"]


def explained(name: str, capsys: Capture) -> dict[str, list[str]]:
    """Return what each step says."""
    capsys.readouterr()
    assert main(["explain", "trade", name]) == 0
    told: dict[str, list[str]] = {}
    for line in capsys.readouterr().out.splitlines()[1:]:
        step, _, what = line[26:].partition("  ")
        told.setdefault(step.strip(), []).append(what.strip())
    return told


def leave(owner: Owner) -> tuple[CopyTask, Order]:
    """Let alice buy, and leave by a rule of her own."""
    owner.fill(make_task(make_signal(1)), shares="10", dollars="5")
    key = (FollowerId("alice"), LEADER, TOKEN)
    position = owner.account("alice").position((LEADER, TOKEN))
    rule = "leaving.take_profit_bps"
    task = make_task(
        exit_signal(ChainId(137), key, position, rule, Price.parse("0.9"), 10, NOW + 9), decided_at=NOW + 9
    )
    task = evolve(task, intent=evolve(task.intent, sell="all", shares=Shares(0)))
    return task, owner.fill(task, shares="10", dollars="8.9", at=NOW + 9)


def test_an_own_exit_is_no_trade_of_the_leader(conf: Path, capsys: Capture) -> None:
    """There was no transaction, no exchange and nothing to be seen, and what it got is compared with the bid."""
    task, order = own(conf, leave)
    for name in (task.task_id, task.signal.signal_id, order.order_id):
        told = explained(name, capsys)
        assert told["own exit"][0].startswith("by a rule of `leaving`, or by hand, at a bid of 0.9: token ")
        assert told[""] == [f"10 shares are held that were copied from {LEADER}; signal {task.signal.signal_id}"]
        assert "alice wants SELL 10 shares, limit" in told["decided"][0]
        assert told["booked"] == ["SELL 10 for 8.9 USD, fee 0, +112 bps against the bid, firm"]
        assert not {"leader", "seen"} & told.keys()


def grow(owner: Owner, task: CopyTask, *fills: tuple[Status, str, str, Settlement]) -> Order:
    """Let an order rest with four of its ten shares, and become more."""
    order = owner.rest(task)
    for number, (status, shares, dollars, settlement) in enumerate(fills, 1):
        report = ExecutionReport(
            order_id=order.order_id,
            status=status,
            shares=Shares.parse(shares),
            notional=Usd.parse(dollars),
            settlement=settlement,
        )
        owner.do("alice", Answer(key=order.key, report=report, at=NOW + 60 * number))
    return order


FOUR, SIX = "BUY 4 for 2 USD", "BUY 6 for 3 USD"


@pytest.mark.parametrize(
    ("fills", "rested", "booked"),
    [
        ([], "on the venue's book, at 1", [FOUR]),
        ([(Status.FILLED, "10", "5", Settlement.FIRM)], "on the venue's book, at 1, for 60 s", [FOUR, SIX]),
        ([(Status.PARTIAL, "4", "2", Settlement.FIRM)], "on the venue's book, at 1, for 60 s", [FOUR]),
        (
            [(Status.RESTING, "10", "5", Settlement.PENDING), (Status.FILLED, "10", "5", Settlement.FAILED)],
            "on the venue's book, at 1, for 120 s",
            [FOUR, SIX],
        ),
        (
            [(Status.RESTING, "10", "5", Settlement.PENDING), (Status.PARTIAL, "8", "4", Settlement.FIRM)],
            "on the venue's book, at 1, for 120 s",
            [FOUR, SIX],
        ),
    ],
    ids=["rests", "filled", "called off", "undone", "undone in part"],
)
def test_an_order_that_rested_says_so_and_all_that_it_filled(
    conf: Path, capsys: Capture, fills: list[tuple[Status, str, str, Settlement]], rested: str, booked: list[str]
) -> None:
    """Also when it has ended, and when somebody asks by the order: what it filled meanwhile is stored under its task."""
    task = make_task(make_signal(1))
    task = evolve(task, intent=evolve(task.intent, order_type="GTC", rest_until=int(NOW) + 600))
    order = own(conf, lambda owner: grow(owner, task, *fills))
    for name in (task.task_id, task.signal.signal_id, order.order_id):
        told = explained(name, capsys)
        assert told["rested"] == [rested]
        assert "GTC, which may rest until 2025-11-24T16:10:00.000Z" in told["decided"][0]
        said = [line for line in told["booked"] if line.startswith("BUY")]
        assert [line[: len(FOUR)] for line in said] == booked


@pytest.mark.parametrize("settles", ["at once", "later", "in part"])
def test_one_that_was_filled_at_once_never_rested(conf: Path, capsys: Capture, settles: str) -> None:
    """It was only allowed to; what is booked about its settling is no fill of its rest."""
    task = make_task(make_signal(1))
    task = evolve(task, intent=evolve(task.intent, order_type="GTC", rest_until=int(NOW) + 600))

    def act(owner: Owner) -> Order:
        pending = Settlement.FIRM if settles == "at once" else Settlement.PENDING
        order = owner.fill(task, shares="10", dollars="5", settlement=pending)
        owner.answer(order, *(("7", "3.5") if settles == "in part" else ("10", "5")), "", NOW + 60)
        return order

    own(conf, act)
    told = explained(task.task_id, capsys)
    assert "rested" not in told
    corrected = "corrected by -3 shares for -1.5 USD, fee 0: it settled with other amounts"
    assert (corrected in told["booked"]) == (settles == "in part")
