"""By which headers the relayer knows who asks."""

import binascii
import hmac
import re
from base64 import b64decode, urlsafe_b64encode

from attrs import Attribute, field, frozen

from trio_copy.model.ids import Address, parse_address
from trio_copy_onchain.relayer.settings import RelayerSettings
from trio_copy_onchain.relayer.wire import checksummed

Headers = tuple[tuple[str, str], ...]
_SENDABLE = re.compile(r"[!-~]{1,256}")
"""What can stand in a header: a line break would begin another one."""
_TO_PLAIN = str.maketrans("-_", "+/")


def _sendable(instance: object, attribute: "Attribute[str]", text: str) -> None:
    if not _SENDABLE.fullmatch(text):
        raise ValueError(f"{attribute.name}: expected up to 256 printable ASCII characters")


def _base64(instance: object, attribute: "Attribute[str]", text: str) -> None:
    _secret_bytes(text)


def _secret_bytes(text: str) -> bytes:
    try:
        secret = b64decode(text.translate(_TO_PLAIN) + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("builder_secret: expected base64") from None
    if not secret:
        raise ValueError("builder_secret: expected base64, got nothing")
    return secret


@frozen(kw_only=True)
class RelayerKey:
    key: str = field(validator=_sendable, repr=False)
    address: Address

    def headers(self, method: str, path: str, body: bytes, now: float) -> Headers:
        """Return the headers of a request; `path` without its query, `now` in Unix seconds."""
        return (("RELAYER_API_KEY", self.key), ("RELAYER_API_KEY_ADDRESS", checksummed(self.address)))


@frozen(kw_only=True)
class BuilderKey:
    key: str = field(validator=_sendable, repr=False)
    secret: str = field(validator=_base64, repr=False)
    passphrase: str = field(validator=_sendable, repr=False)

    def headers(self, method: str, path: str, body: bytes, now: float) -> Headers:
        """Return the headers of a request, signed for the very bytes that leave."""
        at = str(int(now))
        signature = hmac.digest(_secret_bytes(self.secret), f"{at}{method}{path}".encode() + body, "sha256")
        return (
            ("POLY_BUILDER_API_KEY", self.key),
            ("POLY_BUILDER_PASSPHRASE", self.passphrase),
            ("POLY_BUILDER_SIGNATURE", urlsafe_b64encode(signature).decode()),
            ("POLY_BUILDER_TIMESTAMP", at),
        )


Credentials = RelayerKey | BuilderKey


def credentials_of(settings: RelayerSettings) -> Credentials | None:
    """Return the key that the settings name; None where they name none.

    Raises:
        ValueError: a part of a key is missing or cannot be used, or there are two; no part of it is repeated.
    """
    builder = (settings.builder_key, settings.builder_secret, settings.builder_passphrase)
    one, other = bool(settings.key or settings.key_address), any(builder)
    if one and other:
        raise ValueError("relayer: expected key and key_address, or the three parts of a builder's key, got both")
    if one:
        if not settings.key or not settings.key_address:
            raise ValueError("relayer: expected key and key_address, got one of them")
        return RelayerKey(key=settings.key, address=parse_address(settings.key_address))
    if not other:
        return None
    if not all(builder):
        raise ValueError("relayer: expected builder_key, builder_secret and builder_passphrase, got a part of them")
    return BuilderKey(key=builder[0], secret=builder[1], passphrase=builder[2])
