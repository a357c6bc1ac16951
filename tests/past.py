"""Recordings of markets that never were, made without a node: what `trio-copy fetch` would have written of them."""

from collections.abc import Sequence
from pathlib import Path

from tests.builders import NOW, POLYGON
from trio_copy.chain.decoders.order_filled import OrderFilledDecoder, OrderFilledSettings
from trio_copy.chain.filters import build_filters, passes
from trio_copy.engine.recordings.fetched import open_fetched
from trio_copy.engine.recordings.recorded_lines import Fetched
from trio_copy.entropy import seeded_entropy
from trio_copy.model.ids import Address
from trio_copy.testing.devnet import DevChain, DevTx
from trio_copy.testing.devnet.market import ScriptedMarket

DECODER = OrderFilledDecoder(frozenset(OrderFilledSettings().exchanges))


def record(path: Path, leaders: Sequence[Address], blocks: Sequence[Sequence[DevTx]], block_s: float = 60.0) -> None:
    """Write what leaders did in these blocks, the first of which is mined `block_s` after NOW."""
    now = NOW
    chain, filters = DevChain(POLYGON, lambda: now), build_filters([DECODER], leaders, 500)
    with open_fetched(path, POLYGON, Fetched(leaders=tuple(sorted(leaders)), filters="")) as (file, _):
        file.begin(chain.head.ref)
        for txs in blocks:
            now += block_s
            block = chain.mine(*txs)
            file.add([log for log in block.logs if any(passes(log, one) for one in filters)], block.ref)


def record_market(path: Path, leaders: Sequence[Address], blocks: int, *, fills: float = 1.0, seed: int = 7) -> None:
    """Write what leaders did on a scripted market."""
    market = ScriptedMarket(leaders, seeded_entropy(seed), fills, 0)
    record(path, leaders, [market.next_block() for _ in range(blocks)])
