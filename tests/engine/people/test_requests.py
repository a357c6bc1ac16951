"""What people ask of accounts: by the owner where there is one, by the command where there is none, and once."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from attrs import evolve

from tests.builders import LEADER, NOW, TOKEN, make_signal, make_task
from tests.cli.filled import Owner
from tests.engine.rig import Rig, buy, on_memory, open_rig, sell
from tests.written import carry_out, stored_changes
from trio_copy.accounts import OrderState
from trio_copy.accounts.budgets import day_of
from trio_copy.clock import wall_clock_from
from trio_copy.engine.books.books import dead_letters, follower_modes, open_orders, positions
from trio_copy.engine.people import requests as asked
from trio_copy.engine.people.asking import Asker, ask_all
from trio_copy.engine.people.requests import REFUSED, command_of, follower_of
from trio_copy.engine.shards.stored import stored_account
from trio_copy.errors import Refused, Unanswered
from trio_copy.model.catalog import Catalog
from trio_copy.model.control import Mode, shard_lease
from trio_copy.model.decisions import Code, CopyTask, End
from trio_copy.model.ids import FollowerId, IntentKey, TaskId, TokenId
from trio_copy.model.orders import Settlement
from trio_copy.model.units import Price, Shares, Usd
from trio_copy.ports import NOBODY, Document, Request, Store, StoreContext
from trio_copy.records import read_plain, write_plain
from trio_copy_memory import MemorySettings, open_memory_store
from trio_copy_memory.data import MemoryData

ALICE = FollowerId("alice")
TASK = make_task(make_signal(1))


@asynccontextmanager
async def open_memory() -> AsyncGenerator[Store, None]:
    context = StoreContext(settings=MemorySettings(), wall=wall_clock_from(NOW))
    async with open_memory_store(context) as store:
        yield store


@asynccontextmanager
async def owned(store: Store, lease_s: float = 1e6) -> AsyncGenerator[Owner, None]:
    """Own shard 0, as an engine does."""
    lease = await store.control.acquire(shard_lease(0), "engine", lease_s)
    assert lease is not None
    await store.accounts.take(0, lease.token)
    owner = Owner(store, lease.token)
    yield owner
    await store.control.release(lease)


def asker(store: Store, name: str = "command") -> Asker:
    return Asker(store=store, catalog=Catalog(), wall=wall_clock_from(NOW), name=name, patience_s=15)


def micro(shares: str, dollars: str, fee: str = "0") -> tuple[Shares, Usd, Usd]:
    return Shares.parse(shares), Usd.parse(dollars), Usd.parse(fee)


def settle(key: IntentKey, shares: str, dollars: str, fee: str = "0", name: str = "r") -> Request:
    return asked.settle(name, ALICE, key, micro(shares, dollars, fee), NOW)


def pays(dollars: str, name: str = "r", shares: str = "10") -> Request:
    return asked.payout(name, (ALICE, LEADER, TOKEN), "", Price.parse(dollars), NOW, shares=Shares.parse(shares))


REFUSALS: dict[str, tuple[Callable[[IntentKey], Request], str]] = {
    "an order that has ended": (lambda key: settle(IntentKey("gone"), "1", "1"), "expected an open order"),
    "more shares than ordered": (lambda key: settle(key, "11", "12"), "--shares: expected 0 to 10"),
    "negative shares": (lambda key: settle(key, "-1", "5"), "--shares: expected 0 to 10"),
    "negative dollars": (lambda key: settle(key, "1", "-1"), "no negative dollars"),
    "a negative fee": (lambda key: settle(key, "1", "1", "-1"), "no negative dollars"),
    "over a dollar a share": (lambda key: settle(key, "4", "4.1"), "--notional: expected at most 1 USD"),
    "an endless fee": (lambda key: settle(key, "4", "2", "5"), "--fee: expected at most 1 USD"),
    "shares for nothing": (lambda key: settle(key, "4", "0"), "--notional: expected dollars"),
    "dollars for nothing": (lambda key: settle(key, "0", "1"), "--notional: expected dollars"),
    "a letter that is none": (lambda key: asked.replay("r", ALICE, TaskId("x"), NOW), "expected a dead letter"),
    "a letter to give up that is none": (
        lambda key: asked.purge("r", ALICE, TaskId("x"), NOW),
        "expected a dead letter",
    ),
    "an unknown kind": (
        lambda key: Request(name="r", kind="dance", body='["alice"]', at=NOW),
        "expected a request of kind",
    ),
    "an unknown mode": (
        lambda key: Request(name="r", kind="mode", body='["alice","sleep","why"]', at=NOW),
        "expected a request to mode",
    ),
    "a peak with more": (lambda key: Request(name="r", kind="reset-peak", body='["alice",1]', at=NOW), "nothing but"),
    "a payout of what is not held": (lambda key: pays("1"), "expected a position that is held"),
    "a payout of more than a dollar": (lambda key: pays("1.000001"), "--payout: expected from 0 to 1 USD"),
    "a payout that takes": (lambda key: pays("-1"), "--payout: expected from 0 to 1 USD"),
    "too little": (
        lambda key: Request(name="r", kind="settle", body='["alice"]', at=NOW),
        "expected a request to settle",
    ),
    "a wrong type": (
        lambda key: Request(name="r", kind="settle", body='["alice",["a"],1,1,1]', at=NOW),
        "expected a request to settle",
    ),
    "no list": (lambda key: Request(name="r", kind="settle", body='{"a":1}', at=NOW), "expected a request to settle"),
    "no JSON": (lambda key: Request(name="r", kind="replay", body="\x1b[2J", at=NOW), "expected a request to replay"),
}


@pytest.mark.parametrize(("make", "says"), REFUSALS.values(), ids=REFUSALS)
async def test_what_cannot_be_is_refused_and_changes_nothing(
    make: Callable[[IntentKey], Request], says: str, autojump_clock: trio.testing.MockClock
) -> None:
    """Whatever stands in a request, the account is as it was, and the answer says why."""
    async with open_memory() as store:
        owner = Owner(store, 1)
        order = owner.place(TASK)
        account = owner.account("alice")
        account.take_changes()
        request = make(order.key)

        answer = carry_out(request, account, NOW)

        assert answer.startswith(REFUSED)
        assert says in answer
        assert account.take_changes() == ((), ())
        assert command_of(request, account, NOW) == answer


async def test_a_person_is_believed_where_the_venue_is_not(autojump_clock: trio.testing.MockClock) -> None:
    """A price beyond the order's limit is booked when somebody has looked, and only then."""
    async with open_memory() as store:
        owner = Owner(store, 1)
        order = owner.place(TASK)
        account = owner.account("alice")
        open_order = account.orders[order.key]
        account.orders[order.key] = evolve(open_order, order=evolve(order, limit_price=Price.parse("0.5")))
        owner.answer(order, "10", "9", "", NOW)
        assert account.orders[order.key].state is OrderState.UNKNOWN

        assert "filled, written down by hand" in carry_out(settle(order.key, "10", "9"), account, NOW)
        assert str(account.position((LEADER, TOKEN)).cost) == "9"


@pytest.mark.parametrize(("each", "realised"), [("1", "5"), ("0", "-5"), ("0.333333", "-1.66667")])
async def test_what_a_person_says_that_shares_paid_takes_them_out_of_the_books_once(
    each: str, realised: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_memory() as store:
        owner = Owner(store, 1)
        owner.fill(TASK, shares="10", dollars="5")
        account = owner.account("alice")

        assert (
            carry_out(pays(each), account, NOW) == f"alice: 10 of token {TOKEN} paid {each} each, written down by hand"
        )
        assert not account.position((LEADER, TOKEN)).shares
        assert str(account.performance.realised) == realised
        assert carry_out(pays(each), account, NOW).startswith(REFUSED)


async def test_only_shares_that_a_person_was_shown_are_said_to_have_paid(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """An owner that is away answers hours later, and has bought more by then: that was not redeemed."""
    async with open_memory() as store:
        owner = Owner(store, 1)
        owner.fill(TASK, shares="10", dollars="5")
        request = pays("1")
        owner.fill(make_task(make_signal(2)), shares="10", dollars="5")
        account = owner.account("alice")

        assert "expected 10 shares of token" in carry_out(request, account, NOW)
        assert account.position((LEADER, TOKEN)).shares == Shares.parse(20)


async def test_what_an_open_order_may_still_change_is_not_said_to_have_paid(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A sale under way would sell what is not in the books any more."""
    async with open_memory() as store:
        owner = Owner(store, 1)
        owner.fill(TASK, shares="10", dollars="5")
        owner.place(make_task(make_signal(2)))
        account = owner.account("alice")

        assert "expected no open order of token" in carry_out(pays("1"), account, NOW)
        assert account.position((LEADER, TOKEN)).shares


async def test_what_the_chain_has_is_not_for_people(autojump_clock: trio.testing.MockClock) -> None:
    """A matched order is what is booked, or nothing: a person may only say which, where the venue has lost it."""
    async with open_memory() as store:
        owner = Owner(store, 1)
        order = owner.fill(TASK, settlement=Settlement.PENDING)
        account = owner.account("alice")
        booked = account.position((LEADER, TOKEN))
        assert "is matched: expected what is booked" in carry_out(settle(order.key, "1", "1"), account, NOW)
        assert account.position((LEADER, TOKEN)) == booked
        fills = (str(booked.shares), str(booked.cost))
        assert "written down by hand" in carry_out(settle(order.key, *fills), account, NOW)
        assert account.position((LEADER, TOKEN)).firm_shares == booked.shares
        assert account.orders == {}


async def test_what_the_chain_never_had_a_person_takes_back(autojump_clock: trio.testing.MockClock) -> None:
    """Said with nothing filled: it is no position any more, and what it cost is not open."""
    async with open_memory() as store:
        owner = Owner(store, 1)
        order = owner.fill(TASK, settlement=Settlement.PENDING)
        account = owner.account("alice")
        assert "written down by hand" in carry_out(settle(order.key, "0", "0"), account, NOW)
        assert account.position((LEADER, TOKEN)).shares == Shares(0)
        assert (account.orders, account.exposure.cost("all")) == ({}, 0)


async def test_what_rests_is_called_off_by_a_person(autojump_clock: trio.testing.MockClock) -> None:
    """Once; then it may be settled by hand, if the venue does not tell what came of it, but not below what is booked."""
    async with open_memory() as store:
        owner = Owner(store, 1)
        order, account = owner.rest(TASK), owner.account("alice")
        assert "is resting, not in doubt" in carry_out(settle(order.key, "4", "2"), account, NOW)
        for _ in range(2):
            assert "called off" in carry_out(asked.call_off("r", ALICE, order.key, NOW), account, NOW)
        called_off = account.orders[order.key].called_off
        assert called_off is not None
        assert (called_off.code, called_off.control) == (Code.GIVEN_UP, "orders cancel")
        account.take_changes()
        assert "at least what is booked already: 4 shares" in carry_out(settle(order.key, "3", "2"), account, NOW)
        assert account.take_changes() == ((), ())
        assert "partial, written down by hand" in carry_out(settle(order.key, "5", "2.5"), account, NOW)
        assert str(account.position((LEADER, TOKEN)).shares) == "5"
        assert carry_out(asked.call_off("r", ALICE, order.key, NOW), account, NOW).startswith(REFUSED)


async def test_what_does_not_rest_is_not_called_off(autojump_clock: trio.testing.MockClock) -> None:
    async with open_memory() as store:
        owner = Owner(store, 1)
        order = owner.place(TASK)
        request = asked.call_off("r", ALICE, order.key, NOW)
        assert "expected an order that rests" in carry_out(request, owner.account("alice"), NOW)
        assert "which is placed" in carry_out(request, owner.account("alice"), NOW)


@pytest.mark.parametrize("body", ["[]", "[1]", "{}", "x", '[["alice"]]', '[""]'])
def test_a_request_about_nobody_is_refused(body: str) -> None:
    """It has no account that could answer it."""
    request = Request(name="r", kind="mode", body=body, at=NOW)
    assert follower_of(request) is None
    assert carry_out(request, None, NOW).startswith(REFUSED)


async def test_where_nobody_owns_the_account_the_command_does_it(autojump_clock: trio.testing.MockClock) -> None:
    """By the same rules; what others have asked for meanwhile is done too, and the lease is free afterwards."""
    async with open_memory() as store:
        async with owned(store) as owner:
            order = owner.place(TASK)
            await owner.write()
        await store.accounts.ask(0, asked.set_mode("other", FollowerId("bob"), Mode.HALT_ALL, "lunch", NOW))
        await store.accounts.ask(0, Request(name="bad", kind="mode", body="[]", at=NOW))

        said = await asker(store).ask(0, settle(order.key, "4", "2", "0.1"))

        assert said == f"{order.order_id}: partial, written down by hand"
        assert await open_orders(store.history) == []
        (position,) = (await positions(store.history, ALICE)).values()
        assert (str(position.shares), str(position.cost)) == ("4", "2.1")
        assert (await follower_modes(store.history))[FollowerId("bob")].mode is Mode.HALT_ALL
        assert (await store.accounts.answer(0, "bad") or "").startswith(REFUSED)
        assert await store.control.held([shard_lease(0)]) == {}


async def test_an_owner_that_lives_is_asked_and_not_fenced(autojump_clock: trio.testing.MockClock) -> None:
    """The command waits for its answer; refused or not, the owner goes on writing."""
    async with open_memory() as store, owned(store) as owner, trio.open_nursery() as nursery:
        order = owner.place(TASK)
        await owner.write()

        async def answer() -> None:
            while True:
                await trio.sleep(0.05)
                for request in await store.accounts.requests(0, owner.token):
                    account = owner.account(follower_of(request) or "")
                    answers = {request.name: carry_out(request, account, NOW)}
                    owner.number += 1
                    changes = stored_changes([account], answers)
                    await store.accounts.write(0, owner.token, owner.number, changes)

        nursery.start_soon(answer)
        with pytest.raises(Refused, match="expected 0 to 10"):
            await asker(store).ask(0, settle(order.key, "11", "12", name="first"))
        assert "filled" in await asker(store).ask(0, settle(order.key, "10", "5", name="second"))
        await owner.write()
        nursery.cancel_scope.cancel()


async def test_an_owner_that_does_not_answer_keeps_the_request(autojump_clock: trio.testing.MockClock) -> None:
    """The command ends in time and says whose turn it is; the next owner does it."""
    async with open_memory() as store:
        async with owned(store) as owner:
            order = owner.place(TASK)
            await owner.write()
            started = trio.current_time()
            with pytest.raises(Unanswered, match="engine owns its shard; what was asked for stays"):
                await asker(store).ask(0, settle(order.key, "4", "2"))
            assert trio.current_time() - started == pytest.approx(15.0, abs=0.2)
        assert "partial" in await asker(store).ask(0, settle(order.key, "4", "2"))


async def test_an_owner_that_dies_is_not_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    """Once its lease has run out, the command does it."""
    async with open_memory() as store:
        lease = await store.control.acquire(shard_lease(0), "engine", 2.5)
        assert lease is not None
        owner = Owner(store, lease.token)
        await store.accounts.take(0, lease.token)
        order = owner.place(TASK)
        await owner.write()

        assert "filled" in await asker(store).ask(0, settle(order.key, "10", "5"))
        assert trio.current_time() < 5


async def test_two_commands_at_once_do_it_once(autojump_clock: trio.testing.MockClock) -> None:
    """One of them stands in, the other hears the answer or is refused; it is booked once."""
    async with open_memory() as store:
        async with owned(store) as owner:
            order = owner.place(TASK)
            await owner.write()
        heard: list[str] = []

        async def ask(name: str) -> None:
            try:
                heard.append(await asker(store, name).ask(0, settle(order.key, "10", "5", name=name)))
            except Refused as error:
                heard.append(str(error))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, "one")
            nursery.start_soon(ask, "two")
        assert sorted("filled" in said for said in heard) == [False, True]
        (position,) = (await positions(store.history)).values()
        assert str(position.shares) == "10"


async def test_dead_letters_are_replayed_and_given_up(autojump_clock: trio.testing.MockClock) -> None:
    """Replayed, a letter waits again; given up, its task ends with a reason."""
    async with open_memory() as store:
        first, second = TASK, make_task(make_signal(2))
        async with owned(store) as owner:
            owner.bury(first, "killed three", NOW)
            owner.bury(second, "killed three", NOW + 1)
            await owner.write()
        assert [letter.task for letter in await dead_letters(store.history)] == [first, second]

        requests = [
            (0, asked.replay("a", ALICE, first.task_id, NOW)),
            (0, asked.purge("b", ALICE, second.task_id, NOW)),
        ]
        assert await ask_all(asker(store), requests) == 2
        assert await ask_all(asker(store), [(0, asked.purge("c", ALICE, second.task_id, NOW))]) == 0

        lease = await store.control.acquire(shard_lease(0), "engine", 10)
        assert lease is not None
        account = stored_account(ALICE, Catalog(), (await store.accounts.load(0, lease.token, [ALICE]))[ALICE])
        assert (list(account.waiting), list(account.dead)) == ([first.task_id], [])
        facts, _ = await store.history.story(second.task_id)
        (told,) = [asked_told for asked_told in facts if asked_told.kind == "ended"]
        assert told.task_id == second.task_id


def test_a_letter_that_is_given_up_ends_with_its_reason() -> None:
    """A person did it, and what it died of is not lost."""
    owner = Owner(None, 1)  # type: ignore[arg-type]  # nothing is written
    owner.bury(TASK, "killed three")
    account = owner.account("alice")
    assert carry_out(asked.purge("p", ALICE, TASK.task_id, NOW), account, NOW) == f"{TASK.task_id}: forgotten"
    _, told = account.take_changes()
    outcome = getattr(told[0].record, "outcome", None)
    assert outcome is not None
    assert (outcome.end, outcome.reason.code, outcome.reason.value) == (End.HALTED, Code.GIVEN_UP, "killed three")


def test_a_mode_and_a_peak_are_set_for_one() -> None:
    """Run takes a halt away; a peak starts over from today's total."""
    owner = Owner(None, 1)  # type: ignore[arg-type]  # nothing is written
    account = owner.account("alice")
    account.performance = evolve(account.performance, peak=Usd.parse("7"))

    assert carry_out(asked.set_mode("m", ALICE, Mode.HALT_ALL, "lunch", NOW), account, NOW) == "alice: halt-all"
    assert account.mode is not None
    assert (account.mode.mode, account.mode.why) == (Mode.HALT_ALL, "lunch")
    assert carry_out(asked.reset_peak("p", ALICE, NOW), account, NOW) == "alice: the drawdown starts over"
    assert account.performance.drawdown == Usd(0)
    assert carry_out(asked.set_mode("m", ALICE, Mode.RUN, "back", NOW), account, NOW) == "alice: run"
    assert account.mode is None


async def unproven(rig: Rig, task: CopyTask) -> IntentKey:
    """Let a venue lose its answer to an order."""
    rig.executor.script, rig.executor.hide = ["lose reply"], True
    await rig.take_in(task)
    await trio.sleep(1)
    (order,) = rig.open_orders()
    return order.order.key


@pytest.mark.parametrize("filled", ["10", "0"])
async def test_what_a_command_writes_down_counts_in_the_budget_of_all(
    autojump_clock: trio.testing.MockClock, filled: str
) -> None:
    """The next owner spends what is left of the day, as if the owner before had written it down; and no more."""
    data = MemoryData()
    async with open_rig(open_store=on_memory(data), max_day_usd=Usd.parse("13")) as rig:
        await rig.hold("bob")
        key = await unproven(rig, buy(1))
        await rig.holder.end(0)
        await rig.store.control.release(rig.lease)
    context = StoreContext(settings=MemorySettings(), wall=wall_clock_from(NOW))
    async with open_memory_store(context, data) as store:
        dollars = "5" if filled == "10" else "0"
        await asker(store).ask(0, settle(key, filled, dollars))
    async with open_rig(open_store=on_memory(data), max_day_usd=Usd.parse("13")) as rig:
        (end,) = await rig.end_of(buy(2))
        assert end == ((End.DENIED, Code.CAP_REACHED) if filled == "10" else (End.FILLED, None))


async def test_what_an_order_had_filled_before_it_was_settled_by_hand_counts_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Its owner counted the two dollars of it while it rested: another half is what a person adds."""
    async with open_memory() as store:
        async with owned(store) as owner:
            order = owner.rest(TASK)
            owner.documents.append(
                Document(NOBODY, "spent", day_of(TASK.signal.block_time), write_plain([1, 2_000_000]))
            )
            await owner.write()
        await asker(store).ask(0, asked.call_off("off", ALICE, order.key, NOW))
        await asker(store).ask(0, settle(order.key, "5", "2.5"))
        (spent,) = await store.history.documents("spent")
        assert read_plain(spent.body) == [1, 2_500_000]


async def test_what_a_command_closes_is_opened_anew_without_a_past(autojump_clock: trio.testing.MockClock) -> None:
    """How high a position once stood goes with it: a trailing stop of the next one does not sell because of it."""
    data, position = MemoryData(), (ALICE, LEADER, TokenId(7))
    async with open_rig(open_store=on_memory(data)) as rig:
        await rig.hold()
        rig.shard.marks.note(position, Price.parse("0.9"), NOW)
        key = await unproven(rig, sell(2))
        await rig.holder.end(0)
        await rig.store.control.release(rig.lease)
    context = StoreContext(settings=MemorySettings(), wall=wall_clock_from(NOW))
    async with open_memory_store(context, data) as store:
        await asker(store).ask(0, settle(key, "10", "5"))
    async with open_rig(open_store=on_memory(data)) as rig:
        await rig.hold(number=3)
        assert rig.shard.marks.of(position) is None
