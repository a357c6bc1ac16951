"""Whoever refuels a fleet sends as its operators do, and is known after a restart."""

from collections.abc import Sequence

import pytest
from attrs import frozen

from tests.builders import ALICE, NOW, POLYGON
from tests.onchain.executing import KeptJournal
from trio_copy.clock import wall_clock_from
from trio_copy.model.coins import Coins
from trio_copy.model.fleets import Fleet, funding_wallet
from trio_copy.model.ids import Address
from trio_copy.model.orders import Wallet
from trio_copy.ports import ExecutorContext
from trio_copy.testing.devnet import DevChain
from trio_copy.testing.nodes import ScriptedNodes
from trio_copy_onchain.executor import OnchainExecutor, open_executor
from trio_copy_onchain.settings import OnchainSettings

OPERATOR, FUNDING, STRANGER = (Address(f"0x{number:040x}") for number in (1, 15, 16))
FLEET = Fleet(
    name="ops",
    operators=(OPERATOR,),
    funding=funding_wallet("ops", FUNDING, ALICE),
    low=Coins.parse("0.2"),
    fill_to=Coins.parse(1),
    max_day=Coins.parse(10),
)
SAFE = Wallet(follower=ALICE, address=Address("0x" + "5a" * 20), name="hot", fleet="ops")


@frozen
class _Sender:
    address: Address


class _Signers:
    def operators(self, wallet: Wallet) -> Sequence[_Sender]:
        return [_Sender(FUNDING if wallet == FLEET.funding else OPERATOR)]


@pytest.mark.parametrize(("sender", "troubles"), [(OPERATOR, []), (FUNDING, []), (STRANGER, ["operator-unknown"])])
async def test_only_an_account_that_nobody_has_the_key_of_is_unknown(sender: Address, troubles: list[str]) -> None:
    """The funding account's refuels are in the journal beside what operators have sent."""
    journal, told = KeptJournal(), list[str]()
    journal.put(f"{POLYGON}/{sender}/gas", b"[1,2,1050000]")
    context = ExecutorContext(
        name="onchain",
        settings=OnchainSettings(),
        wall=wall_clock_from(NOW),
        quotes=None,
        signers=_Signers(),  # type: ignore[arg-type]  # nothing is signed here
        wallets=(SAFE,),
        fleets=(FLEET,),
        chain_id=POLYGON,
        nodes=ScriptedNodes(DevChain(POLYGON, wall_clock_from(NOW))),
        on_trouble=lambda kind, detail: told.append(kind),
    )
    async with open_executor(context) as executor:
        assert isinstance(executor, OnchainExecutor)
        executor.open_journal(journal)
    assert told == troubles
