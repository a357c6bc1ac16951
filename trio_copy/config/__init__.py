"""TOML in, frozen settings out; every problem named at once, with file, key, expected and got."""

from trio_copy.config.load import load_settings, structure_plugin_table
from trio_copy.config.settings import (
    ChainSettings,
    DevnetSettings,
    EndpointSettings,
    EngineSettings,
    PluginTable,
    Settings,
)

__all__ = [
    "ChainSettings",
    "DevnetSettings",
    "EndpointSettings",
    "EngineSettings",
    "PluginTable",
    "Settings",
    "load_settings",
    "structure_plugin_table",
]
