"""How commands that exercise a store let a person choose it."""

import tomllib
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

from cyclopts import Parameter

from trio_copy.config import PluginTable, structure_plugin_table
from trio_copy.engine.plan import PlannedStore
from trio_copy.errors import ConfigError
from trio_copy.registry import discover
from trio_copy.telemetry.redaction import Redactor

StoreName = Annotated[str, Parameter(name="--store", help="Name of an installed store.")]
StoreOptions = Annotated[
    tuple[str, ...],
    Parameter(name="--store-option", help="A setting of the store, KEY=VALUE as in [store.NAME]; may be repeated."),
]


RedisUrl = Annotated[
    str | None,
    Parameter(name="--redis-url", help="Where Redis is, for --store redis: redis://127.0.0.1:6379 and others."),
]


def store_table(name: str, options: Sequence[str], redis_url: str | None = None) -> PluginTable:
    """Read the options of a store from the command line.

    Raises:
        ConfigError: an option is not KEY=VALUE with a TOML value.
    """
    table: dict[str, object] = {}
    if redis_url is not None:
        if name not in ("memory", "redis"):
            raise ConfigError([f"--redis-url: expected --store redis beside it, got --store {name}"])
        name, table = "redis", {"url": redis_url}
    for option in options:
        try:
            table |= tomllib.loads(option, parse_float=Decimal)
        except tomllib.TOMLDecodeError:
            raise ConfigError([f'--store-option: expected KEY=VALUE with a TOML value, got "{option}"']) from None
    return PluginTable(name=name, plugin=name, options=table)


def planned_store(name: str, options: Sequence[str], redis_url: str | None, redactor: Redactor) -> PlannedStore:
    """Find a store and check its options.

    Raises:
        PluginError: no such store.
        ConfigError: an option is wrong.
    """
    table = store_table(name, options, redis_url)
    name = table.name
    plugin = discover().store(name)
    return PlannedStore(plugin=plugin, settings=structure_plugin_table("store", table, plugin.settings, redactor.learn))
