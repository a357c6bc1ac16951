"""A third party's executor, whole: it fills every order at its limit price and tells an observer."""

from contextlib import asynccontextmanager

from attrs import frozen

from trio_copy.hookspecs import hookimpl
from trio_copy.model.ids import OrderId
from trio_copy.model.orders import ExecutionReport, Market, Order, Status
from trio_copy.model.settings import setting, within
from trio_copy.model.units import Price, Rounding, Shares
from trio_copy.ports import ExecutorPlugin


@frozen(kw_only=True)
class TinySettings:
    """What `[executor.tiny]` may hold."""

    fee_bps: int = setting(0, unit="basis points", why="What this venue charges.", check=within(0, 100))


class TinyExecutor:
    def __init__(self, name, settings):
        self.name, self.settings, self.reports = name, settings, {}

    async def market(self, token_id):
        return Market(token_id=token_id, tick=Price(10_000), minimum=Shares(0), fee_bps=self.settings.fee_bps)

    def prepare(self, key, intent, wallet, market):
        return Order(
            key=key,
            order_id=OrderId(f"tiny-{key}"),
            executor=self.name,
            wallet=wallet,
            side=intent.side,
            token_id=intent.token_id,
            shares=intent.shares,
            limit_price=intent.limit_price,
            body=f"{key} {intent}".encode(),
        )

    def lane(self, intent, wallet):
        return (wallet.follower, str(intent.token_id))

    async def submit(self, order):
        notional = order.shares.at(order.limit_price, Rounding.DOWN)
        report = ExecutionReport(
            order_id=order.order_id, status=Status.FILLED, shares=order.shares, notional=notional, detail="tiny venue"
        )
        return self.reports.setdefault(order.order_id, report)

    async def find(self, order):
        return self.reports.get(order.order_id)


@asynccontextmanager
async def open_tiny(context):
    yield TinyExecutor(context.name, context.settings)


@hookimpl
def trio_copy_register_executors(register):
    register(ExecutorPlugin(name="tiny", open=open_tiny, settings=TinySettings, moves_money=False))


@hookimpl
def trio_copy_on_report(task, report, outcome):
    raise RuntimeError("an observer that fails must not stop a trade")
