"""However two honest nodes tell a story, in whatever order, with whatever numbers, how often and through how many reorgs:
the signals that stand at the end are those of the chain, each once.
"""

from collections.abc import Callable, Iterator, Sequence
from random import Random

import pytest
from attrs import define, evolve, field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import LEADER, NOW, OTHER_LEADER, POLYGON, make_follow
from trio_copy.chain.decoders.order_filled import EXCHANGE_V2, OrderFilledDecoder
from trio_copy.chain.feed import SCAN, SeenLog
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.gate.reader import Fact, LogReader
from trio_copy.model.fills import Side
from trio_copy.model.follows import EVERYBODY, Follower, Followers, TermsOfFollows
from trio_copy.model.ids import Hash32, SignalId, TokenId
from trio_copy.model.logs import BlockRef, EqualLogs, LogName, RawLog
from trio_copy.model.signals import Signal
from trio_copy.model.units import NO_USD, Shares, Usd
from trio_copy.testing.devnet.chain import fake_hash
from trio_copy.testing.devnet.encode import order_filled_log
from trio_copy.testing.devnet.manners import Numbering
from trio_copy.testing.devnet.wire import numbered

_BLOCKS_ON_TOP = 6
AMOUNTS = ((100,), (100, 40), (40, 100), (100, 100), (100, 100, 100), (100, 40, 100))
"""Shares of each fill of one order in one transaction."""


@frozen
class Block:
    ref: BlockRef
    logs: tuple[RawLog, ...]


Version = tuple[Block, ...]
"""The chain as somebody saw it at some moment."""


@define
class Node:
    """Tells the truth, in numbers of its own."""

    name: str
    subscription_index: Numbering
    answer_index: Numbering
    tells_removed: bool
    numbers_repeat: bool = field(init=False)

    def __attrs_post_init__(self) -> None:
        # It has shown before that it numbers different logs alike. Until it has, equal logs under one number could as
        # well be one log, told twice, and nobody could tell.
        self.numbers_repeat = self.answer_index in (Numbering.ZERO, Numbering.SHARED)

    def told_by_subscription(self, block: Block) -> list[RawLog]:
        """Return a block's logs as a subscription brings them."""
        return [
            evolve(log, log_index=index) for log, index in numbered(block.logs, block.logs, self.subscription_index)
        ]

    def told_by_answer(self, blocks: Sequence[Block]) -> list[RawLog]:
        """Return the logs of blocks as one answer of `eth_getLogs` brings them, read as such."""
        told = [
            evolve(log, log_index=index)
            for block in blocks
            for log, index in numbered(block.logs, block.logs, self.answer_index)
        ]
        equals = EqualLogs(self.numbers_repeat)
        return [equals.numbered(log) for log in told]


@define
class Gate:
    """What stands, by signal: the blocks that it was told of in. As the stores do it."""

    blocks: dict[SignalId, set[Hash32]] = field(factory=dict)

    def admit(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            assert isinstance(fact, Signal)
            self.blocks.setdefault(fact.signal_id, set()).add(fact.block_hash)

    def retract(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            assert isinstance(fact, Signal)
            self.blocks.get(fact.signal_id, set()).discard(fact.block_hash)

    @property
    def standing(self) -> set[SignalId]:
        return {signal for signal, blocks in self.blocks.items() if blocks}


@define
class Scan:
    """The block scanner's part: what it has read of which blocks, through whichever node."""

    reader: LogReader
    gate: Gate
    nodes: list[Node]
    luck: Random
    view: Version = ()
    passed: dict[Hash32, dict[LogName, RawLog]] = field(factory=dict)

    def move_to(self, version: Version) -> None:
        """Follow a reorg, or the first blocks: take back from the newest, read and seal from the oldest."""
        kept = _common(self.view, version)
        for block in reversed(self.view[kept:]):
            for log in reversed(self.passed.pop(block.ref.hash).values()):
                self.gate.retract(self.reader.take_back(evolve(log, removed=True)))
        self.view = version
        for block in version[kept:]:
            self.passed[block.ref.hash] = {}
            self.read([block], self.luck.choice(self.nodes))
            self.gate.retract(self.reader.seal(block.ref))

    def read(self, blocks: Sequence[Block], node: Node) -> None:
        for log in node.told_by_answer(blocks):
            known = self.passed[log.block_hash]
            if log.name not in known:
                known[log.name] = log
                self.gate.admit(self.reader.read(SeenLog(log, SCAN, NOW)))

    def read_again(self, node: Node) -> None:
        self.read(self.view, node)

    def look_again(self, log: RawLog) -> None:
        """Somebody took a log back: it is read again, at once or at the next re-scan, from a node that has it or not."""
        self.passed.get(log.block_hash, {}).pop(log.name, None)
        if self.luck.random() < 0.5:
            self.read_again(self.luck.choice(self.nodes))


def _common(one: Version, other: Version) -> int:
    kept = 0
    while kept < min(len(one), len(other)) and one[kept] == other[kept]:
        kept += 1
    return kept


def _versions(luck: Random) -> list[Version]:
    """Draw how the chain was: up to four versions of up to three blocks, of the same few transactions."""
    txs = [
        (fake_hash("tx", number), luck.choice((LEADER, OTHER_LEADER)), luck.choice(AMOUNTS))
        for number in range(luck.randint(1, 4))
    ]
    versions: list[Version] = []
    for _ in range(luck.randint(1, 4)):
        if len(versions) > 1 and luck.random() < 0.3:
            versions.append(luck.choice(versions))  # a block that was taken back is on the chain again
            continue
        heights: list[list[int]] = [[] for _ in range(luck.randint(1, 3))]
        for number in range(len(txs)):
            if luck.random() < 0.8:
                luck.choice(heights).append(number)
        parent, blocks = fake_hash("genesis"), []
        for height, inside in enumerate(heights, start=1):
            blocks.append(_block(height, parent, [txs[number] for number in inside]))
            parent = blocks[-1].ref.hash
        versions.append(tuple(blocks))
    return versions


def _block(height: int, parent: Hash32, txs: Sequence[tuple[Hash32, object, tuple[int, ...]]]) -> Block:
    block_hash = fake_hash("block", height, parent, *(tx for tx, _, _ in txs))
    logs: list[RawLog] = []
    for tx_hash, owner, amounts in txs:
        for shares in amounts:
            emitted = order_filled_log(
                exchange=EXCHANGE_V2,
                order_hash=fake_hash("order of", tx_hash),
                owner=owner,  # type: ignore[arg-type]  # an address
                counterparty=EXCHANGE_V2,
                side=Side.BUY,
                token_id=TokenId(1),
                shares=Shares(shares * 1_000_000),
                notional=Usd(shares * 500_000),
                fee=NO_USD,
            )
            logs.append(
                RawLog(
                    chain_id=POLYGON,
                    address=emitted.address,
                    topics=tuple(map(Hash32, emitted.topics)),
                    data=emitted.data,
                    block_number=height,
                    block_hash=block_hash,
                    block_time=int(NOW),
                    tx_hash=tx_hash,
                    log_index=len(logs),
                )
            )
    return Block(BlockRef(number=height, hash=block_hash, parent=parent, time=int(NOW)), tuple(logs))


def _seen_of(versions: Sequence[Version], luck: Random) -> list[Version]:
    """Nobody has to see every version, but everybody sees the last."""
    return [version for version in versions[:-1] if luck.random() < 0.7] + [versions[-1]]


def _tellings(node: Node, versions: Sequence[Version], luck: Random) -> Iterator[RawLog]:
    """Yield what a node's subscription brings: each log, some of them again and again, and what is taken back."""
    view: Version = ()
    for version in versions:
        kept = _common(view, version)
        if node.tells_removed:
            for block in reversed(view[kept:]):
                yield from (evolve(log, removed=True) for log in reversed(node.told_by_subscription(block)))
        view, told = version, []
        for block in version[kept:]:
            for log in node.told_by_subscription(block):
                told.append(log)
                yield log
                while luck.random() < 0.25:
                    yield luck.choice(told)


def _new_reader() -> LogReader:
    book = FollowBook(TermsOfFollows(followers=Followers({EVERYBODY: Follower(follower=EVERYBODY, executor="sim")})))
    book.replace_all(make_follow(leader=leader) for leader in (LEADER, OTHER_LEADER))
    decoder = OrderFilledDecoder(frozenset({EXCHANGE_V2}))
    return LogReader(
        decoders=dict.fromkeys(decoder.topics, decoder),
        book=book,
        quarantine=lambda kind, detail: pytest.fail(f"{kind}: {detail}"),
        on_fill=lambda fill, signal_id, source: None,
        armed_block=0,
    )


def _expected(version: Version) -> set[SignalId]:
    """Return the signals of a chain that one node told once, in order, by place in the block."""
    node = Node("plain", Numbering.BLOCK, Numbering.BLOCK, tells_removed=True)
    gate = Gate()
    scan = Scan(_new_reader(), gate, [node], Random(0))
    scan.move_to(version)
    assert len(gate.standing) == sum(len(block.logs) for block in version)
    return gate.standing


def _play(luck: Random) -> tuple[set[SignalId], Version]:
    """Tell one story; return what stands at its end, and the chain at its end."""
    versions = _versions(luck)
    nodes = [
        Node(name, luck.choice(tuple(Numbering)), luck.choice(tuple(Numbering)), tells_removed=luck.random() < 0.7)
        for name in ("one", "two")
    ]
    reader, gate = _new_reader(), Gate()
    scan = Scan(reader, gate, nodes, luck)

    def tell(node: Node, log: RawLog) -> None:
        if log.removed:
            gate.retract(reader.take_back(log))
            scan.look_again(log)
        else:
            gate.admit(reader.read(SeenLog(log, node.name, NOW)))

    streams: list[list[Callable[[], None]]] = [
        [lambda version=version: scan.move_to(version) for version in _seen_of(versions, luck)]  # type: ignore[misc]
    ]
    for node in nodes:
        tellings = list(_tellings(node, _seen_of(versions, luck), luck))
        streams.append([lambda node=node, log=log: tell(node, log) for log in tellings])  # type: ignore[misc]
        streams.append([lambda node=node: scan.read_again(node)] * luck.randint(0, 2))  # type: ignore[misc]
    while any(streams):
        luck.choice([stream for stream in streams if stream]).pop(0)()
    # The chain goes on, past the highest block that anybody told of, and what is in the window is read again.
    on_top = versions[-1]
    for _ in range(_BLOCKS_ON_TOP):
        on_top = (*on_top, _block(len(on_top) + 1, on_top[-1].ref.hash, ()))
        scan.move_to(on_top)
    for node in nodes:
        scan.read_again(node)
    return gate.standing, versions[-1]


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**32))
def test_any_retelling_gives_the_signals_of_the_chain(story: int) -> None:
    """Interleaved, repeated, renumbered, taken back and mined again: nothing is missing, nothing is there twice."""
    standing, chain = _play(Random(story))

    assert standing == _expected(chain)


@pytest.mark.parametrize(
    "name",
    [
        lambda log: (log.block_hash, log.log_index),
        lambda log: (log.block_hash, log.tx_hash, log.topics, log.data),
        lambda log: (log.tx_hash, log.topics, log.data, log.nth),
    ],
    ids=["by number", "without the count", "without the block"],
)
def test_a_reader_that_knows_logs_by_something_else_is_caught(
    name: Callable[[RawLog], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stories tell such readers apart from a good one: each gets some of them wrong."""
    expected = [_expected(_versions(Random(story))[-1]) for story in range(100)]
    monkeypatch.setattr(RawLog, "name", property(name))

    assert any(_play(Random(story))[0] != expected[story] for story in range(100))
