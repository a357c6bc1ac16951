"""A real Safe takes what is signed for a relayer, and names it as we do."""

import pytest

from tests.builders import POLYGON
from tests.onchain.deployed import Market
from trio_copy.model.orders import SignatureType
from trio_copy.transactions.calls import Call
from trio_copy.transactions.relayed import RelayContracts, Relayed

pytestmark = pytest.mark.anvil

_TX = "(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,uint256)"
_NOBODY = "0x" + "00" * 20


async def test_a_real_safe_has_the_same_hash_for_it(market: Market) -> None:
    """For one call, and for several by MultiSend."""
    deployed = market.deployed
    calls = tuple(
        Call(to=amm.usdc, data=bytes([number] * 68), value=number) for number, amm in enumerate(deployed.amms)
    )
    for count in (1, 2):
        relayed = Relayed(
            chain_id=POLYGON, wallet=deployed.safe, kind=SignatureType.SAFE, calls=calls[-count:], nonce=3,
            contracts=RelayContracts(multi_send=deployed.multi_send),
        )  # fmt: skip
        outer = relayed.outer
        told = await market.chain.call(
            deployed.safe, f"getTransactionHash{_TX}", outer.to, outer.value, outer.data, outer.operation,
            0, 0, 0, _NOBODY, _NOBODY, 3, returns="bytes32",
        )  # fmt: skip
        assert relayed.statement == told
