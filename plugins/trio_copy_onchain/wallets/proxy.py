"""Polymarket's proxy wallet: its factory has it act for whoever calls, who is its only owner for ever.

Who owns which is in the address itself: the factory makes it from its owner's.
"""

from collections.abc import Collection, Sequence

from attrs import frozen

from trio_copy.model.ids import Address, Hash32, IntentKey
from trio_copy.native import keccak
from trio_copy.transactions.calls import Call
from trio_copy_onchain.wallets import words
from trio_copy_onchain.wallets.seam import marked_with, unmarked

SELECTOR = keccak(b"proxy((uint8,address,uint256,bytes)[])")[:4]
_PLAIN_CALL = words.number(1)
"""2 would run foreign code as the wallet's own, and 0 is none."""
_TO_DATA = words.number(4 * words.WORD)
_GAS = 100_000
"""By its source, for there is nothing to measure: factory, wallet and code of the wallet, and all calls copied three times."""
_GAS_OF_CALL = 10_000
_GAS_OF_BYTE = 16 + 3 * 3


def made_by(factory: Address, init_code_hash: Hash32, owner: Address) -> Address:
    """Return the address of an owner's wallet, whether it is there yet or not (CREATE2)."""
    salt = keccak(bytes.fromhex(owner[2:]))
    told = b"\xff" + bytes.fromhex(factory[2:]) + salt + bytes.fromhex(init_code_hash[2:])
    return Address("0x" + keccak(told)[12:].hex())


@frozen(kw_only=True)
class Proxy:
    """A proxy wallet. A reason of a call is passed on, so that nothing is hidden; the first one makes the wallet."""

    address: Address
    factory: Address
    init_code_hash: Hash32
    """Of what the factory makes."""
    approves: bool = True
    hides: frozenset[str] = frozenset(
        {"captured empty revert buffer", "captured a revert error, but it doesn't conform to the standard"}
    )

    def outer(self, calls: Sequence[Call], operator: Address, key: IntentKey | None = None) -> Call:
        if not calls:
            raise ValueError("expected a call at least")
        if made_by(self.factory, self.init_code_hash, operator) != self.address:
            # The factory would let another wallet make the calls: the operator's own.
            raise ValueError(self._foreign(operator))
        return marked_with(Call(to=self.factory, data=_written(calls)), key)

    def inner(self, call: Call, *, marked: bool = True) -> tuple[Call, ...]:
        plain = unmarked(call) if marked else call
        calls = _read(plain.data)
        if plain != Call(to=self.factory, data=_written(calls)):
            raise ValueError(f"expected plain calls by the factory {self.factory}, and nothing besides")
        return calls

    def reads(self) -> tuple[Call, ...]:
        return ()

    def check(self, answers: Sequence[bytes], operators: Collection[Address]) -> tuple[str, ...]:
        return tuple(
            self._foreign(operator)
            for operator in sorted(set(operators))
            if made_by(self.factory, self.init_code_hash, operator) != self.address
        )

    def gas_around(self, calls: Sequence[Call]) -> int:
        return _GAS + _GAS_OF_BYTE * len(_written(calls)) + _GAS_OF_CALL * len(calls)

    def _foreign(self, operator: Address) -> str:
        its_own = made_by(self.factory, self.init_code_hash, operator)
        return f"operator {operator}: expected the owner of the proxy wallet {self.address}, but his is {its_own}"


def _written(calls: Sequence[Call]) -> bytes:
    members = [
        _PLAIN_CALL + words.address(call.to) + words.number(call.value) + _TO_DATA + words.text(call.data)
        for call in calls
    ]
    at, places = words.WORD * len(members), list[bytes]()
    for member in members:
        places.append(words.number(at))
        at += len(member)
    return b"".join((SELECTOR, words.number(words.WORD), words.number(len(members)), *places, *members))


def _read(data: bytes) -> tuple[Call, ...]:
    """Read as many calls as there can be; whether they are what was written, the caller compares."""
    body = data[len(SELECTOR) + 2 * words.WORD :]
    at = words.read_number(body, 0)
    calls = list[Call]()
    while at < len(body):
        to, value = words.read_address(body, at + words.WORD), words.read_number(body, at + 2 * words.WORD)
        inside = words.read_text(body, at + 4 * words.WORD)
        calls.append(Call(to=to, data=inside, value=value))
        at += 5 * words.WORD + len(inside) + -len(inside) % words.WORD
    return tuple(calls)
