"""The headers of both levels: the vectors of the official client, and what cannot stand in a header."""

import base64
from typing import Any

import pytest

from tests.clob.written import AUTH, KEY
from trio_copy.native import keccak
from trio_copy.testing.signing import FakeSigner
from trio_copy_clob.orders.headers import AUTH_TYPE, Credentials, access_of, hmac_key, l1_headers, l2_headers

L2 = [AUTH["L2_HMAC"]["unit_test_vector"], *AUTH["L2_HMAC"]["vectors"]]
SECRET = "A" * 43 + "="


def credentials(**changes: Any) -> Credentials:
    made: dict[str, Any] = {
        "address": KEY.address,
        "api_key": "the-id",
        "secret": SECRET,
        "passphrase": "word",
        **changes,
    }
    return Credentials(**made)


@pytest.mark.parametrize("vector", AUTH["L1_ClobAuth"]["vectors"], ids=lambda one: f"{one['chainId']} {one['nonce']}")
def test_level_1_is_the_official_clients(vector: dict[str, Any]) -> None:
    """On each chain, for each nonce."""
    signed: list[bytes] = []

    def sign(digest: bytes) -> bytes:
        signed.append(digest)
        return KEY.sign(digest)

    headers = l1_headers(KEY.address, sign, int(vector["timestamp"]), vector["nonce"], vector["chainId"])

    assert headers == vector["headers"]
    assert [f"0x{digest.hex()}" for digest in signed] == [vector["digest"]]
    access = access_of(KEY.address, int(vector["timestamp"]), vector["nonce"], vector["chainId"])
    assert FakeSigner(KEY).sign_access(access) == KEY.sign(*signed), "a guarded signer signs the same"


def test_level_1_is_about_the_type_that_is_told() -> None:
    assert keccak(AUTH_TYPE).hex() == "52578c5c725a28a84fedc8c22aa47947822942f35b4dc350db028e45320e035c"
    assert AUTH_TYPE.decode() == AUTH["L1_ClobAuth"]["typeString"]


@pytest.mark.parametrize("vector", L2, ids=lambda one: f"{one['method']} {one['path']}")
def test_level_2_is_the_official_clients(vector: dict[str, Any]) -> None:
    """With and without a body, in both alphabets of base64."""
    expected = vector.get("signature_b64url") or vector["signature"]
    body = None if vector["body"] is None else vector["body"].encode()
    headers = l2_headers(
        credentials(secret=vector["secret"]), int(vector["timestamp"]), vector["method"], vector["path"], body
    )

    assert headers == {
        "POLY_ADDRESS": AUTH["address"],
        "POLY_SIGNATURE": expected,
        "POLY_TIMESTAMP": str(vector["timestamp"]),
        "POLY_API_KEY": "the-id",
        "POLY_PASSPHRASE": "word",
    }


def test_a_byte_more_is_another_request() -> None:
    """What is signed is what leaves, and not what it means."""
    bodies = [b'{"a":1}', b'{"a": 1}', b'{"a":1} ', b"", None]
    signed = [l2_headers(credentials(), 1, "POST", "/order", body)["POLY_SIGNATURE"] for body in bodies]

    assert signed[3] == signed[4]
    assert len(set(signed)) == 4


@pytest.mark.parametrize("raw", [b"\xfb\xff\xfe" * 11, b"key", b"\0" * 32], ids=len)
def test_a_secret_may_be_written_in_either_alphabet_with_and_without_padding(raw: bytes) -> None:
    for encoded in (base64.b64encode(raw), base64.urlsafe_b64encode(raw)):
        text = encoded.decode()
        assert hmac_key(text) == hmac_key(text.rstrip("=")) == raw


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("secret", "no base64!!"),
        ("secret", ""),
        ("secret", "AAAAA"),
        ("secret", "ä" * 8),
        ("api_key", "two\r\nlines"),
        ("api_key", ""),
        ("passphrase", "tab\there"),
        ("passphrase", "x" * 300),
    ],
)
def test_what_cannot_be_sent_is_refused_without_being_repeated(field: str, value: str) -> None:
    """The venue gives them out: what it writes is checked as everything from outside."""
    with pytest.raises(ValueError, match=f"^{field}: expected") as refused:
        credentials(**{field: value})
    assert not value or value not in str(refused.value)


def test_credentials_do_not_show_what_is_secret_of_them() -> None:
    shown = repr(credentials(passphrase="hidden-words"))
    assert SECRET not in shown
    assert "hidden-words" not in shown
