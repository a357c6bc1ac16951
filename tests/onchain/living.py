"""Leaders and followers on a living chain: a real node with both kinds of venues, wallets of all kinds, and engines that copy.

A proof opens a `Living`, runs one engine or several on it (again, on the same books, if it likes), lets the leader trade, waits
for what the engine tells, and compares the books with the chain.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from enum import Enum
from pathlib import Path
from typing import Any

from attrs import define, evolve, field, frozen

from tests.builders import POLYGON
from tests.e2e.copying import ON_ANVIL, running
from tests.harness import Recorder, make_test_plan, with_follow_settings
from trio_copy.clock import anchored_wall_clock
from trio_copy.config import PluginTable
from trio_copy.config.fleets import FleetTable
from trio_copy.config.wallets import WalletPolicy, WalletTable
from trio_copy.engine.plan import Plan, make_plan
from trio_copy.engine.service import Service
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import Execution
from trio_copy.model.ids import Address, FollowerId, TokenId
from trio_copy.model.orders import SignatureType
from trio_copy.model.positions import EntryKind, LedgerEntry
from trio_copy.native import SecretKey, keccak
from trio_copy.registry import discover
from trio_copy.signing.arming import arm, limits_of
from trio_copy.signing.fleets import FleetKeys
from trio_copy.testing.anvil.leaders import Place, Trade, call_of, carry_out
from trio_copy.testing.anvil.node import open_node
from trio_copy.testing.anvil.reorg import ReorgDoor, open_reorg_door
from trio_copy.testing.anvil.sending import open_chain
from trio_copy.testing.anvil.stage import BASE_FEE, Stage, deploy_stage, open_stage

CASH_MICRO = 1_000 * 10**6
ARMED_S = 86_400.0
_UNITS = {Place.POOL: 10**12}
"""Units of a token in a millionth of a share, where that is not one."""


class Kind(Enum):
    EOA = "the account of a key"
    SAFE = "a Safe with one owner"
    FLEET = "a Safe with two owners, each of which may act"

    __hash__ = object.__hash__


@frozen(kw_only=True)
class Person:
    """A follower with a wallet on the chain."""

    name: str
    kind: Kind
    secrets: tuple[bytes, ...]
    """Of the keys that may act."""
    wallet: Address

    @property
    def keys(self) -> tuple[SecretKey, ...]:
        return tuple(map(SecretKey, self.secrets))

    @property
    def signature_type(self) -> SignatureType:
        return SignatureType.EOA if self.kind is Kind.EOA else SignatureType.SAFE


EVERYBODY = {"alice": Kind.EOA, "bob": Kind.SAFE, "carol": Kind.FLEET}


@frozen
class Holding:
    """What a wallet has, or what has come and gone: in millionths of a dollar, and in units of each outcome's token."""

    cash: int
    shares: Mapping[Place, int]

    def since(self, before: "Holding") -> "Holding":
        return Holding(
            self.cash - before.cash, {place: had - before.shares[place] for place, had in self.shares.items()}
        )


@define(eq=False)
class Living:
    stage: Stage
    door: ReorgDoor
    """What engines are connected to; reorgs are ordered here."""
    folder: Path
    """Where books and what was signed are kept, for as many engines as are run."""
    people: Mapping[str, Person]
    began: dict[str, Holding] = field(factory=dict)
    """What each had before the first trade."""
    policy: dict[str, Any] = field(factory=dict)
    """What the guards of wallets are told besides, by the settings of [wallet.NAME.policy]."""

    @property
    def tokens(self) -> Mapping[Place, TokenId]:
        return dict(zip(Place, (*self.stage.amm.tokens, self.stage.pool_token), strict=True))

    @property
    def books(self) -> PluginTable:
        """A store that outlives an engine."""
        return PluginTable(name="sqlite", plugin="sqlite", options={"path": str(self.folder / "books.db")})

    @property
    def leader(self) -> Address:
        """Whom everybody follows. The node has his key."""
        return self.stage.chain.accounts[2]

    @property
    def stranger(self) -> Address:
        """Who trades at the same venues, and is followed by nobody."""
        return self.stage.chain.accounts[3]

    async def trade(self, place: Place, side: Side, dollars: int, by: Address | None = None) -> None:
        """Let the leader trade, or somebody else; it is mined when this returns."""
        await carry_out(self.stage, Trade(leader=by or self.leader, place=place, side=side, dollars=dollars))

    async def sign(self, place: Place, side: Side, dollars: int) -> str:
        """Return the leader's next trade as signed bytes, to be sent, and sent again after a reorg."""
        trade = Trade(leader=self.leader, place=place, side=side, dollars=dollars)
        return await self.stage.chain.sign(self.leader, *await call_of(self.stage, trade))

    async def holding(self, wallet: Address) -> Holding:
        shares = {place: await self.stage.shares(wallet, token) for place, token in self.tokens.items()}
        return Holding(await self.stage.dollars(wallet), shares)

    async def who_has(self, place: Place) -> list[str]:
        """Return the followers who have shares of an outcome."""
        return [name for name, one in self.people.items() if (await self.holding(one.wallet)).shares[place]]

    def plan(self, executor: str = "dry-run", *, store: PluginTable | None = None, **engine: Any) -> Plan:
        """Everybody copies a tenth of what the leader trades; what moves money does so live, from wallets that are armed."""
        paper = make_test_plan(
            followers=list(self.people),
            leaders=(self.leader,),
            decoders=[
                PluginTable(name=name, plugin=name, options=options) for name, options in self.stage.decoders.items()
            ],
            chain=dict(ON_ANVIL["chain"]),
            engine={**ON_ANVIL["engine"], **engine},
        )
        if store is not None:
            paper = make_plan(evolve(paper.settings, store=store), discover())
        # The fee of the market maker, two per cent, is in no leader's price.
        paper = with_follow_settings(paper, execution=Execution(slippage_bps=500))
        return paper if executor == "dry-run" else self._live(paper, executor, store)

    def _live(self, paper: Plan, executor: str, store: PluginTable | None) -> Plan:
        settings = paper.settings
        settings = evolve(
            settings,
            engine=evolve(settings.engine, mode="live"),
            signing=evolve(settings.signing, folder=str(self.folder / "signing")),
            store=store or self.books,
            executor=(PluginTable(name=executor, plugin=executor, options=self.stage.executors[executor]),),
            wallet={name: self._wallet(person) for name, person in self.people.items()},
            fleet={
                name: FleetTable(keys=(f"env:{name}",) * len(person.secrets))
                for name, person in self.people.items()
                if person.kind is Kind.FLEET
            },
            follower=tuple(evolve(one, executor=executor, wallet=str(one.id)) for one in settings.follower),
        )
        until = anchored_wall_clock()() + ARMED_S
        for wallet in settings.wallet.values():
            assert wallet.address is not None
            arm(self.folder / "signing", wallet.address, limits_of(wallet.policy, POLYGON), until)
        return make_plan(settings, discover())

    def _wallet(self, person: Person) -> WalletTable:
        table = WalletTable(
            address=person.wallet,
            signature_type=person.signature_type,
            policy=WalletPolicy(**self.stage.policy, **self.policy),
        )
        fleet = person.kind is Kind.FLEET
        return evolve(table, fleet=person.name) if fleet else evolve(table, key=f"env:{person.name}")

    @asynccontextmanager
    async def engine(self, plan: Plan, **seams: Any) -> AsyncGenerator[tuple[Recorder, Service], None]:
        """Run an engine, armed, while the block runs; drain it at the end. Several may run, and one after another."""
        live = self.people.values() if plan.settings.live_wallets() else ()
        keys = {one.name: one.keys[0] for one in live if one.kind is not Kind.FLEET}
        fleets = {one.name: FleetKeys(operators=one.keys) for one in live if one.kind is Kind.FLEET}
        async with running(plan, self.door.url, **({"keys": keys, "fleets": fleets} | seams)) as (recorder, service):
            yield recorder, service

    def booked(self, name: str, recorders: Sequence[Recorder]) -> Holding:
        """Return what the books say has come and gone, in millionths of dollars and shares."""
        entries = [one for recorder in recorders for one in recorder.entries if one.follower == FollowerId(name)]
        undone = {one.of for one in entries if one.kind is EntryKind.REVERSE}
        kinds = (EntryKind.FILL, EntryKind.CORRECT, EntryKind.REDEMPTION)
        counted = [one for one in entries if one.kind in kinds and one.key not in undone]
        shares: Counter[TokenId] = Counter()
        for one in counted:
            if one.kind is not EntryKind.REDEMPTION or one.notional:  # else it lost, and nobody took it from the wallet
                shares[one.token_id] += _sign(one) * one.shares.micro
        cash = sum(-_sign(one) * one.notional.micro - one.fee.micro for one in counted)
        return Holding(cash, {place: shares[token] for place, token in self.tokens.items()})

    async def expect_books_as_on_chain(self, *recorders: Recorder) -> None:
        """Compare, for everybody, what the books say with what the balances say: no cent and no share more or less.

        Books hold millionths, and round against themselves: what a token has beyond them is left out.
        """
        for name, person in self.people.items():
            moved = (await self.holding(person.wallet)).since(self.began[name])
            booked = self.booked(name, recorders)
            on_chain = Holding(
                moved.cash, {place: units // _UNITS.get(place, 1) for place, units in moved.shares.items()}
            )
            fills = sum(one.follower == FollowerId(name) for recorder in recorders for one in recorder.entries)
            assert booked.cash == on_chain.cash, (name, booked, on_chain)
            for place, shares in on_chain.shares.items():
                # Each fill at the pool may have left a part of a millionth behind.
                slack = fills if place in _UNITS else 0
                assert 0 <= shares - booked.shares[place] <= slack, (name, place, booked, on_chain)


def _sign(entry: LedgerEntry) -> int:
    return 1 if entry.side is Side.BUY else -1


@asynccontextmanager
async def open_living(folder: Path, followers: Mapping[str, Kind] = EVERYBODY) -> AsyncGenerator[Living, None]:
    """Run a node with venues, a leader, a stranger and followers' wallets on it; each transaction is a block of its own."""
    async with open_stage(folder, POLYGON) as stage, open_reorg_door(stage.node) as door:
        yield await _bring_everybody(stage, door, folder, followers)


@asynccontextmanager
async def open_mortal(folder: Path) -> AsyncGenerator[Living, None]:
    """Run the same on a node that may be stopped and started: it is asked within `reached` alone. It has its chain on the disk.

    Engines are connected to the node itself.
    """
    async with open_node(folder, POLYGON, BASE_FEE) as node:
        door = ReorgDoor(node, node.url)
        async with open_chain(node) as chain:
            living = await _bring_everybody(await deploy_stage(node, chain), door, folder, EVERYBODY)
        await node.stop()
        await node.start()
        async with reached(living):
            await living.stage.chain.ask("anvil_mine", "0x4")  # it knows no state of blocks from before its start
        yield living


@asynccontextmanager
async def reached(living: Living) -> AsyncGenerator[None, None]:
    """Have a connection to the node while the block runs."""
    stage = living.stage
    async with open_chain(stage.node) as chain:
        stage.chain = stage.amm.chain = stage.pool.chain = chain
        yield


async def _bring_everybody(stage: Stage, door: ReorgDoor, folder: Path, followers: Mapping[str, Kind]) -> Living:
    living = Living(stage, door, folder, {name: _person(name, kind) for name, kind in followers.items()})
    for trader in (living.leader, living.stranger):
        await stage.bring_leader(trader)
    for person in living.people.values():
        await stage.bring_wallet(person.wallet, [key.address for key in person.keys], CASH_MICRO)
    living.began = {name: await living.holding(person.wallet) for name, person in living.people.items()}
    return living


def _person(name: str, kind: Kind) -> Person:
    secrets = tuple(keccak(f"{name} {number}".encode()) for number in range(2 if kind is Kind.FLEET else 1))
    wallet = SecretKey(secrets[0]).address if kind is Kind.EOA else Address("0x" + keccak(name.encode())[-20:].hex())
    return Person(name=name, kind=kind, secrets=secrets, wallet=wallet)
