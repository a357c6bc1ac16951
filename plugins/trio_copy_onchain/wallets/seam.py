"""What every kind of wallet can say of itself. One small class is all that a further kind takes."""

from collections.abc import Collection, Sequence
from typing import Protocol

from trio_copy.model.ids import Address, IntentKey
from trio_copy.transactions.calls import Call

_KEY = 32


class WalletKind(Protocol):
    """How one wallet acts. Sync and pure: the caller asks the chain and sends."""

    @property
    def address(self) -> Address:
        """Whose money and shares move."""
        ...

    @property
    def approves(self) -> bool:
        """Whether several calls happen together or not at all, so that an exact approval rides with its trade."""
        ...

    @property
    def hides(self) -> frozenset[str]:
        """Reasons, in small letters, that it puts in place of those of its calls: see `probing`."""
        ...

    def outer(self, calls: Sequence[Call], operator: Address, key: IntentKey | None = None) -> Call:
        """Return what an operator's transaction calls so that the wallet makes these calls, in their order.

        The key's 32 bytes, where there is one, are the last of the calldata.

        Raises:
            ValueError: it cannot make them, or the operator cannot have it do so.
        """
        ...

    def inner(self, call: Call, *, marked: bool = True) -> tuple[Call, ...]:
        """Read the wallet's calls back from what `outer` has written, with a key behind it or without.

        Raises:
            ValueError: it is not to the byte what `outer` writes.
        """
        ...

    def reads(self) -> tuple[Call, ...]:
        """Return what has to be asked, all in one block, before `check`."""
        ...

    def check(self, answers: Sequence[bytes], operators: Collection[Address]) -> tuple[str, ...]:
        """Return what is in the way of operators acting for the wallet, a line for each; empty where nothing is.

        Raises:
            ValueError: an answer to `reads` is none.
        """
        ...

    def gas_around(self, calls: Sequence[Call]) -> int:
        """Return how much gas the wrapping takes at most, besides what the calls would take one by one.

        For what cannot be estimated yet, because it depends on a transaction that is not mined.
        """
        ...


def key_of(call: Call) -> IntentKey:
    """Read the key behind a call that was marked.

    Raises:
        ValueError: the calldata is too short to have one.
    """
    if len(call.data) < _KEY:
        raise ValueError(f"expected a key of {_KEY} bytes, got calldata of {len(call.data)}")
    return IntentKey(call.data[-_KEY:].hex())


def unmarked(call: Call) -> Call:
    """Return a call without the key behind it. Raises `ValueError` as `key_of` does."""
    key_of(call)
    return Call(to=call.to, data=call.data[:-_KEY], value=call.value)


def marked_with(call: Call, key: IntentKey | None) -> Call:
    return call if key is None else call.marked(key)
