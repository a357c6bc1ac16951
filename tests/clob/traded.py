"""The executor `clob` at our venue, with a wallet that has money and shares."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import trio
from attrs import define, field

from trio_copy.clock import WallClock, wall_clock_from
from trio_copy.engine.sending.news import News
from trio_copy.entropy import seeded_entropy
from trio_copy.errors import ExecutorError, OrderNotSent, OrderUncertain
from trio_copy.model.books import Quote
from trio_copy.model.breaches import breach_of_order
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.decisions import OrderIntent
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId, TokenId
from trio_copy.model.orders import ExecutionReport, Order, Settlement, Wallet
from trio_copy.model.units import Price, Shares
from trio_copy.native import SecretKey
from trio_copy.ports import ExecutorContext, Facts, Nodes, OpenSocket, Signers
from trio_copy.testing.clob_venue import (
    Accepted,
    Answered,
    ClobServer,
    Settled,
    open_virtual_clob_venue,
)
from trio_copy.testing.samples import sample_intent, sample_signal, sample_task
from trio_copy.testing.signing import FakeSigner, FakeSigners
from trio_copy_clob.executor import ClobExecutor, open_executor
from trio_copy_clob.settings import ClobSettings

KEY = SecretKey(b"\x01" * 32)
TOKEN, OPPOSITE = TokenId(7), TokenId(6)
WALLET = Wallet(follower=FollowerId("alice"), address=KEY.address)
_PLENTY = Shares.parse(100_000)


@define(eq=False, kw_only=True)
class Traded:
    server: ClobServer
    executor: ClobExecutor
    signer: FakeSigner
    told: list[tuple[str, str]]
    news: News = field(factory=News)

    def asked(self, path: str) -> int:
        """How often the CLOB was asked for something."""
        return self.server.http.requests.get(f"/clob{path}", 0)

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.told]


def list_token(server: ClobServer, **changes: Any) -> None:
    """List the question of the samples' token, traded at half a dollar."""
    about: dict[str, Any] = {"condition_id": f"0x{7:064x}", "outcome": "Yes", "question": "?", "slot": 0, **changes}
    market = server.clob.market
    market.put(
        [
            TokenFacts(token_id=TOKEN, opposite=OPPOSITE, **about),
            TokenFacts(token_id=OPPOSITE, opposite=TOKEN, **{**about, "slot": 1}),
        ]
    )
    market.set_quote(TOKEN, Quote(bid=Price(490_000), ask=Price(500_000), bid_shares=_PLENTY, ask_shares=_PLENTY))


@asynccontextmanager
async def open_traded(
    open_venue: Callable[[WallClock], AbstractAsyncContextManager[ClobServer]] = open_virtual_clob_venue,
    *,
    wall: WallClock | None = None,
    wallets: tuple[Wallet, ...] = (),
    signers: Signers | None = None,
    others: Mapping[str, SecretKey] | None = None,
    listens: bool = False,
    faults: Mapping[str, Any] | None = None,
    nodes: Nodes | None = None,
    facts: Facts | None = None,
    reaching: Callable[[OpenSocket], OpenSocket] = lambda open_socket: open_socket,
    **settings: Any,
) -> AsyncGenerator[Traded, None]:
    """Open venue and executor at the time of the samples, on a virtual clock where the venue is in memory.

    There are `others` who sign, by the names of their wallets; with `listens` there is the user channel as well. `reaching` is
    handed how the venue is reached.
    """
    wall = wall or wall_clock_from(sample_intent().leader_time)
    told: list[tuple[str, str]] = []
    signer = FakeSigner(KEY, signs_orders=True)
    async with open_venue(wall) as server:
        list_token(server)
        for key in (KEY, *(others or {}).values()):
            server.clob.put_wallet(key.address, usd=10_000, shares={TOKEN: 10_000})
        for fault, value in (faults or {}).items():
            setattr(server.faults, fault, value)
        addresses = {
            "clob_url": server.address,
            "geoblock_url": f"{server.address}/api/geoblock",
            "user_url": server.user_url if listens else "",
        }
        news = News()
        context = ExecutorContext(
            name="clob",
            settings=ClobSettings(**{**addresses, **settings}),
            wall=wall,
            quotes=None,
            wallets=wallets,
            signers=signers
            or FakeSigners(
                {"": signer, **{name: FakeSigner(key, signs_orders=True) for name, key in (others or {}).items()}}
            ),
            nodes=nodes,
            facts=facts,
            open_socket=reaching(server.open_socket),
            entropy=seeded_entropy(1),
            on_trouble=lambda kind, detail: told.append((kind, detail)),
            on_news=news.tell,
        )
        async with open_executor(context) as executor:
            assert isinstance(executor, ClobExecutor)
            yield Traded(server=server, executor=executor, signer=signer, told=told, news=news)


async def prepared(
    traded: Traded,
    number: int = 1,
    side: Side = Side.BUY,
    intent: OrderIntent | None = None,
    *,
    wallet: Wallet = WALLET,
) -> Order:
    """Prepare an order; it stays within its intent."""
    intent = intent or sample_intent(side)
    market = await traded.executor.market(intent.token_id)
    key = sample_task(sample_signal(number, side=side)).key
    order = traded.executor.prepare(key, intent, wallet, market)
    assert breach_of_order(order, "clob", key, intent, wallet) is None
    return order


def posts(traded: Traded) -> list[Answered]:
    """What the venue has answered to orders."""
    return [one for one in traded.server.clob.record.of(Answered) if one.path == "/order"]


async def settled(traded: Traded, order: Order) -> ExecutionReport | None:
    """Send an order, and look it up until the chain has it, or has undone it; None where it was certainly not sent."""
    report: ExecutionReport | None = None
    try:
        report = await traded.executor.submit(order)
    except OrderNotSent:
        return None
    except OrderUncertain:
        pass
    for _ in range(300):
        if report is not None and report.proven and report.settlement in (Settlement.FIRM, Settlement.FAILED):
            return report
        await trio.sleep(2)
        with suppress(ExecutorError):  # nobody answers
            report = await traded.executor.find(order)
    raise AssertionError(f"ten minutes later: {report}")


def check_recorded(traded: Traded, order: Order, report: ExecutionReport | None) -> None:
    """Compare a report with what the venue has written down, to the millionth; the order was taken once at most."""
    record = traded.server.clob.record
    fills = record.fills(order.order_id)
    told = (0, 0, 0)
    if report is not None and report.settlement is not Settlement.FAILED:
        told = (report.shares.micro, report.notional.micro, report.fee.micro)
    statuses = {one.trade_id: one.status for one in record.of(Settled)}
    good = [fill for fill in fills if statuses[fill.trade_id] != "FAILED"]
    assert told == (sum(one.shares for one in good), sum(one.cash for one in good), sum(one.fee for one in good))
    taken = [one.order_id for one in record.of(Accepted)]
    assert len(taken) == len(set(taken))
    bodies = {one.body for one in record.of(Answered) if order.order_id in one.order_ids and one.path == "/order"}
    assert len(bodies) <= 1
