"""Private keys that were read, found in a text in time that does not grow with how many there are: wallets come in thousands."""

import ast
import re
from collections.abc import Iterator

_KEY = re.compile(r"(?:0x)?([0-9a-f]{64})", re.IGNORECASE)
_DIGITS = 64
_RUN = re.compile(r"(?:0x)?([0-9a-f]{64,})|(?<!\d)\d{60,78}(?!\d)", re.IGNORECASE)
"""A run may be longer than a key, that stands in the middle; a key may be written as a decimal number."""
_BYTES = re.compile(r"""b(?:'(?:\\.|[^'\\])+'|"(?:\\.|[^"\\])+")""", re.DOTALL)
"""As Python shows them: a traceback says what a variable was."""
_END = re.compile(r"[0-9a-f]{8,63}\Z", re.IGNORECASE)
_CUT_LEAST = 8


class KnownKeys:
    """Knows keys of 64 hex digits."""

    def __init__(self) -> None:
        self._by_start: dict[str, tuple[str, ...]] = {}
        self._numbers: set[str] = set()

    def learn(self, secret: str) -> bool:
        """Take a secret in, if it is a key; returns whether it is one."""
        found = _KEY.fullmatch(secret.strip())
        if found is None:
            return False
        key = found[1].lower()
        start = key[:_CUT_LEAST]
        if key not in self._by_start.get(start, ()):
            self._by_start[start] = (*self._by_start.get(start, ()), key)
            self._numbers.add(str(int(key, 16)))
        return True

    def out_of(self, text: str, instead: str) -> str:
        """Return a text with every key replaced, also one of which only the beginning is left at the end."""
        if not self._by_start:
            return text
        text = _RUN.sub(lambda found: self._replaced(found, instead), text)
        if "\\" in text:
            text = _BYTES.sub(lambda found: instead if self._is_in_bytes(found[0]) else found[0], text)
        cut = text.rstrip(" \"')]}.…")
        end = _END.search(cut)
        if end is None:
            return text
        low = end[0].lower()
        for at in range(len(low) - _CUT_LEAST + 1):
            if any(key.startswith(low[at:]) for key in self._by_start.get(low[at : at + _CUT_LEAST], ())):
                return cut[: end.start() + at] + instead + text[len(cut) :]
        return text

    def _replaced(self, found: re.Match[str], instead: str) -> str:
        run = found[1]
        if run is None:
            return instead if found[0] in self._numbers else found[0]
        if run.isdecimal() and run in self._numbers:
            return instead
        low, kept = run.lower(), []
        end = 0
        for at in self._keys_in(low):
            kept.append(run[end:at])
            end = at + _DIGITS
        if not end:
            return found[0]
        before = found[0][: len(found[0]) - len(run)] if kept[0] else ""  # the 0x goes with the key that it belongs to
        return f"{before}{instead.join(kept)}{instead}{run[end:]}"

    def _is_in_bytes(self, shown: str) -> bool:
        try:
            low = bytes(ast.literal_eval(shown)).hex()
        except (ValueError, SyntaxError):
            return False
        return next(self._keys_in(low), None) is not None

    def _keys_in(self, low: str) -> Iterator[int]:
        at = 0
        while at <= len(low) - _DIGITS:
            if low[at : at + _DIGITS] in self._by_start.get(low[at : at + _CUT_LEAST], ()):
                yield at
                at += _DIGITS
            else:
                at += 1
