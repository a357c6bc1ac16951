"""conf/demo.toml, the first thing that a person sees: every promise of it, within its first half minute, on every terminal."""

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import pytest
import trio
import trio.testing
from attrs import evolve, frozen

from tests.builders import NOW
from trio_copy.cli.open_world import IN_MEMORY, open_world
from trio_copy.cli.standing import read_standings, standing_lines
from trio_copy.clock import WallClock, wall_clock_from
from trio_copy.engine.opening import open_service
from trio_copy.engine.plan import load_plan
from trio_copy.engine.seams import Seams
from trio_copy.entropy import seeded_entropy
from trio_copy.model.ids import ChainId, TokenId
from trio_copy.telemetry.observer import Observers
from trio_copy.telemetry.tally import Tally
from trio_copy.telemetry.tape import Tape, status_lines, summary_lines
from trio_copy.testing.devnet import Devnet, open_virtual_devnet
from trio_copy.testing.virtual import run_virtually

CONF = Path(__file__).parents[2] / "conf" / "demo.toml"
WIDTHS = (80, 120, 200, None)
LASTS_S = 26.0


@frozen
class Shown:
    tally: Tally
    tapes: Mapping[int | None, Sequence[str]]
    """What was shown until the end, by width of the terminal; None for a pipe."""


@cache
def demonstration() -> Shown:
    """Play it in virtual time, over the same bytes, for terminals of all widths at once."""
    return run_virtually(_play, seed=1)


def _tape(width: int | None, lines: list[str], wall: WallClock, labels: Mapping[TokenId, str]) -> Tape:
    return Tape(lambda text: lines.append(text.plain), wall, labels, width=lambda: width)


async def _play() -> Shown:
    wall, tally = wall_clock_from(NOW), Tally()
    tapes: dict[int | None, list[str]] = {width: [] for width in WIDTHS}
    async with open_world(load_plan(CONF), wall, IN_MEMORY) as world:
        shown = [_tape(width, lines, wall, world.labels) for width, lines in tapes.items()]
        seams = Seams(
            dial=world.dial,
            wall=wall,
            entropy=seeded_entropy(1),
            observer=Observers([tally, *shown]),
            catalog=world.catalog,
            open_socket=world.open_socket,
        )
        async with open_service(world.plan, seams, world.endpoints) as service:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(service.run)
                await trio.sleep(LASTS_S)
                statuses = {width: status_lines(service.status(), tally, width) for width in WIDTHS}
                service.drain()
            standings = await read_standings(service.store, world.labels)
            status = service.status()
    for width, lines in tapes.items():
        end = (*summary_lines(status, tally, 0, status.left, 0, width), *standing_lines(standings, width))
        lines += [line.plain for line in (*statuses[width], *end)]
    return Shown(tally, tapes)


async def test_its_chain_forgets(clock: trio.testing.MockClock) -> None:
    """A demonstration that runs for days takes no more: it has blocks enough for whoever reads the newest, and no others."""
    opened: list[Devnet] = []

    @asynccontextmanager
    async def devnet(chain_id: ChainId, wall: WallClock) -> AsyncGenerator[Devnet, None]:
        async with open_virtual_devnet(chain_id, wall) as one:
            opened.append(one)
            yield one

    async with open_world(load_plan(CONF), wall_clock_from(NOW), evolve(IN_MEMORY, devnet=devnet)):
        (one,) = opened
        kept = one.chain.kept
    assert kept is not None
    assert 1_000 <= kept <= 100_000


PROMISES = {
    "a name": r"bob      filled   10\.20 @ 0\.50  \$5\.\d\d  .* Lakers win tonight\? NO$",
    "a book that is walked": r"filled   .* @ 0\.\d{4,}  \$\d+\.\d\d  \+\d+ bps",
    "a price filter": r"bob      skipped  PRICE_TOO_HIGH \(filters\.price_max: 0\.94, limit 0\.9\)",
    "a paper wallet that is empty": r"bob      denied   NO_BALANCE \(wallet\.paper_usd: 5\.\d+, limit \d\.\d+\)",
    "a reorg": r"reorg 0xfe78\.\.0319 SELL taken back",
    "a dropped connection": r"alert endpoint-lost: devnet",
    "a profit that is taken": r"exit: leaving\.take_profit_bps takes carol out of Fed cuts rates in December\? NO at 0\.3\d+$",
    "what came of it": r"carol    filled   15\.15 @ 0\.3\d+ .* own exit  Fed cuts rates in December\? NO$",
    "a resolution": r"decided: Lakers win tonight\? NO pays 1, for good after 6 more blocks$",
    "a redemption": r"redeemed: bob: 20\.18 of Lakers win tonight\? NO paid 20\.18",
    "refusals at the end": r"^not copied .*\d NO_BALANCE",
    "exits at the end": r"^exits      [2-9] positions left by own rules or by hand$",
    "redemptions at the end": r"^redeemed   2 positions of decided questions for \$54\.85, counted as sold$",
    "unrealised profit": r"^p&l        realised \+\$\d+\.\d\d, unrealised [+-]\$\d+\.\d\d, fees \$\d\.\d\d; in all [+-]",
    "bids by name": r"^  carol    66\.29 for \$51\.\d\d  bid 0\.7\d+  [+-]\$\d+\.\d\d  Bitcoin above 150k on New Year\? NO$",
}


@pytest.mark.parametrize("promise", PROMISES)
def test_what_the_demonstration_shows(promise: str) -> None:
    """Names, bids, what is earned and not realised, a rule that fires, a wallet that runs empty, a decision, a redemption."""
    lines = demonstration().tapes[None]

    assert any(re.search(PROMISES[promise], line) for line in lines), "\n".join(lines)


def test_nothing_of_it_goes_wrong() -> None:
    """Every copy ends, and the only thing that a person has to look at is the connection that is dropped on purpose."""
    tally = demonstration().tally

    assert tally.alerts == {"endpoint-lost": 1}
    assert tally.tasks == tally.ends.total() > 30


@pytest.mark.parametrize("width", [80, 120, 200])
def test_no_line_of_it_is_wider_than_the_terminal(width: int) -> None:
    """What finds no room goes on below; what is cut says so, and not the answer of a question."""
    lines, whole = demonstration().tapes[width], demonstration().tapes[None]

    assert [line for line in lines if len(line.rstrip()) > width] == []
    assert len(lines) >= len(whole)
    for ends in ("YES", "NO"):
        about = [line for line in lines if line.rstrip().endswith(ends)]
        assert len(about) == len([line for line in whole if line.endswith(ends)])
