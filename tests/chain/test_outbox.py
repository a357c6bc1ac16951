"""Requests leave together, and none of them after its asker has given it up. Virtual time, and a socket that may stall."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, field

from tests.chain.peers import Meeting, Peer, meet
from trio_copy.chain.session import Session
from trio_copy.errors import ConnectionLost, NoAnswer

Clock = trio.testing.MockClock
Answer = Callable[[Peer, dict[str, Any]], Awaitable[None]]


@define(eq=False)
class Socket(trio.abc.Stream):
    """Our end of a connection: it counts the writes, and ends none of them while it stalls."""

    inner: trio.abc.Stream
    moves: trio.Event = field(factory=trio.Event)
    writes: int = 0
    written: Callable[[], None] = lambda: None
    """Called at the end of a write, before anybody else runs."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.writes += 1
        await self.moves.wait()
        await self.inner.send_all(data)
        self.written()

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self.inner.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self.inner.aclose()


async def answer(peer: Peer, request: dict[str, Any]) -> None:
    await peer.reply(request, request["method"])


@asynccontextmanager
async def stalling(answer: Answer = answer) -> AsyncGenerator[tuple[Meeting, Socket], None]:
    """Open a session whose socket is about to write, and stalls until it `moves`."""
    sockets: list[Socket] = []

    def end(ours: trio.abc.Stream) -> trio.abc.Stream:
        sockets.append(Socket(ours))
        sockets[0].moves.set()
        return sockets[0]

    async with meet(answer, end) as meeting:
        sockets[0].moves, sockets[0].writes = trio.Event(), 0
        yield meeting, sockets[0]


async def test_what_is_asked_at_once_leaves_with_one_write(clock: Clock) -> None:
    """And what is asked while that one is under way, with the next."""
    async with stalling() as (meeting, socket), trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(meeting.session.request, f"first-{number}")
        await trio.testing.wait_all_tasks_blocked()
        for number in range(20):
            nursery.start_soon(meeting.session.request, f"second-{number}")
        await trio.testing.wait_all_tasks_blocked()
        assert socket.writes == 1
        socket.moves.set()
        await trio.testing.wait_all_tasks_blocked()
        assert socket.writes == 2
    methods = [request["method"] for request in meeting.peer.requests]
    assert {method.split("-")[0] for method in methods[:20]} == {"first"}
    assert len(set(methods)) == len(methods) == 40


async def test_what_is_given_up_before_it_leaves_never_leaves(clock: Clock) -> None:
    """An order that goes out after its time would be one that nobody waits for. The connection is as good as before."""
    async with stalling() as (meeting, socket), trio.open_nursery() as nursery:
        nursery.start_soon(meeting.session.request, "first")
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(1) as waited:
            await meeting.session.request("late")
        assert waited.cancelled_caught
        socket.moves.set()
        assert bytes(await meeting.session.request("next")) == b'"next"'
    assert [request["method"] for request in meeting.peer.requests] == ["first", "next"]


async def test_what_has_had_its_time_never_leaves(clock: Clock) -> None:
    """Each request has its own, and of what goes out in that very moment nothing of a late one does."""
    async with stalling() as (meeting, socket), trio.open_nursery() as nursery:
        began, ends = trio.current_time(), dict[str, float]()

        async def ask(method: str, until_s: float) -> None:
            with pytest.raises(NoAnswer):
                await meeting.session.request(method, until=began + until_s)
            ends[method] = trio.current_time() - began

        nursery.start_soon(meeting.session.request, "first")
        await trio.testing.wait_all_tasks_blocked()
        for method, until_s in (("late", 3.0), ("later", 5.0), ("soon", 1.0), ("now", 0.0)):
            nursery.start_soon(ask, method, until_s)
        await trio.sleep(5)
        socket.moves.set()
        assert bytes(await meeting.session.request("next")) == b'"next"'
    assert ends == {"now": 0, "soon": 1, "late": 3, "later": 5}
    assert [request["method"] for request in meeting.peer.requests] == ["first", "next"]


async def test_a_cancellation_and_a_write_in_one_moment_let_nothing_leave(clock: Clock) -> None:
    """Whoever is cancelled runs later than whoever writes: it counts from the cancellation on, not from when it has run."""
    async with stalling() as (meeting, socket), trio.open_nursery() as nursery:
        nursery.start_soon(meeting.session.request, "first")
        await trio.testing.wait_all_tasks_blocked()
        scope = trio.CancelScope()
        socket.written = scope.cancel

        async def give_up_late() -> None:
            with scope:
                await meeting.session.request("late")

        nursery.start_soon(give_up_late)
        await trio.testing.wait_all_tasks_blocked()
        socket.moves.set()
    assert [request["method"] for request in meeting.peer.requests] == ["first"]


async def test_what_is_given_up_half_way_ends_the_connection(clock: Clock) -> None:
    """Half of a frame may be out: what follows would be read as the rest of it."""
    errors: list[str] = []

    async def ask(session: Session) -> None:
        try:
            await session.request("other")
        except ConnectionLost as error:
            errors.append(str(error))

    async def give_up() -> None:
        async with stalling() as (meeting, _), trio.open_nursery() as nursery:
            nursery.start_soon(ask, meeting.session)
            with trio.move_on_after(1):
                await meeting.session.request("given up")
            await trio.sleep(60)

    with pytest.raises(ConnectionLost, match="cut off"):
        await give_up()
    assert len(errors) == 1
    assert "cut off" in errors[0]


async def test_what_is_given_up_while_the_write_waits_for_its_turn_holds_nobody_up(clock: Clock) -> None:
    """A ping is being written: nothing of the requests behind it has left, and the others go without the one."""
    async with stalling() as (meeting, socket), trio.open_nursery() as nursery:
        await trio.sleep(meeting.session._settings.ping_every_s + 0.1)
        assert socket.writes == 1
        said = list[bytes]()

        async def ask() -> None:
            said.append(bytes(await meeting.session.request("other")))

        nursery.start_soon(ask)
        with trio.move_on_after(1) as waited:
            await meeting.session.request("given up")
        assert waited.cancelled_caught
        socket.moves.set()
        await trio.testing.wait_all_tasks_blocked()
        assert said == [b'"other"']
        assert bytes(await meeting.session.request("next")) == b'"next"'
    assert [request["method"] for request in meeting.peer.requests] == ["other", "next"]


async def test_an_answer_that_does_not_come_leaves_the_connection_alone(clock: Clock) -> None:
    """What has left whole may be given up."""

    async def mute(peer: Peer, request: dict[str, Any]) -> None:
        if request["method"] != "mute":
            await peer.reply(request, True)

    async with meet(mute, request_timeout_s=3.0) as meeting:
        with pytest.raises(NoAnswer, match="mute got no answer in 3 s"):
            await meeting.session.request("mute")
        assert bytes(await meeting.session.request("next")) == b"true"


async def test_long_requests_leave_one_by_one(clock: Clock) -> None:
    """A write that fills the kernel's buffer takes its time, and whoever gives up meanwhile would cut off all that is in it."""
    async with stalling() as (meeting, socket):
        socket.moves.set()
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(meeting.session.request, "long", "x" * 10_000)
        assert socket.writes == 3


async def test_after_the_end_nothing_is_asked(clock: Clock) -> None:
    """Whoever still holds the session is told so, and does not wait."""
    async with meet(answer) as meeting:
        pass
    with pytest.raises(ConnectionLost, match="ended"):
        await meeting.session.request("eth_chainId")


async def test_a_request_in_the_middle_of_the_end_does_not_hide_why(clock: Clock) -> None:
    """What has to be done about it stands in the node's words only. Whoever asks meanwhile hears that it has ended."""
    errors: list[str] = []

    async def end(peer: Peer, request: dict[str, Any]) -> None:
        await peer.ws.aclose(1008, "your plan is used up")

    async def ask_in_between() -> None:
        async with stalling(end) as (meeting, socket), trio.open_nursery() as nursery:

            async def ask(method: str) -> None:
                try:
                    await meeting.session.request(method)
                except ConnectionLost as error:
                    errors.append(str(error))

            def stall() -> None:
                socket.moves = trio.Event()

            socket.moves.set()
            socket.written = stall  # so that our own goodbye hangs
            nursery.start_soon(ask, "first")
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(ask, "second")
            await trio.sleep(60)

    with pytest.raises(ConnectionLost, match="your plan is used up"):
        await ask_in_between()
    assert len(errors) == 2
