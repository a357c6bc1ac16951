"""What a node means by an error: ask for less, ask less often, or another way. Nodes say it in many words and few codes.

-32005 stands for a rate limit with some and for too long an answer with others, and 429 is not always about the rate:
the words decide, and where they are silent both is done, moderately. A node that hangs on a wide range, or ends the
connection over it, says "ask for less" too.
"""

import re
from enum import Enum

from trio_copy.errors import ChainError, ConnectionLost, RpcError, UnreadableLogs

_LIMIT_CODES = frozenset({-32005, -32029, 429})
_INVALID_PARAMS = -32602
_OFTEN = re.compile(
    r"\brate|too many requests|throttl|quota|per[ -]second|/s(ec(ond)?)?\b|compute unit|capacity|credits|\b429\b"
    r"|request (count|limit)|calls? limit|slow down|try again|retry (in|after)"
)
_MUCH = re.compile(
    r"range|wide|narrow|results|response size|too (large|big|long)|too many (logs|blocks|entries)|more than \d"
    r"|blocks? (limit|count|span)|max(imum)? (number of )?blocks|message size|time(d)? ?out"
)
_BY_HASH = re.compile(r"block_?hash|invalid (param|arg)|unsupported|not supported|unknown field|missing|unrecognized")
_NO_SUCH_BLOCK = re.compile(r"not found|unknown block|unknown header|does not exist|pruned")
_TOLD = re.compile(
    r"(?:retry|try again|wait|back ?off|available|resets?)\D{0,24}?(\d{1,9}(?:\.\d{1,3})?)\s*"
    r"(ms\b|milliseconds?|m\b|min(?:ute)?s?\b)?"
)


class Refusal(Enum):
    TOO_MUCH = "ask for less"
    TOO_OFTEN = "ask less often"
    EITHER = "one of both"


def refusal_of(error: ChainError) -> Refusal | None:
    """Tell what would help after a failed `eth_getLogs`; None where neither would."""
    # A range is narrowed down to the block with what cannot be read, so that the others do not wait for it.
    if isinstance(error, ConnectionLost | UnreadableLogs):
        return Refusal.TOO_MUCH
    if not isinstance(error, RpcError):
        return None
    words = error.words
    often, much = _OFTEN.search(words) is not None, _MUCH.search(words) is not None
    if often != much:
        return Refusal.TOO_OFTEN if often else Refusal.TOO_MUCH
    # Without a word or a code about limits it may still be a range that this node cannot read: smaller ones are tried.
    return Refusal.EITHER if often or error.code in _LIMIT_CODES else Refusal.TOO_MUCH


def too_often(error: ChainError) -> Refusal | None:
    """Tell whether an error means that the node wants to be left alone for a while, and how surely."""
    # Of a call that reverts, the contract chose the words: whoever wrote it must not silence a node.
    if not isinstance(error, RpcError) or error.reverted:
        return None
    refusal = refusal_of(error)
    return None if refusal is Refusal.TOO_MUCH else refusal


def refuses_hashes(error: RpcError) -> bool:
    """Tell whether a node refused `eth_getLogs` because it was asked by block hash, not because of that block."""
    if _NO_SUCH_BLOCK.search(error.words) or too_often(error) is Refusal.TOO_OFTEN:
        return False
    return error.code == _INVALID_PARAMS or _BY_HASH.search(error.words) is not None


def told_s(error: ChainError) -> float | None:
    """Return how many seconds a node asks to be left alone, as in "retry after 10s"; None where it does not say."""
    found = _TOLD.search(error.words) if isinstance(error, RpcError) else None
    if found is None:
        return None
    unit = found.group(2) or "s"
    return float(found.group(1)) * (0.001 if unit.startswith(("ms", "milli")) else 60 if unit.startswith("m") else 1)
