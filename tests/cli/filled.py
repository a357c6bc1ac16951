"""Fills a store the way its owner does: through accounts, which decide, and one write."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from attrs import define, evolve, field

from tests.builders import NOW, make_settings
from tests.written import stored_changes
from trio_copy.accounts import Account
from trio_copy.accounts.commands import Answer, Command, Offer
from trio_copy.accounts.events import Buried
from trio_copy.accounts.sighted import looks_key, plain_looks
from trio_copy.accounts.telling import TaskEnd, Told
from trio_copy.clock import anchored_wall_clock
from trio_copy.engine.plan import Plan
from trio_copy.engine.shards.stored import stored_fact, told_by
from trio_copy.model.catalog import Catalog
from trio_copy.model.control import shard_lease
from trio_copy.model.decisions import CopyTask, OrderIntent
from trio_copy.model.facts import Fact
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId, IntentKey
from trio_copy.model.orders import ExecutionReport, Market, Order, Settlement, Status, greatest_cost
from trio_copy.model.sightings import Sighting
from trio_copy.model.units import NO_USD, ONE_USD_PER_SHARE, Price, Shares, Usd
from trio_copy.ports import Document, Store, StoreContext
from trio_copy.records import write_plain
from trio_copy.testing.samples import sample_order

LEASE_S = 1000.0


@define(eq=False)
class Owner:
    """Owns shard 0 of a store, and trades as it is told."""

    store: Store
    token: int
    accounts: dict[FollowerId, Account] = field(factory=dict)
    number: int = 0
    documents: list[Document] = field(factory=list)
    """Of other kinds, to be written as well."""
    sightings: dict[IntentKey, Sighting] = field(factory=dict)
    """What was known of prices while orders were made."""
    looks: list[Fact] = field(factory=list)

    def account(self, follower: str) -> Account:
        return self.accounts.setdefault(FollowerId(follower), Account(FollowerId(follower), Catalog()))

    def do(self, follower: str, *commands: Command) -> None:
        account = self.account(follower)
        for command in commands:
            account.apply(account.decide(command))

    def bury(self, task: CopyTask, why: str, at: float = NOW) -> None:
        """Let a task be a dead letter."""
        self.account(task.follower).apply([Buried(task=task, why=why, at=at)])

    def place(self, task: CopyTask, shares: str = "10", at: float = NOW) -> Order:
        """Place a task as an order of so many shares."""
        placed: list[Order] = []
        # At any price: what the venue says is then inside the order.
        limit = ONE_USD_PER_SHARE if task.intent.side is Side.BUY else Price(1)
        size = Shares.parse(shares)
        cost = greatest_cost(task.intent.side, size, limit)
        task = evolve(task, intent=evolve(task.intent, limit_price=limit, shares=size, max_cost=cost))

        def prepare(key: IntentKey, intent: OrderIntent) -> Order:
            order = sample_order(evolve(task, intent=intent))
            placed.append(evolve(order, shares=size, side=intent.side, max_cost=cost))
            return placed[-1]

        market = Market(token_id=task.intent.token_id, tick=Price(1), minimum=Shares(1), fee_bps=0)
        self.do(task.follower, Offer(task=task, settings=make_settings(), market=market, prepare=prepare, at=at))
        (order,) = placed
        return order

    def rest(self, task: CopyTask, shares: str = "4", dollars: str = "2") -> Order:
        """Place a task whose order may rest for ten minutes, and let it do so with so many shares filled."""
        order = self.place(evolve(task, intent=evolve(task.intent, order_type="GTC", rest_until=int(NOW) + 600)))
        report = ExecutionReport(
            order_id=order.order_id,
            status=Status.RESTING,
            shares=Shares.parse(shares),
            notional=Usd.parse(dollars),
        )
        self.do(task.follower, Answer(key=order.key, report=report, at=NOW))
        return order

    def fill(
        self,
        task: CopyTask,
        *,
        shares: str = "10",
        dollars: str = "5",
        fee: str = "0",
        at: float = NOW,
        settlement: Settlement = Settlement.FIRM,
    ) -> Order:
        """Place a task, and let the venue fill it whole."""
        order = self.place(task, shares, at)
        self.answer(order, shares, dollars, fee, at, settlement)
        return order

    def answer(
        self, order: Order, shares: str, dollars: str, fee: str, at: float, settlement: Settlement = Settlement.FIRM
    ) -> None:
        """Let the venue say what became of an order."""
        report = ExecutionReport(
            order_id=order.order_id,
            status=Status.FILLED,
            shares=Shares.parse(shares),
            notional=Usd.parse(dollars),
            fee=Usd.parse(fee) if fee else NO_USD,
            settlement=settlement,
        )
        self.do(order.wallet.follower, Answer(key=order.key, report=report, at=at))

    def look(self, task: CopyTask, shares: str, *after: str | None, at: float = NOW, held: str | None = None) -> None:
        """Let the book be looked at after an order: what the shares, or those that it held, came to each time."""
        wanted, found = Shares.parse(shares).micro, Shares.parse(held or shares).micro
        looks = [None if usd is None else (found, Usd.parse(usd).micro, True) for usd in after]
        body, key = write_plain(plain_looks(wanted, looks)), looks_key(task.task_id, task.attempt)
        token = task.intent.token_id
        self.looks.append(Fact(key, "looks", at, task.follower, task.signal.leader, token, body, task_id=task.task_id))

    async def write(self) -> None:
        """Make everything durable that has happened."""
        self.number += 1
        changes = stored_changes(self.accounts.values(), {})
        facts = (*map(self._with_sighting, changes.facts), *self.looks)
        changes = evolve(changes, puts=(*changes.puts, *self.documents), facts=facts)
        self.documents.clear()
        self.looks.clear()
        await self.store.accounts.write(0, self.token, self.number, changes)

    def _with_sighting(self, fact: Fact) -> Fact:
        record = told_by(fact)
        if not isinstance(record, TaskEnd) or record.order is None or record.order.key not in self.sightings:
            return fact
        sighting = self.sightings[record.order.key]
        return stored_fact(Told(evolve(record, sighting=sighting), fact.amounts))


@asynccontextmanager
async def open_owner(plan: Plan) -> AsyncGenerator[Owner, None]:
    """Open a plan's store as an engine does, and own its shard; all that happened is written at the end."""
    context = StoreContext(settings=plan.store.settings, wall=anchored_wall_clock())
    async with plan.store.plugin.open(context) as store:
        lease = await store.control.acquire(shard_lease(0), "engine", LEASE_S)
        assert lease is not None
        await store.accounts.take(0, lease.token)
        owner = Owner(store, lease.token)
        yield owner
        await owner.write()
        await store.control.release(lease)
