"""Several calls as one, by a Safe's MultiSend: it is run as if it were the Safe's own code, and all of them happen or none."""

from collections.abc import Sequence

from trio_copy.model.ids import Address
from trio_copy.native import keccak
from trio_copy.transactions.calls import Call
from trio_copy_onchain.wallets import words

_SELECTOR = keccak(b"multiSend(bytes)")[:4]
_PLAIN_CALL = b"\0"
"""It could also run foreign code as the Safe's own: that is never written, and never read."""
_HEAD = 1 + 20 + 2 * words.WORD


def written(calls: Sequence[Call]) -> bytes:
    """Return the calldata that has MultiSend make the calls in their order."""
    packed = b"".join(
        _PLAIN_CALL + bytes.fromhex(call.to[2:]) + words.number(call.value) + words.number(len(call.data)) + call.data
        for call in calls
    )
    return _SELECTOR + words.number(words.WORD) + words.text(packed)


def read(data: bytes) -> tuple[Call, ...]:
    """Read the calls back.

    Raises:
        ValueError: it is not to the byte what `written` writes.
    """
    packed, at, calls = words.read_text(data, len(_SELECTOR) + words.WORD), 0, list[Call]()
    while at < len(packed):
        to, value = Address("0x" + packed[at + 1 : at + 21].hex()), words.read_number(packed, at + 21)
        end = at + _HEAD + words.read_number(packed, at + _HEAD - words.WORD)
        calls.append(Call(to=to, data=packed[at + _HEAD : end], value=value))
        at = end
    if written(calls) != data:
        raise ValueError("expected plain calls by MultiSend, and nothing besides")
    return tuple(calls)
