"""What a follower could have had of a wallet: later, dearer, in proportion, and never what the wallet had before."""

from pathlib import Path

from tests.builders import LEADER, OTHER_LEADER
from tests.past import DECODER, record
from trio_copy.chain.decoders.order_filled import EXCHANGE_V2
from trio_copy.engine.recordings.ranking import Costs, Ranked, Ranking
from trio_copy.engine.recordings.recording import read_recording
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, TokenId
from trio_copy.model.units import NO_USD, Shares, Usd
from trio_copy.testing.devnet import DevTx
from trio_copy.testing.devnet.chain import fake_hash
from trio_copy.testing.devnet.encode import order_filled_log

NO_COSTS = Costs(stake=Usd.parse(10), latency_s=0.0, slippage_bps=0, fee_bps=0)
LATE = Costs(stake=Usd.parse(10), latency_s=5.0, slippage_bps=0, fee_bps=0)
DEAR = Costs(stake=Usd.parse(10), latency_s=0.0, slippage_bps=100, fee_bps=100)
TAKER = EXCHANGE_V2


def trade(
    number: int, side: Side, shares: int, price: str, *, of: Address = LEADER, token: int = 1, against: Address = TAKER
) -> DevTx:
    log = order_filled_log(
        exchange=EXCHANGE_V2,
        order_hash=fake_hash("order", number),
        owner=of,
        counterparty=against,
        side=side,
        token_id=TokenId(token),
        shares=Shares(shares * 1_000_000),
        notional=Usd(shares * Usd.parse(price).micro),
        fee=NO_USD,
    )
    return DevTx(tx_hash=fake_hash("tx", number), logs=(log,))


def ranked(path: Path, blocks: list[list[DevTx]], costs: Costs = NO_COSTS, block_s: float = 30.0) -> dict[str, Ranked]:
    path.unlink(missing_ok=True)
    record(path, [LEADER, OTHER_LEADER], blocks, block_s)
    ranking = Ranking.over(0.0, 1.0, costs, [DECODER])
    for moment in read_recording(path)[1]:
        ranking.take(moment)
    return {one.wallet: one for one in ranking.finish()}


def test_each_entry_is_copied_with_the_stake_and_each_exit_in_proportion(tmp_path: Path) -> None:
    """Ten dollars at 0.5 are 20 shares; half is sold at 0.6, the rest is worth the last price: 1 and 1."""
    blocks = [[trade(1, Side.BUY, 1000, "0.5")], [trade(2, Side.SELL, 500, "0.6")]]
    one = ranked(tmp_path / "a.rec", blocks)[LEADER]
    assert (one.copied.realised, one.copied.unrealised, one.own) == (1_000_000, 1_000_000, 2_000_000)
    assert (one.trades, one.copied.at_risk, one.copied.return_bps) == (2, 10_000_000, 2000)


def test_what_a_wallet_had_before_earns_a_follower_nothing(tmp_path: Path) -> None:
    """It sells 1,000 shares and has bought 100 of them here: the copy is sold, once, and nothing else."""
    blocks = [
        [trade(1, Side.SELL, 900, "0.9")],
        [trade(2, Side.BUY, 100, "0.5")],
        [trade(3, Side.SELL, 1000, "0.7")],
    ]
    one = ranked(tmp_path / "a.rec", blocks)[LEADER]
    assert (one.copied.equity, one.copied.closed) == (4_000_000, 1)


def test_a_copy_that_comes_late_pays_what_the_token_costs_by_then(tmp_path: Path) -> None:
    """The price ran from 0.5 to 0.8 within ten seconds: 12.5 shares, not 20. A better price is not believed."""
    blocks = [
        [trade(1, Side.BUY, 100, "0.5")],
        [trade(2, Side.BUY, 100, "0.8", of=OTHER_LEADER)],
    ]
    one = ranked(tmp_path / "a.rec", blocks, LATE, 10.0)[LEADER]
    assert (one.copied.equity, one.own) == (0, 6_000_000)
    blocks[1] = [trade(2, Side.BUY, 100, "0.4", of=OTHER_LEADER)]
    assert ranked(tmp_path / "a.rec", blocks, LATE, 10.0)[LEADER].copied.equity == -2_000_000
    much_later = ranked(tmp_path / "a.rec", [blocks[0], [trade(3, Side.BUY, 9, "0.8", of=OTHER_LEADER)]], LATE, 120.0)
    assert much_later[LEADER].copied.equity == 6_000_000


def test_slippage_and_fees_are_ours_to_pay(tmp_path: Path) -> None:
    """One per cent worse and one per cent of it, twice: what the wallet earned nothing with loses."""
    blocks = [[trade(1, Side.BUY, 100, "0.5")], [trade(2, Side.SELL, 100, "0.5")]]
    one = ranked(tmp_path / "a.rec", blocks, DEAR)[LEADER]
    assert (one.own, one.copied.slippage_bps) == (0, 100)
    assert one.copied.equity == one.copied.realised < -390_000
    assert one.copied.fees > 195_000


def test_wallets_are_ranked_by_what_the_follower_has(tmp_path: Path) -> None:
    """Not by size, and not by their own luck; turnover says how concentrated and how much was maker."""
    blocks = [
        [trade(1, Side.BUY, 100_000, "0.5"), trade(2, Side.BUY, 30, "0.2", of=OTHER_LEADER, token=2, against=LEADER)],
        [trade(3, Side.SELL, 100_000, "0.51"), trade(4, Side.SELL, 30, "0.4", of=OTHER_LEADER, token=2)],
        [trade(5, Side.BUY, 12, "0.5", of=OTHER_LEADER, token=3)],
    ]
    found = ranked(tmp_path / "a.rec", blocks)
    assert list(found) == [OTHER_LEADER, LEADER]
    best = found[OTHER_LEADER]
    assert (best.trades, best.tokens, best.largest_bps, best.maker_bps) == (3, 2, 7500, 2500)


def test_a_log_that_is_told_twice_or_taken_back_is_one_trade_or_none(tmp_path: Path) -> None:
    """A recording of a run holds what several sources told; only what the scan found counts, once."""
    path = tmp_path / "a.rec"
    record(path, [LEADER], [[trade(1, Side.BUY, 100, "0.5")]])
    ranking = Ranking.over(0.0, 1.0, NO_COSTS, [DECODER])
    for _ in range(2):
        for moment in read_recording(path)[1]:
            ranking.take(moment)
    assert [one.trades for one in ranking.finish()] == [1]
