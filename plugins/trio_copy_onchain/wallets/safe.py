"""A Safe of threshold 1: any of its owners has it act by a transaction of his own.

Who sends it is his own signature: r is the owner, and v is 1. Nothing is hashed, and the Safe's nonce is in nothing that is
signed, so that transactions of one Safe do not wait for each other, and several fit into one block.
"""

from collections.abc import Collection, Sequence

from attrs import frozen

from trio_copy.model.ids import ZERO_ADDRESS, Address, IntentKey
from trio_copy.native import keccak
from trio_copy.transactions.calls import Call
from trio_copy_onchain.venues import abi
from trio_copy_onchain.wallets import multisend, words
from trio_copy_onchain.wallets.seam import marked_with, unmarked

SELECTOR = keccak(b"execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)")[:4]
_HEAD = 10 * words.WORD
_CALL, _AS_ITS_OWN_CODE = 0, 1
_NO_REFUND = bytes(5 * words.WORD)
"""Nobody is paid for sending, and the calls get all the gas that there is."""
_OWNERS, _THRESHOLD = abi.function("getOwners"), abi.function("getThreshold")
_STORAGE = abi.function("getStorageAt", "uint256", "uint256")
_GUARD_AT = int.from_bytes(keccak(b"guard_manager.guard.address"))
_TAKE_SHARES = abi.function("onERC1155Received", "address", "address", "uint256", "uint256", "bytes")
_TAKEN = _TAKE_SHARES(ZERO_ADDRESS, ZERO_ADDRESS, 0, 0, b"")[:4].ljust(words.WORD, b"\0")
_MOST_OWNERS = 200

_GAS = 50_000
"""With what follows a quarter more at least than Safe 1.3.0 took in its first transaction, which writes its counter."""
_GAS_OF_CALL = 8_000
"""Of each call of several, whose contract may be touched for the first time."""
_GAS_OF_BYTE = 16


@frozen(kw_only=True)
class SafeState:
    """What a Safe says of itself."""

    owners: tuple[Address, ...]
    threshold: int
    guard: Address | None
    """A contract that may refuse any transaction."""
    takes_shares: bool
    """Whether an ERC-1155 can send to it; a Safe without a fallback handler cannot be sent to."""


@frozen(kw_only=True)
class Safe:
    """A Safe, from version 1.3.0 on."""

    address: Address
    multi_send: Address
    approves: bool = True
    hides: frozenset[str] = frozenset({"gs013"})

    def outer(self, calls: Sequence[Call], operator: Address, key: IntentKey | None = None) -> Call:
        if not calls:
            raise ValueError("expected a call at least")
        if any(call.to == self.address for call in calls):
            # So its owners and its modules are changed: nothing that is traded, or moved for it, needs that.
            raise ValueError(f"expected no call of the Safe {self.address} to itself")
        if len(calls) == 1:
            (call,) = calls
            to, value, data, operation = call.to, call.value, call.data, _CALL
        else:
            to, value, data, operation = self.multi_send, 0, multisend.written(calls), _AS_ITS_OWN_CODE
        inside = words.text(data)
        head = (
            words.address(to)
            + words.number(value)
            + words.number(_HEAD)
            + words.number(operation)
            + _NO_REFUND
            + words.number(_HEAD + len(inside))
        )
        by_sender = words.text(words.address(operator) + words.number(0) + b"\1")
        return marked_with(Call(to=self.address, data=SELECTOR + head + inside + by_sender), key)

    def inner(self, call: Call, *, marked: bool = True) -> tuple[Call, ...]:
        plain = unmarked(call) if marked else call
        body = plain.data[len(SELECTOR) :]
        data = words.read_text(body, _HEAD)
        if words.read_number(body, 3 * words.WORD) == _AS_ITS_OWN_CODE:
            calls = multisend.read(data)
        else:
            calls = (Call(to=words.read_address(body, 0), data=data, value=words.read_number(body, words.WORD)),)
        operator = words.read_address(body, words.read_number(body, 9 * words.WORD) + words.WORD)
        if self.outer(calls, operator) != plain:
            raise ValueError(f"expected a transaction of the Safe {self.address} by the owner who sends it")
        return calls

    def reads(self) -> tuple[Call, ...]:
        shares = _TAKE_SHARES(self.address, self.address, 1, 1, b"")
        questions = (_OWNERS(), _THRESHOLD(), _STORAGE(_GUARD_AT, 1), shares)
        return tuple(Call(to=self.address, data=question) for question in questions)

    def read_state(self, answers: Sequence[bytes]) -> SafeState:
        """Read the answers to `reads`. Raises `ValueError`."""
        told_owners, told_threshold, told_guard, told_shares = answers
        count = words.read_number(told_owners, words.WORD)
        if not 0 < count <= _MOST_OWNERS:
            raise ValueError(f"owners of a Safe: expected 1 to {_MOST_OWNERS}, got {count}")
        owners = tuple(_address(word) for word in abi.array(told_owners, count))
        (threshold,) = abi.words(told_threshold, 1)
        offset, length, guard = abi.words(told_guard, 3)
        if (offset, length) != (words.WORD, words.WORD):
            raise ValueError("guard of a Safe: expected one word of its storage")
        return SafeState(
            owners=owners,
            threshold=threshold,
            guard=_address(guard) if guard else None,
            takes_shares=told_shares == _TAKEN,
        )

    def check(self, answers: Sequence[bytes], operators: Collection[Address]) -> tuple[str, ...]:
        state = self.read_state(answers)
        strangers = sorted(set(operators) - set(state.owners))
        found = [
            f"operator {other}: expected an owner of the Safe {self.address}, which are {', '.join(state.owners)}"
            for other in strangers
        ]
        if state.threshold != 1:
            found.append(f"threshold of the Safe {self.address}: expected 1, got {state.threshold}")
        if state.guard is not None:
            found.append(f"guard of the Safe {self.address}: expected none, got {state.guard}, which may refuse")
        if not state.takes_shares:
            found.append(f"fallback handler of the Safe {self.address}: expected one that takes shares of an ERC-1155")
        return tuple(found)

    def gas_around(self, calls: Sequence[Call]) -> int:
        # What stands around the calls is paid for as calldata besides.
        around = len(self.outer(calls, ZERO_ADDRESS).data) - sum(len(call.data) for call in calls)
        return _GAS + _GAS_OF_BYTE * around + (_GAS_OF_CALL * len(calls) if len(calls) > 1 else 0)


def _address(word: int) -> Address:
    if word >> 160:
        raise ValueError(f"expected an address, got {word:#066x}")
    return Address(f"0x{word:040x}")
