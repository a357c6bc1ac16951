"""What a planned transaction may cost at most, as far as that is known before anybody has signed it."""

from collections.abc import Sequence

from attrs import define

from trio_copy.errors import ChainError
from trio_copy.model.ids import Address, IntentKey
from trio_copy.model.orders import SignatureType
from trio_copy.transactions.calls import Call
from trio_copy_onchain.acting.steps import Owner
from trio_copy_onchain.asking.chain import Chain
from trio_copy_onchain.asking.fee_clock import FeeClock
from trio_copy_onchain.settings import OnchainSettings
from trio_copy_onchain.tx.answers import Before, gas_limit
from trio_copy_onchain.wallets.kinds import WalletContracts, of_wallet
from trio_copy_onchain.wallets.safe import Safe

_NO_PRICES = frozenset[str]()


@define(eq=False, kw_only=True)
class Cost:
    chain: Chain
    fees: FeeClock
    settings: OnchainSettings
    contracts: WalletContracts

    async def of(self, owner: Owner, calls: Sequence[Call], key: IntentKey, until: float) -> int:
        """Return the wei that a transaction may cost; 0 where nobody can tell, or nobody here pays for it.

        Raises:
            ValueError: the contract refuses it now, and why.
        """
        return await self._priced(await self._gas(owner, calls, key, until), until)

    async def of_sending(self, operator: Address, call: Call, until: float) -> int:
        """Return the wei that an operator has to have, so that a pool takes its call now; 0 where nobody can tell."""
        return await self._priced((await self.chain.estimate(operator, call, _NO_PRICES, until)).gas, until)

    async def _priced(self, gas: int, until: float) -> int:
        limit = gas_limit(gas, margin_bps=self.settings.gas_margin_bps, most=self.settings.max_gas) if gas else None
        if limit is None:
            return 0
        try:
            fees = await self.fees.now(until)
        except ChainError:
            return 0
        return 0 if fees is None else limit * fees.max_fee

    async def _gas(self, owner: Owner, calls: Sequence[Call], key: IntentKey, until: float) -> int:
        if owner.wallet.signature_type is SignatureType.DEPOSIT:
            return 0
        kind = of_wallet(owner.wallet, self.contracts)
        match owner.wallet.signature_type:
            case SignatureType.EOA:
                return await self._estimate(owner.address, kind.outer(calls, owner.address, key), until)
            case SignatureType.SAFE:
                assert isinstance(kind, Safe)
                state = kind.read_state(await self.chain.read(kind.reads(), until))
                operator = state.owners[0]
                return await self._estimate(operator, kind.outer(calls, operator, key), until)
            case _:
                # Who owns it is not to be seen: its calls by themselves, and what stands around them.
                each = [await self._estimate(owner.address, call, until) for call in calls]
                return sum(each) + kind.gas_around(calls) if all(each) else 0

    async def _estimate(self, sender: Address, call: Call, until: float) -> int:
        estimate = await self.chain.estimate(sender, call, _NO_PRICES, until)
        if estimate.before is Before.REJECTED:
            raise ValueError(f"{call.to} refuses it now: {estimate.words}")
        return estimate.gas
