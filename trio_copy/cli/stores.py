"""How commands that exercise a store let a person choose it."""

import re
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

_BARE = re.compile(r"([A-Za-z0-9_-]+)=([^\s\"'\[{][^\s\"']*)")
"""A text without its quotes: a shell has taken them away, or nobody thought of them."""
StoreName = Annotated[str, Parameter(name="--store", help="Name of an installed store.")]
StoreOptions = Annotated[
    tuple[str, ...],
    Parameter(name="--store-option", help="A setting of the store, KEY=VALUE as in [store.NAME]; may be repeated."),
]
Allowed = Annotated[
    tuple[str, ...],
    Parameter(
        name="--allow",
        negative=(),
        help="A distribution whose plugins are loaded, as in plugins.allow; may be repeated.",
    ),
]


RedisUrl = Annotated[
    str | None,
    Parameter(name="--redis-url", help="Where Redis is, for --store redis: redis://127.0.0.1:6379 and others."),
]


def store_table(name: str, options: Sequence[str], redis_url: str | None = None) -> PluginTable:
    """Read the options of a store from the command line.

    Raises:
        ConfigError: an option is not KEY=VALUE with a TOML value, or a text without quotes; or a Redis has no address.
    """
    table: dict[str, object] = {}
    if redis_url is not None:
        if name not in ("memory", "redis"):
            raise ConfigError([f"--redis-url: expected --store redis beside it, got --store {name}"])
        name, table = "redis", {"url": redis_url}
    for option in options:
        try:
            table |= tomllib.loads(option, parse_float=Decimal)
        except (ValueError, RecursionError):
            if bare := _BARE.fullmatch(option):
                table[bare[1]] = bare[2]
                continue
            raise ConfigError([f'--store-option: expected KEY=VALUE with a TOML value, got "{option}"']) from None
    if name == "redis" and "url" not in table:
        raise ConfigError(["--redis-url: expected it beside --store redis, such as redis://127.0.0.1:6379, got none"])
    return PluginTable(name=name, plugin=name, options=table)


def planned_store(
    name: str, options: Sequence[str], redis_url: str | None, redactor: Redactor, allow: Sequence[str] = ()
) -> PlannedStore:
    """Find a store and check its options.

    Raises:
        PluginError: no such store.
        ConfigError: an option is wrong, or one is missing, or a distribution is not installed.
    """
    table = store_table(name, options, redis_url)
    name = table.name
    registry = discover(allow)
    if missing := registry.missing(allow):
        raise ConfigError([f"--allow: expected an installed plugin, got {one}" for one in missing])
    plugin = registry.store(name)
    return PlannedStore(plugin=plugin, settings=structure_plugin_table("store", table, plugin.settings, redactor.learn))
