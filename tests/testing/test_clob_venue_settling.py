"""What wallets have at our venue while orders wait, trades settle or fail, and fees are taken."""

import random
from collections.abc import Mapping
from decimal import Decimal

import pytest
import trio
import trio.testing

from tests.builders import NOW
from tests.testing.venue_client import YES, open_venue, order_id, put_book, trader
from trio_copy.model.fills import Side
from trio_copy.model.units import Price, Ratio
from trio_copy.testing.clob_venue import (
    Accepted,
    Ended,
    Filled,
    Later,
    OrderAnswer,
    Settled,
    Settles,
    Tier,
)


@pytest.mark.parametrize(
    ("rate", "exponent", "shares", "cash", "fee"),
    [
        ("0.07", 1, "2.56", "2.3552", 13_180),
        ("0.05", 1, "25", "3.25", 141_370),
        ("0.04", 2, "100", "50", 250_000),
        ("0", 1, "5", "3", 0),
    ],
)
async def test_takers_pay_the_fee_that_trades_do_not_tell(
    clock: trio.testing.MockClock, rate: str, exponent: int, shares: str, cash: str, fee: int
) -> None:
    """The first is a fill of the real venue; the second is 25 x 0.05 x 0.13 x 0.87, down to five decimals."""
    async with open_venue(fee_rate=Ratio.parse(rate), fee_exponent=exponent) as server:
        one = await trader(server)
        price = str(Price.parse(cash).micro * 1_000_000 // Price.parse(shares).micro / 1_000_000)
        put_book(server, asks=[(price, shares)])
        # What nobody may pay: the cash and one cent, of which the fee is no part.
        limit = one.order("BUY", "99", str(int(99 / float(price) * 100) / 100), "FAK")
        placed = (await one.post(limit)).json["orderID"]
        (fill,) = server.clob.record.fills(placed)
        assert (fill.shares, fill.cash, fill.fee) == (Price.parse(shares).micro, Price.parse(cash).micro, fee)
        await trio.sleep(10)
        assert one.wallet.has[None] == 1000_000_000 - fill.cash - fee
        (trade,) = (await one.ask("GET", "/data/trades")).json["data"]
        assert trade["fee_rate_bps"] == "0"


STEPS: Mapping[Settles, list[tuple[int, str]]] = {
    Settles.PROMPTLY: [(0, "MATCHED"), (2, "MINED"), (4, "CONFIRMED")],
    Settles.NEVER: [(0, "MATCHED")],
    Settles.RETRIED: [(0, "MATCHED"), (2, "RETRYING"), (4, "MINED"), (6, "CONFIRMED")],
    Settles.FAILED: [(0, "MATCHED"), (2, "RETRYING"), (4, "FAILED")],
    Settles.UNDONE: [(0, "MATCHED"), (2, "MINED"), (4, "RETRYING"), (6, "FAILED")],
}


@pytest.mark.parametrize("settles", Settles)
async def test_trades_settle_as_they_are_told_to(clock: trio.testing.MockClock, settles: Settles) -> None:
    """Shares can be sold when they are mined; a trade that fails gives everything back."""
    async with open_venue() as server:
        server.faults.settles = settles
        one = await trader(server)
        await one.post(one.order("BUY", "3", "5"))
        for _ in range(8):
            (status,) = [trade["status"] for trade in (await one.ask("GET", "/data/trades")).json["data"]]
            sold = await one.post(one.order("SELL", "5", "4.5", "GTC"))
            assert (sold.status == 200) is (status in ("MINED", "CONFIRMED"))
            await one.ask("DELETE", "/cancel-all")
            await trio.sleep(1)
        settled = [((entry.at_ms - int(NOW * 1000)) // 1000, entry.status) for entry in server.clob.record.of(Settled)]
        assert settled == STEPS[settles]
        last = settled[-1][1]
        assert one.wallet.has[YES] == (5_000_000 if last == "CONFIRMED" else 0)
        assert one.wallet.has[None] == (997_000_000 if last == "CONFIRMED" else 1000_000_000)
        assert one.wallet.matched[None] == (3_000_000 if last == "MATCHED" else 0)


async def test_what_a_wallet_has_is_read_anew_when_asked(clock: trio.testing.MockClock) -> None:
    async with open_venue() as server:
        server.faults.stale_cache = True
        one = await trader(server)
        path = f"/balance-allowance{{}}?asset_type=CONDITIONAL&token_id={YES}&signature_type=0"
        await one.post(one.order("BUY", "3", "5"))
        await trio.sleep(10)
        assert (await one.ask("GET", path.format(""))).json["balance"] == "0"
        assert "balance: 0" in (await one.post(one.order("SELL", "5", "2"))).error
        assert (await one.ask("GET", path.format("/update"))).json["balance"] == "5000000"
        assert (await one.ask("GET", path.format(""))).json["balance"] == "5000000"
        assert (await one.post(one.order("SELL", "5", "2"))).status == 200
        wrong = await one.ask("GET", path.format("").replace("signature_type=0", "signature_type=2"))
        assert wrong.json["balance"] == "0"


async def test_open_orders_and_unsettled_trades_are_no_balance(clock: trio.testing.MockClock) -> None:
    async with open_venue() as server:
        server.faults.settles = Settles.NEVER
        one = await trader(server, usd=10)
        await one.post(one.order("BUY", "3", "5"))
        await one.post(one.order("BUY", "4", "10", "GTC"))
        refused = (await one.post(one.order("BUY", "3.01", "5.0166"))).error
        assert refused.endswith(
            "balance: 10000000, sum of active orders: 4000000, sum of matched orders: 3000000, order amount (inc. fees): 3010000"
        )
        assert (await one.post(one.order("BUY", "3", "5"))).status == 200


async def test_orders_end_that_a_wallet_cannot_pay_any_more(clock: trio.testing.MockClock) -> None:
    """The newest first, and only as many as it takes; as soon as the venue knows, which a client can make it."""
    async with open_venue() as server:
        one = await trader(server, usd=10)
        placed = [(await one.post(one.order("BUY", cash, "10", "GTC"))).json["orderID"] for cash in ("3", "4", "2")]
        one.wallet.has[None] = 4_000_000
        assert one.wallet.held[None] == 9_000_000
        await one.ask("GET", "/balance-allowance/update?asset_type=COLLATERAL&signature_type=0")
        states = [(await one.ask("GET", f"/data/order/{order_id}")).json["status"] for order_id in placed]
        assert states == ["LIVE", "CANCELED_NOT_ENOUGH_BALANCE", "CANCELED_NOT_ENOUGH_BALANCE"]
        assert one.wallet.held[None] == 3_000_000


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (OrderAnswer.LIVE, "FAK"),
        (OrderAnswer.DELAYED, "FOK"),
        (OrderAnswer.DELAYED, "GTC"),
        (OrderAnswer.UNMATCHED, "FAK"),
    ],
)
@pytest.mark.parametrize("later", Later)
async def test_orders_wait_and_nobody_knows_yet(
    clock: trio.testing.MockClock, answer: OrderAnswer, kind: str, later: Later
) -> None:
    async with open_venue() as server:
        server.faults.order_answer, server.faults.later = answer, later
        one = await trader(server)
        body = one.order("BUY", "3", "5", kind)
        told = (await one.post(body)).json
        assert (told["status"], told["orderID"], told["tradeIDs"]) == (answer.value, order_id(body), [])
        assert (told["makingAmount"], told["takingAmount"]) == ("", "")
        assert "Duplicated" in (await one.post(body)).error
        assert one.wallet.held[None] == 3_000_000
        assert (await one.ask("GET", f"/data/order/{order_id(body)}")).json["status"] == answer.value.upper()
        if answer is OrderAnswer.DELAYED:
            refused = (await one.ask("DELETE", "/order", {"orderID": order_id(body)})).json["not_canceled"]
            assert refused == {order_id(body): "cannot cancel because the order is in pending/delayed status"}
        await trio.sleep(4)
        assert [fill.shares for fill in server.clob.record.fills(order_id(body))] == [5_000_000] * (
            later is Later.MATCHED
        )
        assert one.wallet.held[None] == 0


@pytest.mark.parametrize("seed", range(2))
async def test_wallets_have_what_the_record_says(clock: trio.testing.MockClock, seed: int) -> None:
    """Whatever people do and however trades settle: no share and no dollar comes from nowhere."""
    dice = random.Random(seed)
    async with open_venue(fee_rate=Ratio.parse("0.05")) as server:
        server.faults.tier = Tier.UNLIMITED
        traders = [await trader(server, number, shares={YES: 500}) for number in (1, 2, 3)]
        for _ in range(50):
            server.faults.settles = dice.choice([*Settles])
            one, price, size = dice.choice(traders), dice.randrange(30, 71), dice.randrange(6, 40)
            side, kind = dice.choice(["BUY", "SELL"]), dice.choice(["FAK", "FOK", "GTC"])
            amounts = str(Decimal(price * size) / 100), str(size)
            await one.post(one.order(side, *(amounts if side == "BUY" else amounts[::-1]), kind))
            if dice.random() < 0.2:
                put_book(server, bids=[("0.4", "30"), ("0.3", "9")], asks=[("0.55", "20"), ("0.6", "50")])
            await trio.sleep(dice.random())
        for one in traders:
            await one.ask("DELETE", "/cancel-all")
        await trio.sleep(60)

        record = server.clob.record
        ends = {entry.trade_id: entry.status for entry in record.of(Settled)}
        for one in traders:
            fills = [fill for fill in record.of(Filled) if fill.wallet == one.wallet.address]
            settled = [fill for fill in fills if ends[fill.trade_id] == "CONFIRMED"]
            signs = [1 if fill.side is Side.BUY else -1 for fill in settled]
            shares_of = sum(sign * fill.shares for sign, fill in zip(signs, settled, strict=True))
            cash_of = sum(sign * fill.cash + fill.fee for sign, fill in zip(signs, settled, strict=True))
            assert one.wallet.has == {None: 1000_000_000 - cash_of, YES: 500_000_000 + shares_of}
            assert one.wallet.held.total() == 0
            given = [
                fill.cash + fill.fee if fill.side is Side.BUY else fill.shares
                for fill in fills
                if ends[fill.trade_id] == "MATCHED"
            ]
            assert one.wallet.matched.total() == sum(given)
        orders = {entry.order_id: entry for entry in record.of(Accepted)}
        assert {entry.order_id for entry in record.of(Ended)} == orders.keys()
        for order in orders.values():
            got = record.fills(order.order_id)
            shares, cash = sum(fill.shares for fill in got), sum(fill.cash for fill in got)
            if order.side is Side.BUY:
                assert cash <= order.maker_amount
                assert shares <= order.taker_amount or order.order_type != "GTC"
                assert cash * order.taker_amount <= order.maker_amount * shares
            else:
                assert shares <= order.maker_amount
                # Each level lets go what is below a millionth: there are three at most.
                assert (cash + 3 * len(got)) * order.maker_amount >= order.taker_amount * shares
        assert len({ends[fill.trade_id] for fill in record.of(Filled)}) == 3
