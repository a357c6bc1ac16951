"""The keys of fleets: of a phrase from which all operators are derived, or of one place each. Opened once, before anything is served."""

from collections.abc import Iterator, Mapping
from functools import partial

from attrs import field, frozen

from trio_copy.config.fleets import FleetTable
from trio_copy.config.secrets import Learn
from trio_copy.config.wallets import WalletTable
from trio_copy.errors import ConfigError
from trio_copy.model.coins import Coins
from trio_copy.model.counts import counted
from trio_copy.model.ids import Address
from trio_copy.model.orders import SignatureType
from trio_copy.native import SecretKey, require_native
from trio_copy.ports import InThread
from trio_copy.recursion import same_recursion_limit
from trio_copy.signing.keys import Ask, KeyPlace, open_places, place_named, public_address, read_plain, troubles_of
from trio_copy.signing.process import keep_out_of_dumps

_NOTHING = Coins(0)
_PATH = "m/44'/60'/0'/0/{}"


@frozen(kw_only=True)
class FleetKeys:
    """The keys of one fleet."""

    operators: tuple[SecretKey, ...] = field(repr=False)
    """In the order of the configuration, or of the phrase."""
    funding: SecretKey | None = field(default=None, repr=False)
    fill_to: Coins = _NOTHING
    """What the funding key may give an operator at a time."""
    max_day: Coins = _NOTHING
    """What it may give all of them in 24 hours."""

    def of(self, wallet: WalletTable) -> tuple[SecretKey, ...]:
        """Return who may send what a wallet does; for an account of its own nobody else can."""
        if wallet.signature_type is SignatureType.EOA:
            return tuple(key for key in self.operators if key.address == wallet.address)
        return self.operators


def places_of(name: str, fleet: FleetTable) -> tuple[KeyPlace, ...]:
    """Return everything that a fleet names: its phrase or its keys, then the key that refuels."""
    return (*_operators_of(name, fleet), *_funding_of(name, fleet))


def operator_addresses(name: str, fleet: FleetTable, learn: Learn) -> tuple[Address | None, ...]:
    """Return the operators as far as that can be told without a passphrase. Derives keys: a second of CPU.

    Raises:
        ValueError: the phrase cannot be read.
    """
    if fleet.mnemonic is not None:
        return tuple(key.address for key in derive(_operators_of(name, fleet)[0], fleet.operators, learn))
    told = (public_address(place, learn) for place in _operators_of(name, fleet))
    return tuple(None if address is None else Address(address) for address in told)


def funding_address(name: str, fleet: FleetTable, learn: Learn) -> Address | None:
    """Return who refuels as far as that can be told without a passphrase; None where nobody does."""
    told = next((public_address(place, learn) for place in _funding_of(name, fleet)), None)
    return None if told is None else Address(told)


async def open_fleets(
    fleets: Mapping[str, FleetTable], ask: Ask | None, learn: Learn, in_thread: InThread
) -> dict[str, FleetKeys]:
    """Open the keys of fleets, in threads; from here on no dump is written of this process.

    Raises:
        ConfigError: with a line for each key that cannot be opened, or that has two tasks.
        PluginError: what signs is not installed.
    """
    if not fleets:
        return {}
    require_native()
    keep_out_of_dumps()
    phrases = {name: one for name, one in fleets.items() if one.mnemonic is not None}
    places = {place.where: place for name, one in fleets.items() for place in places_of(name, one)}
    named = {where: place for where, place in places.items() if place.setting != "mnemonic"}
    keys, problems = await open_places(named, ask, learn, in_thread)
    derived: dict[str, tuple[SecretKey, ...]] = {}
    for name, one in phrases.items():
        (place,) = _operators_of(name, one)
        try:
            derived[name] = await in_thread(partial(derive, place, one.operators, learn))
        except ValueError as error:
            problems[place.where] = str(error)
    if problems:
        raise ConfigError([problems[where] for where in places if where in problems])
    opened = {}
    for name, one in fleets.items():
        listed = tuple(keys[place.where] for place in _operators_of(name, one) if place.where in keys)
        opened[name] = FleetKeys(
            operators=derived.get(name, listed),
            funding=keys.get(f"fleet.{name}.funding"),
            fill_to=one.fill_to,
            max_day=one.max_day,
        )
    if wrong := list(_twice(opened)):
        raise ConfigError(wrong)
    return opened


def derive(place: KeyPlace, count: int, learn: Learn) -> tuple[SecretKey, ...]:
    """Derive the first keys of a phrase (BIP-39, BIP-44). A second of CPU: call it in a thread. `learn` hears phrase and keys.

    Raises:
        ValueError: it cannot be read, or is none; no word of it is repeated.
    """
    if troubles := troubles_of(place):
        raise ValueError(troubles[0])
    text = read_plain(place)
    words = " ".join(text.split())
    for spelling in (text.strip(), words):
        learn(spelling)
    # eth-account raises the limit when it is imported, and takes a second for that: what is listed never needs it.
    with same_recursion_limit():
        from eth_account.hdaccount import key_from_seed, seed_from_mnemonic
    try:
        seed = seed_from_mnemonic(words, "")
    except Exception:  # its own kind is no ValueError, and repeats the phrase
        told = f"got {counted(len(words.split()), 'word')} that are none; is one of them wrong?"
        raise ValueError(f"{place.where}: in {place}: expected a phrase of BIP-39, {told}") from None
    secrets = [key_from_seed(seed, _PATH.format(index)) for index in range(count)]
    for secret in secrets:
        learn(secret.hex())
    return tuple(map(SecretKey, secrets))


def expect_operators(name: str, wallet: WalletTable, fleet: FleetKeys) -> tuple[SecretKey, ...]:
    """Return who may send what a wallet of a fleet does. Raises `ValueError` where it is nobody."""
    found = fleet.of(wallet)
    if not found:
        raise ValueError(
            f"wallet.{name}.address: expected that of an operator of fleet.{wallet.fleet}, got {wallet.address};"
            " or signature_type safe"
        )
    return found


def wrong_operators(
    wallets: Mapping[str, WalletTable], keys: Mapping[str, SecretKey], fleets: Mapping[str, FleetKeys]
) -> Iterator[str]:
    """Yield what opened keys show of wallets: an eoa that is none of its fleet, a key that signs beside the fleet.

    The transactions of one key have one order, so it has one writer: a fleet's are sent by the owner of the fleet's shard.
    """
    sends = {key.address: name for name, one in fleets.items() for key in (*one.operators, *_some(one.funding))}
    for name, wallet in wallets.items():
        if wallet.fleet is not None and wallet.fleet in fleets:
            try:
                expect_operators(name, wallet, fleets[wallet.fleet])
            except ValueError as error:
                yield str(error)
        own = keys.get(name)
        if own is not None and own.address in sends:
            yield f"wallet.{name}.key: expected a key that no fleet has, got one of fleet.{sends[own.address]}"


def _operators_of(name: str, fleet: FleetTable) -> tuple[KeyPlace, ...]:
    table = f"fleet.{name}"
    if fleet.mnemonic is not None:
        return (place_named(table, "mnemonic", fleet.mnemonic, None),)
    return tuple(place_named(table, f"keys[{index}]", key, fleet.passphrase) for index, key in enumerate(fleet.keys))


def _funding_of(name: str, fleet: FleetTable) -> tuple[KeyPlace, ...]:
    return () if fleet.funding is None else (place_named(f"fleet.{name}", "funding", fleet.funding, fleet.passphrase),)


def _twice(fleets: Mapping[str, FleetKeys]) -> Iterator[str]:
    """Yield a problem for each key that is at two places, of one fleet or of two."""
    holder: dict[Address, str] = {}
    for name, one in fleets.items():
        tasks = {f"fleet.{name}, operator {index}": key for index, key in enumerate(one.operators)}
        tasks |= {f"fleet.{name}.funding": key for key in _some(one.funding)}
        for task, key in tasks.items():
            if (other := holder.setdefault(key.address, task)) != task:
                yield f"{task}: expected a key of its own, got that of {other}"


def _some(key: SecretKey | None) -> tuple[SecretKey, ...]:
    return () if key is None else (key,)
