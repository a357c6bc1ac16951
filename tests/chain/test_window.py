"""What is new and what was taken back, decided without I/O."""

import pytest
from attrs import evolve

from tests.builders import POLYGON, hash_of
from trio_copy.chain.bloom import _wanted_bits, may_contain
from trio_copy.chain.window import BlockWindow
from trio_copy.model.ids import Address
from trio_copy.model.logs import BlockRef, RawLog
from trio_copy.ports import LogFilter
from trio_copy.transactions.bloom import bloom_over


def block(number: int, fork: int = 0, parent_fork: int = 0) -> BlockRef:
    return BlockRef(
        number=number, hash=hash_of(number * 10 + fork), parent=hash_of((number - 1) * 10 + parent_fork), time=1
    )


def log_in(ref: BlockRef, index: int) -> RawLog:
    return RawLog(
        chain_id=POLYGON,
        address=Address("0x" + "11" * 20),
        topics=(),
        data=b"",
        block_number=ref.number,
        block_hash=ref.hash,
        block_time=1,
        tx_hash=hash_of(index),
        log_index=index,
    )


def window_of(count: int, size: int = 10) -> BlockWindow:
    window = BlockWindow(size)
    for number in range(1, count + 1):
        window.append(block(number))
    return window


def test_cutting_takes_logs_back_newest_first() -> None:
    """A reorg undoes in the opposite order of doing."""
    window = window_of(3)
    window.note([log_in(block(2), 0), log_in(block(3), 0), log_in(block(3), 1)])
    blocks, logs = window.cut(block(1).hash)

    assert [ref.number for ref in blocks] == [3, 2]
    assert [(log.block_number, log.log_index) for log in logs] == [(3, 1), (3, 0), (2, 0)]
    assert window.tip == block(1)


def test_only_children_of_the_tip_go_on_top() -> None:
    """The window is always one chain."""
    with pytest.raises(ValueError, match="expected a child of block 3"):
        window_of(3).append(evolve(block(4), parent=hash_of(99)))


def test_the_oldest_falls_out() -> None:
    """Memory is bounded by the window's size."""
    window = window_of(20, size=5)

    assert (window.oldest, window.tip) == (block(16), block(20))
    assert block(15).hash not in window


def test_notes_return_only_what_is_new() -> None:
    """A re-scan finds what was missed and nothing else; logs of foreign blocks are not ours."""
    window = window_of(3)
    window.note([log_in(block(3), 0)])

    assert [
        log.log_index for log in window.note([log_in(block(3), 0), log_in(block(3), 1), log_in(block(3, fork=1), 2)])
    ] == [1]


def test_a_bloom_excludes_with_certainty_only() -> None:
    """What is in the block is never excluded; what is not may be."""
    inside, outside = Address("0x" + "11" * 20), Address("0x" + "22" * 20)
    bloom = bloom_over([inside, hash_of(5)])

    assert may_contain(bloom, LogFilter(addresses=(outside, inside), topics=((hash_of(5),), None)))
    assert not may_contain(bloom, LogFilter(addresses=(outside,), topics=()))
    assert not may_contain(bloom, LogFilter(addresses=(), topics=(None, (hash_of(6),))))


def test_what_logs_hold_leaves_nothing_behind() -> None:
    """Each order has a topic that never comes again: only what filters name is remembered with its bits."""
    before = _wanted_bits.cache_info().currsize
    bloom = bloom_over(hash_of(number) for number in range(10_000, 10_100))

    assert _wanted_bits.cache_info().currsize == before
    assert may_contain(bloom, LogFilter(addresses=(), topics=((hash_of(10_099),),)))
    assert _wanted_bits.cache_info().currsize == before + 1
