"""Which market source a command asks that runs no engine, and how it is opened."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from trio_copy.clock import WallClock
from trio_copy.engine.plan import Plan, PlannedMarkets
from trio_copy.entropy import Entropy
from trio_copy.ports import Markets, MarketsContext
from trio_copy.registry import Registry

VENUE = "polymarket"
"""Asked where nobody names another one."""


def source_of(plan: Plan | None, registry: Registry, name: str | None = None) -> PlannedMarkets:
    """Return the source of a plan, or one by name as it is where no configuration says anything about it.

    Raises:
        PluginError: there is none of that name.
    """
    if plan is not None and plan.markets is not None and name in (None, plan.markets.name):
        return plan.markets
    plugin = registry.market_source(name or VENUE)
    return PlannedMarkets(name=name or VENUE, plugin=plugin, settings=plugin.settings())


@asynccontextmanager
async def open_planned(
    planned: PlannedMarkets, wall: WallClock, entropy: Entropy, on_trouble: Callable[[str, str], None]
) -> AsyncGenerator[Markets, None]:
    """Open a source for as long as a command needs it."""
    context = MarketsContext(
        name=planned.name, settings=planned.settings, wall=wall, entropy=entropy, on_trouble=on_trouble
    )
    async with planned.plugin.open(context) as source:
        yield source
