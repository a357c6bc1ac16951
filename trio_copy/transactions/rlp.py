"""RLP, the chain's way to write lists of bytes, as far as transactions need it.

A number is written without leading zeros, zero as no bytes at all. What is read has to be written in the one way that there
is: two texts of one transaction would have two hashes.
"""

from collections.abc import Sequence

Item = int | bytes | Sequence["Item"]
"""What is written; what is read has bytes in place of numbers."""
_SHORT = 56
"""A length from here on is written by itself."""
_TEXT, _LIST = 0x80, 0xC0


def encode(item: Item) -> bytes:
    """Write a number from 0 on, bytes, or a list of such. Raises `OverflowError` for a number below zero."""
    if isinstance(item, int):
        item = whole(item)
    if isinstance(item, bytes):
        return item if len(item) == 1 and item[0] < _TEXT else _head(len(item), _TEXT) + item
    body = b"".join(map(encode, item))
    return _head(len(body), _LIST) + body


def whole(number: int) -> bytes:
    """Write a number in as few bytes as it takes: none for zero."""
    return number.to_bytes((number.bit_length() + 7) // 8)


def _head(length: int, kind: int) -> bytes:
    if length < _SHORT:
        return bytes((kind + length,))
    written = whole(length)
    return bytes((kind + _SHORT - 1 + len(written),)) + written


def decode_list(raw: bytes) -> list[bytes | list[bytes]]:
    """Read a list whose members are bytes, or lists of bytes.

    Raises:
        ValueError: it is cut short, goes on, lies deeper, or is written in another way than the shortest.
    """
    body, end = _body(raw, 0, _LIST)
    if end != len(raw):
        raise ValueError("expected one list, and nothing behind it")
    return [_texts(member) if member[0] >= _LIST else _text(member) for member in _members(body)]


def _texts(raw: bytes) -> list[bytes]:
    return [_text(member) for member in _members(_body(raw, 0, _LIST)[0])]


def _text(raw: bytes) -> bytes:
    return raw if raw[0] < _TEXT else _body(raw, 0, _TEXT)[0]


def _members(body: bytes) -> list[bytes]:
    """Part the body of a list into its members, each with its head."""
    members, at = [], 0
    while at < len(body):
        first = body[at]
        end = at + 1 if first < _TEXT else _body(body, at, _TEXT if first < _LIST else _LIST)[1]
        members.append(body[at:end])
        at = end
    return members


def _body(raw: bytes, at: int, kind: int) -> tuple[bytes, int]:
    """Return what the head at a place announces, and where it ends."""
    length = raw[at] - kind if at < len(raw) else -1
    start = at + 1
    if not 0 <= length < 0x40:
        raise ValueError("expected a list of bytes")
    if length >= _SHORT:
        start += length - _SHORT + 1
        length = int.from_bytes(raw[at + 1 : start])
        if length < _SHORT or raw[at + 1] == 0:
            raise ValueError("expected a length that is written in as few bytes as it takes")
    end = start + length
    if end > len(raw):
        raise ValueError("expected all the bytes that are announced")
    if kind == _TEXT and length == 1 and raw[start] < _TEXT:
        raise ValueError("expected a byte below 0x80 without a head")
    return raw[start:end], end
