"""What waits: entries for company, exits that call entries off, reorgs, tries, and what nobody asks about any more."""

from typing import Any

import pytest
from attrs import evolve

from tests.accounts.played import FAILED, PENDING, SPOT, Played, entry, leave, reason_of
from tests.builders import NOW, OTHER_LEADER, make_settings, make_signal, make_task, usd
from trio_copy.accounts import commands as c
from trio_copy.accounts import events as e
from trio_copy.accounts.aggregate import aggregate
from trio_copy.accounts.telling import SkipTold
from trio_copy.model.control import Mode
from trio_copy.model.decisions import Code, CopyTask, End, Outcome, Reason, Skip
from trio_copy.model.fills import Kind
from trio_copy.model.ids import FollowerId, TaskId, TokenId
from trio_copy.model.orders import Status
from trio_copy.model.units import NO_SHARES, Price, Shares, Usd

ACCUMULATES = make_settings(max_order_usd=None, minimum_usd=usd("8"), minimum_policy="accumulate", accumulate_s=3600.0)
TOO_OLD = Outcome(
    end=End.EXPIRED, reason=Reason(code=Code.DEADLINE_PASSED, control="engine.deadline_s", value="9", limit="5")
)


def small(number: int = 1, shares: str = "100", **changes: Any) -> CopyTask:
    """An entry of five dollars that goes together with others; each is decided a little later."""
    return entry(number, shares, aggregates=True, decided_at=NOW + number / 100, **changes)


def test_tasks_that_are_put_together_share_one_order() -> None:
    """Shares add up, the price is their average, the limit the most careful one; what breaks the cap stays behind."""
    tasks = [
        evolve(make_task(make_signal(number, price=price)), task_id=TaskId(f"t{number}"))
        for number, price in enumerate(("0.5", "0.4", "0.6"))
    ]
    together = aggregate(tasks[0], tasks[1:], make_settings())
    assert together.members == ("t1", "t2")
    assert (Shares.parse(30), Price.parse("0.5")) == (together.task.intent.shares, together.task.intent.price)
    assert together.task.intent.limit_price == min(task.intent.limit_price for task in tasks)
    assert together.task.intent.leader_shares == Shares.parse(300)
    small_cap = aggregate(tasks[0], tasks[1:], make_settings(max_order_usd=usd("9")))
    assert small_cap.members == ("t1",)


def test_a_trade_without_a_price_has_no_part_in_the_average() -> None:
    """Slippage is measured against what the leader paid; where he paid nothing in money, nothing is measured."""
    priced, other = make_task(make_signal(1, price="0.4")), make_task(make_signal(2, price=None))

    assert aggregate(priced, [other], make_settings(max_order_usd=None)).task.intent.price == Price.parse("0.4")
    assert aggregate(other, [other], make_settings(max_order_usd=None)).task.intent.price == other.intent.price


def test_small_entries_wait_until_together_they_are_enough() -> None:
    """The first waits; the second brings it along in one order, under its own name; both end, one of them in the other."""
    played = Played(settings=ACCUMULATES)
    first, second = small(), small(2)
    assert [type(event) for event in played.offer(first)] == [e.Waits]
    assert played.offer(first) == ()
    order = played.place(second)
    assert (order.key, order.shares) == (second.key, Shares.parse(20))
    assert reason_of(played.end_of(first)) == (End.GATHERED, "GATHERED", "aggregate")
    for task in (first, second):
        assert played.account.knows(task)
        assert played.offer(task) == ()
    played.answer(order)
    assert played.end_of(second).end is End.FILLED
    assert played.account.position(SPOT).leader_shares == Shares.parse(200)
    assert not played.account.waiting


def test_what_waits_for_company_in_vain_ends() -> None:
    """Its time counts from when it began to wait, however often it is tried; later nobody is bought."""
    played = Played(settings=ACCUMULATES)
    first, second = small(shares="10"), small(2, shares="20")
    played.offer(first)
    played.at += 1800
    played.offer(second)
    assert played.do(c.Tick(passed=0, at=NOW + 2 + 3600)) == ()
    played.do(c.Tick(passed=0, at=NOW + 3 + 3600))
    assert reason_of(played.end_of(first)) == (End.SKIPPED, "NEVER_ENOUGH", "size.accumulate_s")
    assert played.open(second)


def test_a_burst_goes_out_together_and_others_stay() -> None:
    """Only entries of the same leader and token that want company, are in time and hold something go along."""
    played = Played()
    goes = small(2)
    stays = [
        small(3, deadline=NOW),
        entry(4, decided_at=NOW),
        small(5, leader=OTHER_LEADER),
        small(6, token_id=TokenId(5)),
        evolve(small(7), intent=evolve(small(7).intent, shares=NO_SHARES)),
        evolve(leave(8), aggregates=True),
    ]
    order = played.place(small(1), resting=[goes, *stays])
    assert order.shares == Shares.parse(20)
    assert played.end_of(goes).end is End.GATHERED
    assert all(played.open(task) and not played.account.knows(task) for task in stays)


def test_an_aggregate_is_taken_by_its_caps_whole() -> None:
    """Those who went out together end together also where a cap refuses their order."""
    played = Played(settings=make_settings(max_order_usd=None, max_day_usd=usd("10")))
    first, second = small(), small(2)
    played.offer(second, resting=[first])
    assert reason_of(played.end_of(second)) == (End.DENIED, "CAP_REACHED", "caps.max_day_usd")
    assert played.end_of(first).end is End.GATHERED


def test_a_second_attempt_of_an_aggregate_is_the_whole_of_it() -> None:
    """Killed once, it goes out again for all of them, and takes along who came meanwhile."""
    played = Played()
    order = played.place(small(2), resting=[small(1)])
    played.answer(order, Status.KILLED, again=True)
    again = played.place(small(2), resting=[small(3), small(1)])
    assert again.shares == Shares.parse(30)
    assert played.end_of(small(3)).end is End.GATHERED
    played.answer(again)
    assert played.account.position(SPOT).leader_shares == Shares.parse(300)


def test_what_the_account_knows_of_what_waits_counts() -> None:
    """A queue may hold a task as it was before an exit, or before a reorg: the account's own word holds."""
    played = Played()
    task = small(1)
    played.do(c.Park(task=task, at=NOW))
    played.do(c.Refuse(task=leave(2, shares="40"), outcome=TOO_OLD, at=NOW))
    assert played.place(task).shares == Shares.parse(6)

    played = Played()
    played.do(c.Park(task=task, at=NOW))
    played.do(c.Retract(signal=task.signal.signal_id, at=NOW))
    assert played.place(small(3), resting=[task]).shares == Shares.parse(10)
    assert played.open(task)


def test_a_queue_that_is_behind_changes_nothing() -> None:
    """What an exit left of an entry is what goes out in another's order, and what the next exit divides."""
    for suspended in (False, True):
        played, task = Played(), small(1)
        played.do(c.Park(task=task, at=NOW))
        if suspended:
            played.do(c.Retract(signal=task.signal.signal_id, at=NOW))
        played.do(c.Refuse(task=leave(2, shares="50"), outcome=TOO_OLD, resting=(task,), at=NOW))
        played.do(c.Refuse(task=leave(3, shares="25"), outcome=TOO_OLD, resting=(task,), at=NOW))
        waits = played.account.waiting[task.task_id]
        assert (waits.task.intent.shares, waits.suspended) == (Shares.parse("2.5"), suspended)
        order = played.place(small(4), resting=(task,))
        assert order.shares == (Shares.parse(10) if suspended else Shares.parse("12.5"))
        assert played.open(task) == suspended


CALLS_OFF: dict[str, tuple[str, str, str, str | None]] = {
    # How exits sell and what the leader sold: what is left to buy, and what is sold of ten shares that are held.
    "the same part": ("proportional", "100", "5", "5"),
    "everything": ("proportional", "200", "0", "10"),
    "all at once": ("all", "10", "0", "10"),
    "a little": ("proportional", "0.000003", "9.999999", "0.000001"),
    "as much as an entry": ("sized", "60", "4", None),
}


@pytest.mark.parametrize("how", CALLS_OFF)
@pytest.mark.parametrize("durable", [True, False])
def test_an_exit_calls_off_what_waits(how: str, durable: bool) -> None:
    """What waits counts as bought: the same part of it is called off, once, and the exit sells the rest."""
    sell, sold, left, out = CALLS_OFF[how]
    played = Played()
    played.hold("10")
    task = entry(decided_at=NOW)
    if durable:
        played.do(c.Park(task=task, at=NOW))
    exit_ = leave(shares=sold, sell=sell)
    resting = () if durable else (task,)
    if out is None:
        played.offer(exit_, resting=resting)
        assert reason_of(played.end_of(exit_)) == (End.SKIPPED, "LEADER_LEFT", "leader")
    else:
        assert played.place(exit_, resting=resting).shares == Shares.parse(out)
    assert played.offer(exit_, resting=resting) == ()
    if left == "0":
        assert reason_of(played.end_of(task)) == (End.SKIPPED, "LEADER_LEFT", "leader")
    else:
        assert played.place(task).shares == Shares.parse(left)


def test_a_refused_exit_calls_off_as_well() -> None:
    """Too late to sell, or halted: the entries of that leader are not bought as if he had not left."""
    for halted in (True, False):
        played = Played()
        played.hold("10")
        task, exit_ = entry(), leave(shares="100")
        if halted:
            played.do(c.SetMode(mode=Mode.HALT_ALL, why="lunch", at=NOW))
            played.offer(exit_, resting=[task])
            assert played.end_of(exit_).end is End.HALTED
            played.do(c.SetMode(mode=Mode.RUN, why="over", at=NOW))
        else:
            played.do(c.Refuse(task=exit_, outcome=TOO_OLD, resting=(task,), at=NOW))
            assert played.end_of(exit_) == TOO_OLD
        assert played.account.position(SPOT).leader_shares == Shares.parse(50)
        assert played.place(task).shares == Shares.parse(5)


def test_an_exit_that_is_tried_again_calls_off_once() -> None:
    """Its second attempt, or its end, divides nothing a second time."""
    for again in (True, False):
        played = Played()
        played.hold("10")
        task, exit_ = entry(), leave(shares="100")
        order = played.place(exit_, resting=[task])
        played.answer(order, Status.KILLED, again=True)
        if again:
            assert played.place(exit_).shares == Shares.parse(5)
        else:
            played.do(c.Refuse(task=exit_, outcome=TOO_OLD, at=NOW))
            assert played.account.position(SPOT).leader_shares == Shares.parse(50)
        assert played.place(task).shares == Shares.parse(5)


ALONE: dict[str, dict[str, Any]] = {
    "of another leader": {"leader": OTHER_LEADER},
    "of another token": {"token_id": TokenId(5)},
    "decided later": {"decided_at": NOW + 2},
    "of a later block": {"block_number": 11},
}


@pytest.mark.parametrize("how", ALONE)
def test_an_exit_leaves_what_it_is_not_about(how: str) -> None:
    """Only earlier entries of the same leader and token are called off."""
    played = Played()
    played.hold("10")
    task = entry(**ALONE[how])
    played.do(c.Park(task=task, at=NOW))
    assert played.place(leave(shares="100")).shares == Shares.parse(10)
    assert played.account.waiting[task.task_id].task == task


def test_an_exit_of_ones_own_calls_nothing_off() -> None:
    """A rule of one's own is about what is held."""
    played = Played()
    played.hold("10")
    task = entry()
    played.do(c.Park(task=task, at=NOW))
    order = played.place(leave(kind=Kind.EXIT, sell="all"))
    played.answer(order, Status.KILLED)
    assert played.account.waiting[task.task_id].task == task
    assert played.account.position(SPOT).leader_shares == Shares.parse(100)


def test_shares_are_promised_once() -> None:
    """What open exits may have sold nobody else sells, until it is proven that they did not."""
    played = Played()
    played.hold("10")
    first = played.place(leave(2, shares="60"))
    second = played.place(leave(3, shares="60"))
    assert (first.shares, second.shares) == (Shares.parse(6), Shares.parse(4))
    third = leave(4)
    played.offer(third)
    assert reason_of(played.end_of(third)) == (End.DENIED, "NOTHING_TO_SELL", "ledger.position")
    played.answer(second, Status.KILLED)
    assert played.place(leave(5, sell="all")).shares == Shares.parse(4)


def test_nothing_is_held_back_after_missed_exits() -> None:
    """Exits that nobody could copy count as the leader's: when he has left whole, so does the follower."""
    played = Played()
    played.hold("10")
    skip = Skip(
        signal_id=leave(2).signal.signal_id,
        follower=leave(2).follower,
        leader=leave(2).signal.leader,
        reason=Reason(code=Code.TOO_OLD, control="filters.max_age_s", value="9", limit="5"),
    )
    signal = evolve(leave(2).signal, shares=Shares.parse(50))
    assert [type(one) for one in played.do(c.Pass(skip=skip, signal=signal, at=NOW))] == [e.Passed, e.Missed]
    assert played.do(c.Pass(skip=skip, signal=signal, at=NOW)) == ()
    assert played.account.position(SPOT).leader_shares == Shares.parse(50)
    assert played.place(leave(3, shares="50")).shares == Shares.parse(10)


def test_what_was_wanted_once_goes_on() -> None:
    """Settings that change after a crash do not skip a task that waits, is sent, dead or ended."""
    skip = Skip(
        signal_id=entry().signal.signal_id,
        follower=entry().follower,
        leader=entry().signal.leader,
        reason=Reason(code=Code.SIDE_NOT_WANTED, control="filters.sides", value="BUY", limit="SELL"),
    )
    for how in ("waits", "sent", "dead", "ended"):
        played, task = Played(), entry()
        if how in ("waits", "dead"):
            played.do(c.Park(task=task, at=NOW))
        if how == "dead":
            played.do(c.Try(task=task.task_id, most=0, at=NOW))
        if how in ("sent", "ended"):
            order = played.place(task)
        if how == "ended":
            played.answer(order)
        assert played.do(c.Pass(skip=skip, signal=task.signal, at=NOW)) == ()
    assert not any(isinstance(told.record, SkipTold) for told in played.told)


def test_a_reorg_suspends_what_waits_until_it_comes_back_or_is_too_late() -> None:
    """Suspended, nothing of it is sent; mined again, it goes on; at its deadline it ends."""
    played, task = Played(), entry(deadline=NOW + 5)
    played.do(c.Park(task=task, at=NOW))
    played.do(c.Retract(signal=task.signal.signal_id, at=NOW))
    assert played.do(c.Retract(signal=task.signal.signal_id, at=NOW)) == ()
    assert played.offer(task) == ()
    assert played.do(c.Tick(passed=0, at=NOW + 5)) == ()
    played.do(c.Resume(signal=task.signal.signal_id, at=NOW))
    played.place(task)
    assert played.do(c.Retract(signal=task.signal.signal_id, at=NOW)) == ()

    played = Played()
    played.do(c.Park(task=task, at=NOW))
    played.do(c.Retract(signal=task.signal.signal_id, at=NOW))
    played.do(c.Tick(passed=0, at=NOW + 5.1))
    assert reason_of(played.end_of(task)) == (End.RETRACTED, "RETRACTED", "chain")


def test_a_task_that_ends_processes_becomes_a_dead_letter() -> None:
    """Tried three times, it is buried for a person, who replays it or gives it up; what is known of it stays."""
    played, task = Played(), leave()
    played.hold("10")
    played.do(c.Park(task=task, at=NOW))
    for tries in (1, 2, 3):
        played.do(c.Try(task=task.task_id, most=3, at=NOW))
        assert played.account.waiting[task.task_id].tries == tries
    played.do(c.Retract(signal=task.signal.signal_id, at=NOW))
    assert played.account.waiting[task.task_id].tries == 3
    played.do(c.Try(task=task.task_id, most=3, at=NOW))
    assert (set(played.account.waiting), set(played.account.dead)) == (set(), {task.task_id})
    assert played.offer(task) == ()
    assert played.do(c.Park(task=task, at=NOW)) == ()
    played.do(c.Replay(task=task.task_id, at=NOW))
    assert (set(played.account.waiting), set(played.account.dead)) == ({task.task_id}, set())
    assert played.do(c.Replay(task=task.task_id, at=NOW)) == ()
    for _ in range(4):
        played.do(c.Try(task=task.task_id, most=3, at=NOW))
    played.do(c.Purge(task=task.task_id, outcome=TOO_OLD, at=NOW))
    assert played.end_of(task) == TOO_OLD
    assert not played.account.dead
    assert played.account.position(SPOT).leader_shares == NO_SHARES
    assert played.do(c.Purge(task=task.task_id, outcome=TOO_OLD, at=NOW)) == ()


def test_what_ended_is_remembered_until_the_checkpoint_has_passed_it() -> None:
    """An account remembers its own above the checkpoint; what is below, the shard remembers."""
    played, first, second = Played(), entry(), entry(2, block_number=11)
    for task in (first, second):
        played.answer(played.place(task))
    played.do(c.Tick(passed=10, at=NOW))
    assert (played.account.knows(first), played.account.knows(second)) == (False, True)
    played.do(c.Tick(passed=11, at=NOW))
    assert not played.account.recent
    assert played.do(c.Tick(passed=11, at=NOW)) == ()


def test_only_what_the_shard_has_met_is_forgotten() -> None:
    """A reorg may take a signal out of a block that a new owner passes without having heard of it: the account keeps it."""
    played, task = Played(), entry()
    played.answer(played.place(task))
    assert played.do(c.Tick(passed=10, met=(), at=NOW)) == ()
    assert played.offer(task) == ()
    played.do(c.Tick(passed=10, met={task.signal.signal_id}, at=NOW))
    assert not played.account.recent


def test_an_entry_of_which_an_exit_left_too_little_is_refused() -> None:
    """Under the minimum it is denied; where small ones wait, it waits on."""
    settings = make_settings(max_order_usd=None, minimum_usd=usd("4"))
    for policy, end in (("skip", End.DENIED), ("accumulate", None)):
        played = Played(settings=evolve(settings, size=evolve(settings.size, minimum_policy=policy)))
        task = small()
        played.do(c.Park(task=task, at=NOW))
        played.do(c.Refuse(task=leave(shares="50"), outcome=TOO_OLD, at=NOW))
        played.offer(task)
        if end is None:
            assert played.account.waiting[task.task_id].until == played.at + 3600
        else:
            assert reason_of(played.end_of(task)) == (end, "BELOW_MINIMUM", "size.minimum_usd")


def resolve(payout: str) -> c.Resolve:
    position = (entry().follower, *SPOT)
    return c.Resolve(position=position, condition_id="0xc0", payout=Price.parse(payout), at=NOW)


@pytest.mark.parametrize(("payout", "realised"), [("1", "4.9"), ("0", "-5.1"), ("0.5", "-0.1")])
def test_a_position_becomes_what_its_token_pays(payout: str, realised: str) -> None:
    """Once, at the payout; nothing is left open."""
    played = Played()
    played.hold("10")
    assert [type(one) for one in played.do(resolve(payout))] == [e.Redeemed]
    assert played.do(resolve(payout)) == ()
    assert (played.shares, played.cost, played.account.performance.realised) == (NO_SHARES, usd("0"), usd(realised))


def test_nothing_is_redeemed_while_it_may_still_be_sold_or_taken_back() -> None:
    """An order in flight, or a fill that is not settled: first what is open, then what it pays."""
    played = Played()
    bought = played.fill(entry(), **PENDING)
    assert played.do(resolve("1")) == ()
    played.answer(bought)
    sale = played.place(leave(shares="50"))
    assert played.do(resolve("1")) == ()
    played.answer(sale, **PENDING)
    assert played.do(resolve("1")) == ()
    played.answer(sale, **FAILED)
    (redeemed,) = played.do(resolve("1"))
    assert isinstance(redeemed, e.Redeemed)
    assert redeemed.entry.shares == Shares.parse(10)
    stranger = evolve(resolve("1"), position=(FollowerId("bob"), *SPOT))
    assert played.do(stranger) == ()


def test_a_retraction_suspends_only_what_waits_of_its_trade() -> None:
    """What waits of the others goes on."""
    played, (mine, other) = Played(), (entry(1), entry(2))
    for task in (mine, other):
        played.do(c.Park(task=task, at=NOW))
    played.do(c.Retract(signal=mine.signal.signal_id, at=NOW))
    assert played.offer(mine) == ()
    assert played.place(other).shares == Shares.parse(10)


@pytest.mark.parametrize(
    ("shares", "cap", "members"),
    [("10", "10.2", 1), ("10", "10.199999", 0), ("10.000001", "10.200002", 1), ("10.000001", "10.200001", 0)],
)
def test_a_burst_goes_out_together_up_to_the_cap_and_not_a_millionth_over(shares: str, cap: str, members: int) -> None:
    """Two of ten shares at a limit of 0.51 cost 10.20 at most; a millionth of a cent that is left over is rounded up."""
    first, second = (
        evolve(one, intent=evolve(one.intent, shares=Shares.parse(shares))) for one in (entry(1), entry(2))
    )
    assert len(aggregate(first, [second], make_settings(max_order_usd=usd(cap))).members) == members


def test_what_goes_out_together_is_rounded_against_us() -> None:
    """What it may cost is rounded up, also when it is put together; the leader's price to the nearest."""
    parts = [entry(number) for number in (1, 2)]
    odd = [evolve(one.intent, shares=Shares(1_000_001), price=Price(400_000 + at)) for at, one in enumerate(parts)]
    first, second = (evolve(part, intent=intent) for part, intent in zip(parts, odd, strict=True))
    together = aggregate(first, [second], make_settings(max_order_usd=None)).task.intent
    assert together.max_cost == Usd(-(-2_000_002 * together.limit_price.micro // 10**6))
    assert together.price in (Price(400_000), Price(400_001))
    third = evolve(parts[1], task_id=TaskId("third"), intent=odd[1])
    assert aggregate(first, [second, third], make_settings(max_order_usd=None)).task.intent.price == Price(400_001)
