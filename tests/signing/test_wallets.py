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
