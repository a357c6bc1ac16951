"""One connection, whatever the other side says: requests end at once, memory stays small. Virtual time, real frames."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing
import trio_websocket

from tests.builders import POLYGON
from tests.chain.peers import URL, Meeting, Peer, accepted, meet
from trio_copy.chain.session import open_session
from trio_copy.config import ChainSettings
from trio_copy.errors import (
    AnswerTooLarge,
    ChainError,
    ConnectionLost,
    IntakeStalled,
    MalformedFrame,
    NoAnswer,
    RpcError,
)

Clock = trio.testing.MockClock
Answer = Callable[[Peer, dict[str, Any]], Awaitable[None]]


async def silence(peer: Peer, request: dict[str, Any]) -> None:
    """Answer nothing."""
    await trio.lowlevel.checkpoint()


async def subscribing(peer: Peer, request: dict[str, Any]) -> None:
    """Give out subscriptions called by their request, and answer everything else with true."""
    await peer.reply(request, f"sub-{request['id']}" if request["method"] == "eth_subscribe" else True)


def saying(*frames: object) -> Answer:
    """Answer every request with the same frames."""

    async def say(peer: Peer, request: dict[str, Any]) -> None:
        for frame in frames:
            await peer.say(frame)

    return say


async def outcome(meeting: Meeting, method: str = "eth_getLogs") -> object:
    """Return what a request ends with, an error as its value."""
    try:
        return bytes(await meeting.session.request(method))
    except ChainError as error:
        return error


@pytest.mark.parametrize(
    "frame",
    [
        {"id": "1", "result": 5},
        {"id": 1.0, "result": 5},
        {"id": 1, "result": 5, "error": None},
        [{"id": 1, "result": 5}],
        [{"id": "1", "result": 5}],
    ],
)
async def test_a_plain_answer_is_heard(clock: Clock, frame: object) -> None:
    """An id as text, or a batch of one, is an answer like any other."""
    async with meet(saying(frame)) as meeting:
        assert await outcome(meeting) == b"5"
    assert meeting.quarantined == []


@pytest.mark.parametrize(
    ("frame", "code", "words"),
    [
        ({"id": 1, "error": {"code": -32005, "message": "range"}}, -32005, "range"),
        ({"id": "1", "error": {"code": "-32005", "message": "range"}}, -32005, "range"),
        ([{"id": 1, "error": {"code": -32005, "message": "range"}}], -32005, "range"),
        ({"id": None, "error": {"code": -32005, "message": "range"}}, -32005, "range"),
        ({"error": {"code": -32005, "message": "range"}}, -32005, "range"),
        ({"id": 0, "error": {"code": -32700, "message": "parse error"}}, -32700, "parse error"),
        ({"id": 999, "error": {"code": -32700, "message": "parse error"}}, -32700, "parse error"),
        ({"id": 1, "error": {"code": -32000, "message": None}}, -32000, ""),
        ({"id": 1, "error": {"message": "no code"}}, 0, "no code"),
        ({"id": 1, "error": "rate limited"}, 0, "rate limited"),
        ({"error": "rate limited"}, 0, "rate limited"),
        ({"id": 1}, 0, "without result"),
        ({"result": []}, 0, "does not say which request"),
        ("Too many requests, slow down", 0, "Too many requests, slow down"),
        ("<html>502 Bad Gateway</html>", 0, "502 Bad Gateway"),
        ('{"id": 1, "result": [', 0, "no JSON-RPC"),
        ("[]", 0, "no JSON-RPC"),
        ("{}", 0, "no JSON-RPC"),
        (b"\xff\xfe", 0, "no JSON-RPC"),
    ],
)
async def test_an_answer_that_cannot_be_a_success_fails_at_once(
    clock: Clock, frame: object, code: int, words: str
) -> None:
    """Nobody waits for the timeout to be told what is known already."""
    async with meet(saying(frame)) as meeting:
        started = trio.current_time()
        error = await outcome(meeting)
        assert trio.current_time() == started
    assert isinstance(error, RpcError)
    assert (code, True) == (error.code, words in error.message)
    assert len(error.message) <= 300


async def test_an_error_that_names_no_request_fails_all_that_are_open(clock: Clock) -> None:
    """Each of them gets an error of its own; what is asked afterwards is answered as ever."""
    outcomes: list[object] = []

    async def answer(peer: Peer, request: dict[str, Any]) -> None:
        if request["method"] == "third":
            await peer.say({"id": None, "error": {"code": -32603, "message": "overloaded"}})
        elif request["method"] == "fourth":
            await peer.reply(request, 4)

    async def ask(meeting: Meeting, method: str) -> None:
        outcomes.append(await outcome(meeting, method))

    async with meet(answer) as meeting:
        async with trio.open_nursery() as nursery:
            for method in ("first", "second", "third"):
                nursery.start_soon(ask, meeting, method)
                await trio.testing.wait_all_tasks_blocked()
        assert await outcome(meeting, "fourth") == b"4"
    assert [error.code for error in outcomes if isinstance(error, RpcError)] == [-32603] * 3
    assert len({id(error) for error in outcomes}) == 3


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        ({"id": None, "error": {"code": 1, "message": "m"}}, "unasked-error"),
        ({"id": 77, "error": {"code": 1, "message": "m"}}, "unasked-error"),
        ({"id": 77, "result": 1}, "unasked-answer"),
        ("plain words", "malformed-frame"),
        ({"method": "net_hello", "params": {}}, "malformed-frame"),
        ({"method": "eth_subscription", "params": {"subscription": "0x1", "result": 1}}, "unasked-notification"),
        ({"method": "eth_subscription", "params": {"subscription": "0x1", "error": "lagged"}}, "unasked-notification"),
        ("", "empty-frame"),
        (" \r\n", "empty-frame"),
    ],
)
async def test_what_nobody_asked_for_is_put_aside(clock: Clock, frame: object, kind: str) -> None:
    """With no request open it is counted, and changes nothing."""
    async with meet(subscribing) as meeting:
        await meeting.peer.say(frame)
        await trio.testing.wait_all_tasks_blocked()
        assert await outcome(meeting) == b"true"
    assert [kind] == meeting.quarantined


@pytest.mark.parametrize(
    "frame",
    [
        {"method": "net_hello"},
        {"method": "eth_subscription", "params": {"subscription": "0x1"}},
        {"method": "eth_subscription", "params": {"subscription": "0x9", "result": 1}},
        "",
        "\n",
    ],
)
async def test_what_is_no_answer_fails_no_request(clock: Clock, frame: object) -> None:
    """A request stays open beside notifications, readable or not."""
    async with meet(saying(frame, {"id": 1, "result": 5})) as meeting:
        assert await outcome(meeting) == b"5"


async def test_a_late_or_second_answer_is_dropped_quietly(clock: Clock) -> None:
    """An answer to a request that was given up is neither an error nor somebody else's."""
    async with meet(saying({"id": 1, "result": 5}, {"id": 1, "result": 6}, {"id": "1", "error": "no"})) as meeting:
        assert await outcome(meeting) == b"5"
        await trio.testing.wait_all_tasks_blocked()
    assert meeting.quarantined == []


async def test_a_request_without_an_answer_leaves_the_connection_alone(clock: Clock) -> None:
    """It says so with an error of its own kind, and the next one is asked on the same connection."""

    async def answer(peer: Peer, request: dict[str, Any]) -> None:
        if request["method"] != "eth_getLogs":
            await peer.reply(request, 1)

    async with meet(answer, request_timeout_s=3.0) as meeting:
        started = trio.current_time()
        error = await outcome(meeting)
        assert trio.current_time() == started + 3
        assert await outcome(meeting, "eth_chainId") == b"1"
    assert isinstance(error, NoAnswer)
    assert "eth_getLogs got no answer in 3 s" in str(error)


async def test_a_message_over_the_limit_is_an_answer_too_large(clock: Clock) -> None:
    """The open request hears why the connection ended: asking for less may help."""
    kept: list[object] = []
    with pytest.raises(AnswerTooLarge, match="more than 1 MiB"):
        async with meet(saying({"id": 1, "result": "x" * (1 << 20)}), max_message_mib=1) as meeting:
            await _ask_beside(meeting, kept)
    assert [AnswerTooLarge] == [type(error) for error in kept]


async def test_the_limit_counts_bytes_not_characters(clock: Clock) -> None:
    """Text of three bytes a character does not take three times the memory."""
    kept: list[object] = []
    with pytest.raises(AnswerTooLarge):
        async with meet(saying({"id": 1, "result": "\u20ac" * (1 << 19)}), max_message_mib=1) as meeting:
            await _ask_beside(meeting, kept)


@pytest.mark.parametrize(
    ("code", "kind"), [(1009, AnswerTooLarge), (1000, ConnectionLost), (1011, ConnectionLost), (4001, ConnectionLost)]
)
async def test_a_close_says_whether_something_was_too_large(clock: Clock, code: int, kind: type[ChainError]) -> None:
    """A node that ends the connection with 1009 means: ask for less. Other codes do not. Its words are passed on."""
    kept: list[object] = []

    async def close(peer: Peer, request: dict[str, Any]) -> None:
        await peer.ws.aclose(code, "your plan is used up")

    with pytest.raises(kind, match=f"closed: {code} .+: your plan is used up$"):
        async with meet(close) as meeting:
            await _ask_beside(meeting, kept)
    assert [kind] == [type(error) for error in kept]


async def _ask_beside(meeting: Meeting, kept: list[object]) -> None:
    """Ask from a task that does not end with the connection, as the scanner does."""
    async with trio.open_nursery() as nursery:
        with trio.CancelScope(shield=True):
            kept.append(await outcome(meeting))
        nursery.cancel_scope.cancel()
    await trio.sleep_forever()


async def test_a_subscription_that_the_node_ends_ends_the_connection(clock: Clock) -> None:
    """Nothing more would come of it, and the next connection has a new one; no time passes until then."""
    ended = {"method": "eth_subscription", "params": {"subscription": "sub-1", "error": {"message": "lagged behind"}}}

    async def listen() -> None:
        async with meet(subscribing) as meeting:
            await meeting.session.subscribe("logs", "logs")
            await meeting.peer.say(ended)
            await trio.sleep_forever()

    with pytest.raises(ConnectionLost, match="ended a subscription: lagged behind"):
        await listen()
    assert trio.current_time() == 0


async def test_early_notifications_are_kept_for_their_subscription(clock: Clock) -> None:
    """Some nodes send the first one before they name the subscription; those of nobody are put aside."""

    async def answer(peer: Peer, request: dict[str, Any]) -> None:
        await peer.notify("0xother", "stray")
        await peer.notify("0xmine", "early")
        await peer.reply(request, "0xmine")
        await peer.notify("0xmine", "late")

    async with meet(answer) as meeting:
        assert await meeting.session.subscribe("logs", "logs") == "0xmine"
        taken = [await meeting.session.notifications.take() for _ in range(2)]
    assert [(topic, bytes(result)) for topic, result in taken] == [("logs", b'"early"'), ("logs", b'"late"')]
    assert meeting.quarantined == ["unasked-notification"]


@pytest.mark.parametrize("result", [None, True, {}, [], "", "x" * 300, 1.5])
async def test_a_subscription_without_a_name_is_refused_at_once(clock: Clock, result: object) -> None:
    """What cannot name a subscription is no success."""

    async def answer(peer: Peer, request: dict[str, Any]) -> None:
        await peer.reply(request, result)

    async with meet(answer) as meeting:
        started = trio.current_time()
        with pytest.raises((RpcError, MalformedFrame)):
            await meeting.session.subscribe("logs", "logs")
        assert trio.current_time() == started


async def test_a_subscription_may_be_named_by_a_number(clock: Clock) -> None:
    """Its notifications name it by the same number."""

    async def answer(peer: Peer, request: dict[str, Any]) -> None:
        await peer.reply(request, 7)
        await peer.say({"method": "eth_subscription", "params": {"subscription": 7, "result": 1}})

    async with meet(answer) as meeting:
        await meeting.session.subscribe("logs", "logs")
        assert (await meeting.session.notifications.take())[0] == "logs"


@pytest.mark.parametrize("refusal", [{"code": -32601, "message": "no such method"}, None, "no"])
async def test_a_refused_unsubscribe_is_ignored(clock: Clock, refusal: object) -> None:
    """The node goes on sending, without an answer even, and is not listened to: that is nothing to complain about."""

    async def answer(peer: Peer, request: dict[str, Any]) -> None:
        if request["method"] == "eth_subscribe":
            await peer.reply(request, "0x1")
        elif refusal is not None:
            await peer.say({"id": request["id"], "error": refusal})

    async with meet(answer) as meeting:
        subscription = await meeting.session.subscribe("logs", "logs")
        await meeting.session.unsubscribe(subscription)
        await meeting.peer.notify(subscription, "still there")
        await trio.testing.wait_all_tasks_blocked()
    assert meeting.quarantined == []


async def test_a_subscription_that_came_too_late_is_not_listened_to(clock: Clock) -> None:
    """An answer after the timeout gives a name to what is then dropped quietly."""

    async def answer(peer: Peer, request: dict[str, Any]) -> None:
        await trio.sleep(5)
        await peer.reply(request, "0x1")
        await peer.notify("0x1", "late")

    async with meet(answer, request_timeout_s=3.0) as meeting:
        with pytest.raises(NoAnswer):
            await meeting.session.subscribe("logs", "logs")
        await trio.sleep(5)
    assert meeting.quarantined == []


async def test_a_flood_of_unasked_notifications_ends_the_connection(clock: Clock) -> None:
    """A few are counted; a node that keeps on is given up with a clear word."""
    with pytest.raises(ConnectionLost, match="keeps sending what nobody can use: unasked-notification"):
        async with meet(subscribing) as meeting:
            await _flood(meeting, "0xdead", 250, 100_000)
    assert 100 < len(meeting.quarantined) < 200


async def test_a_trickle_of_unasked_notifications_is_borne_for_ever(clock: Clock) -> None:
    """A proxy that mixes up its clients is a nuisance, and no reason to dial again."""
    async with meet(subscribing) as meeting:
        for _ in range(500):
            await meeting.peer.notify("0xdead", "x" * 1000)
            await trio.sleep(0.01)
        assert await outcome(meeting) == b"true"
    assert len(meeting.quarantined) == 500


@pytest.mark.parametrize(("size", "most"), [(10, 1024), (100_000, 83)])
async def test_what_waits_for_the_reader_is_bounded(clock: Clock, size: int, most: int) -> None:
    """In number and in bytes: a reader that takes nothing ends the connection, not the memory."""
    with pytest.raises(IntakeStalled):
        async with meet(subscribing) as meeting:
            await _flood(meeting, await meeting.session.subscribe("logs", "logs"), most + 100, size)
    waiting = meeting.session.notifications._items
    assert most == len(waiting)
    assert sum(len(result) for _, result in waiting) <= 8 << 20


async def test_a_notification_does_not_hold_on_to_its_message(clock: Clock) -> None:
    """A small result in a large frame costs what the result costs."""
    async with meet(subscribing) as meeting:
        subscription = await meeting.session.subscribe("logs", "logs")
        for _ in range(1000):
            frame = {"method": "eth_subscription", "params": {"subscription": subscription, "result": 1}}
            await meeting.peer.say({**frame, "junk": "x" * 50_000})
        await trio.testing.wait_all_tasks_blocked()
        queued = [await meeting.session.notifications.take() for _ in range(1000)]
    assert {1} == {len(result) for _, result in queued}


async def _flood(meeting: Meeting, subscription: str, times: int, size: int) -> None:
    for _ in range(times):
        await meeting.peer.notify(subscription, "x" * size)
    await trio.sleep_forever()


async def test_early_notifications_are_bounded_in_bytes(clock: Clock) -> None:
    """While a subscription is being made, a flood is put aside like at any other time."""

    async def answer(peer: Peer, request: dict[str, Any]) -> None:
        for _ in range(30):
            await peer.notify("0x1", "x" * 100_000)
        await peer.reply(request, "0x1")

    async with meet(answer) as meeting:
        await meeting.session.subscribe("logs", "logs")
        await trio.testing.wait_all_tasks_blocked()
    assert len(meeting.quarantined) == 30 - 10


async def test_pings_are_answered_and_asked(clock: Clock) -> None:
    """A node that checks whether we live hears it at once."""

    async def deafen(peer: Peer, request: dict[str, Any]) -> None:
        with trio.fail_after(1):
            await peer.ws.ping()
        await peer.reply(request, True)

    async with meet(deafen, ping_every_s=1.0) as meeting:
        assert await outcome(meeting) == b"true"
        await trio.sleep(60)
    assert meeting.quarantined == []


async def test_a_socket_that_only_looks_alive_is_given_up(clock: Clock) -> None:
    """Nothing comes back on it, not even a pong."""
    ours, theirs = trio.testing.memory_stream_pair()

    async def accept() -> None:
        await theirs.send_all(await accepted(theirs))

    async def dial(url: str) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return ours

    chain = ChainSettings(chain_id=POLYGON, ping_every_s=5.0, ping_timeout_s=5.0)
    started = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept)
        with pytest.raises(ConnectionLost, match="no pong in 5 s"):
            async with open_session(dial, URL, chain, lambda kind, detail: None):
                await trio.sleep_forever()
    assert trio.current_time() == started + 10


async def test_an_undisturbed_end_says_goodbye(clock: Clock) -> None:
    """The node sees a close with 1000, and requests that were open end too."""
    kept: list[object] = []
    async with trio.open_nursery() as nursery:
        async with meet(silence) as meeting:

            async def ask() -> None:
                kept.append(await outcome(meeting))

            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
        reason = meeting.peer.ws.closed
    assert isinstance(reason, trio_websocket.CloseReason)
    assert reason.code == 1000
    assert [ConnectionLost] == [type(error) for error in kept]
