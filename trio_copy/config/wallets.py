"""`[wallet.NAME]`: what a follower pays with. On paper an amount; live an address, a key that is named, and what may be signed with it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import attrs
from attrs import field, frozen

from trio_copy.model.coins import Coins
from trio_copy.model.follows import EVERYBODY
from trio_copy.model.ids import Address, FollowerId
from trio_copy.model.orders import SignatureType
from trio_copy.model.settings import Check, setting, within
from trio_copy.model.units import Price, Usd

KEY_SOURCES = ("keystore:", "file:", "env:")
PASSPHRASE_SOURCES = ("file:", "credential:")
_HEX_KEY = re.compile(r"(?:0x)?[0-9a-fA-F]{64}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_MOST = Usd.parse(1_000_000_000)


def names_a_place(*sources: str) -> Check:
    """Check that a value, or each of a list, says where a secret is, and is none itself."""
    expected = "expected " + " or ".join(f"{one}{_what(one)}" for one in sources)

    def check(instance: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:  # noqa: ANN401
        # What was written is never repeated: it may be the secret itself.
        for one in (value,) if isinstance(value, str) else value or ():
            check_one(one)

    def check_one(value: str) -> None:
        source = next((one for one in sources if value.startswith(one)), None)
        named = "" if source is None else value.removeprefix(source)
        if source is None or not named or _HEX_KEY.fullmatch(PurePath(named).name):
            raise ValueError(f"{expected}, got something else; if it was a real secret, replace it now")
        if _what(source) == "NAME" and not _NAME.fullmatch(named):
            raise ValueError(f"{expected}, got a name with other signs than letters, digits, _, . and -")

    return check


def _what(source: str) -> str:
    return "PATH" if source in ("file:", "keystore:") else "NAME"


@frozen(kw_only=True)
class WalletPolicy:
    """What the guard of the wallet's key signs, whatever the engine or an executor asks for. Raising one ends its arming."""

    contracts: tuple[Address, ...] = setting(
        (
            Address("0xe111180000d2663c0091e4f400237545b87b996b"),
            Address("0xe2222d279d744050d28e00520010520000310f59"),
            Address("0xe3333700ca9d93003f00f0f71f8515005f6c00aa"),
        ),
        unit="list of addresses",
        why="The exchanges for which orders are signed, and the market makers and routers that transactions trade at; by"
        " default the three exchanges of Polymarket on Polygon.",
    )
    min_price: Price = setting(
        Price(1_000),
        unit="USD",
        why="No SELL is signed under it: a slip of a digit gives everything away.",
        check=within(Price(0), Price.parse(1)),
    )
    max_price: Price = setting(
        Price(990_000),
        unit="USD",
        why="No BUY is signed over it: there is next to nothing to win.",
        check=within(Price(0), Price.parse(1)),
    )
    max_order_usd: Usd = setting(
        Usd.parse(50), unit="USD", why="The most that one BUY may cost before fees.", check=within(Usd(1), _MOST)
    )
    max_hour_usd: Usd = setting(
        Usd.parse(250),
        unit="USD in any 60 minutes",
        why="The most that all BUYs signed within an hour may cost, whether they filled or not.",
        check=within(Usd(1), _MOST),
    )
    max_day_usd: Usd = setting(
        Usd.parse(1000),
        unit="USD in any 24 hours",
        why="The most that all BUYs signed within a day may cost, whether they filled or not.",
        check=within(Usd(1), _MOST),
    )
    max_minute_orders: int = setting(
        60,
        unit="orders in any 60 seconds",
        why="Something that runs wild signs no more than this; BUYs and SELLs each have as many, so that exits find room.",
        check=within(1, 100_000),
    )
    max_gas: Coins = setting(
        Coins.parse("0.5"),
        unit="of the chain's coin",
        why="The most that the gas of one transaction may cost: what it may use, at the most that it may pay.",
        check=within(Coins(0), Coins.parse(10)),
    )
    max_day_gas: Coins = setting(
        Coins.parse(20),
        unit="of the chain's coin in any 24 hours",
        why="The most that the gas of all transactions signed within a day may cost, at the most that they may pay; entries and acts"
        " have as much, and exits with what takes nonces back as much again, so that they find room.",
        check=within(Coins(0), Coins.parse(100_000)),
    )
    collateral: tuple[Address, ...] = setting(
        (
            Address("0x2791bca1f2de4661ed88a30c99a7a9449aa84174"),
            Address("0xc011a7e12a19f7b1f670d46f03b03f3342e82dfb"),
        ),
        unit="list of addresses",
        why="The tokens that transactions pay with, or are paid in: a dollar each; by default pUSD and USDC.e on Polygon.",
    )
    collateral_decimals: int = setting(
        6,
        unit="decimals",
        why="Of each of these tokens: a transaction counts in their smallest parts, and the limits here in USD.",
        check=within(0, 24),
    )
    outcome_decimals: int = setting(
        18,
        unit="decimals",
        why="Of the outcomes that are tokens by themselves, at pools: what one share costs follows from both.",
        check=within(0, 24),
    )
    conditional: tuple[Address, ...] = setting(
        (
            Address("0x006f54f7f9a22e0000cc2ab60031000000ae9fef"),
            Address("0x12121212006e4cd160d18e3f00711da5c3372600"),
            Address("0x4d97dcd97ec945f40cf65f87097ace5ea0476045"),
            Address("0xada100db00ca00073811820692005400218fce1f"),
            Address("0xada2005600dec949baf300f4c6120000bdb6eaab"),
        ),
        unit="list of addresses",
        why="The ledgers, adapters and routers that split, merge and redeem for it; by default those of Polymarket on Polygon.",
    )
    multisend: tuple[Address, ...] = setting(
        (
            Address("0x40a2accbd92bca938b02010e17a5b8929b49130d"),
            Address("0xa238cbeb142c10ef7ad8442c6d1f9e89e07e7761"),
        ),
        unit="list of addresses",
        why="Whose code may run within a Safe, to make several calls at once; by default MultiSend of Safe 1.3.0.",
    )


@frozen(kw_only=True)
class WalletTable:
    """What a follower pays with: `paper_usd` on paper, where each who names it has one of its own; live the other settings."""

    paper_usd: Usd | None = setting(
        None,
        unit="USD",
        why="What it begins with on paper; copies spend it, sales and redemptions fill it.",
        check=within(Usd(1), _MOST),
    )
    key: str | None = setting(
        None,
        unit="keystore:PATH, file:PATH or env:NAME",
        why="What signs: a keystore file (version 3), a 0600 file with the key in hex, or a variable, which others may see.",
        check=names_a_place(*KEY_SOURCES),
    )
    passphrase: str | None = setting(
        None,
        unit="file:PATH or credential:NAME",
        why="Opens the keystore: a 0600 file, or one in $CREDENTIALS_DIRECTORY (systemd). Unset: asked for at the terminal.",
        check=names_a_place(*PASSPHRASE_SOURCES),
    )
    signature_type: SignatureType = setting(
        SignatureType.EOA,
        unit="eoa, proxy, safe or deposit; or 0 to 3",
        why="What kind of account the address is: the key's own, or a contract that obeys the key.",
    )
    address: Address | None = setting(
        None, unit="address", why="Holds the money and the shares. Of an eoa it is the key's own address."
    )
    fleet: str | None = setting(
        None,
        unit="text",
        why="In place of a key: the [fleet.NAME] whose operators send what the wallet does. They own the safe, or one is the eoa.",
    )
    redeem: bool = setting(
        False,
        unit="true or false",
        why="Whether winning shares are redeemed on the chain once a resolution is final, and losing ones booked at zero.",
    )
    policy: WalletPolicy = field(
        factory=WalletPolicy, metadata={"unit": "table", "why": "What is signed with its key at most."}
    )

    @property
    def live(self) -> bool:
        """Whether it trades with money."""
        return self.key is not None or self.fleet is not None


def expect_wallet_name(name: str) -> None:
    """Refuse what no wallet can be called: its name is one of files too. Raises `ValueError`."""
    if not _NAME.fullmatch(name):
        raise ValueError("expected a name of letters, digits, _, . and -, a letter or _ first, 64 at most")


def wrong_wallets(wallets: Mapping[str, WalletTable], mode: str) -> Iterator[str]:
    """Yield what is wrong with wallets, each by itself."""
    for name, wallet in wallets.items():
        where = f"wallet.{name}"
        try:
            expect_wallet_name(name)
        except ValueError as error:
            yield f"{where}: {error}"
        given = [key for key in ("fleet", "passphrase", "address") if getattr(wallet, key) is not None]
        given += ["signature_type"] if wallet.signature_type is not SignatureType.EOA else []
        given += ["redeem"] if wallet.redeem else []
        given += ["policy"] if wallet.policy != WalletPolicy() else []
        if wallet.paper_usd is not None:
            if mode == "live":
                yield (
                    f"{where}.paper_usd: expected none in mode live, where wallets hold what they hold,"
                    f" got {wallet.paper_usd}"
                )
            for key in ("key", *given) if wallet.key is not None else given:
                yield f"{where}.{key}: expected none beside paper_usd: a wallet is on paper, or live"
        elif not wallet.live:
            yield f"{where}: expected paper_usd for one on paper, or key and address for a live one"
        elif wallet.fleet is not None:
            yield from _wrong_member(where, wallet)
        elif wallet.address is None:
            yield f"{where}.address: required beside key, but not set; of an eoa the key's own, which `trio-copy keys import` prints"
        if wallet.passphrase is not None and wallet.key is not None and not wallet.key.startswith("keystore:"):
            yield f"{where}.passphrase: expected none: only a keystore has one"
        if wallet.policy.min_price > wallet.policy.max_price:
            yield (
                f"{where}.policy.min_price: expected at most max_price {wallet.policy.max_price},"
                f" got {wallet.policy.min_price}"
            )


def _wrong_member(where: str, wallet: WalletTable) -> Iterator[str]:
    """Yield what is wrong with a wallet that has a fleet."""
    for key in ("key", "passphrase"):
        if getattr(wallet, key) is not None:
            yield f"{where}.{key}: expected none beside fleet: its operators sign, and the fleet says where their keys are"
    if wallet.address is None:
        yield f"{where}.address: required beside fleet, but not set; a safe that its operators own, or the address of one of them"
    if wallet.signature_type not in (SignatureType.SAFE, SignatureType.EOA):
        named = wallet.signature_type.name.lower()
        yield f'{where}.signature_type: expected safe or eoa beside fleet, got "{named}": only a safe has several owners'


def wrong_owners(
    wallets: Mapping[str, WalletTable], owners: Sequence[tuple[FollowerId, str | None, Address | None]]
) -> Iterator[str]:
    """Yield what followers cannot share: (follower, its wallet, its own address) each.

    An account counts the money and the shares of its wallet as its own. Two of one wallet would spend the same dollar twice,
    and each sell what the other has bought.
    """
    holder: dict[Address, str] = {}
    for name, wallet in wallets.items():
        if wallet.address is not None and (other := holder.setdefault(wallet.address, name)) != name:
            yield f"wallet.{name}.address: expected one of its own, got that of wallet.{other}"
    first: dict[str, int] = {}
    for index, (follower, wallet_name, address) in enumerate(owners):
        name = wallet_name or ""
        named = wallets.get(name)
        if named is None or not named.live:
            continue
        if follower == EVERYBODY:
            yield f'follower[{index}].wallet: expected a paper wallet: everybody cannot pay with one live wallet, got "{name}"'
        elif first.setdefault(name, index) != index:
            yield f'follower[{index}].wallet: expected a live wallet of its own, got "{name}" as in follower[{first[name]}]'
        if address is not None and address != named.address:
            yield f"follower[{index}].address: expected none, or that of wallet.{name}, got {address}"
