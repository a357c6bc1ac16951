"""What nodes answer to a call before it is sent, and to the transaction that is; pure functions, which never raise.

A refusal counts as one only where its text is known to be one. What nobody knows is unproven: the transaction may be there.
"""

import re
from collections.abc import Collection, Sequence
from enum import Enum

import msgspec
from attrs import frozen

from trio_copy.errors import ChainError, NotConnected, RpcError
from trio_copy.model.ids import Hash32
from trio_copy_onchain.tx.reverts import Lacks, Revert, read_revert
from trio_copy_onchain.tx.texts import PRICE_REASONS, Row, row_of, tip_asked
from trio_copy_onchain.tx.wire import MISREAD, Number, number_of

Told = bytes | msgspec.Raw | ChainError
"""A node's result, or what came in place of one."""
_LONGEST_WORDS = 200
_REVERTED = 3, -32015
"""Codes of an execution that a contract refused: geth's, and an older one of Nethermind."""
_NO_GAS = re.compile(r"exceeds allowance(: | \()0\b")
_MOST_GAS = (1 << 63) - 1


@frozen(kw_only=True)
class Answer:
    """What one node, or all of them, said of a transaction that was sent."""

    row: Row
    words: str = ""
    """The node's own, on one line."""
    least_tip: int = 0
    """In wei, where it asks for one."""


def read_sending(told: Told, tx_hash: Hash32) -> Answer:
    """Say what an answer to `eth_sendRawTransaction` means."""
    if isinstance(told, RpcError):
        said = told.message if told.data in ("", "null") else f"{told.message} {told.data}"
        return Answer(row=row_of(told.code, said), words=_line(said), least_tip=tip_asked(said))
    if isinstance(told, NotConnected):
        return Answer(row=Row.UNREACHED, words=_line(str(told)))
    if isinstance(told, ChainError):
        return Answer(row=Row.LOST, words=_line(str(told)))
    try:
        named = msgspec.json.decode(told, type=str)
    except MISREAD as error:
        return Answer(row=Row.FOREIGN, words=_line(f"no hash: {error}"))
    if named.lower() != tx_hash:
        return Answer(row=Row.FOREIGN, words=_line(f"expected {tx_hash}, got {named}"))
    return Answer(row=Row.SENT)


_BY_WEIGHT = (
    # One node that has it is enough.
    Row.SENT, Row.NONCE_USED, Row.IN_ITS_PLACE, Row.GAP, Row.FOREIGN, Row.NOVEL, Row.CROWDED, Row.BUSY, Row.LOST,
    # Now all of them have refused it; first what can be mended.
    Row.UNDERPRICED, Row.NO_FUNDS, Row.WRONG, Row.UNREACHED,
)  # fmt: skip


def together(answers: Sequence[Answer]) -> Answer:
    """Say what the answers of all nodes mean that a transaction was sent to: only all of them prove that it was not taken."""
    if not answers:
        return Answer(row=Row.UNREACHED)
    heaviest = min(answers, key=lambda answer: _BY_WEIGHT.index(answer.row))
    return Answer(row=heaviest.row, words=heaviest.words, least_tip=max(answer.least_tip for answer in answers))


class Before(Enum):
    """What is known of a call before anything is sent: it uses no nonce."""

    READY = "it would go through"
    KILLED = "it has become too dear, or too late"
    REJECTED = "the contract refuses it"
    NO_FUNDS = "the wallet cannot pay for gas"
    UNKNOWN = "the node did not say"


@frozen(kw_only=True)
class Estimate:
    before: Before
    gas: int = 0
    """That it takes as things are, where it would go through."""
    words: str = ""
    lacks: Lacks = Lacks.NOTHING


def read_estimate(told: Told, prices: Collection[str] = PRICE_REASONS) -> Estimate:
    """Say what an answer to `eth_estimateGas` means. `prices` are the venue's reasons for a limit that was not met."""
    if isinstance(told, RpcError):
        return _refused(told, prices)
    if isinstance(told, ChainError):
        return Estimate(before=Before.UNKNOWN, words=_line(str(told)))
    try:
        gas = number_of(msgspec.json.decode(told, type=Number), _MOST_GAS)
    except MISREAD as error:
        return Estimate(before=Before.UNKNOWN, words=_line(f"no gas: {error}"))
    if not gas:
        return Estimate(before=Before.UNKNOWN, words="an estimate of no gas")
    return Estimate(before=Before.READY, gas=gas)


def _refused(error: RpcError, prices: Collection[str]) -> Estimate:
    said, words = error.words, _line(error.message)
    row = row_of(error.code, said)
    if error.code in _REVERTED or (row is not Row.BUSY and "revert" in said):
        revert = read_revert(error.data, error.message)
        before = Before.KILLED if is_price(revert, prices) else Before.REJECTED
        return Estimate(before=before, words=revert.reason or words, lacks=revert.lacks)
    if "exceeds allowance" in said:
        # Gas is looked for within what the wallet can pay for: none at all is no money at all.
        return Estimate(before=Before.NO_FUNDS if _NO_GAS.search(said) else Before.REJECTED, words=words)
    return Estimate(before=Before.NO_FUNDS if row is Row.NO_FUNDS else Before.UNKNOWN, words=words)


def is_price(revert: Revert, prices: Collection[str]) -> bool:
    """Tell whether a contract refused for the price, or the time: nothing else is wrong.

    Nodes put words of their own around a reason. Within another word, a short one as `SPL` means nothing.
    """
    reason = revert.reason.lower()
    return any(re.search(rf"\b{re.escape(price)}\b", reason) for price in prices)


def gas_limit(gas: int, *, margin_bps: int, most: int) -> int | None:
    """Return the limit for a call that takes so much now; None where it takes more than may be spent on one."""
    return None if gas > most else min(-(-gas * (10_000 + margin_bps) // 10_000), most)


def _line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text[:_LONGEST_WORDS]).strip()
