"""Takes secrets out of whatever is about to be logged. It sits at the root, so that no caller has to remember it."""

import re
from collections.abc import MutableMapping
from typing import Any

_PATTERNS = (
    # A private key is 64 hex digits without context; hashes and ids that may be shown are written by named fields.
    (re.compile(r"\b(?:0x)?[0-9a-fA-F]{64}\b"), "[redacted-hex]"),
    (re.compile(r"(wss?|https?)://[\w\[][^\s\"']*"), r"\1://[redacted-url]"),
    (
        re.compile(r"(?i)(poly_\w+|authorization|api[_-]?key|secret|passphrase|password)(\"?\s*[:=]\s*)\S+"),
        r"\1\2[redacted]",
    ),
    (re.compile(r"\b(?:[a-z]{3,8} ){11,23}[a-z]{3,8}\b"), "[redacted-phrase]"),
)
_PUBLIC_FIELDS = frozenset({"signal_id", "task_id", "intent_key", "order_id", "tx_hash", "block_hash"})


def redact(text: str) -> str:
    """Return a text without anything that looks like a key, a phrase or a URL."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redact_event(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Redact every field of a log event but the identities that are meant to be seen (a structlog processor)."""
    for name, value in event.items():
        if name not in _PUBLIC_FIELDS and not isinstance(value, (int, float, bool, type(None))):
            event[name] = redact(str(value))
    return event
