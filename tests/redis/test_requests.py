"""What people ask for, as it lies in Redis: one request that cannot be read keeps nobody from hearing the others."""

from tests.redis.server import running_redis
from tests.redis.stores import new_prefix, open_redis
from tests.written import carry_out
from trio_copy.engine.people.requests import REFUSED, follower_of
from trio_copy.ports import Changes, Request


async def test_a_request_that_cannot_be_read_is_refused_and_gone() -> None:
    """As an error it would end its owner, and then whoever owns the shard next."""
    prefix, good = new_prefix(), Request(name="b", kind="mode", body='[1, "alice"]', at=2.0)
    with running_redis() as server:
        async with open_redis(server.url, prefix) as store:
            lease = await store.control.acquire("shard-0", "me", 1000)
            assert lease is not None
            await store.accounts.take(0, lease.token)
            await store.accounts.ask(0, good)
            (key,) = [key for key in server.ask("KEYS", f"*{prefix}*") if str(key).endswith(":requests")]
            server.ask("HSET", key, "a", "no request")
            asked = str(key).replace(":requests", ":asked")
            server.ask("ZADD", asked, 1, "a")
            # What has no name in UTF-8 could not be answered, and nobody waits for it.
            nameless = r"redis.call('HSET', KEYS[1], '\255', 'no name'); return redis.call('ZADD', KEYS[2], 0, '\255')"
            assert server.ask("EVAL", nameless, 2, key, asked) == 1
            bad, other = await store.accounts.requests(0, lease.token)
            assert other == good
            answer = carry_out(bad, None, 0.0)
            assert answer == f"{REFUSED}expected a request about a follower, got no request"
            assert follower_of(bad) is None
            await store.accounts.write(0, lease.token, 1, Changes(answers={bad.name: answer}))
            assert await store.accounts.requests(0, lease.token) == [good]
            assert await store.accounts.answer(0, "a") == answer
