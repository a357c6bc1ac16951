"""The whole engine at our venue: what the venue has written down is what the ledger says, whatever goes wrong between."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tests.builders import POLYGON
from tests.clob.live import MAKERS, LiveWorld, trading
from trio_copy.model.decisions import Code, End
from trio_copy.model.fills import Side
from trio_copy.signing.arming import arm, limits_of
from trio_copy.testing.clob_venue import Accepted, Answered, Later, Mode, OrderAnswer, Settles, Standing

Clock = trio.testing.MockClock


@pytest.mark.parametrize(
    ("channels", "faults"),
    [
        (False, {}),
        (True, {"clock_off_s": -100}),
        (False, {"clock_off_s": 100}),
        (True, {"refuse_channel": 503}),
    ],
    ids=str,
)
async def test_two_wallets_buy_and_sell(
    tmp_path: Path, autojump_clock: Clock, channels: bool, faults: dict[str, Any]
) -> None:
    """With the venue's channels, without them, and with a clock that is wrong: shares, cash and fees to the millionth."""
    async with trading(tmp_path, channels=channels, faults=faults) as world:
        world.chain.mine(world.buy(), world.buy(token=2))
        await world.wait_settled(4)
        world.chain.mine(world.buy(side=Side.SELL))
        await world.wait_settled(6)
        assert [one.outcome.end for one in world.recorder.finished] == [End.FILLED] * 6
        assert world.booked == world.recorded
        assert {(wallet, side) for wallet, side, _ in world.booked} == {
            (wallet, side) for wallet in MAKERS.values() for side in Side
        }


_ORDERS = {"path": "POST /order"}
_FAULTS: tuple[tuple[dict[str, Any], float], ...] = (
    ({**_ORDERS, "lose_reply": True, "requests": 1}, 0),
    ({**_ORDERS, "stall": True, "carried_out": True, "requests": 2}, 0),
    ({**_ORDERS, "status": 502, "carried_out": True}, 8),
    ({"mode": Mode.RESTARTING}, 10),
    ({"order_answer": OrderAnswer.OTHER_ID}, 8),
    ({"order_answer": OrderAnswer.DELAYED, "later": Later.KILLED}, 8),
    ({"order_answer": OrderAnswer.NO_AMOUNTS, "trades_lag_s": 20}, 8),
    ({"settles": Settles.UNDONE}, 8),
    ({**_ORDERS, "drop": True}, 10),
)
"""Each, and for how many seconds; 0 for so many requests. What else there is: `test_bought_once`."""


async def test_whatever_goes_wrong_at_the_venue_the_ledger_is_its_record(tmp_path: Path, autojump_clock: Clock) -> None:
    """One fault after the other: nothing is bought twice, no fill is lost, and every task ends."""
    async with trading(tmp_path) as world:
        for number, (faults, lasts_s) in enumerate(_FAULTS, 1):
            for fault, value in faults.items():
                setattr(world.server.faults, fault, value)
            world.chain.mine(world.buy())
            await trio.sleep(lasts_s or 4)
            world.server.faults.clear()
            await world.wait_settled(2 * number)
            assert world.booked == world.recorded, faults
            _check_taken_once(world)


async def test_a_venue_that_restarts_has_every_order_once_it_is_ready(tmp_path: Path, autojump_clock: Clock) -> None:
    """Entries as exits: the same bytes within their deadline, at a pace, and people see why it takes so long."""
    async with trading(tmp_path) as world:
        world.chain.mine(world.buy())
        await world.wait_settled(2)
        world.server.faults.mode = Mode.RESTARTING
        world.chain.mine(world.buy(token=2), world.buy(side=Side.SELL))
        await trio.sleep(45)
        assert len(world.recorder.finished) == 2
        world.server.faults.clear()
        await world.wait_settled(6)
        assert [one.outcome.end for one in world.recorder.finished] == [End.FILLED] * 6
        assert world.booked == world.recorded
        _check_taken_once(world)
        sends = [one for one in world.server.clob.record.of(Answered) if one.path == "/order" and one.status == 425]
        assert len(sends) < 4 * 45 * 2
        assert [kind for kind, _ in world.recorder.alerts if kind.startswith("venue")] == [
            "venue-stopped",
            "venue-goes-on",
        ]


async def test_a_tick_that_changed_costs_one_more_order(tmp_path: Path, autojump_clock: Clock) -> None:
    """The market is read anew, and an order of the new tick is made; once, though one order is all that a person wants."""
    async with trading(tmp_path) as world:
        faults = world.server.faults
        faults.path, faults.requests, faults.text = "POST /order", 2, "Price (0.51) breaks minimum tick size rule: 0.1"
        world.chain.mine(world.buy())
        await world.recorder.wait_copies(2)
        answers = [one for one in world.server.clob.record.of(Answered) if one.path == "/order"]
        assert [one.status for one in answers] == [0, 0, 200, 200]
        assert len({one.order_ids for one in answers}) == 4
        faults.clear()
        faults.path, faults.text = "POST /order", "order_version_mismatch"
        world.chain.mine(world.buy(token=2))
        await world.wait_settled(4)
        assert [one.outcome.end for one in world.recorder.finished[2:]] == [End.REJECTED] * 2
        assert len([one for one in world.server.clob.record.of(Answered) if one.path == "/order"]) == len(answers) + 4
        assert world.booked == world.recorded


async def test_a_wallet_that_was_stopped_goes_on_once_it_is_armed_again(tmp_path: Path, autojump_clock: Clock) -> None:
    """The engine runs on all the while, and says what to do."""
    async with trading(tmp_path) as world:
        world.server.faults.standing = Standing.BANNED
        world.chain.mine(world.buy())
        await world.wait_settled(2)
        world.server.faults.clear()
        world.chain.mine(world.buy())
        await world.wait_settled(4)
        assert {one.outcome.end for one in world.recorder.finished} == {End.REJECTED}
        told = [detail for kind, detail in world.recorder.alerts if kind == "venue-stopped"]
        assert [one.split("; ")[-1] for one in sorted(told)] == [
            f"once that is mended: `trio-copy arm {name}`" for name in sorted(MAKERS, key=lambda name: MAKERS[name])
        ]
        assert world.service is not None
        policy = world.service.plan.settings.wallet["alice"].policy
        arm(tmp_path / "signing", MAKERS["alice"], limits_of(policy, POLYGON), world.wall() + 86_400)
        await trio.sleep(2)
        world.chain.mine(world.buy())
        await world.wait_settled(6)
        ends = {one.task.follower: one.outcome.end for one in world.recorder.finished}
        assert ends == {"alice": End.FILLED, "bob": End.REJECTED}
        assert world.booked == world.recorded


async def test_what_the_guard_refuses_is_the_reason_of_its_task(tmp_path: Path, autojump_clock: Clock) -> None:
    """And nothing reaches the venue: here of wallets that a person has disarmed."""
    async with trading(tmp_path) as world:
        for path in (tmp_path / "signing").glob("armed-*"):
            path.unlink()
        await trio.sleep(1.5)
        world.chain.mine(world.buy())
        await world.recorder.wait_until(lambda: len(world.recorder.finished) == 2)
        reasons = [one.outcome.reason for one in world.recorder.finished]
        assert {(one.code, one.control) for one in reasons if one is not None} == {
            (Code.GUARD_REFUSED, "wallet.alice"),
            (Code.GUARD_REFUSED, "wallet.bob"),
        }
        assert not [one for one in world.server.clob.record.of(Answered) if one.path == "/order"]


def _check_taken_once(world: LiveWorld) -> None:
    """Each task has one order at the venue at most."""
    taken = Counter(one.order_id for one in world.server.clob.record.of(Accepted))
    assert set(taken.values()) <= {1}
    assert taken.total() <= len(world.recorder.finished)


async def test_only_what_is_on_the_chain_is_sold(tmp_path: Path, autojump_clock: Clock) -> None:
    """He buys more and leaves within seconds: what is there is sold at once, and the rest as soon as it is.

    Of alice's shares the transaction fails once, and bob's never come: he hears of what he still has, and why.
    """
    async with trading(tmp_path) as world:
        world.chain.mine(world.buy(shares=200))
        await world.wait_settled(2)
        faults, settlement = world.server.faults, world.server.clob.settlement
        faults.settles, faults.mined_after_s = Settles.NEVER, 9
        world.chain.mine(world.buy(shares=100))
        await world.recorder.wait_copies(4)
        began, faults.settles = world.wall(), Settles.PROMPTLY
        world.chain.mine(world.buy(side=Side.SELL, shares=300))
        await world.recorder.wait_copies(6)
        (hers,) = [one for one in list(settlement.trades.values())[2:4] if one.taker_wallet == MAKERS["alice"]]
        for status, after_s in (("RETRYING", 3), ("MINED", 9), ("CONFIRMED", 9)):
            settlement.advance(hers.trade_id, status)
            await trio.sleep(after_s)
        await world.recorder.wait_until(lambda: len(world.recorder.finished) == 8)
        ends = [one.outcome for one in world.recorder.finished[4:]]
        assert [(one.end.value, one.reason and one.reason.because) for one in ends] == [
            *[("filled", None)] * 3,
            ("expired", "leaving.settle_s: 10.2 of 10.2 shares unsettled, expected settled within 60 s"),
        ]
        sold = [one for one in world.server.clob.record.of(Accepted) if one.side is Side.SELL]
        assert [one.at_ms / 1000 - began > 3 for one in sold] == [False, False, True]
        assert world.booked == world.recorded
