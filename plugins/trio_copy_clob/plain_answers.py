"""Reads the plainest of HTTP/1.1's answers at once: that is a fifth of what an order costs, and nearly all of them are plain.

It only ever says what h11 would say, and leaves everything that is odd in the least, or not whole yet, to h11.
"""

import re
from collections.abc import Sequence

from trio_copy.model.values import value


@value
class Answered:
    """An answer, whole."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


# Nothing here is tried twice: no part can be read in two ways.
_VALUE = rb"(?! )[ -~\x80-\xff]++(?<! )"
_ROW = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}+): (" + _VALUE + rb")\r\n")
_HEAD = re.compile(rb"HTTP/1\.1 ([2-5][0-9]{2}) [ -~]{0,64}+\r\n((?:" + _ROW.pattern + rb"){1,64}+)\r\n")
_LENGTH = re.compile(rb"[0-9]{1,7}")
_WITHOUT_BODY = (b"204", b"304")
_ODD = frozenset((b"transfer-encoding", b"content-encoding", b"upgrade"))
_LENGTH_NAME, _CONNECTION_NAME = b"content-length", b"connection"


def plain_answer(came: bytes, body_bytes: int) -> Answered | None:
    """Return an answer that is whole, with nothing behind it, and after which its connection stays good; else None."""
    head = _HEAD.match(came)
    if head is None or head[1] in _WITHOUT_BODY:
        return None
    rows = _ROW.findall(head[2])
    length: bytes | None = None
    for name, text in rows:
        lower = name.lower()
        if lower == _LENGTH_NAME:
            if length is not None:
                return None
            length = text
        elif lower in _ODD or (lower == _CONNECTION_NAME and text.lower() != b"keep-alive"):
            return None
    if length is None or not _LENGTH.fullmatch(length) or int(length) > body_bytes:
        return None
    if len(came) != head.end() + int(length):
        return None
    return Answered(int(head[1]), rows, came[head.end() :])
