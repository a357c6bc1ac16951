"""An executor that does what a test tells it to; it passes the same conformance suite as a real one."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import trio
from attrs import define, field

from trio_copy.errors import OrderNotSent, OrderUncertain
from trio_copy.model.decisions import OrderIntent
from trio_copy.model.ids import IntentKey, OrderId, TokenId
from trio_copy.model.orders import ExecutionReport, Market, Order, Status, Wallet
from trio_copy.model.units import NO_SHARES, NO_USD, Price, Rounding, Shares
from trio_copy.ports import Executor, ExecutorContext, ExecutorPlugin
from trio_copy.testing.devnet.chain import fake_hash


@define(eq=False)
class ScriptedExecutor:
    """Fills at the limit price unless its script, one step per send, says otherwise.

    Steps: "lose request" (uncertain, nothing arrived), "lose reply" (uncertain, but it filled), "refuse connection"
    (certainly not sent), "hang", "reject", "kill", "rest" (open, nothing filled; see `grow`). An exception in place of a word
    is raised. What is post-only rests unless it is told otherwise.
    """

    name: str = "scripted"
    script: list[str | Exception] = field(factory=list)
    sent: list[Order] = field(factory=list)
    """Every send, in order."""
    filled: dict[OrderId, ExecutionReport] = field(factory=dict)
    """What the venue knows: the truth that records are compared with."""
    hide: bool = False
    """Answer every `find` with None."""
    called_off: list[Order] = field(factory=list)
    """Every `cancel`, in order."""
    deaf: bool = False
    """Let every `cancel` come to nothing."""
    latency_s: float = 0.0
    closed: str | None = None
    on_send: Callable[[Order], None] = lambda order: None

    async def market(self, token_id: TokenId) -> Market:
        return Market(token_id=token_id, tick=Price(1), minimum=NO_SHARES, fee_bps=0, closed=self.closed)

    def prepare(self, key: IntentKey, intent: OrderIntent, wallet: Wallet, market: Market) -> Order:
        body = f"{key}|{wallet.follower}|{intent}".encode()
        return Order(
            key=key,
            order_id=OrderId(fake_hash("scripted", key)),
            executor=self.name,
            wallet=wallet,
            side=intent.side,
            token_id=intent.token_id,
            shares=intent.shares,
            limit_price=intent.limit_price,
            body=body,
        )

    def lane(self, intent: OrderIntent, wallet: Wallet) -> tuple[str, ...]:
        return (wallet.follower, str(intent.token_id))

    async def submit(self, order: Order) -> ExecutionReport:
        self.sent.append(order)
        self.on_send(order)
        step = self.script.pop(0) if self.script else "rest" if b"post_only=True" in order.body else "fill"
        await trio.sleep(self.latency_s)
        if isinstance(step, Exception):
            raise step
        match step:
            case "lose request":
                raise OrderUncertain("the request was lost")
            case "refuse connection":
                raise OrderNotSent("nobody listens")
            case "lose reply":
                self._fill(order)
                raise OrderUncertain("the reply was lost")
            case "hang":
                self._fill(order)
                await trio.sleep_forever()
            case "reject":
                return ExecutionReport(order_id=order.order_id, status=Status.REJECTED, detail="not enough balance")
            case "kill":
                return ExecutionReport(order_id=order.order_id, status=Status.KILLED, detail="nothing at this price")
            case "rest":
                return self.grow(order, NO_SHARES)
        return self._fill(order)

    async def find(self, order: Order) -> ExecutionReport | None:
        await trio.lowlevel.checkpoint()
        return None if self.hide else self.filled.get(order.order_id)

    async def cancel(self, order: Order) -> None:
        await trio.lowlevel.checkpoint()
        self.called_off.append(order)
        report = self.filled.get(order.order_id)
        if report is not None and report.status is Status.RESTING and not self.deaf:
            self.grow(order, report.shares, Status.PARTIAL if report.shares else Status.KILLED)

    def grow(self, order: Order, shares: Shares, status: Status = Status.RESTING) -> ExecutionReport:
        """Let an order have filled so many shares at its limit, and say how it stands with that."""
        report = ExecutionReport(
            order_id=order.order_id,
            status=status,
            shares=shares,
            notional=shares.at(order.limit_price, Rounding.DOWN) if shares else NO_USD,
        )
        self.filled[order.order_id] = report
        return report

    def _fill(self, order: Order) -> ExecutionReport:
        report = ExecutionReport(
            order_id=order.order_id,
            status=Status.FILLED,
            shares=order.shares,
            notional=order.shares.at(order.limit_price, Rounding.DOWN),
        )
        return self.filled.setdefault(order.order_id, report)


def scripted_plugin(executor: ScriptedExecutor) -> ExecutorPlugin:
    """Wrap one executor as a plugin that hands it out each time."""

    @asynccontextmanager
    async def open_scripted(context: ExecutorContext) -> AsyncGenerator[Executor, None]:
        executor.name = context.name
        yield executor

    return ExecutorPlugin(name="scripted", open=open_scripted, moves_money=False, rests=True)
