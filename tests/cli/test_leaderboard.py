"""`trio-copy leaders --source polymarket`, over real sockets."""

import csv
import json
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.builders import LEADER, OTHER_LEADER
from trio_copy.cli import main
from trio_copy.clock import anchored_wall_clock
from trio_copy.config import to_checksum
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, Hash32, TokenId
from trio_copy.model.past_trades import PastTrade
from trio_copy.model.units import Price, Shares
from trio_copy.testing.market_server import MarketServer, open_market_server

Capture = pytest.CaptureFixture[str]
CONDITION = "0x" + "ab" * 32


def trade(now: float, ago_s: float, side: Side, price: str, wallet: Address, token: int) -> PastTrade:
    return PastTrade(
        at=now - ago_s,
        wallet=wallet,
        token_id=TokenId(token),
        side=side,
        shares=Shares.parse(100),
        price=Price.parse(price),
        tx_hash=Hash32("0x" + "cd" * 32),
        maker=False,
    )


def fill(server: MarketServer, now: float) -> None:
    """One wallet buys what wins, another one buys what falls; and somebody traded long ago."""
    venue = server.venue
    venue.put(
        TokenFacts(token_id=TokenId(slot + 1), condition_id=CONDITION, slot=slot, opposite=TokenId(2 - slot))
        for slot in (0, 1)
    )
    venue.best = [OTHER_LEADER, LEADER]
    venue.trades = [
        trade(now, 5000, Side.BUY, "0.5", LEADER, 1),
        trade(now, 5000, Side.BUY, "0.5", OTHER_LEADER, 3),
        trade(now, 4000, Side.SELL, "0.4", OTHER_LEADER, 3),
        trade(now, 10 * 86_400, Side.BUY, "0.1", LEADER, 3),
    ]
    venue.decide(CONDITION, (1_000_000, 0))


async def test_the_best_wallets_of_a_venue_are_ranked(tmp_path: Path, capsys: Capture) -> None:
    """By what a follower had of them: a table with its notes, rows for a program, and no bar in a pipe."""
    wall, conf = anchored_wall_clock(), tmp_path / "conf.toml"
    async with open_market_server(wall) as server:
        fill(server, wall())
        addresses = "\n".join(f'{name} = "{url}"' for name, url in server.addresses.items())
        conf.write_text(
            f"""
            [chain]
            chain_id = 137
            [[endpoint]]
            name = "node"
            url = "ws://127.0.0.1:1"
            [store.memory]
            [executor.dry-run]
            [decoder.order-filled]
            [markets.polymarket]
            {addresses}
            """
        )
        words = ("leaders", "--source", "polymarket", "--conf", str(conf), "--slippage-bps", "0")
        printed = []
        for more in ((), ("--csv",), ("--json", "--top", "1")):
            assert await trio.to_thread.run_sync(partial(main, (*words, *more))) == 0
            printed.append(capsys.readouterr().out.splitlines())
    table, rows, (line,) = printed
    assert table[-1] == "note: 1 token is not decided: what is held counts at the last price of these wallets"
    winner, loser = csv.DictReader(rows)
    assert (winner["wallet"], winner["earned"], winner["trades"]) == (to_checksum(LEADER), "10", "1")
    assert (loser["wallet"], loser["earned"], loser["own"]) == (to_checksum(OTHER_LEADER), "-2", "-2")
    assert json.loads(line)["wallet"] == to_checksum(OTHER_LEADER)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--source", "nowhere"), "nowhere"),
        (("--source", "polymarket", "--top", "0"), "--top: expected a number from 1 to 100, got 0"),
        (("--source", "polymarket", "--since", "soon"), "--since: expected a time"),
        (("--source", "polymarket", "--since", "2999-01-01"), "--since: expected a time that is over"),
        (("past.rec", "--source", "polymarket"), "--source: expected no FILE beside it, got past.rec"),
    ],
)
def test_what_cannot_be_ranked_is_one_line(capsys: Capture, words: tuple[str, ...], says: str) -> None:
    """Before anybody is asked."""
    assert main(["leaders", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
