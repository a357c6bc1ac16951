"""A transaction of EIP-1559 (type 2): what is signed, what leaves, and the hash by which the chain knows it.

The signature is part of the hash and follows from the key and the fields (RFC 6979): the same fields signed by the same key
are the same transaction, whichever process signs it.
"""

from collections.abc import Callable

from attrs import Attribute, field, frozen

from trio_copy.model.ids import Address, ChainId, Hash32
from trio_copy.native import keccak, signer_of
from trio_copy.transactions import rlp

Sign = Callable[[bytes], bytes]
"""Signs a digest of 32 bytes with 65: r, s, and 27 or 28."""
TYPE = b"\x02"
_FIELDS = 9
_RECOVERY_AT = 27
_NO_ACCESS_LIST: rlp.Item = ()
"""It would save little, and it would have to be asked for."""


def _below(bits: int) -> Callable[[object, "Attribute[int]", int], None]:
    def check(instance: object, attribute: "Attribute[int]", number: int) -> None:
        if not 0 <= number < 1 << bits:
            raise ValueError(f"{attribute.name}: expected a number from 0, below 2**{bits}, got {number}")

    return check


def _at_least_tip(transaction: "Transaction", attribute: "Attribute[int]", max_fee: int) -> None:
    _below(256)(transaction, attribute, max_fee)
    if max_fee < transaction.tip:
        raise ValueError(f"max_fee: expected at least the tip of {transaction.tip}, got {max_fee}")


@frozen(kw_only=True)
class Transaction:
    """What a key is asked to sign. Amounts are in wei; a transaction that makes a contract is none of ours.

    Raises:
        ValueError: a number that the chain has no room for, or a tip above what may be paid in all.
    """

    chain_id: ChainId
    nonce: int = field(validator=_below(64))
    tip: int = field(validator=_below(256))
    """For whoever makes the block, at most, per gas."""
    max_fee: int = field(validator=_at_least_tip)
    """In all, at most, per gas: the block's base fee is burnt first."""
    gas: int = field(validator=_below(64))
    """That it may use at most."""
    to: Address
    value: int = field(default=0, validator=_below(256))
    data: bytes = b""

    @property
    def digest(self) -> bytes:
        """Return the 32 bytes that are signed."""
        return keccak(TYPE + rlp.encode(self._fields))

    def signed(self, sign: Sign) -> "Signed":
        """Return the transaction as it leaves."""
        fields = self._fields
        signature = sign(keccak(TYPE + rlp.encode(fields)))
        r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:64])
        raw = TYPE + rlp.encode((*fields, signature[64] - _RECOVERY_AT, r, s))
        return Signed(raw=raw, hash=hash_of(raw))

    @property
    def _fields(self) -> tuple[rlp.Item, ...]:
        to = bytes.fromhex(self.to[2:])
        prices = (self.tip, self.max_fee, self.gas)
        return (self.chain_id, self.nonce, *prices, to, self.value, self.data, _NO_ACCESS_LIST)


@frozen(kw_only=True)
class Signed:
    """Frozen before it leaves: the same bytes go out on every repetition."""

    raw: bytes
    hash: Hash32


def hash_of(raw: bytes) -> Hash32:
    """Return by which hash the chain knows the bytes of a signed transaction."""
    return Hash32("0x" + keccak(raw).hex())


def read_signed(raw: bytes) -> tuple[Transaction, Address]:
    """Read a signed transaction of type 2 without access list, and whose it is.

    Raises:
        ValueError: it is something else, or is written in another way than ours.
    """
    transaction, signature = _parted(raw)
    return transaction, signer_of(transaction.digest, signature)


def read_own(raw: bytes) -> Transaction:
    """Read a transaction that was signed, or read, by this process: whose it is was seen then. Raises what `read_signed` does."""
    return _parted(raw)[0]


def _parted(raw: bytes) -> tuple[Transaction, bytes]:
    if raw[:1] != TYPE:
        raise ValueError("expected a transaction of type 2")
    members = rlp.decode_list(raw[1:])
    if len(members) != _FIELDS + 3 or members.pop(_FIELDS - 1) != []:
        raise ValueError("expected a transaction without access list that is signed")
    texts = [member for member in members if isinstance(member, bytes)]
    if len(texts) != len(members):
        raise ValueError("expected fields that are no lists")
    chain_id, nonce, tip, max_fee, gas, to, value, data, odd, r, s = texts
    numbers = (chain_id, nonce, tip, max_fee, gas, value, odd, r, s)
    if len(to) != 20 or any(number[:1] == b"\0" or len(number) > 32 for number in numbers) or odd not in (b"", b"\1"):
        raise ValueError("expected an address, and numbers of at most 32 bytes without leading zeros")
    transaction = Transaction(
        chain_id=ChainId(int.from_bytes(chain_id)),
        nonce=int.from_bytes(nonce),
        tip=int.from_bytes(tip),
        max_fee=int.from_bytes(max_fee),
        gas=int.from_bytes(gas),
        to=Address("0x" + to.hex()),
        value=int.from_bytes(value),
        data=data,
    )
    return transaction, r.rjust(32, b"\0") + s.rjust(32, b"\0") + bytes((len(odd) + _RECOVERY_AT,))
