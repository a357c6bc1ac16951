"""Connections that orders leave over: each finds one that is open, and none waits for another's answer."""

from collections.abc import Sequence
from contextlib import suppress

import trio
import trio.testing

from tests.clob.traded import TOKEN, Traded, open_traded
from trio_copy.errors import OrderUncertain
from trio_copy.model.ids import FollowerId
from trio_copy.model.orders import Order, Wallet
from trio_copy.native import SecretKey
from trio_copy.ports import OpenSocket
from trio_copy.testing.clob_venue import Answered
from trio_copy.testing.samples import sample_intent, sample_signal, sample_task

Clock = trio.testing.MockClock
_HANDSHAKE_S = 0.1


class _Dialled(list[float]):
    """When each connection was asked for; each takes its time."""

    def reaching(self, connect: OpenSocket) -> OpenSocket:
        async def slowly(host: str, port: int) -> trio.abc.Stream:
            self.append(trio.current_time())
            await trio.sleep(_HANDSHAKE_S)
            return await connect(host, port)

        return slowly


def _wallets(count: int) -> dict[str, SecretKey]:
    return {f"wallet-{number}": SecretKey((number + 1).to_bytes(32, "big")) for number in range(count)}


def _wallet(name: str, key: SecretKey) -> Wallet:
    return Wallet(follower=FollowerId(name), address=key.address, name=name)


async def _orders(traded: Traded, wallets: Sequence[Wallet], signals: range) -> list[Order]:
    """Prepare an order of each wallet for each signal."""
    market = await traded.executor.market(TOKEN)
    intent = sample_intent()
    return [
        traded.executor.prepare(sample_task(sample_signal(number), wallet.follower).key, intent, wallet, market)
        for wallet in wallets
        for number in signals
    ]


async def _send(traded: Traded, orders: Sequence[Order]) -> set[int]:
    """Send orders at once; returns when they reached the venue, in milliseconds."""
    before = len(_posts(traded))

    async def submit(order: Order) -> None:
        with suppress(OrderUncertain):
            await traded.executor.submit(order)

    async with trio.open_nursery() as nursery:
        for order in orders:
            nursery.start_soon(submit, order)
    first = _posts(traded)[before : before + len(orders)]
    assert len({one.order_ids for one in first}) == len(orders)
    return {one.at_ms for one in first}


def _posts(traded: Traded) -> list[Answered]:
    return [one for one in traded.server.clob.record.of(Answered) if one.path == "/order"]


async def test_a_hundred_wallets_find_a_hundred_open_connections(autojump_clock: Clock) -> None:
    """None waits for a handshake; nor for another's answer, where nobody is answered at all."""
    dialled, keys = _Dialled(), _wallets(100)
    wallets = tuple(_wallet(name, key) for name, key in keys.items())
    async with open_traded(reaching=dialled.reaching, wallets=wallets, others=keys) as traded:
        await trio.sleep(60)  # what is kept ready is ready, and has grown old since
        orders, began = await _orders(traded, wallets, range(1)), trio.current_time()
        traded.server.faults.path, traded.server.faults.stall = "POST /order", True
        assert len(await _send(traded, orders)) == 1
        assert [at for at in dialled if began <= at < began + 1] == []


async def test_a_wallet_with_many_lanes_finds_as_many_as_it_needed_lately(autojump_clock: Clock) -> None:
    """One that sent twelve orders at once has twelve connections from then on; an hour or two later it has few again."""
    dialled, keys = _Dialled(), _wallets(1)
    wallets = tuple(_wallet(name, key) for name, key in keys.items())
    async with open_traded(reaching=dialled.reaching, wallets=wallets, others=keys) as traded:
        for begin in (0, 100):
            await trio.sleep(20)
            orders, began = await _orders(traded, wallets, range(begin, begin + 12)), trio.current_time()
            arrived = await _send(traded, orders)
            while_sending = [at for at in dialled if began <= at < began + 1]
            assert (len(arrived), bool(while_sending)) == ((1, False) if begin else (2, True))
        assert traded.server.open_connections == 12
        await trio.sleep(2 * 3600)
        assert traded.server.open_connections == 4
