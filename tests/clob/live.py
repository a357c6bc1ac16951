"""A whole engine that trades live: devnet leaders, two wallets with keys of their own, and our venue, all in memory."""

from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from attrs import define, evolve

from tests.builders import NOW, POLYGON
from tests.harness import World, make_test_plan, open_world, running_engine
from trio_copy.config import PluginTable
from trio_copy.config.wallets import WalletTable
from trio_copy.engine.plan import Plan, make_plan
from trio_copy.engine.seams import Seams
from trio_copy.engine.service import Service
from trio_copy.model.books import Quote
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, TokenId
from trio_copy.model.orders import SignatureType
from trio_copy.model.positions import EntryKind
from trio_copy.model.units import Price, Shares
from trio_copy.native import SecretKey
from trio_copy.registry import discover
from trio_copy.signing.arming import arm, limits_of
from trio_copy.testing.clob_venue import Accepted, ClobServer, Settled, open_virtual_clob_venue

KEYS = {"alice": SecretKey(b"\xa1" * 32), "bob": SecretKey(b"\xb0" * 32)}
MAKERS = {"alice": KEYS["alice"].address, "bob": Address("0x" + "b0" * 20)}
"""Alice's wallet is her key's own; bob's is a deposit wallet."""
_TYPES = {"alice": SignatureType.EOA, "bob": SignatureType.DEPOSIT}
_TOKENS = (1, 2)
_PLENTY = Shares.parse(100_000)
_Booked = Mapping[tuple[Address, Side, TokenId], tuple[int, int, int]]


@define(eq=False, kw_only=True)
class LiveWorld(World):
    server: ClobServer
    service: Service | None = None

    def seams(self) -> Seams:
        seams = super().seams()
        seams.keys, seams.open_socket = KEYS, self.server.open_socket
        return seams

    @property
    def recorded(self) -> _Booked:
        """What the venue has written down: shares, cash and fee of all that was not undone, by wallet, side and token."""
        record = self.server.clob.record
        undone = {one.trade_id for one in record.of(Settled) if one.status == "FAILED"}
        fills = [fill for one in record.of(Accepted) for fill in record.fills(one.order_id)]
        return _sums(
            ((Address(one.wallet), one.side, one.token_id), (one.shares, one.cash, one.fee))
            for one in fills
            if one.trade_id not in undone
        )

    @property
    def booked(self) -> _Booked:
        """The same by our ledger."""
        entries = self.recorder.entries
        undone = {one.of for one in entries if one.kind is EntryKind.REVERSE}
        return _sums(
            ((MAKERS[one.follower], one.side, one.token_id), (one.shares.micro, one.notional.micro, one.fee.micro))
            for one in entries
            if one.kind is EntryKind.FILL and one.key not in undone
        )

    async def wait_settled(self, tasks: int) -> None:
        """Wait until so many tasks have ended, and no order is open any more."""
        await self.recorder.wait_until(lambda: len(self.recorder.finished) >= tasks)
        for _ in range(600):
            if not self._open_orders():
                return
            await trio.sleep(1)
        raise AssertionError("ten minutes later an order is still open")

    def _open_orders(self) -> int:
        assert self.service is not None
        shards = self.service.holder.shards.values()
        return sum(len(account.orders) for shard in shards for account in shard.accounts.values())


def _sums(rows: Any) -> _Booked:
    found: dict[Any, Counter[int]] = {}
    for key, amounts in rows:
        found.setdefault(key, Counter()).update(dict(enumerate(amounts)))
    return {key: (one[0], one[1], one[2]) for key, one in found.items()}


def live_plan(folder: Path, server: ClobServer, *, channels: bool, listens: bool = False) -> Plan:
    """Both copy a tenth of what the leader trades; with `channels`, a market source listens to the venue as well.

    With `listens`, the executor listens to the user channel.
    """
    paper = make_test_plan().settings
    settings = evolve(
        paper,
        engine=evolve(paper.engine, mode="live", deadline_s=60.0),
        signing=evolve(paper.signing, folder=str(folder / "signing")),
        store=PluginTable(name="sqlite", plugin="sqlite", options={"path": str(folder / "books.db")}),
        executor=(
            PluginTable(
                name="clob",
                plugin="clob",
                options={
                    "clob_url": server.address,
                    "geoblock_url": f"{server.address}/api/geoblock",
                    "user_url": server.user_url if listens else "",
                },
            ),
        ),
        markets=(PluginTable(name="polymarket", plugin="polymarket", options=dict(server.addresses)),)
        if channels
        else (),
        wallet={
            name: WalletTable(key=f"env:{name}", address=maker, signature_type=_TYPES[name])
            for name, maker in MAKERS.items()
        },
        follower=tuple(evolve(one, executor="clob", wallet=str(one.id)) for one in paper.follower),
    )
    for wallet in settings.wallet.values():
        assert wallet.address is not None
        arm(folder / "signing", wallet.address, limits_of(wallet.policy, POLYGON), NOW + 86_400)
    return make_plan(settings, discover())


@asynccontextmanager
async def trading(
    folder: Path,
    *,
    channels: bool = False,
    listens: bool = False,
    faults: Mapping[str, Any] | None = None,
    block_every_s: float = 10.0,
) -> AsyncGenerator[LiveWorld, None]:
    """Run an engine that is armed, at a venue with these faults, while the block runs; the chain goes on all the while."""
    async with open_world() as world, open_virtual_clob_venue(world.wall) as server, trio.open_nursery() as nursery:
        for name, maker in MAKERS.items():
            server.clob.put_wallet(maker, owner=KEYS[name].address, signature_type=int(_TYPES[name]), usd=1000)
        _list_tokens(server)
        for fault, value in (faults or {}).items():
            setattr(server.faults, fault, value)
        live = LiveWorld(world.chain, world.nodes, world.wall, nursery=world._nursery, server=server)
        nursery.start_soon(go_on, live, block_every_s)
        async with running_engine(live, live_plan(folder, server, channels=channels, listens=listens)) as live.service:
            yield live
        nursery.cancel_scope.cancel()


async def go_on(world: World, block_every_s: float = 10.0) -> None:
    """Let the chain grow without trades: a node whose newest block is old proves nothing."""
    while True:
        await trio.sleep(block_every_s)
        world.chain.mine()


def _list_tokens(server: ClobServer) -> None:
    for token in _TOKENS:
        about: dict[str, Any] = {
            "condition_id": f"0x{token:064x}",
            "outcome": "Yes",
            "question": "?",
            "exchange": 2,
            "neg_risk": token == 2,
        }
        server.clob.market.put([TokenFacts(token_id=TokenId(token), slot=0, **about)])
        quote = Quote(bid=Price(490_000), ask=Price(500_000), bid_shares=_PLENTY, ask_shares=_PLENTY)
        server.clob.market.set_quote(TokenId(token), quote)
