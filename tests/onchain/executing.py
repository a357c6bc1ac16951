"""The executor on a real node, without an engine: what an engine would keep and ask, a test does."""

from collections.abc import AsyncGenerator, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from typing import Any

import trio
from attrs import define, evolve, field

from tests.builders import POLYGON
from tests.onchain.deployed import Deployed, Market
from trio_copy.clock import WallClock
from trio_copy.errors import OrderNotSent
from trio_copy.model.decisions import OrderIntent, Reason
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, FollowerId, IntentKey, TokenId
from trio_copy.model.orders import ExecutionReport, Order, SignatureType, Wallet
from trio_copy.model.units import NO_USD, Price, Rounding, Shares, Usd
from trio_copy.native import SecretKey
from trio_copy.ports import ExecutorContext, Journal, Nodes, Purpose, Signer, Spending
from trio_copy.transactions.transaction import Transaction
from trio_copy_onchain.executor import OnchainExecutor, open_executor
from trio_copy_onchain.settings import FpmmTable, OnchainSettings, PoolTable
from trio_copy_onchain.venues.fpmm import Fpmm
from trio_copy_onchain.venues.pool import Pool

ALICE = FollowerId("alice")


@define(eq=False)
class Signing:
    """Signs whatever it is asked to with a real key, and remembers."""

    key: SecretKey
    released: list[tuple[IntentKey, bytes]] = field(factory=list)
    signed: list[tuple[Transaction, Purpose]] = field(factory=list)
    refuses: Reason | None = None
    armed_at: float = 0.0

    @property
    def address(self) -> Any:
        return self.key.address

    def sign_transaction(self, transaction: Transaction, purpose: Purpose) -> bytes | Reason:
        if self.refuses is not None:
            return self.refuses
        self.signed.append((transaction, purpose))
        return self.key.sign(transaction.digest)

    def sender_of(self, key: IntentKey) -> Address | None:
        return None

    async def wait_counted(self) -> None:
        await trio.lowlevel.checkpoint()

    async def release(self, wanted: Spending, digest: bytes) -> None:
        if self.refuses is not None:
            raise OrderNotSent(self.refuses.because, self.refuses)
        self.released.append((wanted.key, digest))
        await trio.lowlevel.checkpoint()


@define(eq=False)
class SigningFor:
    """The same operators for every wallet."""

    signers: Sequence[Any]

    def of(self, wallet: Wallet) -> Signer | None:
        return self.signers[0] if self.signers else None

    def operators(self, wallet: Wallet) -> Sequence[Signer]:
        return self.signers


@define(eq=False)
class KeptJournal:
    """A journal whose documents outlive the executor; what was put and not waited for is lost with it."""

    shard: int = 0
    durable: dict[str, bytes] = field(factory=dict)
    orders: set[IntentKey] = field(factory=set)
    lost: bool = False
    puts: int = 0
    """How often something was written down, or deleted."""
    _now: dict[str, bytes] = field(factory=dict)

    def documents(self) -> Mapping[str, bytes]:
        return self._now

    def put(self, name: str, body: bytes | None) -> None:
        self.puts += 1
        if body is None:
            self._now.pop(name, None)
        else:
            self._now[name] = body

    async def wait_durable(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.lost:
            raise OrderNotSent("the lease was lost")
        self.durable = dict(self._now)

    def covers(self, follower: FollowerId) -> bool:
        return True

    def open_keys(self) -> Set[IntentKey]:
        return self.orders

    def as_left(self) -> "KeptJournal":
        """Return what the next owner finds."""
        return KeptJournal(
            shard=self.shard, durable=dict(self.durable), orders=set(self.orders), now=dict(self.durable)
        )


@define(eq=False, kw_only=True)
class Trading:
    """An executor with one wallet, and a person who asks it as an engine does."""

    executor: OnchainExecutor
    market: Market
    wallet: Wallet
    signing: Signing
    journal: KeptJournal
    wall: WallClock
    troubles: list[tuple[str, str]]
    news: list[IntentKey]

    async def prepared(
        self,
        token: TokenId,
        side: Side,
        amount: str,
        *,
        limit: str | None = None,
        key: str = "ab",
        order_type: str = "FAK",
    ) -> Order:
        """Prepare an order for so many USD, or so many shares, at a limit far from the price where none is said."""
        shown = await self.executor.market(token)
        price = Price.parse(limit or ("0.99" if side is Side.BUY else "0.000001"))
        if side is Side.BUY:
            cost = Usd.parse(amount)
            shares = cost.at(price) if hasattr(cost, "at") else Shares(cost.micro * 1_000_000 // price.micro)
        else:
            cost, shares = NO_USD, Shares.parse(amount)
        intent = OrderIntent(
            side=side,
            token_id=token,
            shares=shares,
            price=price,
            limit_price=price,
            max_cost=cost if side is Side.SELL else max(cost, shares.at(price, Rounding.UP)),
            order_type=order_type,
            leader_time=int(self.wall()),
        )
        order = self.executor.prepare(IntentKey(key * 32), intent, self.wallet, shown)
        self.journal.orders.add(order.key)
        return order

    async def submit(self, order: Order, *, within_s: float = 5.0) -> ExecutionReport:
        with trio.move_on_after(within_s):
            return await self.executor.submit(order)
        raise AssertionError("it did not leave in time")

    async def find(self, order: Order) -> ExecutionReport | None:
        with trio.fail_after(5):
            return await self.executor.find(order)

    async def found(self, order: Order, **expected: Any) -> ExecutionReport:
        """Ask until the report is as expected."""
        report = None
        with trio.move_on_after(8):
            while True:
                report = await self.find(order)
                if report is not None and all(getattr(report, name) == value for name, value in expected.items()):
                    return report
                await trio.sleep(0.02)
        raise AssertionError(f"expected {expected}, was {report}; troubles {self.troubles}")

    async def finalize(self) -> None:
        """Let what is mined by now be final."""
        await self.market.ask("anvil_mine", hex(70))


def settings_for(deployed: Deployed, **changes: Any) -> OnchainSettings:
    """Return settings with every venue, each outcome at one of its routers."""
    pools = {pool.outcome: pool for pool in deployed.pools}
    settings = OnchainSettings(
        fpmm=tuple(
            FpmmTable(maker=amm.pool, conditional_tokens=amm.ctf, collateral=amm.usdc, tokens=amm.tokens)
            for amm in deployed.amms
        ),
        pools=tuple(
            PoolTable(
                pool=pool.pool,
                outcome=pool.outcome,
                collateral=pool.collateral,
                router=pool.router.address,
                takes_deadline=pool.router.takes_deadline,
                quoter=pool.quoter,
            )
            for pool in pools.values()
        ),
        poll_s=0.05,
        patience_s=1.0,
        multi_send=deployed.multi_send,
    )
    return evolve(settings, **changes)


def token_of(venue: Fpmm | Pool) -> TokenId:
    return venue.tokens[venue.outcome] if isinstance(venue, Fpmm) else TokenId(int(venue.outcome, 16))


@asynccontextmanager
async def open_trading(
    market: Market,
    nodes: Nodes,
    wall: WallClock,
    *,
    signing: Signing,
    others: Sequence[Signing] = (),
    wallet: Wallet | None = None,
    journal: KeptJournal | None = None,
    at: Any = lambda point: None,
    **changes: Any,
) -> AsyncGenerator[Trading, None]:
    """Open the executor for one wallet, with a journal that an earlier owner may have left; `others` may send for it as well."""
    paying = wallet or Wallet(follower=ALICE, address=signing.address, name="main", signature_type=SignatureType.EOA)
    kept: Any = KeptJournal() if journal is None else journal
    troubles, news = list[tuple[str, str]](), list[IntentKey]()
    context = ExecutorContext(
        name="onchain",
        settings=settings_for(market.deployed, **changes),
        wall=wall,
        quotes=None,
        signers=SigningFor([signing, *others]),
        wallets=(paying,),
        chain_id=POLYGON,
        nodes=nodes,
        on_trouble=lambda kind, detail: troubles.append((kind, detail)),
        on_news=news.append,
        at=at,
    )
    async with open_executor(context) as executor:
        assert isinstance(executor, OnchainExecutor)
        journalled: Journal = kept
        executor.open_journal(journalled)
        yield Trading(
            executor=executor,
            market=market,
            wallet=paying,
            signing=signing,
            journal=kept,
            wall=wall,
            troubles=troubles,
            news=news,
        )
