"""What every store promises when calls are cut off, or come at the same time."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import trio

from trio_copy.errors import LeaseLost
from trio_copy.model.control import ENGINE, Instance, Mode
from trio_copy.model.facts import FactQuery
from trio_copy.model.follows import Follow
from trio_copy.model.ids import TokenId
from trio_copy.ports import Changes, Request, Store
from trio_copy.testing.conformance.terms import (
    ALICE,
    BOB,
    LEADER,
    SHARDS,
    START,
    StoreCheck,
    StoreForTest,
    checkpoint,
    document,
    fact,
    fresh,
    two_owners,
)

_T = TypeVar("_T")
_ROUNDS = 12
"""How many steps of the scheduler a call is let to run before the other thing happens."""
_MANY = 40


def _whole(token: int, word: str) -> Changes:
    """Changes of many rows that all say the same word: half of them is easily seen."""
    return Changes(
        puts=[document(f"{number}", word, kind="order") for number in range(_MANY)],
        deletes=[document(f"{word} not", kind="order").key],
        facts=[fact(f"{number}", token_id=token, body=word.encode()) for number in range(_MANY)],
        answers={f"request {word}": word},
    )


async def _told(store: Store, word: str) -> set[str]:
    """Return which words the rows of the shard say; nothing stands for rows that are missing."""
    orders = await store.history.documents("order", ALICE)
    facts = await store.history.facts(FactQuery(kinds=["filled"], follower=ALICE))
    words = [one.body.decode() for one in orders] + [one.body.decode() for one in facts]
    words += ["nothing"] * (2 * _MANY - len(words))
    answer = await store.accounts.answer(0, f"request {word}")
    return {*words, "nothing" if answer is None else answer}


async def _ask(store: Store, word: str) -> None:
    await store.accounts.ask(0, Request(name=f"request {word}", kind="k", body=word, at=START))


async def _loaded(store: Store) -> set[str]:
    """Return which words the documents say, as one look at the account finds them."""
    loaded = await store.accounts.load(0, 1, [ALICE])
    assert len(loaded[ALICE]) in {0, _MANY}
    return {one.body.decode() for one in loaded[ALICE]}


async def _steps(count: int) -> None:
    for _ in range(count):
        await trio.lowlevel.checkpoint()


async def _cut_off(call: Callable[[], Awaitable[object]], steps: int) -> None:
    """Make a call and cancel it after so many steps; none of them cancels it before it begins."""
    with trio.CancelScope() as scope:
        if steps == 0:
            scope.cancel()
        async with trio.open_nursery() as nursery:

            async def cancel_later() -> None:
                await _steps(steps)
                scope.cancel()

            nursery.start_soon(cancel_later)
            await call()
            nursery.cancel_scope.cancel()


async def a_cancelled_write_is_whole_or_nothing(backend: StoreForTest) -> None:
    """Wherever a write is cut off: all of it is there or none, and repeated under its number it is all there."""
    async with fresh(backend) as store:
        await store.accounts.take(0, 1)
        for number in range(1, _ROUNDS + 1):
            word = f"word {number}"
            await _ask(store, word)
            write = partial(store.accounts.write, 0, 1, number, _whole(7, word), checkpoint(number))
            await _cut_off(write, number - 1)
            assert len(await _loaded(store)) <= 1
            await write()
            assert await _told(store, word) == {word}
        assert (await store.accounts.take(0, 1)).checkpoint == checkpoint(_ROUNDS)


async def a_take_falls_before_or_after_a_write(backend: StoreForTest) -> None:
    """A write that meets a taking is whole and seen by it, or refused and nowhere; never one half of either."""
    for steps in range(_ROUNDS):
        async with two_owners(backend) as (old, new):
            await old.accounts.take(0, 1)
            await _ask(old, "word")
            written: list[bool] = []

            async def write(store: Store = old, written: list[bool] = written) -> None:
                try:
                    await store.accounts.write(0, 1, 1, _whole(7, "word"), checkpoint(5))
                except LeaseLost:
                    written.append(False)
                else:
                    written.append(True)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(write)
                await _steps(steps)
                heads = await new.accounts.take(0, 2)
            assert len(heads.documents) == (_MANY if written == [True] else 0)
            assert heads.checkpoint == (checkpoint(5) if written == [True] else None)
            assert await _told(new, "word") == {"word" if written == [True] else "nothing"}


async def nobody_sees_half_a_write(backend: StoreForTest) -> None:
    """While a shard is written again and again, every look at an account finds the rows of one write, or none."""
    async with fresh(backend) as store:
        await store.accounts.take(0, 1)
        last = f"word {_ROUNDS}"
        await _ask(store, last)

        async def look() -> None:
            while True:
                assert len(await _loaded(store)) <= 1
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            for number in range(1, _ROUNDS + 1):
                await store.accounts.write(0, 1, number, _whole(7, f"word {number}"))
                await _steps(1)
            nursery.cancel_scope.cancel()
        assert await _told(store, last) == {last}


async def shards_are_written_side_by_side(backend: StoreForTest) -> None:
    """Writes of several shards at once, with readers between them, keep each its order and lose nothing."""
    async with two_owners(backend) as stores:

        async def own(shard: int) -> None:
            store = stores[shard % 2]
            await store.accounts.take(shard, 1)
            for number in range(1, 21):
                puts = [document(f"{shard} {number}", str(number)), document(f"{shard} last", str(number))]
                facts = [fact(f"{shard} {number}", token_id=shard)]
                await store.accounts.write(shard, 1, number, Changes(puts=puts, facts=facts), checkpoint(number))

        async with trio.open_nursery() as nursery:
            for shard in range(SHARDS):
                nursery.start_soon(own, shard)
        for shard in range(SHARDS):
            loaded = await stores[0].accounts.load(shard, 1, [ALICE, BOB])
            bodies = {one.name: one.body for one in loaded[ALICE]}
            assert bodies == {**{f"{shard} {n}": b"%d" % n for n in range(1, 21)}, f"{shard} last": b"20"}
            assert (await stores[1].accounts.take(shard, 2)).checkpoint == checkpoint(20)
            told = await stores[0].history.facts(FactQuery(kinds=["filled"], token_id=TokenId(shard)))
            assert len(told) == 20


async def every_call_may_be_cut_off_and_repeated(backend: StoreForTest) -> None:
    """Cancelled at any step and made again, each call has its effect once."""
    for steps in range(_ROUNDS):
        async with fresh(backend) as store:
            await _cut_off_each(store, steps)


async def _cut_off_each(store: Store, steps: int) -> None:
    async def twice(call: Callable[..., Awaitable[_T]], *words: object) -> _T:
        await _cut_off(partial(call, *words), steps)
        return await call(*words)

    accounts, control = store.accounts, store.control
    await twice(accounts.take, 0, 1)
    request = Request(name="r", kind="k", body="b", at=START)
    await twice(accounts.ask, 0, request)
    assert list(await twice(accounts.requests, 0, 1)) == [request]
    assert list((await twice(accounts.load, 0, 1, [ALICE]))[ALICE]) == []
    assert await twice(control.draw, "budget", 0, 60, 100) == 60
    assert await twice(control.draw, "budget", 1, 60, 100) == 40
    await twice(control.set_mode, Mode.HALT_NEW, "why")
    assert (await control.modes()).of(ENGINE).mode is Mode.HALT_NEW
    lease = await control.acquire("name", "me", 100)
    assert lease is not None
    assert await twice(control.acquire, "name", "you", 100) is None
    assert (await twice(control.renew, lease, 100)).token == lease.token
    await twice(control.release, lease)
    assert await control.held(["name"]) == {}
    yours = await twice(control.acquire, "name", "you", 100)
    assert yours is not None
    assert yours.token > lease.token
    await twice(control.beat, Instance(instance="one"))
    assert await twice(control.ask_drain, "one")
    await twice(control.leave, "one")
    assert await control.instances() == ()
    follow = Follow(follower=ALICE, leader=LEADER)
    version = await twice(store.follows.put, [follow])
    assert version == await store.follows.put([follow])
    version = await twice(store.follows.remove, [follow.key])
    loaded, left = await store.follows.load()
    assert (loaded, list(left)) == (version, [])


async def a_cancelled_wait_is_forgotten(backend: StoreForTest) -> None:
    """Who stops waiting for follows or modes leaves nothing behind: who waits next hears what comes."""
    async with fresh(backend) as store:
        version, _ = await store.follows.load()
        with trio.move_on_after(1):
            await store.follows.wait_changes(version)
        with trio.move_on_after(1):
            await store.control.wait_modes((await store.control.modes()).version)
        before = await store.control.modes()
        await store.follows.put([Follow(follower=ALICE, leader=LEADER)])
        await store.control.set_mode(Mode.REDUCE_ONLY, "heard")
        (change,) = await store.follows.wait_changes(version)
        assert change.follow.key == (ALICE, LEADER)
        assert (await store.control.wait_modes(before.version)).of(ENGINE).why == "heard"


INTERRUPTION_CHECKS: tuple[StoreCheck, ...] = (
    a_cancelled_write_is_whole_or_nothing,
    a_take_falls_before_or_after_a_write,
    nobody_sees_half_a_write,
    shards_are_written_side_by_side,
    every_call_may_be_cut_off_and_repeated,
    a_cancelled_wait_is_forgotten,
)
