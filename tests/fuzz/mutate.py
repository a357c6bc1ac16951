"""Spoils frames: in their bytes, and in their meaning while they stay JSON. Seeded."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from trio_copy.entropy import Entropy

_MARK = "\ufff0"
"""Stands where text is put that no encoder would write."""
_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1 << 62,
    1.5,
    -0.0,
    "",
    "0x",
    "0x0",
    "0X1",
    "0x-1",
    "0x 1",
    "0x1_0",
    "0xzz",
    "0x\u0661",
    "0x" + "f" * 64,
    "0x" + "f" * 65,
    "0x" + "0" * 512,
    "latest",
    "\x00",
    "\x1b[31m",
    [],
    {},
    [[]],
    {"a": None},
)
_RAW = (
    b"1e400",
    b"-1e400",
    b"1" * 400,
    b"0x1",
    b"NaN",
    b"01",
    b'"\\ud800"',
    b'"\\u0000"',
    b'"\xff\xfe"',
    b"[" * 600 + b"]" * 600,
    b'{"a":' * 300 + b"1" + b"}" * 300,
    b"[" * 20_000,
)
_LONG = 1 << 16
_HUGE = (1 << 20) + 7


class Mutator:
    """Makes one frame after another; the same ones for the same seed."""

    def __init__(self, corpus: Sequence[bytes], luck: Entropy) -> None:
        self._corpus = corpus
        self._luck = luck

    def next_frame(self) -> bytes:
        """Spoil one frame in one to three ways; now and then leave it whole."""
        luck = self._luck
        frame = luck.choice(self._corpus)
        for _ in range(luck.choice((0, 1, 1, 1, 1, 2, 2, 3))):
            frame = self._spoil_json(frame) if luck.random() < 0.7 else self._spoil_bytes(frame)
        return frame

    def _spoil_bytes(self, frame: bytes) -> bytes:
        luck = self._luck
        at, length = luck.randrange(len(frame) + 1), luck.choice((1, 1, 2, 8, 64))
        match luck.randrange(7):
            case 0:
                if at == len(frame):
                    return frame
                return frame[:at] + bytes([frame[at] ^ (1 << luck.randrange(8))]) + frame[at + 1 :]
            case 1:
                return frame[:at]
            case 2:
                return frame[:at] + luck.randbytes(length) + frame[at:]
            case 3:
                return frame[:at] + frame[at + length :]
            case 4:
                return frame[: at + length] + frame[at:]
            case 5:
                return frame[:at] + luck.choice(_RAW) + frame[at:]
            case _:
                return frame + luck.choice((b"\x00", b" ", b"{}", frame))

    def _spoil_json(self, frame: bytes) -> bytes:
        try:
            tree = msgspec.json.decode(frame)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return self._spoil_bytes(frame)
        put = _Put()
        holder = {"": tree}
        self._descend(holder, put)
        try:
            written = msgspec.json.encode(holder[""])
        except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError):
            return frame
        if put.raw is not None:
            written = written.replace(f'"{_MARK}"'.encode(), put.raw, 1)
        return written

    def _descend(self, holder: Any, put: "_Put") -> None:
        """Walk to a random place of the tree and change what is there."""
        luck = self._luck
        key = "" if isinstance(holder, dict) else 0
        while True:
            value = holder[key]
            if isinstance(value, dict) and value and luck.random() < 0.9:
                holder, key = value, luck.choice(list(value))
            elif isinstance(value, list) and value and luck.random() < 0.9:
                holder, key = value, luck.randrange(len(value))
            else:
                break
        self._change(holder, key, put)

    def _change(self, holder: Any, key: Any, put: "_Put") -> None:
        luck, value = self._luck, holder[key]
        match luck.randrange(9):
            case 0 | 1:
                holder[key] = luck.choice(_VALUES)
            case 2 | 3 | 4 if isinstance(value, str) and value:
                holder[key] = self._other_text(value)
            case 5:
                holder[key], put.raw = _MARK, luck.choice(_RAW)
            case 6 if key != "":
                del holder[key]
            case 7 if isinstance(holder, dict) and key:
                # The same key twice: this one, and the one that stays.
                holder[key], put.raw = _MARK, _twice(key, value, luck.choice(_VALUES))
            case 8:
                holder[key] = [value] * luck.choice((1, 2, 50))
            case _:
                holder[key] = luck.getrandbits(luck.choice((1, 8, 31, 63)))

    def _other_text(self, text: str) -> str:
        luck = self._luck
        at = luck.randrange(len(text))
        size = luck.random()
        if size < 0.0002:
            return "0x" + "ab" * _HUGE
        if size < 0.005:
            return text + "0" * _LONG
        change: Callable[[], str] = luck.choice(
            (
                lambda: text[:at] + f"{luck.getrandbits(32):08x}" + text[at + 8 :],
                lambda: text[:at] + f"{luck.getrandbits(32):08x}" + text[at + 8 :],
                lambda: text[:at] + luck.choice("0123456789abcdefABCDEFxXg -_\u0661\u00e9") + text[at + 1 :],
                lambda: text[:at],
                lambda: text + text[:at],
                lambda: text.upper(),
                lambda: text[2:],
                lambda: hex(luck.getrandbits(luck.choice((1, 8, 40, 64, 256)))),
            )
        )
        return change()


class _Put:
    """What to put into the written frame in place of the mark."""

    raw: bytes | None = None


def _twice(key: str, value: Any, other: Any) -> bytes:
    return msgspec.json.encode(other) + b"," + msgspec.json.encode(key) + b":" + msgspec.json.encode(value)
