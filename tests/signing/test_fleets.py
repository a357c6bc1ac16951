"""Fleets: their keys, who may send what a wallet does, and that what all of them sign counts together."""

import sys
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from trio.testing import MockClock

from tests.builders import ALICE, NOW, POLYGON, make_signal
from tests.plugins.stores import in_place
from tests.signing.test_guard import BUY, MAKER, POLICY
from tests.signing.test_keystore import draw
from trio_copy.accounts.plain import order_of, plain_order
from trio_copy.clock import wall_clock_from
from trio_copy.config.fleets import FleetTable
from trio_copy.config.wallets import WalletTable
from trio_copy.errors import ConfigError
from trio_copy.model.coins import Coins
from trio_copy.model.control import account_shard, fleet_shard
from trio_copy.model.decisions import Reason
from trio_copy.model.fleets import funding_name, funding_wallet
from trio_copy.model.follows import Follower
from trio_copy.model.ids import Address, FollowerId, IntentKey
from trio_copy.model.orders import SignatureType, Wallet
from trio_copy.native import SecretKey, keccak, signer_of
from trio_copy.ports import to_thread_run_sync
from trio_copy.signing import fleets as module
from trio_copy.signing.access import AccessSigners
from trio_copy.signing.arming import arm, limits_of
from trio_copy.signing.fleets import (
    FleetKeys,
    funding_address,
    open_fleets,
    operator_addresses,
    places_of,
    wrong_operators,
)
from trio_copy.signing.keystore import write_keystore
from trio_copy.signing.signers import open_signers
from trio_copy.telemetry.redaction import Redactor
from trio_copy.testing.samples import sample_order, sample_task

PHRASE = "test test test test test test test test test test test junk"
FIRST = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
SECOND = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"
BOB = FollowerId("bob")
KEYS = tuple(SecretKey(bytes((number,)) * 32) for number in range(1, 5))
SAFE = WalletTable(fleet="ops", address=MAKER, signature_type=SignatureType.SAFE, policy=POLICY)
OF_SAFE = Wallet(follower=ALICE, address=MAKER, name="hot", signature_type=SignatureType.SAFE, fleet="ops")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private folder with keys and phrases."""
    monkeypatch.setattr(module, "keep_out_of_dumps", lambda: None)
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    contents = {f"{number}.hex": (bytes((number,)) * 32).hex().encode() for number in range(1, 5)}
    contents |= {
        "phrase": f"\n{PHRASE.replace(' ', '  ', 1)}\n".encode(),
        "wrong": PHRASE.replace("junk", "test").encode(),
        "short": b"test junk",
        "1.json": write_keystore(b"\x01" * 32, "open sesame", draw, n=2),
        "pass": b"open sesame",
    }
    for name, content in contents.items():
        (keys / name).write_bytes(content)
        (keys / name).chmod(0o600)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(keys))
    return keys


def table(folder: Path, **changes: Any) -> FleetTable:
    named: dict[str, Any] = {
        key: value.format(folder) if isinstance(value, str) else value for key, value in changes.items()
    }
    if "keys" in named:
        named["keys"] = tuple(key.format(folder) for key in named["keys"])
    return FleetTable(**named)


@pytest.mark.parametrize("named", ["file:{}/phrase", "credential:phrase", "env:PHRASE"])
async def test_operators_are_derived_as_every_wallet_does(
    folder: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    """In a thread, and the recursion limit stays; the redactor hears of the phrase and of every key."""
    monkeypatch.setenv("PHRASE", PHRASE)
    redactor, limit = Redactor(), sys.getrecursionlimit()
    fleet = table(folder, mnemonic=named, operators=2, funding="file:{}/3.hex")
    opened = await open_fleets({"ops": fleet}, None, redactor.learn, to_thread_run_sync)
    keys = opened["ops"]
    assert [key.address for key in keys.operators] == [FIRST, SECOND]
    assert keys.funding is not None
    assert keys.funding.address == KEYS[2].address
    assert sys.getrecursionlimit() == limit
    known = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
    assert known not in redactor.redact(f"it is {known}")
    assert "junk" not in redactor.redact(f"it is {PHRASE}")
    assert "0x" not in repr(opened)
    assert operator_addresses("ops", fleet, redactor.learn) == (FIRST, SECOND)
    assert funding_address("ops", fleet, redactor.learn) == KEYS[2].address


async def test_listed_keys_are_operators_in_their_order(folder: Path) -> None:
    """One passphrase opens all keystores of a fleet; without it, their addresses are what they say of themselves."""
    fleet = table(folder, keys=("file:{}/2.hex", "keystore:{}/1.json"), passphrase="file:{}/pass")
    opened = await open_fleets({"ops": fleet}, None, lambda secret: None, in_place)
    assert [key.address for key in opened["ops"].operators] == [KEYS[1].address, KEYS[0].address]
    closed = evolve(fleet, passphrase=None)
    assert operator_addresses("ops", closed, lambda secret: None) == (KEYS[1].address, KEYS[0].address)
    assert [place.where for place in places_of("ops", fleet)] == ["fleet.ops.keys[0]", "fleet.ops.keys[1]"]
    assert await open_fleets({}, None, lambda secret: None, in_place) == {}


@pytest.mark.parametrize(
    ("fleet", "says"),
    [
        ({"mnemonic": "file:{}/wrong"}, ["fleet.ops.mnemonic: in file:{}/wrong: expected a phrase of BIP-39, got 12 words that are"]),
        ({"mnemonic": "file:{}/short"}, ["fleet.ops.mnemonic: in file:{}/short: expected a phrase of BIP-39, got 2 words that are none"]),
        ({"mnemonic": "file:{}/none"}, ["fleet.ops.mnemonic: expected a file {}/none, got: No such file or directory"]),
        ({"mnemonic": "credential:none"}, ["fleet.ops.mnemonic: expected a file {}/none, got: No such file or directory"]),
        ({"mnemonic": "env:NO_PHRASE"}, ["fleet.ops.mnemonic: expected environment variable NO_PHRASE to be set"]),
        (
            {"keys": ("file:{}/none", "keystore:{}/1.json"), "funding": "file:{}/phrase"},
            [
                "fleet.ops.keys[0]: expected a file {}/none, got: No such file",
                "fleet.ops.passphrase: expected file:PATH or credential:NAME, because there is no terminal to ask on",
                "fleet.ops.funding: in file:{}/phrase: expected 64 hex digits",
            ],
        ),
        (
            {"keys": ("file:{}/1.hex", "keystore:{}/1.json"), "passphrase": "file:{}/pass", "funding": "file:{}/1.hex"},
            [
                "fleet.ops, operator 1: expected a key of its own, got that of fleet.ops, operator 0",
                "fleet.ops.funding: expected a key of its own, got that of fleet.ops, operator 0",
            ],
        ),
    ],
)  # fmt: skip
async def test_all_that_is_wrong_with_a_fleet_is_said_without_a_word_of_it(
    folder: Path, fleet: dict[str, Any], says: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        await open_fleets({"ops": table(folder, **fleet)}, None, lambda secret: None, in_place)
    assert len(caught.value.problems) == len(says), caught.value.problems
    for problem, words in zip(caught.value.problems, says, strict=True):
        assert problem.startswith(words.format(folder))
        assert "junk" not in problem
        assert "test test" not in problem


def test_one_key_has_one_writer() -> None:
    """No two shards may send with one key, and nobody sends for an account of its own but that account."""
    fleets = {"ops": FleetKeys(operators=KEYS[:2], funding=KEYS[2])}
    own = evolve(SAFE, signature_type=SignatureType.EOA, address=KEYS[1].address)
    assert fleets["ops"].of(own) == (KEYS[1],)
    assert fleets["ops"].of(SAFE) == KEYS[:2]
    lone = WalletTable(key="env:LONE", address=MAKER, signature_type=SignatureType.SAFE)
    wallets = {"safe": SAFE, "own": own, "stray": evolve(own, address=MAKER), "lone": lone, "paid": lone}
    problems = list(wrong_operators(wallets, {"lone": KEYS[0], "paid": KEYS[2]}, fleets))
    assert problems == [
        f"wallet.stray.address: expected that of an operator of fleet.ops, got {MAKER}; or signature_type safe",
        "wallet.lone.key: expected a key that no fleet has, got one of fleet.ops",
        "wallet.paid.key: expected a key that no fleet has, got one of fleet.ops",
    ]
    assert list(wrong_operators(wallets, {"lone": KEYS[3]}, {})) == []


async def test_what_all_operators_sign_counts_for_the_wallet(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Each signs with a key of its own; the wallet's limits, its arming and its memory are one."""
    signing = tmp_path / "s"
    arm(signing, MAKER, limits_of(POLICY, POLYGON), NOW + 86_400)
    lone = WalletTable(key="env:LONE", address=KEYS[3].address, policy=POLICY)
    async with open_signers(
        folder=signing,
        wallets={"hot": SAFE, "lone": lone},
        keys={"lone": KEYS[3]},
        fleets={"ops": FleetKeys(operators=KEYS[:2], funding=KEYS[2])},
        chain_id=POLYGON,
        wall=wall_clock_from(NOW),
        in_thread=in_place,
        on_trouble=lambda kind, detail: None,
    ) as signers:
        signers = signers.only(frozenset({"hot", "lone", funding_name("ops")}), orders=True)
        first, second = signers.operators(OF_SAFE)
        assert [first.address, second.address] == [key.address for key in KEYS[:2]]
        assert signers.of(OF_SAFE) is first
        digest = keccak(b"a call")
        signature = second.sign(BUY, digest)
        assert isinstance(signature, bytes)
        assert signer_of(digest, signature) == KEYS[1].address
        assert isinstance(first.sign(BUY, keccak(b"another call")), Reason), "one body for one key, whoever signs it"
        for number in range(POLICY.max_minute_orders):
            await (first, second)[number % 2].release(
                evolve(BUY, key=IntentKey(f"n{number}")), keccak(bytes((number,)))
            )
        refused = second.sign(evolve(BUY, key=IntentKey("more")), digest)
        assert isinstance(refused, Reason)
        assert refused.control == "wallet.hot.policy.max_minute_orders"
        alone = Wallet(follower=BOB, address=lone.address, name="lone")
        assert [one.address for one in signers.operators(alone)] == [KEYS[3].address]
        assert signers.operators(Wallet(follower=BOB, address=None)) == ()
        renamed = evolve(OF_SAFE, name="once called so")
        assert signers.operators(renamed) == (first, second)
        funding = funding_wallet("ops", KEYS[2].address, ALICE)
        (pays,) = signers.operators(funding)
        assert pays.address == KEYS[2].address
        assert isinstance(pays.sign(evolve(BUY, maker=KEYS[2].address), digest), Reason), "it signs no order"
        assert signers.only(frozenset({"lone"}), orders=True).operators(OF_SAFE) == ()
        of_hot = signers.only(frozenset({"hot"}), orders=False).operators(OF_SAFE)
        assert [one.address for one in of_hot] == [first.address, second.address]
        assert not any(isinstance(one.sign(BUY, digest), bytes) for one in of_hot)


def test_followers_of_a_fleet_share_a_shard() -> None:
    """What an operator sends has one order, so their accounts have one owner."""
    accounts = [
        Follower(follower=follower, executor="x", address=Address(address), wallet_name="w", fleet="ops")
        for follower, address in ((ALICE, FIRST), (BOB, SECOND))
    ]
    for count in (1, 16, 1024):
        assert {account_shard(one, count) for one in accounts} == {fleet_shard("ops", count)}
    assert len({fleet_shard(f"fleet-{number}", 1024) for number in range(100)}) > 80
    assert accounts[0].wallet.fleet == "ops"


def test_stored_orders_keep_the_fleet_of_their_wallet() -> None:
    """And those of other wallets are written as they always were."""
    order = evolve(sample_order(sample_task(make_signal())), wallet=OF_SAFE)
    assert order_of(plain_order(order)) == evolve(order, wallet=evolve(OF_SAFE, follower=order.wallet.follower))
    assert plain_order(evolve(order, wallet=evolve(OF_SAFE, fleet="")))[4] == [MAKER, "hot", 2]


@pytest.mark.parametrize(
    ("text", "wei", "shown"),
    [
        ("0.2", 2 * 10**17, "0.2"),
        ("1", 10**18, "1"),
        ("-1.5", -15 * 10**17, "-1.5"),
        ("0.000000000000000001", 1, "0.000000000000000001"),
        (3, 3 * 10**18, "3"),
    ],
)  # fmt: skip
def test_coins_are_read_to_the_last_wei(text: str | int, wei: int, shown: str) -> None:
    assert Coins.parse(text).wei == wei
    assert str(Coins(wei)) == shown


@pytest.mark.parametrize("text", ["0.0000000000000000001", "nan", "inf", "1e99", "one", ""])
def test_what_is_no_amount_of_coins_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a decimal number"):
        Coins.parse(text)


def test_who_only_looks_knows_all_operators() -> None:
    """And signs nothing but who asks."""
    signers = AccessSigners({"hot": KEYS[0], "lone": KEYS[3]}, {"hot": KEYS[:2]})
    assert [one.address for one in signers.operators(OF_SAFE)] == [KEYS[0].address, KEYS[1].address]
    assert [one.address for one in signers.operators(evolve(OF_SAFE, name="lone"))] == [KEYS[3].address]
    assert signers.operators(evolve(OF_SAFE, name="nobody")) == ()
    assert isinstance(signers.operators(OF_SAFE)[1].sign(BUY, keccak(b"a call")), Reason)
