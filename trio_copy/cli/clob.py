"""`trio-copy clob sign | headers | prepare`: what would be sent to Polymarket's CLOB, for anyone to compare"""

import re
import sys
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from attrs import frozen
from cyclopts import App, Parameter

from trio_copy.cli.output import out_bare_json, out_json
from trio_copy.cli.redact import Redact
from trio_copy.config.secrets import read_named_secret
from trio_copy.errors import ConfigError
from trio_copy.telemetry.redaction import Redactor

if TYPE_CHECKING:
    from trio_copy.cli.clob_lines import Fields
    from trio_copy.native import SecretKey

app = App(name="clob", help="Write orders and headers for Polymarket's CLOB as they would be sent, and send nothing.")

_STANDARD_INPUT = Path("-")
_KEY = re.compile(r"(0x)?[0-9a-fA-F]{64}")
_CHAINS = (137, 80002)
File = Annotated[
    Path, Parameter(help="A JSON object a line; - is standard input.", allow_leading_hyphen=True, show_default=False)
]
KeyFile = Annotated[
    Path | None,
    Parameter(
        name="--key-file", help="A private key in hex, in a file of yours that nobody else may read (mode 0600)."
    ),
]
WalletName = Annotated[
    str | None, Parameter(name="--wallet", help="The key of this [wallet.NAME] instead of a file's.")
]
Conf = Annotated[
    Path | None, Parameter(name="--conf", help="The configuration that --wallet is in. Default: the usual one.")
]
Chain = Annotated[int, Parameter(name="--chain-id", help="137 is Polygon, 80002 its test network Amoy.")]


@app.command
def sign(
    file: File = _STANDARD_INPUT,
    /,
    *,
    key_file: KeyFile = None,
    wallet: WalletName = None,
    chain_id: Chain = 137,
    redactor: Redact,
    conf: Conf = None,
) -> int:
    """Sign orders: a JSON object per line in, one with `digest` and `signature` out.

    In: exchange (v2, v2-neg-risk, v3), salt, maker, signer, token_id, maker_amount, taker_amount (millionths), side (BUY,
    SELL), signature_type (0 to 3), timestamp (milliseconds), metadata, builder (32 bytes in hex). Numbers may be text.

    The digest is the order's id at the venue. Of signature type 3 the maker is the deposit wallet, and its signer too; the
    signature is the nested one, of 317 bytes. The key is not shown, and nothing is sent. docs/clob.md shows lines.
    """
    _expect_ready(chain_id)
    key = _key_of(_Named(key_file, wallet, conf), "sign", redactor)
    from trio_copy.cli.clob_answers import answer_sign  # not above: whoever reads the help needs no plugin

    return _answer(file, lambda fields: answer_sign(fields, key, chain_id), out_json)


@app.command
def headers(
    file: File = _STANDARD_INPUT,
    /,
    *,
    key_file: KeyFile = None,
    wallet: WalletName = None,
    chain_id: Chain = 137,
    redactor: Redact,
    conf: Conf = None,
) -> int:
    """Write the headers of requests: a JSON object per line in, one with the headers out.

    In: level 1, timestamp (Unix seconds), nonce; it is signed by the key. Or level 2, timestamp, method, path (without a
    query), body (the very text that leaves, or null), api_key, secret, passphrase, address (of the key); it needs no key
    file.

    The passphrase that was handed in is one of the headers: what is written here is as secret as what was read. docs/clob.md shows lines.
    """
    _expect_ready(chain_id)
    find_key = cache(partial(_key_of, _Named(key_file, wallet, conf), "headers", redactor))
    if key_file is not None or wallet is not None:
        find_key()
    from trio_copy.cli.clob_answers import answer_headers

    return _answer(file, lambda fields: answer_headers(fields, find_key, chain_id), out_bare_json)


@app.command
def prepare(
    file: File = _STANDARD_INPUT,
    /,
    *,
    key_file: KeyFile = None,
    wallet: WalletName = None,
    chain_id: Chain = 137,
    redactor: Redact,
    conf: Conf = None,
) -> int:
    """Make orders of intents: a JSON object per line in, one with `order_id`, `shares` and `body` out.

    In: key (of the intent, 64 hex digits), side, token_id, shares, limit_price, max_cost (USD before fees), order_type (FAK,
    FOK, GTC, GTD), exchange, tick, minimum (shares), fee_rate, fee_exponent, signature_type, maker, leader_time (Unix
    seconds of the leader's block). May be left out: post_only, and rest_until (Unix seconds), which a GTD order needs.

    It rounds, builds, signs and freezes as an executor does. The body lacks its owner alone, the id of the API key that
    sends it. Shares "0": the venue's rules leave nothing of the intent. Fees are taken when an order is matched, and change
    nothing in it. docs/clob.md shows lines.
    """
    _expect_ready(chain_id)
    key = _key_of(_Named(key_file, wallet, conf), "prepare", redactor)
    from trio_copy.cli.clob_answers import answer_prepare

    return _answer(file, lambda fields: answer_prepare(fields, key, chain_id), out_json)


def _answer(
    file: Path, answer: "Callable[[Fields], Mapping[str, Any]]", write: Callable[[Mapping[str, Any]], None]
) -> int:
    from trio_copy.cli.clob_lines import lines_of

    for fields in lines_of(file):
        write(answer(fields))
        # Somebody may wait for this answer before the next line is written.
        sys.stdout.flush()
    return 0


def _expect_ready(chain_id: int) -> None:
    from trio_copy.native import require_native

    require_native()
    if chain_id not in _CHAINS:
        raise ConfigError([f"--chain-id: expected {' or '.join(map(str, _CHAINS))}, got {chain_id}"])


@frozen
class _Named:
    """How a key was named."""

    key_file: Path | None
    wallet: str | None
    conf: Path | None


def _key_of(named: _Named, verb: str, redactor: Redactor) -> "SecretKey":
    """Return the key of a file or a wallet. Raises `ConfigError`, which does not repeat what stands there."""
    from trio_copy.native import SecretKey

    key_file = named.key_file
    if key_file is not None and named.wallet is not None:
        raise ConfigError([f"clob {verb}: expected either --key-file FILE or --wallet NAME, got both: one key signs"])
    if key_file is None and named.wallet is None:
        raise ConfigError([f"clob {verb}: expected --key-file FILE or --wallet NAME, the key that signs"])
    if named.wallet is not None:
        return _key_of_wallet(named.wallet, named.conf, redactor)
    assert key_file is not None  # one of the two is given
    try:
        text = read_named_secret(f"file:{key_file}", redactor.learn)
    except ValueError as error:
        raise ConfigError([f"--key-file: {error}"]) from None
    try:
        return SecretKey(bytes.fromhex(text.removeprefix("0x")) if _KEY.fullmatch(text) else b"")
    except ValueError:
        raise ConfigError(
            [f"--key-file: expected a private key in {key_file}, 64 hex digits, got something else"]
        ) from None


def _key_of_wallet(name: str, conf: Path | None, redactor: Redactor) -> "SecretKey":
    from trio_copy.cli.arm import expect_wallets  # not above: a key file needs no configuration
    from trio_copy.cli.opened import find_plan
    from trio_copy.cli.question_of_secret import who_answers
    from trio_copy.signing.keys import open_key, place_of

    plan = find_plan(conf, redactor)
    expect_wallets(plan, (name,), "--wallet")
    if plan.settings.wallet[name].key is None:
        raise ConfigError([f"--wallet: expected one with a key of its own, got {name}, which has a fleet"])
    try:
        return open_key(place_of(name, plan.settings.wallet[name]), who_answers(), redactor.learn)
    except ValueError as error:
        raise ConfigError([str(error)]) from None
