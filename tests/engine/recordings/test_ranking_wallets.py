"""Wallets that nobody follows, ranked by what a venue tells of them."""

from collections.abc import Sequence

import pytest
import trio.testing
from attrs import evolve

from tests.builders import LEADER, NOW, OTHER_LEADER
from trio_copy.engine.recordings import ranking_wallets
from trio_copy.engine.recordings.ranking import Costs, Ranked, Ranking
from trio_copy.engine.recordings.ranking_wallets import WalletRanking
from trio_copy.errors import ConfigError, MarketsUnavailable
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, Hash32, TokenId
from trio_copy.model.past_trades import PastTrade
from trio_copy.model.resolutions import Decided
from trio_copy.model.units import Price, Shares, Usd
from trio_copy.testing.markets import MemoryMarkets

Clock = trio.testing.MockClock
ONE, TWO = TokenId(1), TokenId(2)
COSTS = Costs(stake=Usd.parse(10), latency_s=2.0, slippage_bps=0, fee_bps=0)
WEEK_S = 7 * 86_400.0


def trade(
    after_s: float,
    side: Side,
    shares: int,
    price: str,
    *,
    of: Address = LEADER,
    token: TokenId = ONE,
    maker: bool | None = False,
) -> PastTrade:
    return PastTrade(
        at=NOW - WEEK_S + after_s,
        wallet=of,
        token_id=token,
        side=side,
        shares=Shares.parse(shares),
        price=Price.parse(price),
        tx_hash=Hash32("0x" + "ab" * 32),
        maker=maker,
    )


def source(trades: Sequence[PastTrade]) -> MemoryMarkets:
    return MemoryMarkets(best=[LEADER, OTHER_LEADER], trades=list(trades))


async def ranked(known: MemoryMarkets, most: int = 10) -> tuple[dict[str, Ranked], WalletRanking]:
    ranking = Ranking.over(NOW - WEEK_S, NOW, COSTS, ())
    reading = WalletRanking(
        source=known,
        ranking=ranking,
        since=NOW - WEEK_S,
        until=NOW,
        most=most,
        on_progress=lambda done, of: None,
    )
    await reading.run()
    return {one.wallet: one for one in ranking.finish()}, reading


async def test_they_are_ranked_as_those_of_a_recording_are(clock: Clock) -> None:
    """Ten dollars at 0.5, half of it sold at 0.6: by whoever comes two seconds later, and pays the price of then if it is worse."""
    found, reading = await ranked(
        source(
            [
                trade(0, Side.BUY, 1000, "0.5", maker=True),
                trade(5, Side.BUY, 10, "0.8", of=OTHER_LEADER),
                trade(60, Side.SELL, 500, "0.6"),
            ]
        )
    )
    one = found[LEADER]
    assert one.own == 2_000_000
    assert one.copied.equity == 12_500_000 * 6 // 10 - 10_000_000  # at 0.8, what somebody else paid meanwhile
    assert (one.trades, one.tokens, one.largest_bps, one.maker_bps) == (2, 1, 10_000, 6250)
    assert found[OTHER_LEADER].maker_bps == 0
    assert (reading.cut_off, reading.undecided) == (0, 1)


async def test_what_is_held_of_a_decided_question_is_worth_what_it_pays(clock: Clock) -> None:
    """Winners are redeemed and losers forgotten: neither is ever sold, and the last price says little."""
    known = source([trade(0, Side.BUY, 100, "0.5"), trade(60, Side.BUY, 100, "0.5", token=TWO)])
    known.tell(
        TokenFacts(token_id=ONE, condition_id="0xab", slot=0),
        TokenFacts(token_id=TWO, condition_id="0xcd", slot=1),
    )
    known.decided = {name: Decided(condition_id=name, payouts=(1, 0)) for name in ("0xab", "0xcd")}
    found, reading = await ranked(known)
    assert found[LEADER].copied.equity == 20_000_000 - 20_000_000
    assert reading.undecided == 0
    known.decided["0xcd"] = Decided(condition_id="0xcd", payouts=(0, 1))
    assert (await ranked(known))[0][LEADER].copied.equity == 20_000_000


async def test_no_more_is_read_than_was_asked_for(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many wallets, so many trades of each, and what was not read is counted."""
    monkeypatch.setattr(ranking_wallets, "_TRADES_MOST", 3)
    trades = [trade(number, Side.BUY, 10, "0.5") for number in range(5)]
    trades += [trade(number, Side.BUY, 10, "0.5", of=OTHER_LEADER) for number in range(2)]
    trades.append(evolve(trades[0], at=NOW + 1))
    found, reading = await ranked(source(trades))
    assert {wallet: one.trades for wallet, one in found.items()} == {LEADER: 3, OTHER_LEADER: 2}
    assert reading.cut_off == 1
    assert (await ranked(source(trades), most=1))[0].keys() == {LEADER}


async def test_who_does_not_answer_or_knows_nobody_is_told(clock: Clock) -> None:
    """One that is away raises what it always does; one that knows no traders cannot be asked."""
    known = source([])
    known.go(away=True)
    with pytest.raises(MarketsUnavailable):
        await ranked(known)

    class Stranger:
        """Knows markets, and nobody in them."""

    with pytest.raises(ConfigError, match="expected a market source that knows who trades"):
        await ranked(Stranger())  # type: ignore[arg-type]  # that is the point
