"""What the chain adds to the proof of an order, what it costs, and what it must not hold up."""

import json
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from attrs import define, evolve

from tests.builders import NOW, POLYGON
from tests.clob.scripted_clob import Bench, Says, matched, open_bench
from tests.clob.sent_orders import OURS, TOKEN, WALLET, make_order, order_row, trade_row
from trio_copy.chain.rpc import decode_log
from trio_copy.errors import ExecutorError
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, Hash32, OrderId, TokenId
from trio_copy.model.logs import BlockRef, RawLog
from trio_copy.model.orders import ExecutionReport, Order
from trio_copy.model.units import NO_USD, Shares, Usd
from trio_copy.testing.devnet.chain import DevChain, DevTx, fake_hash
from trio_copy.testing.devnet.encode import order_filled_log
from trio_copy.testing.nodes import ScriptedNodes
from trio_copy_clob.orders.exchanges import exchange_of
from trio_copy_clob.sending.chain_fills import ChainFills
from trio_copy_clob.sending.chain_logs import bought_by_taking, fills_of

Clock = trio.testing.MockClock
_V2 = exchange_of("v2").contract
_MAKER = Address("0x" + "77" * 20)
_BODY = b'{"order":{"salt":1,"timestamp":"%d000"},"owner":"","orderType":"FAK","postOnly":false}'


# The logs of the real contracts.

_SCENARIOS = json.loads((Path(__file__).parents[1] / "data" / "exchange_v2_matches.json").read_text())["scenarios"]


def _filled(scenario: dict[str, Any]) -> Iterator[tuple[dict[str, Any], RawLog]]:
    for entry in scenario["logs"]:
        if entry["event"] == "OrderFilled":
            yield entry["args"], decode_log(msgspec.json.encode(entry["raw"]), POLYGON)


@pytest.mark.parametrize("scenario", _SCENARIOS, ids=lambda scenario: scenario["scenario"])
def test_real_logs_say_what_wallets_paid_and_got(scenario: dict[str, Any]) -> None:
    """Of every party, taker or maker, to the millionth; also where the exchange gave a part of the cash back."""
    told = list(_filled(scenario))
    moved: dict[str, tuple[int, int]] = {}
    for args, log in told:
        side = Side.SELL if int(args["side"]) else Side.BUY
        wallet = evolve(WALLET, address=Address(args["maker"]))
        order = make_order(side, order_id=OrderId(log.topics[1]), token_id=TokenId(int(args["tokenId"])), wallet=wallet)
        logs = [other for _, other in told]
        (fill,) = fills_of(order, logs, logs, {log.address}, log.block_number)
        sign = 1 if side is Side.BUY else -1
        shares, cash = moved.get(args["maker"], (0, 0))
        moved[args["maker"]] = shares + sign * fill.shares, cash - sign * fill.paid - fill.fee
    deltas = [
        (int(delta["YES"]) + int(delta["NO"]), int(delta["collateral"]))
        for party, delta in scenario["balance_deltas"].items()
        if party != "fee_receiver"
    ]
    nothing = (0, 0)
    assert sorted(set(moved.values()) - {nothing}) == sorted(set(deltas) - {nothing})


def test_a_part_that_was_given_back_is_not_told_without_the_makers() -> None:
    """So it is asked about: who took, and bought."""
    (scenario,) = [one for one in _SCENARIOS if one["scenario"] == "mint_oversupply"]
    logs = [log for _, log in _filled(scenario)]
    (taken,) = bought_by_taking(logs)
    token = int.from_bytes(taken.data[32:64])
    wallet = evolve(WALLET, address=Address("0x" + taken.topics[2][26:]))
    order = make_order(order_id=OrderId(taken.topics[1]), token_id=TokenId(token), wallet=wallet)
    paid = [fills_of(order, logs, makers, {taken.address}, 0)[0].paid for makers in ((), logs, [*logs, *logs])]
    assert paid == [62_000_000, 60_000_000, 60_000_000]


def test_two_orders_of_one_wallet_in_one_transaction_have_their_own_makers() -> None:
    """Those before each, as many as make up its shares."""
    logs = _mined(
        *(_log(OrderId(fake_hash("m", at)), 10, paid, owner=_MAKER, taker=_OURS_OF, side=Side.SELL) for at, paid in [(1, 4), (2, 5)]),
        _log(OURS, 20, 11),
        _log(OrderId(fake_hash("m", 3)), 5, 2, owner=_MAKER, taker=_OURS_OF, side=Side.SELL),
        _log(OrderId(fake_hash("second")), 5, 3),
    )  # fmt: skip
    assert [one.paid for one in fills_of(make_order(), logs, logs, {_V2}, 0)] == [9_000_000]
    second = make_order(order_id=OrderId(fake_hash("second")))
    assert [one.paid for one in fills_of(second, logs, logs, {_V2}, 0)] == [2_000_000]


def test_a_transaction_that_two_nodes_have_in_two_blocks_is_one_fill() -> None:
    """A reorg is between them; half an order would be all of it."""
    (log,) = _mined(_log(OURS, 10, 5))
    other = evolve(log, block_number=9, block_hash=fake_hash("other"))
    assert [one.shares for one in fills_of(make_order(), [log, other], (), {_V2}, 0)] == [10_000_000]


_OURS_OF = WALLET.address
assert _OURS_OF is not None


def _log(
    order_id: OrderId,
    shares: int,
    paid: int,
    fee: Usd = NO_USD,
    *,
    owner: Address | None = _OURS_OF,
    taker: Address | None = None,
    side: Side = Side.BUY,
) -> Any:
    assert owner is not None
    return order_filled_log(
        exchange=_V2,
        order_hash=Hash32(order_id),
        owner=owner,
        counterparty=taker or _V2,
        side=side,
        token_id=TOKEN,
        shares=Shares.parse(shares),
        notional=Usd.parse(paid),
        fee=fee,
    )


def _mined(*logs: Any) -> Sequence[RawLog]:
    chain = DevChain(POLYGON, lambda: NOW)
    return chain.mine(DevTx(tx_hash=fake_hash("tx"), logs=logs)).logs


# Looking orders up.


@define(eq=False, kw_only=True)
class Looked:
    """Looks orders up at a venue that says what a test wants, and on a chain with a block every two seconds."""

    bench: Bench
    chain: DevChain
    nodes: ScriptedNodes
    made: int
    """When our orders were made."""

    def order(self, **changes: Any) -> Order:
        return make_order(**{"body": _BODY % self.made, **changes})

    async def look(self, order: Order | None = None) -> ExecutionReport | None:
        return await self.bench.looking.look_up(order or self.order(), self.bench.signer, trio.current_time() + 10)

    async def said(self) -> tuple[str, str, str] | None:
        report = await self.look()
        return None if report is None else (report.status.value, report.settlement.value, str(report.fee))

    def fill(self, shares: int = 20, paid: int = 10, fee: str = "0.1", **changes: Any) -> None:
        log = _log(OURS, shares, paid, Usd.parse(fee), **changes)
        self.chain.mine(DevTx(tx_hash=fake_hash("tx", len(self.chain.blocks)), logs=(log,)))

    @property
    def asked(self) -> list[str]:
        return [method for _, method, _ in self.nodes.asked]

    @property
    def ranges(self) -> list[Any]:
        """The filters, first and last blocks of all questions about logs."""
        return [params for _, method, params in self.nodes.asked if method == "eth_getLogs"]


@asynccontextmanager
async def _looking(*, block_s: float = 2.0, past: int = 500, finalized: int = 16) -> AsyncGenerator[Looked, None]:
    async with open_bench(matched("", "")) as bench:
        began, wall = trio.current_time(), bench.signer.wall
        behind = [past * block_s]
        chain = DevChain(POLYGON, lambda: wall() - behind[0])
        for number in range(past, 0, -1):
            behind[0] = number * block_s
            chain.mine()
        behind[0] = 0
        nodes = ScriptedNodes(chain, unfinalized=finalized)
        bench.looking.read_fills = ChainFills(
            nodes=nodes,
            exchanges=frozenset({_V2}),
            wall=wall,
            on_trouble=lambda kind, detail: bench.told.append((kind, detail)),
        ).of
        bench.looking.on_trouble = lambda kind, detail: bench.told.append((kind, detail))

        async def mine() -> None:
            while True:
                await trio.sleep(block_s)
                chain.mine()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(mine)
            assert trio.current_time() == began
            yield Looked(bench=bench, chain=chain, nodes=nodes, made=int(wall()))
            nursery.cancel_scope.cancel()


async def test_the_chain_has_the_last_word_on_the_fee(clock: Clock) -> None:
    """Asked once, when the venue has settled; what the formula said is corrected."""
    async with _looking() as looked:
        looked.bench.clob.trades = [trade_row(status="MINED")]
        looked.fill(fee="0.2")
        assert await looked.said() == ("filled", "mined", "0.25")
        assert not looked.asked
        looked.bench.clob.trades = [trade_row()]
        assert await looked.said() == ("filled", "firm", "0.2")
        assert len(looked.asked) <= 5


async def test_a_venue_that_never_confirms_is_not_waited_for(clock: Clock) -> None:
    """The log, once it is deep, is as good; and before that it is not."""
    async with _looking(finalized=40) as looked:
        looked.bench.clob.trades = [trade_row(status="MINED")]
        looked.fill()
        await looked.look()
        await trio.sleep(62)
        assert await looked.said() == ("filled", "mined", "0.1")
        await trio.sleep(62)
        assert await looked.said() == ("filled", "firm", "0.1")


async def test_a_fill_that_the_venue_does_not_tell_is_found(clock: Clock) -> None:
    """A matched FAK often reads null; its trades may come late."""
    async with _looking() as looked:
        await looked.look()
        looked.fill()
        await trio.sleep(10)
        assert await looked.said() is None
        assert not looked.asked
        await trio.sleep(6)
        assert await looked.said() == ("filled", "mined", "0.1")
        await trio.sleep(30)
        assert await looked.said() == ("filled", "firm", "0.1")


async def test_a_part_that_the_chain_never_shows_is_waited_for_an_hour(clock: Clock) -> None:
    """The order counts it, no trade tells it: by then it is nowhere, and what is there is booked. A person has heard of it once."""
    async with _looking() as looked:
        looked.bench.clob.order, looked.bench.clob.trades = Says(200, order_row("CANCELED", "15")), [trade_row(1, "10")]
        await looked.look()
        looked.fill(10, 5)
        for _ in range(59):
            await trio.sleep(60)
            assert await looked.said() is None
        await trio.sleep(60)
        assert await looked.said() is None, "asked of the chain again at its time"
        await trio.sleep(301)
        assert await looked.said() == ("partial", "firm", "0.1")
        said = "it is over, with 15 matched; its trades are 10, on the chain 10"
        assert looked.bench.told == [("venue-unclear", f"order {OURS}: {said}")]


async def test_what_the_chain_has_shown_counts_until_it_is_asked_again(clock: Clock) -> None:
    """A venue that tells a part of it takes nothing back meanwhile, nor makes a part final; and what is mined stays so."""
    async with _looking(finalized=400) as looked:
        await looked.look()
        looked.bench.clob.trades = [trade_row(1, "10", status="MATCHED")]
        looked.fill()
        await trio.sleep(62)
        assert await looked.said() == ("filled", "mined", "0.1")
        await trio.sleep(2)
        assert await looked.said() is None
        looked.bench.clob.trades.append(trade_row(2, "10", status="MATCHED"))
        assert await looked.said() == ("filled", "mined", "0.25")
        looked.bench.clob.trades, looked.nodes.away = [trade_row(1, "10")], True
        assert await looked.said() is None
        looked.nodes.away = False
        await trio.sleep(12)
        looked.chain.reorg(60, [() for _ in range(60)])
        looked.bench.clob.trades = [trade_row(status="MATCHED")]
        await trio.sleep(200)
        assert await looked.said() == ("filled", "pending", "0.25")
        await trio.sleep(2)
        assert await looked.said() == ("filled", "pending", "0.25")


async def test_what_is_on_the_chain_needs_no_venue(clock: Clock) -> None:
    """All of it: of a part nobody else knows whether it is all. And what is not there is not absent by that."""
    async with _looking() as looked:
        looked.bench.clob.away = True
        with pytest.raises(ExecutorError):
            await looked.look()
        await trio.sleep(70)
        with pytest.raises(ExecutorError):
            await looked.look()
        looked.fill(shares=10, paid=5)
        await trio.sleep(70)
        with pytest.raises(ExecutorError):
            await looked.look()
        looked.fill(shares=10, paid=5)
        await trio.sleep(140)
        assert await looked.said() == ("filled", "firm", "0.2")


async def test_absence_takes_the_chain_as_well(clock: Clock) -> None:
    """Where there is one: away, behind or full of nonsense it proves nothing, and there it is told."""
    async with _looking() as looked:
        await looked.look()
        await trio.sleep(61)
        looked.nodes.away = True
        assert await looked.said() is None
        await trio.sleep(12)
        looked.nodes.away = False
        # Between two blocks, so that none comes while it is asked.
        stands = list(looked.chain.blocks)
        del looked.chain.blocks[-40:]
        assert await looked.said() is None
        looked.chain.blocks = stands
        await trio.sleep(12)
        looked.fill(owner=_MAKER)
        assert await looked.said() is None
        assert looked.bench.kinds == ["venue-unclear"]
        looked.chain.blocks.pop()
        looked.chain.mine()
        await trio.sleep(12)
        assert await looked.said() == ("absent", "firm", "0")


@pytest.mark.parametrize(
    ("rows", "deep", "expected"),
    [
        ([trade_row(status="FAILED")], True, ("filled", "firm", "0.1")),
        ([trade_row(status="FAILED")], False, ("filled", "mined", "0.1")),
        ([trade_row(status="FAILED")], None, ("filled", "failed", "0.25")),
        ([trade_row(1, "10"), trade_row(2, "10", status="FAILED")], True, ("filled", "firm", "0.1")),
        ([trade_row(1, "10"), trade_row(2, "10", status="FAILED")], None, ("partial", "firm", "0.125")),
    ],
    ids=str,
)
async def test_what_the_venue_calls_failed_is_what_the_chain_says(
    clock: Clock, rows: list[bytes], deep: bool | None, expected: tuple[str, str, str]
) -> None:
    """A log at depth is the truth; a young one may go; none at all is what the venue says."""
    async with _looking(finalized=16 if deep else 400) as looked:
        looked.bench.clob.trades = rows
        if deep is not None:
            looked.fill()
        await trio.sleep(60)
        assert await looked.said() == expected
        looked.nodes.away = True
        await trio.sleep(60)
        settled = await looked.said()
        assert settled is not None
        assert settled[1] not in ("firm", "failed")


async def test_a_fill_that_a_reorg_takes_back_comes_again(clock: Clock) -> None:
    """In the meantime nothing is proven, and least of all that the order never was."""
    async with _looking(finalized=60) as looked:
        await looked.look()
        looked.fill()
        await trio.sleep(17)
        assert await looked.said() == ("filled", "mined", "0.1")
        gone = looked.chain.blocks[-9].txs
        assert gone
        looked.chain.reorg(9, [() for _ in range(9)])
        await trio.sleep(100)
        for _ in range(6):
            assert await looked.said() is None
            await trio.sleep(50)
        looked.chain.mine(*gone)
        await trio.sleep(400)
        assert await looked.said() == ("filled", "firm", "0.1")


async def test_many_orders_cost_little_more_than_one(clock: Clock) -> None:
    """Those that are asked about together are one question, and what nobody has to know is not asked."""
    async with _looking() as looked:
        looked.nodes.latency_s = 0.05
        ids = [OrderId(fake_hash("order", number)) for number in range(45)]
        for order_id in ids:
            looked.chain.mine(
                DevTx(tx_hash=fake_hash("tx", order_id), logs=(_log(order_id, 20, 10, Usd.parse("0.2")),))
            )
            looked.bench.clob.trades.append(trade_row(id=order_id, taker_order_id=order_id))
        reports: list[ExecutionReport | None] = []

        async def look(order_id: OrderId) -> None:
            reports.append(await looked.look(looked.order(order_id=order_id)))

        async with trio.open_nursery() as nursery:
            for order_id in ids:
                nursery.start_soon(look, order_id)
        assert {str(report and report.fee) for report in reports} == {"0.2"}
        assert looked.asked.count("eth_getLogs") <= 6
        assert len(looked.asked) <= 18


async def test_questions_about_what_is_not_proven_come_at_growing_times(clock: Clock) -> None:
    """However often the order is looked up."""
    async with _looking() as looked:
        looked.bench.clob.order = Says(200, order_row("LIVE"))
        for _ in range(60):
            await looked.look()
            await trio.sleep(20)
        assert 5 <= looked.asked.count("eth_getLogs") <= 9


async def test_a_chain_that_hangs_holds_up_nothing_else(clock: Clock) -> None:
    """For three seconds, once in a while, and only who asks first."""
    async with _looking() as looked:
        looked.bench.clob.trades = [trade_row()]

        looked.nodes.latency_s = 100
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(30):
                nursery.start_soon(looked.look)
        assert trio.current_time() - began <= 3.1
        assert await looked.said() == ("filled", "firm", "0.25")
        assert trio.current_time() - began <= 3.1


async def test_what_the_chain_says_beyond_an_order_is_not_booked(clock: Clock) -> None:
    """A fee that its market did not name: what the venue has confirmed stands, and a person hears of it."""
    async with _looking() as looked:
        looked.bench.clob.trades = [trade_row()]
        looked.fill(fee="5")
        assert await looked.said() == ("filled", "firm", "0.25")
        assert looked.bench.told == [("venue-unclear", f"order {OURS}: the chain says 20 for 10, fee 5")]


@pytest.mark.parametrize(
    ("block_s", "past", "age_s"),
    [(0.5, 600, 60), (1.0, 500, 300), (2.0, 200, 0), (2.0, 300, 300), (5.0, 100, 60), (2.0, 20, 60)],
)
async def test_the_blocks_of_an_order_are_found_whatever_they_take(
    clock: Clock, block_s: float, past: int, age_s: int
) -> None:
    """By the times in their headers, on a chain that has just begun as well."""
    async with _looking(block_s=block_s, past=past) as looked:
        looked.made -= min(age_s, int(block_s * past))
        looked.fill()
        await trio.sleep(50)
        looked.bench.clob.trades = [trade_row()]
        assert await looked.said() == ("filled", "firm", "0.1")
        (_, start, stop), _ = looked.ranges
        assert stop == looked.chain.head.ref.number
        assert stop - start <= 1.3 * (age_s + 50 + 120) / min(block_s, 2) + 10


async def test_old_orders_are_asked_about_where_they_were(clock: Clock) -> None:
    """And not in all that came since."""
    async with _looking(past=4000) as looked:
        looked.made -= 7000
        log = _log(OURS, 20, 10, Usd.parse("0.1"))
        at = 4000 - 3490
        looked.chain.blocks[at] = evolve(looked.chain.blocks[at], logs=_placed(log, looked.chain.blocks[at].ref))
        looked.bench.clob.trades = [trade_row()]
        assert await looked.said() == ("filled", "firm", "0.1")
        assert max(stop - start for _, start, stop in looked.ranges) <= 2300


def _placed(log: Any, block: BlockRef) -> tuple[RawLog, ...]:
    (mined,) = _mined(log)
    return (evolve(mined, block_number=block.number, block_hash=block.hash, block_time=block.time),)
