"""Signing by native code: Ethereum's signatures, byte for byte, and a key that never shows itself."""

import copy
import pickle

import pytest

import trio_copy.native
from trio_copy.errors import PluginError
from trio_copy.native import SecretKey, keccak, require_native, signer_of

_SECRET = bytes([1]) * 32
_ADDRESS = "0x1a642f0e3c3af545e7acbd38b07251b3990914f1"
_DIGEST = keccak(b"an order")


def test_the_empty_text_has_the_hash_that_every_block_explorer_shows() -> None:
    assert keccak(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


def test_a_key_names_its_address_and_signs_the_same_each_time_for_it() -> None:
    key = SecretKey(_SECRET)
    assert key.address == _ADDRESS
    assert key.sign(_DIGEST) == SecretKey(_SECRET).sign(_DIGEST)
    assert signer_of(_DIGEST, key.sign(_DIGEST)) == _ADDRESS


def test_no_way_of_showing_a_key_shows_it() -> None:
    key = SecretKey(_SECRET)
    shown = [repr(key), str(key), f"{key}", f"{key!r}", repr([key]), repr(dir(key))]
    assert not [text for text in shown if _SECRET.hex() in text]
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not copied"):
            copied(key)


@pytest.mark.parametrize("secret", [b"", bytes(32), b"\xff" * 32, bytes([1]) * 31, bytes([1]) * 33])
def test_what_is_no_key_is_refused_without_being_repeated(secret: bytes) -> None:
    with pytest.raises(ValueError, match=r"^expected 32 bytes that are a key of secp256k1$"):
        SecretKey(secret)


@pytest.mark.parametrize("signature", [b"", bytes(65), bytes(64) + b"\x1b", b"\xff" * 64 + b"\x1c"])
def test_what_is_no_signature_is_nobodys(signature: bytes) -> None:
    with pytest.raises(ValueError, match="expected a signature"):
        signer_of(_DIGEST, signature)


def test_without_the_libraries_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trio_copy.native, "_WHY", ImportError("No module named 'coincurve'", name="coincurve"))
    with pytest.raises(PluginError, match=r"coincurve is not installed: pip install 'trio-copy\[live\]'"):
        require_native()
