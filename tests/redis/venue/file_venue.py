"""A venue that several processes share: a file to which every accepted order is appended once, under a lock.

It refuses a second copy of an order, as real venues do, and writes that down too: the truth that no engine can talk away.
And it refuses a request that was long under way: whoever was stopped in the middle of one must not send it when he wakes up.
"""

import fcntl
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import TextIO

import attrs
import trio

from trio_copy.errors import OrderNotSent, OrderUncertain
from trio_copy.hookspecs import hookimpl
from trio_copy.model.decisions import OrderIntent
from trio_copy.model.fills import Side
from trio_copy.model.ids import IntentKey, OrderId, TokenId
from trio_copy.model.orders import ExecutionReport, Market, Order, Status, Wallet
from trio_copy.model.settings import setting
from trio_copy.model.units import NO_SHARES, Price, Rounding
from trio_copy.ports import Executor, ExecutorContext, ExecutorPlugin

_STALE_S = 1.0
"""Less than a lease lasts: whoever stands still for longer than that has nothing under way that would be taken."""


@attrs.frozen(kw_only=True)
class FileVenueSettings:
    path: str = setting(attrs.NOTHING, unit="path", why="The file.")
    latency_ms: int = setting(20, unit="milliseconds", why="How long an answer takes.")
    poison: str = setting("", unit="token id", why="An order for this token kills the process before it is sent.")


@attrs.define(eq=False)
class FileVenue:
    name: str
    settings: FileVenueSettings
    _known: set[str] = attrs.field(factory=set)
    _read_to: int = 0

    async def market(self, token_id: TokenId) -> Market:
        if str(token_id) == self.settings.poison:
            os.kill(os.getpid(), 9)
        await trio.lowlevel.checkpoint()
        return Market(token_id=token_id, tick=Price(1), minimum=NO_SHARES, fee_bps=0)

    def prepare(self, key: IntentKey, intent: OrderIntent, wallet: Wallet, market: Market) -> Order:
        body = f"{key}|{wallet.follower}|{intent.side.value}|{intent.token_id}|{intent.shares}|{intent.limit_price}".encode()
        return Order(
            key=key,
            order_id=OrderId("0x" + sha256(body).hexdigest()),
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
        if not self._accept(order, time.monotonic()):
            raise OrderUncertain("duplicated: the venue has this order already")
        await trio.sleep(self.settings.latency_ms / 1000)
        return self._filled(order)

    async def find(self, order: Order) -> ExecutionReport | None:
        await trio.lowlevel.checkpoint()
        if self._has(order):
            return self._filled(order)
        return ExecutionReport(order_id=order.order_id, status=Status.ABSENT)

    def _accept(self, order: Order, asked_at: float) -> bool:
        with open(self.settings.path, "a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if time.monotonic() - asked_at > _STALE_S:
                raise OrderNotSent("the request is too old")
            self._read(file)
            known = order.order_id in self._known
            line = {
                "what": "duplicate" if known else "fill",
                "order_id": order.order_id,
                "key": order.key,
                "follower": order.wallet.follower,
                "side": order.side.value,
                "token": str(order.token_id),
                "shares": str(order.shares),
                "notional": str(self._filled(order).notional),
                "pid": os.getpid(),
                "at": time.time(),
            }
            file.write(json.dumps(line) + "\n")
        return not known

    def _has(self, order: Order) -> bool:
        with open(self.settings.path, "a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._read(file)
        return order.order_id in self._known

    def _read(self, file: TextIO) -> None:
        """Read what others have added since the last time."""
        file.seek(self._read_to)
        self._known.update(json.loads(line)["order_id"] for line in file.read().splitlines())
        self._read_to = file.tell()

    @staticmethod
    def _filled(order: Order) -> ExecutionReport:
        rounding = Rounding.UP if order.side is Side.BUY else Rounding.DOWN
        notional = order.shares.at(order.limit_price, rounding)
        return ExecutionReport(order_id=order.order_id, status=Status.FILLED, shares=order.shares, notional=notional)


@asynccontextmanager
async def open_file_venue(context: ExecutorContext) -> AsyncIterator[Executor]:
    yield FileVenue(context.name, context.settings)


@hookimpl
def trio_copy_register_executors(register: Callable[[ExecutorPlugin], None]) -> None:
    register(ExecutorPlugin(name="file-venue", open=open_file_venue, settings=FileVenueSettings, moves_money=False))
