"""Reads a TOML file into `Settings`. It collects every problem it can see instead of stopping at the first."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
from cattrs.errors import ClassValidationError

from trio_copy.config.fleets import wrong_fleets, wrong_members
from trio_copy.config.lines import no_utf8
from trio_copy.config.places import NOWHERE, Places, places_in
from trio_copy.config.problems import lines_of
from trio_copy.config.references import names_in, wrong_references
from trio_copy.config.secrets import Learn, find_secrets, forget, has_secret_parts, read_named_secret, written
from trio_copy.config.settings import PluginTable, Settings
from trio_copy.config.strict import shown, structure
from trio_copy.config.wallets import wrong_owners, wrong_wallets
from trio_copy.errors import ConfigError
from trio_copy.files import open_promptly, trouble_of_place
from trio_copy.model.follow_settings import contradictions

DEMONSTRATIONS = {
    name: Path(__file__).parent.parent / "demonstrations" / Path(name).name
    for name in ("conf/demo.toml", "conf/demo-clob.toml", "conf/demo-onchain.toml", "conf/books.toml")
}
"""Configurations that reach nothing outside of the process, and where an installation has them."""
_DEEPEST = 50
"""Levels of tables and lists; no setting lies deeper than five."""
_BYTES_MOST = 64 << 20
"""A hundred thousand follows are a quarter of it."""
_PLUGIN_TABLES = ("executor", "store", "decoder", "markets")


@attrs.frozen(kw_only=True)
class Draft:
    """A configuration that was read as far as it could be, with everything that is wrong with it."""

    settings: Settings | None
    """None when the file's own tables are wrong."""
    executor: tuple[PluginTable, ...]
    store: tuple[PluginTable, ...]
    decoder: tuple[PluginTable, ...]
    markets: tuple[PluginTable, ...]
    allow: tuple[str, ...]
    """Distributions whose plugins may be loaded."""
    problems: tuple[str, ...]
    names: tuple[str, ...] = ()
    """What the file calls things by."""
    places: Places = NOWHERE
    """Where its keys stand."""


def read_draft(path: Path, learn: Learn = forget) -> Draft:
    """Read a configuration; plugin tables are checked by `structure_plugin_table` once plugins are known.

    `learn` hears of every secret on the way, also of those that stand in the file although they must not.

    Raises:
        ConfigError: there is no such file, or it is not TOML.
    """
    text, table = _read_toml(path)
    places = places_in(text, table)
    problems: list[str] = list(find_secrets(table, learn))
    names, astray = tuple(names_in(table, (*_PLUGIN_TABLES, "wallet", "fleet"))), list(wrong_references(table))
    executor, store, decoder, markets = (_plugin_tables(kind, table.pop(kind, {}), problems) for kind in _PLUGIN_TABLES)
    if len(store) != 1:
        problems.append(f"store: expected exactly one table [store.NAME], got {len(store)}")
    if len(markets) > 1:
        problems.append(f"markets: expected at most one table [markets.NAME], got {len(markets)}")
    settings: Settings | None = None
    try:
        settings = _structure_settings(table)
    except ClassValidationError as error:
        problems.extend(lines_of(error, ""))
    told = {problem.partition(": ")[0] for problem in problems}
    problems.extend(problem for problem in astray if problem.partition(": ")[0] not in told)
    if settings is not None:
        settings = attrs.evolve(
            settings,
            executor=executor,
            store=store[0] if store else settings.store,
            decoder=decoder,
            markets=markets,
        )
        problems.extend(_contradictions(settings))
        settings = _with_named_urls(settings, problems, learn)
    return Draft(
        settings=settings,
        executor=executor,
        store=store,
        decoder=decoder,
        markets=markets,
        allow=settings.plugins.allow if settings is not None else _allowed(table),
        problems=tuple(problems),
        names=names,
        places=places,
    )


def _allowed(table: Mapping[str, Any]) -> tuple[str, ...]:
    """Read plugins.allow from a file with other mistakes in it."""
    plugins = table.get("plugins")
    allow = plugins.get("allow") if isinstance(plugins, dict) else None
    return tuple(name for name in allow if isinstance(name, str)) if isinstance(allow, list) else ()


def structure_plugin_table(
    kind: str, table: PluginTable, settings_class: type, learn: Learn = forget, *, of_file: bool = False
) -> Any:  # noqa: ANN401  plugin's own
    """Check a plugin's table against the attrs class it registered, and read the secrets that it names.

    In a table that stands in a file (`of_file`) they have to be named; a command line may give them as they are.

    Raises:
        ConfigError: with one line for every problem, without the file's name.
    """
    problems: list[str] = []
    path = f"{kind}.{table.name}"
    try:
        settings = _with_secrets(structure(table.options, settings_class), path, learn, problems, of_file=of_file)
    except ClassValidationError as error:
        raise ConfigError(lines_of(error, path)) from None
    if problems:
        raise ConfigError(problems)
    return settings


def _with_secrets(
    settings: Any,  # noqa: ANN401  plugin's own
    path: str,
    learn: Learn,
    problems: list[str],
    *,
    of_file: bool,
) -> Any:  # noqa: ANN401  plugin's own
    """Read the secrets that a plugin's settings name, in tables inside of them too."""
    read = {}
    for field in attrs.fields(type(settings)):
        value, name = getattr(settings, field.name), f"{path}.{field.name}"
        if attrs.has(type(value)):
            inner = _with_secrets(value, name, learn, problems, of_file=of_file)
            if inner is not value:
                read[field.alias] = inner
        elif field.metadata.get("secret") and isinstance(value, str) and value != field.default:
            try:
                secret = read_named_secret(value, learn)
                if field.validator is not None:
                    field.validator(settings, field, secret)
            except ValueError as error:
                problems.append(f"{name}: {error}")
                continue
            read[field.alias] = secret
            if of_file and secret == value and not _is_public_url(value):
                problems.append(written(name))
    with attrs.validators.disabled():  # each was asked above, where its answer is a line about this field
        return attrs.evolve(settings, **read) if read else settings


def _is_public_url(text: str) -> bool:
    return "://" in text and not has_secret_parts(text)


def _read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        with open(file_of(path), "rb", opener=open_promptly) as file:
            read = file.read(_BYTES_MOST + 1)
            if len(read) > _BYTES_MOST:
                raise ConfigError([f"{path}: expected at most {_BYTES_MOST >> 20} MiB, got more"])
            if not read and (trouble := trouble_of_place(path)) is not None:
                raise ConfigError([f"{path}: {trouble} out of which nothing comes"])
            text = read.decode("utf-8-sig").replace("\r\n", "\n")
            table = tomllib.loads(text, parse_float=Decimal)
            _refuse_depth(table)
            return text, table
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror or error}"]) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError([f"{path}:{line}: not valid TOML: {no_utf8(error)}"]) from None
    except RecursionError:
        raise ConfigError([f"{path}: not valid TOML: nested too deep"]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path}: not valid TOML: {error}"]) from None
    except ValueError:
        # Of Python's own, and it would advise to change the interpreter.
        raise ConfigError([f"{path}: not valid TOML: a number of thousands of digits"]) from None


def _refuse_depth(table: dict[str, Any]) -> None:
    """Raise `RecursionError` where dotted keys nest without end: what walks through a table calls itself for each level."""
    level: list[Any] = [table]
    for _ in range(_DEEPEST):
        within = (one.values() if isinstance(one, dict) else one for one in level)
        level = [inner for ones in within for inner in ones if isinstance(inner, (dict, list))]
        if not level:
            return
    raise RecursionError


def file_of(path: Path) -> Path:
    """Return where a configuration is, if it is anywhere: a demonstration came along, and needs no file where somebody is.

    Only a demonstration: what somebody has written himself, and looks for in the wrong folder, is not to be guessed.
    """
    came_along = DEMONSTRATIONS.get(str(path))
    return path if came_along is None or path.exists() or not came_along.exists() else came_along


def _plugin_tables(kind: str, tables: object, problems: list[str]) -> tuple[PluginTable, ...]:
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        problems.append(f"{kind}: expected tables [{kind}.NAME]")
        return ()
    found = []
    for name, options in tables.items():
        rest = dict(options)
        plugin = rest.pop("use", name)
        if not isinstance(plugin, str):
            problems.append(f"{kind}.{name}.use: expected the name of a plugin, got {shown(plugin)}")
            continue
        found.append(PluginTable(name=name, plugin=plugin, options=rest))
    return tuple(found)


def _structure_settings(table: dict[str, Any]) -> Settings:
    # The tables of plugins were taken out; a placeholder keeps the field required in the type.
    settings: Settings = structure({**table, "store": PluginTable(name="", plugin="", options={})}, Settings)
    return settings


def _contradictions(settings: Settings) -> list[str]:
    """Return what no single value can tell: duplicates, and tables that do not go together."""
    problems: list[str] = []
    problems.extend(_twice("follower", "expected each id once", [f.id for f in settings.follower]))
    pairs = [f"{f.follower} copies {f.leader}" for f in settings.follow]
    problems.extend(_twice("follow", "expected each pair once", pairs))
    problems.extend(_twice("leader", "expected each address once", [one.address for one in settings.leader]))
    problems.extend(_twice("endpoint", "expected each name once", [one.name for one in settings.endpoint]))
    problems.extend(_wrong_names(settings))
    problems.extend(_impossible_follows(settings))
    problems.extend(wrong_wallets(settings.wallet, settings.engine.mode))
    problems.extend(wrong_fleets(settings.fleet))
    problems.extend(wrong_members(settings.wallet, [(one.wallet, one.executor) for one in settings.follower]))
    problems.extend(wrong_owners(settings.wallet, [(one.id, one.wallet, one.address) for one in settings.follower]))
    if not settings.brings_chain and not settings.endpoint:
        problems.append("endpoint: expected at least one [[endpoint]], or a [devnet] or [anvil] table")
    if settings.devnet is not None and settings.anvil is not None:
        problems.append("anvil: expected no [devnet] beside it: they are two chains")
    problems.extend(
        f"{name}: expected no [[endpoint]] beside it: a scripted market must not mix with a real chain"
        for name, table in (("devnet", settings.devnet), ("anvil", settings.anvil))
        if table is not None and settings.endpoint
    )
    if settings.shards is not None:
        part, parts = settings.shards.index, settings.shards.of
        if (part is None) != (parts is None):
            problems.append("shards: expected index and of together, or neither")
        elif part is not None and parts is not None and (part >= parts or parts > settings.shards.count):
            problems.append(
                f"shards.index: expected an index under of, and of at most count,"
                f" got index = {part}, of = {parts}, count = {settings.shards.count}"
            )
    if not settings.decoder:
        problems.append("decoder: expected at least one table [decoder.NAME]; nothing would be read otherwise")
    return problems


def _wrong_names(settings: Settings) -> Iterator[str]:
    """Yield what no name of a leader can mean: everybody's, or that of several."""
    levels = [("defaults", settings.defaults), *((f"follower[{i}]", one) for i, one in enumerate(settings.follower))]
    for where, level in levels:
        if level.name is not None:
            yield f'{where}.name: expected none, it would be every leader\'s, got "{level.name}"; see [[leader]]'
    called: dict[str, set[str]] = {}
    for name, address in (
        *((table.name, table.address) for table in settings.leader),
        *((table.name, table.leader) for table in settings.follow),
    ):
        if name is not None:
            called.setdefault(name.casefold(), set()).add(address)
    for name, addresses in called.items():
        if len(addresses) > 1:
            yield f'leader: expected each name for one address, got "{name}" for {", ".join(sorted(addresses))}'


def _impossible_follows(settings: Settings) -> Iterator[str]:
    """Yield what no signal could pass, with every level put together."""
    terms = settings.terms()
    for index, follow in enumerate(settings.follows()):
        if follow.follower in terms.followers:
            for path, problem in contradictions(terms.of(follow).settings):
                yield f"follow[{index}].{path}: {problem}"


def _with_named_urls(settings: Settings, problems: list[str], learn: Learn) -> Settings:
    endpoints = []
    for index, endpoint in enumerate(settings.endpoint):
        try:
            endpoints.append(attrs.evolve(endpoint, url=read_url(endpoint.url, learn)))
        except ValueError as error:
            problems.append(f"endpoint[{index}].url: {error}")
    return attrs.evolve(settings, endpoint=tuple(endpoints))


def read_url(text: str, learn: Learn = forget) -> str:
    """Return the URL of a node that a text is, or names. Raises `ValueError` when it is none, or cannot be read."""
    url = read_named_secret(text, learn)
    if not _is_websocket_url(url):
        raise ValueError("expected a URL with ws:// or wss://, or env:NAME, or file:PATH")
    return url


def _is_websocket_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").encode("idna"), parts.port  # both raise for what cannot be connected to
    except ValueError:
        return False
    return parts.scheme in ("ws", "wss") and bool(host) and port != 0


def _twice(kind: str, expected: str, names: Sequence[str]) -> Iterator[str]:
    """Yield a problem for each name that an earlier table of the same kind has."""
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if first.setdefault(name, index) != index:
            yield f"{kind}[{index}]: {expected}, got {name} as in {kind}[{first[name]}]"
