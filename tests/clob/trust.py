"""Lets our venue read signatures by the executor's own code: a tenth of the time, for plays of thousands of orders.

That both read them alike is what every other test at this venue shows.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from trio_copy.model.fills import Side
from trio_copy.model.ids import Address
from trio_copy.native import signer_of
from trio_copy.testing.clob_venue import admission, private
from trio_copy_clob.orders.exchanges import exchange_of
from trio_copy_clob.orders.order import ClobOrder
from trio_copy_clob.orders.signing import Digests, digests_of


@contextmanager
def read_natively() -> Generator[None, None, None]:
    """Read signatures so while the block runs."""
    with patch.object(admission, "read_signature", _read), patch.object(private, "order_id_of", _order_id):
        yield


def _order_id(order: Mapping[str, Any], exchange: str, chain_id: int) -> str:
    return "0x" + _digests(order, exchange, chain_id).order_id.hex()


def _read(order: Mapping[str, Any], signature: bytes, exchange: str, chain_id: int) -> tuple[str, Address | None]:
    digests = _digests(order, exchange, chain_id)
    return "0x" + digests.order_id.hex(), signer_of(digests.to_sign, signature[:65])


def _digests(order: Mapping[str, Any], exchange: str, chain_id: int) -> Digests:
    read = ClobOrder(
        salt=order["salt"],
        maker=Address(order["maker"].lower()),
        signer=Address(order["signer"].lower()),
        token_id=order["tokenId"],
        maker_amount=order["makerAmount"],
        taker_amount=order["takerAmount"],
        side=tuple(Side)[order["side"]],
        signature_type=order["signatureType"],
        timestamp=order["timestamp"],
        metadata=bytes.fromhex(order["metadata"][2:]),
        builder=bytes.fromhex(order["builder"][2:]),
    )
    return digests_of(read, exchange_of(exchange, chain_id))
