"""Who asks: API keys, the headers that make them, and the headers that use them."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from uuid import UUID

from attrs import define, field, frozen

from trio_copy.model.ids import Address
from trio_copy.testing.clob_venue.refusals import NO_L1, NO_L2, Refused
from trio_copy.testing.clob_venue.signatures import attestation_signer

_TOLERANCE_S = 60
"""How old, or how young, headers may be. The real venue does not tell; a clock that is off by 100 s must not do."""


@frozen
class ApiKey:
    key: str
    secret: str
    passphrase: str
    address: Address
    nonce: int


@define(eq=False)
class ApiKeys:
    now: Callable[[], float]
    """Unix seconds by the venue's clock."""
    chain_id: int
    _keys: dict[str, ApiKey] = field(factory=dict)
    _made: int = 0

    def create(self, headers: Mapping[str, str]) -> ApiKey:
        """Make a key for whoever signed; there is one for each of a signer's nonces."""
        address, nonce = self._attested(headers)
        if self._of(address, nonce) is not None:
            raise Refused(400, "Could not create api key")
        self._made += 1
        drawn = [
            sha256(f"{word}|{address}|{nonce}|{self._made}".encode()).digest() for word in ("key", "secret", "pass")
        ]
        made = ApiKey(
            str(UUID(bytes=drawn[0][:16])), urlsafe_b64encode(drawn[1]).decode(), drawn[2].hex(), address, nonce
        )
        self._keys[made.key] = made
        return made

    def derive(self, headers: Mapping[str, str]) -> ApiKey:
        """Return the key that was made before."""
        found = self._of(*self._attested(headers))
        if found is None:
            raise Refused(400, "Could not derive api key!")
        return found

    def of_address(self, address: Address) -> list[ApiKey]:
        return [one for one in self._keys.values() if one.address == address]

    def forget(self, key: ApiKey) -> None:
        """Let a key be none from now on."""
        self._keys.pop(key.key, None)

    def caller(self, headers: Mapping[str, str], method: str, path: str, body: bytes) -> ApiKey:
        """Return whose request it is, judged by the bytes that came."""
        key = self._keys.get(headers.get("poly_api_key", ""))
        timestamp = headers.get("poly_timestamp", "")
        if (
            key is None
            or headers.get("poly_address", "").lower() != key.address
            or headers.get("poly_passphrase") != key.passphrase
            or not self._timely(timestamp)
        ):
            raise Refused(401, NO_L2)
        told = timestamp.encode() + method.encode() + path.encode() + body
        expected = urlsafe_b64encode(hmac.digest(urlsafe_b64decode(key.secret), told, "sha256"))
        if not hmac.compare_digest(expected, headers.get("poly_signature", "").encode()):
            raise Refused(401, NO_L2)
        return key

    def known(self, key: str, secret: str, passphrase: str) -> ApiKey | None:
        """Return the key that somebody on the user channel knows all of."""
        found = self._keys.get(key)
        return found if found is not None and (found.secret, found.passphrase) == (secret, passphrase) else None

    def _of(self, address: Address, nonce: int) -> ApiKey | None:
        return next((one for one in self.of_address(address) if one.nonce == nonce), None)

    def _attested(self, headers: Mapping[str, str]) -> tuple[Address, int]:
        address, timestamp = headers.get("poly_address", ""), headers.get("poly_timestamp", "")
        try:
            nonce = int(headers.get("poly_nonce", "0"))
            signature = bytes.fromhex(headers.get("poly_signature", "").removeprefix("0x"))
            signer = attestation_signer(address, timestamp, nonce, signature, self.chain_id)
        except Exception:
            raise Refused(401, NO_L1) from None  # headers are whatever a stranger writes
        if signer is None or signer != address.lower() or nonce < 0 or not self._timely(timestamp):
            raise Refused(401, NO_L1)
        return signer, nonce

    def _timely(self, timestamp: str) -> bool:
        return timestamp.isascii() and timestamp.isdigit() and abs(int(timestamp[:20]) - self.now()) <= _TOLERANCE_S
