"""What do the facts of 10,000 tokens take of a venue, and of us: calls, seconds, processor time?

python -m bench.markets [tokens]
"""

import sys
from collections.abc import Callable

import trio

from tests.builders import NOW
from tests.clob.opened import Sized
from trio_copy.clock import cpu_seconds, wall_clock_from
from trio_copy.ports import MarketsContext
from trio_copy.testing.market_server import open_virtual_market_server
from trio_copy.testing.virtual import run_virtually
from trio_copy_clob import PolymarketSettings, open_polymarket

TOKENS = 10_000


async def _measure(questions: int, tell: Callable[[str], None]) -> None:
    """Ask a venue in memory: the time is virtual, so that what is told of it is the pace, and the processor's is both sides'."""
    wall = wall_clock_from(NOW)
    facts = Sized(questions).facts()
    async with open_virtual_market_server(wall) as server:
        server.venue.put(facts)
        context = MarketsContext(
            name="polymarket",
            settings=PolymarketSettings(**server.addresses),
            wall=wall,
            open_socket=server.open_socket,
        )
        async with open_polymarket(context) as source:
            began, spent = trio.current_time(), cpu_seconds()
            told = await source.facts([fact.token_id for fact in facts])
            calls = sum(server.http.requests.values())
            tell(
                f"facts of {len(told):,} tokens: {calls} calls in {trio.current_time() - began:.1f} s at the pace of a quarter of"
                f" the limits, {cpu_seconds() - spent:.2f} s of processor with the server's part"
            )


def main() -> None:
    tokens = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdigit() else TOKENS
    run_virtually(_measure, tokens // 2, print, seed=1)


if __name__ == "__main__":
    main()
