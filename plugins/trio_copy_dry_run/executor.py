"""Prepares, freezes and "sends" orders like a real executor does."""

from hashlib import sha256

import trio
from attrs import define

from trio_copy.model.decisions import OrderIntent
from trio_copy.model.ids import IntentKey, OrderId, TokenId
from trio_copy.model.orders import Account, ExecutionReport, Market, Order
from trio_copy.model.units import NO_SHARES, Price
from trio_copy_dry_run.settings import DryRunSettings
from trio_copy_dry_run.venue import SimulatedVenue

_TICK = Price(1)


@define(eq=False)
class DryRunExecutor:
    name: str
    settings: DryRunSettings
    venue: SimulatedVenue

    async def market(self, token_id: TokenId) -> Market:
        return Market(token_id=token_id, tick=_TICK, minimum=NO_SHARES, fee_bps=self.settings.fee_bps)

    def prepare(self, key: IntentKey, intent: OrderIntent, account: Account, market: Market) -> Order:
        fields = (
            key,
            account.follower,
            intent.side.value,
            intent.token_id,
            intent.shares.micro,
            intent.limit_price.micro,
            intent.price.micro,
        )
        body = "|".join(map(str, fields)).encode()
        return Order(
            key=key,
            order_id=OrderId("0x" + sha256(body).hexdigest()),
            executor=self.name,
            account=account,
            side=intent.side,
            token_id=intent.token_id,
            shares=intent.shares,
            limit_price=intent.limit_price,
            body=body,
        )

    async def submit(self, order: Order) -> ExecutionReport:
        # The order stands at the venue from here on, as it would with a real one: only the answer takes time.
        report = self.venue.place(order)
        await trio.sleep(self.venue.latency_s(order))
        return report

    async def find(self, order: Order) -> ExecutionReport | None:
        return self.venue.find(order.order_id)
