"""Makes what an owner signs for a relayer: which nonce, until when, carried by whom."""

from collections.abc import Sequence
from math import ceil

from attrs import define, evolve, frozen

from trio_copy.clock import WallClock
from trio_copy.errors import ChainError, OrderNotSent, RpcError
from trio_copy.model.orders import SignatureType
from trio_copy.transactions.calls import Call
from trio_copy.transactions.relayed import POLYMARKET, RelayContracts, Relayed
from trio_copy_onchain.relayer.client import RelayerClient
from trio_copy_onchain.relayer.looking import Look, Looker
from trio_copy_onchain.relayer.proof import Place
from trio_copy_onchain.relayer.relaying import LIFE_S
from trio_copy_onchain.relayer.submitted import Action
from trio_copy_onchain.relayer.texts import Refusal, Row


@frozen
class NotNow:
    """Nobody can say now what is to be signed."""

    why: str
    key_refused: bool = False


@define(eq=False, kw_only=True)
class Maker:
    client: RelayerClient
    looker: Looker
    wall: WallClock
    proxy_gas: int
    """What the calls of a proxy wallet may use at most, where no node can estimate it."""
    contracts: RelayContracts = POLYMARKET

    async def make(
        self, place: Place, calls: Sequence[Call], look: Look, nonce: int | None, until: float
    ) -> Relayed | NotNow:
        """Return what is to be signed, with a nonce that was chosen before or the wallet's next one.

        The chain says which one that is. A relayer that knows of more has another action under way, and is waited for:
        nothing is signed for a nonce of the future.

        Raises:
            OrderNotSent: the calls fail on the chain as it is.
        """
        params = await self.client.params(place.kind, place.owner, until)
        if isinstance(params, Refusal):
            return NotNow(f"{params.row.what}: {params.words}", params.row is Row.KEY)
        if params.nonce > look.latest and nonce is None:
            told = f"nonce {params.nonce}, {look.latest} on the chain"
            return NotNow(f"another action of the wallet is under way: {told}")
        relayed = self._bare(place, calls, look.latest if nonce is None else nonce)
        match place.kind:
            case SignatureType.DEPOSIT:
                return evolve(relayed, deadline=ceil(self.wall()) + LIFE_S)
            case SignatureType.PROXY:
                gas_limit = await self._gas(place, relayed, until)
                return evolve(relayed, relay=params.address, gas_limit=gas_limit)
            case _:
                return relayed

    def again(self, place: Place, calls: Sequence[Call], action: Action) -> Relayed:
        """Return what was signed last, from the calls and what is written down of it."""
        newest, bare = action.newest, self._bare(place, calls, action.nonce)
        return evolve(bare, deadline=newest.deadline, relay=newest.relay, gas_limit=newest.gas_limit)

    def _bare(self, place: Place, calls: Sequence[Call], nonce: int) -> Relayed:
        return Relayed(
            chain_id=self.looker.chain_id,
            wallet=place.wallet,
            kind=place.kind,
            calls=tuple(calls),
            nonce=nonce,
            owner=place.owner,
            contracts=self.contracts,
        )

    async def _gas(self, place: Place, relayed: Relayed, until: float) -> int:
        outer = relayed.outer
        try:
            return await self.looker.estimate(place.owner, Call(to=outer.to, data=outer.data), until)
        except RpcError as error:
            if error.reverted:
                raise OrderNotSent(f"the calls fail on the chain: {error.message}"[:200]) from None
        except ChainError:
            pass
        return self.proxy_gas
