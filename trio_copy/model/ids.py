"""Identities, derived and never drawn, so that two instances that disagree on everything still send the same order.

    signal_id  = H(chain id, exchange, leader's order hash, tx hash, what was filled, k)
    task_id    = H(signal_id, follower); of what an exit leaves for later, H(intent key)
    intent key = H(task_id, attempt)
    salt       = first 48 bits of the intent key (a JSON number must stay under 2^53)

Neither the log index nor the block hash takes part: both change when a transaction is mined again after a reorg.
H is SHA-256 over a tag and the fields joined by "|"; no field can hold that character, so no two tuples collide.
"""

from functools import lru_cache
from hashlib import sha256
from typing import NewType

Address = NewType("Address", str)
"""0x and 40 lower-case hex digits."""
Hash32 = NewType("Hash32", str)
"""0x and 64 lower-case hex digits: a block, transaction or order hash, or a log topic."""
TokenId = NewType("TokenId", int)
"""One outcome token, a uint256."""
ChainId = NewType("ChainId", int)
SignalId = NewType("SignalId", str)
TaskId = NewType("TaskId", str)
IntentKey = NewType("IntentKey", str)
OrderId = NewType("OrderId", str)
FollowerId = NewType("FollowerId", str)
FollowKey = tuple[FollowerId, Address]
"""Names a follow: who copies, and whom."""

ZERO_ADDRESS = Address("0x" + "0" * 40)
_HEX = frozenset("0123456789abcdef")


def parse_address(text: str) -> Address:
    """Read an address of any letter case; its checksum is not looked at here.

    Raises:
        ValueError: not 0x and 40 hex digits.
    """
    return Address(_fixed_hex(text, 40, "an address"))


def _fixed_hex(text: str, digits: int, what: str) -> str:
    lower = text.lower()
    if len(lower) != digits + 2 or not lower.startswith("0x") or not _HEX.issuperset(lower[2:]):
        raise ValueError(f'expected {what}, 0x and {digits} hex digits, got "{text[:80]}"')
    return lower


@lru_cache(maxsize=4096)
def token_text(token_id: TokenId) -> str:
    """Write a token id; each is written several times for one copy, and has 77 digits."""
    return str(token_id)


def _digest(*fields: object) -> str:
    return sha256("|".join(map(str, fields)).encode()).hexdigest()


def second_signal_id(signal_id: SignalId) -> SignalId:
    """Name a trade whose own name was given to an equal one in another transaction, which a reorg brought first."""
    return SignalId(_digest("sig2s", signal_id))


Filled = tuple[int | None, ...]
"""What was filled, in the log's own words: shares, notional and fee in millionths; None for what it does not say."""


def order_signal_id(
    chain_id: ChainId, exchange: Address, order_hash: Hash32, tx_hash: Hash32, filled: Filled, k: int
) -> SignalId:
    """Name the fill of an order: `k` counts the fills of one transaction that are equal in everything else."""
    return SignalId(_digest("sig2", chain_id, exchange, order_hash, tx_hash, *filled, k))


def transfer_signal_id(
    chain_id: ChainId,
    contract: Address,
    tx_hash: Hash32,
    operator: Address,
    sender: Address,
    recipient: Address,
    token_id: TokenId,
    side: str,
    filled: Filled,
    k: int,
) -> SignalId:
    """Name one owner's side of a transfer, or of an AMM's trade; `k` as for an order.

    The side takes part because one transfer between two leaders is a SELL of one and a BUY of the other.
    """
    moved = (operator, sender, recipient, token_id, side)
    return SignalId(_digest("sig2t", chain_id, contract, tx_hash, *moved, *filled, k))


def task_id(signal_id: SignalId, follower: FollowerId) -> TaskId:
    return TaskId(sha256(f"tsk1|{signal_id}|{follower}".encode()).hexdigest())


def intent_key(task: TaskId, attempt: int) -> IntentKey:
    return IntentKey(sha256(f"int1|{task}|{attempt}".encode()).hexdigest())


def rest_id(key: IntentKey) -> TaskId:
    """Name the task that sells what an attempt of an exit had to leave for later."""
    return TaskId(sha256(f"rst1|{key}".encode()).hexdigest())


def salt(key: IntentKey) -> int:
    """Return the first 48 bits of the key: fits a JSON number, equal wherever the order is built."""
    return int(key[:12], 16)
