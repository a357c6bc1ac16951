"""What the relayer knows: wallets and their owners, what it has taken, and what it still may take today."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from uuid import UUID

import trio
from attrs import define, field

from trio_copy.model.ids import Address, Hash32
from trio_copy.testing.relayer.chain import CountingChain, RelayedChain
from trio_copy.testing.relayer.faults import RelayerFaults, Settles
from trio_copy.testing.relayer.keys import BuilderKey, RelayerKey
from trio_copy.testing.relayer.refusals import (
    BAD_SIGNATURE,
    IN_FLIGHT,
    INVALID,
    LATE,
    Refused,
    blocked,
    busy,
    over_quota,
    wrong_nonce,
)
from trio_copy.testing.relayer.requests import Submitted, signer_of_request

_DAY_S = 86_400
_LEAST_DEADLINE_S = 300
RELAY = Address("0x" + "9a" * 20)
"""Who carries the calls of proxy wallets."""


class State(StrEnum):
    NEW = "STATE_NEW"
    EXECUTED = "STATE_EXECUTED"
    MINED = "STATE_MINED"
    CONFIRMED = "STATE_CONFIRMED"
    FAILED = "STATE_FAILED"
    INVALID = "STATE_INVALID"


@define(eq=False)
class Taken:
    transaction_id: str
    submitted: Submitted
    state: State = State.NEW
    tx_hash: Hash32 | None = None
    error: str | None = None

    @property
    def in_flight(self) -> bool:
        return self.state in (State.NEW, State.EXECUTED)


@define(eq=False, kw_only=True)
class Relayer:
    now: Callable[[], float]
    """Unix seconds."""
    chain_id: int
    chain: RelayedChain = field(factory=CountingChain)
    keys: Sequence[RelayerKey | BuilderKey] = ()
    """Who may ask."""
    faults: RelayerFaults = field(factory=RelayerFaults)
    quota: int = 1000
    """So many actions a day."""
    blocked: frozenset[Address] = frozenset()
    """What wallets may not call, besides themselves."""
    taken: dict[str, Taken] = field(factory=dict)
    refused: list[str] = field(factory=list)
    """Why it took something not, in its own words."""
    _wallets: dict[tuple[str, Address], Address] = field(factory=dict)
    _days: dict[int, int] = field(factory=dict)

    def add_wallet(self, kind: str, owner: Address, wallet: Address) -> None:
        """Know a wallet (SAFE, PROXY, WALLET) of an owner; there is one of each kind."""
        self._wallets[kind, owner] = wallet

    async def params(self, kind: str, owner: Address) -> tuple[Address, int]:
        """Return the address that a request is made with, and the next nonce. Raises `Refused`."""
        wallet = self._wallets.get((kind, owner))
        if wallet is None:
            raise Refused(404, "wallet not found")
        nonce = await self.chain.nonce(kind, owner, wallet)
        return RELAY if kind == "PROXY" else owner, max(0, nonce + self.faults.nonce_off)

    async def take(self, submitted: Submitted, nursery: trio.Nursery) -> Taken:
        """Take an action, and begin to carry it. Raises `Refused`."""
        try:
            await self._check(submitted)
        except Refused as refusal:
            self.refused.append(refusal.text)
            raise
        self._days[self._today] = self._used + 1
        taken = Taken(str(UUID(int=len(self.taken) + 1)), submitted)
        self.taken[taken.transaction_id] = taken
        nursery.start_soon(self._carry, taken)
        return taken

    async def _check(self, submitted: Submitted) -> None:
        wallet, key = submitted.wallet, (submitted.kind, submitted.owner)
        if self._wallets.get(key) != wallet or (submitted.kind == "PROXY" and submitted.relay != RELAY):
            raise Refused(400, INVALID)
        if signer_of_request(submitted, self.chain_id) != submitted.owner:
            raise Refused(400, BAD_SIGNATURE)
        if submitted.kind == "WALLET" and submitted.deadline < self.now() + _LEAST_DEADLINE_S:
            raise Refused(400, LATE)
        for at, call in enumerate(submitted.calls):
            if call.to == wallet or call.to in self.blocked:
                raise blocked(at, call.to)
        nonce = await self.chain.nonce(submitted.kind, submitted.owner, wallet)
        if any(one.in_flight and one.submitted.wallet == wallet for one in self.taken.values()):
            raise busy(wallet) if submitted.nonce == nonce else Refused(400, IN_FLIGHT)
        if submitted.nonce != nonce:
            raise wrong_nonce(submitted.nonce, nonce)
        if self._used >= self.quota:
            raise over_quota(int(_DAY_S - self.now() % _DAY_S))

    @property
    def _today(self) -> int:
        return int(self.now() // _DAY_S)

    @property
    def _used(self) -> int:
        return self._days.get(self._today, 0)

    async def _carry(self, taken: Taken) -> None:
        match self.faults.settles:
            case Settles.NEW:
                return
            case Settles.FAILED | Settles.INVALID:
                taken.state = State.FAILED if self.faults.settles is Settles.FAILED else State.INVALID
                taken.error = "execution failed"
                return
            case Settles.EXECUTED | Settles.PROMPTLY:
                taken.tx_hash = await self.chain.carry(taken.submitted)
        taken.state = State.EXECUTED
        if self.faults.settles is Settles.EXECUTED:
            return
        if await self.chain.succeeded(taken.tx_hash):
            taken.state = State.CONFIRMED
        else:
            taken.state, taken.error = State.FAILED, "transaction reverted"
