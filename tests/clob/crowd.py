"""Many followers with wallets of all types, and keys of their own, at our venue in memory; what each engine leaves is compared."""

from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import trio
from attrs import define, evolve, field, frozen

from tests.builders import LEADER, NOW, OTHER_LEADER, POLYGON
from tests.clob.live import go_on
from tests.crash.books import Books, read_books
from tests.crash.checker import AtVenue, History
from tests.crash.stores import Place, StoreOfLife
from tests.crash.watched import WatchedExecutor
from tests.harness import Recorder, World, make_test_plan, open_world
from trio_copy.chain.decoders.order_filled import V2_TOPIC
from trio_copy.chain.decoders.words import address_topic
from trio_copy.config import PluginTable
from trio_copy.config.wallets import WalletPolicy, WalletTable
from trio_copy.engine.plan import Plan, make_plan
from trio_copy.engine.seams import Seams
from trio_copy.engine.service import Service
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import Execution
from trio_copy.model.ids import Address, FollowerId, OrderId, TokenId
from trio_copy.model.orders import ExecutionReport, Order, Quote, SignatureType, Status
from trio_copy.model.positions import EntryKind
from trio_copy.model.units import Price, Shares, Usd
from trio_copy.native import SecretKey
from trio_copy.registry import discover
from trio_copy.signing.arming import arm, limits_of
from trio_copy.testing.clob_venue import Accepted, Answered, ClobServer, Filled, Settled, open_virtual_clob_venue

LEADERS = (LEADER, OTHER_LEADER)
TOKENS = (1, 2, 3)
"""One of each exchange."""
_USD = 1000
_PLENTY = Shares.parse(100_000)
_POLICY = WalletPolicy(max_hour_usd=Usd.parse(100_000), max_day_usd=Usd.parse(100_000), max_minute_orders=1000)
_REST_S = 240
"""How long GTC and GTD orders may rest."""
_CLOSE = 100
"""Millionths by which a trade may lie off the price that an order names: what rounding leaves of a ten-thousandth."""


@frozen(kw_only=True)
class Member:
    """A follower and what it pays with."""

    name: FollowerId
    key: SecretKey = field(repr=False)
    address: Address
    kind: SignatureType


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
    place: Place
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
        redacted: Any = service.executions["clob"].executor
        watched = _Noted(self.sent, redacted.inner, StoreOfLife(self.place).has_order, self.wrong.append, self.unproven)
        service.executions["clob"].executor = evolve(redacted, inner=watched)

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
        """Compare the books with the chain and the venue's record; one sentence for whatever does not fit."""
        async with self.place.look() as store:
            books = await read_books(store)
        names, venue = [one.name for one in self.members], list(self._at_venue())
        verdict = History(
            truth=self._truth(),
            armed=dict.fromkeys(names, min(self.recorder.blocks)) if self.recorder.blocks else {},
            venue=venue,
            books=books,
            followers=names,
        ).check()
        return [
            *verdict.lost,
            *verdict.doubled,
            *verdict.wrong,
            *self.wrong,
            *self._off_limits(),
            *self._uncounted(venue),
            *self._unequal(books),
        ]

    def _truth(self) -> dict[str, int]:
        leaders = {address_topic(leader) for leader in LEADERS}
        return {
            str(log.topics[1]): block.ref.number
            for block in self.chain.blocks
            for log in block.logs
            if log.topics[0] == V2_TOPIC and log.topics[2] in leaders
        }

    def _at_venue(self) -> Iterator[AtVenue]:
        """Yield every order that reached the venue, whether it was taken or not, as of its last sending."""
        record, bodies = self.server.clob.record, defaultdict[str, set[str]](set)
        last = dict[str, float]()
        for one in record.of(Answered):
            if (one.method, one.path) != ("POST", "/order"):
                continue
            for order_id in one.order_ids:
                last[order_id] = one.at_ms / 1000
                bodies[order_id].add(one.body)
        undone = self._undone()
        for order_id, at in last.items():
            order, fills = self.sent.get(OrderId(order_id)), record.fills(order_id)
            if order is None:
                self.wrong.append(f"nobody sent {order_id}")
                continue
            if len(bodies[order_id]) > 1:
                self.wrong.append(f"{order_id} was sent with {len(bodies[order_id])} bodies")
            kept = [fill for fill in fills if fill.trade_id not in undone]
            failed = bool(fills) and not kept
            yield AtVenue(
                order=order,
                report=_report(order, fills if failed else kept),
                told=_report(order, fills),
                failed=failed,
                at=at,
            )

    def _undone(self) -> set[str]:
        return {one.trade_id for one in self.server.clob.record.of(Settled) if one.status == "FAILED"}

    def _off_limits(self) -> Iterator[str]:
        """Yield orders that got more than they were signed for, or at a worse price."""
        record = self.server.clob.record
        for taken in {one.order_id: one for one in record.of(Accepted)}.values():
            fills = record.fills(taken.order_id)
            shares, cash = sum(one.shares for one in fills), sum(one.cash for one in fills)
            buys = taken.side is Side.BUY
            given, got = (cash, shares) if buys else (shares, cash)
            if given > taken.maker_amount:
                yield f"{taken.order_id} gave {given} of {taken.maker_amount}"
            if taken.maker_amount * got + _CLOSE * taken.taker_amount < taken.taker_amount * given:
                yield f"{taken.order_id} gave {given} for {got}, signed was {taken.maker_amount} for {taken.taker_amount}"
            if taken.order_type in ("FAK", "FOK") and len({one.at_ms for one in fills}) > 1:
                yield f"{taken.order_id} was filled at several times"

    def _uncounted(self, venue: Iterable[AtVenue]) -> Iterator[str]:
        """Yield orders that reached the venue and are not in the journal of their guard, once."""
        lines = [line for path in self.place.folder.glob("signing/signed-*") for line in path.read_bytes().splitlines()]
        counted = Counter(msgspec.json.decode(line)[2] for line in lines)
        for key in {one.order.key for one in venue} | set(counted):
            if counted[key] != 1:
                yield f"{key} left, and was counted {counted[key]} times"

    def _unequal(self, books: Books) -> Iterator[str]:
        """Yield wallets that hold, or gave, something else than the books say, to the millionth."""
        undone, trades = {one.of for one in books.entries if one.kind is EntryKind.REVERSE}, self._undone()
        booked: dict[tuple[Address, TokenId, Side], Counter[str]] = defaultdict(Counter)
        filled: dict[tuple[Address, TokenId, Side], Counter[str]] = defaultdict(Counter)
        addresses = {one.name: one.address for one in self.members}
        for one in books.entries:
            if one.kind in (EntryKind.FILL, EntryKind.CORRECT) and not {one.key, one.of} & undone:
                sums = booked[addresses[one.follower], one.token_id, one.side]
                sums.update(shares=one.shares.micro, cash=one.notional.micro, fee=one.fee.micro)
        for fill in self.server.clob.record.of(Filled):
            if fill.trade_id not in trades:
                sums = filled[Address(fill.wallet), fill.token_id, fill.side]
                sums.update(shares=fill.shares, cash=fill.cash, fee=fill.fee)
        for key in {*booked, *filled}:
            if booked[key] != filled[key]:
                yield f"{key}: the books say {dict(booked[key])}, the venue {dict(filled[key])}"
        for member in self.members:
            wallet, expected = (
                self.server.clob.wallets.get(member.address),
                Counter[TokenId | None]({None: _USD * 1_000_000}),
            )
            for (address, token, side), sums in booked.items():
                if address == member.address:
                    sign = 1 if side is Side.BUY else -1
                    expected[token] += sign * sums["shares"]
                    expected[None] -= sign * sums["cash"] + sums["fee"]
            for asset in {*expected, *wallet.has}:
                if wallet.has[asset] != expected[asset] or wallet.has[asset] < 0:
                    yield f"{member.name} has {wallet.has[asset]} of {asset or 'cash'}, the books say {expected[asset]}"


def _report(order: Order, fills: Sequence[Filled]) -> ExecutionReport:
    return ExecutionReport(
        order_id=order.order_id,
        status=Status.PARTIAL if fills else Status.KILLED,
        shares=Shares(sum(fill.shares for fill in fills)),
        notional=Usd(sum(fill.cash for fill in fills)),
        fee=Usd(sum(fill.fee for fill in fills)),
    )


@asynccontextmanager
async def open_crowd(folder: Path, count: int) -> AsyncGenerator[Crowd, None]:
    """Open chain, venue and armed wallets for so many followers; engines are the caller's."""
    async with open_world() as world, open_virtual_clob_venue(world.wall) as server, trio.open_nursery() as nursery:
        nursery.start_soon(go_on, world)
        crowd = Crowd(
            world.chain,
            world.nodes,
            world.wall,
            nursery=world._nursery,
            server=server,
            members=members(count),
            place=Place("sqlite", folder),
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
        store=PluginTable(name="sqlite", plugin="sqlite", options={"path": str(crowd.place.file)}),
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
    return make_plan(settings, discover())
