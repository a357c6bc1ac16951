"""Why a wallet's calls would be refused, where the wallet itself does not pass on what they say.

A Safe says `GS013` of everything. One call is asked by itself, as if the wallet made it. Several depend on each other: a trade
has no allowance before the approval that stands in front of it. So the wallet is given other code for one question
(`eth_call` with a state override, which geth, bor, erigon, Nethermind and anvil take): it makes the calls in their order and
passes on what the first refusal says. That code takes shares that are sent to it, as a Safe does.

What this does not tell: a guard of the Safe, an operator who is no owner, or gas that does not suffice. Those are the wallet's
own refusals, which it does tell. Where its calls go through by themselves, the first answer stands.
"""

from collections.abc import Collection, Sequence

from attrs import evolve

from trio_copy.errors import ChainError
from trio_copy.model.ids import Address
from trio_copy.transactions.calls import Call
from trio_copy_onchain.tx.answers import Before, Estimate, Told, read_estimate
from trio_copy_onchain.tx.texts import PRICE_REASONS

Question = tuple[object, ...]
"""The parameters of `eth_call`."""

# CALLER ADDRESS EQ PUSH1 start JUMPI: only the wallet's own question runs the calls. Whoever else calls hears the selector
# that it called by, which is how a contract says that it takes shares.
_PROLOGUE = bytes.fromhex("333014601757600035 60e01c 60e01b 600052 60206000f3 5b".replace(" ", ""))
_CALL_SIZE = 92
"""Of the instructions of one call."""


def probe(calls: Sequence[Call], wallet: Address, block: str = "latest") -> Question:
    """Return the question that a wallet's calls are refused at as they would be within its transaction."""
    if len(calls) == 1:
        (call,) = calls
        value = {"value": hex(call.value)} if call.value else {}
        return {"from": wallet, "to": call.to, "data": "0x" + call.data.hex(), **value}, block
    return {"from": wallet, "to": wallet}, block, {wallet: {"code": "0x" + _code(calls).hex()}}


def read_probe(told: Told, hidden: Estimate, prices: Collection[str] = PRICE_REASONS) -> Estimate:
    """Return what a wallet's calls were refused for; what the wallet said (`hidden`), where the answer tells no more.

    `prices` are the venue's reasons for a limit that was not met. Never raises.
    """
    if isinstance(told, ChainError):
        estimate = read_estimate(told, prices)
        return estimate if estimate.before in (Before.KILLED, Before.REJECTED) else hidden
    return evolve(hidden, words=f"{hidden.words}, and its calls by themselves would go through")


def _code(calls: Sequence[Call]) -> bytes:
    """Return code that makes the calls in their order, and refuses with what the first one says that is refused."""
    steps, behind, at = list[bytes](), list[bytes](), len(_PROLOGUE) + _CALL_SIZE * len(calls) + 1
    for index, call in enumerate(calls):
        steps.append(_step(call, at, len(_PROLOGUE) + _CALL_SIZE * (index + 1) - 1))
        behind.append(call.data)
        at += len(call.data)
    return b"".join((_PROLOGUE, *steps, b"\0", *behind))  # STOP


def _step(call: Call, data_at: int, next_at: int) -> bytes:
    size = len(call.data).to_bytes(3)
    code = (
        b"\x62" + size + b"\x62" + data_at.to_bytes(3) + b"\x60\0\x39"  # CODECOPY(0, data, size)
        + b"\x60\0\x60\0\x62" + size + b"\x60\0\x7f" + call.value.to_bytes(32)
        + b"\x73" + bytes.fromhex(call.to[2:]) + b"\x5a\xf1"  # CALL(all gas, to, value, 0, size, 0, 0)
        + b"\x61" + next_at.to_bytes(2) + b"\x57"  # JUMPI where it went through
        + b"\x3d\x60\0\x60\0\x3e\x3d\x60\0\xfd"  # REVERT with what it returned
    )  # fmt: skip
    return code + b"\x5b"
