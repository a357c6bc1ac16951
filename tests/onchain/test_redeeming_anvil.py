"""The whole engine on a real chain: what won is redeemed by the wallets that hold it, once, and the books are the chain's."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import evolve

from tests.harness import Recorder
from tests.onchain.living import Kind, Living, open_living
from trio_copy.clock import anchored_wall_clock
from trio_copy.config import PluginTable
from trio_copy.engine.plan import Plan, make_plan
from trio_copy.engine.service import Service
from trio_copy.model.catalog import Catalog
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, Hash32, TokenId
from trio_copy.model.positions import EntryKind
from trio_copy.model.units import NO_USD
from trio_copy.native import keccak
from trio_copy.registry import discover
from trio_copy.testing.anvil import calldata
from trio_copy.testing.anvil.leaders import Place
from trio_copy.testing.relayer import Relayer, RelayerKey, Submitted, open_relayer

pytestmark = pytest.mark.anvil
LIMIT_S = 30
_REDEEMED = "PayoutRedemption(address,address,bytes32,bytes32,uint256[],uint256)"
_EXECUTE = "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)"
_NOBODY = "0x" + "00" * 20


@pytest.fixture
async def living(tmp_path: Path) -> AsyncGenerator[Living, None]:
    with trio.fail_after(LIMIT_S):
        async with open_living(tmp_path) as living:
            yield living


def plan_for(living: Living, redeem: bool = True, **options: Any) -> Plan:
    """Everybody's wallet redeems; a block that is two deep stays."""
    settings = living.plan("onchain", exits_every_s=0.05).settings
    (executor,) = settings.executor
    decoder = PluginTable(name="resolutions", plugin="resolutions", options={"contracts": [living.stage.amm.ctf]})
    settings = evolve(
        settings,
        chain=evolve(settings.chain, window_blocks=2),
        decoder=(*settings.decoder, decoder),
        executor=(evolve(executor, options={**executor.options, "poll_s": 0.05, **options}),),
        wallet={name: evolve(wallet, redeem=redeem) for name, wallet in settings.wallet.items()},
    )
    return make_plan(settings, discover())


@asynccontextmanager
async def engine(living: Living, plan: Plan) -> AsyncGenerator[tuple[Recorder, Service], None]:
    catalog = Catalog()
    catalog.put(living.stage.facts)
    async with living.engine(plan, catalog=catalog) as (recorder, service):
        yield recorder, service


@asynccontextmanager
async def blocks(living: Living) -> AsyncGenerator[None, None]:
    """Let blocks come by themselves while the block runs."""

    async def mine() -> None:
        while True:
            await trio.sleep(0.15)
            with trio.CancelScope(shield=True):
                await living.stage.chain.ask("evm_mine")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(mine)
        yield
        nursery.cancel_scope.cancel()


async def hold(living: Living, recorder: Recorder, *places: Place) -> None:
    """Let everybody copy a purchase of each outcome, for good."""
    for number, place in enumerate(places, 1):
        await living.trade(place, Side.BUY, 100)
        await recorder.wait_copies(len(living.people) * number)


async def settled(service: Service) -> None:
    """Wait until nothing is open of what everybody bought."""
    while any(account.orders for account in service.holder.shards[0].accounts.values()):  # noqa: ASYNC110  nobody tells
        await trio.sleep(0.05)


def paid(recorder: Recorder) -> list[tuple[str, TokenId, bool]]:
    """Return who was paid for what, and whether it was anything."""
    entries = [one for one in recorder.entries if one.kind is EntryKind.REDEMPTION]
    return sorted((str(one.follower), one.token_id, one.notional > NO_USD) for one in entries)


async def wait_paid(recorder: Recorder, count: int) -> None:
    await recorder.wait_until(lambda: len(paid(recorder)) >= count)


async def redemptions(living: Living) -> Mapping[Address, int]:
    """Return how often each wallet has redeemed something, by the contract's own events."""
    topic = "0x" + keccak(_REDEEMED.encode()).hex()
    logs = await living.stage.chain.ask(
        "eth_getLogs", {"fromBlock": "0x0", "address": living.stage.amm.ctf, "topics": [topic]}
    )
    wallets = [Address("0x" + log["topics"][1][26:]) for log in logs]
    return {wallet: wallets.count(wallet) for wallet in wallets}


async def test_winners_are_redeemed_once_and_losers_booked_at_zero(living: Living) -> None:
    """By an account, a Safe and a fleet: what their balances show is what their books say."""
    yes, no = living.tokens[Place.YES], living.tokens[Place.NO]
    async with engine(living, plan_for(living)) as (recorder, _), blocks(living):
        await hold(living, recorder, Place.YES, Place.NO)
        await living.stage.amm.decide(1, 0)
        await wait_paid(recorder, 6)
        await trio.sleep(0.5)
    assert paid(recorder) == sorted((name, token, token == yes) for name in living.people for token in (yes, no))
    assert await redemptions(living) == {person.wallet: 1 for person in living.people.values()}
    for person in living.people.values():
        assert await living.stage.shares(person.wallet, yes) == 0
    assert not [alert for alert in recorder.alerts if alert[0] == "not-redeemed"]
    await living.expect_books_as_on_chain(recorder)


async def test_a_share_of_both_outcomes_pays_each_its_part(living: Living) -> None:
    """Undecided between two, a third goes to one: whatever is not a whole unit stays with the contract."""
    async with engine(living, plan_for(living)) as (recorder, _), blocks(living):
        await hold(living, recorder, Place.YES, Place.NO)
        await living.stage.amm.decide(2, 1)
        await wait_paid(recorder, 6)
    assert await redemptions(living) == {person.wallet: 1 for person in living.people.values()}
    for name, person in living.people.items():
        moved = (await living.holding(person.wallet)).since(living.began[name])
        booked = living.booked(name, [recorder])
        # A payout is booked in millionths a share.
        assert 0 <= moved.cash - booked.cash <= sum(one.shares.micro for one in recorder.entries) // 10**6 + 2
        assert set(moved.shares.values()) == {0}


@pytest.mark.parametrize("meanwhile", ["nothing", "final"])
async def test_a_restart_in_the_middle_redeems_once(living: Living, meanwhile: str) -> None:
    """What waited in the node's pool when the engine ended is found by the next one, final by then or not, and booked."""
    plan, chain = plan_for(living), living.stage.chain
    async with engine(living, plan) as (first, service):
        async with blocks(living):
            await hold(living, first, Place.YES)
            await settled(service)
        await living.stage.amm.decide(1, 0)
        await chain.ask("evm_setAutomine", False)
        await chain.ask("anvil_mine", "0x4")
        while int((await chain.ask("txpool_status"))["pending"], 16) < 3:  # noqa: ASYNC110
            await trio.sleep(0.05)
    await chain.ask("evm_setAutomine", True)
    if meanwhile == "final":
        await chain.ask("anvil_mine", "0x5")
    assert paid(first) == []
    async with engine(living, plan) as (second, _), blocks(living):
        await wait_paid(second, 3)
    assert await redemptions(living) == {person.wallet: 1 for person in living.people.values()}
    await living.expect_books_as_on_chain(first, second)


async def test_what_won_stays_in_the_books_of_a_wallet_that_does_not_redeem(living: Living) -> None:
    """For it stays on the chain: no dollar is booked that has not come."""
    async with engine(living, plan_for(living, redeem=False)) as (recorder, _), blocks(living):
        await hold(living, recorder, Place.YES, Place.NO)
        await living.stage.amm.decide(1, 0)
        await wait_paid(recorder, 3)
        await recorder.wait_until(lambda: len([one for one in recorder.alerts if one[0] == "to-redeem"]) == 3)
    assert paid(recorder) == sorted((name, living.tokens[Place.NO], False) for name in living.people)
    assert await redemptions(living) == {}
    await living.expect_books_as_on_chain(recorder)


class Carrier:
    """The relayer's own account: it pays for what it carries."""

    def __init__(self, living: Living) -> None:
        self.chain = living.stage.chain
        self.sender = self.chain.accounts[7]

    async def nonce(self, kind: str, owner: Address, wallet: Address) -> int:
        return int(await self.chain.call(wallet, "nonce()"))

    async def carry(self, submitted: Submitted) -> Hash32:
        values = (
            submitted.to, submitted.value, submitted.data, submitted.operation, 0, 0, 0, _NOBODY, _NOBODY,
            submitted.signature,
        )  # fmt: skip
        transaction = {"from": self.sender, "to": submitted.wallet, "data": calldata(_EXECUTE, values)}
        return Hash32(await self.chain.ask("eth_sendTransaction", transaction))

    async def succeeded(self, tx_hash: Hash32) -> bool:
        while (receipt := await self.chain.ask("eth_getTransactionReceipt", tx_hash)) is None:  # noqa: ASYNC110
            await trio.sleep(0.02)
        return bool(int(receipt["status"], 16))


async def test_a_safe_whose_owner_has_no_coin_redeems_by_the_relayer(tmp_path: Path) -> None:
    """Its owner signs, the relayer carries and pays; once, and booked as it landed."""
    with trio.fail_after(LIMIT_S):
        async with open_living(tmp_path, {"bob": Kind.SAFE}) as living:
            bob = living.people["bob"]
            owner = bob.keys[0].address
            relayer = Relayer(
                now=anchored_wall_clock(), chain_id=living.plan().settings.chain.chain_id, chain=Carrier(living),
                keys=[RelayerKey(key="k" * 20, address=owner)],
            )  # fmt: skip
            relayer.add_wallet("SAFE", owner, bob.wallet)
            async with open_relayer(relayer) as server:
                keyed = {"url": server.address, "key": "k" * 20, "key_address": owner, "poll_s": 0.1}
                async with engine(living, plan_for(living, relayer=keyed)) as (recorder, _), blocks(living):
                    await hold(living, recorder, Place.YES)
                    await living.stage.chain.ask("anvil_setBalance", owner, "0x0")
                    await living.stage.amm.decide(1, 0)
                    await wait_paid(recorder, 1)
            assert await redemptions(living) == {bob.wallet: 1}
            assert len(relayer.taken) == 1
            await living.expect_books_as_on_chain(recorder)
