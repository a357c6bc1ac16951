"""What is not sent: after its deadline, against a mode, beyond a budget, a wallet or a position, at a closed market, for nobody."""

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import ALICE, NOW, usd
from tests.engine.rig import buy, open_rig, sell
from trio_copy.model.control import Mode
from trio_copy.model.decisions import Code, End
from trio_copy.model.units import Shares

Clock = trio.testing.MockClock


async def test_nothing_is_sent_after_its_deadline(clock: Clock) -> None:
    """A task that waited too long expires unsent, with its age and its limit."""
    async with open_rig(workers=1) as rig:
        rig.executor.latency_s = 0.9
        tasks = [buy(number, token=number, deadline=NOW + 1.7) for number in range(1, 6)]
        ends = await rig.end_of(*tasks)
    assert [end for end, _ in ends] == [End.FILLED, End.FILLED] + [End.EXPIRED] * 3
    assert len(rig.executor.sent) == 2
    reasons = [one.outcome.reason for one in rig.recorder.finished if one.outcome.reason]
    assert [(reason.code, reason.limit) for reason in reasons] == [(Code.DEADLINE_PASSED, "1.7")] * 3


@pytest.mark.parametrize(
    ("mode", "entry", "exit_"),
    [
        (Mode.RUN, End.FILLED, End.FILLED),
        (Mode.REDUCE_ONLY, End.HALTED, End.FILLED),
        (Mode.HALT_NEW, End.HALTED, End.FILLED),
        (Mode.HALT_ALL, End.HALTED, End.HALTED),
    ],
)
async def test_a_mode_stops_entries_before_exits(clock: Clock, mode: Mode, entry: End, exit_: End) -> None:
    """A pause blocks entries only; halt-all alone blocks both, and says so."""
    async with open_rig(mode=mode) as rig:
        await rig.hold("carol")
        ends = await rig.end_of(buy(1), sell(2, "carol"))
    assert [end for end, _ in ends] == [entry, exit_]


async def test_an_exit_sells_at_most_what_was_copied(clock: Clock) -> None:
    """Shares copied from another leader, or bought by hand, are not ours to sell."""
    async with open_rig() as rig:
        await rig.hold("alice", "4")
        ends = await rig.end_of(sell(1), sell(2, "bob"))
    assert ends == [(End.FILLED, None), (End.DENIED, Code.NOTHING_TO_SELL)]
    assert [Shares.parse(4)] == [order.shares for order in rig.executor.sent]


async def test_a_budget_is_shared_by_everything_in_flight(clock: Clock) -> None:
    """Ten entries race for a budget of three; exactly three are sent and the refusals name the setting."""
    async with open_rig(workers=10, terms={"max_day_usd": usd("16")}) as rig:
        rig.executor.latency_s = 1
        ends = await rig.end_of(*(buy(number, token=number) for number in range(1, 11)))
    assert 3 == len(rig.executor.sent) == [end for end, _ in ends].count(End.FILLED)
    refusals = {one.outcome.reason.control for one in rig.recorder.finished if one.outcome.reason}
    assert refusals == {"caps.max_day_usd"}


async def test_a_paper_wallet_pays_for_everything_in_flight(clock: Clock) -> None:
    """Ten entries race for a wallet of three; a sale that fills it pays for one more."""
    async with open_rig(workers=10) as rig:
        followers = rig.execution.book.terms.followers
        followers.named[ALICE] = evolve(followers[ALICE], paper_usd=usd("16"))
        rig.executor.latency_s = 1
        ends = await rig.end_of(*(buy(number, token=number) for number in range(1, 11)))
        assert 3 == len(rig.executor.sent) == [end for end, _ in ends].count(End.FILLED)
        assert {code for _, code in ends if code} == {Code.NO_BALANCE}
        for task in (sell(11, token=rig.executor.sent[0].token_id), buy(12, token=12)):
            assert await rig.end_of(task) == [(End.FILLED, None)]


async def test_a_closed_market_is_refused_with_its_reason(clock: Clock) -> None:
    """The venue's own word for why a token cannot be traded reaches the record."""
    async with open_rig() as rig:
        rig.executor.closed = "resolved"
        assert await rig.end_of(buy()) == [(End.REJECTED, Code.VENUE_REFUSED)]
    reason = rig.recorder.finished[0].outcome.reason
    assert reason is not None
    assert reason.value == "resolved"


async def test_a_follower_who_was_removed_trades_no_more(clock: Clock) -> None:
    """His task still waits when he is taken from the book; there is no wallet to send it from."""
    async with open_rig(at_work=False) as rig:
        task = buy()
        await rig.take_in(task)
        rig.book.terms = evolve(rig.book.terms, followers=evolve(rig.book.terms.followers, named={}))
        queued = await rig.lanes.take()
        assert queued is not None
        await rig.carry_out(queued)
        assert await rig.wait_ends(task) == [(End.SKIPPED, Code.NOT_FOLLOWED)]
