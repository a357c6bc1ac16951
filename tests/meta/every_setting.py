"""Writes conf/every-setting.toml from the code: `python -m tests.meta.every_setting`."""

import textwrap
from collections.abc import Iterator
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any

import attrs

from trio_copy.config.fleets import FleetTable
from trio_copy.config.settings import (
    AnvilSettings,
    CatalogSettings,
    ChainSettings,
    DefaultsTable,
    DevnetSettings,
    EndpointSettings,
    EngineSettings,
    FollowerTable,
    FollowTable,
    LeaderTable,
    LogSettings,
    PluginsSettings,
    ShardsSettings,
    SigningSettings,
)
from trio_copy.config.wallets import WalletTable
from trio_copy.model.coins import Coins
from trio_copy.model.layers import Merge
from trio_copy.model.units import Micro
from trio_copy.registry import discover

PATH = Path(__file__).parents[2] / "conf" / "every-setting.toml"
HEADER = """\
# Every setting: what it is for, its unit, and its default, which is the value written here.
# A setting in a comment is off by default, or belongs to a table that this file cannot use.
# This file is made from the code by `python -m tests.meta.every_setting`; a test keeps it true.
"""
REQUIRED = {
    "chain_id": 137,
    "leader": "0x6031B6eed1C97e853c6e0F03Ad3ce3529351F96d",
    "follower": "alice",
    "executor": "dry-run",
    "id": "alice",
    "path": "trio-copy.db",
    "[wallet.alice].paper_usd": 1000,
    "address": "0x6031B6eed1C97e853c6e0F03Ad3ce3529351F96d",
    "name": "one",
    "url": "wss://polygon-bor-rpc.publicnode.com",
    "[store.redis].url": "redis://127.0.0.1:6379",
}
_WIDTH = 116


def render() -> str:
    """Return the whole file."""
    registry = discover()
    registry.load_all()
    lines = [HEADER]
    lines += table("[engine]", EngineSettings)
    lines += table("[chain]", ChainSettings)
    lines += table("[[endpoint]]", EndpointSettings)
    lines += table("[plugins]", PluginsSettings)
    for name, (store, _) in sorted(registry.stores.items()):
        lines += [
            line if name == "memory" or line.startswith("#") else f"# {line}".rstrip(" #")
            for line in table(f"[store.{name}]", store.settings)
        ]
    for name, (executor, _) in sorted(registry.executors.items()):
        lines += [
            "# " + line if executor.moves_money and line and not line.startswith("#") else line
            for line in table(f"[executor.{name}]", executor.settings)
        ]
    for name, (decoder, _) in sorted(registry.decoders.items()):
        lines += table(f"[decoder.{name}]", decoder.settings)
    for name, (source, _) in sorted(registry.markets.items()):
        lines += [
            "# " + line if line and not line.startswith("#") else line
            for line in table(f"[markets.{name}]", source.settings)
        ]
    lines += table("[catalog]", CatalogSettings)
    lines += table("[log]", LogSettings)
    lines += table("[signing]", SigningSettings)
    lines += table("[defaults]", DefaultsTable, own_only=True)
    lines += table("[[leader]]", LeaderTable, own_only=True)
    lines += table("[wallet.alice]", WalletTable)
    lines += [
        "# " + line if line and not line.startswith("#") else line for line in table("[fleet.operators]", FleetTable)
    ]
    lines += table("[[follower]]", FollowerTable, own_only=True)
    lines += table("[[follow]]", FollowTable)
    for header, settings in (("[shards]", ShardsSettings), ("[devnet]", DevnetSettings), ("[anvil]", AnvilSettings)):
        lines += ["# " + line if line and not line.startswith("#") else line for line in table(header, settings)]
    return "\n".join(lines).rstrip() + "\n"


def table(header: str, settings: type, *, own_only: bool = False) -> Iterator[str]:
    """Yield the lines of a table and of the tables inside it, which several levels have in common."""
    yield from comment(settings.__doc__ or "")
    yield header
    inner = []
    for field in attrs.fields(settings):
        if not field.init:
            continue
        if field.metadata["unit"] == "table":
            inner.append(field)
            continue
        merge = field.metadata.get("merge", Merge.NEAREST)
        rule = "" if merge is Merge.NEAREST else f"; {merge.value}"
        yield from comment(f"{field.metadata['why']} ({field.metadata['unit']}{rule})")
        default = field.default
        if default is attrs.NOTHING or f"{header}.{field.name}" in REQUIRED:
            required = REQUIRED.get(f"{header}.{field.name}", REQUIRED.get(field.name))
            yield f"{field.name} = {toml(required)}"
        else:
            yield f"# {field.name} =" if default is None else f"{field.name} = {toml(default)}"
    if own_only and inner:
        names = ", ".join(field.name for field in inner)
        yield f"# It may hold the tables of [[follow]] too: {names}."
        inner = []
    yield ""
    for field in inner:
        name = header.strip("[]")
        yield from table(f"[{name}.{field.name}]", field.type)


def comment(text: str) -> Iterator[str]:
    first = text.strip().splitlines()[0]
    yield from (f"# {line}" for line in textwrap.wrap(first, _WIDTH))


def toml(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{value}"'
        case IntEnum():
            return f'"{value.name.lower()}"'
        case Enum():
            return f'"{value.value}"'
        case Micro() | Coins():
            return str(value)
        case tuple() | frozenset():
            return "[" + ", ".join(sorted(map(toml, value))) + "]"
        case _:
            return str(value)


if __name__ == "__main__":
    PATH.write_text(render())
