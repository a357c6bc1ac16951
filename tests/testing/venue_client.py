"""A client of our venue that was written for it alone: what is signed is put together word by word, not by eth-account."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import h11
import msgspec
import trio
from attrs import define, evolve, field

from tests.builders import NOW
from trio_copy.clock import WallClock, wall_clock_from
from trio_copy.model.books import Book, Level
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import TokenId
from trio_copy.model.units import Price, Ratio, Shares
from trio_copy.native import SecretKey, keccak
from trio_copy.ports import OpenSocket
from trio_copy.testing.clob_venue import ClobServer, VenueWallet, open_virtual_clob_venue

YES, NO = TokenId(2**200 + 1), TokenId(2**200 + 2)
CONDITION = "0x" + "c1" * 32
FACTS = (
    TokenFacts(token_id=YES, condition_id=CONDITION, outcome="Yes", opposite=NO, slot=0, fee_rate=Ratio(0)),
    TokenFacts(token_id=NO, condition_id=CONDITION, outcome="No", opposite=YES, slot=1, fee_rate=Ratio(0)),
)
ORDER_TYPE = (
    b"Order(uint256 salt,address maker,address signer,uint256 tokenId,uint256 makerAmount,uint256 takerAmount,"
    b"uint8 side,uint8 signatureType,uint256 timestamp,bytes32 metadata,bytes32 builder)"
)
DOMAINS = {
    "v2": ("2", "0xE111180000d2663C0091e4f400237545B87B996B"),
    "v2-neg-risk": ("2", "0xe2222d279d744050d28e00520010520000310F59"),
    "v3": ("3", "0xe3333700cA9d93003F00f0F71f8515005F6c00Aa"),
}


@define
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> str:
        text: str = self.json["error"]
        return text


def word(value: int | str | bytes) -> bytes:
    """Return 32 bytes: of a number, of hex digits, or of bytes that are so many already."""
    raw = bytes.fromhex(value[2:]) if isinstance(value, str) else value
    return raw.to_bytes(32) if isinstance(raw, int) else raw.rjust(32, b"\0")


def separator(exchange: str, chain_id: int = 137) -> bytes:
    version, contract = DOMAINS[exchange]
    kind = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
    name = keccak(b"Polymarket CTF Exchange")
    return keccak(kind + name + keccak(version.encode()) + word(chain_id) + word(contract))


@define(eq=False)
class Trader:
    """One key, its wallet, and its API key."""

    server: ClobServer
    key: SecretKey
    wallet: VenueWallet
    api: Mapping[str, str] = field(factory=dict)
    salt: int = 0

    async def ask(
        self, method: str, target: str, body: Any = b"", *, level: int = 2, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send a request, signed unless `level` is 0, and return the answer. Raises `h11.RemoteProtocolError` without one."""
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        made = {} if level == 0 else self.l1() if level == 1 else self.l2(method, target.split("?")[0], raw)
        return await ask(self.server, method, target, raw, {**made, **(headers or {})})

    def l1(self, nonce: int = 0, at: float | None = None) -> dict[str, str]:
        time = str(int(self.server.clob.clock() if at is None else at))
        kind = keccak(b"ClobAuth(address address,string timestamp,uint256 nonce,string message)")
        text = b"This message attests that I control the given wallet"
        struct = kind + word(self.key.address) + keccak(time.encode()) + word(nonce) + keccak(text)
        domain = keccak(b"EIP712Domain(string name,string version,uint256 chainId)")
        domain = keccak(domain + keccak(b"ClobAuthDomain") + keccak(b"1") + word(137))
        signature = self.key.sign(keccak(b"\x19\x01" + domain + keccak(struct)))
        return {
            "POLY_ADDRESS": self.key.address,
            "POLY_SIGNATURE": "0x" + signature.hex(),
            "POLY_TIMESTAMP": time,
            "POLY_NONCE": str(nonce),
        }

    def l2(self, method: str, path: str, body: bytes, at: float | None = None) -> dict[str, str]:
        time = str(int(self.server.clob.clock() if at is None else at))
        secret = urlsafe_b64decode(self.api["secret"])
        signed = hmac.digest(secret, time.encode() + method.encode() + path.encode() + body, "sha256")
        return {
            "POLY_ADDRESS": self.key.address,
            "POLY_API_KEY": self.api["apiKey"],
            "POLY_PASSPHRASE": self.api["passphrase"],
            "POLY_SIGNATURE": urlsafe_b64encode(signed).decode(),
            "POLY_TIMESTAMP": time,
        }

    def order(
        self,
        side: str,
        maker_amount: str,
        taker_amount: str,
        order_type: str = "FAK",
        *,
        token: TokenId = YES,
        exchange: str = "v2",
        salt: int | None = None,
        fields: Mapping[str, Any] | None = None,
        **body: Any,
    ) -> dict[str, Any]:
        """Return the body of an order, signed; `fields` are changed before that, and the rest after it."""
        self.salt += 1
        kind = self.wallet.signature_type
        order: dict[str, Any] = {
            "salt": self.salt if salt is None else salt,
            "maker": self.wallet.address,
            "signer": self.wallet.address if kind == 3 else self.key.address,
            "tokenId": str(token),
            "makerAmount": str(Shares.parse(maker_amount).micro),
            "takerAmount": str(Shares.parse(taker_amount).micro),
            "side": side,
            "signatureType": kind,
            "timestamp": str(int(self.server.clob.now() * 1000)),
            "metadata": "0x" + "00" * 32,
            "builder": "0x" + "00" * 32,
            **(fields or {}),
        }
        order["signature"] = "0x" + self.sign(order, exchange).hex()
        order["expiration"] = str(body.pop("expiration", 0))
        owner = self.api["apiKey"]
        return {"order": order, "owner": owner, "orderType": order_type, "deferExec": False, "postOnly": False, **body}

    def sign(self, order: Mapping[str, Any], exchange: str) -> bytes:
        domain, struct = separator(exchange), struct_hash(order)
        if order["signatureType"] != 3:
            return self.key.sign(keccak(b"\x19\x01" + domain + struct))
        nested = (
            b"TypedDataSign(Order contents,string name,string version,uint256 chainId,address verifyingContract,"
            b"bytes32 salt)" + ORDER_TYPE
        )
        words = [
            keccak(nested),
            struct,
            keccak(b"DepositWallet"),
            keccak(b"1"),
            word(137),
            word(order["maker"]),
            word(0),
        ]
        inner = self.key.sign(keccak(b"\x19\x01" + domain + keccak(b"".join(words))))
        return inner + domain + struct + ORDER_TYPE + len(ORDER_TYPE).to_bytes(2)

    async def post(self, body: Mapping[str, Any]) -> Reply:
        return await self.ask("POST", "/order", body)


def struct_hash(order: Mapping[str, Any]) -> bytes:
    numbers = [int(order["tokenId"]), int(order["makerAmount"]), int(order["takerAmount"])]
    side = 0 if order["side"] == "BUY" else 1
    words = [keccak(ORDER_TYPE), word(order["salt"]), word(order["maker"]), word(order["signer"]), *map(word, numbers)]
    words += [word(side), word(order["signatureType"]), word(int(order["timestamp"]))]
    return keccak(b"".join([*words, word(order["metadata"]), word(order["builder"])]))


def order_id(body: Mapping[str, Any], exchange: str = "v2") -> str:
    return "0x" + keccak(b"\x19\x01" + separator(exchange) + struct_hash(body["order"])).hex()


async def ask(server: ClobServer, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> Reply:
    return await ask_at(server.open_socket, server.port, method, target, body, headers)


async def ask_at(
    open_socket: OpenSocket, port: int, method: str, target: str, body: bytes, headers: Mapping[str, str]
) -> Reply:
    protocol = h11.Connection(h11.CLIENT)
    stream = await open_socket("127.0.0.1", port)
    async with stream:
        length = (b"Content-Length", str(len(body)).encode())
        written = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        event: Any = h11.Request(method=method, target=target, headers=[(b"Host", b"venue"), length, *written])
        data = protocol.send(event) or b""
        data += (protocol.send(h11.Data(data=body)) or b"") + (protocol.send(h11.EndOfMessage()) or b"")
        await stream.send_all(data)
        head, got = None, bytearray()
        while True:
            await trio.lowlevel.checkpoint()
            event = protocol.next_event()
            if event is h11.NEED_DATA:
                protocol.receive_data(bytes(await stream.receive_some()))
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                got += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                told = {name.decode(): value.decode() for name, value in head.headers}
                return Reply(head.status_code, told, bytes(got))
            else:
                raise AssertionError(f"no answer, but {event}")


def levels(*written: tuple[str, str]) -> tuple[Level, ...]:
    return tuple(Level(Price.parse(price), Shares.parse(shares)) for price, shares in written)


def put_book(server: ClobServer, token: TokenId = YES, *, bids: Any = (), asks: Any = ()) -> None:
    """Let others offer this, the best first."""
    market = server.clob.market
    market.set_book(Book(token_id=token, bids=levels(*bids), asks=levels(*asks), at=market.now()))


def key_of(number: int) -> SecretKey:
    return SecretKey(number.to_bytes(32))


def wallet_of(server: ClobServer, key: SecretKey, kind: int = 0, usd: int = 1000, **more: Any) -> VenueWallet:
    """Name a key's wallet of a signature type, which is the key itself for type 0."""
    address = key.address if kind == 0 else "0x" + keccak(bytes.fromhex(key.address[2:]) + bytes([kind]))[:20].hex()
    return server.clob.put_wallet(address, owner=key.address, signature_type=kind, usd=usd, **more)


async def trader(server: ClobServer, number: int = 1, kind: int = 0, **more: Any) -> Trader:
    """Make a key, a wallet, and an API key."""
    key = key_of(number)
    made = Trader(server, key, wallet_of(server, key, kind, **more))
    made.api = (await made.ask("POST", "/auth/api-key", level=1)).json
    return made


@asynccontextmanager
async def open_venue(*, record: Path | None = None, **changes: Any) -> AsyncGenerator[ClobServer, None]:
    """Open a venue with one question without fees, unless facts are changed, and ten shares of each answer at 0.4 and 0.6."""
    wall: WallClock = wall_clock_from(NOW)
    async with open_virtual_clob_venue(wall, record=record) as server:
        server.clob.market.put(evolve(fact, **changes) for fact in FACTS)
        for token in (YES, NO):
            put_book(server, token, bids=[("0.4", "10")], asks=[("0.6", "10")])
        yield server
