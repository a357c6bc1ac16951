"""What the frames are fed to: every step from the bytes to the signals, and now and then a whole session."""

from collections import Counter
from contextlib import suppress

import trio
import trio.testing

from tests.builders import NOW, POLYGON, make_follow
from tests.fuzz.corpus import POOL, POOL_TOKENS, SUBSCRIPTION, SWAP_POOL, leaders
from tests.harness import make_test_plan
from trio_copy.chain import rpc
from trio_copy.chain.bloom import may_contain
from trio_copy.chain.decoders.erc1155 import CONDITIONAL_TOKENS, Erc1155Decoder
from trio_copy.chain.decoders.fpmm import FpmmDecoder
from trio_copy.chain.decoders.order_filled import EXCHANGE_V2, EXCHANGE_V3, OrderFilledDecoder
from trio_copy.chain.decoders.pool import PoolDecoder, PoolTable
from trio_copy.chain.decoders.resolutions import NEG_RISK_MODULE, ResolutionDecoder
from trio_copy.chain.feed import SCAN, SeenLog
from trio_copy.chain.filters import build_filters, passes
from trio_copy.chain.session import Session, open_session
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.gate.reader import LogReader
from trio_copy.errors import ChainError, MalformedFrame, RpcError, UndecodableLog
from trio_copy.model.follows import EVERYBODY, Follower, Followers, TermsOfFollows
from trio_copy.model.ids import ZERO_ADDRESS
from trio_copy.model.logs import RawLog
from trio_copy.ports import Decoder
from trio_copy.testing.devnet import DevChain, DevNode
from trio_copy.testing.virtual import run_virtually

_ALLOWED = (MalformedFrame, UndecodableLog, RpcError)


class Target:
    """The reading side without its sockets. Only what the contract allows may come out of it."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        wallets = leaders()
        exchanges = frozenset({EXCHANGE_V2, EXCHANGE_V3})
        decoders: list[Decoder] = [
            OrderFilledDecoder(exchanges),
            Erc1155Decoder(frozenset({CONDITIONAL_TOKENS}), exchanges, moves=True),
            FpmmDecoder({POOL: POOL_TOKENS}),
            PoolDecoder({SWAP_POOL: PoolTable(address=SWAP_POOL, outcome=POOL, collateral=SWAP_POOL)}),
            ResolutionDecoder(frozenset({CONDITIONAL_TOKENS}), frozenset({NEG_RISK_MODULE})),
        ]
        book = FollowBook(
            TermsOfFollows(followers=Followers({EVERYBODY: Follower(follower=EVERYBODY, executor="sim")}))
        )
        book.replace_all(make_follow(leader=wallet) for wallet in wallets)
        self._filters = build_filters(decoders, [*wallets, ZERO_ADDRESS], 100)
        self._reader = LogReader(
            decoders={topic: decoder for decoder in decoders for topic in decoder.topics},
            book=book,
            quarantine=self._put_aside,
            on_fill=lambda fill, signal_id, source: None,
        )
        self._reader.armed_block = -1
        self._fed = 0

    def feed(self, frame: bytes) -> None:
        """Read one frame to the end. Whatever this raises is a bug of what it was fed to."""
        self._fed += 1
        try:
            self._read(rpc.decode_frame(frame))
        except _ALLOWED as error:
            self.counts[type(error).__name__] += 1

    def _read(self, frame: rpc.Frame) -> None:
        self.counts[type(frame).__name__] += 1
        if isinstance(frame, rpc.Unreadable):
            return
        if isinstance(frame, rpc.ErrorReply | rpc.SubscriptionEnded):
            raise frame.error
        result, told = frame.result, bytes(frame.result).lstrip()
        if told.startswith(b"["):
            for entry in rpc.split_logs(result):
                try:
                    self._read_log(rpc.decode_log(entry, POLYGON), SCAN)
                except UndecodableLog:
                    self.counts["UndecodableLog"] += 1
        elif told.startswith(b"{") and b'"parentHash"' in told:
            block = rpc.decode_block(result)
            if block is not None:
                self.counts["block"] += 1
                for log_filter in self._filters:
                    may_contain(block.bloom, log_filter)
                self._reader.seal(block)
        elif told.startswith(b"{"):
            self._read_log(rpc.decode_log(result, POLYGON), "node")
        else:
            rpc.decode_block(result)
            rpc.decode_quantity(result)

    def _read_log(self, log: RawLog, source: str) -> None:
        self.counts["log"] += 1
        self.counts["passing"] += any(passes(log, log_filter) for log_filter in self._filters)
        if log.removed:
            self._reader.take_back(log)
        else:
            self.counts["signals"] += len(self._reader.read(SeenLog(log, source, NOW)))
            if self._fed % 7 == 0:
                self._reader.take_back(log)

    def _put_aside(self, kind: str, detail: str) -> None:
        self.counts[kind] += 1


def feed_session(frames: list[bytes], seed: int) -> int:
    """Send frames to a whole session, over a WebSocket in memory; returns how many notifications came through.

    The connection may end, with a `ChainError`, and nothing else may happen.
    """
    return run_virtually(_feed_session, frames, seed=seed)


async def _feed_session(frames: list[bytes]) -> int:
    node = DevNode(DevChain(POLYGON, lambda: NOW))
    settings = make_test_plan().settings.chain
    passed = 0
    async with trio.open_nursery() as nursery:

        async def dial(url: str) -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            ours, theirs = trio.testing.memory_stream_pair()
            nursery.start_soon(node.handle, theirs)
            return ours

        try:
            async with open_session(dial, "ws://node.test", settings, lambda kind, detail: None) as session:
                assert await session.subscribe("heads", "newHeads") == SUBSCRIPTION
                node.faults.deaf = True
                async with trio.open_nursery() as asking:
                    # Spoiled replies need something that they could be the answer of.
                    asking.start_soon(_ask, session)
                    for frame in frames:
                        node.send_to_all(frame)
                        await trio.testing.wait_all_tasks_blocked()
                        while await _took_one(session):
                            passed += 1
                    asking.cancel_scope.cancel()
        except ChainError:
            pass
        nursery.cancel_scope.cancel()
    return passed


async def _took_one(session: Session) -> bool:
    with trio.move_on_after(0):
        await session.notifications.take()
        return True
    return False


async def _ask(session: Session) -> None:
    while True:
        await trio.lowlevel.checkpoint()
        with suppress(RpcError):
            await session.request("eth_blockNumber")
