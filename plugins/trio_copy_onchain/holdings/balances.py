"""Questions about what a wallet holds, and how the answers are read."""

from collections.abc import Sequence

from trio_copy.model.ids import Address, TokenId
from trio_copy.transactions.calls import Call
from trio_copy_onchain.venues import abi

_MONEY = abi.function("balanceOf", "address")
_SHARES = abi.function("balanceOfBatch", "address[]", "uint256[]")


def money_call(token: Address, wallet: Address) -> Call:
    """Return what asks for the units of an ERC-20."""
    return Call(to=token, data=_MONEY(wallet))


def read_money(answer: bytes) -> int:
    """Read the answer. Raises `ValueError`."""
    (units,) = abi.words(answer, 1)
    return units


def shares_call(contract: Address, wallet: Address, tokens: Sequence[TokenId]) -> Call:
    """Return what asks for the units of several tokens of an ERC-1155."""
    return Call(to=contract, data=_SHARES([wallet] * len(tokens), tokens))


def read_shares(answer: bytes, count: int) -> tuple[int, ...]:
    """Read the answer, of so many tokens. Raises `ValueError`."""
    return tuple(abi.array(answer, count))
