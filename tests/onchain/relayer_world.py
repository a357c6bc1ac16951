"""A relayer, a chain that it carries actions to, a journal that may crash, and whoever asks: time is virtual."""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import msgspec
import trio
from attrs import define, field, frozen

from tests.builders import ALICE, NOW, POLYGON
from trio_copy.clock import wall_clock_from
from trio_copy.errors import ChainError, ConnectionLost, OrderNotSent
from trio_copy.model.decisions import Reason
from trio_copy.model.ids import Address, FollowerId, Hash32, IntentKey
from trio_copy.model.logs import BlockRef, RawLog
from trio_copy.model.orders import SignatureType, Wallet
from trio_copy.native import SecretKey
from trio_copy.ports import Act, ActReport, Deed, LogFilter, Purpose
from trio_copy.testing.relayer import Relayer, RelayerKey, RelayerServer, Submitted, open_virtual_relayer
from trio_copy.testing.relayer.requests import safe_hash
from trio_copy.transactions.calls import Call
from trio_copy.transactions.relayed import POLYMARKET, Relayed
from trio_copy_onchain.relayer.carrying import Carrier
from trio_copy_onchain.relayer.client import RelayerClient
from trio_copy_onchain.relayer.credentials import RelayerKey as OurKey
from trio_copy_onchain.relayer.http import Asker
from trio_copy_onchain.relayer.looking import Looker
from trio_copy_onchain.relayer.making import Maker
from trio_copy_onchain.relayer.proof import FAILURE, RELAYED, SUCCESS
from trio_copy_onchain.relayer.submitted import Action, actions_of
from trio_copy_onchain.relayer.wire import KINDS

KEY = SecretKey(b"\x21" * 32)
WALLET = Address("0x" + "5a" * 20)
CTF, USDC = Address("0x" + "c7" * 20), Address("0x" + "d0" * 20)
CALLS = (Call(to=USDC, data=b"\x01" * 68), Call(to=CTF, data=b"\x02" * 100))
FOREVER = NOW + 86_400


def intent(number: int) -> IntentKey:
    return IntentKey(sha256(bytes((number,))).hexdigest())


@frozen
class Mined:
    block: int
    tx_hash: Hash32
    submitted: Submitted | None
    """None for what somebody else did with the wallet."""
    how: str = "done"
    """Or "failed": the nonce is used and nothing else happened; "reverted": not even that; or "swallowed": nor that, though the
    transaction went through, as of a contract that tries its calls."""


@define(eq=False)
class WalletChain:
    """Blocks every two seconds, final two blocks later; each nonce of the wallet is taken once."""

    head: int = 100
    depth: int = 2
    block_s: float = 2.0
    how: str = "done"
    """What becomes of the next actions."""
    mined: list[Mined] = field(factory=list)
    still_shown: list[Mined] = field(factory=list)
    """What a reorg took back, and nodes go on showing."""
    blocks_hidden: bool = False
    """Whether nodes tell of no block."""
    blocks_contested: bool = False
    """Whether one node has another block everywhere."""
    carried: list[Submitted] = field(factory=list)
    away: bool = False
    names: Sequence[str] = ("node-1", "node-2")

    # What the relayer needs of it

    async def nonce(self, kind: str, owner: Address, wallet: Address) -> int:
        await trio.lowlevel.checkpoint()
        return self.used(self.head)

    async def carry(self, submitted: Submitted) -> Hash32:
        await trio.lowlevel.checkpoint()
        self.carried.append(submitted)
        tx_hash = Hash32("0x" + sha256(submitted.signature + bytes((len(self.carried),))).hexdigest())
        how = self.how if submitted.nonce == self.used(self.head) else "reverted"
        self.mine(Mined(self.head + 1, tx_hash, submitted, how))
        return tx_hash

    async def succeeded(self, tx_hash: Hash32) -> bool:
        await trio.lowlevel.checkpoint()
        return all(one.how in ("done", "swallowed") for one in self.mined if one.tx_hash == tx_hash)

    # What happens on it

    def mine(self, one: Mined) -> None:
        self.head += 1
        self.mined.append(one)

    def use_nonce(self) -> None:
        """Have somebody else use the wallet's nonce."""
        number = len(self.mined)
        self.mine(Mined(self.head + 1, Hash32(f"0x{number:064x}"), None))

    def reorg(self, *, still_shown: bool = False) -> None:
        """Take the newest action back, with all blocks since; nodes may go on showing it."""
        taken_back = self.mined.pop()
        self.head = taken_back.block - 1
        self.still_shown += [taken_back] if still_shown else []

    async def run(self) -> None:
        while True:
            await trio.sleep(self.block_s)
            self.head += 1

    def used(self, block: int) -> int:
        return sum(one.block <= block and one.how not in ("reverted", "swallowed") for one in self.mined)

    @property
    def done(self) -> list[Submitted]:
        """What the wallet did, as the chain sees it."""
        return [one.submitted for one in self.mined if one.submitted is not None and one.how == "done"]

    # What the nodes tell of it

    @property
    def final(self) -> int:
        return self.head - self.depth

    async def ask(self, method: str, params: Sequence[object], until: float) -> bytes:
        await trio.lowlevel.checkpoint()
        if self.away:
            raise ConnectionLost("no node is connected")
        return msgspec.json.encode(self._told(method, params))

    async def ask_all(self, method: str, params: Sequence[object], until: float) -> Mapping[str, bytes | ChainError]:
        try:
            told: bytes | ChainError = await self.ask(method, params, until)
        except ChainError as error:
            told = error
        answers = dict.fromkeys(self.names, told)
        if method == "eth_getBlockByNumber" and self.blocks_contested:
            answers[self.names[-1]] = msgspec.json.encode({"hash": _block_hash(_ELSEWHERE + int(str(params[0]), 16))})
        return answers

    async def block(self, which: str, until: float) -> BlockRef:
        await self.ask("", (), until)
        number = {"latest": self.head, "finalized": self.final}[which]
        return BlockRef(number=number, hash=_block_hash(number), parent=_block_hash(number - 1), time=0)

    async def logs(self, log_filter: LogFilter, start: int, stop: int, until: float) -> Sequence[RawLog]:
        await self.ask("", (), until)
        found = [self._log(one) for one in self.mined if start <= one.block <= stop and one.how != "reverted"]
        (topics,) = log_filter.topics
        return [log for log in found if log.address in log_filter.addresses and log.topics[0] in (topics or ())]

    def _told(self, method: str, params: Sequence[Any]) -> object:
        match method:
            case "eth_call":
                block = self.head if params[1] == "latest" else int(params[1], 16)
                return f"0x{self.used(block):064x}"
            case "eth_getTransactionReceipt":
                return next((self._receipt(one) for one in self._shown if one.tx_hash == params[0]), None)
            case "eth_getTransactionByHash":
                return next((self._transaction(one) for one in self._shown if one.tx_hash == params[0]), None)
            case "eth_getBlockByNumber" if not self.blocks_hidden:
                number = int(params[0], 16)
                inside = [one for one in self.mined if one.block == number]
                return {"hash": _block_hash(number), "transactions": [self._transaction(one) for one in inside]}
            case "eth_estimateGas":
                return hex(123_456)
        return None

    @property
    def _shown(self) -> Sequence[Mined]:
        return *self.mined, *self.still_shown

    def _transaction(self, one: Mined) -> dict[str, str]:
        calldata = b"" if one.submitted is None else b"\xee" * 100 + one.submitted.signature + b"\xee" * 31
        return {"hash": one.tx_hash, "input": "0x" + calldata.hex()}

    def _receipt(self, one: Mined) -> dict[str, object]:
        log = self._log(one)
        row = {
            "address": log.address, "topics": log.topics, "data": "0x" + log.data.hex(), "logIndex": "0x0",
            "transactionHash": one.tx_hash, "blockHash": log.block_hash,
        }  # fmt: skip
        reverted = one.how == "reverted"
        return {
            "transactionHash": one.tx_hash, "blockNumber": hex(one.block), "blockHash": log.block_hash,
            "status": hex(not reverted), "gasUsed": "0x5208", "logs": [] if reverted else [row],
        }  # fmt: skip

    def _log(self, one: Mined) -> RawLog:
        submitted = one.submitted
        address, data = WALLET, bytes(64)
        topics: tuple[Hash32, ...] = (SUCCESS if one.how == "done" else FAILURE,)
        if submitted is not None and submitted.kind == "SAFE":
            data = safe_hash(submitted, POLYGON) + bytes(32)
        if submitted is not None and submitted.kind == "PROXY":
            address, status = POLYMARKET.relay_hub, int(one.how != "done")
            owner = Hash32("0x" + "0" * 24 + submitted.owner[2:])
            topics, data = (RELAYED, owner, owner, owner), bytes(32) + status.to_bytes(32) + bytes(32)
        branch = _ELSEWHERE if one in self.still_shown else 0
        return RawLog(
            chain_id=POLYGON, address=address, topics=topics, data=data, block_number=one.block,
            block_hash=_block_hash(branch + one.block), block_time=None, tx_hash=one.tx_hash, log_index=0,
        )  # fmt: skip


_ELSEWHERE = 1 << 40
"""Tells the blocks of another branch from those of the chain."""


def _block_hash(number: int) -> Hash32:
    return Hash32(f"0x{number:064x}")


@define(eq=False)
class Documents:
    """A journal of one shard: what was put is lost in a crash, until somebody has waited for it."""

    shard: int = 0
    durable: dict[str, bytes] = field(factory=dict)
    now: dict[str, bytes] = field(factory=dict)
    lost: bool = False
    """Whether somebody else owns the shard."""

    def documents(self) -> Mapping[str, bytes]:
        return self.now

    def put(self, name: str, body: bytes | None) -> None:
        if body is None:
            self.now.pop(name, None)
        else:
            self.now[name] = body

    async def wait_durable(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.lost:
            raise OrderNotSent("somebody else owns the shard")
        self.durable = dict(self.now)

    def covers(self, follower: FollowerId) -> bool:
        return True

    def open_keys(self) -> Set[IntentKey]:
        return set()

    def crash(self) -> None:
        self.now = dict(self.durable)

    def actions(self) -> dict[IntentKey, Action]:
        return dict(actions_of(self.now, POLYGON, WALLET))


@define(eq=False)
class RelayedSigner:
    key: SecretKey = KEY
    refuses: Reason | None = None
    signed: list[Relayed] = field(factory=list)
    armed_at: float = 0.0

    @property
    def address(self) -> Address:
        return self.key.address

    def sign_relayed(self, relayed: Relayed, purpose: Purpose) -> bytes | Reason:
        self.signed.append(relayed)
        return self.key.sign(relayed.digest) if self.refuses is None else self.refuses


@define(eq=False)
class World:
    """One wallet, and its follower's process, which may die."""

    server: RelayerServer
    chain: WalletChain
    kind: SignatureType
    journal: Documents = field(factory=Documents)
    signer: RelayedSigner = field(factory=RelayedSigner)
    troubles: list[tuple[str, str]] = field(factory=list)
    carrier: Carrier = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.begin()

    @property
    def relayer(self) -> Relayer:
        return self.server.relayer

    def begin(self) -> None:
        """Begin a process: all that it knows is in the journal."""
        wall = wall_clock_from(NOW) if not hasattr(self, "carrier") else self.carrier.wall
        client = RelayerClient(
            asker=Asker(url=self.server.address, open_socket=self.server.open_socket),
            credentials=OurKey(key="k" * 20, address=KEY.address),
            wall=wall,
            timeout_s=10.0,
        )
        looker = Looker(nodes=self.chain, chain_id=POLYGON)
        self.carrier = Carrier(
            client=client, looker=looker, wall=wall, poll_s=2.0,
            maker=Maker(client=client, looker=looker, wall=wall, proxy_gas=2_000_000),
            on_trouble=lambda kind, detail: self.troubles.append((kind, detail)),
        )  # fmt: skip
        self.carrier.open_journal(self.journal)

    def restart(self) -> None:
        self.journal.crash()
        self.begin()

    def act(self, number: int = 1, calls: tuple[Call, ...] = CALLS, until: float = FOREVER) -> Act:
        wallet = Wallet(follower=ALICE, address=WALLET, name="alice", signature_type=self.kind)
        return Act(key=intent(number), wallet=wallet, deed=Deed.REDEEM, calls=calls, until=until)

    async def carry(self, number: int = 1, within_s: float = 60.0, **more: Any) -> ActReport:
        with trio.move_on_after(within_s):
            return await self.carrier.carry(self.act(number, **more), self.signer)  # type: ignore[arg-type]
        raise AssertionError("expected an answer before the time is over")

    def submits(self) -> Collection[int]:
        return [status for method, path, status in self.server.http.asked if path == "/submit"]


@asynccontextmanager
async def open_world(kind: SignatureType = SignatureType.SAFE) -> AsyncGenerator[World, None]:
    chain, now = WalletChain(), wall_clock_from(NOW)
    relayer = Relayer(
        now=now, chain_id=POLYGON, chain=chain, keys=[RelayerKey(key="k" * 20, address=KEY.address)]
    )  # fmt: skip
    relayer.add_wallet(KINDS[kind], KEY.address, WALLET)
    async with trio.open_nursery() as nursery, open_virtual_relayer(relayer) as server:
        nursery.start_soon(chain.run)  # noqa: ASYNC113  blocks may come a moment later
        yield World(server, chain, kind)
        nursery.cancel_scope.cancel()
