"""What a doctor finds of venues, wallets and their operators: on a real node, all of it good, and each row made bad."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import evolve, frozen

from tests.builders import NOW, POLYGON
from tests.onchain.deployed import Deployed, Market
from trio_copy.chain.contracts import open_contracts
from trio_copy.chain.dial import dial_network
from trio_copy.chain.nodes import open_nodes
from trio_copy.chain.pacing import Pace
from trio_copy.config import ChainSettings, EndpointSettings
from trio_copy.engine.supervisor import Backoff
from trio_copy.entropy import seeded_entropy
from trio_copy.errors import ConnectionLost
from trio_copy.model.coins import Coins
from trio_copy.model.ids import Address, ChainId, FollowerId, TokenId
from trio_copy.model.orders import SignatureType, Wallet
from trio_copy.ports import Contracts, ExecutorContext, Finding, Health, Nodes, TransactionPolicy
from trio_copy.testing.anvil import Node
from trio_copy_onchain.examining.examine import examine
from trio_copy_onchain.settings import FpmmTable, OnchainSettings, PoolTable

pytestmark = pytest.mark.anvil
_CHAIN = ChainSettings(chain_id=POLYGON)
NOWHERE = Address("0x" + "de" * 20)
ROUNDED = 10**6


@frozen
class Operator:
    """Who sends, as far as a doctor is told."""

    address: Address


@frozen
class Operators:
    by_name: dict[str, Sequence[Address]]

    def of(self, wallet: Wallet) -> None:
        return None

    def operators(self, wallet: Wallet) -> list[Operator]:
        return [Operator(one) for one in self.by_name.get(wallet.name, ())]


def settings_of(deployed: Deployed) -> OnchainSettings:
    """Two market makers, and two pools, each by another kind of router."""
    makers = tuple(
        FpmmTable(maker=amm.pool, conditional_tokens=amm.ctf, collateral=amm.usdc, tokens=amm.tokens)
        for amm in deployed.amms
    )
    pools = tuple(
        PoolTable(
            pool=pool.pool,
            outcome=pool.outcome,
            collateral=pool.collateral,
            router=pool.router.address,
            takes_deadline=pool.router.takes_deadline,
            quoter=pool.quoter,
        )
        for pool in (deployed.pools[0], deployed.pools[3])
    )
    return OnchainSettings(fpmm=makers, pools=pools, multi_send=deployed.multi_send)


@asynccontextmanager
async def open_look(node: Node) -> AsyncGenerator[tuple[Contracts, Nodes], None]:
    endpoints, entropy = (EndpointSettings(name="anvil", url=node.url),), seeded_entropy(1)
    nodes = open_nodes(
        dial=dial_network,
        endpoints=endpoints,
        paces={"anvil": Pace()},
        chain=_CHAIN,
        entropy=entropy,
        quarantine=lambda kind, detail: None,
        on_trouble=lambda kind, detail: None,
        next_wait=lambda: Backoff(0.1, 1.0, entropy).next_wait,
    )
    async with open_contracts(dial_network, endpoints, _CHAIN, entropy) as contracts, nodes as connections:
        yield contracts, connections


class Doctor:
    """Looks at Alice's own key and at a Safe of the first account."""

    def __init__(self, node: Node, market: Market) -> None:
        self.node, self.market = node, market
        self.settings = settings_of(market.deployed)
        self.hot = Wallet(follower=FollowerId("alice"), address=market.wallet, name="hot")
        self.safe = Wallet(
            follower=FollowerId("bob"),
            address=market.deployed.safe,
            name="safe",
            signature_type=SignatureType.SAFE,
        )
        self.operators: dict[str, Sequence[Address]] = {
            "hot": [market.wallet],
            "safe": [market.chain.accounts[0]],
        }
        self.chain_id = POLYGON
        self.policies: dict[str, TransactionPolicy] = {}

    async def find(self, *wallets: Wallet) -> list[Finding]:
        async with open_look(self.node) as (contracts, nodes):
            context = ExecutorContext(
                name="onchain",
                settings=self.settings,
                wall=lambda: NOW,
                quotes=None,
                signers=Operators(self.operators),  # type: ignore[arg-type]  # a doctor asks who they are, and no more
                wallets=wallets or (self.hot, self.safe),
                chain_id=self.chain_id,
                nodes=nodes,
                policies=self.policies,
            )
            return list(await examine(context, contracts))

    async def bad(self, *wallets: Wallet) -> list[tuple[str, str]]:
        """What has failed; each has something to do."""
        found = [one for one in await self.find(*wallets) if one.health is Health.BAD]
        assert all(one.advice for one in found)
        return [(one.check, one.text) for one in found]

    async def prepare(self) -> None:
        """Let both wallets allow what they have to, in finite amounts."""
        chain, amms = self.market.chain, self.market.deployed.amms
        for amm in amms:
            await chain.do(self.market.wallet, amm.usdc, "approve(address,uint256)", amm.pool, 50 * ROUNDED)
        for pool in self.settings.pools:
            for token, amount in ((pool.collateral, 50 * ROUNDED), (pool.outcome, 10**25)):
                await chain.do(self.market.wallet, token, "approve(address,uint256)", pool.router, amount)


@pytest.fixture
def doctor(venues: tuple[Node, Deployed], market: Market) -> Doctor:
    return Doctor(venues[0], market)


async def test_a_market_that_is_right_is_found_so(doctor: Doctor) -> None:
    """A line for each look, in the order in which people read it: the chain, the contracts, and wallet by wallet."""
    await doctor.prepare()
    found = await doctor.find(doctor.hot)

    assert [(one.wallet, one.check.split(" 0x")[0]) for one in found] == [
        ("", "chain"),
        ("", "code"),
        ("", "fpmm"),
        ("", "fpmm"),
        ("", "pool"),
        ("", "pool"),
        ("hot", "operators"),
        ("hot", "gas money"),
        ("hot", "nonces"),
        *[("hot", "approval fpmm"), ("hot", "approval fpmm")] * 2,
        *[("hot", "approval pool"), ("hot", "approval pool")] * 2,
    ]
    assert {one.health for one in found} == {Health.GOOD}, found
    assert {one.advice for one in found} == {""}
    texts = {one.check.split(" ")[0]: one.text for one in reversed(found)}
    assert texts["chain"] == "137, as 1 node of 1 told"
    assert texts["code"] == "all 13 contracts of [executor.onchain] are there"
    assert texts["pool"] == "its factory's own, fee 3000 millionths, 18 decimals of the outcome, 6 of the cash"
    assert texts["gas"].endswith("more than 1000 trades at today's price of gas")
    assert texts["fpmm"].startswith("2 outcomes of 0x")
    assert [one.text for one in found if one.check.endswith("BUY")] == ["50"] * 4


CHANGES: dict[str, tuple[Callable[[Doctor], Any], str, str]] = {
    "code": (lambda d: maker(d, maker=NOWHERE), "code", "no contract at 0xdEDEdEdEdEdEdEDedEDeDedEdEdeDedEdEDedEdE"),
    "code of MultiSend": (lambda d: evolve(d.settings, multi_send=NOWHERE), "code", "no contract at 0xdEDE"),
    "not a maker": (lambda d: maker(d, maker=usdc(d)), "fpmm", "is no market maker: it tells no conditional_tokens"),
    "other shares": (lambda d: maker(d, conditional_tokens=usdc(d)), "fpmm", "its conditional_tokens is 0x"),
    "other collateral": (lambda d: maker(d, collateral=NOWHERE), "fpmm", "its collateral is 0x"),
    "another token": (lambda d: maker(d, tokens=(TokenId(1), TokenId(2))), "fpmm", "token 0 of its condition is "),
    "turned tokens": (lambda d: maker(d, tokens=d.settings.fpmm[0].tokens[::-1]), "fpmm", "token 0 of its condition"),
    "a token too many": (
        lambda d: maker(d, tokens=(*d.settings.fpmm[0].tokens, TokenId(1))),
        "fpmm",
        "its outcomes are 2, not 3",
    ),
    "no pool": (lambda d: pool(d, pool=usdc(d)), "pool", "is no pool: it tells no tokens"),
    "other tokens": (lambda d: pool(d, outcome=NOWHERE), "pool", "its tokens are 0x"),
    "no router": (lambda d: pool(d, router=usdc(d)), "pool", "is no router: it tells no factory"),
    "no quoter": (lambda d: pool(d, quoter=usdc(d)), "pool", "the quoter is of no factory"),
    "a router as quoter": (lambda d: pool(d, quoter=d.settings.pools[0].router), "pool", "is no QuoterV2"),
    "a deadline": (
        lambda d: pool(d, takes_deadline=False),
        "pool",
        "the router is a SwapRouter, which takes a deadline",
    ),
}


def usdc(doctor: Doctor) -> Address:
    return doctor.settings.fpmm[0].collateral


def maker(doctor: Doctor, **change: Any) -> OnchainSettings:
    first, second = doctor.settings.fpmm
    return evolve(doctor.settings, fpmm=(evolve(first, **change), second))


def pool(doctor: Doctor, **change: Any) -> OnchainSettings:
    first, second = doctor.settings.pools
    return evolve(doctor.settings, pools=(evolve(first, **change), second))


@pytest.mark.parametrize(("change", "check", "says"), CHANGES.values(), ids=CHANGES)
async def test_what_the_settings_say_wrongly_is_named(
    doctor: Doctor, change: Callable[[Doctor], OnchainSettings], check: str, says: str
) -> None:
    doctor.settings = change(doctor)
    found = [(at, text) for at, text in await doctor.bad() if at.startswith(check)]
    assert any(says.lower() in text.lower() for _, text in found), found


async def test_a_pool_of_another_factory_is_found(doctor: Doctor, market: Market) -> None:
    """It says of itself what it likes: the router's own factory has made none for these tokens."""
    chain = market.chain
    weth, factory = await chain.deploy("WETH9"), await chain.deploy("UniswapV3Factory")
    router = await chain.deploy("SwapRouter", "(address,address)", factory, weth)
    doctor.settings = pool(doctor, router=router)
    [(_, text)] = [one for one in await doctor.bad() if one[0].startswith("pool")]
    assert "has made none for these tokens and a fee of 3000" in text


async def test_a_chain_that_is_another_is_named(doctor: Doctor) -> None:
    doctor.chain_id = ChainId(100)
    assert ("chain", "expected 100: anvil serves 137") in await doctor.bad()


async def test_who_may_not_send_for_a_wallet_is_named(doctor: Doctor, market: Market) -> None:
    """A stranger of a Safe, another key of an account, and an address that is no Safe."""
    stranger = market.chain.accounts[7]
    [good] = [one for one in await doctor.find(doctor.safe) if one.check == "operators"]
    assert (good.health, good.text.lower()) == (Health.GOOD, f"{market.chain.accounts[0]} may send for it")
    doctor.operators = {"hot": [stranger], "safe": [stranger], "odd": [stranger]}
    odd = evolve(doctor.safe, name="odd", address=usdc(doctor))
    found = [one for one in await doctor.find(doctor.hot, doctor.safe, odd) if one.check == "operators"]
    assert [(one.wallet, one.health) for one in found] == [(name, Health.BAD) for name in ("hot", "safe", "odd")]
    assert "expected the wallet's own key" in found[0].text
    assert f"operator {stranger}: expected an owner of the Safe" in found[1].text
    assert found[2].text.startswith("no such wallet at")


async def test_without_keys_it_is_not_known_who_sends(doctor: Doctor) -> None:
    doctor.operators = {}
    found = await doctor.find(doctor.hot)
    [one] = [one for one in found if one.check == "operators"]
    assert one.health is Health.UNKNOWN
    assert {one.check for one in found}.isdisjoint({"gas money", "nonces"})


async def test_an_operator_without_gas_money_is_found(doctor: Doctor, market: Market) -> None:
    """For a few trades it is enough to be refuelled: how much, and how."""
    await market.ask("anvil_setBalance", market.wallet, hex(10**12))
    [one] = [one for one in await doctor.find(doctor.hot) if one.check == "gas money"]
    assert one.health is Health.BAD
    assert "has 0.000001 of the chain's coin: about 0 trades" in one.text
    assert "trio-copy fleet refuel" in one.advice


async def test_a_gap_of_nonces_is_found(doctor: Doctor, market: Market) -> None:
    """What waits for a nonce that is nowhere, beside what just waits to be mined."""
    await market.ask("evm_setAutomine", False)
    nonce = int(await market.ask("eth_getTransactionCount", market.wallet, "latest"), 16)
    send = {"from": market.wallet, "to": market.wallet, "gas": hex(21_000), "maxFeePerGas": hex(10**10)}
    await market.ask("eth_sendTransaction", {**send, "nonce": hex(nonce)})
    [one] = [one for one in await doctor.find(doctor.hot) if one.check == "nonces"]
    assert one.health is Health.GOOD
    assert one.text.endswith(f"1 transaction from {nonce} on wait to be mined")
    await market.ask("eth_sendTransaction", {**send, "nonce": hex(nonce + 3)})
    [one] = [one for one in await doctor.find(doctor.hot) if one.check == "nonces"]
    assert one.health is Health.BAD
    assert f"1 transaction from nonce {nonce + 3} on wait for nonce {nonce + 1}, which is nowhere" in one.text


async def test_what_is_not_allowed_is_found_with_the_command_that_allows_it(doctor: Doctor, market: Market) -> None:
    """Too little to buy for, less than is held to sell, no shares at all, and, as a hint, what has no end."""
    amm, first = market.deployed.amms[0], doctor.settings.pools[0]
    await doctor.prepare()
    await market.chain.do(market.wallet, amm.usdc, "approve(address,uint256)", amm.pool, ROUNDED - 1)
    await market.chain.do(market.wallet, amm.ctf, "setApprovalForAll(address,bool)", amm.pool, False)
    await market.chain.do(market.wallet, first.outcome, "approve(address,uint256)", first.router, 1)
    await market.chain.do(market.wallet, first.collateral, "approve(address,uint256)", first.router, 2**256 - 1)
    found = [one for one in await doctor.find(doctor.hot) if one.advice]
    assert {one.advice.partition(": a finite")[0] for one in found} == {"`trio-copy wallet approve hot`"}
    assert [(one.check.split(" ")[1], one.check[-4:].strip(), one.health) for one in found] == [
        ("fpmm", "BUY", Health.BAD),
        ("fpmm", "SELL", Health.BAD),
        ("pool", "BUY", Health.GOOD),
        ("pool", "SELL", Health.BAD),
    ]
    assert "may take 0.999999: no purchase goes through" in found[0].text
    assert found[1].text == "none: what is bought could not be sold"
    assert "may take less than 0.000001: no sale goes through" in found[3].text


async def test_a_safe_allows_in_its_trades_and_shares_before(doctor: Doctor) -> None:
    """What it pays with is allowed to the unit, in the trade's own transaction; shares of a market maker are for all or none."""
    found = [one for one in await doctor.find(doctor.safe) if one.check.startswith("approval")]
    assert [one.check[-4:] for one in found] == ["SELL", "SELL"]
    assert {one.health for one in found} == {Health.BAD}


@pytest.mark.parametrize(("follower", "health"), [("", Health.UNKNOWN), ("alice", Health.BAD)])
async def test_what_acts_by_a_relayer_trades_for_nobody(doctor: Doctor, follower: str, health: Health) -> None:
    """A deposit wallet with which nobody pays here is not judged."""
    deposit = evolve(doctor.hot, name="far", signature_type=SignatureType.DEPOSIT, follower=FollowerId(follower))
    found = [one for one in await doctor.find(deposit) if one.wallet]
    assert [(one.check, one.health) for one in found] == [("operators", health)]


class Away:
    """A node that tells nothing."""

    async def code(self, address: Address) -> bytes:
        raise ConnectionLost("no node can be asked")

    async def call(self, to: Address, data: bytes) -> bytes | None:
        raise ConnectionLost("no node can be asked")


async def test_where_nobody_answers_nothing_is_judged(doctor: Doctor) -> None:
    """All of it is unknown, and nothing is raised."""
    context = ExecutorContext(
        name="onchain",
        settings=doctor.settings,
        wall=lambda: NOW,
        quotes=None,
        signers=Operators(doctor.operators),  # type: ignore[arg-type]  # as above
        wallets=(doctor.hot, doctor.safe),
    )
    found = await examine(context, Away())
    assert {one.health for one in found if one.check != "operators" or one.wallet != "hot"} == {Health.UNKNOWN}


def policy_of(doctor: Doctor) -> TransactionPolicy:
    """What names all that the settings do."""
    settings = doctor.settings
    return TransactionPolicy(
        contracts=[*(one.maker for one in settings.fpmm), *(one.router for one in settings.pools)],
        collateral=[*(one.collateral for one in settings.fpmm), *(one.collateral for one in settings.pools)],
        collateral_decimals=6,
        outcome_decimals=18,
        conditional=[one.conditional_tokens for one in settings.fpmm],
        multisend=[settings.multi_send],
    )


POLICIES: dict[str, tuple[dict[str, Any], str]] = {
    "contracts": ({"contracts": ()}, "its guard refuses what trades with 0x"),
    "collateral": ({"collateral": ()}, "its guard refuses what trades with 0x"),
    "conditional": ({"conditional": ()}, "its guard refuses what trades with 0x"),
    "multisend": ({"multisend": ()}, "its guard refuses what trades with 0x"),
    "collateral_decimals": ({"collateral_decimals": 8}, "has 6 decimals, and its guard counts 8"),
    "outcome_decimals": ({"outcome_decimals": 6}, "has 18 decimals, and its guard counts 6"),
}


@pytest.mark.parametrize("key", POLICIES)
async def test_a_guard_that_would_refuse_every_trade_is_found(doctor: Doctor, key: str) -> None:
    """Each setting of the policy that does not fit the venues is named; a policy that fits is good."""
    change, words = POLICIES[key]
    doctor.policies = {"safe": evolve(policy_of(doctor), **change), "hot": policy_of(doctor)}
    found = [one for one in await doctor.find() if one.check == "policy"]

    assert [one.health for one in found if one.wallet == "hot"] == [Health.GOOD], found
    wrong = [one for one in found if one.wallet == "safe"]
    assert {one.health for one in wrong} == {Health.BAD}
    assert all(words in one.text and f"{key} of [wallet.safe.policy]" in one.advice for one in wrong)


async def test_a_guard_without_room_for_the_gas_of_a_few_trades_is_found(doctor: Doctor) -> None:
    """It would refuse entries before the day is over; what has no limit here says nothing."""
    limits = {"safe": Coins.parse("0.0000001"), "hot": Coins.parse(20)}
    doctor.policies = {name: evolve(policy_of(doctor), max_day_gas=most) for name, most in limits.items()}
    found = {one.wallet: one for one in await doctor.find() if one.check == "gas limit"}

    assert {name: one.health for name, one in found.items()} == {"safe": Health.BAD, "hot": Health.GOOD}
    assert "gas for 0.0000001 of the chain's coin be signed in 24 hours: about 0 trades" in found["safe"].text
    assert found["safe"].advice.startswith("max_day_gas of [wallet.safe.policy], ")
    doctor.policies = {"hot": policy_of(doctor)}
    assert not [one for one in await doctor.find() if one.check == "gas limit"]


def test_settings_that_cannot_be_a_venue_are_refused() -> None:
    """A market maker has several outcomes, and a pool two different tokens."""
    with pytest.raises(ValueError, match="expected two outcomes at least, got 1"):
        FpmmTable(maker=NOWHERE, conditional_tokens=NOWHERE, collateral=NOWHERE, tokens=(TokenId(1),))
    same = PoolTable(pool=NOWHERE, outcome=NOWHERE, collateral=NOWHERE, router=NOWHERE, quoter=NOWHERE)
    with pytest.raises(ValueError, match="expected two tokens of a pool, got 0xdede"):
        OnchainSettings(pools=(same,))
