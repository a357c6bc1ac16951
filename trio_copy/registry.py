"""The one typed door to pluggy: discover, register, select by name.

Entry points are read as metadata first. A distribution is imported only when it is the project's own or when the
configuration allows it by name, because importing already runs its code. The rest is listed, never loaded. The project's
own are imported when one of them is asked for, as a store may bring along a client that takes longer to import than all
else: each of its entry points has the name of the plugin that it registers, or of a kind, such as `decoders`.
"""

import os
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import EntryPoint, distributions
from types import ModuleType
from typing import TypeVar

import pluggy
from attrs import define, field, frozen

from trio_copy import hookspecs
from trio_copy.errors import PluginError
from trio_copy.hookspecs import PROJECT
from trio_copy.ports import DecoderPlugin, ExecutorPlugin, MarketsPlugin, StorePlugin
from trio_copy.recursion import same_recursion_limit

OWN_DISTRIBUTION = "trio-copy"
_P = TypeVar("_P", ExecutorPlugin, StorePlugin, DecoderPlugin, MarketsPlugin)


@frozen(kw_only=True)
class Source:
    """One entry point of the group `trio_copy`, as its distribution's metadata tells it."""

    entry_point: str
    distribution: str
    version: str
    allowed: bool
    """False when the configuration does not allow it: then nothing of it is ever imported."""


@define
class Registry:
    """The executors, stores, decoders and market sources that may be named, and the observers that listen."""

    executors: dict[str, tuple[ExecutorPlugin, Source]] = field(factory=dict)
    stores: dict[str, tuple[StorePlugin, Source]] = field(factory=dict)
    decoders: dict[str, tuple[DecoderPlugin, Source]] = field(factory=dict)
    markets: dict[str, tuple[MarketsPlugin, Source]] = field(factory=dict)
    installed: tuple[Source, ...] = ()
    observers: pluggy.PluginManager = field(factory=lambda: pluggy.PluginManager(PROJECT))
    waiting: dict[str, tuple[EntryPoint, Source]] = field(factory=dict)
    """The project's own entry points that nobody has asked for yet."""

    def executor(self, name: str) -> ExecutorPlugin:
        """Return an executor by name. Raises `PluginError` naming those that exist."""
        return self._named("executor", self.executors, name)

    def store(self, name: str) -> StorePlugin:
        """Return a store by name. Raises `PluginError` naming those that exist."""
        return self._named("store", self.stores, name)

    def decoder(self, name: str) -> DecoderPlugin:
        """Return a decoder by name. Raises `PluginError` naming those that exist."""
        return self._named("decoder", self.decoders, name)

    def market_source(self, name: str) -> MarketsPlugin:
        """Return a market source by name. Raises `PluginError` naming those that exist."""
        return self._named("market source", self.markets, name)

    def load_all(self) -> None:
        """Import what is still waiting, so that everything that may be named is listed. Raises `PluginError`."""
        self.load(*self.waiting)

    def load(self, *entry_points: str) -> None:
        """Import these of the project's own entry points, where they are still waiting. Raises `PluginError`."""
        for name in entry_points:
            if name in self.waiting:
                entry, source = self.waiting.pop(name)
                _register(self, source, _load(entry, source))

    def distribution_of(self, plugin: ExecutorPlugin | StorePlugin | DecoderPlugin | MarketsPlugin) -> str:
        """Return name and version of the distribution that a plugin came with, for whoever has to mend it."""
        every = (*self.executors.values(), *self.stores.values(), *self.decoders.values(), *self.markets.values())
        for found, source in every:
            if found is plugin:
                return f"{source.distribution} {source.version}"
        return "of no distribution"

    def missing(self, allow: Collection[str]) -> list[str]:
        """Return the allowed distributions that offer no plugin on this machine."""
        installed = {_canonical(source.distribution) for source in self.installed}
        return sorted(name for name in allow if _canonical(name) not in installed)

    def _named(self, kind: str, found: Mapping[str, tuple[_P, Source]], name: str) -> _P:
        self.load(name, f"{kind}s")
        if name not in found:
            self.load_all()  # one module may have several plugins, and its entry point the name of one of them
        if name in found:
            return found[name][0]
        idle = sorted({source.distribution for source in self.installed if not source.allowed})
        hint = f"; installed but not in plugins.allow: {', '.join(idle)}" if idle else ""
        raise PluginError(f"no {kind} named '{name}'; installed: {', '.join(sorted(found)) or 'none'}{hint}")


def discover(allow: Collection[str] = ()) -> Registry:
    """Read every installed entry point, load those of the allowed distributions and know where the project's own are.

    Raises:
        PluginError: an allowed plugin does not import, implements an unknown hook, or registers a taken name.
    """
    registry = Registry()
    registry.observers.add_hookspecs(hookspecs)
    sources = []
    wanted = {_canonical(name) for name in (*allow, OWN_DISTRIBUTION)}
    found = sorted(_entry_points(), key=lambda one: (one[1], one[0].name))
    _expect_one_of_each(wanted, {distribution for _, distribution, _ in found})
    for entry, distribution, version in found:
        allowed = _canonical(distribution) in wanted
        source = Source(entry_point=entry.name, distribution=distribution, version=version, allowed=allowed)
        sources.append((entry, source))
        if allowed and distribution == OWN_DISTRIBUTION:
            registry.waiting[entry.name] = (entry, source)
    registry.installed = tuple(source for _, source in sources)
    for entry, source in sources:
        if source.allowed and source.distribution != OWN_DISTRIBUTION:
            _register(registry, source, _load(entry, source))
    return registry


def _expect_one_of_each(wanted: Collection[str], installed: Collection[str]) -> None:
    """Raise `PluginError` where an allowed name fits several distributions: one was meant, and its code alone may run."""
    for name in sorted(wanted):
        twins = sorted(one for one in installed if _canonical(one) == name)
        if len(twins) > 1:
            raise PluginError(
                f"plugins.allow: {name} is the name of several distributions, remove all but one: {', '.join(twins)}"
            )


def plugin_packages() -> dict[str, str]:
    """Return which package of modules is whose: of every installed plugin, its distribution and version."""
    return {
        package: f"{distribution} {version}"
        for entry, distribution, version in _entry_points()
        if (package := entry.module.partition(".")[0]) != PROJECT
    }


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _entry_points() -> Sequence[tuple[EntryPoint, str, str]]:
    return _entry_points_in(tuple((place, _changed_at(place)) for place in sys.path))


@lru_cache(maxsize=1)
def _entry_points_in(places: tuple[tuple[str, int | None], ...]) -> Sequence[tuple[EntryPoint, str, str]]:
    """Read those of all distributions, of which there may be hundreds: once, as long as nothing is installed or removed."""
    found, seen = list[tuple[EntryPoint, str, str]](), set[str]()
    for distribution in distributions(path=[place for place, _ in places]):
        entries = [entry for entry in distribution.entry_points if entry.group == PROJECT]
        if not entries:
            continue  # before its metadata is read, as a name costs a parser of e-mails
        metadata = distribution.metadata  # each time that it is asked for, it is parsed
        name, version = metadata["Name"], metadata["Version"]
        if name in seen:  # an editable install may show twice on sys.path
            continue
        seen.add(name)
        found.extend((entry, name, version) for entry in entries)
    return tuple(found)


def _changed_at(place: str) -> int | None:
    try:
        return os.stat(place or ".").st_mtime_ns
    except OSError:
        return None


def _load(entry: EntryPoint, source: Source) -> ModuleType:
    try:
        with same_recursion_limit():
            module = entry.load()
    except Exception as error:
        # A plugin's import may raise anything; the operator needs to know whose it was.
        raise PluginError(f"plugin {source.distribution} {source.version} does not import: {error!r}") from error
    if not isinstance(module, ModuleType):
        raise PluginError(f"plugin {source.distribution}: expected entry point {entry.name} to be a module")
    return module


def _register(registry: Registry, source: Source, module: ModuleType) -> None:
    manager = registry.observers
    # Registration hooks of this one module only, so that each name is known to come from its own distribution.
    manager.register(module, name=f"{source.distribution}:{source.entry_point}")
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(f"plugin {source.distribution}: {error}") from error
    others = [plugin for plugin in manager.get_plugins() if plugin is not module]
    hook = manager.subset_hook_caller

    def into(kind: str, found: dict[str, tuple[_P, Source]], plugin: _P) -> None:
        registry.load(plugin.name, f"{kind}s")  # a name of ours is taken, whether it was asked for or not
        if plugin.name in found:
            taken = found[plugin.name][1]
            raise PluginError(
                f"{kind} '{plugin.name}' of {source.distribution} is already taken by {taken.distribution}"
            )
        found[plugin.name] = (plugin, source)

    hook("trio_copy_register_executors", others)(register=lambda plugin: into("executor", registry.executors, plugin))
    hook("trio_copy_register_stores", others)(register=lambda plugin: into("store", registry.stores, plugin))
    hook("trio_copy_register_markets", others)(register=lambda plugin: into("market source", registry.markets, plugin))
    hook("trio_copy_register_decoders", others)(register=lambda plugin: into("decoder", registry.decoders, plugin))
