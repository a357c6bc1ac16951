"""What every store promises about the accounts of a shard: documents, numbers, tokens and requests."""

import trio

from trio_copy.errors import LeaseLost, StoreForgot
from trio_copy.model.facts import FactQuery
from trio_copy.model.ids import FollowerId
from trio_copy.ports import NOBODY, Changes, Document, Heads, Request, Store
from trio_copy.testing.conformance.terms import (
    ALICE,
    BOB,
    START,
    StoreCheck,
    StoreForTest,
    checkpoint,
    document,
    fact,
    fresh,
    refused,
    two_owners,
)

ODD_NAMES = (
    "",
    "a/b/c",
    "with space, comma; and :colon:{curly}[square]*?%_",
    "\"quoted\" 'twice' \\ back",
    "line\nbreak\ttab\r",
    "\u03a9\u2248\u00e7\u221a",
    "\U0001f980\U0010ffff",
    "e\u0301 is not \u00e9",
    "\u202ertl \u05d0\u05d1",
    "n" * 300,
    "\U0001f980" * 300,
    str(2**256 - 1),
)
ODD_BODIES = (
    b"",
    b"{}",
    b'{"a":1}',
    "\U0001f980".encode(),
    b"\xff\xfe\x00\x80",
    b"\x00",
    bytes(range(256)),
    b"x" * 2**20,
)


async def _everything(store: Store, follower: FollowerId, shard: int = 0, token: int = 1) -> dict[str, bytes]:
    found = await store.accounts.load(shard, token, [follower])
    return {one.name: one.body for one in found[follower]}


async def _ask(store: Store) -> None:
    await store.accounts.ask(0, Request(name="r", kind="k", body="b", at=START))


async def a_fresh_shard_is_empty(backend: StoreForTest) -> None:
    """Nobody has written anything: no checkpoint, no documents, no requests, no facts, and empty accounts."""
    async with fresh(backend) as store:
        assert await store.accounts.take(0, 1) == Heads(checkpoint=None, documents=())
        loaded = await store.accounts.load(0, 1, [ALICE, BOB])
        assert {name: list(documents) for name, documents in loaded.items()} == {ALICE: [], BOB: []}
        assert list(await store.accounts.requests(0, 1)) == []
        assert await store.accounts.answer(0, "nothing") is None
        assert list(await store.history.documents("order")) == []


async def a_take_returns_heads_and_nothing_else(backend: StoreForTest) -> None:
    """Orders and what waits, of every account, and all that belongs to the shard itself; of this shard only."""
    heads = [
        document("1", kind="order"),
        document("2", kind="order", follower=BOB),
        document("3", kind="waits", follower=BOB),
        document("4", kind="seen", follower=NOBODY),
        document("5", kind="order", follower=NOBODY),
    ]
    others = [document("6", kind="position"), document("7", kind="ordered"), document("8", kind="Order")]
    async with fresh(backend) as store:
        for shard in (0, 1):
            await store.accounts.take(shard, 1)
        await store.accounts.write(0, 1, 1, Changes(puts=[*others, *heads]), checkpoint(5))
        await store.accounts.write(1, 1, 1, Changes(puts=[document("9", kind="order")]), checkpoint(6))
        taken = await store.accounts.take(0, 2)
        assert taken.checkpoint == checkpoint(5)
        assert sorted(taken.documents, key=lambda one: one.name) == heads


async def documents_come_back_byte_for_byte(backend: StoreForTest) -> None:
    """Whatever the body and however odd the name: what was put is loaded, and found in the history."""
    puts = [document(name, f"body of {name}") for name in ODD_NAMES]
    puts += [document(f"body {number}", body) for number, body in enumerate(ODD_BODIES)]
    odd = [Document(FollowerId(name), "position", name, b"odd") for name in ODD_NAMES if 0 < len(name) < 300]
    async with fresh(backend) as store:
        await store.accounts.take(0, 1)
        await store.accounts.write(0, 1, 1, Changes(puts=puts + odd))
        assert await _everything(store, ALICE) == {one.name: one.body for one in puts}
        loaded = await store.accounts.load(0, 1, [one.follower for one in odd])
        assert {name: list(documents) for name, documents in loaded.items()} == {one.follower: [one] for one in odd}
        assert list(await store.history.documents("position", ALICE)) == sorted(puts, key=lambda one: one.key)


async def puts_and_deletes_are_absolute(backend: StoreForTest) -> None:
    """A put replaces, a delete removes, an unknown one changes nothing; other kinds, accounts and shards are not touched."""
    async with fresh(backend) as store:
        for shard in (0, 1):
            await store.accounts.take(shard, 1)
        kept = [document("1", "kind", kind="fill"), document("1", "bob", follower=BOB)]
        await store.accounts.write(0, 1, 1, Changes(puts=[document("1", "old"), document("2", "gone"), *kept]))
        await store.accounts.write(1, 1, 1, Changes(puts=[document("1", "elsewhere")]))
        deletes = [document("2").key, document("unknown").key, (FollowerId("nobody"), "position", "1")]
        await store.accounts.write(0, 1, 2, Changes(puts=[document("1", "new")], deletes=deletes))
        loaded = await store.accounts.load(0, 1, [ALICE, BOB])
        assert sorted(loaded[ALICE], key=lambda one: one.kind) == [kept[0], document("1", "new")]
        assert list(loaded[BOB]) == [kept[1]]
        assert await _everything(store, ALICE, shard=1) == {"1": b"elsewhere"}
        await store.accounts.write(0, 1, 3, Changes(deletes=[document("1").key], puts=[document("2", "again")]))
        assert await _everything(store, ALICE) == {"1": b"kind", "2": b"again"}


async def a_checkpoint_rides_along(backend: StoreForTest) -> None:
    """The checkpoint of a write is stored with it, also a lower one; none leaves the stored one as it is."""
    async with fresh(backend) as store:
        await store.accounts.take(0, 1)
        for given, stored in ((None, None), (9, 9), (None, 9), (4, 4), (None, 4)):
            await store.accounts.write(0, 1, 1, Changes(), None if given is None else checkpoint(given))
            assert (await store.accounts.take(0, 1)).checkpoint == (None if stored is None else checkpoint(stored))


async def the_last_write_may_be_repeated(backend: StoreForTest) -> None:
    """Its answer was lost: under the number that was carried out last nothing changes, whatever comes with it."""
    async with fresh(backend) as store:
        await store.accounts.take(0, 1)
        await _ask(store)
        await store.accounts.write(0, 1, 1, Changes(puts=[document("1", "one")]), checkpoint(1))
        again = Changes(puts=[document("1", "two")], facts=[fact("f")], answers={"r": "no"})
        await store.accounts.write(0, 1, 1, again, checkpoint(2))
        assert await _everything(store, ALICE) == {"1": b"one"}
        assert list(await store.history.facts(FactQuery(kinds=["filled"]))) == []
        assert await store.accounts.answer(0, "r") is None
        await store.accounts.write(0, 1, 2, Changes(deletes=[document("1").key]))
        assert await _everything(store, ALICE) == {}
        assert (await store.accounts.take(0, 1)).checkpoint == checkpoint(1)


async def a_gap_between_numbers_is_a_loss(backend: StoreForTest) -> None:
    """A number that skips one, or was passed already, fails and changes nothing; the right one goes on."""
    async with fresh(backend) as store:
        await store.accounts.take(0, 1)
        await _ask(store)
        bad = Changes(puts=[document("1", "bad")], facts=[fact("f")], answers={"r": "no"})
        await refused(StoreForgot, store.accounts.write(0, 1, 2, bad, checkpoint(9)))
        await store.accounts.write(0, 1, 1, Changes(puts=[document("1", "one")]))
        await refused(StoreForgot, store.accounts.write(0, 1, 3, bad, checkpoint(9)))
        await store.accounts.write(0, 1, 2, Changes(puts=[document("1", "two")]))
        await store.accounts.write(0, 1, 3, Changes(puts=[document("1", "three")]))
        for number in (1, 2, 5, 99):
            await refused(StoreForgot, store.accounts.write(0, 1, number, bad, checkpoint(9)))
        await store.accounts.write(0, 1, 4, Changes(puts=[document("2", "four")]))
        assert await _everything(store, ALICE) == {"1": b"three", "2": b"four"}
        assert list(await store.history.facts(FactQuery(kinds=["filled"]))) == []
        assert await store.accounts.answer(0, "r") is None
        assert (await store.accounts.take(0, 1)).checkpoint is None


async def each_shard_counts_for_itself(backend: StoreForTest) -> None:
    """Numbers and tokens of one shard say nothing about another."""
    async with fresh(backend) as store:
        await store.accounts.take(0, 7)
        await store.accounts.take(1, 1)
        await store.accounts.write(0, 7, 1, Changes(puts=[document("1", "a")]))
        await store.accounts.write(1, 1, 1, Changes(puts=[document("1", "b")]))
        await store.accounts.write(1, 1, 2, Changes(puts=[document("1", "c")]))
        await store.accounts.write(0, 7, 2, Changes(puts=[document("1", "d")]))
        assert await _everything(store, ALICE, 0, 7) == {"1": b"d"}
        assert await _everything(store, ALICE, 1, 1) == {"1": b"c"}


async def the_same_token_begins_to_count_anew(backend: StoreForTest) -> None:
    """Taken again with the same token, what is stored stays and the next write is number 1."""
    async with fresh(backend) as store:
        await store.accounts.take(0, 5)
        await store.accounts.write(0, 5, 1, Changes(puts=[document("1", "one", kind="order")]))
        await store.accounts.write(0, 5, 2, Changes(puts=[document("2", "two", kind="order")]))
        assert len((await store.accounts.take(0, 5)).documents) == 2
        await refused(StoreForgot, store.accounts.write(0, 5, 3, Changes(puts=[document("3")])))
        await refused(StoreForgot, store.accounts.write(0, 5, 2, Changes(puts=[document("3")])))
        await store.accounts.write(0, 5, 1, Changes(puts=[document("1", "anew", kind="order")]))
        assert await _everything(store, ALICE, token=5) == {"1": b"anew", "2": b"two"}


async def what_was_never_taken_is_not_written(backend: StoreForTest) -> None:
    """A write with a token that never took the shard fails: the store lost the taking, and perhaps more."""
    async with fresh(backend) as store:
        await refused(StoreForgot, store.accounts.write(0, 1, 1, Changes(puts=[document("1")], facts=[fact("f")])))
        await store.accounts.take(0, 3)
        await store.accounts.write(0, 3, 1, Changes(puts=[document("2")]))
        for number in (1, 2):
            await refused(StoreForgot, store.accounts.write(0, 4, number, Changes(puts=[document("1")])))
        assert await _everything(store, ALICE, token=3) == {"2": b"{}"}
        assert list(await store.history.facts(FactQuery(kinds=["filled"]))) == []


async def a_higher_token_fences_the_lower(backend: StoreForTest) -> None:
    """From the moment of the taking whoever was the owner can neither write, load, take nor see requests."""
    async with two_owners(backend) as (old, new):
        await old.accounts.take(0, 1)
        await _ask(old)
        await old.accounts.write(0, 1, 1, Changes(puts=[document("1", "mine", kind="order")]), checkpoint(5))
        taken = await new.accounts.take(0, 2)
        assert (taken.checkpoint, list(taken.documents)) == (checkpoint(5), [document("1", "mine", kind="order")])
        late = Changes(puts=[document("1", "late", kind="order")], facts=[fact("f")], answers={"r": "no"})
        for number in (1, 2, 3):
            await refused(LeaseLost, old.accounts.write(0, 1, number, late, checkpoint(6)))
        await refused(LeaseLost, old.accounts.load(0, 1, [ALICE]))
        await refused(LeaseLost, old.accounts.take(0, 1))
        await refused(LeaseLost, old.accounts.requests(0, 1))
        assert await _everything(new, ALICE, token=2) == {"1": b"mine"}
        assert list(await new.history.facts(FactQuery(kinds=["filled"]))) == []
        assert await new.accounts.answer(0, "r") is None
        await new.accounts.write(0, 2, 1, Changes(deletes=[document("1", kind="order").key]))
        again = await old.accounts.take(0, 3)
        assert (again.checkpoint, list(again.documents)) == (checkpoint(5), [])
        await refused(LeaseLost, new.accounts.write(0, 2, 2, Changes()))


async def a_request_is_answered_with_its_effect(backend: StoreForTest) -> None:
    """It is open until a write tells what came of it; asked again under its name nothing changes, before and after; answers stay."""
    first = Request(name="r1", kind="settle", body='{"order":"1"}', at=START)
    second = Request(name='r2 \U0001f980 "odd"', kind="mode", body="", at=START + 1)
    async with two_owners(backend) as (person, owner):
        await person.accounts.ask(0, first)
        await person.accounts.ask(0, second)
        await person.accounts.ask(0, Request(name="r1", kind="other", body="other", at=START + 9))
        await owner.accounts.take(0, 1)
        assert list(await owner.accounts.requests(0, 1)) == [first, second]
        assert [list(await owner.accounts.requests(0, 1)), await person.accounts.answer(0, "r1")] == [
            [first, second],
            None,
        ]
        await owner.accounts.take(1, 1)
        assert list(await owner.accounts.requests(1, 1)) == []
        await owner.accounts.write(0, 1, 1, Changes(puts=[document("1", "settled")], answers={"r1": "done \u2713"}))
        assert list(await owner.accounts.requests(0, 1)) == [second]
        await person.accounts.ask(0, first)
        assert list(await owner.accounts.requests(0, 1)) == [second]
        assert await person.accounts.answer(0, "r1") == "done \u2713"
        assert await person.accounts.answer(1, "r1") is None
        await owner.accounts.take(0, 2)
        assert list(await owner.accounts.requests(0, 2)) == [second]
        await owner.accounts.write(0, 2, 1, Changes(answers={second.name: ""}))
        await trio.sleep(3500)
        assert await person.accounts.answer(0, second.name) == ""


async def a_hundred_requests_are_shown(backend: StoreForTest) -> None:
    """Of many that are open the hundred oldest come first, and the others once those are answered."""
    asked = [Request(name=f"r{number}", kind="k", body=str(number), at=START + number) for number in range(130)]
    async with fresh(backend) as store:
        await store.accounts.take(0, 1)
        for request in asked:
            await store.accounts.ask(0, request)
        assert list(await store.accounts.requests(0, 1)) == asked[:100]
        await store.accounts.write(0, 1, 1, Changes(answers={request.name: "ok" for request in asked[:100]}))
        assert list(await store.accounts.requests(0, 1)) == asked[100:]


ACCOUNT_CHECKS: tuple[StoreCheck, ...] = (
    a_fresh_shard_is_empty,
    a_take_returns_heads_and_nothing_else,
    documents_come_back_byte_for_byte,
    puts_and_deletes_are_absolute,
    a_checkpoint_rides_along,
    the_last_write_may_be_repeated,
    a_gap_between_numbers_is_a_loss,
    each_shard_counts_for_itself,
    the_same_token_begins_to_count_anew,
    what_was_never_taken_is_not_written,
    a_higher_token_fences_the_lower,
    a_request_is_answered_with_its_effect,
    a_hundred_requests_are_shown,
)
