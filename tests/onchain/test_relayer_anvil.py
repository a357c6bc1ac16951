"""On a real node, a real Safe does by a relayer what its owner signed: once, and to the unit."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from attrs import define, field
from eth_abi.abi import encode

from tests.builders import ALICE, NOW, POLYGON
from tests.onchain.conftest import running_venues
from tests.onchain.deployed import Deployed, Market
from tests.onchain.executing import Signing, open_trading
from tests.onchain.relayer_world import Documents, RelayedSigner, intent
from trio_copy.chain.dial import dial_network
from trio_copy.chain.nodes import NodeConnections, open_nodes
from trio_copy.chain.pacing import Pace
from trio_copy.config import ChainSettings, EndpointSettings
from trio_copy.engine.supervisor import Backoff
from trio_copy.entropy import seeded_entropy
from trio_copy.model.decisions import Reason
from trio_copy.model.ids import ZERO_ADDRESS, Address, Hash32
from trio_copy.model.orders import SignatureType, Wallet
from trio_copy.native import keccak
from trio_copy.ports import Act, ActReport, Deed, Done, Purpose
from trio_copy.testing.anvil import Node, calldata
from trio_copy.testing.relayer import Relayer, RelayerKey, RelayerServer, Submitted, open_relayer
from trio_copy.transactions.calls import Call
from trio_copy.transactions.relayed import RelayContracts, Relayed
from trio_copy_onchain.relayer.carrying import Carrier
from trio_copy_onchain.relayer.client import RelayerClient
from trio_copy_onchain.relayer.credentials import RelayerKey as OurKey
from trio_copy_onchain.relayer.http import Asker
from trio_copy_onchain.relayer.looking import Looker
from trio_copy_onchain.relayer.making import Maker

pytestmark = pytest.mark.anvil


@pytest.fixture(scope="module")
def venues(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Deployed]]:
    with running_venues(tmp_path_factory.mktemp("venues")) as deployed:
        yield deployed


_EXECUTE = "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)"
_REDEEM = "redeemPositions(address,bytes32,bytes32,uint256[])"
_SPLIT = "splitPosition(address,bytes32,bytes32,uint256[],uint256)"
_AMOUNT = 25_000_000
_FINAL = 5
"""Blocks after which anvil calls a block final."""


@define(eq=False)
class SafeCarrier:
    """The relayer's own account, which pays for the gas."""

    market: Market

    @property
    def sender(self) -> Address:
        return self.market.chain.accounts[7]

    async def nonce(self, kind: str, owner: Address, wallet: Address) -> int:
        return int(await self.market.chain.call(wallet, "nonce()"))

    async def carry(self, submitted: Submitted) -> Hash32:
        values = (
            submitted.to, submitted.value, submitted.data, submitted.operation, 0, 0, 0, ZERO_ADDRESS, ZERO_ADDRESS,
            submitted.signature,
        )  # fmt: skip
        data = bytes.fromhex(calldata(_EXECUTE, values)[2:])
        return Hash32(await self.market.send(Call(to=submitted.wallet, data=data), self.sender))

    async def succeeded(self, tx_hash: Hash32) -> bool:
        return (await self.market.receipt(tx_hash)).succeeded


@define(eq=False)
class Owner:
    market: Market
    nodes: NodeConnections
    server: RelayerServer
    signer: RelayedSigner
    journal: Documents
    carrier: Carrier

    @property
    def safe(self) -> Address:
        return self.market.deployed.safe

    def begin(self) -> None:
        """Begin a process: all that it knows is in the journal."""
        self.journal.crash()
        client = RelayerClient(
            asker=Asker(url=self.server.address, open_socket=self.server.open_socket),
            credentials=OurKey(key="k" * 20, address=self.signer.address), wall=lambda: NOW, timeout_s=10.0,
        )  # fmt: skip
        self.carrier = _carrier(self.market, self.nodes, client)
        self.carrier.open_journal(self.journal)

    async def carry(self, number: int, deed: Deed, *calls: Call) -> ActReport:
        wallet = Wallet(follower=ALICE, address=self.safe, name="alice", signature_type=SignatureType.SAFE)
        act = Act(key=intent(number), wallet=wallet, deed=deed, calls=calls, until=NOW + 1000)
        with trio.fail_after(30):
            return await self.carrier.carry(act, self.signer)  # type: ignore[arg-type]

    async def mines(self) -> None:
        """Let blocks come, so that something becomes final, as soon as the relayer has carried something."""
        while True:
            carried = [one for one in self.server.relayer.taken.values() if one.tx_hash is not None]
            if carried:
                await self.market.receipt(str(carried[-1].tx_hash))
                await self.market.ask("anvil_mine", hex(1))
            await trio.sleep(0.02)


def _carrier(market: Market, nodes: NodeConnections, client: RelayerClient) -> Carrier:
    looker, contracts = Looker(nodes=nodes, chain_id=POLYGON), RelayContracts(multi_send=market.deployed.multi_send)
    return Carrier(
        client=client, looker=looker, wall=lambda: NOW, on_trouble=lambda kind, detail: None, poll_s=0.05,
        maker=Maker(client=client, looker=looker, wall=lambda: NOW, proxy_gas=1, contracts=contracts),
    )  # fmt: skip


@asynccontextmanager
async def open_owner(node: Node, market: Market) -> AsyncGenerator[Owner, None]:
    """Make a key of ours an owner of the Safe, whose threshold is 1, and open all that it needs."""
    signer, safe, first = RelayedSigner(), market.deployed.safe, market.chain.accounts[0]
    add = bytes.fromhex(calldata("addOwnerWithThreshold(address,uint256)", (signer.address, 1))[2:])
    proven = encode(["address", "uint256"], [first, 0]) + b"\x01"
    await market.chain.do(first, safe, _EXECUTE, safe, 0, add, 0, 0, 0, 0, ZERO_ADDRESS, ZERO_ADDRESS, proven)
    relayer = Relayer(
        now=lambda: NOW, chain_id=POLYGON, chain=SafeCarrier(market),
        keys=[RelayerKey(key="k" * 20, address=signer.address)],
    )  # fmt: skip
    relayer.add_wallet("SAFE", signer.address, safe)
    entropy = seeded_entropy(1)
    async with (
        open_nodes(
            dial=dial_network, endpoints=[EndpointSettings(name="anvil", url=node.url)], paces={"anvil": Pace()},
            chain=ChainSettings(chain_id=POLYGON), entropy=entropy, quarantine=lambda kind, detail: None,
            on_trouble=lambda kind, detail: None, next_wait=lambda: Backoff(0.25, 30.0, entropy).next_wait,
        ) as nodes,
        open_relayer(relayer) as server,
        trio.open_nursery() as nursery,
    ):  # fmt: skip
        owner = Owner(market, nodes, server, signer, Documents(), None)  # type: ignore[arg-type]
        owner.begin()
        nursery.start_soon(owner.mines)
        yield owner
        nursery.cancel_scope.cancel()


def _call(to: Address, signature: str, *values: Any) -> Call:
    return Call(to=to, data=bytes.fromhex(calldata(signature, values)[2:]))


async def test_a_safe_approves_splits_and_redeems_once(venues: tuple[Node, Deployed], market: Market) -> None:
    """Two calls by MultiSend, then one; an answer is lost, and another process goes on."""
    async with open_owner(venues[0], market) as owner:
        chain, amm, safe = market.chain, market.deployed.amms[0], owner.safe
        first, question = chain.accounts[0], keccak(b"question")
        condition = await chain.call(
            amm.ctf, "getConditionId(address,bytes32,uint256)", first, question, 2, returns="bytes32"
        )
        await chain.do(first, amm.usdc, "mint(address,uint256)", safe, _AMOUNT)
        approve = _call(amm.usdc, "approve(address,uint256)", amm.ctf, _AMOUNT)
        split = _call(amm.ctf, _SPLIT, amm.usdc, bytes(32), condition, [1, 2], _AMOUNT)
        faults = owner.server.relayer.faults
        faults.path, faults.lose_reply, faults.requests = "/submit", True, 1
        report = await owner.carry(1, Deed.SPLIT, approve, split)
        assert (report.done, await _cash(owner)) == (Done.LANDED, 0)
        assert [await chain.call(amm.ctf, "balanceOf(address,uint256)", safe, token) for token in amm.tokens] == [
            _AMOUNT, _AMOUNT
        ]  # fmt: skip
        await chain.do(first, amm.ctf, "reportPayouts(bytes32,uint256[])", question, [3, 1])
        redeem = _call(amm.ctf, _REDEEM, amm.usdc, bytes(32), condition, [1, 2])
        owner.begin()
        report = await owner.carry(2, Deed.REDEEM, redeem)
        assert (report.done, await _cash(owner)) == (Done.LANDED, _AMOUNT)
        owner.begin()
        assert [(await owner.carry(number, deed, *calls)).done for number, deed, calls in (
            (1, Deed.SPLIT, (approve, split)), (2, Deed.REDEEM, (redeem,))
        )] == [Done.LANDED, Done.LANDED]  # fmt: skip
        assert len(owner.server.relayer.taken) == 2


async def test_what_a_safe_cannot_do_is_refused_and_changes_nothing(
    venues: tuple[Node, Deployed], market: Market
) -> None:
    async with open_owner(venues[0], market) as owner:
        chain, amm = market.chain, market.deployed.amms[0]
        before = await chain.call(owner.safe, "nonce()")
        approve = _call(amm.usdc, "approve(address,uint256)", amm.ctf, 5)
        too_much = _call(amm.usdc, "transfer(address,uint256)", chain.accounts[1], 5)
        report = await owner.carry(1, Deed.SPLIT, approve, too_much)
        assert (report.done, report.why) == (Done.REFUSED, "transaction reverted")
        assert await chain.call(amm.usdc, "allowance(address,address)", owner.safe, amm.ctf) == 0
        assert await chain.call(owner.safe, "nonce()") == before
        await chain.do(chain.accounts[0], amm.usdc, "mint(address,uint256)", owner.safe, 5)
        assert (await owner.carry(1, Deed.SPLIT, approve, too_much)).done is Done.LANDED
        assert (await _cash(owner), await chain.call(owner.safe, "nonce()")) == (0, before + 1)


async def test_an_owners_own_transaction_displaces_what_was_signed(
    venues: tuple[Node, Deployed], market: Market
) -> None:
    """The Safe's nonce is used by something else, in a final block: what was signed is signed anew."""
    async with open_owner(venues[0], market) as owner:
        chain, amm, first = market.chain, market.deployed.amms[0], market.chain.accounts[0]
        faults = owner.server.relayer.faults
        faults.path, faults.text, faults.requests = "/submit", "wallet has in-flight action", 3
        approve = _call(amm.usdc, "approve(address,uint256)", amm.ctf, 7)
        other = bytes.fromhex(calldata("approve(address,uint256)", (amm.ctf, 3))[2:])
        proven = encode(["address", "uint256"], [first, 0]) + b"\x01"

        async def meanwhile() -> None:
            while not owner.signer.signed:  # noqa: ASYNC110  a list tells no event
                await trio.sleep(0.01)
            await chain.do(
                first, owner.safe, _EXECUTE, amm.usdc, 0, other, 0, 0, 0, 0, ZERO_ADDRESS, ZERO_ADDRESS, proven
            )
            await market.ask("anvil_mine", hex(_FINAL))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(meanwhile)
            report = await owner.carry(1, Deed.APPROVE, approve)
            assert report.done is Done.LANDED, report
        assert await chain.call(amm.usdc, "allowance(address,address)", owner.safe, amm.ctf) == 7
        nonces = [one.nonce for one in owner.signer.signed]
        assert nonces == [nonces[0], nonces[0] + 1]


async def _cash(owner: Owner) -> int:
    usdc = owner.market.deployed.amms[0].usdc
    return int(await owner.market.chain.call(usdc, "balanceOf(address)", owner.safe))


@define(eq=False)
class BothWays(Signing):
    """Signs what its wallet does by itself, and what a relayer carries."""

    relayed: RelayedSigner = field(factory=RelayedSigner)

    def sign_relayed(self, relayed: Relayed, purpose: Purpose) -> bytes | Reason:
        return self.relayed.sign_relayed(relayed, purpose)


async def test_an_owner_who_cannot_pay_for_gas_has_its_acts_carried(
    venues: tuple[Node, Deployed], market: Market
) -> None:
    """Also with dust, and where it has just turned out that it cannot; who can, sends by himself."""
    async with open_owner(venues[0], market) as owner:
        signing = BothWays(owner.signer.key, relayed=owner.signer)
        wallet = Wallet(follower=ALICE, address=owner.safe, name="alice", signature_type=SignatureType.SAFE)
        amm = market.deployed.amms[0]
        async with open_trading(market, owner.nodes, lambda: NOW, signing=signing, wallet=wallet) as trading:
            executor = trading.executor
            executor.carrier = owner.carrier
            owner.carrier.close_journal(owner.journal)
            owner.carrier.open_journal(trading.journal)
            ((operator, _),) = executor.operators.of(wallet)

            async def has_acted(number: int, wei: int) -> Act:
                await market.ask("anvil_setBalance", signing.address, hex(wei))
                call = _call(amm.usdc, "approve(address,uint256)", amm.ctf, number)
                act = Act(key=intent(number), wallet=wallet, deed=Deed.APPROVE, calls=(call,), until=NOW + 1000)
                with trio.move_on_after(5):
                    assert (await executor.act(act)).done in (Done.MINED, Done.LANDED)
                assert await market.chain.call(amm.usdc, "allowance(address,address)", owner.safe, amm.ctf) == number
                return act

            taken = owner.server.relayer.taken
            await has_acted(1, 0)
            carried = await has_acted(2, 10**12)
            assert (len(taken), signing.signed) == (2, [])
            sent = await has_acted(3, 10**18)
            assert (len(taken), len(signing.signed)) == (2, 1)
            operator.pause("insufficient funds")
            await has_acted(4, 10**18)
            assert (len(taken), len(signing.signed)) == (3, 1)
            for act, wei in ((carried, 10**18), (sent, 0)):
                await market.ask("anvil_setBalance", signing.address, hex(wei))
                with trio.move_on_after(2):
                    assert (await executor.act(act)).done in (Done.MINED, Done.LANDED)
            assert (len(taken), len(signing.signed)) == (3, 1), "who has begun it goes on with it"
