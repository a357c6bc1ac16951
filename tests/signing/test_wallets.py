"""Wallets in a configuration: everything that is wrong is said at once, and no key is repeated."""

from pathlib import Path

import pytest
from attrs import evolve

from tests.builders import LEADER, make_signal
from tests.cli.test_config import GOOD
from trio_copy.accounts.plain import order_of, plain_order
from trio_copy.config import read_draft
from trio_copy.model.follows import Follower
from trio_copy.model.ids import FollowerId
from trio_copy.model.orders import SignatureType
from trio_copy.testing.samples import sample_order, sample_task

KEY = "5afe" * 16
ADDRESS = "0x" + "ab" * 20
OTHER = "0x" + "cd" * 20
LIVE = f'[wallet.hot]\nkey = "keystore:/k/hot.json"\naddress = "{ADDRESS}"\n'
MEMBER = f'[wallet.m]\nfleet = "ops"\naddress = "{OTHER}"\n'
PAPER = "paper_usd = 5\nredeem = true\n"
OPS = '[fleet.ops]\nmnemonic = "file:/k/phrase"\n'
BOB = '[[follower]]\nid = "bob"\nexecutor = "dry-run"\n'


def problems_of(tmp_path: Path, tables: str, follower: str = "", mode: str = "paper") -> list[str]:
    """Read a good configuration with these tables, and these lines of its follower."""
    path = tmp_path / "conf.toml"
    text = GOOD.replace('executor = "dry-run"\n', f'executor = "dry-run"\n{follower}')
    path.write_text(f'[engine]\nmode = "{mode}"\n' + text + tables)
    learned: list[str] = []
    problems = list(read_draft(path, learned.append).problems)
    assert KEY not in "".join(problems)
    assert KEY not in tables or any(KEY in one for one in learned), "the redactor would not know it"
    return problems


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        ("[wallet.a]", ["wallet.a: expected paper_usd for one on paper, or key and address for a live one"]),
        (f'[wallet.a]\nkey = "0x{KEY}"', ["wallet.a.key: expected keystore:PATH or file:PATH or env:NAME, got something else"]),
        (f'[wallet.a]\nkey = "file:{KEY}"', ["wallet.a.key: expected keystore:PATH or file:PATH or env:NAME, got something else"]),
        ('[wallet.a]\nkey = "hot.json"', ["wallet.a.key: expected keystore:PATH or file:PATH or env:NAME, got something else"]),
        (f'[wallet.a]\nkey = "file:/k/{KEY}"', ["wallet.a.key: expected keystore:PATH or file:PATH or env:NAME, got something else"]),
        ('[wallet.a]\nkey = "env:A B"', ["wallet.a.key: expected keystore:PATH or file:PATH or env:NAME, got a name with other signs"]),
        ('[wallet.a]\nkey = "env:"', ["wallet.a.key: expected keystore:PATH or file:PATH or env:NAME, got something else"]),
        ('[wallet.a]\nkey = "env:K"', ["wallet.a.address: required beside key, but not set"]),
        (LIVE + 'passphrase = "env:P"', ["wallet.hot.passphrase: expected file:PATH or credential:NAME, got something else"]),
        (LIVE + 'passphrase = "tellnobody"', ["wallet.hot.passphrase: expected file:PATH or credential:NAME, got something"]),
        (LIVE + 'passphrase = "credential:../x"', ["wallet.hot.passphrase: expected file:PATH or credential:NAME, got a name with"]),
        (LIVE + "signature_type = 4", ["wallet.hot.signature_type: expected one of eoa, proxy, safe, deposit, or a number from 0"]),
        (LIVE + "signature_type = true", ["wallet.hot.signature_type: expected one of eoa, proxy, safe, deposit, or a number"]),
        (LIVE + "[wallet.hot.policy]\nmax_order_usd = 0", ["wallet.hot.policy.max_order_usd: expected a value from 0.000001"]),
        (LIVE + "[wallet.hot.policy]\nmin_price = 0.995", ["wallet.hot.policy.min_price: expected at most max_price 0.99, got 0.995"]),
        (LIVE + "[wallet.hot.policy]\nmax_usd = 1", ["wallet.hot.policy.max_usd: unknown key"]),
        (LIVE + "paper_usd = 5", ["wallet.hot.key: expected none beside paper_usd", "wallet.hot.address: expected none beside"]),
        ("[wallet.a]\npaper_usd = 5\nsignature_type = 2", ["wallet.a.signature_type: expected none beside paper_usd"]),
        ("[wallet.a]\npaper_usd = 5\n[wallet.a.policy]\nmax_price = 0.5", ["wallet.a.policy: expected none beside paper_usd"]),
        (f'[wallet.a]\nkey = "env:K"\naddress = "{OTHER}"\npassphrase = "file:/p"', ["wallet.a.passphrase: expected none"]),
        (LIVE + LIVE.replace("hot", "two"), ["wallet.two.address: expected one of its own, got that of wallet.hot"]),
        ('[wallet."a b"]\npaper_usd = 5', ["wallet.a b: expected a name of letters, digits"]),
        ('[wallet.a]\nfleet = "ops"\n' + OPS, ["wallet.a.address: required beside fleet, but not set; a safe that its operators own"]),
        (f'[wallet.a]\nfleet = "op"\naddress = "{OTHER}"\n' + OPS, ['wallet.a.fleet: expected a configured fleet (ops), got "op"; did']),
        (LIVE + 'fleet = "ops"\n' + OPS, ["wallet.hot.key: expected none beside fleet: its operators sign"]),
        (MEMBER + 'signature_type = "proxy"\n' + OPS, ['wallet.m.signature_type: expected safe or eoa beside fleet, got "proxy"']),
        (MEMBER + PAPER + OPS, ["wallet.m.fleet: expected none", "wallet.m.address: expected", "wallet.m.redeem: "]),
        ("[fleet.ops]", ["fleet.ops: expected mnemonic or keys, got neither"]),
        (OPS + 'keys = ["env:A"]', ["fleet.ops: expected mnemonic or keys, got both"]),
        ('[fleet.ops]\noperators = 4\nkeys = ["env:A"]', ["fleet.ops.operators: expected none beside keys, which are one each, got 4"]),
        ('[fleet.ops]\nkeys = ["env:A", "env:A"]\nfunding = "env:A"', ["fleet.ops.keys[1]: expected a place", "fleet.ops.funding: "]),
        (OPS + OPS.replace("ops", "two"), ["fleet.two.mnemonic: expected a place of its own, got that of fleet.ops.mnemonic"]),
        (OPS + 'passphrase = "file:/p"', ["fleet.ops.passphrase: expected none: only a keystore has one"]),
        (OPS + 'low = 1.5', ["fleet.ops.fill_to: expected more than low and at most max_day, got low = 1.5, fill_to = 1, max_day = 10"]),
        (OPS + 'low = "-1"\nfill_to = true', ["fleet.ops.fill_to: expected an amount of the chain's", "fleet.ops.low: expected a value"]),
        (OPS + 'operators = 0', ["fleet.ops.operators: expected a value from 1 to 256, got 0"]),
        (f'[fleet.ops]\nkeys = ["0x{KEY}"]', ["fleet.ops.keys: expected keystore:PATH or file:PATH or env:NAME, got something else"]),
        (f'[fleet.ops]\nmnemonic = "env:P"\nfunding = "file:{KEY}"', ["fleet.ops.funding: expected keystore:PATH or file:PATH or env"]),
        ('[fleet.ops]\nmnemonic = "one two"', ["fleet.ops.mnemonic: expected file:PATH or credential:NAME or env:NAME, got something"]),
        ('[fleet."a b"]\nmnemonic = "env:P"', ["fleet.a b: expected a name of letters, digits"]),
    ],
)  # fmt: skip
def test_a_wallet_that_cannot_be_is_named(tmp_path: Path, tables: str, says: list[str]) -> None:
    """Where, what was expected, and never what stood there where it may be a secret."""
    problems = problems_of(tmp_path, tables)
    assert len(problems) == len(says), problems
    for problem, words in zip(problems, says, strict=True):
        assert problem.startswith(words)


@pytest.mark.parametrize("kind", ["eoa", "proxy", "safe", "deposit", 0, 1, 2, 3])
def test_a_follower_trades_with_its_live_wallet(tmp_path: Path, kind: str | int) -> None:
    """Its address, name and type are what an executor sees; the key's place is not."""
    path = tmp_path / "conf.toml"
    word = f'"{kind}"' if isinstance(kind, str) else kind
    path.write_text(
        GOOD.replace('executor = "dry-run"\n', 'executor = "dry-run"\nwallet = "hot"\n')
        + LIVE
        + f"signature_type = {word}\n"
    )
    draft = read_draft(path)
    assert draft.problems == ()
    assert draft.settings is not None
    wallet = draft.settings.followers()[FollowerId("alice")].wallet
    types = {"eoa": 0, "proxy": 1, "safe": 2, "deposit": 3}
    assert (wallet.address, wallet.name, wallet.signature_type) == (ADDRESS, "hot", types.get(str(kind), kind))
    assert "keystore" not in repr(wallet)
    assert draft.settings.live_wallets() == {}, "nothing is opened on paper"


def test_followers_of_a_fleet_trade_with_wallets_of_their_own(tmp_path: Path) -> None:
    """Whose operators send is part of the wallet; where their keys are is not."""
    path = tmp_path / "conf.toml"
    member = 'executor = "dry-run"\nwallet = "m"\n'
    live = '[engine]\nmode = "live"\n'
    path.write_text(
        live
        + GOOD.replace('executor = "dry-run"\n', member)
        + MEMBER
        + 'signature_type = "safe"\n'
        + OPS
        + "[fleet.rest]\nmnemonic = 'env:P'"
    )
    draft = read_draft(path)
    assert draft.problems == ()
    assert draft.settings is not None
    wallet = draft.settings.followers()[FollowerId("alice")].wallet
    assert (wallet.address, wallet.name, wallet.fleet) == (OTHER, "m", "ops")
    assert list(draft.settings.live_wallets()) == ["m"]
    assert list(draft.settings.live_fleets()) == ["ops"], "the other one is nobody's"
    assert {"ops", "rest"} <= set(draft.names)


@pytest.mark.parametrize(
    ("follower", "more", "says"),
    [
        ('wallet = "hot"\n', BOB + 'wallet = "hot"\n', 'follower[1].wallet: expected a live wallet of its own, got "hot" as in'),
        (f'wallet = "hot"\naddress = "{OTHER}"\n', "", f"follower[0].address: expected none, or that of wallet.hot, got {OTHER}"),
        ("", BOB.replace("bob", "*") + 'wallet = "hot"\n', "follower[1].wallet: expected a paper wallet: everybody cannot pay with one"),
    ],
)  # fmt: skip
def test_a_live_wallet_has_one_owner(tmp_path: Path, follower: str, more: str, says: str) -> None:
    """Two accounts of one wallet would each count its money as their own."""
    [problem] = problems_of(tmp_path, LIVE + more, follower)
    assert problem.startswith(says)


def test_a_fleet_has_one_executor(tmp_path: Path) -> None:
    """Two would each give the same nonce of an operator to something of their own."""
    other = MEMBER.replace("wallet.m", "wallet.n").replace(OTHER, ADDRESS)
    bob = '[executor.other]\nuse = "dry-run"\n' + BOB.replace('"dry-run"', '"other"') + 'wallet = "n"\n'
    [problem] = problems_of(tmp_path, MEMBER + other + OPS + bob, 'wallet = "m"\n')
    assert problem == (
        "follower[1].executor: expected dry-run as of follower[0], for their wallets have one fleet, got other"
    )


def test_stored_orders_keep_their_wallet_and_old_ones_are_read() -> None:
    """What was written before wallets had names is read as it was; an order on paper is written as it always was."""
    order = sample_order(sample_task(make_signal()))
    assert plain_order(order)[4] is None
    old = evolve(order, wallet=evolve(order.wallet, address=LEADER))
    assert order_of(plain_order(old)) == old
    assert plain_order(old)[4] == LEADER
    follower = Follower(
        follower=FollowerId("alice"), executor="x", address=LEADER, wallet_name="hot", signature_type=SignatureType.SAFE
    )
    live = evolve(order, wallet=follower.wallet)
    assert order_of(plain_order(live)) == live
