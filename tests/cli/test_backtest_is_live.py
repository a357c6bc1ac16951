"""A run on a market and the backtest of its recording are the same, to the millionth."""

import gzip
from pathlib import Path

import trio

from tests.builders import POLYGON
from tests.harness import make_test_plan, open_world
from trio_copy.cli.pnl import Profit, read_profits
from trio_copy.cli.recorded import play, recorded
from trio_copy.engine.judge import Judge
from trio_copy.engine.opening import open_service
from trio_copy.engine.plan import Plan
from trio_copy.engine.recorded_lines import header_line
from trio_copy.engine.recording import Recorder, RecordingQuotes
from trio_copy.entropy import seeded_entropy
from trio_copy.model.ids import Address
from trio_copy.telemetry.observer import Observers
from trio_copy.telemetry.tally import Tally
from trio_copy.testing.devnet.market import ScriptedMarket
from trio_copy.testing.virtual import run_virtually

LEADERS = [Address(f"0x{number:040x}") for number in range(1, 21)]
BLOCK_S, BLOCKS = 2.0, 40


async def run_live(plan: Plan, tally: Tally) -> tuple[list[Profit], list[bytes]]:
    """Run an engine on a scripted market with books that move; returns what came of it, and the lines of a recording."""
    async with open_world() as world:
        market = ScriptedMarket(LEADERS, seeded_entropy(3), 3.0, 1)
        seams, recorder = world.seams(), Recorder(Path("-"), POLYGON, world.wall)
        seams.observer = Observers([tally])
        seams.on_item, seams.quotes = recorder.note, RecordingQuotes(market, recorder)
        began = world.wall()
        async with open_service(plan, seams, world.endpoints) as service:
            async with trio.open_nursery() as nursery:
                await nursery.start(service.run)
                await world.nodes[0].wait_log_filters(len(service.board.filters))
                for number in range(BLOCKS):
                    world.chain.mine(*market.next_block())
                    if number == BLOCKS // 2:
                        dropped = world.chain.blocks[-1]
                        world.chain.reorg(1, [(), dropped.txs])
                    await trio.sleep(BLOCK_S)
                service.drain()
            profits = await read_profits(service.store, "follower")
        return profits, [header_line(POLYGON, began), *recorder._waiting]


def test_a_backtest_is_the_live_run_on_the_same_recording(tmp_path: Path) -> None:
    """Twenty leaders, three followers, books, a reorg, partial fills, fees: every dollar of every follower."""
    path, tally, again = tmp_path / "live.rec", Tally(), Tally()
    plan = make_test_plan(
        followers=("ann", "bob", "cat"),
        leaders=LEADERS,
        executor={"price_source": "book", "partial_bps": 2000, "fee_bps": 30},
    )
    live, lines = run_virtually(run_live, plan, tally, seed=5)
    path.write_bytes(gzip.compress(b"".join(line + b"\n" for line in lines)))
    what = recorded(path, plan, verb="backtest")
    judge = Judge.over(what.started_at, what.ended_at)
    played = play(what, [judge, again], lambda done: None, on_moment=judge.note_moment)
    amounts = [
        [(one.name, one.trades, one.bought, one.sold, one.fees, one.realised) for one in profits]
        for profits in (live, played.profits)
    ]
    assert amounts[0] == amounts[1]
    assert sum(one.trades for one in live) == judge.total.copies > 100
    assert sum(one.realised.micro for one in live) == judge.total.realised != 0
    assert sum(one.fees.micro for one in live) == judge.total.fees > 0
    assert (tally.signals, tally.adopted, tally.ends, tally.skips) == (
        again.signals,
        again.adopted,
        again.ends,
        again.skips,
    )
