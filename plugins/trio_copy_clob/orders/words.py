"""How the chain writes values: words of 32 bytes, addresses with a checksum, and what a signature under EIP-712 is about."""

from functools import lru_cache

from trio_copy.model.ids import Address
from trio_copy.native import keccak

ZERO_WORD = bytes(32)
_WALLETS = 16_384
"""Addresses of which these are kept: they are the same from order to order, and a checksum costs a hash."""


def word(number: int) -> bytes:
    """Write a uint256. Raises `OverflowError` where it is none."""
    return number.to_bytes(32)


@lru_cache(maxsize=_WALLETS)
def address_word(address: Address) -> bytes:
    return bytes(12) + bytes.fromhex(address[2:])


def to_be_signed(separator: bytes, struct: bytes) -> bytes:
    """Return the digest of a typed struct under a domain."""
    return keccak(b"\x19\x01" + separator + struct)


@lru_cache(maxsize=_WALLETS)
def checksummed(address: Address) -> str:
    """Write an address as the venue does: its capitals are a checksum, EIP-55."""
    digits = address[2:]
    nibbles = keccak(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if nibble >= "8" else digit for digit, nibble in zip(digits, nibbles, strict=False)
    )
