"""The headers by which the venue knows who asks: signed by the key (level 1), or by an API key's secret (level 2)."""

import base64
import binascii
import hmac
import re
from collections.abc import Callable
from functools import cache

from attrs import Attribute, field, frozen

from trio_copy.model.ids import Address, ChainId
from trio_copy.native import keccak
from trio_copy.ports import Access
from trio_copy_clob.orders.words import address_word, checksummed, to_be_signed, word

Sign = Callable[[bytes], bytes]
"""Signs a digest of 32 bytes with 65: r, s, and 27 or 28."""
AUTH_DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId)"
AUTH_TYPE = b"ClobAuth(address address,string timestamp,uint256 nonce,string message)"
_MESSAGE = b"This message attests that I control the given wallet"
_SENDABLE = re.compile(r"[!-~]{1,256}")
"""What can stand in a header: the venue gave it, and a line break would begin another one."""
_TO_URL_SAFE = str.maketrans("+/", "-_")


def _sendable(instance: object, attribute: "Attribute[str]", text: str) -> None:
    if not _SENDABLE.fullmatch(text):
        raise ValueError(f"{attribute.name}: expected up to 256 printable ASCII characters")


@frozen(kw_only=True)
class Credentials:
    """An API key of the venue: what it gives out for a signature of level 1, and wants to see afterwards.

    Raises:
        ValueError: a part of it cannot be used; it is not repeated.
    """

    address: Address
    """Of the key that asked for it, whichever wallet it trades for."""
    api_key: str = field(validator=_sendable)
    """Its id, a UUID: the owner of its orders."""
    secret: str = field(repr=False)
    """Base64."""
    passphrase: str = field(repr=False, validator=_sendable)
    _begun: hmac.HMAC = field(init=False, repr=False, eq=False)
    """What a signature begins with: made of the secret each time, that would be half of the work."""

    @_begun.default
    def _begin(self) -> hmac.HMAC:
        return hmac.new(hmac_key(self.secret), digestmod="sha256")

    def signature_of(self, message: bytes) -> bytes:
        signing = self._begun.copy()
        signing.update(message)
        return signing.digest()


def hmac_key(secret: str) -> bytes:
    """Return the bytes of an API key's secret, written in either alphabet of base64, padded or not.

    Raises:
        ValueError: it is no base64; it is not repeated.
    """
    bare = secret.translate(_TO_URL_SAFE).rstrip("=")
    try:
        key = base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise ValueError("secret: expected base64")
    return key


def access_of(address: Address, timestamp: int, nonce: int, chain_id: int) -> Access:
    """Return what `l1_headers` has signed, as a guarded signer wants to see it."""
    return Access(
        name="ClobAuthDomain", version="1", chain_id=ChainId(chain_id), statement=_statement(address, timestamp, nonce)
    )


def l1_headers(address: Address, sign: Sign, timestamp: int, nonce: int, chain_id: int) -> dict[str, str]:
    """Say that the key of an address asks, at a Unix second; the same nonce names the same API key.

    Raises:
        OverflowError: the nonce is no uint256.
    """
    signature = sign(to_be_signed(auth_separator(chain_id), _statement(address, timestamp, nonce)))
    return {
        "POLY_ADDRESS": checksummed(address),
        "POLY_SIGNATURE": f"0x{signature.hex()}",
        "POLY_TIMESTAMP": str(timestamp),
        "POLY_NONCE": str(nonce),
    }


def l2_headers(
    credentials: Credentials, timestamp: int, method: str, path: str, body: bytes | None = None
) -> dict[str, str]:
    """Say that an API key asks, at a Unix second.

    Args:
        path: without host and query, which are not signed.
        body: the very bytes that leave; a space more is another request to the venue.
    """
    message = f"{timestamp}{method}{path}".encode() + (body or b"")
    return {
        "POLY_ADDRESS": checksummed(credentials.address),
        "POLY_SIGNATURE": base64.urlsafe_b64encode(credentials.signature_of(message)).decode(),
        "POLY_TIMESTAMP": str(timestamp),
        "POLY_API_KEY": credentials.api_key,
        "POLY_PASSPHRASE": credentials.passphrase,
    }


def _statement(address: Address, timestamp: int, nonce: int) -> bytes:
    fields = (keccak(AUTH_TYPE), address_word(address), keccak(str(timestamp).encode()), word(nonce), keccak(_MESSAGE))
    return keccak(b"".join(fields))


@cache
def auth_separator(chain_id: int) -> bytes:
    """Return the hash of the domain under which a key says who asks."""
    return keccak(keccak(AUTH_DOMAIN_TYPE) + keccak(b"ClobAuthDomain") + keccak(b"1") + word(chain_id))
