"""What a doctor finds at the CLOB: everything that may be wrong with a wallet, each once, with what to do about it."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio.testing
from attrs import define

from tests.builders import ALICE, NOW, POLYGON
from tests.clob.scripted_chain import CASH, NEG_RISK, POSITIONS, TOKENS, UNLIMITED, USD, V2, V3, Deployed, ScriptedChain
from tests.testing.venue_client import Trader
from trio_copy.clock import wall_clock_from
from trio_copy.model.ids import Address, ChainId
from trio_copy.model.orders import SignatureType, Wallet
from trio_copy.native import SecretKey
from trio_copy.ports import ExecutorContext, Finding, Health
from trio_copy.signing.access import AccessSigners
from trio_copy.testing.clob_venue import Answered, ClobServer, Standing, Tier, open_virtual_clob_venue
from trio_copy.testing.signing import FakeSigner, FakeSigners
from trio_copy_clob.clob import examine_clob
from trio_copy_clob.examining.derived import addresses_of
from trio_copy_clob.settings import ClobSettings

Clock = trio.testing.MockClock
KEY = SecretKey(b"\x01" * 32)
OWNER = "0x1a642f0e3c3af545e7acbd38b07251b3990914f1"
PROXY, SAFE = "0xc3ee34e6622e0c07ceba420e60e5218b599afd97", "0x7f985742675955766c37531b4986bc642af9a6df"
BEACON, UUPS = "0x651fdbab146239a0f3e94b919c5abd7b9d6f5309", "0xa93626067323b8d56846979df5b4f7916f1381c4"
STRANGER = "0x" + "77" * 20
EOA_, PROXY_, SAFE_, DEPOSIT_ = SignatureType
OF = {EOA_: OWNER, PROXY_: PROXY, SAFE_: SAFE, DEPOSIT_: BEACON}


@define(kw_only=True)
class Bench:
    """A wallet with which nothing is wrong, until a test says so."""

    server: ClobServer
    chain: ScriptedChain
    kind: SignatureType
    address: str
    signers: Any
    chain_id: ChainId = POLYGON
    wall_off_s: float = 0.0

    async def look(self) -> dict[str, Finding]:
        wallet = Wallet(follower=ALICE, address=Address(self.address), name="hot", signature_type=self.kind)
        context = ExecutorContext(
            name="clob",
            settings=ClobSettings(clob_url=self.server.address, geoblock_url=f"{self.server.address}/api/geoblock"),
            wall=wall_clock_from(NOW + self.wall_off_s),
            quotes=None,
            signers=self.signers,
            wallets=(wallet,),
            chain_id=self.chain_id,
            open_socket=self.server.open_socket,
        )
        found = await examine_clob(context, self.chain)
        assert len({one.check for one in found}) == len(found)
        assert all(one.advice for one in found if one.health is Health.BAD)
        return {one.check: one for one in found}


@asynccontextmanager
async def opened(kind: SignatureType = EOA_) -> AsyncGenerator[Bench, None]:
    chain, address = ScriptedChain(cash={OF[kind]: 40 * USD}), OF[kind]
    if kind is not EOA_:
        chain.wallets[address] = Deployed(OWNER)
    chain.approve(address)
    async with open_virtual_clob_venue(wall_clock_from(NOW)) as server:
        wallet = server.clob.put_wallet(address, owner=OWNER, signature_type=kind, usd=40)
        client = Trader(server=server, key=KEY, wallet=wallet)
        await client.ask("POST", "/auth/api-key", level=1)
        yield Bench(server=server, chain=chain, kind=kind, address=address, signers=AccessSigners({"hot": KEY}))


def test_addresses_are_those_of_the_official_client() -> None:
    """A proxy, a Safe, and both kinds of deposit wallets, by polymarket-client 0.14.0."""
    assert addresses_of(Address(OWNER), POLYGON) == {
        EOA_: (OWNER,),
        PROXY_: (PROXY,),
        SAFE_: (SAFE,),
        DEPOSIT_: (BEACON, UUPS),
    }


@pytest.mark.parametrize("kind", SignatureType)
async def test_a_wallet_with_which_nothing_is_wrong(clock: Clock, kind: SignatureType) -> None:
    """Every look is green, of every type; and nothing has changed, here or at the venue."""
    async with opened(kind) as bench:
        made = bench.server.clob.keys._made
        found = await bench.look()
        assert {one.health for one in found.values()} == {Health.GOOD}, found
        assert not any(one.advice for one in found.values())
        assert bench.server.clob.keys._made == made
        asked = [one for one in bench.server.clob.record.of(Answered) if one.method != "GET"]
        assert [one.path for one in asked] == ["/auth/api-key"], "that of the test, which made the key"
    expected = ["clock", "region", "address", "owner", "code", "signature", "signature by wallet"]
    expected += [f"approval {name} {side}" for name in ("v2", "v2-neg-risk", "v3") for side in ("BUY", "SELL")]
    expected += ["API key", "money by type", "tier", "closed-only"]
    if kind in (EOA_, PROXY_):
        expected.remove("owner")
    if kind is not DEPOSIT_:
        expected.remove("signature by wallet")
    assert list(found) == expected


def at(path: str, **faults: Any) -> Callable[[Bench], None]:
    def change(bench: Bench) -> None:
        bench.server.faults.path = path
        for name, value in faults.items():
            setattr(bench.server.faults, name, value)

    return change


def wallet(**changes: Any) -> Callable[[Bench], None]:
    return lambda bench: bench.chain.wallets.update({bench.address: Deployed(**{"owner": OWNER, **changes})})


def attribute(name: str, value: Any) -> Callable[[Bench], None]:
    return lambda bench: setattr(bench, name, value)


def no_money(bench: Bench, *, chain: bool) -> None:
    bench.server.clob.wallets.get(bench.address).known[None] = 0
    if not chain:
        bench.chain.cash.clear()


def no_money_and_no_ledger(bench: Bench) -> None:
    no_money(bench, chain=True)
    bench.chain.known.discard(CASH)


def other_type(bench: Bench) -> None:
    bench.server.clob.put_wallet(SAFE, owner=OWNER, signature_type=2, usd=70)
    bench.server.clob.wallets.get(bench.address).known[None] = 0


def forget_key(bench: Bench) -> None:
    bench.server.clob.keys._keys.clear()


def is_somebody_else(bench: Bench) -> None:
    bench.signers = FakeSigners({"hot": Impostor(key=KEY)})


@define(eq=False)
class Impostor(FakeSigner):
    """Says that it is one, and signs as another."""

    @property
    def address(self) -> Address:
        return Address(STRANGER)


GOOD, BAD, UNKNOWN = Health.GOOD, Health.BAD, Health.UNKNOWN


@pytest.mark.parametrize(
    ("kind", "change", "check", "health", "text", "advice"),
    [
        # All wallets
        (EOA_, attribute("wall_off_s", 40), "clock", GOOD, "40 s ahead of the venue's", "time server"),
        (EOA_, attribute("wall_off_s", -400), "clock", BAD, "400 s behind the venue's", "time server"),
        (EOA_, attribute("wall_off_s", 200_000), "clock", BAD, "set the clock", "time server"),
        (EOA_, at("/time", status=503), "clock", UNKNOWN, "HTTP status 503", ""),
        (EOA_, at("/api/geoblock", geoblocked=True), "region", BAD, "the venue says that XX is blocked", "run it where"),
        (EOA_, at("/api/geoblock", status=500), "region", UNKNOWN, "expected blocked", ""),
        # Its address
        (EOA_, attribute("address", STRANGER), "address", BAD, "is no wallet of the key of 0x1a642f0E", "address = 0x1a64"),
        (EOA_, attribute("address", SAFE), "address", BAD, "but the Safe of it", 'signature_type = "safe" in [wallet.hot]'),
        (SAFE_, attribute("address", PROXY), "address", BAD, "but the proxy of it", 'signature_type = "proxy"'),
        (PROXY_, attribute("address", STRANGER), "address", BAD, "is no wallet of the key", "address = 0xC3EE34e6622E"),
        (SAFE_, attribute("address", STRANGER), "address", BAD, "is no wallet of the key", "address = 0x7F9857426759"),
        (DEPOSIT_, attribute("address", STRANGER), "address", UNKNOWN, "its owner on the chain decides", ""),
        (DEPOSIT_, attribute("address", UUPS), "address", GOOD, "the deposit wallet of its key", ""),
        (SAFE_, attribute("chain_id", ChainId(80002)), "address", UNKNOWN, "on chain 80002 nobody knows", ""),
        (SAFE_, attribute("signers", AccessSigners({})), "address", UNKNOWN, "without its key", ""),
        # The chain
        (SAFE_, wallet(owner=STRANGER), "owner", BAD, "somebody else, and not 0x1a642f", "the key of its owner"),
        (DEPOSIT_, wallet(owner=STRANGER), "owner", BAD, "0x7777777777", "the key of its owner in [wallet.hot]"),
        (DEPOSIT_, wallet(tells=False), "owner", UNKNOWN, "does not tell", ""),
        (DEPOSIT_, lambda bench: bench.chain.wallets.clear(), "owner", UNKNOWN, "no contract that could tell", ""),
        (DEPOSIT_, attribute("signers", AccessSigners({})), "owner", UNKNOWN, "without the key", ""),
        (DEPOSIT_, lambda bench: bench.chain.wallets.clear(), "code", BAD, "not deployed cannot trade", "one small trade"),
        (SAFE_, lambda bench: bench.chain.wallets.clear(), "code", BAD, "not deployed", "deploys it"),
        (EOA_, lambda bench: bench.chain.allowed.pop((OWNER, V2)), "approval v2 BUY", BAD, "none: no order", "pUSD for 0xE111"),
        (EOA_, lambda bench: bench.chain.approve(OWNER, 999_999), "approval v3 BUY", BAD, "0.999999 USD", "pUSD for 0xe3333"),
        (EOA_, lambda bench: bench.chain.approve(OWNER, UNLIMITED), "approval v2 BUY", GOOD, "unlimited: 0xE111", "a finite"),
        (EOA_, lambda bench: bench.chain.known.discard(CASH), "approval v2 BUY", UNKNOWN, "knows no pUSD", ""),
        (
            EOA_,
            lambda bench: bench.chain.approved.discard((TOKENS, OWNER, NEG_RISK)),
            "approval v2-neg-risk SELL",
            BAD,
            "could not be sold",
            "shares of 0x4D97DCd97eC945f40cF65F87097ACe5EA0476045 for 0xe2222",
        ),
        (
            EOA_,
            lambda bench: bench.chain.approved.discard((POSITIONS, OWNER, V3)),
            "approval v3 SELL",
            BAD,
            "none",
            "shares of 0x006F54",
        ),
        (EOA_, lambda bench: bench.chain.known.discard(TOKENS), "approval v2 SELL", UNKNOWN, "knows no shares", ""),
        *(
            (DEPOSIT_, lambda bench: setattr(bench.chain, "away", True), one, UNKNOWN, "no node can be asked", "")
            for one in ("code", "signature by wallet", "approval v2 BUY", "approval v3 SELL")
        ),
        # What is signed
        (EOA_, is_somebody_else, "signature", BAD, "read back as something else", "pip install"),
        (EOA_, attribute("signers", AccessSigners({})), "signature", UNKNOWN, "without the key", ""),
        (DEPOSIT_, wallet(judges=False), "signature by wallet", BAD, "does not take the nested", "another wallet"),
        (DEPOSIT_, wallet(owner=STRANGER), "signature by wallet", BAD, "does not take the nested", "check key and"),
        (DEPOSIT_, lambda bench: bench.chain.wallets.clear(), "signature by wallet", UNKNOWN, "no contract that could", ""),
        (DEPOSIT_, attribute("signers", AccessSigners({})), "signature by wallet", UNKNOWN, "without the key", ""),
        # The venue, of the signer
        (EOA_, forget_key, "API key", UNKNOWN, "none yet", "the first run makes one"),
        (EOA_, at("/auth/derive-api-key", status=401), "API key", BAD, "HTTP status 401", "key and clock"),
        (EOA_, at("/auth/derive-api-key", status=500), "API key", UNKNOWN, "HTTP status 500", ""),
        (EOA_, at("/auth/derive-api-key", blocked=True), "API key", UNKNOWN, "region or datacentre is blocked", ""),
        (EOA_, attribute("signers", AccessSigners({})), "API key", UNKNOWN, "without the key", ""),
        (EOA_, forget_key, "tier", UNKNOWN, "without an API key", ""),
        (EOA_, other_type, "money by type", BAD, "none as eoa, but: safe 70", 'signature_type = "safe"'),
        (PROXY_, lambda bench: no_money(bench, chain=True), "money by type", BAD, "the chain says 40 USD", "address that"),
        (EOA_, lambda bench: no_money(bench, chain=False), "money by type", BAD, "none on the chain", "pUSD for"),
        (
            EOA_,
            no_money_and_no_ledger,
            "money by type",
            UNKNOWN,
            "nobody can tell which",
            "pUSD",
        ),
        (EOA_, at("/balance-allowance", status=500), "money by type", UNKNOWN, "HTTP status 500", ""),
        (EOA_, at("all", tier=Tier.GOLD), "tier", GOOD, "gold, 400 orders a second", ""),
        (EOA_, at("/v1/user/rate-limit-tier", status=500), "tier", UNKNOWN, "HTTP status 500", ""),
        (EOA_, at("all", standing=Standing.CLOSED_ONLY), "closed-only", BAD, "may only sell", "another account"),
        (EOA_, at("/auth/ban-status/closed-only", status=500), "closed-only", UNKNOWN, "HTTP status 500", ""),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_found_and_what_to_do_is_said(
    clock: Clock,
    kind: SignatureType,
    change: Callable[[Bench], Any],
    check: str,
    health: Health,
    text: str,
    advice: str,
) -> None:
    """Red where orders would fail, yellow where nobody tells, and never a guess."""
    async with opened(kind) as bench:
        change(bench)
        found = (await bench.look())[check]
    assert (found.health, found.wallet) == (health, "" if check in ("clock", "region") else "hot")
    assert text in found.text
    assert (advice in found.advice) if advice else not found.advice


async def test_a_venue_that_says_nothing_is_yellow(clock: Clock) -> None:
    """It ends by itself, and what the chain says is told all the same."""
    async with opened(DEPOSIT_) as bench:
        bench.server.away = True
        found = await bench.look()
    health = {check: one.health for check, one in found.items()}
    venues = {"clock", "region", "API key", "money by type", "tier", "closed-only"}
    assert {check for check, one in health.items() if one is Health.UNKNOWN} == venues
    assert Health.BAD not in health.values()
