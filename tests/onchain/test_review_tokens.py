"""A market maker whose tokens stand in a wrong order in the settings trades nothing: by its index, another outcome is bought."""

import pytest
from attrs import evolve

from tests.onchain.deployed import Deployed, Market
from tests.onchain.executing import settings_for
from tests.onchain.faulting import KEY, fund, open_bench
from trio_copy.errors import OrderNotSent
from trio_copy.testing.anvil import Node

pytestmark = pytest.mark.anvil


async def test_tokens_in_a_wrong_order_are_not_traded(venues: tuple[Node, Deployed], market: Market) -> None:
    await fund(market, KEY.address)
    tables = settings_for(market.deployed).fpmm
    turned = tuple(evolve(table, tokens=tuple(reversed(table.tokens))) for table in tables)
    async with open_bench(venues, market, fpmm=turned) as bench:
        with pytest.raises(OrderNotSent, match="in the order of its outcomes"):
            await bench.buy()
