"""What every store promises to whoever asks what was written."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import product

import trio
from attrs import evolve

from trio_copy.clock import utc_date
from trio_copy.entropy import Entropy, seeded_entropy
from trio_copy.model.facts import AMOUNTS, NO_AMOUNTS, Fact, FactQuery, Sums
from trio_copy.model.ids import FollowerId, TokenId
from trio_copy.ports import FORGOTTEN_TOKEN, NOBODY, Changes
from trio_copy.testing.conformance.terms import (
    ALICE,
    BOB,
    LEADER,
    OTHER_LEADER,
    START,
    StoreCheck,
    StoreForTest,
    document,
    fact,
    fresh,
    two_owners,
    write_facts,
)

_KINDS = ("filled", "ended", "skip", "entry")
_BIG = 2**256 - 1
_DAY_S = 86_400.0


def _random_facts(luck: Entropy, count: int) -> list[Fact]:
    """Facts over three days, many of them at the same moment, with sums that no double holds exactly."""
    return [
        fact(
            f"fact {number}",
            kind=luck.choice(_KINDS),
            at=START + luck.choice((0.0, 0.5, 28_799.999, 28_800.0, luck.randint(0, 3) * _DAY_S, luck.random() * 1e5)),
            follower=luck.choice((ALICE, BOB, FollowerId('odd: \U0001f980/"%'))),
            leader=luck.choice((LEADER, OTHER_LEADER)),
            token_id=luck.choice((0, 7, 70, _BIG)),
            names=(f"signal {number}", f"task {number}", ""),
            amounts=(1, *(luck.choice((0, -1, 1, luck.randint(-(10**9), 10**9), 2**53 + 1)) for _ in AMOUNTS[1:])),  # type: ignore[arg-type]  # as many as there are names
            body=luck.randbytes(20),
        )
        for number in range(count)
    ]


def _wanted(facts: Sequence[Fact], query: FactQuery) -> list[Fact]:
    return [
        one
        for one in facts
        if one.kind in query.kinds
        and query.follower in (None, one.follower)
        and query.leader in (None, one.leader)
        and query.token_id in (None, one.token_id)
        and (query.since is None or one.at >= query.since)
        and (query.until is None or one.at < query.until)
    ]


def _added_up(facts: Sequence[Fact], by: Sequence[str]) -> dict[tuple[str, ...], list[int]]:
    sums: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0] * len(AMOUNTS))
    for one in facts:
        words = {"day": utc_date(one.at), "follower": one.follower, "leader": one.leader, "token_id": str(one.token_id)}
        total = sums[tuple(words[name] for name in by)]
        total[:] = [has + more for has, more in zip(total, one.amounts, strict=True)]
    return sums


def _without_nothing(sums: Sums | dict[tuple[str, ...], list[int]]) -> dict[tuple[str, ...], tuple[int, ...]]:
    """Leave out what adds up to nothing: a store may tell it or not."""
    return {key: tuple(amounts) for key, amounts in sums.items() if any(amounts)}


def _queries() -> list[FactQuery]:
    """Each field by itself, and all of them together."""
    plain = FactQuery(kinds=_KINDS)
    one_by_one = [
        *(FactQuery(kinds=kinds) for kinds in ((), ("skip",), ("filled", "entry"), ("unknown",), frozenset(_KINDS))),
        *(evolve(plain, follower=follower) for follower in (ALICE, FollowerId("nobody"), FollowerId("alic"))),
        *(evolve(plain, leader=leader) for leader in (LEADER, OTHER_LEADER)),
        *(evolve(plain, token_id=TokenId(token)) for token in (0, 7, 70, _BIG, 8)),
        *(evolve(plain, since=START + s) for s in (0.0, 0.5, 28_800.0, 1e9)),
        *(evolve(plain, until=START + s) for s in (0.0, 0.5, 28_800.0, 1e9)),
    ]
    together = [
        FactQuery(kinds=kinds, follower=follower, leader=leader, token_id=token, since=since, until=until)
        for kinds, follower, leader, token, (since, until) in product(
            (("filled",), ("filled", "ended", "skip")),
            (None, BOB),
            (None, LEADER),
            (None, TokenId(_BIG)),
            ((None, None), (START + 0.5, START + 28_800), (START + 28_800, None)),
        )
    ]
    return [plain, *one_by_one, *together]


async def facts_are_found_by_every_field(backend: StoreForTest) -> None:
    """Kinds, follower, leader, token and time narrow a question down, each alone and together; facts come back whole."""
    facts = _random_facts(seeded_entropy(1), 300)
    async with fresh(backend) as store:
        await write_facts(store, *facts[:150])
        await write_facts(store, *facts[150:], shard=1)
        for query in _queries():
            found = list(await store.history.facts(query))
            assert sorted(found, key=lambda one: one.key) == sorted(_wanted(facts, query), key=lambda one: one.key)
            moments = [one.at for one in found]
            assert moments == sorted(moments, reverse=True)


async def the_newest_facts_come_first(backend: StoreForTest) -> None:
    """Of more than the limit the newest are told, in the same order each time, those of one moment included."""
    facts = _random_facts(seeded_entropy(2), 120)
    async with fresh(backend) as store:
        await write_facts(store, *facts[:60])
        await write_facts(store, *facts[60:], shard=1)
        whole = list(await store.history.facts(FactQuery(kinds=_KINDS)))
        assert len(whole) == 120
        for limit in (1, 2, 17, 119, 120, 121):
            assert list(await store.history.facts(FactQuery(kinds=_KINDS, limit=limit))) == whole[:limit]


async def a_fact_told_again_is_overwritten(backend: StoreForTest) -> None:
    """By its key, in whatever it differs: what it said before is found nowhere and counts no more."""
    old = fact("key", names=("s1", "t1", "o1"), amounts=(1, 10, 20, 30, 40, 50))
    new = fact(
        "key",
        kind="ended",
        at=START + 3 * _DAY_S,
        follower=BOB,
        leader=OTHER_LEADER,
        token_id=8,
        names=("s2", "t2", "o2"),
        amounts=(2, 1, -2, 3, -4, 5),
        body=b"new",
    )
    async with fresh(backend) as store:
        await store.accounts.take(0, 1)
        await store.accounts.write(0, 1, 1, Changes(facts=[old, fact("other")]))
        await store.accounts.write(0, 1, 2, Changes(facts=[old]))
        assert len(await store.history.facts(FactQuery(kinds=_KINDS))) == 2
        assert (await store.history.sums(FactQuery(kinds=_KINDS), ()))[()] == old.amounts
        await store.accounts.write(0, 1, 3, Changes(facts=[new]))
        assert list(await store.history.facts(FactQuery(kinds=_KINDS))) == [new, fact("other")]
        for query in (
            FactQuery(kinds=_KINDS, follower=ALICE),
            FactQuery(kinds=_KINDS, leader=LEADER),
            FactQuery(kinds=_KINDS, token_id=TokenId(7)),
            FactQuery(kinds=["filled"]),
            FactQuery(kinds=_KINDS, until=START + 1),
        ):
            assert list(await store.history.facts(query)) == [fact("other")]
        for name in ("s1", "t1", "o1"):
            assert list((await store.history.story(name))[0]) == []
        sums = await store.history.sums(FactQuery(kinds=_KINDS), ("day", "follower"))
        assert _without_nothing(sums) == {(utc_date(new.at), "bob"): new.amounts}


async def sums_are_exact(backend: StoreForTest) -> None:
    """Amounts add up to the last millionth, by any choice of follower, leader, token and day, for any question.

    Days are those of UTC, also where a question begins or ends within one; its limit does not count.
    """
    names = ("follower", "leader", "token_id", "day")
    choices = [(), *((name,) for name in names), ("day", "follower"), ("token_id", "leader"), names]
    async with fresh(backend) as store:
        facts: list[Fact] = []
        await store.accounts.take(0, 1)
        await store.accounts.take(1, 1)
        for round_number in range(1, 4):
            # Some of them were told before, and are told otherwise now.
            told = _random_facts(seeded_entropy(round_number), 60 * round_number)
            here = [one for number, one in enumerate(told) if number % 2 == 0]
            there = [one for number, one in enumerate(told) if number % 2 == 1]
            await store.accounts.write(0, 1, round_number, Changes(facts=here))
            await store.accounts.write(1, 1, round_number, Changes(facts=there))
            facts = list({one.key: one for one in [*facts, *told]}.values())
            for number, query in enumerate(_queries()):
                by = choices[(number + round_number) % len(choices)]
                sums = await store.history.sums(evolve(query, limit=3), by)
                assert _without_nothing(sums) == _without_nothing(_added_up(_wanted(facts, query), by)), (query, by)


async def sums_outlive_their_facts(backend: StoreForTest) -> None:
    """When facts are let go, what they add up to stays, but for their tokens: by follower, leader and day, for whole days.

    Each fact that is found counts with its token, and all others under `FORGOTTEN_TOKEN`, so that nothing is lost.
    """
    luck = seeded_entropy(4)
    days = [START - 57_600.0 + number * _DAY_S for number in range(-1, 5)]
    times = [(None, None), (days[1], days[3]), (None, days[2]), (days[2], None)]
    questions = [
        FactQuery(kinds=kinds, follower=follower, leader=leader, since=since, until=until, limit=10_000)
        for kinds, follower, leader, (since, until) in product(
            (_KINDS, ("filled",)), (None, BOB), (None, LEADER), times
        )
    ]
    async with fresh(backend, brief=True) as store:
        told: dict[str, Fact] = {}
        await store.accounts.take(0, 1)
        for number in range(1, 81):
            # Soon after they were told, some are told again, otherwise.
            facts = [evolve(one, key=f"{number // 2} {i}") for i, one in enumerate(_random_facts(luck, 30))]
            await store.accounts.write(0, 1, number, Changes(facts=facts))
            told |= {one.key: one for one in facts}
        choices = ((), ("follower",), ("leader", "day"), ("follower", "leader", "day"))
        for day in range(4):
            await trio.sleep(_DAY_S)
            for number, question in enumerate(questions[day::3]):
                by = choices[number % len(choices)]
                sums = await store.history.sums(question, by)
                assert _without_nothing(sums) == _without_nothing(_added_up(_wanted([*told.values()], question), by))
        every = FactQuery(kinds=_KINDS, limit=10_000)
        kept = await store.history.facts(every)
        assert {one.key: one for one in kept}.items() <= told.items()
        by_token = dict(await store.history.sums(every, ("token_id",)))
        gone = by_token.pop((FORGOTTEN_TOKEN,), NO_AMOUNTS)
        assert _without_nothing(by_token) == _without_nothing(_added_up(kept, ("token_id",)))
        left = _added_up([one for key, one in told.items() if key not in {one.key for one in kept}], ())
        assert gone == tuple(left[()])
        of_one = FactQuery(kinds=_KINDS, token_id=TokenId(7))
        assert _without_nothing(await store.history.sums(of_one, ())) == _without_nothing(
            _added_up(_wanted(kept, of_one), ())
        )


async def a_day_ends_at_midnight_utc(backend: StoreForTest) -> None:
    """The last moment of a day and the first of the next are added up apart."""
    midnight = START + 28_800
    assert (utc_date(midnight - 0.001), utc_date(midnight)) == ("2025-11-24", "2025-11-25")
    moments = (midnight - 0.001, midnight, midnight + 0.001, midnight + _DAY_S - 0.001, midnight + _DAY_S)
    async with fresh(backend) as store:
        await write_facts(store, *(fact(str(at), at=at, amounts=(1, 0, 0, 0, 0, 0)) for at in moments))
        sums = await store.history.sums(FactQuery(kinds=["filled"]), ("day",))
        assert {day: amounts[0] for (day,), amounts in sums.items()} == {
            "2025-11-24": 1,
            "2025-11-25": 3,
            "2025-11-26": 1,
        }


async def a_story_is_found_by_the_beginning_of_an_id(backend: StoreForTest) -> None:
    """Facts by that of their task, signal or order, documents of open things by the ids in their names; all literally."""
    facts = [
        fact("1", names=("5161", "7451", "0dE1")),
        fact("2", names=("5162", "7452", "")),
        fact("3", names=("%", "_", "*[a-z]?")),
    ]
    documents = [
        document("7451/5161", kind="order"),
        document("0dE1", kind="waits", follower=BOB),
        document("x/y/7452", kind="waits"),
        document("7451", kind="position"),
        document("_/%", kind="order", follower=NOBODY),
    ]
    expected: dict[str, tuple[set[str], set[str]]] = {
        "7451": ({"1"}, {"7451/5161"}),
        "745": ({"1", "2"}, {"7451/5161", "x/y/7452"}),
        "516": ({"1", "2"}, {"7451/5161"}),
        "0d": ({"1"}, {"0dE1"}),
        "0dE1": ({"1"}, {"0dE1"}),
        "0de1": (set(), set()),
        "451": (set(), set()),
        "y": (set(), {"x/y/7452"}),
        "%": ({"3"}, {"_/%"}),
        "_": ({"3"}, {"_/%"}),
        "*": ({"3"}, set()),
        "*[a": ({"3"}, set()),
        "nothing": (set(), set()),
    }
    async with fresh(backend) as store:
        await store.accounts.take(0, 1)
        await store.accounts.write(0, 1, 1, Changes(puts=documents, facts=facts))
        for prefix, (keys, names) in expected.items():
            told, found = await store.history.story(prefix)
            assert ({one.key for one in told}, {one.name for one in found}) == (keys, names), prefix
            assert all(one in facts for one in told)
            assert all(one in documents for one in found)
            assert len(told) == len(keys), prefix


async def a_story_is_at_most_a_hundred_long(backend: StoreForTest) -> None:
    """Of facts and of documents each, however many begin alike."""
    async with fresh(backend) as store:
        await store.accounts.take(0, 1)
        puts = [document(f"abc{number}", kind="order") for number in range(150)]
        facts = [fact(str(number), names=(f"abc{number}", f"abc{number}", "abc")) for number in range(150)]
        await store.accounts.write(0, 1, 1, Changes(puts=puts, facts=facts))
        told, found = await store.history.story("abc")
        assert len({one.key for one in told}) == len(told) == 100
        assert len({one.key for one in found}) == len(found) == 100


async def documents_are_listed_by_their_keys(backend: StoreForTest) -> None:
    """Those of one kind, of every shard, of one account or all, sorted; names as Python sorts them."""
    names = ("", "a", "A", "a/", "aa", "b", "\u00e9", "\uffee", "\U0001f980", "10", "9")
    async with fresh(backend) as store:
        for shard, follower in enumerate((BOB, ALICE, NOBODY)):
            await store.accounts.take(shard, 1)
            puts = [document(name, f"{name} {kind}", follower=follower, kind=kind) for name in names for kind in "pq"]
            await store.accounts.write(shard, 1, 1, Changes(puts=puts[::-1]))
        listed = list(await store.history.documents("p"))
        assert [one.key for one in listed] == sorted(
            (follower, "p", name) for follower in (ALICE, BOB, NOBODY) for name in names
        )
        assert all(one.body.decode() == f"{one.name} p" for one in listed)
        assert [one.key for one in await store.history.documents("q", BOB)] == sorted(
            (BOB, "q", name) for name in names
        )
        assert len(await store.history.documents("p", NOBODY)) == len(names)
        assert list(await store.history.documents("p", FollowerId("bo"))) == []
        assert list(await store.history.documents("none")) == []


async def documents_of_an_account_are_of_one_moment(backend: StoreForTest) -> None:
    """Whoever reads beside the owner finds what one write made, all of it: one document may say what another one holds."""
    turns, names = 12, [str(number) for number in range(5000)]
    async with two_owners(backend) as (owned, store), trio.open_nursery() as nursery:
        await owned.accounts.take(0, 1)
        written = trio.Event()

        async def write() -> None:
            for turn in range(1, turns + 1):
                await owned.accounts.write(0, 1, turn, Changes(puts=[document(name, str(turn)) for name in names]))
                await trio.lowlevel.checkpoint()
            written.set()

        nursery.start_soon(write)
        while not written.is_set():
            await trio.lowlevel.checkpoint()  # a store in memory may answer at once
            for follower in (ALICE, None):
                bodies = [one.body for one in await store.history.documents("position", follower)]
                assert len(set(bodies)) <= 1, "of different writes"
                assert len(bodies) in (0, len(names))
        assert {one.body for one in await store.history.documents("position")} == {str(turns).encode()}


HISTORY_CHECKS: tuple[StoreCheck, ...] = (
    facts_are_found_by_every_field,
    the_newest_facts_come_first,
    a_fact_told_again_is_overwritten,
    sums_are_exact,
    sums_outlive_their_facts,
    a_day_ends_at_midnight_utc,
    a_story_is_found_by_the_beginning_of_an_id,
    a_story_is_at_most_a_hundred_long,
    documents_are_listed_by_their_keys,
    documents_of_an_account_are_of_one_moment,
)
