"""Opening the store: what is not safe, or not ours, or not allowed, is refused in one line that says what to do."""

import ssl
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.redis.server import RedisServer, free_port, redis_server, running_cluster, running_redis
from tests.redis.stores import new_prefix, open_redis
from trio_copy.errors import StoreUnavailable, TrioCopyError
from trio_copy.ports import Changes, Store
from trio_copy.testing.conformance.terms import document
from trio_copy_redis.promises import findings_of, judge


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_redis() as one:
        yield one


async def write(store: Store, number: int) -> None:
    """Write something into some shard, as its new owner."""
    shard = number % 4
    await store.accounts.take(shard, number)
    await store.accounts.write(shard, number, 1, Changes(puts=[document(f"{number}", kind="order")]))


async def refused(url: str, **context: Any) -> str:
    """Open a store that must not open, and return what it says."""
    prefix, settings = context.pop("prefix", None) or new_prefix(), context.pop("settings", {})
    try:
        async with open_redis(url, prefix, {"timeout_s": 1.0, "patience_s": 1.0, **settings}, **context):
            raise AssertionError("expected a refusal")
    except* TrioCopyError as group:
        (error,) = group.exceptions
        while isinstance(error, BaseExceptionGroup):
            (error,) = error.exceptions
        said = str(error)
    return said


async def test_a_password_that_nobody_asked_for(server: RedisServer) -> None:
    """A password for a Redis whose default user has none: one clear line, not a storm of warnings."""
    said = await refused(f"redis://:secret@127.0.0.1:{server.port}")
    assert "the URL gives a password, but this Redis has none" in said
    assert "\n" not in said
    assert "secret" not in said


async def test_missing_and_wrong_passwords() -> None:
    """Which of the two it is, is said."""
    with running_redis("--requirepass", "right") as server:
        assert "expected a password, the URL gives none" in await refused(server.url)
        assert "user name or password is wrong" in await refused(f"redis://:wrong@127.0.0.1:{server.port}")


async def test_nobody_there() -> None:
    """A start without Redis fails at once."""
    assert "Redis does not answer" in await refused(f"redis://127.0.0.1:{free_port()}")


async def test_money_is_not_trusted_to_a_forgetful_redis(server: RedisServer) -> None:
    """Live modes refuse a Redis that evicts or keeps nothing, and say which setting to change; paper only says so."""
    server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        said = await refused(server.url, live=True)
        assert "set maxmemory-policy noeviction" in said
        assert "set appendonly yes" in said
        heard: list[str] = []
        async with open_redis(server.url, new_prefix(), on_trouble=lambda kind, detail: heard.append(kind)):
            assert heard == ["store-unsafe", "store-unsafe"]
    finally:
        server.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")


async def test_a_safe_redis_may_hold_money() -> None:
    """noeviction and an append-only file are enough."""
    with running_redis(durable=True) as server:
        async with open_redis(server.url, new_prefix(), live=True) as store:
            await write(store, 1)


async def test_a_managed_redis_without_config_may_hold_money() -> None:
    """INFO tells what CONFIG cannot be asked; how often the file is synced is said once, unless somebody vouches."""
    heard: list[str] = []
    with running_redis("--rename-command", "CONFIG", "", durable=True) as server:
        for settings in ({}, {"trust": "appendonly"}):
            async with open_redis(
                server.url, new_prefix(), settings, live=True, on_trouble=lambda kind, detail: heard.append(detail)
            ) as store:
                await write(store, 1)
    (doubt,) = heard
    assert "appendfsync no would forget what was sent" in doubt
    assert 'store.redis.trust = "appendonly"' in doubt


async def test_a_managed_redis_that_forgets_is_refused() -> None:
    """Without CONFIG a server that keeps nothing is refused all the same, and nobody's word changes what it says."""
    with running_redis("--rename-command", "CONFIG", "", "--maxmemory-policy", "allkeys-lru") as server:
        said = await refused(server.url, live=True)
        assert "maxmemory-policy is allkeys-lru" in said
        assert "appendonly is no" in said
        for live in (True, False):
            said = await refused(server.url, live=live, settings={"trust": "appendonly"})
            assert "store.redis.trust: 127.0.0.1" in said
            assert "was vouched for, but appendonly is no" in said


SAFE = {"maxmemory-policy": "noeviction", "appendfsync": "everysec"}
TOLD = {"maxmemory_policy": "noeviction", "aof_enabled": "1", "loading": "0", "maxmemory": "1000"}


@pytest.mark.parametrize(
    ("config", "info", "trust", "problems", "doubts", "lies"),
    [
        (SAFE, TOLD, "", [], [], []),
        (SAFE, TOLD, "appendonly", [], [], []),
        ({}, TOLD, "", [], ["appendfsync"], []),
        ({}, TOLD, "appendonly", [], [], []),
        # INFO is silent: somebody has to vouch for exactly that.
        ({}, {}, "", ["tells maxmemory-policy and appendonly:"], [], []),
        ({}, {}, "appendonly", [], [], []),
        ({}, {"aof_enabled": "1"}, "", ["tells maxmemory-policy:"], [], []),
        ({}, {"maxmemory_policy": "noeviction"}, "", ["tells appendonly:"], [], []),
        (SAFE, {}, "", ["tells appendonly:"], [], []),
        (SAFE, {"aof_enabled": "yes"}, "", ["tells appendonly:"], [], []),
        # A server without a limit evicts nothing, and one that loads has its file switched off for the time.
        ({}, {"maxmemory": "0", "aof_enabled": "1"}, "", [], ["appendfsync"], []),
        ({}, {**TOLD, "aof_enabled": "0", "loading": "1"}, "", ["tells appendonly:"], [], []),
        # What is told counts more than any word.
        ({}, {**TOLD, "aof_enabled": "0"}, "", ["appendonly is no"], [], []),
        ({}, {**TOLD, "aof_enabled": "0"}, "appendonly", ["appendonly is no"], [], ["appendonly is no"]),
        ({"appendfsync": "no"}, TOLD, "appendonly", ["appendfsync is no"], [], ["appendfsync is no"]),
        ({"appendfsync": "no"}, TOLD, "", ["appendfsync is no"], [], []),
        ({}, {**TOLD, "maxmemory_policy": "volatile-ttl"}, "appendonly", ["volatile-ttl"], [], ["volatile-ttl"]),
    ],
)
def test_what_a_server_tells_and_what_somebody_vouches_for(
    config: dict[str, str], info: dict[str, str], trust: str, problems: list[str], doubts: list[str], lies: list[str]
) -> None:
    """Every mixture of CONFIG, INFO and the operator's word has one verdict."""
    verdict = judge(findings_of(config, info), trust)
    for expected, got in ((problems, verdict.problems), (doubts, verdict.doubts), (lies, verdict.lies)):
        assert len(expected) == len(got), got
        assert all(words in line for words, line in zip(expected, got, strict=True)), got


async def test_the_number_of_shards_stays(server: RedisServer) -> None:
    """Accounts are kept by shard: another count on the same data is refused."""
    prefix = new_prefix()
    async with open_redis(server.url, prefix, shards=4):
        pass
    assert "shards.count: expected 4" in await refused(server.url, prefix=prefix, shards=8)


async def test_a_user_with_few_rights() -> None:
    """An ACL user needs its own keys, scripts and little else."""
    with running_redis() as server:
        rights = "on >pw ~{copy:* resetchannels &copy:* +@all -@dangerous +info +config|get +cluster|slots +client"
        server.ask("ACL", "SETUSER", "copier", *rights.split())
        async with open_redis(f"redis://copier:pw@127.0.0.1:{server.port}", "copy") as store:
            await write(store, 1)
        assert "may not do" in await refused(f"redis://copier:pw@127.0.0.1:{server.port}", prefix="other")


async def test_tls(tmp_path: Path) -> None:
    """Over TLS with a certificate that is checked; one of another authority is refused."""
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    await trio.run_process([*new, "-keyout", str(key), "-out", str(cert), *subject], capture_stderr=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)

    with running_redis() as server:

        async def unwrap(stream: trio.SSLStream[trio.SocketStream]) -> None:
            # Not every build of redis-server has TLS: this end of it is ours, the bytes inside are Redis' own.
            with suppress(trio.BrokenResourceError):
                async with (
                    stream,
                    await trio.open_tcp_stream("127.0.0.1", server.port) as plain,
                    trio.open_nursery() as both,
                ):
                    both.start_soon(pump, plain, stream)
                    await pump(stream, plain)
                    both.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            (listener,) = await nursery.start(partial(trio.serve_ssl_over_tcp, unwrap, 0, context, host="127.0.0.1"))
            port = listener.transport_listener.socket.getsockname()[1]
            async with open_redis(f"rediss://127.0.0.1:{port}?ssl_ca_certs={cert}", new_prefix()) as store:
                await write(store, 1)
            assert "certificate of an authority that is not trusted here" in await refused(f"rediss://127.0.0.1:{port}")
            nursery.cancel_scope.cancel()


async def pump(source: trio.abc.ReceiveStream, target: trio.abc.SendStream) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # whoever hangs up ends both
        while data := await source.receive_some(65_536):
            await target.send_all(data)


async def test_a_cluster_is_named_as_one() -> None:
    """A URL for one server that leads into a cluster, and the other way round, says which it should be."""
    with running_cluster() as nodes:
        assert "say redis+cluster://" in await refused(nodes[0].url)
        others = ",".join(f"127.0.0.1:{node.port}" for node in nodes[1:])
        async with open_redis(f"redis+cluster://127.0.0.1:{free_port()},{others}", new_prefix()) as store:
            for number in range(1, 13):
                await write(store, number)
            assert len(await store.history.documents("order")) == 12
    with running_redis() as server:
        assert "is no cluster" in await refused(f"redis+cluster://127.0.0.1:{server.port}")


async def test_sentinel(tmp_path: Path) -> None:
    """The primary is found by its name; after a failover the new one is, and the store says that it changed."""
    with running_redis() as primary, running_redis("--replicaof", "127.0.0.1", str(primary.port)) as replica:
        await replicated(replica)
        port, conf = free_port(), tmp_path / "sentinel.conf"
        conf.write_text(
            f"port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {primary.port} 1\n"
            "sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 2000\n"
        )
        words = [redis_server(), str(conf), "--sentinel"]
        sentinel = subprocess.Popen(  # noqa: ASYNC220
            words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        heard: list[str] = []
        try:
            await _wait_for_sentinel(port)
            async with open_redis(
                f"redis+sentinel://127.0.0.1:{port}/main",
                new_prefix(),
                {"timeout_s": 0.5, "patience_s": 30.0},
                on_trouble=lambda kind, detail: heard.append(kind),
            ) as store:
                await write(store, 1)
                await replicated(replica)
                primary.kill()
                await write(store, 2)
                assert "role:master" in replica.ask("INFO", "replication")
        finally:
            sentinel.kill()
            sentinel.wait()
        assert {"store-waiting", "store-changed", "store-back"} <= set(heard)


async def replicated(replica: RedisServer) -> None:
    """Wait until a replica has what its primary has."""
    with trio.fail_after(15):
        while True:
            await trio.sleep(0.05)
            if "master_link_status:up" in replica.ask("INFO", "replication"):
                return


async def _wait_for_sentinel(port: int) -> None:
    probe = RedisServer(Path(), port=port)
    with trio.fail_after(15):
        while True:
            try:
                info = probe.ask("INFO", "sentinel")
                if "slaves=1" in str(info):
                    return
            except OSError:
                pass
            await trio.sleep(0.1)


async def test_unavailable_later_is_one_line(server: RedisServer) -> None:
    """A Redis that goes away for good ends in StoreUnavailable, whatever was being done."""
    with running_redis() as mortal:
        async with open_redis(mortal.url, new_prefix(), {"timeout_s": 0.2, "patience_s": 0.4}) as store:
            await write(store, 1)
            mortal.kill()
            with pytest.raises(StoreUnavailable, match=r"did not come back within 0\.4 s"):
                await write(store, 2)
