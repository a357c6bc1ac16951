"""What every store promises about the follow book's truth."""

import trio
from attrs import evolve

from trio_copy.model.follows import Follow
from trio_copy.model.ids import Address, FollowerId
from trio_copy.model.layers import layer
from trio_copy.model.units import Ratio
from trio_copy.ports import FollowChange
from trio_copy.testing.conformance.terms import ALICE, BOB, LEADER, StoreCheck, StoreForTest, fresh, two_owners

_ALICES = Follow(follower=ALICE, leader=LEADER)
_BOBS = Follow(follower=BOB, leader=LEADER, own=layer({"size.ratio": Ratio.parse("0.25")}), source="file")


async def follows_change_by_versions(backend: StoreForTest) -> None:
    """Each change raises the version; equal settings, and removing what is not there, are no change."""
    async with two_owners(backend) as (one, other):
        first = await one.follows.put([_ALICES])
        assert first == await other.follows.put([_ALICES])
        changed = evolve(_ALICES, own=layer({"size.ratio": Ratio.parse("0.5")}))
        assert first + 1 == await other.follows.put([changed])
        version, follows = await one.follows.load()
        assert (first + 1, [changed.own]) == (version, [stored.own for stored in follows])
        assert first + 2 == await one.follows.put([evolve(changed, source="file")])
        assert first + 2 == await one.follows.remove([(FollowerId("nobody"), LEADER)])
        assert first + 3 == await one.follows.remove([_ALICES.key, (FollowerId("nobody"), LEADER)])
        assert first + 3 == await other.follows.remove([_ALICES.key])
        loaded, left = await other.follows.load()
        assert (loaded, list(left)) == (first + 3, [])
        assert first + 4 == await other.follows.put([changed])


async def follows_are_loaded_as_they_were_put(backend: StoreForTest) -> None:
    """Follower, leader, settings and source come back; the version is that of the follow's last change."""
    async with fresh(backend) as store:
        before, none = await store.follows.load()
        assert list(none) == []
        version = await store.follows.put([_ALICES, _BOBS])
        assert version == before + 2
        loaded, follows = await store.follows.load()
        assert loaded == version
        assert sorted(follows, key=lambda follow: follow.follower) == [
            evolve(_ALICES, version=before + 1),
            evolve(_BOBS, version=before + 2),
        ]


async def who_waits_hears_every_change(backend: StoreForTest) -> None:
    """Whoever waits wakes up and gets all that came since its version, in order; who is behind gets it at once."""
    async with two_owners(backend) as (one, other):
        version, _ = await one.follows.load()
        heard: list[FollowChange] = []

        async def listen() -> None:
            heard.extend(await one.follows.wait_changes(version))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await trio.sleep(1)
            assert heard == []
            await other.follows.put([_ALICES, _BOBS])
        assert [change.version for change in heard] == [version + 1, version + 2]
        assert [(change.follow.key, change.removed) for change in heard] == [(_ALICES.key, False), (_BOBS.key, False)]
        assert heard[1].follow == evolve(_BOBS, version=version + 2)
        await other.follows.remove([_ALICES.key])
        later = await one.follows.wait_changes(version + 2)
        assert [(change.version, change.follow.key, change.removed) for change in later] == [
            (version + 3, _ALICES.key, True)
        ]
        # Of what changed twice the last change is enough, and it comes in its order.
        assert [change.follow.key for change in await other.follows.wait_changes(version)][-2:] == [
            _BOBS.key,
            _ALICES.key,
        ]


async def a_large_book_is_kept(backend: StoreForTest) -> None:
    """Thousands of follows are put at once, loaded, and removed at once."""
    leaders = [Address(f"0x{number:040x}") for number in range(2000)]
    async with fresh(backend) as store:
        version = await store.follows.put([Follow(follower=ALICE, leader=leader) for leader in leaders])
        loaded, follows = await store.follows.load()
        assert (loaded, {follow.leader for follow in follows}) == (version, set(leaders))
        assert await store.follows.remove([follow.key for follow in follows]) == version + len(leaders)
        assert list((await store.follows.load())[1]) == []
        changes = await store.follows.wait_changes(version)
        assert {change.removed for change in changes} == {True}


FOLLOW_CHECKS: tuple[StoreCheck, ...] = (
    follows_change_by_versions,
    follows_are_loaded_as_they_were_put,
    who_waits_hears_every_change,
    a_large_book_is_kept,
)
