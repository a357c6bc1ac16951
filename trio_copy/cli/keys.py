"""`trio-copy keys import | list | check`"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from attrs import evolve, frozen
from cyclopts import App, Parameter

from trio_copy.cli.live import open_their_fleets
from trio_copy.cli.opened import Conf, find_plan
from trio_copy.cli.output import out, out_whole
from trio_copy.cli.question_of_secret import ask_secret, who_answers
from trio_copy.cli.redact import Redact
from trio_copy.cli.tables import Column, Json, show
from trio_copy.config import to_checksum
from trio_copy.config.secrets import Learn
from trio_copy.config.wallets import WalletTable, expect_wallet_name
from trio_copy.engine.plan import Plan
from trio_copy.entropy import unguessable
from trio_copy.errors import ConfigError
from trio_copy.model.counts import counted
from trio_copy.model.ids import parse_address
from trio_copy.native import SecretKey, require_native
from trio_copy.signing.fleets import FleetKeys, expect_operators
from trio_copy.signing.folder import make_private_folder, trouble_of_secret, write_private_file
from trio_copy.signing.keys import (
    KeyPlace,
    open_key,
    passphrase_of,
    place_of,
    public_address,
    read_hex_key,
    warning_of,
    wrong_address,
)
from trio_copy.signing.keystore import write_keystore
from trio_copy.signing.process import keep_out_of_dumps

app = App(name="keys", help="Lock private keys away, and see where those of the wallets are.")
_HOME = "~/.trio-copy/keys"


@frozen(kw_only=True)
class _Row:
    wallet: str
    table: WalletTable
    follower: str | None
    signer: str | None
    place: KeyPlace | None
    """None of a wallet that has a fleet."""
    state: str = ""

    @property
    def named(self) -> str:
        return f"fleet:{self.table.fleet}" if self.place is None else str(self.place)


def _short(address: object) -> str:
    return to_checksum(parse_address(str(address)))


_PLACES: tuple[Column[_Row], ...] = (
    Column("wallet", lambda row: row.wallet),
    Column("follower", lambda row: row.follower, detail=True),
    Column("type", lambda row: row.table.signature_type.name.lower(), detail=True),
    Column("address", lambda row: row.table.address, shown=_short),
    Column("key", lambda row: row.named, elastic=True, detail=True),
    Column("signer", lambda row: row.signer, shown=_short, detail=True),
)
_STATES: tuple[Column[_Row], ...] = (
    Column("wallet", lambda row: row.wallet),
    Column("signer", lambda row: row.signer, shown=_short, detail=True),
    Column("state", lambda row: row.state, elastic=True),
)
_EMPTY = "no wallet has a key: [wallet.NAME] with key and address; `trio-copy keys import NAME`"


@app.command(name="import")
def import_(
    name: Annotated[str, Parameter(help="What the wallet is called: [wallet.NAME].")],
    /,
    *,
    from_: Annotated[
        str | None,
        Parameter(name="--from", help="file:PATH with the key in hex. Default: it is asked for, without an echo."),
    ] = None,
    passphrase: Annotated[
        str | None,
        Parameter(help="file:PATH or credential:NAME with the passphrase. Default: it is asked for, twice."),
    ] = None,
    to: Annotated[Path | None, Parameter(help=f"The keystore to write. Default: {_HOME}/NAME.json.")] = None,
    redactor: Redact,
) -> int:
    """Encrypt a private key into a keystore that only this user may read, and print what the configuration needs.

    The keystore is that of other wallets (version 3, scrypt). A file that is there is never written over. The key is not on
    the command line, nor in a variable: others would see it there.
    """
    require_native()
    keep_out_of_dumps()
    # Whole paths: the lines are read from wherever an engine is started.
    path = (Path(_HOME) / f"{name}.json" if to is None else to).expanduser().absolute()
    if passphrase is not None and passphrase.startswith("file:"):
        passphrase = f"file:{Path(passphrase.removeprefix('file:')).expanduser().absolute()}"
    try:
        # Before anything is asked for: with such a name neither the lines would be TOML nor the file where it belongs.
        _expect_name(name)
        if path.exists():
            raise ConfigError([f"--to: expected no file {path} yet; a key is never written over"])
        table = WalletTable(key=f"keystore:{path}", passphrase=passphrase)
        secret = _read_key(from_, redactor.learn)
        key = SecretKey(secret)
        words = _read_passphrase(place_of(name, table))
        redactor.learn(words)
    except ValueError as error:
        raise ConfigError([str(error)]) from None
    except OSError as error:
        raise ConfigError([f"--to: {path}: {error.strerror}"]) from None
    make_private_folder(path.parent)
    try:
        write_private_file(path, write_keystore(secret, words, unguessable), replace=False)
    except OSError as error:
        raise ConfigError([f"--to: {path}: {error.strerror}"]) from None
    if (trouble := trouble_of_secret(path)) is not None:
        path.unlink()
        raise ConfigError([f"--to: {trouble}"])
    out(f"wrote {path}: the key of {to_checksum(key.address)}; without its passphrase nobody can open it, you neither")
    out(
        "of an account of its own (eoa) this is all; proxies, safes and deposit wallets have an address besides the key's:"
    )
    out_whole(f'[wallet."{name}"]' if "." in name else f"[wallet.{name}]")
    out_whole(f'key = "keystore:{path}"')
    if passphrase is not None:
        out_whole(f'passphrase = "{passphrase}"')
    out_whole(f'address = "{to_checksum(key.address)}"')
    return 0


@app.command(name="list")
def list_(*, redactor: Redact, conf: Conf = None, json: Json = False) -> int:
    """List the live wallets: whose they are, their addresses, and where their keys are. Opens no keystore.

    The signer is the key's own address; of a keystore, the one that it names, which only `keys check` proves.
    """
    plan = find_plan(conf, redactor)
    show(_PLACES, _rows(plan, redactor.learn), json=json, csv_=False, empty=_EMPTY)
    return 0


@app.command
def check(*, redactor: Redact, conf: Conf = None, json: Json = False) -> int:
    """Open the key of each live wallet and say what is wrong; exits with 1 when something is. No key is shown.

    Passphrases without a place are asked for, one after the other.
    """
    plan = find_plan(conf, redactor)
    require_native()
    keep_out_of_dumps()
    rows = _rows(plan, redactor.learn)
    fleets, troubles = open_their_fleets(plan, [row.wallet for row in rows])
    rows = [_tried(row, {**troubles, **fleets}, redactor.learn) for row in rows]
    show(_STATES, rows, json=json, csv_=False, empty=_EMPTY)
    return 0 if all(row.state.startswith("ok") for row in rows) else 1


def _rows(plan: Plan, learn: Learn) -> list[_Row]:
    owners = {one.wallet: str(one.id) for one in plan.settings.follower}
    rows = []
    for name, table in plan.settings.wallet.items():
        if table.live:
            place = None if table.key is None else place_of(name, table)
            signer = None if place is None else public_address(place, learn)
            rows.append(_Row(wallet=name, table=table, follower=owners.get(name), signer=signer, place=place))
    return rows


def _tried(row: _Row, fleets: Mapping[str, FleetKeys | str], learn: Learn) -> _Row:
    if row.place is None:
        return evolve(row, state=_of_fleet(row, fleets[row.table.fleet or ""]))
    try:
        key = open_key(row.place, who_answers(), learn)
    except ValueError as error:
        return evolve(row, signer=None, state=str(error))
    state = wrong_address(row.wallet, row.table, key.address) or f"ok{_but(row.place)}"
    return evolve(row, signer=key.address, state=state)


def _of_fleet(row: _Row, keys: FleetKeys | str) -> str:
    if isinstance(keys, str):
        return keys
    try:
        operators = expect_operators(row.wallet, row.table, keys)
    except ValueError as error:
        return str(error)
    return f"ok, {counted(len(operators), 'operator')} of fleet {row.table.fleet}"


def _but(place: KeyPlace) -> str:
    warning = warning_of(place)
    return "" if warning is None else f", but {warning}"


def _expect_name(name: str) -> None:
    try:
        expect_wallet_name(name)
    except ValueError as error:
        raise ConfigError([f'NAME: {error}, got "{name}"']) from None


def _read_key(named: str | None, learn: Learn) -> bytes:
    if named is None:
        if who_answers() is None:
            raise ConfigError(["--from: expected file:PATH, because there is no terminal to ask on; nothing was done"])
        return read_hex_key(ask_secret("the private key, in hex: "), "the answer", learn)
    source, _, path = named.partition(":")
    if source != "file" or not path:
        learn(named)
        raise ValueError("--from: expected file:PATH; a key itself is never given on the command line")
    place = Path(path).expanduser()
    if (trouble := trouble_of_secret(place)) is not None:
        raise ValueError(f"--from: {trouble}")
    try:
        return read_hex_key(place.read_text("utf-8-sig"), f"--from: in {place}", learn)
    except UnicodeDecodeError:
        raise ValueError(f"--from: in {place}: expected text") from None


def _read_passphrase(place: KeyPlace) -> str:
    words = passphrase_of(place, who_answers())
    if place.passphrase is None and ask_secret("the same once more: ") != words:
        raise ValueError("--passphrase: expected the same twice; nothing was done")
    if not words:
        raise ValueError("--passphrase: expected one, got nothing; nothing was done")
    return words
