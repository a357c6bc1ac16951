"""What the summary of a run says about money that is held and earned."""

from pathlib import Path

import pytest
import trio
import trio.testing

from tests.builders import NOW, make_signal, make_task
from tests.cli.filled import Owner
from tests.cli.small_books import conf, fill, own, trade_a_little
from trio_copy.cli.pnl import Profit
from trio_copy.cli.standing import Standing, Standings, read_standings, standing_lines, standing_objects
from trio_copy.errors import StoreUnavailable
from trio_copy.model.units import Usd
from trio_copy.ports import Store

__all__ = ["conf"]


def shown(standings: Standings) -> list[str]:
    return [line.plain for line in standing_lines(standings)]


def test_a_summary_says_who_holds_and_earned_what(conf: Path) -> None:
    """In total and by follower, with the figures of `trio-copy pnl`; what has no bid is not guessed."""
    own(conf, trade_a_little)
    assert shown(fill(conf, read_standings)) == [
        "held       1 position for $3.55",
        "p&l        realised +$3.25, unrealised +$0.95, fees $0.30; in all +$4.20",
        "positions  what most was paid for",
        "  alice    5.00 for $3.55  bid 0.9  +$0.95  token 777",
    ]

    def buy(owner: Owner) -> None:
        owner.fill(make_task(make_signal(9), "bob"), at=NOW)

    own(conf, buy)
    standings = fill(conf, read_standings)
    assert shown(standings) == [
        "held       2 positions for $8.55",
        "p&l        realised +$3.25, unrealised not known, no bid, fees $0.30",
        "  bob      1 position for $5.00; realised +$0.00, unrealised not known, no bid",
        "  alice    1 position for $3.55; realised +$3.25, unrealised +$0.95, fees $0.30; in all +$4.20",
        "positions  what most was paid for",
        "  bob      10.00 for $5.00  no bid  token 777",
        "  alice    5.00 for $3.55  bid 0.9  +$0.95  token 777",
    ]
    assert standing_objects(standings)[0] == {
        "follower": "bob",
        "positions": 1,
        "cost": 5_000_000,
        "realised": 0,
        "provisional": 0,
        "unrealised": None,
        "fees": 0,
    }


def test_ten_thousand_followers_do_not_fill_the_screen() -> None:
    """Those who hold most, and how many more there are."""
    many = [Standing(Profit(f"f{number}"), 1, Usd(1_000_000)) for number in range(10_000)]
    lines = shown(Standings(many, Standing(Profit("all"), 10_000, Usd(10**10))))

    assert lines[0] == "held       10000 positions for $10,000.00"
    assert len(lines) == 13
    assert lines[-1].endswith("and 9990 more followers: trio-copy pnl")


@pytest.mark.parametrize("ails", ["gone", "silent"])
async def test_a_store_that_is_away_does_not_hold_the_end_up(autojump_clock: object, ails: str) -> None:
    """Two seconds at most, and a line that says where to ask."""

    class History:
        async def sums(self, *_: object) -> None:
            await trio.sleep(0 if ails == "gone" else 1e9)
            raise StoreUnavailable("the disk is gone")

        documents = sums

    class Away:
        history = History()

    store: Store = Away()  # type: ignore[assignment]  # all that is asked of it
    began = trio.current_time()
    found = await read_standings(store)

    assert trio.current_time() - began <= 2.0
    assert shown(found) == ["books      the store did not tell in time; ask it later: trio-copy pnl"]
