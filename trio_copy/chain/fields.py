"""The single fields of what nodes send. Their meaning is read where it is plain, in whichever way a node writes it; the
rest is refused with a `ValueError`. Nothing is guessed: not a sign, not a fraction, not a digit."""

from trio_copy.model.ids import ChainId, Hash32

Number = int | str
"""A number as a JSON number, or as 0x and hex digits; "0x" alone is how some write zero."""

_MAX_TOPICS = 4
_BLOOM_DIGITS = 512
_ANY_BLOOM = (1 << (4 * _BLOOM_DIGITS)) - 1
_BIGGEST = 1 << 256
_BIGGEST_PLACE = 1 << 63
"""Block numbers and log indexes are stored as signed 64-bit integers."""
_FIRST_TIMES = {ChainId(137): 1_590_824_836}
"""When a chain began, in Unix seconds: no block of it is older."""
_FIRST_TIME = 1_438_269_973
"""When Ethereum began, and none of its kind is older."""
_LAST_TIME = 1 << 32
"""A time behind this one, the year 2106, is in milliseconds, or no time at all."""


def read_number(value: Number) -> int:
    """Read a number from 0 to 2**256 - 1."""
    if isinstance(value, str):
        digits = value[2:]
        # int() would also take signs, spaces, underscores and the digits of every other script.
        if value[:2] not in ("0x", "0X") or len(digits) > 64 or not (digits.isascii() and (digits + "0").isalnum()):
            raise ValueError(f'expected a hex quantity, got "{value[:80]}"')
        number = int(digits or "0", 16)
    else:
        number = value
    if not 0 <= number < _BIGGEST:
        raise ValueError("expected a number from 0 to 2**256 - 1")
    return number


def read_place(value: Number) -> int:
    """Read where something stands: a block's number or a log's index."""
    number = read_number(value)
    if number >= _BIGGEST_PLACE:
        raise ValueError("expected a block number or log index under 2**63")
    return number


def read_time(value: Number | None, chain_id: ChainId | None = None) -> int | None:
    """Read Unix seconds. What is no time of this chain, zero for instance, is unknown, as if it were missing."""
    if value is None:
        return None
    seconds = read_number(value)
    return seconds if _FIRST_TIMES.get(chain_id or ChainId(0), _FIRST_TIME) <= seconds < _LAST_TIME else None


def read_flag(value: bool | Number | None) -> bool:
    """Read true or false, also as a number or as a word; null is how some write false."""
    if value is None or isinstance(value, bool):
        return bool(value)
    if value in ("true", "false"):
        return value == "true"
    number = read_number(value)
    if number > 1:
        raise ValueError(f"expected true or false, got {str(value)[:80]}")
    return number == 1


def read_bloom(text: str | None) -> int:
    """Read a logs bloom. One that is missing or cut short proves nothing: then the block may hold any log."""
    if text is None or len(text) < _BLOOM_DIGITS + 2:
        return _ANY_BLOOM
    return int(read_hex(text, _BLOOM_DIGITS), 16)


def read_hex(text: str, digits: int) -> str:
    """Read 0x and exactly so many hex digits; returns them in lower case."""
    # fromhex() skips spaces, so the bytes are counted too.
    if len(text) != digits + 2 or text[:2] not in ("0x", "0X") or len(bytes.fromhex(text[2:])) * 2 != digits:
        raise ValueError(f'expected 0x and {digits} hex digits, got "{text[:80]}"')
    return text.lower()


def read_topics(texts: list[str] | None) -> tuple[Hash32, ...]:
    """Read the topics of a log; null is how some write none."""
    if texts is None:
        return ()
    if len(texts) > _MAX_TOPICS:
        raise ValueError(f"expected at most {_MAX_TOPICS} topics, got {len(texts)}")
    return tuple([Hash32(read_hex(text, 64)) for text in texts])


def read_data(text: str | None) -> bytes:
    """Read the data of a log; null and "" are how some write none.

    Its size is bounded by the message that it came in, and by nothing else: anybody can pay for a log of a megabyte, and
    one that is not read stops the block that it stands in.
    """
    if not text:
        return b""
    if text[:2] not in ("0x", "0X"):
        raise ValueError("expected 0x hex data")
    data = bytes.fromhex(text[2:])
    if len(data) * 2 != len(text) - 2:
        raise ValueError("expected hex data without spaces")
    return data
