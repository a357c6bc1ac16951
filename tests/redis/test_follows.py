"""A book of follows is read in pages that a server makes of its own memory: each follow counts once all the same."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.redis.server import running_redis
from tests.redis.stores import new_prefix, open_redis
from trio_copy.errors import StoreError
from trio_copy.model.follows import Follow
from trio_copy.model.ids import Address, FollowerId
from trio_copy.testing.conformance.terms import ALICE, BOB, LEADER
from trio_copy_redis.follows import RedisFollows

_Page = Callable[[RedisFollows, bytes], Awaitable[Any]]
MANY = [Follow(follower=FollowerId(f"user-{number}"), leader=LEADER) for number in range(1200)]
"""More than a server keeps in a list, which it would tell in one page."""


async def test_a_page_may_tell_the_same_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the server's table shrinks, a scan comes past the same place again."""
    page: _Page = RedisFollows._page

    async def twice(self: RedisFollows, cursor: bytes) -> Any:
        cursor, flat = await page(self, cursor)
        return cursor, [*flat, *flat[:20]]

    with running_redis() as server:
        async with open_redis(server.url, new_prefix()) as store:
            version = await store.follows.put(MANY)
            monkeypatch.setattr(RedisFollows, "_page", twice)
            loaded, follows = await store.follows.load()
    assert (loaded, len(follows)) == (version, len(MANY))
    assert {follow.key for follow in follows} == {follow.key for follow in MANY}


async def test_a_follow_may_change_between_two_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that goes and one that comes leave their number as it was; the version is that of the beginning."""
    page: _Page = RedisFollows._page
    new = Follow(follower=BOB, leader=LEADER)

    with running_redis() as server:
        async with open_redis(server.url, new_prefix()) as store, open_redis(server.url, new_prefix()) as _:
            version = await store.follows.put([Follow(follower=ALICE, leader=LEADER)])

            async def meanwhile(self: RedisFollows, cursor: bytes) -> Any:
                cursor, flat = await page(self, cursor)
                await store.follows.put([new])
                return cursor, flat * 2

            monkeypatch.setattr(RedisFollows, "_page", meanwhile)
            loaded, follows = await store.follows.load()
            (change,) = await store.follows.wait_changes(version)
    assert (loaded, [follow.follower for follow in follows]) == (version, [ALICE])
    assert change.follow.key == new.key


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("alice", "1|command|{}"),
        (f"alice|{LEADER}", "one|command|{}"),
        (f"alice|{LEADER}", "1"),
        (f"alice|{LEADER}", '1|command|{"size.ratio": 1}'),
        (f"alice|{LEADER}", '1|command|{"no.such": "1"}'),
        (f"alice|{LEADER}", f"{2**70}|command|{{}}"),
    ],
)
async def test_what_is_no_follow_is_refused(name: str, record: str) -> None:
    """Somebody else's writing is named, and not guessed at."""
    with running_redis() as server:
        async with open_redis(server.url, new_prefix()) as store:
            follows = store.follows
            assert isinstance(follows, RedisFollows)
            await follows.put([Follow(follower=ALICE, leader=Address("0x" + "cc" * 20))])
            await follows.client.call(follows.keys.tag, "HSET", follows.keys("follows"), name, record)
            with pytest.raises(StoreError, match="expected stored follow"):
                await follows.load()


@pytest.mark.parametrize("since", [0, 200, 201, 1199])
async def test_changes_are_read_in_pages(since: int) -> None:
    """All of them in order, whether the last page is full or not."""
    with running_redis() as server:
        async with open_redis(server.url, new_prefix()) as store:
            await store.follows.put(MANY)
            changes = await store.follows.wait_changes(since)
    assert [change.version for change in changes] == list(range(since + 1, len(MANY) + 1))
    assert [change.follow.key for change in changes] == [follow.key for follow in MANY[since:]]
