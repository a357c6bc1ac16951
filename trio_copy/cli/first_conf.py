"""The first configuration of somebody who has none: what he wants, and the file with comments that says so."""

import json
import os
import shlex
from pathlib import Path

from attrs import frozen

from trio_copy.config import checked_address, to_checksum
from trio_copy.errors import ConfigError
from trio_copy.model.follow_settings import leader_name
from trio_copy.model.ids import Address
from trio_copy.model.units import NO_USD, Ratio, Usd

Leaders = tuple[tuple[str | None, Address], ...]
"""Names, where they have some, and addresses."""
_REDIS = ("redis://", "rediss://", "env:", "file:")


@frozen(kw_only=True)
class Wanted:
    """What a person answered."""

    leaders: Leaders
    size: Ratio | Usd
    """A share of the leader's trade, or the same dollars each time."""
    max_order: Usd
    max_day: Usd
    store: str
    """The path of a SQLite file, or the URL of a Redis."""

    @property
    def store_file(self) -> Path | None:
        return None if self.store.startswith(_REDIS) else Path(self.store)


def read_leaders(text: str) -> Leaders:
    """Read 0x... and NAME=0x..., separated by spaces or commas. Raises `ValueError`."""
    leaders: dict[Address, str | None] = {}
    for word in text.replace(",", " ").split():
        name, _, address = word.rpartition("=")
        leader_name(None, None, name or None)
        leaders[checked_address(address)] = name or None
    if not leaders:
        raise ValueError("expected at least one address")
    return tuple((name, address) for address, name in leaders.items())


def read_size(text: str) -> Ratio | Usd:
    """Read 1% as a share, 5 as dollars. Raises `ValueError`."""
    number = text.strip().removeprefix("$")
    if number.endswith("%"):
        share = Ratio(Ratio.parse(number[:-1].strip()).micro // 100)
        if not share.micro:
            raise ValueError(f'expected a share above 0.0001%, got "{text}"')
        return share
    return read_usd(number)


def read_usd(text: str) -> Usd:
    """Read dollars above 0. Raises `ValueError`."""
    dollars = Usd.parse(text.strip().removeprefix("$"))
    if dollars <= NO_USD:
        raise ValueError(f'expected dollars above 0, got "{text}"')
    return dollars


def read_store(text: str) -> str:
    """Read where books are kept: a URL stays as it is, a file gets its whole path. Raises `ValueError`."""
    text = text.strip()
    if not text:
        raise ValueError("expected a file, or redis://...")
    return text if text.startswith(_REDIS) else str(Path(text).expanduser().absolute())


def free_file(stem: str) -> Path:
    """Name a file of books in the user's data folder that nobody uses yet."""
    told = os.environ.get("XDG_DATA_HOME", "")
    # A relative one is to be ignored, says the rule that the variable comes from.
    data = Path(told) if Path(told).is_absolute() else Path.home() / ".local" / "share"
    folder, number = data / "trio-copy", 1
    while (file := folder / (f"{stem}.db" if number == 1 else f"{stem}-{number}.db")).exists():
        number += 1
    return file


def first_conf(wanted: Wanted, file: Path) -> str:
    """Write the file. Raises `ConfigError` for what is possible by itself and not together."""
    if isinstance(wanted.size, Usd):
        size, what = f'mode = "fixed"\nfixed_usd = {wanted.size}', f"{wanted.size} USD each"
        if wanted.size > wanted.max_order:
            raise ConfigError([f"--size: expected at most --max-order-usd, {wanted.max_order}, got {wanted.size}"])
    else:
        size, what = f'mode = "ratio"\nratio = {wanted.size}', "this share of what the leader trades"
    names = "".join(
        f"\n[[leader]]\naddress = {_text(to_checksum(address))}\nname = {_text(name)}\n"
        for name, address in wanted.leaders
        if name is not None
    )
    follows = "".join(
        f'\n[[follow]]\nfollower = "paper"\nleader = {_text(to_checksum(address))}\n' for _, address in wanted.leaders
    )
    kind, key = ("redis", "url") if wanted.store_file is None else ("sqlite", "path")
    store = f"[store.{kind}]\n{key} = {_text(wanted.store)}"
    return _FIRST.format(
        check=shlex.join(("trio-copy", "check", str(file))),
        run=shlex.join(("trio-copy", "run", str(file))),
        size=size,
        what=what,
        order=wanted.max_order,
        day=wanted.max_day,
        names=names,
        follows=follows,
        store=store,
    )


def _text(text: str) -> str:
    """Write a text as TOML does, which escapes like JSON."""
    return json.dumps(text, ensure_ascii=False)


_FIRST = """\
# Paper trading: real leaders on Polygon, real fills, simulated copies. No key, no money.
#     {check}
#     {run}
# conf/every-setting.toml of the project lists every setting; docs/money.md says what each way to size a copy means.

[engine]
name = "paper"
mode = "paper"

[chain]
chain_id = 137

# Two public nodes of different operators: together they miss nothing. Public nodes come and go; one of your own is
# better, and its URL, if it holds a key, belongs into an environment variable: url = "env:POLYGON_WS_URL"
[[endpoint]]
name = "publicnode"
url = "wss://polygon-bor-rpc.publicnode.com"

[[endpoint]]
name = "drpc"
url = "wss://polygon.drpc.org"

# What was copied, and what is held. Keep it: `trio-copy pnl` and the next run read it.
{store}

# Says what tokens are about, what they cost now and how questions were decided. It needs no key.
[markets.polymarket]

# Simulated orders, filled by the real book as it is when they would arrive; where nobody tells it, at the leader's price
# and up to half a per cent worse.
[executor.dry-run]
latency_ms = 150
latency_jitter_ms = 100
slippage_bps = 50

# Polymarket's exchanges.
[decoder.order-filled]

# How big copies are: {what}. What is under a dollar is raised to one, because the venue takes no smaller orders.
[defaults.size]
{size}
minimum_policy = "raise"

[defaults.caps]
max_order_usd = {order}

# What he begins with. Copies spend it, sales and redemptions fill it; `trio-copy wallet show` tells what is left.
[wallet.paper]
paper_usd = 1000

# Whom copies are made for, and what he may spend.
[[follower]]
id = "paper"
executor = "dry-run"
wallet = "paper"
[follower.caps]
max_day_usd = {day}
{names}
# Whom he copies. The funding wallet of the leader, not the key that signs for it.
# A follow may have sizes, caps and filters of its own, in [follow.size], [follow.caps], [follow.filters].
{follows}"""
