"""The devnet's node does what its manners say, each seen from outside, over its WebSocket."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import attrs
import msgspec
import pytest
import trio
import trio.testing
import trio_websocket

from tests.builders import LEADER, NOW, POLYGON
from tests.harness import World
from trio_copy.chain.decoders.order_filled import EXCHANGE_V2
from trio_copy.cli import main
from trio_copy.errors import ConfigError
from trio_copy.model.ids import TokenId
from trio_copy.ports import LogFilter
from trio_copy.testing.devnet import DevChain, DevNode, DevTx, NodeFaults
from trio_copy.testing.devnet.market import seeded_market
from trio_copy.testing.devnet.shown import ShownChain
from trio_copy.testing.devnet.wire import Refused
from trio_copy.testing.devnet.words import listed_faults, take_faults
from trio_copy.testing.market_server.venue import TICK

LIMIT = {"code": -32005, "message": "Too Many Requests"}
PATIENCE_S = 3.0


@attrs.frozen
class Seen:
    """What a client of one node saw."""

    handshake: int
    """HTTP status, 101 for a connection."""
    headers: dict[str, str]
    requests: dict[str, Any]
    """Answer by question; None where none came."""
    log_events: list[Any]
    removed_events: list[Any]
    head_events: list[Any]
    strangers: int
    closed: int | None

    @property
    def latest(self) -> Any:
        return self.requests["latest"]["result"]

    @property
    def range(self) -> Any:
        return self.requests["range"]["result"]

    @property
    def log(self) -> Any:
        return self.log_events[0]


QUESTIONS: dict[str, tuple[str, list[Any]]] = {
    "chain": ("eth_chainId", []),
    "heads": ("eth_subscribe", ["newHeads"]),
    "logs": ("eth_subscribe", ["logs", {"address": EXCHANGE_V2}]),
    "latest": ("eth_getBlockByNumber", ["latest", False]),
    "finalized": ("eth_getBlockByNumber", ["finalized", False]),
    "invented": ("eth_getBlockByNumber", [hex(999_999), False]),
    "block": ("eth_getLogs", [{"blockHash": "the first one with logs"}]),
    "range": ("eth_getLogs", [{"fromBlock": "0x0", "toBlock": "0xff"}]),
    "unsubscribe": ("eth_unsubscribe", ["0x1"]),
}


async def look_at(*words: str, password: str = "") -> Seen:
    """Ask a node with these manners everything, while two blocks of three logs in two transactions are mined."""
    world = World(chain := DevChain(POLYGON, lambda: NOW), [node := DevNode(chain)], lambda: NOW)
    two_fills = attrs.evolve(world.buy(), logs=(*world.buy().logs, *world.buy().logs))
    block = (two_fills, world.buy())
    chain.mine(*block)
    for _ in range(20):
        chain.mine()
    take_faults(node.faults, "here", words)
    look = _Look(chain, block)
    headers = [(b"Authorization", b"Basic " + b64encode(password.encode()))] if password else []
    try:
        async with trio.open_nursery() as nursery:
            ours, theirs = trio.testing.memory_stream_pair()
            nursery.start_soon(node.handle, theirs)
            ws = await trio_websocket.wrap_client_stream(
                nursery,
                ours,  # type: ignore[arg-type]  # any stream works
                "node",
                "/",
                extra_headers=headers,
            )
            if ws.closed is None:
                await look.ask(ws)
                nursery.cancel_scope.cancel()
    except* trio_websocket.ConnectionRejected as group:
        look.refused = group.exceptions[0]
    if isinstance(look.refused, trio_websocket.ConnectionRejected):
        told = {name.decode().lower(): value.decode() for name, value in look.refused.headers}
        return Seen(look.refused.status_code, told, {}, [], [], [], 0, None)
    return _seen(look.answers, look.events, look.closed)


@attrs.define
class _Look:
    chain: DevChain
    block: tuple[DevTx, ...]
    answers: dict[str, Any] = attrs.field(factory=dict)
    events: list[Any] = attrs.field(factory=list)
    closed: int | None = None
    refused: BaseException | None = None

    async def ask(self, ws: trio_websocket.WebSocketConnection) -> None:
        try:
            for number, (name, (method, params)) in enumerate(QUESTIONS.items()):
                wanted = [{"blockHash": self.chain.blocks[1].ref.hash}] if name == "block" else params
                await ws.send_message(msgspec.json.encode({"id": number, "method": method, "params": wanted}).decode())
                self.answers[name] = None
                with trio.move_on_after(PATIENCE_S):
                    self.answers[name] = _decoded(await ws.get_message())
                if name == "logs":
                    await self._trade(ws)
        except trio_websocket.ConnectionClosed as error:
            self.closed = error.reason.code if error.reason else None

    async def _trade(self, ws: trio_websocket.WebSocketConnection) -> None:
        self.chain.mine(*self.block)
        self.chain.reorg(1, [[]])
        with trio.move_on_after(PATIENCE_S):
            while True:
                self.events.append(_decoded(await ws.get_message())["params"])


def _seen(answers: dict[str, Any], events: list[Any], closed: int | None) -> Seen:
    of: dict[str, list[Any]] = {name: [] for name in ("logs", "heads", "nobody")}
    named = {(answers.get(name) or {}).get("result"): name for name in ("logs", "heads")}
    for event in events:
        if "error" in event:
            of["nobody"].append(event)
            continue
        of[named.get(event["subscription"], "nobody")].append(event["result"])
    logs = [log for log in of["logs"] if not log["removed"]]
    removed = [log for log in of["logs"] if log["removed"]]
    return Seen(101, {}, answers, logs, removed, of["heads"], len(of["nobody"]), closed)


def _decoded(message: str | bytes) -> Any:
    try:
        return msgspec.json.decode(message)
    except msgspec.DecodeError:
        return message


def _numbers(logs: list[Any]) -> list[int]:
    return [int(log["logIndex"], 16) for log in logs]


def _error(seen: Seen, name: str) -> Any:
    return seen.requests[name]["error"]


TIME = hex(int(NOW))
MANNERS: dict[str, Callable[[Seen], bool]] = {
    "chain_id=5": lambda seen: seen.requests["chain"]["result"] == "0x5",
    "behind=3": lambda seen: int(seen.latest["number"], 16) == 22 - 3,
    "false_head=1000000": lambda seen: (
        int(seen.latest["number"], 16) >= 1_000_000
        and seen.requests["invented"]["result"]["hash"] != seen.latest["hash"]
        and len(seen.range) == 3
    ),
    "without_finalized": lambda seen: _error(seen, "finalized")["code"] == -32000,
    "unfinalized=2": lambda seen: int(seen.requests["finalized"]["result"]["number"], 16) == 20,
    "deaf": lambda seen: set(seen.requests.values()) == {None},
    "silent_heads": lambda seen: not seen.head_events and len(seen.log_events) == 3,
    "silent_logs": lambda seen: not seen.log_events and len(seen.head_events) == 2,
    "error=busy": lambda seen: _error(seen, "range") == {"code": -32000, "message": "busy"},
    "refuse_subscriptions=logs": lambda seen: (
        "error" in seen.requests["logs"] and "error" not in seen.requests["heads"]
    ),
    "refuse_subscriptions=heads": lambda seen: "error" in seen.requests["heads"] and len(seen.log_events) == 3,
    "refuse_subscriptions": lambda seen: {"heads", "logs"} <= {n for n, a in seen.requests.items() if "error" in a},
    "refuse_unsubscribe": lambda seen: "error" in seen.requests["unsubscribe"],
    "refuse_handshake": lambda seen: (seen.handshake, seen.headers.get("retry-after")) == (429, None),
    "refuse_handshake=503 retry_after_s=7": lambda seen: (seen.handshake, seen.headers["retry-after"]) == (503, "7"),
    "auth=me:secret": lambda seen: (seen.handshake, seen.headers["www-authenticate"]) == (401, "Basic"),
    "rate_limited rate_limited_method=all": lambda seen: _error(seen, "latest") == _error(seen, "range") == LIMIT,
    "rate_limited=2 rate_limited_method=all": lambda seen: (
        "result" in seen.requests["latest"] and _error(seen, "finalized") == LIMIT
    ),
    "max_per_s=2 rate_limited_method=all": lambda seen: (
        "result" in seen.requests["finalized"] and _error(seen, "invented") == LIMIT
    ),
    "rate_limited": lambda seen: "result" in seen.requests["latest"] and _error(seen, "range") == LIMIT,
    "rate_limited rate_limit_code=429": lambda seen: _error(seen, "range")["code"] == 429,
    "rate_limited retry_after_s": lambda seen: "retry after 2s" in _error(seen, "range")["message"],
    "max_range=10": lambda seen: "too wide" in _error(seen, "range")["message"] and "result" in seen.requests["block"],
    "hang_range=10": lambda seen: seen.requests["range"] is None and seen.requests["unsubscribe"] is not None,
    "close_range=10": lambda seen: seen.closed == 1009,
    "pad_logs=5000": lambda seen: seen.range[0]["padding"] == "x" * 5000,
    "cut_logs=2": lambda seen: len(seen.range) == 2,
    "empty_logs=1": lambda seen: not seen.requests["block"]["result"] and len(seen.range) == 3,
    "refuse_block_hash": lambda seen: _error(seen, "block")["code"] == -32602 and len(seen.range) == 3,
    "ignore_block_hash": lambda seen: seen.requests["block"]["result"] == [],
    "subscription_index=zero": lambda seen: (
        _numbers(seen.log_events) == [0, 0, 0] and _numbers(seen.range) == [0, 1, 2]
    ),
    "answer_index=zero": lambda seen: _numbers(seen.log_events) == [0, 1, 2] and _numbers(seen.range) == [0, 0, 0],
    "answer_index=transaction": lambda seen: _numbers(seen.range) == [0, 1, 0],
    "subscription_index=told": lambda seen: _numbers(seen.log_events) == [0, 1, 2],
    "answer_index=shared": lambda seen: _numbers(seen.range) == [0, 0, 1],
    "answer_index=offset": lambda seen: _numbers(seen.range) == [1000, 1001, 1002],
    "each_log_twice": lambda seen: _numbers(seen.log_events) == [0, 0, 1, 1, 2, 2],
    "subscription_cut=1": lambda seen: _numbers(seen.log_events) == [0] and len(seen.range) == 3,
    "lose_log": lambda seen: _numbers(seen.log_events) == [1, 2] and len(seen.range) == 3,
    "without_removed": lambda seen: not seen.removed_events,
    "removed_flood=5": lambda seen: len(seen.removed_events) == 3 * (5 + 1),
    "unasked=7": lambda seen: seen.strangers == 2 * 7,
    "unasked=1 unasked_bytes=10": lambda seen: seen.strangers == 2,
    "without_time": lambda seen: "blockTimestamp" not in seen.log and "blockTimestamp" not in seen.range[0],
    "log_time": lambda seen: seen.log["blockTimestamp"] == "0x0" and seen.latest["timestamp"] == TIME,
    "log_time=empty": lambda seen: seen.log["blockTimestamp"] == "0x",
    "log_time=null": lambda seen: seen.log["blockTimestamp"] is None,
    "log_time=number": lambda seen: seen.log["blockTimestamp"] == int(NOW),
    "log_time=future": lambda seen: int(seen.log["blockTimestamp"], 16) > NOW + 10**8,
    "header_time": lambda seen: seen.latest["timestamp"] == "0x0" and seen.log["blockTimestamp"] == TIME,
    "header_time=number": lambda seen: seen.latest["timestamp"] == int(NOW),
    "header_time=future": lambda seen: int(seen.latest["timestamp"], 16) > NOW + 10**8,
    "header_time=text": lambda seen: not seen.latest["timestamp"].startswith("0x"),
    "time_lag_s=8": lambda seen: (
        int(seen.log["blockTimestamp"], 16) == int(seen.latest["timestamp"], 16) == int(NOW) - 8
    ),
    "json_numbers": lambda seen: seen.log["logIndex"] == 0 and seen.latest["number"] == 22,
    "empty_zero": lambda seen: [log["logIndex"] for log in seen.log_events] == ["0x", "0x1", "0x2"],
    "pending": lambda seen: (
        [log["blockHash"] is None for log in seen.log_events] == [True, False] * 3
        and [head["number"] is None for head in seen.head_events] == [True, False] * 2
    ),
    "null_logs ignore_block_hash": lambda seen: seen.requests["block"]["result"] is None and len(seen.range) == 3,
    "blockless_answers": lambda seen: seen.range[0]["blockHash"] is None and seen.log["blockHash"] is not None,
    "end_subscriptions": lambda seen: not seen.log_events and not seen.head_events and seen.strangers == 2,
    "null_removed": lambda seen: seen.log["removed"] is None and seen.removed_events[0]["removed"] is True,
    "extra_fields": lambda seen: "logType" in seen.log and "logType" in seen.latest,
    "upper_case": lambda seen: seen.log["blockHash"] == "0x" + seen.log["blockHash"][2:].upper(),
    "unreadable_logs": lambda seen: isinstance(seen.log["topics"], str),
    "bloom": lambda seen: seen.latest["logsBloom"] == "0x" + "f" * 512,
    "bloom=empty": lambda seen: int(seen.head_events[0]["logsBloom"], 16) == 0,
    "bloom=missing": lambda seen: "logsBloom" not in seen.latest,
    "error error_shape": lambda seen: seen.requests["range"]["id"] is None,
    "error error_shape=text_body": lambda seen: seen.requests["range"] == "busy",
    "error error_shape=null_message": lambda seen: _error(seen, "range") == {"code": -32000, "message": None},
    "error error_shape=text_code": lambda seen: _error(seen, "range")["code"] == "-32000",
    "text_ids": lambda seen: seen.requests["chain"]["id"] == "0",
}


def honest(seen: Seen) -> bool:
    return (
        seen.handshake == 101
        and seen.closed is None
        and all("result" in answer for answer in seen.requests.values())
        and _numbers(seen.log_events) == _numbers(seen.range) == [0, 1, 2]
        and _numbers(seen.removed_events) == [2, 1, 0]
        and len(seen.head_events) == 2
        and not seen.strangers
        and seen.log["blockTimestamp"] == seen.latest["timestamp"] == TIME
    )


@pytest.mark.parametrize("words", MANNERS)
async def test_a_manner_is_seen_from_outside(words: str, clock: trio.testing.MockClock) -> None:
    """Each does what its line says, and the node without it does not."""
    assert MANNERS[words](await look_at(*words.split()))


async def test_without_a_manner_the_node_is_honest(clock: trio.testing.MockClock) -> None:
    """Every answer comes, complete and numbered by block; who knows the password is let in."""
    assert honest(await look_at())
    assert honest(await look_at("auth=me:secret", password="me:secret"))


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ('{"id": 1, "method": "eth_getLogs", "params": [{"fromBlock": "0x0", "toBlock": "latest"}]}', []),
        ('{"id": 1, "method": "eth_getLogs", "params": [{"fromBlock": "earliest"}]}', []),
        ('{"id": 1, "method": "eth_getLogs", "params": [{}]}', []),
        ('{"id": 1, "method": "eth_getLogs", "params": [{"fromBlock": 0}]}', -32602),
        ('{"id": 1, "method": "eth_getLogs", "params": []}', -32602),
        ('{"id": 1, "method": "eth_getLogs", "params": [{"topics": [[5]], "address": 7}]}', -32602),
        ('{"id": 1, "method": "eth_getBlockByNumber", "params": ["newest"]}', -32602),
        ('{"id": 1, "method": "eth_subscribe"}', -32602),
        ('{"id": 1}', -32700),
        ("hello", -32700),
        ("[]", -32700),
    ],
)
async def test_a_question_of_any_shape_is_answered(
    request_: str, answer: object, clock: trio.testing.MockClock
) -> None:
    """What a node of the field understands is understood; the rest is refused, and the node serves on."""
    node = DevNode(DevChain(POLYGON, lambda: NOW))
    async with trio.open_nursery() as nursery:
        ours, theirs = trio.testing.memory_stream_pair()
        nursery.start_soon(node.handle, theirs)
        ws = await trio_websocket.wrap_client_stream(nursery, ours, "node", "/")  # type: ignore[arg-type]  # any stream
        await ws.send_message(request_)
        told = _decoded(await ws.get_message())
        assert told.get("result", told.get("error", {}).get("code")) == answer
        await ws.send_message('{"id": 2, "method": "eth_chainId"}')
        assert _decoded(await ws.get_message())["result"] == "0x89"
        nursery.cancel_scope.cancel()


def test_every_manner_is_looked_at() -> None:
    """The table above leaves none out."""
    looked_at = {word.partition("=")[0] for words in MANNERS for word in words.split()}

    assert looked_at == {field.name for field in attrs.fields(NodeFaults)}
    assert {form.partition("=")[0].partition("[")[0] for form, _ in listed_faults(NodeFaults)} == looked_at


def test_manners_can_be_switched_off_again() -> None:
    """`clear` is a node that behaves, whatever it did before."""
    faults = NodeFaults()
    take_faults(faults, "here", ["deaf", "max-range=3", "log-time=zero"])
    assert (faults.deaf, faults.max_range, faults.log_time) == (True, 3, "zero")

    faults.clear()

    assert attrs.asdict(faults) == attrs.asdict(NodeFaults())


@pytest.mark.parametrize(
    "word, line",
    [
        ("lose_lgo", 'expected the name of a fault, got "lose_lgo"; did you mean "lose_log"?'),
        (
            "nothing-like-it",
            'expected the name of a fault, got "nothing-like-it"; they are listed by: `trio-copy devnet --help`',
        ),
        ("", 'expected the name of a fault, got ""; they are listed by: `trio-copy devnet --help`'),
        ("max_range", "max_range: expected max_range=N, got no value"),
        ("max_range=wide", 'max_range: expected a whole number from 0, got "wide"'),
        ("max_range=-1", 'max_range: expected a whole number from 0, got "-1"'),
        ("deaf=maybe", 'deaf: expected true|false, got "maybe"'),
        ("error=", 'error: expected TEXT, got ""'),
        ("log_time=never", 'log_time: expected told|zero|empty|null|number|future, got "never"'),
    ],
)
def test_a_wrong_word_is_one_clear_line(word: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Where, expected, got; nothing is set and nothing is started."""
    faults = NodeFaults()
    with pytest.raises(ConfigError) as caught:
        take_faults(faults, "here", ["deaf", word])
    assert caught.value.problems == (f"here: {line}",)
    assert not faults.deaf

    assert main(["devnet", "conf/demo.toml", f"--fault={word}"]) == 2
    assert capsys.readouterr().err == f"--fault: {line}\n"


def test_help_lists_every_manner(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody has to read the code for a name."""
    assert main(["devnet", "--help"]) == 0
    text = capsys.readouterr().out

    for form, _ in listed_faults(NodeFaults):
        assert form.partition("=")[0].partition("[")[0] in text


def test_its_market_quotes_what_its_venue_takes() -> None:
    """An order at what is bid or asked is on a tick, of both answers, however long prices walk."""
    market = seeded_market([LEADER], 3, 1.0, 1)
    tick = TICK.micro
    for _ in range(500):
        market.next_block()
        for outcome in market.outcomes:
            quote, other = market.quote(outcome.token_id), market.quote(TokenId(outcome.token_id ^ 1))
            assert quote is not None
            assert other is not None
            assert quote.bid is not None
            assert quote.ask is not None
            assert other.bid is not None
            assert quote.bid.micro % tick == quote.ask.micro % tick == 0
            assert (quote.ask.micro - quote.bid.micro, quote.ask.micro + other.bid.micro) == (tick, 1_000_000)
            assert tick <= quote.bid.micro < quote.ask.micro <= 1_000_000 - tick


def test_a_chain_that_prunes_keeps_its_newest_blocks_alone() -> None:
    """Numbers stay as they were; of older blocks a node says that it has no history, and knows none by its hash."""
    chain = DevChain(POLYGON, lambda: NOW, kept=10)
    mined = [chain.mine() for _ in range(100)]
    shown = ShownChain(chain, NodeFaults())
    everything = LogFilter(addresses=(), topics=())
    chain.reorg(2, [[], []])

    assert {block.ref.number for block in chain.blocks} == {0, *range(91, 101)}
    assert [number for number in range(1, 101) if chain.at(number) is not None] == [*range(91, 101)]
    assert chain.by_hash(mined[50].ref.hash) is None
    assert chain.by_hash(mined[95].ref.hash) is not None
    assert shown.logs({"fromBlock": hex(91), "toBlock": "latest"}, everything) == []
    for start in (0, 1, 90):
        with pytest.raises(Refused, match="pruned"):
            shown.logs({"fromBlock": hex(start), "toBlock": "latest"}, everything)
