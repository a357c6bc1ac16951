"""What the relayer says where it does not take an action, and what that proves."""

import re
from enum import Enum

import msgspec
from attrs import frozen


class Row(Enum):
    """A kind of refusal: what it is, and whether it proves that the action was not taken."""

    BUSY = "another action of the wallet is under way", True
    NONCE = "the wallet's nonce is another one by now", True
    BLOCKED = "the relayer does not make such a call", True
    QUOTA = "nothing more of this key today", True
    LIMIT = "too many requests", True
    KEY = "the key is not known, or not allowed to do this", True
    UNREACHED = "nothing has left", True
    UNKNOWN = "no answer, or one that nobody knows", False

    def __init__(self, what: str, not_taken: bool) -> None:
        self.what = what
        self.not_taken = not_taken

    __hash__ = object.__hash__


@frozen(kw_only=True)
class Refusal:
    row: Row
    words: str = ""
    """The relayer's own, on one line."""
    nonce: int | None = None
    """Which one the wallet has by now, where the relayer says so."""
    rest_s: float = 0.0
    """How long it asks to be left alone, as far as it says."""


class _Error(msgspec.Struct):
    error: str = ""
    message: str = ""


_NONCE = re.compile(r"batch nonce\s{1,9}(\d{1,78})\s{1,9}does not match on-chain nonce\s{1,9}(\d{1,78})")
_BUSY = re.compile(r"wallet busy\b.{0,200}\bactive action|wallet has in-flight action")
_BLOCKED = re.compile(r"call blocked|call\[\d{1,9}\] blocked")
_QUOTA = re.compile(r"quota exceeded")
_RESETS = re.compile(r"resets in (\d{1,9}) seconds")
_LONGEST_WORDS = 300
_LONGEST_REST_S = 86_400.0
_BAD_REQUEST, _TOO_MANY = 400, 429
_NO_KEY = (401, 403)


def read_refusal(status: int, body: bytes, retry_after: str = "") -> Refusal:
    """Say what an answer means that is no success. Never raises: what nobody knows proves nothing."""
    said = _words(body)
    text, rest_s = said.lower(), _rest_s(retry_after)
    if status == _TOO_MANY or (status == _BAD_REQUEST and _QUOTA.search(text)):
        if _QUOTA.search(text):
            resets = _RESETS.search(text)
            rest_s = min(float(resets[1]), _LONGEST_REST_S) if resets else rest_s
            return Refusal(row=Row.QUOTA, words=said, rest_s=rest_s)
        return Refusal(row=Row.LIMIT, words=said, rest_s=rest_s)
    if status in _NO_KEY:
        return Refusal(row=Row.KEY, words=said)
    if status == _BAD_REQUEST:
        nonces = _NONCE.search(text)
        if nonces is not None:
            given, on_chain = int(nonces[1]), int(nonces[2])
            # One that is ahead has to wait for those before it, as where the wallet is busy.
            return Refusal(row=Row.NONCE if given < on_chain else Row.BUSY, words=said, nonce=on_chain)
        for row, pattern in ((Row.BLOCKED, _BLOCKED), (Row.BUSY, _BUSY)):
            if pattern.search(text):
                return Refusal(row=row, words=said)
    return Refusal(row=Row.UNKNOWN, words=f"HTTP status {status}: {said}", rest_s=rest_s)


def _words(body: bytes) -> str:
    """Return what an error says, on one line; of a page, that it is one."""
    try:
        told = msgspec.json.decode(body, type=_Error)
        text = told.error or told.message
    except (msgspec.MsgspecError, ValueError, RecursionError):
        text = "a page" if body.lstrip()[:1] == b"<" else body[:_LONGEST_WORDS].decode(errors="replace")
    return "".join(letter if letter.isprintable() else " " for letter in text[:_LONGEST_WORDS]).strip()


def _rest_s(retry_after: str) -> float:
    digits = retry_after[:9]
    return min(float(digits), _LONGEST_REST_S) if digits.isascii() and digits.isdigit() else 0.0
