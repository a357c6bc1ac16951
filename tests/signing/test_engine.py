"""The whole engine with a key: an executor that signs, a wallet that is armed or not, and a reload that changes nothing."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import define, evolve, field
from trio.testing import MockClock

from tests.builders import NOW, POLYGON
from tests.harness import World, make_test_plan, open_world, running_engine
from tests.signing.opened import SECRET
from tests.signing.test_guard import MAKER
from trio_copy.config import PluginTable
from trio_copy.config.fleets import FleetTable
from trio_copy.config.wallets import WalletPolicy, WalletTable
from trio_copy.engine.plan import Plan, PlannedExecutor, make_plan
from trio_copy.engine.seams import Seams
from trio_copy.errors import ConfigError, OrderNotSent
from trio_copy.model.decisions import Code, End, OrderIntent, Reason
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import Caps
from trio_copy.model.ids import IntentKey
from trio_copy.model.orders import ExecutionReport, Market, Order, SignatureType, Wallet
from trio_copy.model.settings import NoSettings
from trio_copy.model.units import Usd
from trio_copy.native import SecretKey, keccak, signer_of
from trio_copy.ports import Executor, ExecutorContext, ExecutorPlugin, Signer, Spending
from trio_copy.registry import discover
from trio_copy.signing.arming import arm, limits_of
from trio_copy.signing.fleets import FleetKeys
from trio_copy.testing.scripted import ScriptedExecutor

POLICY = WalletPolicy()
NO_CAPS = Caps()


@define(eq=False)
class SigningExecutor(ScriptedExecutor):
    """As one that moves money does it: the digest, the guard, the signature; and nothing leaves before the guard lets it."""

    context: ExecutorContext | None = None
    folder: Path = Path()
    durable: list[bool] = field(factory=list)
    """For each order that left, whether it was counted on the disk."""
    signed: list[Order] = field(factory=list)

    def _signer(self, wallet: Wallet) -> Signer:
        assert self.context is not None
        assert self.context.signers is not None
        signer = self.context.signers.of(wallet)
        assert signer is not None
        return signer

    def prepare(self, key: IntentKey, intent: OrderIntent, wallet: Wallet, market: Market) -> Order:
        order = super().prepare(key, intent, wallet, market)
        answer = self._signer(wallet).sign(_spending(order), keccak(order.body))
        if isinstance(answer, Reason):
            raise OrderNotSent("the guard refuses", answer)
        self.signed.append(order)
        return evolve(order, body=order.body + answer)

    async def submit(self, order: Order) -> ExecutionReport:
        await self._signer(order.wallet).release(_spending(order), keccak(order.body[:-65]))
        self.durable.append(any(order.key in path.read_text() for path in sorted(self.folder.glob("signed-*"))))
        return await super().submit(order)


def _spending(order: Order) -> Spending:
    assert order.wallet.address is not None
    return Spending(
        key=order.key,
        side=order.side,
        token_id=order.token_id,
        limit_price=order.limit_price,
        max_cost=order.max_cost,
        chain_id=POLYGON,
        contract=POLICY.contracts[0],
        maker=order.wallet.address,
        at=NOW,
    )


def live_plan(executor: SigningExecutor, tmp_path: Path, caps: Caps = NO_CAPS, **policy: Any) -> Plan:
    """A follower with a live wallet, whose executor moves money, on a store that lasts."""
    wallet = WalletTable(key="env:HOT", address=MAKER, policy=WalletPolicy(**policy))
    paper = make_test_plan(followers=("alice",))
    [follower] = paper.settings.follower
    settings = evolve(
        paper.settings,
        engine=evolve(paper.settings.engine, mode="live"),
        signing=evolve(paper.settings.signing, folder=str(tmp_path / "signing")),
        store=PluginTable(name="sqlite", plugin="sqlite", options={"path": str(tmp_path / "books.db")}),
        wallet={"hot": wallet},
        follower=(evolve(follower, wallet="hot"),),
        follow=(evolve(paper.settings.follow[0], caps=caps),),
    )

    @asynccontextmanager
    async def open_signing(context: ExecutorContext) -> AsyncGenerator[Executor, None]:
        executor.name, executor.context, executor.folder = context.name, context, tmp_path / "signing"
        yield executor

    plan = make_plan(settings, discover())
    plugin = ExecutorPlugin(name="signing", open=open_signing, signs_orders=True)
    return evolve(plan, executors=(PlannedExecutor(name="sim", plugin=plugin, settings=NoSettings()),))


@define(eq=False)
class LiveWorld(World):
    """A world in which the key is at hand."""

    def seams(self) -> Seams:
        seams = super().seams()
        seams.keys = {"hot": SecretKey(SECRET)}
        return seams


OPERATORS = FleetKeys(operators=tuple(SecretKey(bytes((one,)) * 32) for one in (1, 2)), funding=SecretKey(b"\x03" * 32))


@define(eq=False)
class FleetWorld(World):
    """A world in which the keys of a fleet are at hand."""

    def seams(self) -> Seams:
        seams = super().seams()
        seams.fleets = {"ops": OPERATORS}
        return seams


@asynccontextmanager
async def live_world() -> AsyncGenerator[LiveWorld, None]:
    async with open_world() as world:
        yield LiveWorld(world.chain, world.nodes, world.wall, nursery=world._nursery)


async def test_a_copy_is_signed_for_its_wallet_and_remembered_before_it_leaves(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The engine hands out signers, and says what is armed; the order carries who signed it for whom."""
    executor = SigningExecutor()
    arm(tmp_path / "signing", MAKER, limits_of(POLICY, POLYGON), NOW + 3600)
    async with live_world() as world, running_engine(world, live_plan(executor, tmp_path)) as service:
        world.chain.mine(world.buy())
        await world.recorder.wait_copies(1)
        assert service.status().armed == ("hot",)
        [order] = executor.sent
        assert (order.wallet.name, order.wallet.address) == ("hot", MAKER)
        assert signer_of(keccak(order.body[:-65]), order.body[-65:]) == SecretKey(SECRET).address
        assert executor.durable == [True]
    assert "live" in world.recorder.steps


async def test_what_the_guard_refuses_is_not_sent(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Caps may allow what the guard does not; and without an arming nothing at all is signed.

    Of two orders that fit alone and not together, both are signed, one leaves, and the other's task ends with the limit.
    """
    executor = SigningExecutor()
    arm(tmp_path / "signing", MAKER, limits_of(POLICY, POLYGON), NOW + 3600)
    plan = live_plan(executor, tmp_path, max_hour_usd=Usd.parse(6))
    async with live_world() as world, running_engine(world, plan) as service:
        world.chain.mine(world.buy(), world.buy(token=2))
        await world.recorder.wait_until(lambda: len(world.recorder.finished) == 2)
        assert len(executor.sent) == 1
        assert len(executor.signed) == 2
        [outcome] = [one.outcome for one in world.recorder.finished if one.outcome.end is not End.FILLED]
        assert outcome.reason is not None
        assert (outcome.end, outcome.reason.code, outcome.reason.control, outcome.reason.limit) == (
            End.DENIED,
            Code.GUARD_REFUSED,
            "wallet.hot.policy.max_hour_usd",
            "6",
        )
        assert [kind for kind, _ in world.recorder.alerts].count("guard-refused") == 1, "tried once"
        for path in (tmp_path / "signing").glob("armed-*"):
            path.unlink()
        await trio.sleep(1.5)
        assert service.status().armed == ()
        world.chain.mine(world.buy(side=Side.SELL))
        await world.recorder.wait_until(lambda: len(world.recorder.finished) == 3)
        assert len(executor.sent) == 1


async def test_an_executor_that_does_not_say_that_it_signs_orders_has_none_signed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """One that sends transactions has those signed, which the guard reads."""
    executor = SigningExecutor()
    arm(tmp_path / "signing", MAKER, limits_of(POLICY, POLYGON), NOW + 3600)
    plan = live_plan(executor, tmp_path)
    [planned] = plan.executors
    sends = evolve(planned, plugin=evolve(planned.plugin, signs_orders=False))
    async with live_world() as world, running_engine(world, evolve(plan, executors=(sends,))):
        world.chain.mine(world.buy())
        await world.recorder.wait_until(lambda: len(world.recorder.finished) == 1)
        outcome = world.recorder.finished[0].outcome
        assert (executor.sent, outcome.reason and outcome.reason.control) == ([], "sign")


async def test_what_a_cap_denies_uses_up_no_limit_of_the_guard(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The cap judges what the guard has signed: many denied entries would make it refuse good ones."""
    executor = SigningExecutor()
    arm(tmp_path / "signing", MAKER, limits_of(POLICY, POLYGON), NOW + 3600)
    plan = live_plan(executor, tmp_path, Caps(max_token_usd=Usd.parse(6)), max_hour_usd=Usd.parse(12))
    async with live_world() as world, running_engine(world, plan):
        for number in range(1, 5):
            world.chain.mine(world.buy())
            await world.recorder.wait_until(lambda: len(world.recorder.finished) == number)  # noqa: B023  called at once
        world.chain.mine(world.buy(token=2))
        await world.recorder.wait_copies(2)
        assert len(executor.signed) == 5
        assert [order.token_id for order in executor.sent] == [order.token_id for order in executor.signed[::4]]
        journal = "".join(path.read_text() for path in sorted((tmp_path / "signing").glob("signed-*")))
        assert [order.key in journal for order in executor.signed] == [True, False, False, False, True]


def fleet_plan(executor: SigningExecutor, tmp_path: Path) -> Plan:
    """The same follower with a safe that operators own."""
    plan = live_plan(executor, tmp_path)
    safe = WalletTable(fleet="ops", address=MAKER, signature_type=SignatureType.SAFE)
    settings = evolve(plan.settings, wallet={"hot": safe}, fleet={"ops": FleetTable(mnemonic="env:PHRASE")})
    return evolve(plan, settings=settings)


async def test_an_executor_is_given_the_operators_of_its_wallets(tmp_path: Path, autojump_clock: MockClock) -> None:
    """And what it has to know of their gas money; another fleet needs a restart, as another wallet does."""
    executor = SigningExecutor()
    arm(tmp_path / "signing", MAKER, limits_of(POLICY, POLYGON), NOW + 3600)
    plan = fleet_plan(executor, tmp_path)
    async with open_world() as opened:
        world = FleetWorld(opened.chain, opened.nodes, opened.wall, nursery=opened._nursery)
        async with running_engine(world, plan) as service:
            world.chain.mine(world.buy())
            await world.recorder.wait_copies(1)
            context = executor.context
            assert context is not None
            assert context.signers is not None
            [wallet] = context.wallets
            assert wallet.fleet == "ops"
            assert [one.address for one in context.signers.operators(wallet)] == [
                key.address for key in OPERATORS.operators
            ]
            [fleet] = context.fleets
            assert fleet.operators == tuple(key.address for key in OPERATORS.operators)
            assert fleet.funding is not None
            assert [one.address for one in context.signers.operators(fleet.funding)] == [fleet.funding.address]
            assert (fleet.name, fleet.funding.follower, str(fleet.fill_to)) == ("ops", "alice", "1")
            [order] = executor.sent
            assert signer_of(keccak(order.body[:-65]), order.body[-65:]) == OPERATORS.operators[0].address
            more = evolve(plan.settings, fleet={"ops": evolve(plan.settings.fleet["ops"], operators=9)})
            assert await service.apply(more) == ["fleet"]


async def test_a_reload_opens_no_key_and_raises_no_limit(tmp_path: Path, autojump_clock: MockClock) -> None:
    """What a person armed is what holds until a restart."""
    executor = SigningExecutor()
    arm(tmp_path / "signing", MAKER, limits_of(POLICY, POLYGON), NOW + 3600)
    async with live_world() as world, running_engine(world, live_plan(executor, tmp_path)) as service:
        raised = live_plan(executor, tmp_path, max_order_usd=Usd.parse(999)).settings
        assert await service.apply(raised) == ["wallet"]
        other = evolve(
            raised, wallet={"new": raised.wallet["hot"]}, follower=(evolve(raised.follower[0], wallet="new"),)
        )
        with pytest.raises(ConfigError, match="the key of wallet new is not open, and only a restart opens it"):
            await service.apply(other)


def test_what_moves_money_pays_from_a_live_wallet(tmp_path: Path) -> None:
    """And only in mode live; the message names the follower."""
    plan = live_plan(SigningExecutor(), tmp_path)
    registry = discover()
    registry.executor("dry-run")
    plugin, source = registry.executors["dry-run"]
    registry.executors["dry-run"] = (evolve(plugin, moves_money=True), source)
    for wallet in (None, "paper"):
        settings = evolve(
            plan.settings,
            wallet={"paper": WalletTable(paper_usd=Usd.parse(5))},
            follower=(evolve(plan.settings.follower[0], wallet=wallet),),
        )
        with pytest.raises(
            ConfigError,
            match=r"follower\[0\]\.wallet: expected a live wallet, .* because sim moves",
        ):
            make_plan(settings, registry)
    make_plan(plan.settings, registry)
