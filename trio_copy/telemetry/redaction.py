"""Takes secrets out of whatever leaves the process: the screen, logs, events, what plugins hear, what a store keeps.

Two nets. The first knows the secrets themselves: whoever reads one tells the redactor, which then finds it in every
spelling. The second knows shapes, for secrets that nobody has read here: URLs with passwords or keys, values behind a
label, tokens, phrases. Identities look like keys (a transaction hash is 64 hex digits, as a private key is), so a number
without a label is never taken for a secret by its shape, but where a foreign text names it nothing (`redact_foreign`).
Names that are recognised stay, unless they are a secret themselves. Decision 0018 has the choices.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, MutableMapping
from typing import Any
from urllib.parse import unquote

from trio_copy.secret_shapes import JWT, URL, looks_like_key, no_public_word, secrets_of_url, urls_in
from trio_copy.telemetry.identities import HEX64, is_public_number, names_a_key, unnamed_hex, words_around
from trio_copy.telemetry.known_keys import KnownKeys
from trio_copy.telemetry.visible import escaped_json

REDACTED = "[redacted]"
_SHORTEST = 4
"""A shorter secret cannot be told from ordinary text; only its place in a URL or behind a label gives it away."""
_ALONE = 8
"""A secret shorter than this is looked for as a word of its own, not as a piece of another."""
_CUT_LEAST = 8
"""Letters of a secret at the end of a text that was cut off there."""
_LOOKED_AT = 1 << 14
"""Letters of a text of any length of which only the beginning is wanted."""
_PRIVATE_KEY_LENGTH = 66
_BEFORE = r"(?:(?<![a-z0-9])|(?<=%[0-9a-f]{2})|(?<=\\[abfnrtv])|(?<=u00[0-9a-f]{2}))"
_LABELLED = re.compile(
    # A label has an end, as has what `secret_shapes` looks for; of a longer word, its last letters are one.
    r"((?:poly_\w{1,64}|(?:proxy-)?authorization|x-api-key|api[_-]?key|\w{0,64}secret|passphrase|passw(?:or)?d|\w{1,64}[_-]token"
    r"|private[_ -]?key|mnemonic|seed phrase)\\?[\"']?\s*[:=]\s*\\?[\"']?)(?!expected\b|required\b|unknown\b|env:|file:|\[redacted)"
    r"((?:basic |bearer |digest )?[^\s\"',;&})\]\\]+)",
    re.IGNORECASE,
)
_NAMED_KEY = re.compile(
    r"((?:private|secret|signing|wallet| |^)[_ -]?key(?:\s+is)?[:=]?\s*\"?)((?:0x)?[0-9a-f]{64})\b",
    re.IGNORECASE,
)
_PHRASE_LEAST = 11
"""A seed phrase has at least so many spaces."""
_PHRASE = re.compile(rf"\b(?:[a-z]{{3,8}} ){{{_PHRASE_LEAST},23}}[a-z]{{3,8}}\b")
_BASIC = re.compile(r"\b(basic |bearer )(?!(?-i:[a-z]+)\b)([\w+/=.-]{8,})", re.IGNORECASE)
_HINTS = (
    "://",
    "poly_",
    "authoriz",
    "key",
    "secret",
    "pass",
    "_token",
    "-token",
    "mnemonic",
    "phrase",
    "eyj",
    "basic ",
    "bearer ",
)
"""Every shape but a phrase holds one of these: most lines hold none, and are not looked at any further."""
_SECRET_FIELD = re.compile(r"(private_?key|api_?key|secret|passphrase|password|mnemonic|authorization)$", re.IGNORECASE)
_PUBLIC_FIELDS = frozenset(
    {"signal_id", "task_id", "intent_key", "order_id", "tx_hash", "block_hash", "condition_id", "token_id", "leader"}
)


class Redactor:
    """Knows what must not be seen. It learns while the configuration is read, and forgets nothing."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known: frozenset[str] = frozenset()
        self._sure: frozenset[str] = frozenset()
        """Those of them, in small letters, that are more than a word at a place where a key may stand."""
        self._names: frozenset[str] = frozenset()
        self._cores: tuple[str, ...] = ()
        self._pattern = re.compile("(?!)")
        self._keys = KnownKeys()
        for secret in secrets:
            self.learn(secret)

    def learn(self, secret: str) -> None:
        """Keep a secret out of everything from now on: a password, a key, or a URL that holds some."""
        if self._keys.learn(secret):
            return
        if URL.match(secret.strip()):
            self._learn_url(secret.strip(), list(secrets_of_url(secret.strip(), no_public_word)))
        else:
            self._add(secret, *secret.splitlines())

    def recognise(self, *names: str) -> None:
        """Let names stay readable: of followers, executors, instances.

        A guess gives way to a name that is it or holds it, such as a path of a node's URL, and so does a short secret to a
        name that only holds it. A name that is a secret, or holds a long one, is hidden with it.
        """
        self._names |= {name for name in names if name}

    def overhear(self, text: str) -> None:
        """Learn what is secret in the URLs of a text that is itself none, such as a command line."""
        for url in urls_in(text):
            self._learn_url(url, list(secrets_of_url(url, looks_like_key)))

    def redact(self, text: str) -> str:
        """Return a text without secrets. One that was cut off at its end is found too."""
        text = self._known_out_of(text)
        return self._shapes_out_of(self._cut_off_out_of(text))

    def redact_beginning(self, text: str, most: int) -> str:
        """Redact a text of any length, and return at most so many letters of its beginning.

        It is cut afterwards, because half a secret is found less surely than a whole one; but what is far behind the cut
        is not looked at, because whoever waits for it waits for all of it.
        """
        return self.redact(text[: max(most, _LOOKED_AT)])[:most]

    def redact_foreign(self, text: str) -> str:
        """Redact a text that others wrote: there 64 hex digits may be any key, unless something names them."""
        text = self.redact(text)
        if not HEX64.search(text):
            return text
        for start, end in reversed(unnamed_hex(text)):
            if words_around(text, start, end).isdisjoint(self._names):
                text = text[:start] + REDACTED + text[end:]
        return text

    def redact_line(self, line: str) -> str:
        """Redact a line of output. JSON stays JSON: only its texts are changed."""
        if not self._may_hold_known(line) and not _may_hold_shapes(line) and self._keys.out_of(line, "") == line:
            return line
        if line.startswith("{"):
            import msgspec  # only where a line has to be read: every command makes a redactor, and few write JSON

            try:
                value = msgspec.json.decode(line)
            except (msgspec.DecodeError, RecursionError):
                return self.redact(line)
            clean = self._redact_value(value, "")
            end = line[len(line.rstrip("\r\n")) :]
            return line if clean == value else escaped_json(msgspec.json.encode(clean).decode()) + end
        return self.redact(line)

    def redact_event(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Redact every field of a log event but identities (a structlog processor)."""
        for name, value in event.items():
            if not isinstance(value, (int, float, bool, type(None))):
                event[name] = self._redact_value(str(value), name)
        return event

    def _redact_value(self, value: object, name: str) -> object:
        match value:
            case str() if name in _PUBLIC_FIELDS:
                return self._known_out_of(value)
            case str():
                secret = _SECRET_FIELD.search(name) and name not in self._names
                return REDACTED if secret else self.redact(value)
            case dict():
                return {self.redact(key): self._redact_value(item, key) for key, item in value.items()}
            case list():
                return [self._redact_value(item, name) for item in value]
            case _:
                return value

    def _learn_url(self, url: str, parts: list[str]) -> None:
        if not parts:
            return
        self._add(url, *secrets_of_url(url, looks_like_key))
        self._add(*parts, sure=False)
        for credentials in (part for part in parts if f"{part}@" in url and ":" in part):
            for pair in (credentials, unquote(credentials)):
                self._add(b64encode(pair.encode()).decode().rstrip("="))

    def _add(self, *secrets: str, sure: bool = True) -> None:
        found = {text.strip() for secret in secrets for text in (secret, unquote(secret), _bare_hex(secret))}
        if sure:
            self._sure |= {text.lower() for text in found}
        new = {text for text in found if len(text) >= _SHORTEST} - self._known
        if new:
            # Assigned anew, never changed: a reload learns in a thread of its own while others read.
            self._known |= new
            # The longest first: a URL goes as a whole, not only the key in it.
            patterns = (_spellings(secret) for secret in sorted(self._known, key=len, reverse=True))
            self._pattern = re.compile("|".join(patterns), re.IGNORECASE)
            self._cores = tuple({_core(secret) for secret in self._known})

    def _may_hold_known(self, text: str) -> bool:
        """Tell fast whether the pattern has anything to look for: most of what is shown holds no secret."""
        low = text.lower()
        return any(core in low for core in self._cores)

    def _known_out_of(self, text: str) -> str:
        text = self._keys.out_of(text, REDACTED)
        return self._pattern.sub(self._unless_named, text) if self._may_hold_known(text) else text

    def _unless_named(self, found: re.Match[str]) -> str:
        written: str = found[0]
        names = words_around(found.string, *found.span()) & self._names
        if not names:
            return REDACTED
        known = written.lower()
        hides = known in self._sure and (len(known) >= _ALONE or written in names)
        return REDACTED if hides else written

    def _shapes_out_of(self, text: str) -> str:
        """Return a text without what looks like a secret, and cannot be an identity."""
        if not _may_hold_shapes(text):
            return text
        text = URL.sub(_redact_url, text)
        text = JWT.sub(REDACTED, text)
        text = _LABELLED.sub(self._redact_labelled, text)
        text = _NAMED_KEY.sub(_redact_key, text)
        text = _BASIC.sub(rf"\1{REDACTED}", text)
        return _PHRASE.sub("[redacted-phrase]", text)

    def _redact_labelled(self, found: re.Match[str]) -> str:
        label, value = found[1], found[2]
        start = found.start()
        named = words_around(found.string, start, start + 1) & self._names  # a follower may be called poly_ann
        number = "token" in label.lower() and is_public_number(value)
        return found[0] if named or number else f"{label}{REDACTED}"

    def _cut_off_out_of(self, text: str) -> str:
        """Take out a secret of which a limit on lengths has left only the beginning."""
        end = text.rstrip(" \"')]}.…")
        low = end.lower()
        for secret in self._known:
            if "://" in secret:
                continue  # its beginning is public, and its secret parts are known by themselves
            for length in range(min(len(secret) - 1, len(low)), _CUT_LEAST - 1, -1):
                if low.endswith(secret[:length].lower()):
                    if words_around(end, len(end) - length, len(end)) & self._names:
                        break
                    return end[: len(end) - length] + REDACTED + text[len(end) :]
        return text


def _may_hold_shapes(text: str) -> bool:
    low = text.lower()
    if any(hint in low for hint in _HINTS):
        return True
    # Looked for only where there can be one: JSON has hardly any spaces, and lists are long.
    return text.count(" ") >= _PHRASE_LEAST and _PHRASE.search(text) is not None


def _redact_url(found: re.Match[str]) -> str:
    url: str = found[0]
    for secret in sorted(secrets_of_url(url, looks_like_key), key=len, reverse=True):
        url = url.replace(secret, REDACTED)
    return url


def _redact_key(found: re.Match[str]) -> str:
    space = found[1].startswith(" ")
    named = space and names_a_key(found.string, found.start() + 1)
    return found[0] if named else f"{found[1]}{REDACTED}"


def _core(secret: str) -> str:
    """Return the longest part of a secret that is the same in every spelling."""
    parts: list[str] = re.findall("[a-z0-9]*", secret.lower())
    return max(parts, key=len)


def _bare_hex(secret: str) -> str:
    return secret.removeprefix("0x") if len(secret) == _PRIVATE_KEY_LENGTH else secret


def _spellings(secret: str) -> str:
    """Write a pattern for a secret as URLs, JSON, Python and HTML spell it, in any letter case, also one in the other."""
    written = "".join(_spelling(letter) for letter in secret)
    return written if len(secret) >= _ALONE else f"{_BEFORE}{written}(?![a-z0-9])"


def _spelling(letter: str) -> str:
    if letter.isascii() and letter.isalnum():
        return letter
    bytes_ = letter.encode(errors="surrogatepass")
    percent = "".join(rf"%(?:25)*{byte:02x}" for byte in bytes_)
    in_bytes = "".join(rf"\\+x{byte:02x}" for byte in bytes_)
    units = letter.encode("utf-16-be", errors="surrogatepass")
    in_json = "".join(rf"\\+u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2))
    html = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&(?:quot|#34);", "'": "&#(?:x27|39);"}.get(letter)
    plus = r"\+" if letter == " " else None
    plain = r"\\+" if letter == "\\" else rf"\\*{re.escape(letter)}"
    return "(?:" + "|".join(filter(None, (html, plain, percent, in_bytes, in_json, plus))) + ")"
