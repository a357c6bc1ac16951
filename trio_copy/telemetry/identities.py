"""Tells what names something: it may look like a secret, and a person needs every digit of it.

Two ways to know. The names of the configuration and of instances are recognised: whoever reads them tells the redactor.
Hashes and ids are too many for that: they are known by the word before them.
"""

import re

HEX64 = re.compile(r"(?<![0-9a-z])(?:0x)?[0-9a-f]{64}(?![0-9a-z])", re.IGNORECASE)
_NUMBER = re.compile(r"0x[0-9a-f]{40}(?:[0-9a-f]{24})?|\d+", re.IGNORECASE)
_NAMING = r"block|condition|copy|copies|digest|hash|intent|log|market|order|parent|root|signal|task|token|topic|transaction|tx"
_NAMED = re.compile(
    rf"(?:\b|_)(?:{_NAMING})(?:e?s)?(?:[ _-]?(?:id|hash|key))?(?:\s+is)?[\s=:#\"'(\[/]*(?:[a-z][a-z0-9]*-)?$|\bids?[\s=:#\"'(\[/]*$",
    re.IGNORECASE,
)
_NAMING_KEY = re.compile(rf"\b(?:{_NAMING}|idempotency|shard) $", re.IGNORECASE)
_NEXT = re.compile(r"[\s,;\"']*(?:and\s+)?(?:[a-z][a-z0-9]*-)?", re.IGNORECASE)
_OF_NAMES, _OF_HOSTS = re.compile(r"[\w-]"), re.compile(r"[\w.-]")
_LOOK_BACK, _NAME_MOST = 40, 256


def words_around(text: str, start: int, end: int) -> set[str]:
    """Return the whole words of which a piece was found: with dots, as hosts and instances have, and without."""
    return {_grown(text, start, end, letters).strip(".-") for letters in (_OF_NAMES, _OF_HOSTS)}


def _grown(text: str, start: int, end: int, letters: re.Pattern[str]) -> str:
    # No further than any name is long: in a long word each piece that is found would look through all of it.
    first, last = max(0, start - _NAME_MOST), min(len(text), end + _NAME_MOST)
    while start > first and letters.match(text[start - 1]):
        start -= 1
    while end < last and letters.match(text[end]):
        end += 1
    return text[start:end]


def is_public_number(text: str) -> bool:
    """Tell an address, a hash or the number of a token: what is behind `condition_token=` is no access token."""
    return _NUMBER.fullmatch(text) is not None


def names_a_key(text: str, at: int) -> bool:
    """Tell whether the `key` that begins there is one by which something is found, such as a task key."""
    return _NAMING_KEY.search(text[max(0, at - _LOOK_BACK) : at]) is not None


def unnamed_hex(text: str) -> list[tuple[int, int]]:
    """Return where 64 hex digits stand that nothing calls an order, a transaction or the like; a list is named once."""
    found, named_end = [], -1
    for match in HEX64.finditer(text):
        start = match.start()
        goes_on = named_end >= 0 and _NEXT.fullmatch(text, named_end, start) is not None
        if goes_on or _NAMED.search(text[max(0, start - _LOOK_BACK) : start]):
            named_end = match.end()
        else:
            found.append(match.span())
    return found
