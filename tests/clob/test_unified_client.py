"""A second opinion: the venue's unified client, polymarket-client, signs what we sign, and trades at our venue."""

from collections.abc import Generator

import pytest
import trio
from attrs import evolve

from tests.clob.official import UNIFIED, compare
from tests.clob.test_orders_official import check_headers
from tests.official import POLYMARKET, Client, started
from tests.testing.venue_client import FACTS, key_of, put_book
from trio_copy.clock import anchored_wall_clock
from trio_copy.model.ids import ChainId, TokenId
from trio_copy.model.orders import SignatureType
from trio_copy.testing.clob_venue import Filled, open_clob_venue
from trio_copy_clob.examining.derived import addresses_of

FEW = 12


@pytest.fixture(scope="module")
def unified() -> Generator[Client, None, None]:
    with started(UNIFIED, POLYMARKET) as client:
        yield client


def test_random_orders_are_what_the_unified_client_makes_of_them(unified: Client) -> None:
    """Digest and body, of every kind of order that there is, at Polygon's contracts; it reckons in decimals."""
    found = compare(unified, 20_261_126, FEW, (137,))
    assert found["equal"] > FEW / 2


def test_random_headers_are_what_the_unified_client_sends(unified: Client) -> None:
    check_headers(unified)


@pytest.mark.parametrize(("kind", "exchange"), [(1, "v2-neg-risk"), (3, "v3")])
async def test_the_unified_client_trades(unified: Client, kind: int, exchange: str) -> None:
    """It tells the kind of a wallet by its address, and the generation of a token by its id."""
    async with open_clob_venue(anchored_wall_clock()) as server:
        server.faults.mined_after_s = server.faults.confirmed_after_s = 0  # it waits for that, by the real clock
        generation, bits = (3, 0) if exchange == "v3" else (2, 2**70)
        yes, no = (TokenId(2**248 + bits + number) for number in (0, 1))
        server.clob.market.put(
            evolve(fact, token_id=one, opposite=other, neg_risk=exchange == "v2-neg-risk", exchange=generation)
            for fact, one, other in zip(FACTS, (yes, no), (no, yes), strict=True)
        )
        put_book(server, yes, asks=[("0.6", "10")], bids=[("0.4", "10")])
        key = key_of(1)
        address = addresses_of(key.address, ChainId(137))[SignatureType(kind)][0]
        wallet = server.clob.put_wallet(address, owner=key.address, signature_type=kind, usd=1000)
        wish = {"host": server.address, "private_key": f"0x{1:064x}", "wallet": address, "token_id": str(yes)}
        told = await trio.to_thread.run_sync(unified.ask, {"do": "trade", **wish})

    assert told["wallet_type"] == ("EOA", "POLY_PROXY", "GNOSIS_SAFE", "DEPOSIT_WALLET")[kind]
    assert told["best"] == [["0.4", "10"], ["0.6", "10"]]
    placed, status = told["read"]
    assert (status, told["listed"], told["canceled"]) == ("LIVE", [placed], [placed])
    assert [told[order] for order in ("resting", "bought", "sold")] == [
        ["live", "0", "0"],
        ["matched", "3", "5"],
        ["matched", "5", "2"],
    ]
    assert ["CONFIRMED", told["settled"][0]] in told["trades"]
    assert (told["balance"], wallet.has[None], wallet.has[yes]) == ("999000000", 999_000_000, 0)
    assert (told["closed_only"], told["keys"], bool(told["beat"])) == (False, 1, True)
    assert [(fill.shares, fill.cash) for fill in server.clob.record.of(Filled)] == [
        (5_000_000, 3_000_000),
        (5_000_000, 2_000_000),
    ]
