"""The official client itself, from its package, beside our code: see `tests.clob.official`, which compares as many as one likes."""

import random
from base64 import urlsafe_b64encode
from collections.abc import Generator

import pytest

from tests.clob.official import PROGRAM, compare
from tests.clob.written import KEY, SECRET
from tests.official import PY_CLOB, Client, started
from trio_copy_clob.orders.headers import Credentials, l1_headers, l2_headers

FEW = 240
_OF_THE_KEY = {"do": "headers", "private_key": f"0x{SECRET.hex()}"}


@pytest.fixture(scope="module")
def official() -> Generator[Client, None, None]:
    with started(PROGRAM, PY_CLOB) as client:
        yield client


def test_random_orders_are_what_the_official_client_makes_of_them(official: Client) -> None:
    """Three exchanges, four types of signature, all kinds of orders, every tick, two chains: digest and body."""
    found = compare(official, 20_261_126, FEW)

    # Its floats and its decimals are wrong for some wishes; were they wrong for most, nothing would be compared here.
    assert found["equal"] > FEW / 2
    assert "no exact product" not in found


def test_random_headers_are_what_the_official_client_sends(official: Client) -> None:
    """Of both levels, with bodies in any alphabet."""
    check_headers(official)


def check_headers(official: Client) -> None:
    """Compare random headers with those of a client."""
    dice = random.Random(1)
    for number in range(20):
        chain, time = dice.choice([137, 80002]), dice.randrange(1_700_000_000, 1_900_000_000)
        nonce = dice.choice([0, 1, 2**64])
        asked = {"level": 1, "chain_id": chain, "timestamp": time, "nonce": nonce}
        assert official.ask({**_OF_THE_KEY, **asked}) == l1_headers(KEY.address, KEY.sign, time, nonce, chain)

        secret, method = urlsafe_b64encode(dice.randbytes(32)).decode(), dice.choice(["GET", "POST", "DELETE"])
        body = dice.choice([None, '{"a": "ä"}', "x" * number, '["0x12"]'])
        credentials = Credentials(
            address=KEY.address, api_key=f"id-{number}", secret=secret, passphrase=f"word{number}"
        )
        said = {"api_key": credentials.api_key, "secret": secret, "passphrase": credentials.passphrase}
        about = {"level": 2, "timestamp": time, "method": method, "path": "/order", "body": body, "chain_id": chain}
        ours = l2_headers(credentials, time, method, "/order", None if body is None else body.encode())
        assert official.ask({**_OF_THE_KEY, **said, **about}) == ours
