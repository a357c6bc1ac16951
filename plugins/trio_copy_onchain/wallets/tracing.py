"""Which of a wallet's calls was refused within a block, from a trace that shows them all."""

import msgspec

from trio_copy.model.ids import Address
from trio_copy_onchain.tx.answers import Told
from trio_copy_onchain.tx.wire import MISREAD

_DEEPEST = 8
"""A wallet's code is at most so many calls away from its transaction."""


class _Frame(msgspec.Struct):
    type: str = ""
    sender: str = msgspec.field(name="from", default="")
    error: str = ""
    calls: list[msgspec.Raw] = []


def failed_call(traced: Told | None, wallet: Address) -> Told | None:
    """Return the part of a `callTracer`'s answer that is the wallet's own call that was refused; the whole where there is none.

    `why_failed` reads it as it reads a whole one: a Safe tells nothing of its calls. Never raises.
    """
    if traced is None or isinstance(traced, Exception):
        return traced
    try:
        return _failed(traced, wallet, _DEEPEST) or traced
    except MISREAD:
        return traced


def _failed(traced: bytes | msgspec.Raw, wallet: Address, deepest: int) -> msgspec.Raw | None:
    for call in reversed(msgspec.json.decode(traced, type=_Frame).calls if deepest else ()):
        frame = msgspec.json.decode(call, type=_Frame)
        if not frame.error:
            continue
        if frame.type.upper() == "CALL" and frame.sender.lower() == wallet:
            return call
        found = _failed(call, wallet, deepest - 1)
        if found is not None:
            return found
    return None
