"""Every refusal of our venue, in the real one's words."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import trio.testing
from attrs import frozen

from tests.builders import NOW
from tests.testing.venue_client import YES, Trader, ask, open_venue, order_id, put_book, trader
from trio_copy.testing.clob_venue import Answered, ClobServer, Mode, OrderAnswer, Standing

PRECISE = "invalid amounts, the {} orders maker amount supports a max accuracy of {} decimals, taker amount a max of {}"
FUNDS = "not enough balance / allowance: the {} is not enough -> "
OTHER = "0x" + "99" * 20


@frozen
class Case:
    """An order that is refused: `{id}` in the text stands for its own."""

    name: str
    status: int
    text: str
    make: Callable[[Trader], Mapping[str, Any]]
    kind: int = 0
    setup: Callable[[ClobServer, Trader], object] = lambda server, one: None


def limit(side: str, maker: str, taker: str, **more: Any) -> Callable[[Trader], Mapping[str, Any]]:
    return lambda one: one.order(side, maker, taker, more.pop("order_type", "GTC"), **more)


def instant(
    side: str, maker: str, taker: str, order_type: str = "FAK", **more: Any
) -> Callable[[Trader], Mapping[str, Any]]:
    return lambda one: one.order(side, maker, taker, order_type, **more)


def changed(**fields: Any) -> Callable[[Trader], Mapping[str, Any]]:
    """An order that was changed after it was signed."""

    def make(one: Trader) -> Mapping[str, Any]:
        body = one.order("BUY", "3", "5")
        return {**body, "order": {**body["order"], **fields}}

    return make


def forged(one: Trader) -> Mapping[str, Any]:
    """An order of type 3 whose hash inside the signature is another one's."""
    body = one.order("BUY", "3", "5")
    signature = bytearray.fromhex(body["order"]["signature"][2:])
    signature[100] ^= 1
    return {**body, "order": {**body["order"], "signature": "0x" + signature.hex()}}


def faulty(**faults: Any) -> Callable[[ClobServer, Trader], None]:
    def setup(server: ClobServer, one: Trader) -> None:
        for name, value in faults.items():
            setattr(server.faults, name, value)

    return setup


def wallet(**values: Any) -> Callable[[ClobServer, Trader], None]:
    def setup(server: ClobServer, one: Trader) -> None:
        for name, value in values.items():
            setattr(one.wallet, name, value)

    return setup


CASES = [
    Case("string salt", 400, "Invalid order payload", changed(salt="1")),
    Case("great salt", 400, "Invalid order payload", changed(salt=2**53)),
    Case("negative amount", 400, "Invalid order payload", changed(makerAmount="-1")),
    Case("no such side", 400, "Invalid order payload", changed(side="HOLD")),
    Case("no such type", 400, "Invalid order payload", changed(signatureType=4)),
    Case("not hex", 400, "Invalid order payload", changed(signature="0xzz")),
    Case("half a signature", 400, "invalid signature", changed(signature="0x1234")),
    Case("token that is none", 400, "Invalid token id", changed(tokenId="yes")),
    Case("post-only FAK", 400, "Invalid order payload", instant("BUY", "3", "5", postOnly=True)),
    Case("changed", 400, "invalid signature", changed(takerAmount="4000000")),
    Case("not the market's exchange", 400, "invalid signature", instant("BUY", "3", "5", exchange="v2-neg-risk")),
    Case("other generation", 400, "order_version_mismatch", instant("BUY", "3", "5", exchange="v3")),
    Case("forged 7739", 400, "invalid signature", forged, kind=3),
    Case("owner", 400, "the order owner has to be the owner of the API KEY", instant("BUY", "3", "5", owner="x")),
    Case(
        "signer",
        400,
        "the order signer address has to be the address of the API KEY",
        changed(signer=OTHER),
    ),
    Case(
        "undeployed",
        400,
        "the order signer address has to be the address of the API KEY",
        instant("BUY", "3", "5"),
        kind=3,
        setup=wallet(deployed=False),
    ),
    Case(
        "not its maker",
        400,
        "maker address not allowed, please use the deposit wallet flow",
        instant("BUY", "3", "5", fields={"maker": OTHER}),
        kind=1,
    ),
    Case(
        "deposit wallets only",
        400,
        "maker address not allowed, please use the deposit wallet flow",
        instant("BUY", "3", "5"),
        setup=faulty(standing=Standing.DEPOSIT_ONLY),
    ),
    Case("banned", 400, "'{maker}' address banned", instant("BUY", "3", "5"), setup=wallet(standing=Standing.BANNED)),
    Case(
        "closed only",
        400,
        "'{maker}' address in closed only mode",
        instant("BUY", "3", "5"),
        setup=wallet(standing=Standing.CLOSED_ONLY),
    ),
    Case("no such token", 404, "No orderbook exists for the requested token id", changed(tokenId="7")),
    Case(
        "decided",
        404,
        "No orderbook exists for the requested token id",
        instant("BUY", "3", "5"),
        setup=lambda server, one: server.clob.market.decide(server.clob.market.facts[YES].condition_id, (1_000_000, 0)),
    ),
    Case(
        "off the tick",
        400,
        "order {id} is invalid. Price (0.605) breaks minimum tick size rule: 0.01",
        limit("BUY", "6.05", "10"),
    ),
    Case(
        "rounded apart",
        400,
        "order {id} is invalid. Price (0.9803921568627451) breaks minimum tick size rule: 0.01",
        limit("BUY", "10", "10.2"),
    ),
    Case(
        "too dear",
        400,
        "order {id} is invalid. Price (1) breaks minimum tick size rule: 0.01",
        limit("BUY", "10", "10"),
    ),
    Case(
        "too cheap",
        400,
        "order {id} is invalid. Price (0.001) breaks minimum tick size rule: 0.01",
        limit("BUY", "1", "1000"),
    ),
    Case("small", 400, "order {id} is invalid. Size (4.99) lower than the minimum: 5", limit("BUY", "1.996", "4.99")),
    Case(
        "small sale", 400, "order {id} is invalid. Size (0.1) lower than the minimum: 5", instant("SELL", "0.1", "0.04")
    ),
    Case("nothing", 400, "order {id} is invalid. Size (0) lower than the minimum: 5", limit("BUY", "0", "5")),
    Case("cents only", 400, PRECISE.format("market buy", 2, 4), instant("BUY", "3.001", "5.0016")),
    Case("four decimals only", 400, PRECISE.format("market buy", 2, 4), instant("BUY", "2.99", "4.98333")),
    Case("shares of a sale", 400, PRECISE.format("market sell", 2, 4), instant("SELL", "5.001", "2.0004")),
    Case("shares of a limit", 400, PRECISE.format("buy", 4, 2), limit("BUY", "2.0004", "5.001")),
    Case("shares of a limit sale", 400, PRECISE.format("sell", 2, 4), limit("SELL", "5.001", "2.5005")),
    Case(
        "no product",
        400,
        "invalid amounts, the maker amount for a $0.22 order of size 19.69 should be '4.3318' but the value submited is '4.33'",
        limit("BUY", "4.33", "19.69"),
    ),
    Case(
        "no product of a sale",
        400,
        "invalid amounts, the taker amount for a $0.22 order of size 19.69 should be '4.3318' but the value submited is '4.33'",
        limit("SELL", "19.69", "4.33"),
    ),
    Case(
        "small purchase",
        400,
        "invalid amount for a marketable BUY order ($0.99), min size: 1",
        instant("BUY", "0.99", "1.65"),
    ),
    Case(
        "small purchase that need not rest",
        400,
        "invalid amount for a marketable BUY order ($0.5), min size: 1",
        limit("BUY", "0.5", "5"),
        setup=lambda server, one: put_book(server, asks=[("0.1", "10")]),
    ),
    Case("crosses", 400, "invalid post-only order: order crosses book", limit("BUY", "6", "10", postOnly=True)),
    Case("expires", 400, "invalid expiration", limit("BUY", "4", "10", expiration=int(NOW) + 999)),
    Case(
        "expires at once",
        400,
        "invalid expiration",
        limit("BUY", "4", "10", order_type="GTD", expiration=int(NOW) + 179),
    ),
    Case("never expires", 400, "invalid expiration", limit("BUY", "4", "10", order_type="GTD")),
    Case(
        "FOK",
        400,
        "order couldn't be fully filled. FOK orders are fully filled or killed.",
        instant("BUY", "6.06", "10.1", "FOK"),
    ),
    Case(
        "FAK",
        400,
        "no orders found to match with FAK order. FAK orders are partially filled or killed if no match is found.",
        instant("BUY", "5.9", "10"),
    ),
    Case(
        "FAK a hair under the offer",
        400,
        "no orders found to match with FAK order. FAK orders are partially filled or killed if no match is found.",
        instant("BUY", "5.99", "9.9834"),
    ),
    Case(
        "poor", 400, FUNDS.format("balance") + "balance: 1000000000, sum of active", instant("BUY", "1000.02", "1666.7")
    ),
    Case("nothing to sell", 400, FUNDS.format("balance") + "balance: 0, sum of active", instant("SELL", "5", "2")),
    Case(
        "not approved",
        400,
        FUNDS.format("allowance") + "spender: 0xE111180000d2663C0091e4f400237545B87B996B, allowance: 0, sum",
        instant("BUY", "3", "5"),
        setup=wallet(known_allowed={}),
    ),
    Case("refused in 200", 200, "", instant("BUY", "3", "5"), setup=faulty(order_answer=OrderAnswer.ERROR)),
    Case("restarting", 425, "service not ready", instant("BUY", "3", "5"), setup=faulty(mode=Mode.RESTARTING)),
    Case(
        "disabled",
        503,
        "Trading is currently disabled. Check polymarket.com for updates",
        instant("BUY", "3", "5"),
        setup=faulty(mode=Mode.DISABLED),
    ),
    Case(
        "cancel-only",
        503,
        "Trading is currently cancel-only.",
        instant("BUY", "3", "5"),
        setup=faulty(mode=Mode.CANCEL_ONLY),
    ),
    Case(
        "post-only",
        503,
        "post-only mode: only post-only orders and cancels are allowed",
        instant("BUY", "3", "5"),
        setup=faulty(mode=Mode.POST_ONLY),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_orders_are_refused_in_the_venues_words(clock: trio.testing.MockClock, case: Case) -> None:
    async with open_venue() as server:
        one = await trader(server, kind=case.kind)
        case.setup(server, one)
        body = case.make(one)
        reply = await one.post(body)

        assert reply.status == case.status
        if case.status == 200:
            assert reply.json["success"] is True
            assert (reply.json["orderID"], reply.json["errorMsg"]) == ("", "not enough balance / allowance")
        else:
            expected = case.text.replace("{maker}", one.wallet.address)
            if "{id}" in expected:
                expected = expected.replace("{id}", order_id(body))
            assert reply.error.startswith(expected)
        assert server.clob.record.of(Answered)[-1].status == case.status
        assert one.wallet.held.total() == one.wallet.matched.total() == 0  # nothing is kept for what was refused


@pytest.mark.parametrize("body", [b"", b"[", b"{}", b"[]", b"null", b'{"order":1}', b"\xff", b"[" * 100_000])
async def test_bodies_that_are_no_orders_are_refused(clock: trio.testing.MockClock, body: bytes) -> None:
    async with open_venue() as server:
        one = await trader(server)
        for method, path in (("POST", "/order"), ("POST", "/orders"), ("DELETE", "/order"), ("DELETE", "/orders")):
            reply = await one.ask(method, path, body)
            nothing = body == b"[]" and path == "/orders"
            assert (reply.status == 200) is nothing
            assert nothing or reply.error in ("Invalid order payload", "Invalid payload")


@pytest.mark.parametrize(
    "target",
    [
        "/book",
        "/book?token_id=x",
        "/v2/tokens",
        "/markets?condition_ids=1",
        "/prices-history?market=1",
        "/tick-size?token_id=x",
        "/price",
        "/gamma/",
        "/nowhere",
        "//[",
        "/data/v2/trades?user=1&start=x",
    ],
)
async def test_what_nobody_can_answer_ends_no_venue(clock: trio.testing.MockClock, target: str) -> None:
    async with open_venue() as server:
        assert (await ask(server, "GET", target, b"", {})).status in (400, 404)
        assert (await ask(server, "GET", "/ok", b"", {})).json == "OK"


async def test_other_requests_are_refused_in_the_venues_words(clock: trio.testing.MockClock) -> None:
    async with open_venue() as server:
        one = await trader(server)
        order = one.order("BUY", "3", "5")
        for method, target, body, text in (
            ("GET", "/balance-allowance?asset_type=CASH", b"", "Invalid asset type"),
            ("GET", "/balance-allowance?asset_type=COLLATERAL&signature_type=4", b"", "Invalid signature_type"),
            ("GET", "/balance-allowance?asset_type=CONDITIONAL&token_id=x", b"", "Invalid token id"),
            ("GET", "/data/trades?next_cursor=%3D", b"", "Invalid payload"),
            ("GET", "/data/trades?after=soon", b"", "Invalid payload"),
            ("DELETE", "/order", {"orderID": "0x12"}, "Invalid orderID"),
            ("DELETE", "/orders", ["0x" + "1" * 64] * 1001, "Too many orders in payload: 1001, max allowed: 1000"),
            ("POST", "/orders", [order] * 16, "Too many orders in payload: 16, max allowed: 15"),
        ):
            reply = await one.ask(method, target, body)
            assert (reply.status, reply.error) == (400, text)


async def test_an_order_is_taken_once(clock: trio.testing.MockClock) -> None:
    """Its very bytes again are a duplicate, unless it was killed without a fill: then that is a fault of the venue."""
    async with open_venue() as server:
        one = await trader(server)
        body = one.order("BUY", "3", "5")
        assert (await one.post(body)).status == 200
        assert (await one.post(body)).error == f"order {order_id(body)} is invalid. Duplicated."

        for remembers in (False, True):
            server.faults.remembers_killed = remembers
            killed = one.order("BUY", "2.5", "5")
            first, second = await one.post(killed), await one.post(killed)
            assert first.error.startswith("no orders found to match")
            assert ("Duplicated" in second.error) is remembers
