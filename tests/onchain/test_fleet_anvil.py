"""Operators on a real node are refuelled behind the guard of who refuels them, once, whoever has decided on it."""

import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from attrs import evolve

from tests.builders import POLYGON
from tests.onchain.conftest import running_venues
from tests.onchain.deployed import Deployed, Market
from tests.onchain.executing import ALICE, KeptJournal, settings_for
from tests.onchain.test_asking_anvil import open_asked
from tests.plugins.stores import in_place
from trio_copy.config.fleets import FleetTable
from trio_copy.config.wallets import WalletTable
from trio_copy.errors import OrderNotSent
from trio_copy.model.fleets import Fleet, funding_wallet
from trio_copy.model.ids import Address
from trio_copy.model.orders import SignatureType, Wallet
from trio_copy.native import SecretKey
from trio_copy.ports import ActingExecutor, Done, ExecutorContext, refuel_act
from trio_copy.records import read_plain
from trio_copy.signing.fleets import FleetKeys
from trio_copy.signing.signers import open_signers
from trio_copy.testing.anvil import Node
from trio_copy.transactions.refuelling import Refuel, Refuels, document_name, refuel_key
from trio_copy_onchain.executor import OnchainExecutor, open_executor

pytestmark = pytest.mark.anvil


@pytest.fixture(scope="module")
def venues(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Deployed]]:
    with running_venues(tmp_path_factory.mktemp("venues")) as deployed:
        yield deployed


COIN = 10**18
KEYS = tuple(SecretKey(bytes((number,)) * 32) for number in (0x61, 0x62))
FUNDING = SecretKey(b"\x63" * 32)
TABLE = FleetTable(mnemonic="env:NOBODY")
FLEET = Fleet(
    name="ops",
    operators=tuple(key.address for key in KEYS),
    funding=funding_wallet("ops", FUNDING.address, ALICE),
    low=TABLE.low,
    fill_to=TABLE.fill_to,
    max_day=TABLE.max_day,
)


@asynccontextmanager
async def open_fleet(
    node: Node, market: Market, folder: Path, journal: KeptJournal
) -> AsyncGenerator[tuple[OnchainExecutor, list[tuple[str, str]]], None]:
    safe = WalletTable(fleet="ops", address=market.deployed.safe, signature_type=SignatureType.SAFE)
    keys = FleetKeys(operators=KEYS, funding=FUNDING, fill_to=TABLE.fill_to, max_day=TABLE.max_day)
    told: list[tuple[str, str]] = []

    def note(kind: str, detail: str) -> None:
        told.append((kind, detail))

    opening = open_signers(
        folder=folder, wallets={"safe": safe}, keys={}, fleets={"ops": keys}, chain_id=POLYGON,
        wall=time.time, in_thread=in_place, on_trouble=note,
    )  # fmt: skip
    async with open_asked(node) as chain, opening as signers:
        wallet = Wallet(
            follower=ALICE, address=safe.address, name="safe", signature_type=SignatureType.SAFE, fleet="ops"
        )
        context = ExecutorContext(
            name="onchain", settings=settings_for(market.deployed), wall=time.time, quotes=None, signers=signers,
            wallets=(wallet,), fleets=(FLEET,), chain_id=POLYGON, nodes=chain.nodes, on_trouble=note,
        )  # fmt: skip
        async with open_executor(context) as executor:
            assert isinstance(executor, OnchainExecutor)
            executor.open_journal(journal)
            yield executor, told
            executor.close_journal(journal)


async def balance_of(market: Market, address: Address) -> int:
    return int(await market.ask("eth_getBalance", address, "latest"), 16)


async def set_balances(market: Market, *coins: float) -> None:
    for key, amount in zip((*KEYS, FUNDING), coins, strict=True):
        await market.ask("anvil_setBalance", key.address, hex(int(amount * COIN)))


async def wait_ended(market: Market, journal: KeptJournal, count: int) -> Refuels:
    """Wait until so many refuels have ended, with blocks on top."""
    with trio.fail_after(20):
        while True:
            await market.ask("anvil_mine", hex(40))
            body = journal.documents().get(document_name(POLYGON, "ops"))
            refuels = None if body is None else Refuels.restored(POLYGON, FLEET, read_plain(body))
            if refuels is not None and not refuels.under_way and refuels.spent(time.time()) == count * 9 * COIN // 10:
                return refuels
            await trio.sleep(0.05)


async def test_low_operators_are_filled_up_behind_the_guard(
    venues: tuple[Node, Deployed], market: Market, tmp_path: Path
) -> None:
    """By the funding account's own transfers, once each; another owner of the shard finds nothing left to do."""
    await set_balances(market, 0.1, 0.1, 5)
    journal = KeptJournal()
    async with open_fleet(venues[0], market, tmp_path, journal) as (executor, told):
        await wait_ended(market, journal, 2)
        assert [await balance_of(market, key.address) for key in KEYS] == [COIN, COIN]
        paid = 5 * COIN - await balance_of(market, FUNDING.address)
        assert 18 * COIN // 10 < paid < 19 * COIN // 10
        assert executor.operators.balances.of(KEYS[0].address) is not None
        assert told == []
    async with open_fleet(venues[0], market, tmp_path, journal.as_left()) as (_, told):
        await trio.sleep(0.3)
        assert [await balance_of(market, key.address) for key in KEYS] == [COIN, COIN]
        assert told == []


async def test_a_person_gives_no_more_than_the_table_says(
    venues: tuple[Node, Deployed], market: Market, tmp_path: Path
) -> None:
    """And to operators alone; what is within the limits lands, and is told again when it is asked for again."""
    await set_balances(market, 0.5, 1, 5)
    assert FLEET.funding is not None
    now, operator = time.time(), KEYS[0].address
    refuel = Refuel(key=refuel_key(POLYGON, operator, int(now // 86_400), 0), operator=operator, wei=COIN // 2, at=now)
    act = refuel_act(refuel, FLEET.funding, now + 60)
    async with open_fleet(venues[0], market, tmp_path, KeptJournal()) as (executor, _):
        acting: ActingExecutor = executor
        for wrong in (evolve(refuel, operator=market.deployed.safe), evolve(refuel, wei=2 * COIN)):
            with pytest.raises(OrderNotSent, match="refuel: expected"):
                await acting.act(refuel_act(wrong, FLEET.funding, now + 60))
        with trio.fail_after(20):
            while True:
                await market.ask("anvil_mine", hex(40))
                with trio.move_on_after(1):
                    report = await acting.act(act)
                    if report.done is Done.LANDED:
                        break
        assert await acting.act(act) == report
        assert await balance_of(market, operator) == COIN
        assert (await market.ask("eth_getTransactionByHash", report.transaction))["input"] == "0x"
        spent = 5 * COIN - COIN // 2 - await balance_of(market, FUNDING.address)
        assert spent == report.gas_wei == 21_000 * (spent // 21_000)
