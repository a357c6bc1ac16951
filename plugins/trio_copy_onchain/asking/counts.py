"""How many nonces of an operator are used, of what several nodes say."""

from collections.abc import Iterable

import msgspec
from attrs import frozen

from trio_copy.model.ids import Hash32
from trio_copy_onchain.tx.wire import Number, hash_of, number_of

_MOST = (1 << 63) - 1


@frozen(kw_only=True)
class Counts:
    """Of one operator; see `commands.See`."""

    latest: int
    """Nonces that are used at the head."""
    foremost: int
    """The same as the node says that has seen most: of no later nonce is there a receipt anywhere."""
    pending: int
    """The same with what waits in a pool."""
    final: int
    """Nonces that are used in final blocks."""
    final_block: int
    """The newest final block: final receipts lie in it or before it."""
    tellers: frozenset[str] = frozenset()
    """Which nodes say all of this. What another one does not have proves nothing: it may not have come so far."""


class _Header(msgspec.Struct):
    number: Number


def read_number(result: bytes, most: int = _MOST) -> int:
    """Read a single quantity. Raises `ValueError`, or what msgspec does."""
    return number_of(msgspec.json.decode(result, type=Number), most)


def read_height(result: bytes) -> int:
    """Read a block's number from the block; a node that does not know it answers null. Raises `ValueError`, or what msgspec does."""
    return number_of(msgspec.json.decode(result, type=_Header).number, _MOST)


class _Block(msgspec.Struct):
    hash: str


def read_block_hash(result: bytes) -> Hash32:
    """Read a block's hash from the block; a node that does not know it answers null. Raises `ValueError`, or what msgspec does."""
    return hash_of(msgspec.json.decode(result, type=_Block).hash)


def counts_of(latest: int, pending: int, final: int, final_block: int) -> Counts:
    """Return what one node says. Its answers came one by one, and blocks in between: what would contradict is the lesser."""
    return Counts(
        latest=latest,
        foremost=latest,
        pending=max(pending, latest),
        final=min(final, latest),
        final_block=final_block,
    )


def least(told: Iterable[Counts]) -> Counts:
    """Return the least of each: it only delays. Too much would skip nonces, or take for final what is not.

    Only what is looked for goes by the foremost node: one that is stuck must not hide what the others have seen.
    """
    all_told = list(told)
    return Counts(
        latest=min(counts.latest for counts in all_told),
        foremost=max(counts.foremost for counts in all_told),
        pending=min(counts.pending for counts in all_told),
        final=min(counts.final for counts in all_told),
        final_block=min(counts.final_block for counts in all_told),
    )
