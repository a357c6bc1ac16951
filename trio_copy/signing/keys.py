"""Where keys come from: a keystore, a 0600 file, an environment variable. Opened once, before anything is served."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio
from attrs import frozen

from trio_copy.config.secrets import Learn
from trio_copy.config.wallets import WalletTable
from trio_copy.errors import ConfigError
from trio_copy.files import trouble_of_place
from trio_copy.model.ids import Address
from trio_copy.model.orders import SignatureType
from trio_copy.native import SecretKey, require_native
from trio_copy.ports import InThread
from trio_copy.signing.folder import trouble_of_secret
from trio_copy.signing.keystore import WrongPassphrase, address_in, read_keystore
from trio_copy.signing.process import keep_out_of_dumps

Ask = Callable[[str], str]
"""Asks a person for a secret, without an echo."""
_Name = TypeVar("_Name")
_HEX = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")


@frozen(kw_only=True)
class KeyPlace:
    """Where a key is, or the phrase of many."""

    table: str
    """Whose it is: wallet.NAME or fleet.NAME."""
    setting: str = "key"
    """What names it in that table."""
    source: str
    """keystore, file or env; of a phrase credential too."""
    named: str
    """The path, or the variable."""
    passphrase: str | None

    def __str__(self) -> str:
        return f"{self.source}:{self.named}"

    @property
    def asks(self) -> bool:
        """Whether a person has to be asked for the passphrase."""
        return self.source == "keystore" and self.passphrase is None

    @property
    def path(self) -> Path:
        return Path(self.named).expanduser()

    @property
    def where(self) -> str:
        return f"{self.table}.{self.setting}"


def place_of(name: str, wallet: WalletTable) -> KeyPlace:
    """Return where the key of a live wallet is, which has one of its own."""
    return place_named(f"wallet.{name}", "key", wallet.key or "", wallet.passphrase)


def place_named(table: str, setting: str, text: str, passphrase: str | None) -> KeyPlace:
    """Return where a key is that a setting names; only a keystore has a passphrase."""
    source, _, named = text.partition(":")
    return KeyPlace(
        table=table,
        setting=setting,
        source=source,
        named=named,
        passphrase=passphrase if source == "keystore" or not table.startswith("fleet.") else None,
    )


def troubles_of(place: KeyPlace) -> list[str]:
    """Say what is wrong with the places of a key and its passphrase, without opening either."""
    troubles = []
    if place.source == "env":
        if place.named not in os.environ:
            troubles.append(f"{place.where}: expected environment variable {place.named} to be set")
    elif place.source == "credential":
        troubles += _troubles_of_file(place.where, str(place))
    elif (trouble := trouble_of_secret(place.path)) is not None:
        troubles.append(f"{place.where}: {trouble}")
    if place.passphrase is not None:
        troubles += _troubles_of_file(f"{place.table}.passphrase", place.passphrase)
    return troubles


def _troubles_of_file(where: str, named: str) -> Iterator[str]:
    try:
        path = secret_file(named)
    except ValueError as error:
        yield f"{where}: {error}"
    else:
        # Who may read a credential is systemd's affair, which grants it by access lists that a mode does not show.
        is_there = path.is_file() and named.startswith("credential:")
        if not is_there and (trouble := trouble_of_secret(path)) is not None:
            yield f"{where}: {trouble}"


def public_address(place: KeyPlace, learn: Learn) -> str | None:
    """Return whose key it is as far as that can be told without a passphrase; of a keystore, what it says of itself."""
    try:
        if place.source == "keystore":
            named = None if trouble_of_place(place.path) else address_in(place.path.read_bytes())
            return named and f"0x{named.lower().removeprefix('0x')}"
        return open_key(place, None, learn).address
    except (OSError, ValueError):
        return None


def warning_of(place: KeyPlace) -> str | None:
    """Say what speaks against where a key is, although it may be used."""
    if place.source == "env":
        return f"every process that this one starts inherits {place.named}, and who runs it may see it; a keystore is safer"
    return None


def open_key(place: KeyPlace, ask: Ask | None, learn: Learn) -> SecretKey:
    """Read a key. A keystore takes a second of CPU: call it in a thread. `learn` hears the key and its passphrase.

    Raises:
        ValueError: with where, what was expected and why it is not so; never with a part of the key.
    """
    if troubles := troubles_of(place):
        raise ValueError(troubles[0])
    if place.source == "keystore":
        passphrase = passphrase_of(place, ask)
        learn(passphrase)
        try:
            secret = read_keystore(place.path.read_bytes(), passphrase)
        except WrongPassphrase:
            named = "the terminal" if place.passphrase is None else place.passphrase
            # "expected" first: any other word behind this label is taken for the passphrase itself, and redacted.
            raise ValueError(
                f"{place.table}.passphrase: expected that of {place.path}; the one from {named} does not open it"
            ) from None
        except (OSError, ValueError) as error:
            raise ValueError(f"{place.where}: {place.path}: {_told(error)}") from None
    else:
        secret = read_hex_key(read_plain(place), f"{place.where}: in {place}", learn)
    learn(secret.hex())
    try:
        return SecretKey(secret)
    except ValueError as error:
        raise ValueError(f"{place.where}: in {place}: {error}") from None


def read_plain(place: KeyPlace) -> str:
    """Read what stands in a file, a variable or a credential. Raises `ValueError` with where it cannot be read."""
    try:
        if place.source == "env":
            return os.environ[place.named]
        return (secret_file(str(place)) if place.source == "credential" else place.path).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{place.where}: {place.path}: {_told(error)}") from None


def read_hex_key(text: str, where: str, learn: Learn) -> bytes:
    """Read a key as people write it. Raises `ValueError`, which says how long it was, and nothing more."""
    text = text.strip()
    learn(text)
    found = _HEX.fullmatch(text)
    if found is None:
        raise ValueError(f"{where}: expected 64 hex digits, with or without 0x, got a length of {len(text)}")
    return bytes.fromhex(found[1])


async def open_keys(
    wallets: Mapping[str, WalletTable], ask: Ask | None, learn: Learn, in_thread: InThread
) -> dict[str, SecretKey]:
    """Open the keys of live wallets, each in a thread; from here on no dump is written of this process.

    Raises:
        ConfigError: with a line for each that cannot be opened, or is not the key of its wallet's address.
        PluginError: what signs is not installed.
    """
    require_native()
    keep_out_of_dumps()
    places = {name: place_of(name, wallet) for name, wallet in wallets.items()}
    keys, problems = await open_places(places, ask, learn, in_thread)
    for name, key in keys.items():
        if (trouble := wrong_address(name, wallets[name], key.address)) is not None:
            problems[name] = trouble
    if problems:
        raise ConfigError([problems[name] for name in wallets if name in problems])
    return keys


async def open_places(
    places: Mapping[_Name, KeyPlace], ask: Ask | None, learn: Learn, in_thread: InThread
) -> tuple[dict[_Name, SecretKey], dict[_Name, str]]:
    """Open keys, each in a thread; returns those that could be opened, and a line for each of the others."""
    keys: dict[_Name, SecretKey] = {}
    problems: dict[_Name, str] = {}
    as_many_as = trio.CapacityLimiter(max(1, os.cpu_count() or 1))
    # Not in a thread: nothing else runs yet, and Ctrl-C must end a question that waits for its answer.
    answers = {name: _answer(place, ask) for name, place in places.items() if place.asks and ask is not None}

    async def open_one(name: _Name, place: KeyPlace) -> None:
        async with as_many_as:
            try:
                keys[name] = await in_thread(partial(open_key, place, answers.get(name), learn))
            except ValueError as error:
                problems[name] = str(error)

    async with trio.open_nursery() as nursery:
        for name, place in places.items():
            nursery.start_soon(open_one, name, place)
    return keys, problems


def wrong_address(name: str, wallet: WalletTable, signer: Address) -> str | None:
    """Say that a key is not that of an account of its own; of other accounts only the venue can tell."""
    if wallet.signature_type is SignatureType.EOA and wallet.address != signer:
        return f"wallet.{name}.address: expected that of its key, {signer}, got {wallet.address}; or another signature_type"
    return None


def _answer(place: KeyPlace, ask: Ask) -> Ask:
    passphrase = passphrase_of(place, ask)
    return lambda question: passphrase


def passphrase_of(place: KeyPlace, ask: Ask | None) -> str:
    """Read the passphrase of a keystore, or ask for it. Raises `ValueError` with why there is none."""
    if place.passphrase is None:
        if ask is None:
            raise ValueError(
                f"{place.table}.passphrase: expected file:PATH or credential:NAME, because there is no terminal to ask on"
            )
        return ask(f"passphrase of {place.table.replace('.', ' ', 1)} ({place.named}): ")
    path = secret_file(place.passphrase)
    try:
        return path.read_text("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError(f"{place.table}.passphrase: expected text in {path}") from None
    except OSError as error:
        raise ValueError(f"{place.table}.passphrase: expected a file {path}, got: {_told(error)}") from None


def secret_file(named: str) -> Path:
    """Return which file file:PATH or credential:NAME is. Raises `ValueError` where there are no credentials."""
    source, _, name = named.partition(":")
    if source == "file":
        return Path(name).expanduser()
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder is None:
        raise ValueError("expected $CREDENTIALS_DIRECTORY to be set, as systemd does for LoadCredential=")
    return Path(folder) / name


def _told(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or "cannot be read"
    return "expected text" if isinstance(error, UnicodeDecodeError) else str(error)
