"""What is known of the operators of fleets: what nodes say of them, and what a store has of their transactions."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec
import trio
from attrs import frozen

from trio_copy.chain.dial import Dial, dial_network
from trio_copy.chain.fields import Number, read_number
from trio_copy.chain.nodes import open_nodes
from trio_copy.chain.pacing import Pace
from trio_copy.cli.opened import ask_as_guest
from trio_copy.config import Settings
from trio_copy.config.fleets import FleetTable
from trio_copy.config.secrets import Learn
from trio_copy.engine.plan import Plan
from trio_copy.engine.supervisor import Backoff
from trio_copy.entropy import system_entropy
from trio_copy.errors import ChainError, ConfigError, NotMadeYet, RpcError
from trio_copy.model.ids import Address, ChainId
from trio_copy.ports import NOBODY, Document, Nodes, Store
from trio_copy.signing.fleets import funding_address, operator_addresses
from trio_copy.transactions.tips import floor_of

FUNDING = "funding"
"""What the account that refuels is called where operators have numbers."""
_SENDING = "sending"
"""The kind of a shard's documents of what its executors send."""
_PATIENCE_S = 15.0
"""Longer than a connection and a request may take by default."""
_TRANSFER_GAS = 21_000
_RISES = 2
"""What a transfer costs may double until it is mined."""
_MISREAD = (msgspec.MsgspecError, ValueError, RecursionError)
_number = msgspec.json.Decoder(Number)


@frozen(kw_only=True)
class Station:
    """An account of a fleet."""

    fleet: str
    place: str
    """The number of an operator, from 0 on, or `FUNDING`."""
    address: Address | None
    """None of a keystore that does not name it."""


@frozen(kw_only=True)
class Operator:
    """An account of a fleet, as nodes and the store know it; None where nobody has told."""

    station: Station
    wei: int | None = None
    used: int | None = None
    """How many nonces are used at the head."""
    pending: int | None = None
    """The same with what waits in the pool of the node that answered."""
    open: frozenset[int] = frozenset()
    """Nonces of which the store has transactions, and which are not used in a final block."""
    trouble: str = ""
    """Why something is not known."""

    def state(self, fleet: FleetTable) -> str:
        """Say in a few words how it is; "ok" where there is nothing to do."""
        if self.trouble or self.wei is None or self.used is None or self.pending is None:
            return f"unknown: {self.trouble}"
        lost = sorted(nonce for nonce in self.open if nonce >= max(self.used, self.pending))
        if lost:
            return f"nonce {lost[0]} is in no pool: an engine sends it again"
        least = fleet.fill_to if self.station.place == FUNDING else fleet.low
        return f"low: under {least}" if self.wei < least.wei else "ok"


def stations_of(name: str, fleet: FleetTable, learn: Learn) -> Sequence[Station]:
    """Return the accounts of a fleet. Raises `ConfigError` where its phrase cannot be read."""
    try:
        addresses = operator_addresses(name, fleet, learn)
        funding = funding_address(name, fleet, learn)
    except ValueError as error:
        raise ConfigError([str(error)]) from None
    found = [Station(fleet=name, place=str(place), address=one) for place, one in enumerate(addresses)]
    return [*found, *([] if fleet.funding is None else [Station(fleet=name, place=FUNDING, address=funding)])]


def open_nonces(documents: Iterable[Document], chain_id: ChainId) -> Mapping[Address, frozenset[int]]:
    """Return the nonces of which a store has transactions, by who sends them.

    Their documents are named EXECUTOR/CHAIN/OPERATOR/NONCE/KEY.
    """
    found: defaultdict[Address, set[int]] = defaultdict(set)
    for document in documents:
        match document.name.split("/"):
            case [_, chain, operator, nonce, _] if chain == str(chain_id) and nonce.isdecimal():
                found[Address(operator)].add(int(nonce))
            case _:
                pass
    return {operator: frozenset(nonces) for operator, nonces in found.items()}


async def look_at(
    stations: Sequence[Station], nodes: Nodes, opened: Mapping[Address, frozenset[int]]
) -> Sequence[Operator]:
    """Ask nodes about accounts, all at once. Never raises for what they answer: who does not is unknown."""
    found: dict[int, Operator] = {}

    async def look_one(place: int, station: Station) -> None:
        address = station.address
        if address is None:
            found[place] = Operator(
                station=station, trouble="its keystore names no address; `trio-copy keys check` opens it"
            )
            return
        mine = opened.get(address, frozenset())
        try:
            wei = await _ask(nodes, "eth_getBalance", address, "latest")
            used = await _ask(nodes, "eth_getTransactionCount", address, "latest")
            pending = await _ask(nodes, "eth_getTransactionCount", address, "pending")
            final = await _final(nodes, address, used)
        except ChainError as error:
            found[place] = Operator(station=station, open=mine, trouble=str(error))
        else:
            left = frozenset(nonce for nonce in mine if nonce >= final)
            found[place] = Operator(station=station, wei=wei, used=used, pending=pending, open=left)

    async with trio.open_nursery() as nursery:
        for place, station in enumerate(stations):
            nursery.start_soon(look_one, place, station)
    return [found[place] for place in range(len(stations))]


async def _final(nodes: Nodes, address: Address, used: int) -> int:
    """Return how many nonces final blocks have used; where a node knows no final block, those at the head count."""
    try:
        return await _ask(nodes, "eth_getTransactionCount", address, "finalized")
    except RpcError:
        return used


async def transfer_cost(nodes: Nodes, chain_id: ChainId) -> int:
    """Return what a transfer of coins may cost at most, in wei. Raises `ChainError` where no node tells."""
    return _TRANSFER_GAS * _RISES * max(await _ask(nodes, "eth_gasPrice"), floor_of(chain_id))


@asynccontextmanager
async def open_nodes_of(settings: Settings, dial: Dial) -> AsyncGenerator[Nodes, None]:
    """Let the nodes of a configuration be asked while the block runs. Raises `ConfigError` where it has none."""
    if settings.devnet is not None:
        raise ConfigError(["devnet: expected [[endpoint]]: a devnet has no accounts that could be asked about"])
    engine, entropy = settings.engine, system_entropy()
    opening = open_nodes(
        dial=dial,
        endpoints=settings.endpoint,
        paces={endpoint.name: Pace() for endpoint in settings.endpoint},
        chain=settings.chain,
        entropy=entropy,
        quarantine=lambda kind, detail: None,
        on_trouble=lambda kind, detail: None,
        next_wait=lambda: Backoff(engine.backoff_base_s, engine.backoff_max_s, entropy).next_wait,
    )
    async with opening as nodes:
        yield nodes


@frozen(kw_only=True)
class Known:
    """What nodes and the store say of fleets."""

    operators: Sequence[Operator]
    documents: Mapping[str, bytes]
    """Of the store, by name."""
    gas_wei: int | None = None
    """What a refuel may cost at most; None where nobody has told, or nobody was asked."""


async def look(plan: Plan, stations: Sequence[Station], *, cost: bool = False) -> Known:
    """Ask the nodes of a configuration and its store; with `cost`, also what a transfer costs. Raises `ConfigError` without nodes."""
    settings = plan.settings
    documents = await _documents(plan)
    opened = open_nonces(documents, settings.chain.chain_id)
    gas: int | None = None
    async with open_nodes_of(settings, dial_network) as nodes:
        operators = await look_at(stations, nodes, opened)
        if cost:
            try:
                gas = await transfer_cost(nodes, settings.chain.chain_id)
            except ChainError:
                gas = None
    return Known(operators=operators, documents={one.name: one.body for one in documents}, gas_wei=gas)


async def _documents(plan: Plan) -> Sequence[Document]:
    """Return what executors have written down of what they send; nothing where the store has none yet."""

    async def ask(store: Store) -> Sequence[Document]:
        return await store.history.documents(_SENDING, NOBODY)

    if not plan.store.plugin.durable:
        return ()
    try:
        return await ask_as_guest(plan, ask)
    except NotMadeYet:
        return ()


async def _ask(nodes: Nodes, method: str, *params: object) -> int:
    answer = await nodes.ask(method, params, trio.current_time() + _PATIENCE_S)
    try:
        return read_number(_number.decode(answer))
    except _MISREAD as error:
        raise ChainError(f"{method}: expected a number: {str(error)[:100]}") from None
