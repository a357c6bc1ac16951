"""Finds what is secret by its shape: a token, a part of a URL, also where `urllib` would cut it wrongly.

A password may hold / ? # and @.
"""

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from urllib.parse import unquote, urlsplit

# What may stand before the sign by which a shape is known has an end: otherwise each letter of a long word, such as call
# data in hex, is the beginning of another search through all of it, and a text of 20 kB takes seconds, of 100 kB minutes.
_HEADER_MOST = 8192
JWT = re.compile(rf"\beyJ[\w-]{{5,{_HEADER_MOST}}}+\.[\w-]{{5,}}\.?[\w-]*")
_ANY_SCHEME = r"[a-z][a-z0-9+.-]{0,31}://"
URL = re.compile(rf"{_ANY_SCHEME}[^\s\"'<>|\\^`]+", re.IGNORECASE)
_SCHEME = re.compile(_ANY_SCHEME, re.IGNORECASE)
_SECRET_PARAMETER = re.compile(
    r"(private|secret|phrase|password|passwd|key|token|auth|authorization|signature|sig)$", re.IGNORECASE
)
_IDENTIFIER = re.compile(r"0x[0-9a-f]{40}([0-9a-f]{24})?|\d+", re.IGNORECASE)
"""An address, a hash or a token id: public, however random it looks."""
_PLAIN_PART = re.compile(r"[A-Za-z]{1,14}|\d{1,6}|[A-Za-z]{1,6}\d{1,4}|\d[a-z]")
"""A word, a number, or a word with a number, as names of hosts and paths have them."""
_UUID = re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", re.IGNORECASE)
_LONG, _RUN_LEAST, _CHANGES_LEAST, _NAME_LEAST = 16, 10, 4, 20
_PUBLIC_PART = re.compile(
    r"amoy|api|archive|bor|chain|eth|ethereum|evm|ext|full|https?|json|jsonrpc|mainnet|matic|nodes?|polygon|pos|public|rpc"
    r"|stream|testnet|true|false|websockets?|wss?|v?\d{1,5}"
)
_LABEL_LEAST, _PIECE_LEAST = 8, 4


def urls_in(text: str) -> list[str]:
    """Return the URLs in a text, and what begins as one whole, because a password may hold any sign."""
    start = _SCHEME.search(text)
    whole = [text[start.start() :]] if start is not None and not re.search(r"\s", text.strip()) else []
    return URL.findall(text) + whole


def looks_like_key(text: str) -> bool:
    """Tell a key from the words and numbers that paths and hosts are usually made of."""
    text = unquote(text)
    if _IDENTIFIER.fullmatch(text):
        return False
    if _UUID.fullmatch(text) or text.startswith("eyJ"):
        return True
    parts = [part for part in re.split(r"[^A-Za-z0-9]+", text) if part]
    odd = [part for part in parts if not _PLAIN_PART.fullmatch(part)]
    if any(len(part) >= _LONG or (len(part) > _RUN_LEAST and _changes(part) >= _CHANGES_LEAST) for part in odd):
        return True
    mixed = all(re.search(kind, text) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    return len(text) >= _NAME_LEAST and (mixed or len(odd) > 1)


def no_public_word(text: str) -> bool:
    """Tell what may be a key from the words that URLs of nodes share, where everything else has to be taken for one."""
    parts = [part for part in re.split(r"[^A-Za-z0-9]+", unquote(text).lower()) if part]
    return len(text) >= _PIECE_LEAST and not all(map(_PUBLIC_PART.fullmatch, parts))


def secrets_of_url(url: str, is_key: Callable[[str], bool]) -> Iterator[str]:
    """Yield every part of a URL that must not be seen, as it stands there; what cannot be parsed is cut by hand."""
    _, _, rest = url.partition("://")
    credentials = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[0]
    # Where the password holds one of / ? # the last @ ends it. A later @ may be part of a path: then too much is hidden.
    for found in {credentials, rest.rpartition("@")[0]} - {""}:
        user, colon, password = found.partition(":")
        yield found
        yield password if colon else user
        if colon and looks_like_key(user):
            yield user
        yield from (piece for piece in re.split(r"[/?#@]", password) if len(piece) >= _PIECE_LEAST)
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return
    of_node = not parts.scheme.startswith(("redis", "unix"))
    bare = []
    for name, equals, value in (pair.partition("=") for pair in re.split(r"[&;]", parts.query)):
        if value and (_SECRET_PARAMETER.search(name) or (of_node and is_key(value))):
            yield value
        elif not equals:
            bare.append(name)
    if not of_node:
        return  # its path is a file, a database or the name of a primary
    yield from (part for part in [*parts.path.split("/"), *bare, parts.fragment] if part and is_key(part))
    *labels, _ = [""] if host.replace(".", "").isdigit() else host.split(".")
    yield from (label for label in labels if looks_like_key(label))
    yield from (label for label in labels[:-1] if len(label) >= _LABEL_LEAST and is_key(label))


def _changes(text: str) -> int:
    """Count how often letters, capitals and digits take turns: seldom in names, often in keys."""
    kinds = [("0" if letter.isdigit() else "A" if letter.isupper() else "a") for letter in text]
    return sum(one != other for one, other in pairwise(kinds))
