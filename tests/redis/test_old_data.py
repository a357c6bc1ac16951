"""Data that an earlier version left under the same prefix: refused in one line, untouched, and there to be exported."""

import json
from collections.abc import Iterator

import pytest

from tests.redis.server import RedisServer, running_redis
from tests.redis.stores import new_prefix
from tests.redis.test_open import refused
from trio_copy.errors import ConfigError
from trio_copy_redis import RedisSettings
from trio_copy_redis.old_books import export_old

ALICE, BOB = "alice", "bob"
LEADER = "0x" + "1e" * 20


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_redis() as one:
        yield one


def leave_old_data(server: RedisServer, prefix: str) -> None:
    """Write what the earlier version wrote: how many shards, two follows, their modes, and a ledger of two followers."""
    common = f"{{{prefix}:common}}"
    server.ask("HSET", f"{common}:shape", "shards", 4)
    server.ask("HSET", f"{common}:follows", f"{BOB}|{LEADER}", '2|command|{"size.ratio":"0.5"}')
    server.ask("HSET", f"{common}:follows", f"{ALICE}|{LEADER}", "1|file|{}")
    for scope, mode in (("engine", "halt-new"), (f"follower:{ALICE}", "reduce-only"), (f"follower:{BOB}", "run")):
        server.ask("HSET", f"{common}:modes", scope, json.dumps({"mode": mode, "why": "a word", "at": 1.5}))
    server.ask("SADD", f"{common}:followers", ALICE, BOB)
    for at, (follower, key) in enumerate([(ALICE, "a"), (BOB, "b"), (ALICE, "c"), (ALICE, "d")]):
        tag = f"{{{prefix}:follower:{follower}}}"
        server.ask("HSET", f"{tag}:entry:{key}", "rec", json.dumps({"key": key, "shares": "10"}), "booking", "{}")
        server.ask("XADD", f"{tag}:ledger", "*", "k", key, "at", f"{1.7e9 + at!r}")


def exported(url: str, prefix: str) -> list[dict[str, dict[str, object]]]:
    lines: list[str] = []
    export_old(RedisSettings(url=url, prefix=prefix), lines.append)
    return [json.loads(line) for line in lines]


EXPORTED = [
    {"follow": {"follower": ALICE, "leader": LEADER, "own": {}, "source": "file"}},
    {"follow": {"follower": BOB, "leader": LEADER, "own": {"size.ratio": "0.5"}, "source": "command"}},
    {"mode": {"scope": "engine", "mode": "halt-new", "why": "a word", "at": 1.5}},
    {"mode": {"scope": f"follower:{ALICE}", "mode": "reduce-only", "why": "a word", "at": 1.5}},
    *({"entry": {"key": key, "shares": "10"}} for key in "abcd"),
]


async def test_old_data_are_refused(server: RedisServer) -> None:
    """Neither an engine nor a guest opens them, the line says the way out, and nothing was changed."""
    prefix = new_prefix()
    leave_old_data(server, prefix)
    before = sorted(server.ask("KEYS", f"{{{prefix}:*"))
    for guest in (False, True):
        said = await refused(server.url, prefix=prefix, guest=guest)
        assert f'"{prefix}" holds data of an earlier one' in said
        assert said.endswith("export its follows and ledger first, then use another store.redis.prefix")
        assert "\n" not in said
    assert sorted(server.ask("KEYS", f"{{{prefix}:*")) == before


def test_old_books_are_exported(server: RedisServer) -> None:
    """Follows by their age, modes that halt, then bookings by their age, as they were stored; nothing was changed."""
    prefix = new_prefix()
    leave_old_data(server, prefix)
    before = sorted(server.ask("KEYS", f"{{{prefix}:*"))
    assert exported(server.url, prefix) == EXPORTED
    assert sorted(server.ask("KEYS", f"{{{prefix}:*")) == before


def test_there_is_nothing_to_export(server: RedisServer) -> None:
    """Where no earlier version wrote, that is said."""
    with pytest.raises(ConfigError, match="expected data of an earlier version"):
        exported(server.url, new_prefix())


async def test_data_of_a_later_version_are_refused(server: RedisServer) -> None:
    """What is laid out in a way that is not known yet is not touched."""
    prefix = new_prefix()
    server.ask("HSET", f"{{{prefix}:common}}:layout", "layout", "3", "shards", "4")
    assert "of a later one: it needs a newer trio-copy" in await refused(server.url, prefix=prefix)
