"""Safes: made by their factory, or put where a wallet is said to be."""

from collections.abc import Sequence

from attrs import frozen

from trio_copy.model.ids import ZERO_ADDRESS, Address
from trio_copy.testing.anvil.sending import Chain, calldata

_SETUP = "setup(address[],uint256,address,bytes,address,address,uint256,address)"
MULTI_SEND = Address("0xa238cbeb142c10ef7ad8442c6d1f9e89e07e7761")
"""Where it is on public chains."""


@frozen(kw_only=True)
class Safes:
    """The contracts that Safes are made of."""

    single: Address
    factory: Address
    multi_send: Address
    fallback: Address

    async def make(self, chain: Chain, owners: Sequence[Address], nonce: int = 1) -> Address:
        """Let the factory make one of threshold 1."""
        made = await chain.do(
            chain.accounts[0], self.factory, "createProxyWithNonce(address,bytes,uint256)",
            self.single, bytes.fromhex(calldata(_SETUP, self._setup(owners))[2:]), nonce,
        )  # fmt: skip
        (safe,) = (Address("0x" + one["data"][26:66]) for one in made["logs"] if one["address"].lower() == self.factory)
        return safe

    async def put(self, chain: Chain, safe: Address, owners: Sequence[Address]) -> None:
        """Have one of threshold 1 at an address that was chosen before there was a chain."""
        pattern = await self.make(chain, owners, nonce=int(safe, 16))
        await chain.ask("anvil_setCode", safe, await chain.ask("eth_getCode", pattern, "latest"))
        # The first word of a Safe is the contract whose code it runs.
        await chain.ask("anvil_setStorageAt", safe, "0x0", f"0x{int(self.single, 16):064x}")
        await chain.do(chain.accounts[0], safe, _SETUP, *self._setup(owners))

    def _setup(self, owners: Sequence[Address]) -> Sequence[object]:
        nobody = ZERO_ADDRESS
        return list(owners), 1, nobody, b"", self.fallback, nobody, 0, nobody


async def deploy_safes(chain: Chain) -> Safes:
    """Deploy them; MultiSend stands where it does on public chains as well."""
    single, factory, multi_send, fallback = [
        await chain.deploy(name)
        for name in ("GnosisSafe", "GnosisSafeProxyFactory", "MultiSend", "CompatibilityFallbackHandler")
    ]
    await chain.ask("anvil_setCode", MULTI_SEND, await chain.ask("eth_getCode", multi_send, "latest"))
    return Safes(single=single, factory=factory, multi_send=multi_send, fallback=fallback)
