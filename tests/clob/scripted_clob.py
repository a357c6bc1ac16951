"""The order side of the venue, in memory: it answers what a test says, and checks who asks with code of its own."""

from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import h11
import msgspec
import trio
import trio.testing
from attrs import define, field, frozen

from tests.builders import NOW
from tests.clob.sent_orders import OURS
from trio_copy.clock import WallClock, wall_clock_from
from trio_copy.entropy import seeded_entropy
from trio_copy.model.ids import OrderId
from trio_copy.model.orders import ExecutionReport, Order
from trio_copy_clob.sending.calling import Caller
from trio_copy_clob.sending.cancelling import Cancelling
from trio_copy_clob.sending.credentials import ApiKey, VenueSigner
from trio_copy_clob.sending.learning import Learning
from trio_copy_clob.sending.limits import limits_of_address, limits_of_reads, limits_of_signer
from trio_copy_clob.sending.looking import Looking
from trio_copy_clob.sending.permissions import Region, read_region
from trio_copy_clob.sending.posting import Posting
from trio_copy_clob.sending.sent import Sendings
from trio_copy_clob.sending.skew import VenueClock
from trio_copy_clob.sending.stopping import Stopping
from trio_copy_clob.sending.stops import Stops
from trio_copy_clob.transport import H11Transport

PAGE = b"<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head></html>"
SIGNER = "0x" + "55" * 20
_MOST_SKEW_S = 30


@frozen
class Key:
    api_key: str
    secret: str = field(repr=False)
    passphrase: str = field(repr=False)


def level1(timestamp: int) -> dict[str, str]:
    return {"POLY_ADDRESS": SIGNER, "POLY_TIMESTAMP": str(timestamp), "POLY_SIGNATURE": "by the key"}


def level2(key: ApiKey, timestamp: int, method: str, path: str, body: bytes | None) -> dict[str, str]:
    signed = sha256(f"{key.secret}{timestamp}{method}{path}".encode() + (body or b"")).hexdigest()
    return {
        "POLY_ADDRESS": SIGNER,
        "POLY_TIMESTAMP": str(timestamp),
        "POLY_API_KEY": key.api_key,
        "POLY_SIGNATURE": signed,
    }


def with_owner(body: bytes, api_key: str) -> bytes:
    return body.replace(b'"owner":""', b'"owner":"' + api_key.encode() + b'"')


@frozen
class Says:
    """An answer, or what is done instead of one."""

    status: int = 200
    body: object = b""
    headers: Mapping[str, str] = {}
    does: str = ""
    """close, cut, stall; or late: the answer comes after three seconds."""


def matched(shares: str = "20", paid: str = "10", **changes: Any) -> Says:
    told = {"success": True, "errorMsg": "", "orderID": OURS, "status": "matched"}
    return Says(200, {**told, "makingAmount": paid, "takingAmount": shares, **changes})


def refusal(status: int, text: str, **headers: str) -> Says:
    return Says(status, {"error": text}, headers)


@frozen
class Asked:
    at: float
    method: str
    path: str
    params: Mapping[str, str]
    body: bytes


@define(eq=False)
class ScriptedClob:
    wall: WallClock
    says: deque[Says] = field(factory=deque)
    """To orders and cancels, one after the other; the last one again and again."""
    order: Says = field(factory=lambda: Says(200, b"null"))
    trades: list[bytes] = field(factory=list)
    page_rows: int = 100
    asked: list[Asked] = field(factory=list)
    keys: int = 0
    """How many API keys it has made; the last one is good."""
    makes_keys: Says | None = None
    """What it says to who wants one, instead."""
    derives: Says | None = None
    time: Says | None = None
    """What it says to who wants to know its time, instead."""
    region: Says = field(factory=lambda: Says(200, {"blocked": True, "country": "US"}))
    away: bool = False
    cut_idle: bool = False
    """Whether it closes each connection after an answer, without a word."""

    def at(self, path: str) -> list[Asked]:
        return [one for one in self.asked if one.path == path]

    @property
    def key(self) -> Key:
        return Key(f"key-{self.keys}", f"secret-{self.keys}", f"passphrase-{self.keys}")

    async def serve(self, stream: trio.abc.Stream) -> None:
        protocol = h11.Connection(h11.SERVER)
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while await self._answer(stream, protocol):
                protocol.start_next_cycle()
        await trio.aclose_forcefully(stream)

    async def _answer(self, stream: trio.abc.Stream, protocol: h11.Connection) -> bool:
        request, body = None, bytearray()
        while True:
            event = protocol.next_event()
            if event is h11.NEED_DATA:
                protocol.receive_data(bytes(await stream.receive_some(1 << 16)))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return False
        assert request is not None
        says = self._say(request, bytes(body))
        if says.does == "close":
            return False
        if says.does == "stall":
            await trio.sleep_forever()
        if says.does == "late":
            await trio.sleep(3)
        written = says.body if isinstance(says.body, bytes) else msgspec.json.encode(says.body)
        headers = [*says.headers.items(), ("content-length", str(len(written)))]
        data = protocol.send(h11.Response(status_code=says.status, headers=headers)) + written
        if says.does == "cut":
            await stream.send_all(data[:-5])
            return False
        protocol.send(h11.Data(data=written))
        protocol.send(h11.EndOfMessage())
        await stream.send_all(data)
        return not self.cut_idle

    def _say(self, request: h11.Request, body: bytes) -> Says:
        parts, method = urlsplit(request.target.decode()), request.method.decode()
        asked = Asked(trio.current_time(), method, parts.path, dict(parse_qsl(parts.query)), body)
        self.asked.append(asked)
        # Their names in upper case, as they are written.
        headers = {name.decode(): value.decode() for name, value in request.headers.raw_items()}
        if asked.path == "/time":
            return self.time or Says(200, str(int(self.wall())).encode())
        if asked.path == "/api/geoblock":
            return self.region
        if abs(int(headers["POLY_TIMESTAMP"]) - self.wall()) > _MOST_SKEW_S:
            return refusal(401, "Unauthorized/Invalid api key")
        match method, asked.path:
            case "POST", "/auth/api-key":
                if self.makes_keys is not None:
                    return self.makes_keys
                self.keys += 1
                return self._tell_key()
            case "GET", "/auth/derive-api-key":
                return self.derives or self._tell_key()
        expected = level2(self.key, int(headers["POLY_TIMESTAMP"]), method, asked.path, body)
        if any(headers[name] != value for name, value in expected.items()):
            return refusal(401, "Unauthorized/Invalid api key")
        if asked.path == "/order":
            return self.says.popleft() if len(self.says) > 1 else self.says[0]
        if asked.path == "/data/trades":
            return self._page(asked.params)
        return self.order

    def _tell_key(self) -> Says:
        key = self.key
        return Says(200, {"apiKey": key.api_key, "secret": key.secret, "passphrase": key.passphrase})

    def _page(self, params: Mapping[str, str]) -> Says:
        start = 0 if params["next_cursor"] == "MA==" else int(params["next_cursor"])
        end = start + self.page_rows
        following = str(end) if end < len(self.trades) else "LTE="
        return Says(200, b'{"data":[%s],"next_cursor":"%s"}' % (b",".join(self.trades[start:end]), following.encode()))


@define(eq=False, kw_only=True)
class Bench:
    """All that sends an order, at a scripted venue."""

    clob: ScriptedClob
    transport: H11Transport
    caller: Caller
    signer: VenueSigner
    posting: Posting
    stopping: Stopping
    cancelling: Cancelling
    looking: Looking
    told: list[tuple[str, str]]
    did: list[str]
    """What was asked for besides: refresh, stale, blocked."""
    released: list[OrderId] = field(factory=list)
    """Orders that their guard let go."""
    release_s: float = 0.0
    """How long the guard takes for one."""

    async def post(self, order: Order, within_s: float = 10.0) -> ExecutionReport:
        async def release() -> None:
            await trio.sleep(self.release_s)
            self.released.append(order.order_id)

        return await self.posting.post(order, self.signer, trio.current_time() + within_s, release)

    @property
    def posts(self) -> list[Asked]:
        return self.clob.at("/order")

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.told]


@asynccontextmanager
async def open_bench(*says: Says, off_s: float = 0.0) -> AsyncGenerator[Bench, None]:
    """Open a venue that says this to orders; its clock is ahead of ours by so much."""
    wall = wall_clock_from(NOW)
    clob = ScriptedClob(lambda: wall() + off_s, deque(says))
    told: list[tuple[str, str]] = []
    did: list[str] = []
    async with trio.open_nursery() as nursery:

        async def connect(host: str, port: int) -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            if clob.away:
                raise OSError("connection refused")
            ours, theirs = trio.testing.memory_stream_pair()
            nursery.start_soon(clob.serve, theirs)
            return ours

        async def refresh(order: Order, signer: VenueSigner, until: float) -> None:
            did.append("refresh")
            await trio.lowlevel.checkpoint()

        async def region() -> Region:
            did.append("blocked")
            return await read_region(caller, "/api/geoblock", trio.current_time() + 1)

        transport = H11Transport(open_socket=connect, timeout_s=30.0)
        caller = Caller(transport=transport, url="http://clob.test")
        signer = VenueSigner(
            address=SIGNER,
            caller=caller,
            clock=VenueClock(wall),
            wall=wall,
            limits=limits_of_signer(),
            reads=limits_of_reads(1.0),
            level1=level1,
            level2=level2,
            make_key=Key,
        )
        turns, entropy, sendings = limits_of_address(1.0), seeded_entropy(1), Sendings()
        looking = Looking(sendings=sendings, on_trouble=lambda kind, detail: told.append((kind, detail)))
        stopping = Stopping(
            stops=Stops(), read_region=region, on_trouble=lambda kind, detail: told.append((kind, detail))
        )
        learning = Learning(
            stopping=stopping,
            sendings=sendings,
            ask=looking.look_up,
            refresh_balance=refresh,
            on_stale=lambda order: did.append("stale"),
            on_trouble=lambda kind, detail: told.append((kind, detail)),
        )
        posting = Posting(
            caller=caller,
            address_turns=turns,
            stopping=stopping,
            learning=learning,
            sendings=sendings,
            entropy=entropy,
            with_owner=with_owner,
        )
        cancelling = Cancelling(address_turns=turns, entropy=entropy, stop_egress=stopping.stop_egress)
        yield Bench(
            clob=clob,
            transport=transport,
            caller=caller,
            signer=signer,
            posting=posting,
            stopping=stopping,
            cancelling=cancelling,
            looking=looking,
            told=told,
            did=did,
        )
        await transport.aclose()
        nursery.cancel_scope.cancel()
