"""One connection: replies stay in step whatever is cancelled, overdue ones end it, and errors keep their names."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from attrs import define
from redis.exceptions import NoPermissionError, OutOfMemoryError, ReadOnlyError, ResponseError

from tests.redis.server import RedisServer, running_redis
from trio_copy.errors import StoreError, StoreUnavailable
from trio_copy.sockets import open_socket
from trio_copy_redis.address import read_place
from trio_copy_redis.answers import Broken, answer_error
from trio_copy_redis.client import Client, open_client
from trio_copy_redis.scripts import load_script

TAG = "{test:wire}"
SCRIPT = load_script("follow_changes")
KEYS = (f"{TAG}:version", f"{TAG}:log")


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_redis("--requirepass", "secret") as one:
        yield one


@asynccontextmanager
async def connected(
    url: str, *, timeout_s: float = 2.0, patience_s: float = 5.0, trouble: list[str] | None = None
) -> AsyncGenerator[Client, None]:
    heard = [] if trouble is None else trouble
    async with open_client(
        read_place(url),
        timeout_s=timeout_s,
        patience_s=patience_s,
        open_socket=open_socket,
        on_trouble=lambda kind, detail: heard.append(f"{kind}: {detail}"),
        client_name="test",
    ) as client:
        yield client


async def in_step(client: Client) -> None:
    """Every caller gets the answer to its own question."""

    async def ask(number: int) -> None:
        assert await client.call(TAG, "ECHO", f"token-{number}") == f"token-{number}"

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(ask, number)


@define(eq=False)
class CancelAtStep(trio.abc.Instrument):
    """Cancels a scope right before the n-th step of a task."""

    step: int
    scope: trio.CancelScope
    task: trio.lowlevel.Task | None = None
    steps: int = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self.task:
            self.steps += 1
            if self.steps == self.step:
                self.scope.cancel()


async def test_cancellation_at_every_await_leaves_the_client_in_step(server: RedisServer) -> None:
    """Connecting, authenticating, a script that is not known yet, calls that share a trip: cancelled at each step."""
    cancelled = 0
    for step in range(1, 200):
        async with connected(f"redis://:secret@127.0.0.1:{server.port}/3") as client:

            async def use(client: Client = client) -> None:
                server.ask("AUTH", "secret")
                for _ in range(2):
                    await client.run(SCRIPT, TAG, KEYS, "0")
                    await client.call(TAG, "ECHO", "mine")

            with trio.CancelScope() as scope:
                instrument = CancelAtStep(step, scope)
                instrument.task = trio.lowlevel.current_task()
                trio.lowlevel.add_instrument(instrument)
                try:
                    await use()
                finally:
                    trio.lowlevel.remove_instrument(instrument)
            await in_step(client)
            if not scope.cancelled_caught:
                break
            cancelled += 1
    else:
        raise AssertionError("it never came to its end")
    assert cancelled >= 8


async def test_random_cancellations_mix_nothing_up(server: RedisServer) -> None:
    """A hundred callers, each given up at some random moment: whoever still waits hears what is his."""
    async with connected(f"redis://:secret@127.0.0.1:{server.port}") as client:

        async def ask(number: int) -> None:
            for round_ in range(20):
                with trio.move_on_after(((number * 7 + round_ * 13) % 20) / 10_000):
                    token = f"{number}-{round_}"
                    assert await client.call(TAG, "ECHO", token) == token

        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(ask, number)
        await in_step(client)
        assert len(client.connections.wires) == 1


async def test_an_overdue_answer_ends_the_connection(server: RedisServer) -> None:
    """A server that hangs is given up after timeout_s, everybody is told, and a new connection is used when it is back."""
    trouble: list[str] = []
    url = f"redis://:secret@127.0.0.1:{server.port}"
    async with connected(url, timeout_s=0.2, patience_s=10, trouble=trouble) as client:
        await in_step(client)
        server.pause()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(in_step, client)
                await trio.sleep(0.6)
                assert client.waiting_s > 0
                server.resume()
        finally:
            server.resume()
        await in_step(client)
    assert [line.split(":")[0] for line in trouble] == ["store-waiting", "store-back"]


async def test_what_never_comes_back_is_unavailable(server: RedisServer) -> None:
    """After patience_s a call fails, with one line that says why."""
    async with connected(f"redis://:secret@127.0.0.1:{server.port}", timeout_s=0.1, patience_s=0.3) as client:
        await in_step(client)
        server.pause()
        try:
            with pytest.raises(StoreUnavailable, match=r"did not come back within 0\.3 s"):
                await client.call(TAG, "ECHO", "x")
        finally:
            server.resume()


async def test_forgotten_scripts_are_sent_again(server: RedisServer) -> None:
    """NOSCRIPT is no error of anybody's: the script goes along with the call."""
    async with connected(f"redis://:secret@127.0.0.1:{server.port}") as client:
        await client.run(SCRIPT, TAG, KEYS, "0")
        await client.call(TAG, "SCRIPT", "FLUSH")
        assert await client.run(SCRIPT, TAG, KEYS, "0") == [0, [], 1]


async def test_each_call_has_its_reply_as_it_wants_it(server: RedisServer) -> None:
    """Bytes come back as they are, text as text, in whatever order they are asked for and in however many pieces they come."""
    body = bytes(range(256)) * 2000
    async with connected(f"redis://:secret@127.0.0.1:{server.port}") as client:
        await client.call(TAG, "SET", f"{TAG}:body", body)
        await client.call(TAG, "SET", f"{TAG}:text", "\u2713")

        async def ask(number: int) -> None:
            if number % 2:
                assert await client.call(TAG, "GET", f"{TAG}:body", raw=True) == body
            else:
                assert await client.call(TAG, "GET", f"{TAG}:text") == "\u2713"

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(ask, number)


async def test_one_of_many_calls_fails(server: RedisServer) -> None:
    """Calls that are made together fail as one alone would: with the error itself, the others given up."""
    async with connected(f"redis://:secret@127.0.0.1:{server.port}") as client:
        await client.call(TAG, "SET", f"{TAG}:text", "no list")
        calls = [partial(client.call, TAG, command, f"{TAG}:text") for command in ("GET", "LLEN", "GET", "LLEN")]
        with pytest.raises(StoreError, match="WRONGTYPE"):
            await client.all(calls)
        await in_step(client)


async def test_garbage_ends_the_connection_and_nothing_else() -> None:
    """What is no Redis is named as such, and asked again until patience is at its end."""

    async def babble(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await stream.receive_some()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, babble, 0)
        port = listeners[0].socket.getsockname()[1]
        async with connected(f"redis://127.0.0.1:{port}", patience_s=0.1) as client:
            with pytest.raises(StoreUnavailable, match="not a Redis server"):
                await client.call(TAG, "ECHO", "x")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", OutOfMemoryError),
        ("READONLY You can't write against a read only replica.", ReadOnlyError),
        ("NOPERM this user has no permissions", NoPermissionError),
        ("ERR something else", ResponseError),
        ("-OOM command not allowed, script: abc, on @user_script:12.", OutOfMemoryError),
        (
            "ERR Error running script (call to f_7): @user_script:44: @user_script: 44: -OOM command not allowed",
            OutOfMemoryError,
        ),
    ],
)
def test_errors_keep_their_names(text: str, kind: type[Exception]) -> None:
    """An error reply becomes the exception of its name, also when a script met it."""
    assert type(answer_error(text)) is kind


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "redis+what://h",
        "unix+cluster:///x",
        "redis+sentinel://h:1",
        "redis+cluster://h/3",
        "redis+cluster://h/three",
        "redis://h?ssl=1",
        "redis://h/three",
        "redis://h/1/2",
        "redis://h/-1",
        "redis://h?db=-1",
        "redis://h?db=",
        "redis://h?db=1_0",
        "unix:///r.sock?db=three",
        "redis://h/1?db=2",
        "redis://h?db=1&db=2",
        "redis+sentinel://h:1/primary/x",
    ],
)
def test_urls_that_lead_nowhere_are_refused(url: str) -> None:
    """A wrong URL is one line that does not repeat it, for it may hold a password."""
    with pytest.raises(ValueError, match="expected redis://") as error:
        read_place(url.replace("://", "://user:secret@"))
    assert "secret" not in str(error.value)


async def test_a_call_on_a_broken_wire_says_so(server: RedisServer) -> None:
    """Nobody waits for an answer that cannot come."""
    async with connected(f"redis://:secret@127.0.0.1:{server.port}") as client:
        await in_step(client)
        (wire,) = client.connections.wires.values()
        wire.close()
        with pytest.raises(Broken, match="closed"):
            await wire.call("PING")
        await in_step(client)
