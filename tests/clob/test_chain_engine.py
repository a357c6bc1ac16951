"""The whole engine where the chain has what our venue settles: over real frames, in memory, and once over sockets."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import POLYGON
from tests.clob.live import MAKERS, trading
from tests.clob.traded import KEY, open_traded
from trio_copy.chain.dial import dial_network
from trio_copy.chain.nodes import open_nodes
from trio_copy.chain.pacing import Pace
from trio_copy.clock import anchored_wall_clock
from trio_copy.config import ChainSettings, EndpointSettings
from trio_copy.engine.supervisor import Backoff
from trio_copy.entropy import seeded_entropy
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, FollowerId, Hash32
from trio_copy.model.orders import Settlement, Wallet
from trio_copy.model.positions import EntryKind
from trio_copy.model.units import Shares, Usd
from trio_copy.testing.clob_venue import ClobServer, Settles, open_clob_venue
from trio_copy.testing.devnet import DevChain, DevTx, open_devnet
from trio_copy.testing.devnet.chain import fake_hash
from trio_copy.testing.devnet.encode import order_filled_log
from trio_copy.testing.samples import sample_intent, sample_signal, sample_task
from trio_copy_clob.orders.exchanges import exchange_of

Clock = trio.testing.MockClock
_LESS = 13
"""Millionths of a USD by which the chain's fee is not the formula's."""


def settle_on(chain: DevChain, server: ClobServer, when: str) -> None:
    """Put each trade on a chain when it comes to a status."""

    def hear(trade: Any) -> None:
        if trade.status == when:
            fills = [one for one in server.clob.record.fills(trade.taker_order_id) if one.trade_id == trade.trade_id]
            exchange = exchange_of("v2-neg-risk" if trade.token_id == 2 else "v2").contract
            logs = tuple(
                order_filled_log(
                    exchange=exchange,
                    order_hash=Hash32(fill.order_id),
                    owner=Address(fill.wallet),
                    counterparty=exchange,
                    side=fill.side,
                    token_id=fill.token_id,
                    shares=Shares(fill.shares),
                    notional=Usd(fill.cash),
                    fee=Usd(fill.fee - _LESS),
                )
                for fill in fills
            )
            chain.mine(DevTx(tx_hash=fake_hash("settled", trade.trade_id), logs=logs))

    server.clob.settlement.on_trade.append(hear)


@pytest.mark.parametrize(("settles", "when"), [(Settles.PROMPTLY, "MINED"), (Settles.FAILED, "RETRYING")])
async def test_books_are_what_the_chain_says(
    tmp_path: Path, autojump_clock: Clock, settles: Settles, when: str
) -> None:
    """Its fees, and its fills, also those that the venue takes back."""
    async with trading(tmp_path, faults={"settles": settles}, block_every_s=2) as world:
        settle_on(world.chain, world.server, when)
        world.chain.mine(world.buy(), world.buy(token=2))
        await world.wait_settled(4)
        booked: Counter[tuple[Address, int]] = Counter()
        fees: Counter[tuple[Address, int]] = Counter()
        for entry in world.recorder.entries:
            if entry.kind is EntryKind.CONFIRM:
                continue
            assert entry.kind in (EntryKind.FILL, EntryKind.CORRECT)
            booked[MAKERS[entry.follower], entry.token_id] += entry.shares.micro
            fees[MAKERS[entry.follower], entry.token_id] += entry.fee.micro
        recorded = world.server.clob.record
        fills = [fill for one in recorded.entries for fill in recorded.fills(getattr(one, "order_id", ""))]
        assert {(fill.wallet, fill.token_id): fill.shares for fill in fills} == booked
        assert {(fill.wallet, fill.token_id): fill.fee - _LESS for fill in fills} == fees
        assert not [kind for kind, _ in world.recorder.alerts if kind in ("settlement-failed", "venue-unclear")]


async def test_over_sockets() -> None:
    """Venue and node on loopback, with time as it is: a fill is firm by its log, which the venue does not confirm."""
    wall, chain = anchored_wall_clock(), ChainSettings(chain_id=POLYGON)
    async with open_devnet(POLYGON, wall) as devnet:
        for _ in range(3):
            devnet.chain.mine()
        devnet.node.faults.unfinalized = 0
        opening = open_nodes(
            dial=dial_network,
            endpoints=[EndpointSettings(name="devnet", url=devnet.url)],
            paces={"devnet": Pace()},
            chain=chain,
            entropy=seeded_entropy(1),
            quarantine=lambda kind, detail: None,
            on_trouble=lambda kind, detail: None,
            next_wait=lambda: Backoff(0.25, 30.0, seeded_entropy(1)).next_wait,
        )
        async with opening as nodes, open_traded(open_clob_venue, wall=wall, nodes=nodes) as traded:
            settle_on(devnet.chain, traded.server, "MATCHED")
            traded.server.faults.settles = Settles.FAILED
            traded.server.faults.mined_after_s = 0
            wallet = Wallet(follower=FollowerId("alice"), address=KEY.address)
            intent = evolve(sample_intent(Side.BUY), leader_time=int(wall()))
            market = await traded.executor.market(intent.token_id)
            order = traded.executor.prepare(sample_task(sample_signal(1)).key, intent, wallet, market)
            await traded.executor.submit(order)
            with trio.fail_after(10):
                report = await traded.executor.find(order)
                while report is None or report.settlement is not Settlement.FIRM:
                    report = await traded.executor.find(order)
            (fill,) = traded.server.clob.record.fills(order.order_id)
            assert (report.shares.micro, report.fee.micro) == (fill.shares, fill.fee - _LESS)
