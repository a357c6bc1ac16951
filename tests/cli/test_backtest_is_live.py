"""A run on a market and the backtest of its recording are the same, to the millionth."""

from collections import Counter
from pathlib import Path

import pytest

from tests.market_day import LEAVING, Script, make_plan, run_live, run_past
from trio_copy.model.follow_settings import Leaving


@pytest.mark.parametrize("venue", [True, False], ids=["market source", "quotes"])
def test_a_backtest_is_the_live_run_on_the_same_recording(tmp_path: Path, *, venue: bool) -> None:
    """Twenty leaders, three followers, books, a reorg, fees, decisions, exits of their own: every booking of everybody."""
    path, plan = tmp_path / "live.rec", make_plan(LEAVING if venue else Leaving())
    live, recording = run_live(plan, Script(blocks=34, fills=2.0, venue=venue))
    path.write_bytes(recording)
    past, judge, what = run_past(path, plan)
    assert sorted(past.booked.entries) == sorted(live.booked.entries)
    assert past.booked.at == pytest.approx(live.booked.at)
    assert past.money == live.money
    for figure in ("signals", "adopted", "ends", "skips", "refusals"):
        assert getattr(past.booked, figure) == getattr(live.booked, figure), figure
    assert what.markets == venue
    assert judge.total.copies > 100
    assert judge.total.realised == sum(one.realised.micro for one in live.profits) != 0
    assert judge.total.fees == sum(one.fees.micro for one in live.profits) > 0
    kinds = Counter(kind for kind, *_ in live.booked.entries)
    assert (kinds["redemption"] > 0) == venue
    assert (
        any(follower == "bob" for _, follower, *_ in live.booked.entries) == venue
    )  # nobody else tells him what he asks
