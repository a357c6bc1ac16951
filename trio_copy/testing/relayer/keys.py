"""Who asks: the two kinds of keys that the relayer gives out, and the headers by which it knows them."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence

from attrs import field, frozen

from trio_copy.model.ids import Address
from trio_copy.testing.relayer.refusals import UNAUTHORIZED, Refused

_TOLERANCE_S = 60


@frozen(kw_only=True)
class RelayerKey:
    key: str
    address: Address
    """Whose it is."""


@frozen(kw_only=True)
class BuilderKey:
    key: str
    secret: str = field(repr=False)
    """Base64, of the alphabet for URLs."""
    passphrase: str = field(repr=False)


def check_caller(
    keys: Sequence[RelayerKey | BuilderKey],
    headers: Mapping[str, str],
    method: str,
    path: str,
    body: bytes,
    now: float,
) -> None:
    """Raise `Refused` for a request of nobody who has a key. `headers` are by names in small letters."""
    if not any(_is_of(key, headers, f"{method}{path}".encode() + body, now) for key in keys):
        raise Refused(401, UNAUTHORIZED)


def _is_of(key: RelayerKey | BuilderKey, headers: Mapping[str, str], told: bytes, now: float) -> bool:
    if isinstance(key, RelayerKey):
        address = headers.get("relayer_api_key_address", "").lower()
        return headers.get("relayer_api_key") == key.key and address == key.address
    timestamp = headers.get("poly_builder_timestamp", "")
    if (headers.get("poly_builder_api_key"), headers.get("poly_builder_passphrase")) != (key.key, key.passphrase):
        return False
    if not timestamp.isascii() or not timestamp.isdigit() or abs(int(timestamp[:20]) - now) > _TOLERANCE_S:
        return False
    expected = urlsafe_b64encode(hmac.digest(urlsafe_b64decode(key.secret), timestamp.encode() + told, "sha256"))
    return hmac.compare_digest(expected, headers.get("poly_builder_signature", "").encode())
