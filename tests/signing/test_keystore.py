"""Keystores are those of everybody else, and a mean one stops nothing."""

import json
from typing import Any

import pytest

from trio_copy.native import SecretKey
from trio_copy.recursion import same_recursion_limit
from trio_copy.signing.keystore import WrongPassphrase, address_in, read_keystore, write_keystore

with same_recursion_limit():
    from eth_keyfile.keyfile import create_keyfile_json, decode_keyfile_json

SECRET = bytes.fromhex("7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d")
PBKDF2 = {
    "crypto": {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
        "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
        "kdf": "pbkdf2",
        "kdfparams": {
            "c": 262144,
            "dklen": 32,
            "prf": "hmac-sha256",
            "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd",
        },
        "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
    },
    "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
    "version": 3,
}
"""The example in the definition of the format, whose passphrase is testpassword."""


def draw(length: int) -> bytes:
    return bytes(range(length))


QUICK = json.loads(write_keystore(SECRET, "pass", draw, n=2))


def test_the_published_example_opens() -> None:
    assert read_keystore(json.dumps(PBKDF2).encode(), "testpassword") == SECRET


def test_what_another_program_wrote_opens_here_and_ours_opens_there() -> None:
    theirs = create_keyfile_json(SECRET, b"pa\xc3\x9f", kdf="scrypt", iterations=2)
    assert read_keystore(json.dumps(theirs).encode(), "paß") == SECRET
    assert decode_keyfile_json(QUICK, b"pass") == SECRET
    assert address_in(json.dumps(QUICK).encode()) == SecretKey(SECRET).address[2:]
    assert address_in(b"[]") is None


def test_another_passphrase_is_told_from_another_file() -> None:
    with pytest.raises(WrongPassphrase, match=r"^the passphrase is wrong$"):
        read_keystore(json.dumps(QUICK).encode(), "Pass")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("version", 4),
        ("version", None),
        ("crypto", []),
        ("crypto.kdf", "argon2"),
        ("crypto.cipher", "aes-256-gcm"),
        ("crypto.ciphertext", "zz"),
        ("crypto.ciphertext", ""),
        ("crypto.ciphertext", 5),
        ("crypto.mac", None),
        ("crypto.mac", {}),
        ("crypto.cipherparams", {}),
        ("crypto.cipherparams.iv", "00"),
        ("crypto.kdfparams.n", 1 << 40),
        ("crypto.kdfparams.n", 3),
        ("crypto.kdfparams.n", 1),
        ("crypto.kdfparams.n", 2.0),
        ("crypto.kdfparams.r", 1 << 30),
        ("crypto.kdfparams.r", -1),
        ("crypto.kdfparams.p", 1 << 20),
        ("crypto.kdfparams.p", "1"),
        ("crypto.kdfparams.dklen", 16),
        ("crypto.kdfparams.salt", "xyz"),
    ],
)
def test_a_mean_file_is_refused_at_once_and_not_repeated(path: str, value: Any) -> None:
    """It may ask for all memory and all time there is, or be of any shape."""
    table = json.loads(json.dumps(QUICK))
    *above, last = path.split(".")
    inner = table
    for name in above:
        inner = inner[name]
    inner[last] = value
    with pytest.raises(ValueError, match=r"^(expected|non-hexadecimal)") as caught:
        read_keystore(json.dumps(table).encode(), "pass")
    assert QUICK["crypto"]["ciphertext"] not in str(caught.value)


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"version": 3, "crypto": {}}'])
def test_what_is_no_keystore_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"^expected a keystore of version 3, as JSON$"):
        read_keystore(text, "pass")
