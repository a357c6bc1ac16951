"""The one writer of a shard: what leaves in which order, who is told, and what a store that fails or forgets does to that."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, field

from tests.builders import ALICE, LEADER, NOW, make_signal
from trio_copy.accounts.telling import SkipTold, Told
from trio_copy.engine.shards.stored import stored_fact
from trio_copy.engine.shards.writing import Batch, Writer
from trio_copy.errors import LeaseLost, StoreError, StoreForgot, StoreUnavailable
from trio_copy.model.decisions import Code, Reason, Skip
from trio_copy.model.ids import Hash32
from trio_copy.model.logs import Checkpoint
from trio_copy.ports import Changes, Document

Clock = trio.testing.MockClock


@define(eq=False)
class Slow:
    """A store that takes a second for a write, and says what a test wants."""

    writes: list[tuple[int, int, Changes, Checkpoint | None]] = field(factory=list)
    """Token, number, changes and checkpoint of each that was carried out."""
    errors: list[StoreError] = field(factory=list)
    under_way: int = 0

    async def write(
        self, shard: int, token: int, number: int, changes: Changes, checkpoint: Checkpoint | None = None
    ) -> None:
        assert not self.under_way, "two writes at once"
        self.under_way += 1
        try:
            await trio.sleep(1)
        finally:
            self.under_way -= 1
        if self.errors:
            raise self.errors.pop(0)
        self.writes.append((token, number, changes, checkpoint))

    @property
    def names(self) -> list[list[str]]:
        return [[put.name for put in changes.puts] for _, _, changes, _ in self.writes]

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"nobody asks a writer's store to {name}")


def document(name: str, body: bytes = b"1") -> Document:
    return Document(ALICE, "position", name, body)


def skipped(number: int) -> Told:
    signal, reason = make_signal(number), Reason(code=Code.TOO_OLD, control="filters.max_age_s", value="2", limit="1")
    skip = Skip(signal_id=signal.signal_id, follower=ALICE, leader=LEADER, reason=reason)
    return Told(record=SkipTold(skip=skip, signal=signal, at=NOW))


def put(writer: Writer, name: str) -> Batch:
    writer.open.put(document(name))
    writer.tell()
    return writer.open


@asynccontextmanager
async def open_writer(
    before_write: Callable[[Batch], None] = lambda batch: None, announce: Callable[[Told], None] = lambda told: None
) -> AsyncGenerator[tuple[Writer, Slow, list[StoreError]], None]:
    """A writer at work; its end, if it had one, is in the list."""
    store, ended = Slow(), list[StoreError]()
    writer = Writer(accounts=store, shard=0, token=7, before_write=before_write, announce=announce)

    async def run() -> None:
        try:
            await writer.run()
        except StoreError as error:
            ended.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)  # noqa: ASYNC113  a test waits for what it writes
        yield writer, store, ended
        nursery.cancel_scope.cancel()


async def test_what_is_ready_at_the_same_time_is_one_write(clock: Clock) -> None:
    """What comes while a write is under way is the next one; numbers count without a gap, one write at a time."""
    async with open_writer() as (writer, store, _):
        first = [put(writer, name) for name in "ab"]
        await trio.sleep(0.5)
        second = [put(writer, name) for name in "cd"]
        await second[0].wait()
        assert trio.current_time() == 2
        assert first[0] is first[1] is not second[0] is second[1]
    assert store.names == [["a", "b"], ["c", "d"]]
    assert [(token, number) for token, number, _, _ in store.writes] == [(7, 1), (7, 2)]


async def test_who_decides_in_the_same_turn_shares_the_write(clock: Clock) -> None:
    """As those who have waited for one answer: a disk takes as long for a document as for all of theirs."""
    async with open_writer() as (writer, store, _), trio.open_nursery() as nursery:
        answered = trio.Event()

        async def decide(name: str) -> None:
            await answered.wait()
            await put(writer, name).wait()

        names = [f"{number}" for number in range(20)]
        for name in names:
            nursery.start_soon(decide, name)
        await trio.testing.wait_all_tasks_blocked()
        answered.set()
        put(writer, "whoever has asked")
    assert [sorted(written) for written in store.names] == [sorted([*names, "whoever has asked"])]


async def test_who_waits_is_told_when_it_is_durable_and_not_before(clock: Clock) -> None:
    """Announcements come with the write as well, in order."""
    told: list[Told] = []
    news = [skipped(1), skipped(2)]
    async with open_writer(announce=told.append) as (writer, _, _):
        writer.open.told.extend(news)
        batch = put(writer, "a")
        await trio.sleep(0.9)
        assert told == []
        await batch.wait()
        assert (trio.current_time(), told) == (1, news)


async def test_the_last_word_about_a_document_counts(clock: Clock) -> None:
    """Put, deleted, put again within one write: nothing is in both lists."""
    async with open_writer() as (writer, store, _):
        writer.open.put(document("a"))
        writer.open.delete(document("a").key)
        writer.open.delete(document("b").key)
        writer.open.put(document("b", b"2"))
        await writer.flush()
    ((_, _, changes, _),) = store.writes
    assert (changes.puts, changes.deletes) == ((document("b", b"2"),), (document("a").key,))


async def test_what_rides_along_is_what_is_true_when_the_write_leaves(clock: Clock) -> None:
    """The checkpoint is asked for last of all: it vouches for everything in its write."""
    reached = [Checkpoint(number=number, hash=Hash32("0x" + "0" * 64), armed_at=0) for number in (1, 2)]

    def before_write(batch: Batch) -> None:
        batch.checkpoint = reached.pop(0) if reached else None

    async with open_writer(before_write) as (writer, store, _):
        for name in "abc":
            await put(writer, name).wait()
        assert writer.checkpoint is not None
        assert writer.checkpoint.number == 2
    assert [checkpoint and checkpoint.number for *_, checkpoint in store.writes] == [1, 2, None]


async def test_nothing_new_is_no_write(clock: Clock) -> None:
    """Whoever waits for nothing waits for nobody."""
    async with open_writer() as (writer, store, _):
        await writer.flush()
        assert trio.current_time() == 0
    assert store.writes == []


@pytest.mark.parametrize("error", [StoreUnavailable("the disk is full"), LeaseLost("somebody else")])
async def test_one_failing_write_is_the_last(clock: Clock, error: StoreError) -> None:
    """Whoever waits is told, for it and for what came after it; nothing is written any more."""
    async with open_writer() as (writer, store, ended):
        store.errors = [error]
        first = put(writer, "a")
        await trio.sleep(0.5)
        second = put(writer, "b")
        for batch in (first, second):
            with pytest.raises(type(error)):
                await batch.wait()
        assert ended == [error]
        third = writer.open
        third.put(document("c"))
        writer.tell()
        for wait in (third.wait, writer.flush):
            with pytest.raises(type(error)):
                await wait()
    assert store.writes == []


async def test_a_flush_waits_for_its_turn(clock: Clock) -> None:
    """Asked for by many while a write is under way: one write follows, under the next number."""
    async with open_writer() as (writer, store, _):
        put(writer, "a")
        await trio.sleep(0.5)
        writer.open.put(document("b"))
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(writer.flush)
    assert store.names == [["a"], ["b"]]


async def test_a_write_under_way_is_finished_when_the_writer_is_cancelled(clock: Clock) -> None:
    """A store would not know what became of it otherwise."""
    async with open_writer() as (writer, store, _):
        batch = put(writer, "a")
        await trio.sleep(0.5)
    assert store.names == [["a"]]
    await batch.wait()


@pytest.mark.parametrize("when_s", [0.0, 0.5, 2.0])
async def test_who_gives_up_writes_nothing_more(clock: Clock, when_s: float) -> None:
    """Before, during and after a write: whoever waits is told that the shard is lost, and the writer ends."""
    told: list[Told] = []
    async with open_writer(announce=told.append) as (writer, store, ended):
        writer.open.told.append(skipped(1))
        batch = put(writer, "a")
        if when_s:
            await trio.sleep(when_s)
        writer.give_up(LeaseLost("handed over"))
        later = writer.open
        later.put(document("b"))
        writer.tell()
        with pytest.raises(LeaseLost):
            await later.wait()
        await trio.sleep(5)
        if when_s < 1:
            with pytest.raises(LeaseLost):
                await batch.wait()
        assert told == ([skipped(1)] if when_s > 1 else [])
        assert [str(error) for error in ended] == ["handed over"]
    assert len(store.writes) == (when_s > 0)


async def test_a_store_that_forgot_is_written_again_whole(clock: Clock) -> None:
    """What was being written when that was found out is part of it, what came meanwhile follows, and nobody is told early."""
    reached = Checkpoint(number=5, hash=Hash32("0x" + "0" * 64), armed_at=0)
    async with open_writer() as (writer, store, ended):
        writer.checkpoint = reached
        await put(writer, "a").wait()
        store.errors = [StoreForgot("write 1 is missing")]
        waiting = put(writer, "b")
        await trio.sleep(0.5)
        next_one = put(writer, "c")
        await trio.sleep(1)
        assert [type(error) for error in ended] == [StoreForgot]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waiting.wait)
            nursery.start_soon(next_one.wait)
            await writer.write_again(9, [document("a"), document("b"), document("c")], [document("x").key])
            nursery.start_soon(writer.run)
            await next_one.wait()
            nursery.cancel_scope.cancel()
    assert store.names == [["a"], ["a", "b", "c"], ["c"]]
    assert [(token, number) for token, number, _, _ in store.writes] == [(7, 1), (9, 1), (9, 2)]
    assert store.writes[1][2].deletes == [document("x").key]
    assert store.writes[1][3] == reached


async def test_a_store_that_forgot_is_told_the_facts_of_its_last_moments_only(clock: Clock) -> None:
    """What was told long before may have been let go since, with its amounts added up: told again it would count twice."""
    async with open_writer() as (writer, store, _):
        for number, wait_s in ((1, 7000.0), (2, 600.0)):
            writer.open.facts.append(stored_fact(skipped(number)))
            await put(writer, "a").wait()
            await trio.sleep(wait_s)
        store.errors = [StoreForgot("write 2 is missing")]
        writer.open.facts.append(stored_fact(skipped(3)))
        put(writer, "a")
        await trio.sleep(2)
        await writer.write_again(9, [document("a")], [])
    told = [fact.signal_id for fact in store.writes[-1][2].facts]
    assert told == [make_signal(number).signal_id for number in (2, 3)]


async def test_a_write_that_comes_too_late_for_the_next_owner_is_no_loss(clock: Clock) -> None:
    """Given up while it was under way, and taken anew meanwhile: the store does not know it, and nobody writes it again."""
    async with open_writer() as (writer, store, ended):
        store.errors = [StoreForgot("expected write 1 of token 7")]
        batch = put(writer, "a")
        await trio.sleep(0.5)
        writer.give_up(LeaseLost("the clock says so"))
        with pytest.raises(LeaseLost):
            await batch.wait()
        await trio.sleep(1)
        assert [type(error) for error in ended] == [LeaseLost]


async def test_a_store_that_forgot_and_is_somebody_elses_ends_everything(clock: Clock) -> None:
    """Whoever waited for what was being written is told as well."""
    async with open_writer() as (writer, store, _):
        store.errors = [StoreForgot("write 1 is missing")]
        waiting = put(writer, "a")
        await trio.sleep(1.5)
        later = put(writer, "b")
        writer.give_up(LeaseLost("somebody else has it"))
        for batch in (waiting, later):
            with pytest.raises(LeaseLost):
                await batch.wait()


async def test_a_writer_that_is_cancelled_leaves_nobody_waiting(clock: Clock) -> None:
    """What is under way is finished; what has come meanwhile, or comes later, is told that nobody writes it."""
    store = Slow()
    writer = Writer(accounts=store, shard=3, token=9, before_write=lambda batch: None, announce=lambda told: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        first = put(writer, "a")
        await trio.sleep(0.5)
        second = put(writer, "b")
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await first.wait()
            with pytest.raises(StoreUnavailable, match="nothing more is written"):
                await second.wait()
    third = writer.open
    put(writer, "c")
    # Before it was told of, or after: a worker that waits is shielded, and the engine could not end.
    for batch in (third, writer.open):
        with trio.fail_after(1), pytest.raises(StoreUnavailable, match="nothing more is written"):
            await batch.wait()
    assert store.names == [["a"]]


async def test_a_bug_in_what_rides_along_leaves_nobody_waiting(clock: Clock) -> None:
    """The bug ends the engine, and the engine ends."""

    def fail(_: Batch) -> None:
        raise ZeroDivisionError("a bug")

    writer = Writer(accounts=Slow(), shard=3, token=9, before_write=fail, announce=lambda told: None)
    waiting = put(writer, "a")
    with pytest.raises(ZeroDivisionError):
        await writer.run()
    with trio.fail_after(1), pytest.raises(StoreUnavailable, match="nothing more is written"):
        await waiting.wait()
