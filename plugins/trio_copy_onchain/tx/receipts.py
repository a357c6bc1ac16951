"""What the chain shows of a transaction, as nodes tell it: its receipt, that there is none, and why it failed.

Whatever a node sends is checked against what was asked for. A receipt with one log that cannot be read is none: amounts are
added up from all of them. That there is no receipt proves nothing, for nodes write them down late: see `read_used`.
"""

from collections.abc import Collection, Mapping
from enum import Enum

import msgspec
from attrs import frozen

from trio_copy.errors import RpcError
from trio_copy.model.ids import Address, ChainId, Hash32
from trio_copy.model.logs import RawLog
from trio_copy.transactions.bloom import bloom_over
from trio_copy_onchain.tx.answers import Told, is_price
from trio_copy_onchain.tx.reverts import Lacks, Revert, read_revert, reason_of
from trio_copy_onchain.tx.sendings import Sending
from trio_copy_onchain.tx.texts import PRICE_REASONS
from trio_copy_onchain.tx.wire import MISREAD, Number, address_of, bytes_of, hash_of, number_of

_MOST_PLACE = (1 << 63) - 1
_MOST_LOGS = 5_000
_MOST_TOPICS = 4
_BLOOM_DIGITS = 2 + 512
_MOST_DATA = 1 << 20
_GAS_OF_CALLS = 15, 16
"""A call within a call gets all but a sixty-fourth of what is left: where the fourth one ran out, so much is used."""


@frozen(kw_only=True)
class Receipt:
    tx_hash: Hash32
    block_number: int
    block_hash: Hash32
    succeeded: bool
    """False where it was refused within the block: the nonce is used and the gas paid, and nothing else has happened."""
    gas_used: int
    price: int | None
    """Paid per gas, in wei; None where the node does not tell."""
    logs: tuple[RawLog, ...] = ()
    everywhere: bool = False
    """Whether several nodes, and all that there are, have told it of this block: then it is as sure as the block."""
    contested: bool = False
    """Whether one node alone has it while another says that there is none, or any has it in another block. Near the head that
    is usual."""
    elsewhere: bool = False
    """Whether any has it in another block."""
    denied_by: frozenset[str] = frozenset()
    """The nodes that say that there is none, and whose word counts."""
    whole: bool = False
    """Whether its bloom was told, and is that of its logs: none is missing."""


def cost_of(sending: Sending | None, receipt: Receipt) -> int:
    """Return what its gas has cost, in wei. A node that does not tell the price has taken no more than was offered."""
    offered = 0 if sending is None else sending.fees.max_fee
    return receipt.gas_used * (offered if receipt.price is None else receipt.price)


class _Log(msgspec.Struct, rename="camel"):
    address: str
    topics: list[str]
    data: str
    log_index: Number
    transaction_hash: str
    block_hash: str
    removed: bool | None = False


class _Receipt(msgspec.Struct, rename="camel"):
    transaction_hash: str
    block_number: Number
    block_hash: str
    status: Number
    gas_used: Number
    logs: list[_Log]
    effective_gas_price: Number | None = None
    logs_bloom: str | None = None


class _Known(msgspec.Struct):
    hash: str


class _Used(msgspec.Struct):
    hash: str
    nonce: Number
    sender: str = msgspec.field(name="from")


class _Block(msgspec.Struct):
    transactions: list[_Used]


class _Trace(msgspec.Struct):
    output: str = "0x"
    error: str = ""


def read_receipt(result: bytes | msgspec.Raw, tx_hash: Hash32, chain_id: ChainId) -> Receipt | None:
    """Read the answer to `eth_getTransactionReceipt`; None where the node has none.

    Raises:
        ValueError: it is not the receipt of this transaction, or a part of it cannot be read.
    """
    try:
        told = msgspec.json.decode(result, type=_Receipt | None)
        if told is None:
            return None
        block, place = hash_of(told.block_hash), number_of(told.block_number, _MOST_PLACE)
        if hash_of(told.transaction_hash) != tx_hash or len(told.logs) > _MOST_LOGS:
            raise ValueError(
                f"expected that of {tx_hash}, with at most {_MOST_LOGS} logs, got {told.transaction_hash[:80]}"
            )
        price = told.effective_gas_price
        logs, whole = tuple(_log(log, tx_hash, block, place, chain_id) for log in told.logs), False
        if told.logs_bloom is not None and len(told.logs_bloom) == _BLOOM_DIGITS:
            bloom, shown = (
                int(told.logs_bloom, 16),
                bloom_over(name for log in logs for name in (log.address, *log.topics)),
            )
            # Amounts are added up from all logs: a node that shows some of them makes a purchase smaller, or none.
            if bloom & ~shown:
                raise ValueError(f"expected all logs of {tx_hash}, got {len(logs)}, and a bloom of more")
            whole = bloom == shown
        return Receipt(
            tx_hash=tx_hash,
            block_number=place,
            block_hash=block,
            succeeded=bool(number_of(told.status, 1)),
            gas_used=number_of(told.gas_used, _MOST_PLACE),
            price=None if price is None else number_of(price),
            logs=logs,
            whole=whole,
        )
    except MISREAD as error:
        raise ValueError(f"receipt: {error}") from None


def _log(told: _Log, tx_hash: Hash32, block: Hash32, place: int, chain_id: ChainId) -> RawLog:
    if told.removed or len(told.topics) > _MOST_TOPICS or hash_of(told.transaction_hash) != tx_hash:
        raise ValueError("expected logs of this transaction that stand")
    if hash_of(told.block_hash) != block:
        raise ValueError("expected logs of the receipt's own block")
    return RawLog(
        chain_id=chain_id,
        address=address_of(told.address),
        topics=tuple(map(hash_of, told.topics)),
        data=bytes_of(told.data or "0x", _MOST_DATA),
        block_number=place,
        block_hash=block,
        block_time=None,
        tx_hash=tx_hash,
        log_index=number_of(told.log_index, _MOST_PLACE),
    )


def read_known(result: bytes | msgspec.Raw, tx_hash: Hash32) -> bool:
    """Read from the answer to `eth_getTransactionByHash` whether a node has a transaction, mined or not. Raises `ValueError`."""
    try:
        told = msgspec.json.decode(result, type=_Known | None)
        if told is not None and hash_of(told.hash) != tx_hash:
            raise ValueError(f"expected {tx_hash}, got {told.hash[:80]}")
    except MISREAD as error:
        raise ValueError(f"transaction: {error}") from None
    return told is not None


def read_used(result: bytes | msgspec.Raw, wallet: Address) -> Mapping[int, Hash32]:
    """Read from a block with its whole transactions which of them used which nonce of a wallet.

    In a final block, this proves who used a nonce, and so who never will. Raises `ValueError`.
    """
    try:
        sent = msgspec.json.decode(result, type=_Block).transactions
        ours = [told for told in sent if address_of(told.sender) == wallet]
        return {number_of(told.nonce, _MOST_PLACE): hash_of(told.hash) for told in ours}
    except MISREAD as error:
        raise ValueError(f"block: {error}") from None


class Standing(Enum):
    """Where a transaction stands."""

    DONE = "mined, and it did what it should"
    FAILED = "mined, and refused within the block"
    PENDING = "a node has it, and no block"
    DROPPED = "no node has it: the same bytes again, and after some blocks others of the same nonce"
    UNCLEAR = "not all nodes have answered"


def standing(receipt: Receipt | None, known: Collection[bool | None]) -> Standing:
    """Say where a transaction stands, from its receipt and from which nodes know it; None stands for one that did not answer."""
    if receipt is not None:
        return Standing.DONE if receipt.succeeded else Standing.FAILED
    if any(known):
        return Standing.PENDING
    return Standing.DROPPED if known and None not in known else Standing.UNCLEAR


@frozen(kw_only=True)
class Failure:
    """Why a transaction was refused within its block."""

    words: str
    killed: bool
    """Whether for the price, or the time: nothing else was wrong."""
    out_of_gas: bool = False
    """Whether it took more gas than it had: the next one gets a greater margin."""
    lacks: Lacks = Lacks.NOTHING
    untold: bool = False
    """Whether no node has said anything of it: one that does may tell a price."""


def why_failed(
    receipt: Receipt, gas: int, traced: Told | None, replayed: Told | None, prices: Collection[str] = PRICE_REASONS
) -> Failure:
    """Say why a transaction with a limit of so much gas was refused within its block. Never raises.

    `traced` is what `debug_traceTransaction` answers with the `callTracer`, and `replayed` what `eth_call` answers at its block.
    The trace tells what happened; a replay has everything before it that came after, and goes through where the price came
    back. What neither tells was no price.
    """
    part, whole = _GAS_OF_CALLS
    trace = _traced(traced)
    revert = Revert(reason="") if trace is None else trace[0]
    if not revert.reason and isinstance(replayed, RpcError):
        revert = read_revert(replayed.data, replayed.message)
    out_of_gas = "out of gas" in (trace[1] if trace else "") or (
        not revert.reason and receipt.gas_used * whole >= gas * part
    )
    told = out_of_gas or trace is not None or isinstance(replayed, bytes | msgspec.Raw | RpcError)
    without = "refused without a word" if told else "refused within its block, and no node says why"
    words = revert.reason or ("out of gas" if out_of_gas else without)
    killed = not out_of_gas and is_price(revert, prices)
    return Failure(words=words, killed=killed, out_of_gas=out_of_gas, lacks=revert.lacks, untold=not told)


def _traced(told: Told | None) -> tuple[Revert, str] | None:
    """Return the reason of the outermost call and the word of the machine; None where there is no trace."""
    if told is None or isinstance(told, Exception):
        return None
    try:
        trace = msgspec.json.decode(told, type=_Trace)
        return Revert(reason=reason_of(bytes_of(trace.output or "0x", _MOST_DATA))), trace.error.lower()
    except MISREAD:
        return None
