"""EIP-55: the letter case of an address is its checksum."""

from eth_hash.auto import keccak

from trio_copy.model.ids import Address, parse_address


def to_checksum(address: Address) -> str:
    """Write an address as people and wallets show it."""
    digits = address[2:]
    nibbles = keccak(digits.encode()).hex()
    return "0x" + "".join(c.upper() if int(n, 16) >= 8 else c for c, n in zip(digits, nibbles, strict=False))


def checked_address(text: str) -> Address:
    """Read an address; one in mixed case must have the right checksum, one in a single case carries none.

    Raises:
        ValueError: not an address, or a wrong checksum, which means a digit was mistyped.
    """
    address = parse_address(text)
    digits = text[2:]
    if digits not in (digits.lower(), digits.upper()) and text != to_checksum(address):
        raise ValueError(f'expected the checksum of {to_checksum(address)}, got "{text}": is a digit wrong?')
    return address
