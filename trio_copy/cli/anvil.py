"""The world of `[anvil]`: a real node for one run, venues of both kinds on it, leaders who trade there, followers' wallets."""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from trio_copy.chain.dial import dial_network
from trio_copy.cli.world import PLAY_USD, World
from trio_copy.config import AnvilSettings, EndpointSettings
from trio_copy.engine.plan import Plan, with_options
from trio_copy.entropy import seeded_entropy
from trio_copy.errors import ChainError, ConnectionLost
from trio_copy.model.catalog import Catalog
from trio_copy.model.ids import Address
from trio_copy.testing.anvil.leaders import run_leaders, trades
from trio_copy.testing.anvil.stage import Stage, open_stage


@asynccontextmanager
async def open_anvil_world(
    plan: Plan, script: AnvilSettings, owners: Mapping[str, Sequence[Address]]
) -> AsyncGenerator[World, None]:
    """Start the node, deploy, and let the leaders trade while the block runs; the plan reads and trades at what is there.

    `owners` are the addresses that act for each wallet; a wallet that is not one of them becomes their Safe.

    Raises:
        ConfigError: the node or a contract cannot be fetched.
        ChainError: the node does not start, or ends.
    """
    leaders: list[Address] = sorted({table.leader for table in plan.settings.follow})
    with TemporaryDirectory(prefix="trio-copy-anvil-") as folder, _told_as_the_node():
        async with open_stage(Path(folder), plan.settings.chain.chain_id) as stage, trio.open_nursery() as nursery:
            for leader in leaders:
                await stage.bring_leader(leader)
            for name, acting in owners.items():
                wallet = plan.settings.wallet[name]
                if wallet.address is not None:
                    await stage.bring_wallet(wallet.address, acting, (wallet.paper_usd or PLAY_USD).micro)
            await stage.chain.mine_every(script.block_every_s)
            nursery.start_soon(
                run_leaders, stage, trades(leaders, seeded_entropy(script.seed)), script.trade_every_s
            )  # fmt: skip
            yield _world(stage, plan)
            nursery.cancel_scope.cancel()


@contextmanager
def _told_as_the_node() -> Iterator[None]:
    """Say of what the end of its connection means that it is the node of this run which is gone."""
    try:
        yield
    except* ConnectionLost as group:
        raise ChainError("anvil, the node of this run, has ended before the run did") from group


def _world(stage: Stage, plan: Plan) -> World:
    catalog = Catalog()
    catalog.put(stage.facts)
    plan = with_options(plan, "decoder", stage.decoders)
    plan = with_options(plan, "executor", stage.executors)
    return World(
        endpoints=(EndpointSettings(name="anvil", url=stage.node.url),),
        dial=dial_network,
        quotes=None,
        plan=plan,
        catalog=catalog,
        policy=stage.policy,
        steps=(
            ("anvil", f"chain {plan.settings.chain.chain_id} at {stage.node.url}, for this run"),
            ("market-maker", f"{stage.amm.pool}, of Conditional Tokens {stage.amm.ctf}"),
            ("pool", f"{stage.pool.pool}, of outcome {stage.pool.outcome}"),
        ),
    )
