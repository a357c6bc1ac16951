"""The official client trades at our venue over a real socket: it was written by people who never saw ours."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import evolve

from tests.official import PY_CLOB, Client, started
from tests.testing.venue_client import FACTS, YES, key_of, put_book, wallet_of
from trio_copy.clock import anchored_wall_clock
from trio_copy.testing.clob_venue import Filled, open_clob_venue


@pytest.fixture(scope="module")
def official() -> Generator[Client, None, None]:
    with started(Path(__file__).with_name("venue_official.py"), PY_CLOB) as client:
        yield client


@pytest.mark.parametrize(
    ("kind", "exchange"), [(0, "v2"), (1, "v2-neg-risk"), (2, "v3"), (3, "v2"), (3, "v2-neg-risk"), (3, "v3")]
)
async def test_the_official_client_trades(official: Client, kind: int, exchange: str) -> None:
    async with open_clob_venue(anchored_wall_clock()) as server:
        server.faults.mined_after_s = server.faults.confirmed_after_s = 0  # it waits for that, by the real clock
        generation = 3 if exchange == "v3" else 2
        changes: dict[str, Any] = {"neg_risk": exchange == "v2-neg-risk", "exchange": generation}
        server.clob.market.put(evolve(fact, **changes) for fact in FACTS)
        put_book(server, asks=[("0.6", "10")], bids=[("0.4", "10")])
        wallet = wallet_of(server, key_of(1), kind)
        wish = {
            "host": server.address,
            "private_key": "0x" + f"{1:064x}",
            "signature_type": kind,
            "funder": wallet.address,
            "token_id": str(YES),
            "version": generation,
        }
        told = await trio.to_thread.run_sync(official.ask, wish)

    assert told["best"] == [{"price": "0.4", "size": "10"}, {"price": "0.6", "size": "10"}]
    placed = told["resting"]["orderID"]
    assert (told["resting"]["status"], told["read"]["id"], told["read"]["status"]) == ("live", placed, "LIVE")
    assert (told["listed"], told["canceled"]) == ([placed], {"canceled": [placed], "not_canceled": {}})
    assert (told["bought"]["status"], told["bought"]["takingAmount"], told["bought"]["makingAmount"]) == (
        "matched",
        "5",
        "3",
    )
    assert (told["sold"]["status"], told["sold"]["takingAmount"], told["sold"]["makingAmount"]) == ("matched", "2", "5")
    assert {trade["status"] for trade in told["trades"]} == {"CONFIRMED"}
    assert told["bought"]["transactionsHashes"] == [told["trades"][1]["transaction_hash"]]
    assert (told["balance"]["balance"], wallet.has[None], wallet.has[YES]) == ("999000000", 999_000_000, 0)
    assert (told["closed_only"], len(told["keys"]["apiKeys"])) == ({"closed_only": False}, 1)
    assert told["beat"]["heartbeat_id"]
    assert [(fill.shares, fill.cash) for fill in server.clob.record.of(Filled)] == [
        (5_000_000, 3_000_000),
        (5_000_000, 2_000_000),
    ]
