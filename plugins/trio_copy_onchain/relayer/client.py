"""What can be asked of a relayer, typed: answers are read strictly, refusals by their texts."""

import re
from enum import Enum

import msgspec
import trio
from attrs import define, frozen

from trio_copy.clock import WallClock
from trio_copy.model.ids import Address, Hash32, parse_address
from trio_copy.model.orders import SignatureType
from trio_copy_onchain.relayer.credentials import Credentials
from trio_copy_onchain.relayer.http import Asker, NoReply, Reply
from trio_copy_onchain.relayer.texts import Refusal, Row, read_refusal
from trio_copy_onchain.relayer.wire import KINDS, checksummed
from trio_copy_onchain.tx.wire import MISREAD, hash_of

_ID = re.compile(r"[0-9A-Za-z_-]{1,100}")
_NUMBER = re.compile(r"[0-9]{1,78}")
_OK, _CREATED, _NOT_FOUND = 200, 201, 404


class State(Enum):
    """How far the relayer says that an action has come."""

    NEW = "STATE_NEW"
    EXECUTED = "STATE_EXECUTED"
    MINED = "STATE_MINED"
    CONFIRMED = "STATE_CONFIRMED"
    FAILED = "STATE_FAILED"
    INVALID = "STATE_INVALID"

    __hash__ = object.__hash__

    @property
    def given_up(self) -> bool:
        return self in (State.FAILED, State.INVALID)


@frozen(kw_only=True)
class Params:
    address: Address
    """Of a proxy wallet: who carries its calls."""
    nonce: int


@frozen(kw_only=True)
class Told:
    """What the relayer says of an action: a hint, until the chain shows it."""

    transaction_id: str
    state: State
    tx_hash: Hash32 | None = None
    words: str = ""
    """Why it failed."""


class _Params(msgspec.Struct):
    address: str
    nonce: str


class _Taken(msgspec.Struct):
    state: str
    transaction_id: str = msgspec.field(name="transactionID")
    transaction_hash: str | None = msgspec.field(name="transactionHash", default=None)


class _Transaction(msgspec.Struct):
    state: str
    transaction_id: str
    transaction_hash: str | None = None
    error_msg: str | None = None


@define(eq=False, kw_only=True)
class RelayerClient:
    asker: Asker
    credentials: Credentials
    wall: WallClock
    timeout_s: float

    async def params(self, kind: SignatureType, owner: Address, until: float) -> Params | Refusal:
        """Ask what the next action of an owner's wallet is made with."""
        path = "/relay-payload" if kind is SignatureType.PROXY else "/v1/account/transactions/params"
        reply = await self._ask("GET", path, until, params=(("address", checksummed(owner)), ("type", KINDS[kind])))
        return reply if isinstance(reply, Refusal) else read_params(reply.body)

    async def submit(self, body: bytes, until: float) -> Told | Refusal:
        """Hand an action over. Cancelled, or answered by nothing that is known, it may have been taken."""
        reply = await self._ask("POST", "/submit", until, content=body)
        return reply if isinstance(reply, Refusal) else read_taken(reply.body)

    async def transaction(self, transaction_id: str, until: float) -> Told | Refusal | None:
        """Ask how far an action has come; None where the relayer knows of none."""
        reply = await self._ask("GET", f"/v1/account/transactions/{transaction_id}", until, knows=False)
        if isinstance(reply, Refusal):
            return reply
        if reply.status == _NOT_FOUND:
            return None
        return read_transaction(reply.body, transaction_id)

    async def _ask(
        self,
        method: str,
        path: str,
        until: float,
        *,
        params: tuple[tuple[str, str], ...] = (),
        content: bytes = b"",
        knows: bool = True,
    ) -> Reply | Refusal:
        headers = self.credentials.headers(method, path, content, self.wall())
        until = min(until, trio.current_time() + self.timeout_s)
        reply = await self.asker.ask(method, path, until=until, headers=headers, params=params, content=content)
        if isinstance(reply, NoReply):
            return Refusal(row=Row.UNKNOWN if reply.sent else Row.UNREACHED, words=reply.why)
        if reply.status in (_OK, _CREATED) or (not knows and reply.status == _NOT_FOUND):
            return reply
        return read_refusal(reply.status, reply.body, reply.retry_after)


def read_params(body: bytes) -> Params | Refusal:
    try:
        told = msgspec.json.decode(body, type=_Params)
        if not _NUMBER.fullmatch(told.nonce):
            raise ValueError("expected a nonce of digits")
        return Params(address=parse_address(told.address), nonce=int(told.nonce))
    except MISREAD as error:
        return _misread(error)


def read_taken(body: bytes) -> Told | Refusal:
    try:
        told = msgspec.json.decode(body, type=_Taken)
        return _told(told.transaction_id, told.state, told.transaction_hash, "")
    except MISREAD as error:
        return _misread(error)


def read_transaction(body: bytes, transaction_id: str) -> Told | Refusal:
    try:
        told = msgspec.json.decode(body, type=_Transaction)
        if told.transaction_id != transaction_id:
            raise ValueError("expected the action that was asked for")
        return _told(transaction_id, told.state, told.transaction_hash, told.error_msg or "")
    except MISREAD as error:
        return _misread(error)


def _told(transaction_id: str, state: str, tx_hash: str | None, words: str) -> Told:
    """Raises `ValueError` for an id that could not be asked for, a state that is none, or a hash that is none."""
    if not _ID.fullmatch(transaction_id):
        raise ValueError("expected an id of letters and digits")
    line = "".join(letter if letter.isprintable() else " " for letter in words[:200]).strip()
    found = hash_of(tx_hash) if tx_hash else None
    return Told(transaction_id=transaction_id, state=State(state), tx_hash=found, words=line)


def _misread(error: Exception) -> Refusal:
    return Refusal(row=Row.UNKNOWN, words=f"an answer that cannot be read: {str(error)[:100]}")
