"""Many followers with wallets of all types, and keys of their own, at our venue in memory; what each engine leaves is compared."""

from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from attrs import define, evolve, field

from tests.builders import LEADER, NOW, OTHER_LEADER, POLYGON
from tests.clob.compared import Left, Member, Moved
from tests.clob.live import go_on
from tests.crash.books import read_books
from tests.crash.script import truth_of
from tests.crash.stores import Place, StoreOfLife
from tests.crash.watched import WatchedExecutor
from tests.harness import Recorder, World, make_test_plan, open_world
from trio_copy.config import PluginTable
from trio_copy.config.wallets import WalletPolicy, WalletTable
from trio_copy.engine.plan import Plan, make_plan
from trio_copy.engine.seams import Seams
from trio_copy.engine.service import Service
from trio_copy.model.books import Quote
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import Execution
from trio_copy.model.ids import Address, FollowerId, OrderId, TokenId
from trio_copy.model.orders import ExecutionReport, Order, SignatureType
from trio_copy.model.units import Price, Shares, Usd
from trio_copy.native import SecretKey
from trio_copy.registry import discover
from trio_copy.signing.arming import arm, limits_of
from trio_copy.testing.clob_venue import ClobServer, open_virtual_clob_venue

LEADERS = (LEADER, OTHER_LEADER)
TOKENS = (1, 2, 3)
"""One of each exchange."""
_USD = 1000
_PLENTY = Shares.parse(100_000)
_POLICY = WalletPolicy(max_hour_usd=Usd.parse(100_000), max_day_usd=Usd.parse(100_000), max_minute_orders=1000)
_REST_S = 240
"""How long GTC and GTD orders may rest."""


def members(count: int) -> tuple[Member, ...]:
    """Return so many followers; every fourth has a wallet of each type."""
    found = []
    for number in range(count):
        key, kind = SecretKey((number + 1).to_bytes(32, "big")), SignatureType(number % 4)
        address = key.address if kind is SignatureType.EOA else Address(f"0x{0xC0FFEE << 64 | number:040x}")
        found.append(Member(name=FollowerId(f"member-{number}"), key=key, address=address, kind=kind))
    return tuple(found)


class _Noted(WatchedExecutor):
    """Keeps every order that is sent: the next life knows none of them."""

    def __init__(self, sent: dict[OrderId, Order], *watched: Any) -> None:
        super().__init__(*watched)
        self._sent = sent

    async def submit(self, order: Order) -> ExecutionReport:
        self._sent[order.order_id] = order
        return await super().submit(order)


@define(eq=False)
class _Armed(Recorder):
    """Notes from which block on engines copy."""

    blocks: list[int] = field(factory=list)

    def on_step(self, step: str, detail: str) -> None:
        super().on_step(step, detail)
        if step == "armed":
            self.blocks.append(int(detail.split()[2].rstrip(";")))


@define(eq=False, kw_only=True)
class Crowd(World):
    recorder: _Armed = field(factory=_Armed)
    server: ClobServer
    members: Sequence[Member]
    store: StoreOfLife
    sent: dict[OrderId, Order] = field(factory=dict)
    wrong: list[str] = field(factory=list)
    unproven: dict[tuple[str, str], OrderId] = field(factory=dict)

    def seams(self) -> Seams:
        seams = super().seams()
        seams.keys = {one.name: one.key for one in self.members}
        seams.open_socket = self.server.open_socket
        return seams

    def watch(self, service: Service) -> None:
        """Note what an engine sends, and what it should not send."""
        execution = service.executions["clob"]
        redacted: Any = execution.executor
        watched = _Noted(self.sent, redacted.inner, self.store.has_order, self.wrong.append, self.unproven)
        execution.executor = execution.submitting.executor = evolve(redacted, inner=watched)

    def quote(self, token: int, bid: int = 490_000, ask: int = 500_000, shares: Shares = _PLENTY) -> None:
        """Offer shares of a token on both sides."""
        quote = Quote(bid=Price(bid), ask=Price(ask), bid_shares=shares, ask_shares=shares)
        self.server.clob.market.set_quote(TokenId(token), quote)

    async def wait_quiet(self, service: Service, most_s: float = 1800.0) -> None:
        """Wait until nothing is under way any more, or so long."""
        quiet, until = 0, trio.current_time() + most_s
        while True:
            await trio.sleep(5)
            status, shards = service.status(), service.holder.shards.values()
            accounts = [account for shard in shards for account in shard.accounts.values()]
            still = status.queued or status.busy or any(account.orders or account.waiting for account in accounts)
            quiet = 0 if still else quiet + 1
            if quiet == 3 or trio.current_time() >= until:
                return

    async def problems(self) -> list[str]:
        """Compare the books with the chain and the venue; one sentence for whatever does not fit."""
        self.store.keep()
        async with self.store.place.look() as store:
            books = await read_books(store)
        left = Left(
            record=self.server.clob.record,
            members=self.members,
            signing=self.store.place.folder / "signing",
            truth=truth_of(self.chain, LEADERS),
            armed=min(self.recorder.blocks, default=None),
            sent=self.sent,
        )
        return [*left.problems(books), *self.wrong, *self._otherwise_in_wallets(left.booked(books))]

    def _otherwise_in_wallets(self, booked: Moved) -> Iterator[str]:
        """Yield what wallets hold otherwise than the books say, to the millionth."""
        for member in self.members:
            wallet = self.server.clob.wallets.get(member.address)
            expected = Counter[TokenId | None]({None: _USD * 1_000_000})
            for (address, token, side), sums in booked.items():
                if address == member.address:
                    sign = 1 if side is Side.BUY else -1
                    expected[token] += sign * sums["shares"]
                    expected[None] -= sign * sums["cash"] + sums["fee"]
            for asset in {*expected, *wallet.has}:
                if wallet.has[asset] != expected[asset] or wallet.has[asset] < 0:
                    yield f"{member.name} has {wallet.has[asset]} of {asset or 'cash'}, the books say {expected[asset]}"


@asynccontextmanager
async def open_crowd(folder: Path, count: int, store: str = "sqlite") -> AsyncGenerator[Crowd, None]:
    """Open chain, venue, store and armed wallets for so many followers; engines are the caller's."""
    async with open_world() as world, open_virtual_clob_venue(world.wall) as server, trio.open_nursery() as nursery:
        nursery.start_soon(go_on, world)
        crowd = Crowd(
            world.chain,
            world.nodes,
            world.wall,
            nursery=world._nursery,
            server=server,
            members=members(count),
            store=StoreOfLife(Place(store, folder)),
        )
        for member in crowd.members:
            server.clob.put_wallet(member.address, owner=member.key.address, signature_type=int(member.kind), usd=_USD)
            arm(folder / "signing", member.address, limits_of(_POLICY, POLYGON), NOW + 86_400)
        for token in TOKENS:
            about: dict[str, Any] = {"condition_id": f"0x{token:064x}", "outcome": "Yes", "question": "?", "slot": 0}
            about |= {"exchange": 3 if token == 3 else 2, "neg_risk": token == 2}
            server.clob.market.put([TokenFacts(token_id=TokenId(token), **about)])
            crowd.quote(token)
        yield crowd
        nursery.cancel_scope.cancel()


def plan_of(crowd: Crowd, folder: Path, *, kinds: Sequence[str] = ("FAK",)) -> Plan:
    """All follow both leaders with a tenth of their size, over HTTP alone, and take turns in the kind of their orders."""
    paper = make_test_plan(followers=[one.name for one in crowd.members], leaders=LEADERS).settings
    address = crowd.server.address
    options = {"clob_url": address, "geoblock_url": f"{address}/api/geoblock"}
    settings = evolve(
        paper,
        engine=evolve(paper.engine, mode="live", deadline_s=60.0, reconcile_every_s=3.0),
        signing=evolve(paper.signing, folder=str(folder / "signing")),
        store=PluginTable(name="sqlite", plugin="sqlite", options={"path": str(crowd.store.place.file)}),
        executor=(PluginTable(name="clob", plugin="clob", options=options),),
        wallet={
            one.name: WalletTable(key=f"env:{one.name}", address=one.address, signature_type=one.kind, policy=_POLICY)
            for one in crowd.members
        },
        follower=tuple(evolve(one, executor="clob", wallet=str(one.id)) for one in paper.follower),
        follow=tuple(
            evolve(one, execution=Execution(order_type=kinds[number // len(LEADERS) % len(kinds)], rest_s=_REST_S))
            for number, one in enumerate(paper.follow)
        ),
    )
    return crowd.store.planned(make_plan(settings, discover()))
