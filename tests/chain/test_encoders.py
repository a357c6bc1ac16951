"""The devnet's logs are what the contracts' ABI says, and what the decoders read back."""

from collections.abc import Sequence

import pytest
from eth_abi.abi import encode

from tests.builders import EXCHANGE, LEADER, OTHER_LEADER, hash_of
from tests.chain.test_decoders import ANY_ORDER_FILLED, make_log
from trio_copy.chain.decoders.fpmm import FpmmDecoder
from trio_copy.model.fills import Side
from trio_copy.model.ids import TokenId
from trio_copy.model.units import NO_USD, Shares, Usd
from trio_copy.testing.devnet.chain import DevLog
from trio_copy.testing.devnet.encode import (
    fpmm_log,
    order_filled_log,
    order_filled_v1_log,
    transfer_batch_log,
    transfer_single_log,
)

TOKEN, SHARES, PAID = TokenId(2**200 + 7), Shares(100), Usd(60)
PARTIES = {"operator": EXCHANGE, "sender": LEADER, "recipient": OTHER_LEADER}
ORDER = {"exchange": EXCHANGE, "order_hash": hash_of(1), "owner": LEADER, "counterparty": EXCHANGE}
TRADE = {"token_id": TOKEN, "shares": SHARES, "notional": PAID}
ZERO = bytes(32)


@pytest.mark.parametrize(
    ("log", "types", "values"),
    [
        (
            order_filled_log(**ORDER, **TRADE, side=Side.SELL, fee=Usd(3)),  # type: ignore[arg-type]  # by name
            ["uint8", "uint256", "uint256", "uint256", "uint256", "bytes32", "bytes32"],
            [1, TOKEN, 100, 60, 3, ZERO, ZERO],
        ),
        (
            order_filled_v1_log(**ORDER, **TRADE, side=Side.BUY, fee=2),  # type: ignore[arg-type]  # by name
            ["uint256"] * 5,
            [0, TOKEN, 60, 100, 2],
        ),
        (
            transfer_single_log(contract=EXCHANGE, **PARTIES, token_id=TOKEN, shares=SHARES),
            ["uint256", "uint256"],
            [TOKEN, 100],
        ),
        (
            transfer_batch_log(contract=EXCHANGE, **PARTIES, moved=[(TOKEN, SHARES), (TokenId(1), Shares(5))]),
            ["uint256[]", "uint256[]"],
            [[TOKEN, 1], [100, 5]],
        ),
        (
            fpmm_log(pool=EXCHANGE, owner=LEADER, side=Side.BUY, outcome=1, money=PAID, fee=Usd(2), shares=SHARES),
            ["uint256"] * 3,
            [60, 2, 100],
        ),
    ],
)
def test_encoded_data_is_what_the_abi_says(log: DevLog, types: Sequence[str], values: Sequence[object]) -> None:
    """A general ABI encoder writes the same bytes."""
    assert encode(types, values) == log.data


def test_v1_and_amm_logs_read_back_as_the_trades_they_were_made_from() -> None:
    """What goes in as a trade comes out as the same trade."""
    v1 = order_filled_v1_log(**ORDER, **TRADE, side=Side.SELL, fee=2)  # type: ignore[arg-type]  # by name
    (sold,) = ANY_ORDER_FILLED.decode(make_log(v1.topics, v1.data, v1.address))  # type: ignore[misc]  # a fill
    assert (sold.side, sold.token_id, sold.shares, sold.notional) == (Side.SELL, TOKEN, SHARES, PAID)

    amm = fpmm_log(pool=EXCHANGE, owner=LEADER, side=Side.SELL, outcome=1, money=PAID, fee=NO_USD, shares=SHARES)
    decoder = FpmmDecoder({EXCHANGE: (TokenId(1), TOKEN)})
    (left,) = decoder.decode(make_log(amm.topics, amm.data, amm.address))  # type: ignore[misc]  # a fill
    assert (left.owner, left.side, left.token_id, left.notional) == (LEADER, Side.SELL, TOKEN, PAID)
