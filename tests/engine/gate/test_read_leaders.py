"""Whose logs are read, while follows and shards come and go: always as if it were worked out anew, at the cost of the change."""

from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import NOW, POLYGON, hash_of, make_follow
from trio_copy.chain.decoders.erc1155 import CONDITIONAL_TOKENS, SINGLE_TOPIC, Erc1155Decoder
from trio_copy.chain.decoders.words import address_topic
from trio_copy.chain.filters import FilterBoard, passes
from trio_copy.config import ChainSettings
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.gate.read_leaders import ReadLeaders
from trio_copy.engine.intake import Intake, wanted_filters
from trio_copy.model.follows import EVERYBODY, Follower, Followers, TermsOfFollows
from trio_copy.model.ids import Address, FollowerId, Hash32
from trio_copy.model.logs import RawLog
from trio_copy.ports import LogFilter

SHARD_OF = {"alice": 0, "bob": 1, "carol": 1}
LEADERS = tuple(Address(f"0x{number:040x}") for number in range(1, 7))
NAMED = 3
"""Leaders that filters name at most."""
FOLLOW = st.tuples(st.sampled_from(sorted(SHARD_OF)), st.sampled_from(LEADERS))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), FOLLOW),
        st.tuples(st.just("remove"), FOLLOW),
        st.tuples(st.just("change several"), st.lists(FOLLOW, max_size=8)),
        st.tuples(st.just("replace all"), st.lists(FOLLOW, max_size=8)),
        st.tuples(st.just("shards"), st.sets(st.integers(0, 1))),
    ),
    max_size=25,
)


@define(eq=False)
class Counted(Erc1155Decoder):
    """Remembers of how many leaders filters were wanted."""

    asked: list[int] = field(factory=list, kw_only=True)

    def filters(self, leaders: Sequence[Address]) -> tuple[LogFilter, ...]:
        self.asked.append(len(leaders))
        return super().filters(leaders)


@define(eq=False)
class Reading:
    """The part of an engine that says whose logs are read."""

    warm: bool = False
    named: int = NAMED
    at_once: int = 2_000
    book: FollowBook = field(init=False)
    shards: dict[int, Any] = field(factory=lambda: {0: None, 1: None})
    board: FilterBoard = field(factory=FilterBoard)
    decoder: Counted = field(init=False)
    places: list[FollowerId] = field(factory=list)
    """Whose shard was asked for."""
    changed: int = 0
    """How many times recent facts turned out not to be whole, because somebody came."""
    intake: Intake = field(init=False)

    def __attrs_post_init__(self) -> None:
        everybody = Followers({EVERYBODY: Follower(follower=EVERYBODY, executor="sim")})
        self.book = FollowBook(TermsOfFollows(followers=everybody))
        self.decoder = Counted(contracts=frozenset({CONDITIONAL_TOKENS}), venues=frozenset())
        chain = ChainSettings(chain_id=POLYGON, leaders_named=self.named, leaders_per_subscription=2)
        plan: Any = SimpleNamespace(settings=SimpleNamespace(chain=chain), decoders={"": self.decoder})
        seams: Any = SimpleNamespace(wall=lambda: NOW, observer=SimpleNamespace(on_step=lambda step, detail: None))
        gate: Any = SimpleNamespace(recent=SimpleNamespace(change_leaders=self.note_change))
        of_nobody: Any = None
        self.intake = Intake(
            plan=plan,
            seams=seams,
            holder=of_nobody,
            board=self.board,
            pool=of_nobody,
            scanner=of_nobody,
            watchdogs=of_nobody,
            gate=gate,
            reads=self.make_reads(),
            send=of_nobody,
        )

    def make_reads(self) -> ReadLeaders:
        return ReadLeaders(
            book=self.book, shards=self.shards, shard_of=self.shard_of, warm=self.warm, at_once=self.at_once
        )

    def shard_of(self, follower: FollowerId) -> int:
        self.places.append(follower)
        return SHARD_OF.get(follower, 0)

    def note_change(self, now: float) -> None:
        self.changed += 1

    async def take(self, what: str, told: Any) -> None:
        """Let something change, and the filters follow it."""
        leaders = self.change(what, told)
        if leaders is None:
            await self.intake.narrow_anew()
        else:
            self.intake.narrow(leaders)

    def change(self, what: str, told: Any) -> set[Address] | None:
        """Let something change, and return whose follows did; None where it may be anybody's."""
        match what:
            case "put":
                self.book.put(make_follow(*told))
                return {told[1]}
            case "remove":
                self.book.remove(make_follow(*told))
                return {told[1]}
            case "change several":
                for number, one in enumerate(told):
                    (self.book.remove if number % 2 else self.book.put)(make_follow(*one))
                return {leader for _, leader in told}
            case "replace all":
                self.book.replace_all(make_follow(*one) for one in told)
            case "shards":
                self.shards.clear()
                self.shards.update(dict.fromkeys(told))
        return None

    def read(self) -> set[Address]:
        return self.read_of(LEADERS)

    def read_of(self, leaders: Iterable[Address]) -> set[Address]:
        """Work out in the plainest way whose logs are read."""
        return {
            leader
            for leader in leaders
            if (names := list(self.book.followers_of(leader)))
            and (self.warm or any(SHARD_OF.get(name, 0) in self.shards for name in names))
        }

    def passed(self) -> set[Address]:
        """Return the leaders whose transfers come from nodes, and pass."""
        logs = {leader: transfer(leader) for leader in LEADERS}
        return {
            leader
            for leader, log in logs.items()
            if any(passes(log, one) for one in self.board.filters) and self.board.wants(log)
        }


def transfer(leader: Address) -> RawLog:
    nobody = address_topic(Address("0x" + "ee" * 20))
    return RawLog(
        chain_id=POLYGON,
        address=CONDITIONAL_TOKENS,
        topics=(Hash32(SINGLE_TOPIC), nobody, nobody, address_topic(leader)),
        data=b"",
        block_number=1,
        block_hash=hash_of(1),
        block_time=1,
        tx_hash=hash_of(2),
        log_index=0,
    )


@pytest.mark.parametrize("warm", [False, True], ids=["own", "warm"])
@settings(deadline=None)
@given(steps=STEPS)
def test_after_any_changes_it_is_as_worked_out_anew(warm: bool, steps: list[tuple[str, Any]]) -> None:
    """Leaders, filters, what passes, and whether nodes and scanner are told that it is another set."""
    reading = Reading(warm=warm)

    async def play() -> None:
        for what, told in steps:
            before, version, changed = reading.read(), reading.board.version, reading.changed
            assert set(reading.intake.reads) == before
            await reading.take(what, told)
            now = reading.read()
            assert set(reading.intake.reads) == now
            assert len(reading.intake.reads) == len(now)
            assert reading.passed() == now
            assert (reading.board.version > version) == (now != before)
            assert (reading.changed > changed) == bool(now - before)
            fresh = reading.make_reads()
            list(fresh.count())
            assert reading.board.filters == wanted_filters(reading.intake.plan, fresh)[0]

    trio.run(play)


@pytest.mark.parametrize("warm", [False, True], ids=lambda warm: "warm" if warm else "own")
@settings(deadline=None)
@given(before=st.sets(st.sampled_from(LEADERS)), during=STEPS)
def test_what_changes_while_everybody_is_looked_at_is_not_missed(
    warm: bool, before: set[Address], during: list[tuple[str, Any]]
) -> None:
    """Follows one by one, all of them, and shards: in the end it is as worked out anew, filters and all."""

    async def play() -> None:
        reading = Reading(warm=warm, at_once=1)
        await reading.take("replace all", [("alice", leader) for leader in before])
        reading.change("replace all", [(follower, leader) for leader in LEADERS for follower in SHARD_OF])
        looking = 0

        async def narrow_anew() -> None:
            nonlocal looking
            await reading.intake.narrow_anew()
            looking -= 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(narrow_anew)
            looking += 1
            for what, told in during:
                await trio.lowlevel.checkpoint()
                if not looking:
                    break
                leaders = reading.change(what, told)
                if leaders is not None:
                    reading.intake.narrow(leaders)
                elif what == "replace all":
                    nursery.start_soon(narrow_anew)
                    looking += 1
        now = reading.read()
        assert set(reading.intake.reads) == now
        assert reading.passed() == now
        fresh = reading.make_reads()
        list(fresh.count())
        assert reading.board.filters == wanted_filters(reading.intake.plan, fresh)[0]

    trio.run(play)


async def test_others_run_while_everybody_is_looked_at() -> None:
    """Between two of their turns so many follows are looked at as a setting says, and hardly more: of each leader alone."""
    reading = Reading(at_once=100)
    many = [Address(f"0x{number:040x}") for number in range(1000, 3000)]
    reading.book.replace_all([make_follow(f"user-{number % 50}", leader) for number, leader in enumerate(many)])
    for shards in ([0, 1], [], [1]):  # they come, they go, and nobody comes
        reading.shards.clear()
        reading.shards.update(dict.fromkeys(shards))
        looked_at = list[int]()
        async with trio.open_nursery() as nursery:

            async def run_beside(looked_at: list[int] = looked_at) -> None:
                while True:
                    looked_at.append(len(reading.places))
                    reading.places.clear()
                    await trio.lowlevel.checkpoint()

            nursery.start_soon(run_beside)
            await trio.lowlevel.checkpoint()
            await reading.intake.narrow_anew()
            nursery.cancel_scope.cancel()
        assert sum(looked_at) + len(reading.places) == len(many)
        assert max(looked_at) <= 100
        reading.places.clear()
        assert set(reading.intake.reads) == reading.read_of(many)


async def test_one_follow_costs_the_same_among_many_leaders() -> None:
    """Whose shards are asked for, and what decoders are asked for, does not grow with those that stay."""
    reading = Reading()
    many = [Address(f"0x{number:040x}") for number in range(1000, 3000)]
    reading.book.replace_all([make_follow(f"user-{number % 50}", leader) for number, leader in enumerate(many)])
    await reading.intake.narrow_anew()
    assert len(reading.intake.reads) == len(many)

    for what, leader in (("put", LEADERS[0]), ("put", many[0]), ("remove", LEADERS[0])):
        reading.places.clear()
        reading.decoder.asked.clear()
        await reading.take(what, ("alice", leader))
        assert len(reading.places) <= 2
        assert sum(reading.decoder.asked) <= 2
    assert set(reading.intake.reads) == set(many)


async def test_a_topic_that_only_ends_like_a_leader_is_none_of_his() -> None:
    """A hash may end with anything."""
    reading = Reading(named=1)
    for leader in LEADERS:
        await reading.take("put", ("alice", leader))
    log = transfer(LEADERS[0])
    odd = Hash32("0x" + "0" * 23 + "1" + LEADERS[0][2:])
    assert reading.board.wants(log)
    assert not reading.board.wants(evolve(log, topics=(*log.topics[:3], odd)))
