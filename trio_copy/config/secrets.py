"""Secrets are named, never written: an environment variable or a 0600 file. One in the TOML itself is refused."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

_NAMED = ("env:", "file:")
_HEX_KEY = re.compile(r"^(0x)?[0-9a-fA-F]{64}$")
_PHRASE = re.compile(r"^([a-z]{3,8} ){11,23}[a-z]{3,8}$")
_URL_KEY = re.compile(r"^(wss?|rediss?(\+[a-z]+)?|unix)://[^/]*:?[^/]+@|^wss?://.*[/=][A-Za-z0-9_-]{20,}(/|$)")
_SECRET_KEYS = re.compile(r"(private|secret|mnemonic|seed_phrase|passphrase|password|api_?key|token)s?$")


def find_secrets(table: object, path: str = "") -> Iterator[str]:
    """Yield a problem for each value that looks like a secret; the value itself is never repeated."""
    match table:
        case dict():
            for key, value in table.items():
                yield from find_secrets(value, f"{path}.{key}" if path else str(key))
        case list():
            for index, value in enumerate(table):
                yield from find_secrets(value, f"{path}[{index}]")
        case str() if not table.startswith(_NAMED):
            key = path.rpartition(".")[2]
            if _HEX_KEY.match(table) or _PHRASE.match(table) or _SECRET_KEYS.search(key):
                what = "a secret"
            elif _URL_KEY.match(table):
                what = "a URL with a password or an API key"
            else:
                return
            yield f"{path}: expected env:NAME or file:PATH, got {what} in the file; if it was real, replace it now"


def read_named_secret(value: str) -> str:
    """Return the secret that `env:NAME` or `file:PATH` names, or the value itself when it names none.

    Raises:
        ValueError: the variable is not set, or the file is missing, not ours, or readable by others.
    """
    if value.startswith("env:"):
        name = value.removeprefix("env:")
        secret = os.environ.get(name)
        if secret is None:
            raise ValueError(f"expected environment variable {name} to be set")
        return secret
    if value.startswith("file:"):
        path = Path(value.removeprefix("file:"))
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
                raise ValueError(f"expected {path} to be a regular file of this user with mode 0600; chmod 600 {path}")
            return path.read_text().strip()
        except OSError as error:
            raise ValueError(f"expected a secret in {path}, got: {error.strerror}") from None
    return value
