"""Secrets are named, never written: an environment variable or a 0600 file. One in the TOML itself is refused.

Whoever reads one tells `Learn` of it, so that it can be kept out of all that is shown.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from trio_copy.secret_shapes import JWT, looks_like_key, secrets_of_url, urls_in

Learn = Callable[[str], None]
"""Hears of every secret that was read, whole."""
_BYTES_MOST = 1 << 16
_NAMED = ("env:", "file:", "keystore:", "credential:")
_HEX_KEY = re.compile(r"^(0x)?[0-9a-fA-F]{64}$")
_PHRASE = re.compile(r"^([a-z]{3,8} ){11,23}[a-z]{3,8}$")
_SECRET_KEYS = re.compile(
    r"(private|secret|mnemonic|seed_?phrase|passphrase|password|private_?key|api_?key|token)s?$", re.IGNORECASE
)
_OF_WALLET = re.compile(r"wallet\..+\.(key|passphrase)|fleet\..+\.(mnemonic|keys(\[\d+\])?|passphrase|funding)")
_PUBLIC_LISTS = re.compile(r"\.(condition_(allow|deny))\[\d+\]$")
"""Condition ids look like private keys, and are public."""
_TOKEN_IDS = re.compile(r"\.tokens\[\d+\]$")
"""Outcome tokens have numbers for names, and are called what API tokens are called as well."""
_OF_MAKERS = re.compile(r"\.(fpmm|pools)\[\d+\]\.tokens\[\d+\]$")
"""Where such a number belongs: what else is written there is a mistake, unless it looks like a key."""
_TOKEN_CONTRACTS = re.compile(r"\.conditional_tokens(\[\d+\])?$")
_ADDRESS = re.compile(r"^0x[0-9a-fA-F]{40}$")


def forget(secret: str) -> None:
    """Learn nothing, where nothing will be shown."""


def has_secret_parts(text: str) -> bool:
    """Tell whether a text holds a URL with a password or an API key."""
    return any(True for url in urls_in(text) for _ in secrets_of_url(url, looks_like_key))


def find_secrets(table: object, learn: Learn, path: str = "") -> Iterator[str]:
    """Yield a problem for each value that looks like a secret; the value itself is never repeated, but learned."""
    match table:
        case dict():
            for key, value in table.items():
                yield from find_secrets(value, learn, f"{path}.{key}" if path else str(key))
        case list():
            for index, value in enumerate(table):
                yield from find_secrets(value, learn, f"{path}[{index}]")
        case str() if _OF_WALLET.fullmatch(path):
            # Its own check says what is wrong with it, and repeats nothing.
            if _names_a_key(table) or not table.startswith(_NAMED):
                learn(re.split("[:/]", table)[-1])
        case str() if _names_a_key(table):
            learn(re.split("[:/]", table)[-1])
            yield written(path)
        case str() if table and not table.startswith(_NAMED):
            what = _kind_of_secret(path, table)
            if what is not None:
                learn(table)
                yield written(path, what)


def written(path: str, what: str = "a secret") -> str:
    """Say that a secret stands in the file, and where it belongs."""
    return f"{path}: expected env:NAME or file:PATH, got {what} in the file; if it was real, replace it now"


def _names_a_key(text: str) -> bool:
    """Tell whether somebody took the place of a name for the place of the key."""
    return text.startswith(_NAMED) and _HEX_KEY.match(re.split("[:/]", text)[-1]) is not None


def _kind_of_secret(path: str, text: str) -> str | None:
    if (_TOKEN_IDS.search(path) and text.isdecimal()) or (_TOKEN_CONTRACTS.search(path) and _ADDRESS.match(text)):
        return None
    key = re.sub(r"(\[\d+\])+$", "", path.rpartition(".")[2])
    named_so = _SECRET_KEYS.search(key) and not _OF_MAKERS.search(path)
    if named_so or _PHRASE.match(text) or JWT.search(text):
        return "a secret"
    if _HEX_KEY.match(text) and not _PUBLIC_LISTS.search(path):
        return "a secret"
    return "a URL with a password or an API key" if has_secret_parts(text) else None


def read_named_secret(value: str, learn: Learn) -> str:
    """Return the secret that `env:NAME` or `file:PATH` names, or the value itself when it names none.

    Raises:
        ValueError: the variable is not set, or the file is missing, not ours, readable by others, or no text.
    """
    if value.startswith("env:"):
        name = value.removeprefix("env:")
        secret = os.environ.get(name)
        if secret is None:
            raise ValueError(f"expected environment variable {name} to be set")
        secret = secret.strip()  # files of variables that were written on Windows leave a carriage return
    elif value.startswith("file:"):
        path = Path(value.removeprefix("file:"))
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
                raise ValueError(f"expected {path} to be a regular file of this user with mode 0600; chmod 600 {path}")
            if status.st_size > _BYTES_MOST:
                raise ValueError(f"expected a secret in {path}, got {status.st_size} bytes")
            secret = path.read_text("utf-8-sig").strip()
        except OSError as error:
            raise ValueError(f"expected a secret in {path}, got: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ValueError(f"expected a secret in {path}, got: no UTF-8 text") from None
    else:
        secret = value
    learn(secret)
    return secret
