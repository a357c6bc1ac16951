"""TOML in, frozen settings out; every problem named at once, with file, key, expected and got."""

from trio_copy.config.addresses import checked_address, to_checksum
from trio_copy.config.load import Draft, read_draft, read_url, structure_plugin_table
from trio_copy.config.settings import (
    AnvilSettings,
    ChainSettings,
    DevnetSettings,
    EndpointSettings,
    EngineSettings,
    PluginTable,
    Settings,
    ShardsSettings,
)

__all__ = [
    "AnvilSettings",
    "ChainSettings",
    "DevnetSettings",
    "Draft",
    "EndpointSettings",
    "EngineSettings",
    "PluginTable",
    "Settings",
    "ShardsSettings",
    "checked_address",
    "read_draft",
    "read_url",
    "structure_plugin_table",
    "to_checksum",
]
