"""`[fleet.NAME]`: operators who send what several wallets do, and how they are kept in gas money."""

from collections.abc import Iterator, Mapping, Sequence

from attrs import frozen

from trio_copy.config.wallets import KEY_SOURCES, PASSPHRASE_SOURCES, WalletTable, expect_wallet_name, names_a_place
from trio_copy.model.coins import Coins
from trio_copy.model.settings import setting, within

_OPERATORS = 8
_MOST_OPERATORS = 256
_NONE, _MOST = Coins(0), Coins.parse(1_000_000)


@frozen(kw_only=True)
class FleetTable:
    """Operators who send what the wallets of [wallet.NAME] with this fleet do: their keys, and the gas money they are given."""

    mnemonic: str | None = setting(
        None,
        unit="file:PATH, credential:NAME or env:NAME",
        why="The phrase of BIP-39 from which the operators' keys are derived, m/44'/60'/0'/0/0 the first; a variable others may see.",
        check=names_a_place("file:", "credential:", "env:"),
    )
    operators: int = setting(
        _OPERATORS,
        unit="operators",
        why="How many of the phrase. Each has transactions of its own under way, so that wallets need not wait for each other.",
        check=within(1, _MOST_OPERATORS),
    )
    keys: tuple[str, ...] = setting(
        (),
        unit="list of keystore:PATH, file:PATH or env:NAME",
        why="In place of a phrase: the key of each operator, as [wallet.NAME] names one.",
        check=names_a_place(*KEY_SOURCES),
    )
    passphrase: str | None = setting(
        None,
        unit="file:PATH or credential:NAME",
        why="Opens all keystores that the fleet names. Unset: asked for at the terminal.",
        check=names_a_place(*PASSPHRASE_SOURCES),
    )
    funding: str | None = setting(
        None,
        unit="keystore:PATH, file:PATH or env:NAME",
        why="The key of an account that refuels the operators, and does nothing else. Unset: a person does.",
        check=names_a_place(*KEY_SOURCES),
    )
    low: Coins = setting(
        Coins.parse("0.2"),
        unit="coins of the chain",
        why="An operator with less than that is refuelled.",
        check=within(_NONE, _MOST),
    )
    fill_to: Coins = setting(
        Coins.parse(1), unit="coins of the chain", why="What it has after that.", check=within(_NONE, _MOST)
    )
    max_day: Coins = setting(
        Coins.parse(10),
        unit="coins of the chain in any 24 hours",
        why="What all operators are given at most, fees of the transfers apart.",
        check=within(_NONE, _MOST),
    )


def wrong_fleets(fleets: Mapping[str, FleetTable]) -> Iterator[str]:
    """Yield what is wrong with fleets: each by itself, and what two of them cannot share.

    An operator's transactions have one order, and one writer of it: the owner of the fleet's shard.
    """
    holder: dict[str, str] = {}
    for name, fleet in fleets.items():
        where = f"fleet.{name}"
        try:
            expect_wallet_name(name)
        except ValueError as error:
            yield f"{where}: {error}"
        if (fleet.mnemonic is None) == (not fleet.keys):
            yield f"{where}: expected mnemonic or keys, got {'neither' if fleet.mnemonic is None else 'both'}"
        elif fleet.keys and fleet.operators != _OPERATORS:
            yield f"{where}.operators: expected none beside keys, which are one each, got {fleet.operators}"
        if len(fleet.keys) > _MOST_OPERATORS:
            yield f"{where}.keys: expected at most {_MOST_OPERATORS}, got {len(fleet.keys)}"
        named = {f"{where}.mnemonic": fleet.mnemonic}
        named |= {f"{where}.keys[{index}]": key for index, key in enumerate(fleet.keys)}
        named[f"{where}.funding"] = fleet.funding
        for key, place in named.items():
            if place is not None and (other := holder.setdefault(place, key)) != key:
                yield f"{key}: expected a place of its own, got that of {other}"
        if fleet.passphrase is not None and not any(str(one).startswith("keystore:") for one in named.values()):
            yield f"{where}.passphrase: expected none: only a keystore has one"
        if not fleet.low < fleet.fill_to <= fleet.max_day:
            yield (
                f"{where}.fill_to: expected more than low and at most max_day,"
                f" got low = {fleet.low}, fill_to = {fleet.fill_to}, max_day = {fleet.max_day}"
            )


def wrong_members(wallets: Mapping[str, WalletTable], owners: Sequence[tuple[str | None, str]]) -> Iterator[str]:
    """Yield which followers cannot have a wallet of a fleet: (wallet, executor) each.

    Two executors would each give the same nonce of an operator to something of their own.
    """
    first: dict[str, tuple[str, int]] = {}
    for index, (wallet, executor) in enumerate(owners):
        fleet = None if wallet is None or wallet not in wallets else wallets[wallet].fleet
        if fleet is not None:
            other, place = first.setdefault(fleet, (executor, index))
            if other != executor:
                yield (
                    f"follower[{index}].executor: expected {other} as of follower[{place}], for their wallets have one fleet,"
                    f" got {executor}"
                )
