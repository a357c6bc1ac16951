"""Settings and plugins put together, checked whole, before anything is started."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from trio_copy.chain.decoders.resolutions import DECISION_TOPICS
from trio_copy.config import Draft, PluginTable, Settings, ShardsSettings, read_draft, structure_plugin_table
from trio_copy.config.catalog import read_catalog
from trio_copy.config.places import NOWHERE, Places
from trio_copy.errors import ConfigError, PluginError
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.control import account_shard
from trio_copy.model.follows import EVERYBODY, Follower, Followers
from trio_copy.model.ids import FollowerId
from trio_copy.ports import Decoder, DecoderContext, ExecutorPlugin, MarketsPlugin, StorePlugin
from trio_copy.registry import Registry, discover
from trio_copy.telemetry.redaction import Redactor


@frozen(kw_only=True)
class PlannedExecutor:
    name: str
    plugin: ExecutorPlugin
    settings: Any


@frozen(kw_only=True)
class PlannedStore:
    plugin: StorePlugin
    settings: Any


@frozen(kw_only=True)
class PlannedMarkets:
    name: str
    plugin: MarketsPlugin
    settings: Any


@frozen(kw_only=True)
class Plan:
    """All that a service needs to start; making one starts nothing."""

    settings: Settings
    path: Path | None = None
    """The file it was read from; None where it was made in code."""
    places: Places = NOWHERE
    """Where the keys of the file stand."""
    registry: Registry
    executors: tuple[PlannedExecutor, ...]
    store: PlannedStore
    decoders: Mapping[str, Decoder]
    """By the name in the configuration."""
    markets: PlannedMarkets | None = None
    """Where facts and prices of tokens come from; None where only a catalog's file tells."""
    redactor: Redactor = field(factory=Redactor)
    """Knows the secrets that were read, and takes them out of what is shown and kept."""

    @cached_property
    def shards(self) -> ShardsSettings | None:
        """How accounts are shared; None for a store that serves one instance."""
        return (self.settings.shards or ShardsSettings()) if self.store.plugin.shared else None

    @cached_property
    def shard_count(self) -> int:
        """How many slices the accounts are cut into."""
        return 1 if self.shards is None else self.shards.count

    @cached_property
    def _followers(self) -> Followers:
        return self.settings.followers()

    @cached_property
    def _places(self) -> dict[FollowerId, int]:
        return {}

    def shard_of(self, follower: FollowerId) -> int:
        """Return the shard of a follower's account, also of one that the configuration does not name any more."""
        place = self._places.get(follower)  # asked with every copy
        if place is None:
            known = follower in self._followers
            account = self._followers[follower] if known else Follower(follower=follower, executor="")
            place = self._places[follower] = account_shard(account, self.shard_count)
        return place

    @property
    def moves_money(self) -> bool:
        return any(executor.plugin.moves_money for executor in self.executors)

    @property
    def plays(self) -> bool:
        """Whether what would move money does so at a venue that the run brings along: play money."""
        return self.moves_money and self.settings.engine.mode != "live"


def at_home(settings: Settings) -> frozenset[str]:
    """Return the executors whose venue a run brings along: there they trade with play money, and reach nobody else."""
    if settings.devnet is not None:
        return frozenset({"clob"})
    return frozenset() if settings.anvil is None else frozenset({"onchain"})


def read_facts(plan: Plan) -> tuple[TokenFacts, ...]:
    """Read the catalog of a plan, if it names one. Raises `ConfigError` when the file is wrong."""
    file = plan.settings.catalog.file
    return read_catalog(Path(file)) if file else ()


def load_plan(path: Path, redactor: Redactor | None = None) -> Plan:
    """Read a configuration, load the plugins it allows and check everything.

    The redactor learns every secret that is read, also when there is an error.

    Raises:
        ConfigError: with one line for every problem of the file and of the plugins' tables.
        PluginError: an allowed plugin is broken.
    """
    redactor = Redactor() if redactor is None else redactor
    draft = read_draft(path, redactor.learn)
    redactor.recognise(*draft.names)
    plan, problems = _complete(draft, discover(draft.allow), redactor, of_file=True)
    if plan is None or problems:
        raise ConfigError([draft.places.located(path, problem) for problem in problems])
    return evolve(plan, path=path, places=draft.places)


def make_plan(settings: Settings, registry: Registry, redactor: Redactor | None = None) -> Plan:
    """Check the plugins' tables of settings that were made in code.

    Raises:
        ConfigError: with one line for every problem.
    """
    draft = Draft(
        settings=settings,
        executor=settings.executor,
        store=(settings.store,),
        decoder=settings.decoder,
        markets=settings.markets,
        allow=settings.plugins.allow,
        problems=(),
    )
    plan, problems = _complete(draft, registry, Redactor() if redactor is None else redactor, of_file=False)
    if plan is None or problems:
        raise ConfigError(problems)
    return plan


def with_options(plan: Plan, kind: str, options: Mapping[str, Mapping[str, Any]]) -> Plan:
    """Return a plan whose decoders, or executors, are told more than their tables say: by plugin, what stands in its table.

    `kind` is "decoder" or "executor". The tables in the settings stay as they were read.

    Raises:
        ConfigError: a plugin does not take it.
        PluginError: as `load_plan`.
    """
    settings, registry = plan.settings, plan.registry
    tables = {
        table.name: evolve(table, options={**table.options, **options[table.plugin]})
        for table in (settings.decoder if kind == "decoder" else settings.executor)
        if table.plugin in options
    }
    if kind == "executor":
        executors = (
            evolve(one, settings=structure_plugin_table(kind, tables[one.name], one.plugin.settings, of_file=False))
            if one.name in tables
            else one
            for one in plan.executors
        )
        return evolve(plan, executors=tuple(executors))
    made = dict(plan.decoders)
    for name, table in tables.items():
        plugin = registry.decoder(table.plugin)
        checked = structure_plugin_table(kind, table, plugin.settings, of_file=False)
        made[name] = plugin.make(DecoderContext(settings=checked, chain_id=settings.chain.chain_id))
    return evolve(plan, decoders=made)


def _complete(draft: Draft, registry: Registry, redactor: Redactor, *, of_file: bool) -> tuple[Plan | None, list[str]]:
    """Check the plugins' tables of a draft; every problem there is, and a plan when there is none."""
    problems = list(draft.problems)

    def read_table(kind: str, find: Any, table: PluginTable) -> list[tuple[Any, Any]]:  # noqa: ANN401
        """Return the plugin of a table with its checked settings, or nothing and a problem."""
        try:
            plugin = find(table.plugin)
            return [(plugin, structure_plugin_table(kind, table, plugin.settings, redactor.learn, of_file=of_file))]
        except PluginError as error:
            problems.append(f"{kind}.{table.name}: {error}")
        except ConfigError as error:
            told = {problem.partition(": ")[0] for problem in problems}  # a secret in the file is one problem, not two
            problems.extend(problem for problem in error.problems if problem.partition(": ")[0] not in told)
        return []

    problems.extend(
        f"plugins.allow: expected an installed plugin, got {name}" for name in registry.missing(draft.allow)
    )
    executors = tuple(
        PlannedExecutor(name=table.name, plugin=plugin, settings=checked)
        for table in draft.executor
        for plugin, checked in read_table("executor", registry.executor, table)
    )
    stores = [
        PlannedStore(plugin=plugin, settings=checked)
        for table in draft.store
        for plugin, checked in read_table("store", registry.store, table)
    ]
    decoders = [
        (table.name, plugin, checked)
        for table in draft.decoder
        for plugin, checked in read_table("decoder", registry.decoder, table)
    ]
    markets = [
        PlannedMarkets(name=table.name, plugin=plugin, settings=checked)
        for table in draft.markets
        for plugin, checked in read_table("markets", registry.market_source, table)
    ]
    settings = draft.settings
    if settings is None:
        return None, problems
    made = {
        name: plugin.make(DecoderContext(settings=checked, chain_id=settings.chain.chain_id))
        for name, plugin, checked in decoders
    }
    problems.extend(_unsafe(settings, executors, stores))
    problems.extend(_unredeemed(settings, executors, made))
    problems.extend(_ambiguous(made))
    if not stores:
        return None, problems
    plan = Plan(
        settings=settings,
        registry=registry,
        executors=executors,
        store=stores[0],
        decoders=made,
        markets=markets[0] if markets else None,
        redactor=redactor,
    )
    return plan, problems


def _unsafe(settings: Settings, executors: tuple[PlannedExecutor, ...], stores: list[PlannedStore]) -> list[str]:
    movers = [executor.name for executor in executors if executor.plugin.moves_money]
    problems: list[str] = []
    plays = settings.brings_chain and {one.plugin.name for one in executors if one.name in movers} <= at_home(settings)
    if plays and settings.engine.mode != "live":
        problems.extend(
            f"follower[{index}].wallet: expected a paper wallet: its paper_usd is what {one.executor} trades with at the venue of this run"
            for index, one in enumerate(settings.follower)
            if one.executor in movers and (one.id == EVERYBODY or not _on_paper(settings, one.wallet))
        )
    elif movers and settings.engine.mode != "live":
        problems.append(
            f'engine.mode: expected "live" because the executor {", ".join(movers)} moves money, got "paper"'
        )
    if settings.engine.mode == "live":
        problems.extend(
            f"follower[{index}].wallet: expected a live wallet, a [wallet.NAME] with a key, because {one.executor} moves money"
            for index, one in enumerate(settings.follower)
            if one.executor in movers and one.wallet not in settings.live_wallets()
        )
    if settings.engine.mode == "live" and stores and not stores[0].plugin.durable:
        problems.append(
            f"store.{settings.store.name}: expected a durable store in mode live; "
            "this one forgets what was sent when the process ends"
        )
    if settings.shards is not None and stores and not stores[0].plugin.shared:
        problems.append(
            f"shards: expected a store that several instances can share, such as [store.redis], got [store.{settings.store.name}]"
        )
    return problems


def _unredeemed(
    settings: Settings, executors: tuple[PlannedExecutor, ...], decoders: Mapping[str, Decoder]
) -> list[str]:
    """Say which wallets could not redeem anything, though they are to."""
    movers = {one.name for one in executors if one.plugin.moves_money}
    able = {one.name for one in executors if one.plugin.acts}
    redeems = {name for name, wallet in settings.wallet.items() if wallet.redeem}
    redeem = [one for one in settings.follower if one.executor in movers and one.wallet in redeems]
    problems = [
        f"wallet.{one.wallet}.redeem: expected its follower's executor, or just one beside it, to have wallets act"
        for one in redeem
        if one.executor not in able and len(able) != 1
    ]
    if redeem and all(decoder.topics.isdisjoint(DECISION_TOPICS) for decoder in decoders.values()):
        problems.append(
            f"wallet.{redeem[0].wallet}.redeem: expected [decoder.resolutions] beside it: nobody else tells what is decided"
        )
    return problems


def _on_paper(settings: Settings, wallet: str | None) -> bool:
    return wallet is not None and wallet in settings.wallet and not settings.wallet[wallet].live


def _ambiguous(decoders: Mapping[str, Decoder]) -> list[str]:
    owners: dict[str, str] = {}
    problems = []
    for name, decoder in decoders.items():
        for topic in sorted(decoder.topics):
            if topic in owners:
                problems.append(f"decoder.{name}: reads the same event as decoder.{owners[topic]}: {topic}")
            owners.setdefault(topic, name)
    return problems
