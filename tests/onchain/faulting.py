"""The executor in trouble: a wallet on a node that mines when it is told, a wall clock that can be set, and crash points."""

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio
from attrs import define

from tests.builders import POLYGON
from tests.onchain.deployed import Deployed, Market, buy
from tests.onchain.executing import KeptJournal, Signing, Trading, open_trading, token_of
from tests.onchain.proxying import SEND, Rule, ScriptedNode, open_proxied
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, TokenId
from trio_copy.model.orders import ExecutionReport, Order, Settlement, Status
from trio_copy.native import SecretKey
from trio_copy.testing.anvil import Node
from trio_copy.transactions.transaction import Transaction
from trio_copy_onchain.sending.operator import Operator
from trio_copy_onchain.tx.fees import GWEI
from trio_copy_onchain.venues.fpmm import Fpmm

KEY = SecretKey(b"\x66" * 32)
COIN = 10**19
BROADCAST = "onchain: broadcast"
PATIENCE_S, LATE_S = 60.0, 600.0


class Crash(Exception):
    """The process is gone."""


@define(eq=False)
class Wall:
    """The wall clock, as far ahead as a test wants it."""

    ahead_s: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


@define(eq=False, kw_only=True)
class Bench:
    """One executor, its nodes, and the chain behind them."""

    trading: Trading
    market: Market
    wall: Wall
    nodes: Mapping[str, ScriptedNode]
    points: list[str]
    """All crash points that were passed."""
    _passed: list[trio.Event]

    @property
    def operator(self) -> Operator:
        ((operator, _),) = self.trading.executor.operators.of(self.trading.wallet)
        return operator

    @property
    def address(self) -> Address:
        return self.trading.signing.key.address

    @property
    def maker(self) -> Fpmm:
        return self.market.deployed.makers[0]

    @property
    def token(self) -> TokenId:
        return token_of(self.maker)

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.trading.troubles]

    def rule(self, rule: Rule, *names: str, method: str = SEND) -> None:
        """Let nodes answer by a rule: all of them, where none is named."""
        for name in names or self.nodes:
            self.nodes[name].rules[method] = rule

    def obey(self) -> None:
        for node in self.nodes.values():
            node.rules.clear()

    async def buy(self, usd: str = "20", *, key: str = "ab", **more: Any) -> Order:
        return await self.trading.prepared(self.token, Side.BUY, usd, key=key, **more)

    async def shares(self) -> int:
        return (await self.market.balances(self.maker, self.address))[0]

    async def coin(self) -> int:
        return int(await self.market.ask("eth_getBalance", self.address, "latest"), 16)

    async def nonce(self) -> int:
        """Return how many transactions of the wallet are mined."""
        return int(await self.market.ask("eth_getTransactionCount", self.address, "latest"), 16)

    async def mining(self, on: bool) -> None:
        await self.market.ask("evm_setAutomine", on)

    async def mine(self, blocks: int = 1) -> None:
        await self.market.ask("anvil_mine", hex(blocks))

    async def pooled(self) -> list[dict[str, Any]]:
        """Return the wallet's transactions in the node's pool."""
        pool = await self.market.ask("txpool_content")
        found: list[dict[str, Any]] = []
        for part in ("pending", "queued"):
            for sender, by_nonce in pool[part].items():
                found += by_nonce.values() if sender.lower() == self.address else ()
        return sorted(found, key=lambda one: int(one["nonce"], 16))

    async def leave(self, order: Order) -> str:
        """Submit an order until its bytes have left, and stop waiting; returns their hash."""
        left = self.points.count(BROADCAST)
        async with trio.open_nursery() as nursery:

            async def submit() -> None:
                await self.trading.submit(order, within_s=8)

            nursery.start_soon(submit)
            await self.broadcasts(left + 1)
            nursery.cancel_scope.cancel()
        binding = self.operator.binding(order.key)
        assert binding is not None
        return binding.newest.hash

    async def broadcasts(self, count: int) -> None:
        """Wait until bytes have left so many times, and nodes have answered."""
        with trio.fail_after(15):
            await trio.lowlevel.checkpoint()
            while self.points.count(BROADCAST) < count:
                passed = trio.Event()
                self._passed.append(passed)
                await passed.wait()

    async def until(self, holds: Callable[[], Any], what: str = "") -> None:
        """Let the chain be looked at until something holds."""
        with trio.move_on_after(8):
            while not await _value(holds()):
                self.trading.executor.operators.wake()
                with trio.move_on_after(0.2):  # a look that nobody answers changes nothing
                    await self.operator.line.changed.wait()
            return
        raise AssertionError(f"{what}: {self.trading.troubles}, {self.operator.nonces}")

    async def found(self, order: Order, **expected: Any) -> ExecutionReport:
        """Let the chain be looked at until the report is as expected."""
        seen: list[ExecutionReport | None] = []

        async def holds() -> bool:
            report = await self.trading.find(order)
            seen.append(report)
            return report is not None and all(getattr(report, name) == value for name, value in expected.items())

        try:
            await self.until(holds, f"expected {expected}")
        except AssertionError as error:
            raise AssertionError(f"{error}; was {seen[-1] if seen else None}") from None
        report = seen[-1]
        assert report is not None
        return report

    async def firm(self, order: Order) -> ExecutionReport:
        """Let everything be final, and return what has become of an order."""
        await self.mine(3)
        return await self.found(order, settlement=Settlement.FIRM)

    async def bought_once(self, order: Order, shares: int, nonce: int) -> None:
        """Check that an order is mined, once, with what it reports, and has used one nonce."""
        await self.mine()
        await self.found(order, status=Status.FILLED, settlement=Settlement.MINED)
        firm = await self.firm(order)
        assert await self.shares() - shares == firm.shares.micro
        assert await self.nonce() == nonce + 1

    async def rival_buys(self, dollars: int, *, tip: int = 100 * GWEI) -> None:
        """Send another's purchase, which makes ours dearer: the tip says in which order a block takes them."""
        swap = buy(self.market.rival, dollars * 10**6)
        await self.market.send(self.maker.call(swap), self.market.rival, tip)

    def raw(self, nonce: int, *, gwei: int = 60, to: Address | None = None, data: bytes = b"") -> str:
        """Sign a transaction with the wallet's key, as somebody else who has it would."""
        transaction = Transaction(
            chain_id=POLYGON,
            nonce=nonce,
            tip=gwei * GWEI,
            max_fee=gwei * GWEI,
            gas=500_000,
            to=to or self.market.wallet,
            data=data,
        )
        return "0x" + transaction.signed(self.trading.signing.key.sign).raw.hex()


async def _value(told: Any) -> Any:
    return await told if hasattr(told, "__await__") else told


async def fund(market: Market, address: str) -> None:
    """Give an address coin, money, and leave for the first market maker to take it."""
    await market.ask("anvil_setBalance", address, hex(COIN))
    await market.ask("anvil_impersonateAccount", address)
    await market.deployed.amms[0].prepare_trader(address)


@asynccontextmanager
async def open_bench(
    venues: tuple[Node, Deployed],
    market: Market,
    *names: str,
    journal: KeptJournal | None = None,
    wall: Wall | None = None,
    crash_at: str = "",
    crash_time: int = 1,
    signing: Signing | None = None,
    **settings: Any,
) -> AsyncGenerator[Bench, None]:
    """Open the executor behind scripted nodes; when a crash point is passed for the so-manieth time, `Crash` comes out of
    whatever was being done.
    """
    clock, points, passed = wall or Wall(), list[str](), list[trio.Event]()

    def at(point: str) -> None:
        points.append(point)
        if point == crash_at and points.count(point) == crash_time:
            raise Crash(point)
        while passed:
            passed.pop().set()

    async with (
        open_proxied(venues[0], *(names or ("node",))) as (nodes, proxies),
        open_trading(
            market,
            nodes,
            clock,
            signing=signing or Signing(KEY),
            journal=journal or KeptJournal(),
            at=at,
            **{"patience_s": PATIENCE_S, "mine_within_s": LATE_S} | settings,
        ) as trading,
    ):
        yield Bench(trading=trading, market=market, wall=clock, nodes=proxies, points=points, passed=passed)
