"""Keystore files, version 3 of the Web3 Secret Storage: what geth, MetaMask and eth-account write. Pure; a second of CPU.

Read here and not by eth-account, whose import takes longer than the deciphering, and which asks for as much memory as the file says.
"""

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import msgspec
from Crypto.Cipher import AES

from trio_copy.native import SecretKey, keccak

_N, _R, _P, _KEY_BYTES = 1 << 18, 8, 1, 32
"""What geth and eth-account use by default."""
_SLACK = 2
_MOST_MEMORY, _MOST_P, _MOST_ROUNDS = 1 << 30, 16, 10_000_000
"""A file that asks for more would stop the machine, not only us."""


class WrongPassphrase(ValueError):
    """The file is whole, and the passphrase is not its own."""


def read_keystore(text: bytes, passphrase: str) -> bytes:
    """Return the 32 bytes of the key in a keystore.

    Raises:
        WrongPassphrase: it is another one's.
        ValueError: the file is no keystore of version 3; the message repeats nothing of it.
    """
    try:
        crypto = _crypto_of(text)
        params, cipher = crypto["kdfparams"], bytes.fromhex(crypto["ciphertext"])
        salt, iv, mac = (bytes.fromhex(one) for one in (params["salt"], crypto["cipherparams"]["iv"], crypto["mac"]))
        if crypto["cipher"] != "aes-128-ctr" or len(iv) != 16 or len(cipher) != _KEY_BYTES:
            raise ValueError("expected a cipher aes-128-ctr of 32 bytes")
        derived = _derived(crypto["kdf"], params, passphrase.encode(), salt)
    except (KeyError, TypeError, AttributeError, msgspec.DecodeError):
        raise ValueError("expected a keystore of version 3, as JSON") from None
    if not hmac.compare_digest(keccak(derived[16:32] + cipher), mac):
        raise WrongPassphrase("the passphrase is wrong")
    secret: bytes = _aes(derived, iv).decrypt(cipher)
    return secret


def address_in(text: bytes) -> str | None:
    """Return the address that a keystore names beside its key, which nobody has proven; None where it names none."""
    try:
        named = msgspec.json.decode(text, type=dict[str, Any]).get("address")
    except msgspec.DecodeError:
        return None
    return named if isinstance(named, str) else None


def write_keystore(secret: bytes, passphrase: str, draw: Callable[[int], bytes], *, n: int = _N) -> bytes:
    """Return a keystore of a key; `draw` gives bytes that nobody can foretell.

    `n` is the work that each guess of the passphrase takes: a second, by default.
    """
    salt, iv = (draw(length) for length in (32, 16))
    number = draw(16).hex()
    params = {"dklen": _KEY_BYTES, "n": n, "r": _R, "p": _P, "salt": salt.hex()}
    derived = _derived("scrypt", params, passphrase.encode(), salt)
    cipher = _aes(derived, iv).encrypt(secret)
    content = {
        "address": SecretKey(secret).address.removeprefix("0x"),
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": {"iv": iv.hex()},
            "ciphertext": cipher.hex(),
            "kdf": "scrypt",
            "kdfparams": params,
            "mac": keccak(derived[16:32] + cipher).hex(),
        },
        "id": "-".join((number[:8], number[8:12], f"4{number[13:16]}", f"8{number[17:20]}", number[20:])),
        "version": 3,
    }
    return msgspec.json.encode(content)


def _crypto_of(text: bytes) -> dict[str, Any]:
    table = {key.lower(): value for key, value in msgspec.json.decode(text, type=dict[str, Any]).items()}
    if table["version"] != 3:
        raise ValueError("expected a keystore of version 3, got another version")
    return {key.lower(): value for key, value in table["crypto"].items()}


def _derived(kdf: str, params: dict[str, Any], passphrase: bytes, salt: bytes) -> bytes:
    if params["dklen"] != _KEY_BYTES:
        raise ValueError("expected a derived key of 32 bytes")
    if kdf == "scrypt":
        n, r, p = (params[name] for name in ("n", "r", "p"))
        if any(type(one) is not int or one < 1 for one in (n, r, p)) or n & (n - 1) or n < 2:
            raise ValueError("expected n, r and p of scrypt as whole numbers, n a power of two")
        memory = 128 * n * r
        if memory > _MOST_MEMORY or p > _MOST_P:
            raise ValueError(f"expected a scrypt of at most {_MOST_MEMORY >> 20} MiB and p {_MOST_P}")
        return hashlib.scrypt(
            passphrase, salt=salt, n=n, r=r, p=p, maxmem=_SLACK * memory + (1 << 20), dklen=_KEY_BYTES
        )
    if kdf == "pbkdf2" and params["prf"] == "hmac-sha256":
        rounds = params["c"]
        if type(rounds) is not int or not 1 <= rounds <= _MOST_ROUNDS:
            raise ValueError(f"expected from 1 to {_MOST_ROUNDS} rounds of pbkdf2")
        return hashlib.pbkdf2_hmac("sha256", passphrase, salt, rounds, _KEY_BYTES)
    raise ValueError("expected a kdf scrypt, or pbkdf2 with hmac-sha256")


def _aes(derived: bytes, iv: bytes) -> Any:  # noqa: ANN401  pycryptodome's own
    return AES.new(derived[:16], AES.MODE_CTR, nonce=b"", initial_value=iv)
