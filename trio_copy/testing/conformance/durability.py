"""What a durable store promises: what was answered is there, however the process ended."""

import pickle
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import trio
from attrs import evolve

from trio_copy.clock import wall_clock_from
from trio_copy.errors import StoreForgot
from trio_copy.model.control import ENGINE, Mode
from trio_copy.model.facts import FactQuery
from trio_copy.model.follows import Follow
from trio_copy.model.ids import TokenId
from trio_copy.ports import Changes, Request, Store
from trio_copy.testing.conformance.terms import (
    ALICE,
    LEADER,
    SHARDS,
    START,
    StoreCheck,
    StoreForTest,
    StoreTerms,
    checkpoint,
    document,
    fact,
    refused,
)

_KILLED_AFTER = (1, 7, 40, 120)
"""After how many answers a process is killed."""


async def what_was_written_is_there_after_a_restart(backend: StoreForTest) -> None:
    """Documents, facts, requests, answers, budgets, modes, leases and follows outlive a store that is closed.

    So does the counting of writes: the owner goes on where it was, or repeats its last write.
    """
    with TemporaryDirectory() as folder:
        terms = StoreTerms(folder=Path(folder), wall=wall_clock_from(START))
        request = Request(name="r", kind="k", body="b", at=START)
        async with backend.open(terms) as store:
            await store.accounts.take(0, 5)
            await store.accounts.ask(0, request)
            await store.accounts.ask(0, evolve(request, name="answered"))
            puts = [document("1", b"\xff\x00", kind="order"), document("2", '{"a": 1}')]
            await store.accounts.write(0, 5, 1, Changes(puts=puts, facts=[fact("f")]), checkpoint(5))
            await store.accounts.write(0, 5, 2, Changes(answers={"answered": "yes"}))
            await store.control.draw("day", 0, 70, 100)
            change = await store.control.set_mode(Mode.HALT_NEW, "why")
            lease = await store.control.acquire("name", "me", 100)
            version = await store.follows.put([Follow(follower=ALICE, leader=LEADER)])
        async with backend.open(terms) as store:
            await store.accounts.write(0, 5, 2, Changes(puts=[document("3")]))
            await refused(StoreForgot, store.accounts.write(0, 5, 4, Changes()))
            await store.accounts.write(0, 5, 3, Changes(deletes=[document("2").key]))
            assert list((await store.accounts.load(0, 5, [ALICE]))[ALICE]) == puts[:1]
            assert list(await store.accounts.requests(0, 5)) == [request]
            assert await store.accounts.answer(0, "answered") == "yes"
            assert list(await store.history.facts(FactQuery(kinds=["filled"]))) == [fact("f")]
            assert await store.control.draw("day", 1, 70, 100) == 30
            assert (await store.control.modes()).of(ENGINE) == change
            assert await store.control.held(["name"]) == {"name": lease}
            assert (await store.follows.load())[0] == version
            heads = await store.accounts.take(0, 6)
            assert (heads.checkpoint, list(heads.documents)) == (checkpoint(5), puts[:1])


async def what_was_answered_survives_a_kill(backend: StoreForTest) -> None:
    """A process that writes to several shards is killed, again and again: all that it was told is done is there, whole.

    A write that had no answer yet is there whole, or not at all.
    """
    with TemporaryDirectory() as folder:
        for token, answers in enumerate(_KILLED_AFTER, start=1):
            answered = _answers_until_killed(backend, folder, token, answers)
            assert len(answered) >= answers
            terms = StoreTerms(folder=Path(folder), wall=wall_clock_from(START))
            async with backend.open(terms) as store:
                for shard in range(SHARDS):
                    last = max((number for told, number in answered if told == shard), default=0)
                    await _check_survivors(store, shard, token, last)


async def _check_survivors(store: Store, shard: int, token: int, last: int) -> None:
    heads = await store.accounts.take(shard, token)
    facts = await store.history.facts(FactQuery(kinds=["filled"], token_id=TokenId(shard), limit=10**6))
    numbers = sorted(int(one.key.rsplit(" ", 1)[1]) for one in facts if one.key.startswith(f"{shard} {token} "))
    # The write after the last answer may be there as well: its answer was on the way.
    assert numbers in (list(range(1, last + 1)), list(range(1, last + 2))), (shard, token, last, numbers[-3:])
    orders = {one.name: one.body for one in heads.documents}
    if not numbers:
        assert heads.checkpoint is None or token > 1
        return
    newest = numbers[-1]
    assert heads.checkpoint == checkpoint(1000 * token + newest)
    assert orders == {f"{shard} last": b"%d %d" % (token, newest), f"{shard} {newest}": b"open"}
    loaded = await store.accounts.load(shard, token, [ALICE])
    assert {one.name for one in loaded[ALICE] if one.kind == "position"} >= {f"{token} {n}" for n in numbers}


def _answers_until_killed(backend: StoreForTest, folder: str, token: int, count: int) -> list[tuple[int, int]]:
    """Let another process write, kill it after so many answers, and return all that it was told before it died."""
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, repr(sys.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=False
    )
    with child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            pickle.dump((backend, folder, token), child.stdin)
            child.stdin.close()
            lines = [child.stdout.readline() for _ in range(count)]
        finally:
            child.send_signal(signal.SIGKILL)
        lines += child.stdout.readlines()
    # The last line may be torn: then its answer was not told in full.
    return [(int(shard), int(number)) for shard, number in (line.split() for line in lines if line.endswith(b"\n"))]


_CHILD = """
import sys
sys.path[:] = eval(sys.argv[1])
from trio_copy.testing.conformance.durability import write_until_killed
write_until_killed()
"""


def write_until_killed() -> None:
    """Write to every shard, in the process that is to be killed, and print each write that was answered."""
    backend, folder, token = pickle.load(sys.stdin.buffer)
    trio.run(_write_until_killed, backend, Path(folder), token)


async def _write_until_killed(backend: StoreForTest, folder: Path, token: int) -> None:
    terms = StoreTerms(folder=folder, wall=wall_clock_from(START), virtual=False)
    async with backend.open(terms) as store, trio.open_nursery() as nursery:
        for shard in range(SHARDS):
            nursery.start_soon(_write_for_ever, store, shard, token)


async def _write_for_ever(store: Store, shard: int, token: int) -> None:
    heads = await store.accounts.take(shard, token)
    deletes = [one.key for one in heads.documents]
    number = 0
    while True:
        number += 1
        puts = [
            document(f"{shard} last", f"{token} {number}", kind="order"),
            document(f"{shard} {number}", "open", kind="order"),
            document(f"{token} {number}", "x" * 2000),
        ]
        put = {one.key for one in puts}
        changes = Changes(
            puts=puts,
            deletes=[key for key in deletes if key not in put],
            facts=[fact(f"{shard} {token} {number}", token_id=shard)],
        )
        await store.accounts.write(shard, token, number, changes, checkpoint(1000 * token + number))
        deletes = [puts[1].key]
        sys.stdout.write(f"{shard} {number}\n")
        sys.stdout.flush()


RESTART_CHECKS: tuple[StoreCheck, ...] = (
    what_was_written_is_there_after_a_restart,
    what_was_answered_survives_a_kill,
)
