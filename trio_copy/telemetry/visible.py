"""Shows control characters as such: text from outside must not move a cursor, recolour a line or turn its order round."""

import re

_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_ID = re.compile(r"\b(0x)?[0-9a-fA-F]{15,}\b")
_NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def visible(text: str) -> str:
    r"""Return a text of one line whose control characters are written out, such as \x1b, \n or \u202e."""
    if text.isprintable():
        return text  # nothing of what is hidden is printable, and hardly any text holds it
    return _HIDDEN.sub(lambda found: _NAMED.get(found[0]) or _code(found[0]), text)


def visible_lines(text: str) -> str:
    """Do the same for a text of our own making that has lines, such as a traceback."""
    return "\n".join(visible(line) for line in text.split("\n"))


def escaped_json(text: str) -> str:
    """Escape in JSON what JSON itself does not: it says the same, and is safe on a terminal."""
    if text.isprintable():
        return text  # as above
    return _HIDDEN.sub(lambda found: _json_code(found[0]), text)


def with_short_ids(text: str) -> str:
    """Shorten addresses, hashes and long numbers in a text so that a person can still tell them; all else stays."""
    return _ID.sub(lambda found: f"{found[0][:6]}..{found[0][-4:]}", text)


def cut_inside(text: str, width: int) -> str:
    """Shorten a text to its beginning and, as long as that, its end: the end of a question is what was answered."""
    tail = (width - 1) // 2
    return (
        text if len(text) <= width else f"{text[: width - 1 - tail]}\N{HORIZONTAL ELLIPSIS}{text[len(text) - tail :]}"
    )


def _code(letter: str) -> str:
    point = ord(letter)
    return rf"\x{point:02x}" if point < 0x100 else rf"\u{point:04x}" if point < 0x10000 else rf"\U{point:08x}"


def _json_code(letter: str) -> str:
    units = letter.encode("utf-16-be", errors="surrogatepass")
    return "".join(rf"\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2))
