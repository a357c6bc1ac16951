"""keccak-256 and secp256k1 by native code. In Python a signature takes eight milliseconds, and nothing else runs meanwhile.

Both libraries come with `pip install 'trio-copy[live]'`. What moves money does not start without them: `require_native`.
"""

from typing import Never

from trio_copy.errors import PluginError
from trio_copy.model.ids import Address

try:
    from coincurve import PrivateKey, PublicKey
    from sha3 import keccak_256
except ImportError as _missing:
    from eth_hash.auto import keccak as _slow_keccak

    _WHY: ImportError | None = _missing

    def _keccak(data: bytes) -> bytes:  # on paper nothing hot hashes
        return _slow_keccak(data)
else:
    _WHY = None

    def _keccak(data: bytes) -> bytes:
        digest: bytes = keccak_256(data).digest()
        return digest


_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
"""Of secp256k1's group: a key is a number below it."""
_RECOVERY_AT_27 = 27
"""What Ethereum adds to the last byte of a signature."""


def require_native() -> None:
    """Raise `PluginError`, with what to do, where one of the libraries is missing."""
    if _WHY is not None:
        raise PluginError(
            f"signing needs native code, and {_WHY.name} is not installed: pip install 'trio-copy[live]'"
        ) from None


def keccak(data: bytes) -> bytes:
    """Return the 32 bytes of keccak-256, which Ethereum uses, and which SHA3-256 is not."""
    return _keccak(data)


class SecretKey:
    """A private key: it signs, names its address, and shows nothing of itself, whoever asks.

    It is neither copied nor pickled nor compared by its value. Python cannot wipe memory: whoever reads the process's
    memory has the key.
    """

    __slots__ = ("_key", "address")

    address: Address

    def __init__(self, secret: bytes) -> None:
        """Take the key's 32 bytes. Raises `ValueError`, which does not repeat them, where they are no key of secp256k1."""
        if len(secret) != 32 or not 0 < int.from_bytes(secret) < _ORDER:
            raise ValueError("expected 32 bytes that are a key of secp256k1")
        self._key = PrivateKey(secret)
        self.address = _address_of(self._key.public_key)

    def sign(self, digest: bytes) -> bytes:
        """Return the 65 bytes of the signature of a digest of 32: r, s, and 27 or 28. RFC 6979: the same each time."""
        signature: bytes = self._key.sign_recoverable(digest, hasher=None)
        return signature[:64] + bytes((signature[64] + _RECOVERY_AT_27,))

    def __repr__(self) -> str:
        return f"<key of {self.address}>"

    def __reduce__(self) -> Never:
        raise TypeError("a key is not copied")


def signer_of(digest: bytes, signature: bytes) -> Address:
    """Return whose signature of 65 bytes it is. Raises `ValueError` where it is nobody's."""
    if len(signature) != 65 or signature[64] not in (27, 28):
        raise ValueError("expected a signature of 65 bytes that ends with 27 or 28")
    try:
        raw = signature[:64] + bytes((signature[64] - _RECOVERY_AT_27,))
        return _address_of(PublicKey.from_signature_and_message(raw, digest, hasher=None))
    except Exception as error:  # coincurve raises bare Exception for points that are none
        raise ValueError("expected a signature of secp256k1") from error


def _address_of(key: "PublicKey") -> Address:
    return Address("0x" + keccak(key.format(compressed=False)[1:])[12:].hex())
