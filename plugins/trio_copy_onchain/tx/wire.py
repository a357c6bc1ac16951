"""The single fields of what nodes answer. Their meaning is read where it is plain; the rest is refused with a `ValueError`."""

import msgspec

from trio_copy.model.ids import Address, Hash32

Number = int | str
"""As a JSON number, or as 0x and hex digits."""
MISREAD = (msgspec.MsgspecError, ValueError, RecursionError)
"""What reading hostile JSON raises."""
_HEX = frozenset("0123456789abcdef")


def number_of(value: Number, most: int = (1 << 256) - 1) -> int:
    """Read a number from 0 to a greatest one."""
    if isinstance(value, str):
        digits = value[2:].lower()
        # int() would also take signs, spaces, underscores and the digits of every other script.
        if value[:2] not in ("0x", "0X") or len(digits) > 64 or not _HEX.issuperset(digits):
            raise ValueError(f'expected a quantity in hex, got "{value[:80]}"')
        number = int(digits or "0", 16)
    else:
        number = value
    if not 0 <= number <= most:
        raise ValueError(f"expected a number from 0 to {most}")
    return number


def hash_of(text: str) -> Hash32:
    return Hash32(_fixed(text, 64))


def address_of(text: str) -> Address:
    return Address(_fixed(text, 40))


def bytes_of(text: str, most: int) -> bytes:
    """Read bytes, of which there are at most so many."""
    read = None if text[:2] not in ("0x", "0X") or len(text) > 2 + 2 * most else _bytes(text[2:])
    if read is None:
        raise ValueError(f"expected at most {most} bytes in hex")
    return read


def _fixed(text: str, digits: int) -> str:
    lower = text.lower()
    if len(lower) != digits + 2 or lower[:2] != "0x" or _bytes(lower[2:]) is None:
        raise ValueError(f'expected 0x and {digits} hex digits, got "{text[:80]}"')
    return lower


def _bytes(digits: str) -> bytes | None:
    try:
        read = bytes.fromhex(digits)
    except ValueError:
        return None
    # It skips spaces, which are no digits.
    return read if 2 * len(read) == len(digits) else None
