"""Why a contract refused, from the data that it returned. A node's message is its own rendering of them, and no proof."""

import re
from enum import Enum

from attrs import frozen

from trio_copy.native import keccak

_LONGEST_REASON = 200
_DATA = re.compile(r"0x([0-9a-f]+)", re.IGNORECASE)
_HASHES = (40, 64)
"""So many digits are an address or a hash: what some nodes write beside the data."""
_AFTER_REVERTED = re.compile(
    r"(?:revert(?:ed)?(?: with reason(?: string)?)?|fail with error):? (?:revert: |fail with error )?"
    r"(?:'([^']+)'|\"([^\"]+)\"|(.+))",
    re.IGNORECASE | re.DOTALL,
)
"""The reason, with the quotes around it left out."""


def _selector(signature: str) -> bytes:
    return keccak(signature.encode())[:4]


_ERROR, _PANIC = _selector("Error(string)"), _selector("Panic(uint256)")
_PANICS = {0x01: "assertion failed", 0x11: "arithmetic overflow", 0x12: "division by zero", 0x32: "index out of bounds"}
_CUSTOM = {
    _selector(signature): signature.partition("(")[0]
    for signature in (
        "ERC20InsufficientAllowance(address,uint256,uint256)",
        "ERC20InsufficientBalance(address,uint256,uint256)",
        "ERC1155MissingApprovalForAll(address,address)",
        "ERC1155InsufficientBalance(address,uint256,uint256,uint256)",
        "InsufficientAllowance()",
        "InsufficientBalance()",
        "TransferFromFailed()",
    )
}
"""Errors without words that say what is missing; of others the selector is shown."""


class Lacks(Enum):
    """What is missing where money or shares cannot move."""

    NOTHING = "nothing that is known"
    APPROVAL = "an approval"
    BALANCE = "money, or shares"
    EITHER = "an approval, or money"
    BOTH = "an approval, and money or shares"


@frozen(kw_only=True)
class Revert:
    reason: str
    """The contract's own words, or the name of its error; empty where it gave none."""

    @property
    def lacks(self) -> Lacks:
        """Say what is missing, as far as the words tell."""
        words = self.reason.lower()
        if "allowance" in words or "approv" in words:
            return Lacks.APPROVAL
        # The routers of Uniswap try the transfer, and pass on nothing of what the token said.
        if words == "stf" or "transferfromfailed" in words or "transfer_from_failed" in words:
            return Lacks.EITHER
        return Lacks.BALANCE if "balance" in words else Lacks.NOTHING


def read_revert(data: str, message: str = "") -> Revert:
    """Read why, from what a node added to an error; from its message only where it added no data at all. Never raises.

    Nodes write the data bare, behind a word, or inside an object, and may cut them off: what is there is read.
    """
    for found in _DATA.finditer(data):
        digits = found[1]
        if len(digits) >= 8 and len(digits) not in _HASHES:
            return Revert(reason=reason_of(bytes.fromhex(digits[: len(digits) & ~1])))
    if "0x" in data:
        return Revert(reason="")  # no data is what the contract gave
    said = _AFTER_REVERTED.search(message)
    return Revert(reason=_clean(next(filter(None, said.groups()))) if said else "")


def reason_of(data: bytes) -> str:
    """Read what a contract returned with its refusal; empty where it is nothing. Never raises."""
    kind, words = data[:4], data[4:]
    if kind == _ERROR:
        length = int.from_bytes(words[32:64])
        return _clean(words[64 : 64 + min(length, _LONGEST_REASON)].decode(errors="replace"))
    if kind == _PANIC:
        code = int.from_bytes(words[:32])
        return f"panic: {_PANICS.get(code, hex(code)[:_LONGEST_REASON])}"
    return _CUSTOM.get(kind, f"error 0x{kind.hex()}") if len(kind) == 4 else ""


def _clean(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text[:_LONGEST_REASON]).strip()
