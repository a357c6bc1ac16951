"""Reads a TOML file into `Settings`. It collects every problem it can see instead of stopping at the first."""

import difflib
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from decimal import Decimal
from functools import partial
from operator import is_
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import cattrs
from cattrs.errors import (
    AttributeValidationNote,
    BaseValidationError,
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn

from trio_copy.config.addresses import checked_address
from trio_copy.config.secrets import find_secrets, read_named_secret
from trio_copy.config.settings import FollowTable, PluginTable, Settings
from trio_copy.errors import ConfigError
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, FollowerId, TokenId
from trio_copy.model.units import Micro, Price, Ratio, Usd

_PLUGIN_TABLES = ("executor", "store", "decoder")


@attrs.frozen(kw_only=True)
class Draft:
    """A configuration that was read as far as it could be, with everything that is wrong with it."""

    settings: Settings | None
    """None when the file's own tables are wrong."""
    executor: tuple[PluginTable, ...]
    store: tuple[PluginTable, ...]
    decoder: tuple[PluginTable, ...]
    allow: tuple[str, ...]
    """Distributions whose plugins may be loaded."""
    problems: tuple[str, ...]


def read_draft(path: Path) -> Draft:
    """Read a configuration; plugin tables are checked by `structure_plugin_table` once plugins are known.

    Raises:
        ConfigError: there is no such file, or it is not TOML.
    """
    table = _read_toml(path)
    problems: list[str] = list(find_secrets(table))
    executor, store, decoder = (_plugin_tables(kind, table.pop(kind, {}), problems) for kind in _PLUGIN_TABLES)
    if len(store) != 1:
        problems.append(f"store: expected exactly one table [store.NAME], got {len(store)}")
    settings: Settings | None = None
    try:
        settings = _structure_settings(table)
    except ClassValidationError as error:
        problems.extend(_lines(error, ""))
    if settings is not None:
        settings = attrs.evolve(
            settings, executor=executor, store=store[0] if store else settings.store, decoder=decoder
        )
        problems.extend(_contradictions(settings))
        settings = _with_named_urls(settings, problems)
    return Draft(
        settings=settings,
        executor=executor,
        store=store,
        decoder=decoder,
        allow=settings.plugins.allow if settings is not None else _allowed(table),
        problems=tuple(problems),
    )


def _allowed(table: Mapping[str, Any]) -> tuple[str, ...]:
    """Read plugins.allow from a file with other mistakes in it."""
    plugins = table.get("plugins")
    allow = plugins.get("allow") if isinstance(plugins, dict) else None
    return tuple(name for name in allow if isinstance(name, str)) if isinstance(allow, list) else ()


def structure_plugin_table(kind: str, table: PluginTable, settings_class: type) -> Any:  # noqa: ANN401  plugin's own
    """Check a plugin's table against the attrs class it registered.

    Raises:
        ConfigError: with one line for every problem, without the file's name.
    """
    try:
        return _structure(table.options, settings_class)
    except ClassValidationError as error:
        raise ConfigError(_lines(error, f"{kind}.{table.name}")) from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.loads(file.read().decode("utf-8-sig"), parse_float=Decimal)
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror or error}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: not valid TOML: {error}"]) from None


def _plugin_tables(kind: str, tables: object, problems: list[str]) -> tuple[PluginTable, ...]:
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        problems.append(f"{kind}: expected tables [{kind}.NAME]")
        return ()
    found = []
    for name, options in tables.items():
        rest = dict(options)
        plugin = rest.pop("use", name)
        if not isinstance(plugin, str):
            problems.append(f"{kind}.{name}.use: expected the name of a plugin, got {_shown(plugin)}")
            continue
        found.append(PluginTable(name=name, plugin=plugin, options=rest))
    return tuple(found)


def _structure_settings(table: dict[str, Any]) -> Settings:
    # The tables of plugins were taken out; a placeholder keeps the field required in the type.
    settings: Settings = _structure({**table, "store": PluginTable(name="", plugin="", options={})}, Settings)
    return settings


def _contradictions(settings: Settings) -> list[str]:
    """Return what no single value can tell: duplicates and names that lead nowhere."""
    problems = []
    followers = {follower.id for follower in settings.follower}
    executors = {table.name for table in settings.executor}
    if len(followers) < len(settings.follower):
        problems.append("follower: expected each id once, got " + ", ".join(_twice(f.id for f in settings.follower)))
    for index, follower in enumerate(settings.follower):
        if follower.executor not in executors:
            names = ", ".join(sorted(executors)) or "none"
            problems.append(
                f'follower[{index}].executor: expected a configured executor ({names}), got "{follower.executor}"'
                + _suggestion(follower.executor, executors)
            )
    for index, follow in enumerate(settings.follow):
        if follow.follower not in followers:
            problems.append(
                f'follow[{index}].follower: expected the id of a [[follower]], got "{follow.follower}"'
                + _suggestion(follow.follower, followers)
            )
    problems.extend(
        f"follow: duplicate follow, {pair}"
        for pair in _twice(f"{f.follower} copies {f.leader}" for f in settings.follow)
    )
    problems.extend(
        f'endpoint: expected each name once, got "{name}" twice' for name in _twice(e.name for e in settings.endpoint)
    )
    problems.extend(problem for index, follow in enumerate(settings.follow) for problem in _empty_ranges(index, follow))
    if settings.devnet is None and not settings.endpoint:
        problems.append("endpoint: expected at least one [[endpoint]], or a [devnet] table")
    if settings.devnet is not None and settings.endpoint:
        problems.append("devnet: expected no [[endpoint]] beside it: a scripted market must not mix with a real chain")
    if not settings.decoder:
        problems.append("decoder: expected at least one table [decoder.NAME]; nothing would be read otherwise")
    return problems


def _empty_ranges(index: int, follow: FollowTable) -> Iterator[str]:
    """Yield pairs of limits that nothing can pass."""
    pairs = (
        ("filters.price_max", follow.filters.price_max, "price_min", follow.filters.price_min),
        ("size.range_max_usd", follow.size.range_max_usd, "range_min_usd", follow.size.range_min_usd),
        ("size.max_order_usd", follow.size.max_order_usd, "minimum_usd", follow.size.minimum_usd),
    )
    for upper, high, lower, low in pairs:
        if high.micro < low.micro:
            yield f"follow[{index}].{upper}: expected at least {lower}, which is {low}, got {high}"


def _with_named_urls(settings: Settings, problems: list[str]) -> Settings:
    endpoints = []
    for index, endpoint in enumerate(settings.endpoint):
        try:
            url = read_named_secret(endpoint.url)
            if not _is_websocket_url(url):
                problems.append(
                    f"endpoint[{index}].url: expected a URL with ws:// or wss://, or env:NAME, or file:PATH"
                )
        except ValueError as error:
            problems.append(f"endpoint[{index}].url: {error}")
            continue
        endpoints.append(attrs.evolve(endpoint, url=url))
    return attrs.evolve(settings, endpoint=tuple(endpoints))


def _is_websocket_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, _ = (parts.hostname or "").encode("idna"), parts.port  # both raise for what cannot be connected to
    except ValueError:
        return False
    return parts.scheme in ("ws", "wss") and bool(host)


def _twice(names: Any) -> list[str]:  # noqa: ANN401  any iterable of text
    seen: set[str] = set()
    return sorted({name for name in names if name in seen or seen.add(name)})  # type: ignore[func-returns-value]  # add


# ------------------------------------------------------------------------------------------------- rendering errors


def _lines(error: BaseException, path: str) -> list[str]:
    match error:
        case ForbiddenExtraKeysError():
            known = [field.name for field in attrs.fields(error.cl)]
            return [
                f"{_join(path, key)}: unknown key{_suggestion(key, known) or '; known: ' + ', '.join(sorted(known))}"
                for key in sorted(error.extra_fields)
            ]
        case ClassValidationError() | IterableValidationError():
            lines = []
            for inner in error.exceptions:
                lines.extend(_lines(inner, _join(path, _position(inner))))
            return lines
        case KeyError():
            return [f"{_join(path, str(error.args[0]))}: required, but not set"]
        case _:
            return [f"{path}: {error}"]


def _position(error: BaseException) -> str:
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            # A missing key is a KeyError that names the key itself.
            return "" if isinstance(error, KeyError) else note.name
        if isinstance(note, IterableValidationNote):
            return f"[{note.index}]"
    return ""


def _join(path: str, step: str) -> str:
    return path + step if not path or not step or step.startswith("[") else f"{path}.{step}"


def _suggestion(word: str, known: Any) -> str:  # noqa: ANN401  any iterable of text
    close = difflib.get_close_matches(word, list(known), n=1)
    return f'; did you mean "{close[0]}"?' if close else ""


def _shown(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


# ---------------------------------------------------------------------------------------------------- strict values


def _strict(kind: type, expected: str, *also: type) -> Callable[[Any, Any], Any]:
    def structure(value: Any, _: Any) -> Any:  # noqa: ANN401  as cattrs calls it
        if type(value) is kind:
            return value
        if type(value) in also:
            return kind(value)
        raise ValueError(f"expected {expected}, got {_shown(value)}")

    return structure


def _micro(expected: str) -> Callable[[Any, type[Micro]], Micro]:
    def structure(value: Any, of: type[Micro]) -> Micro:  # noqa: ANN401  as cattrs calls it
        if type(value) not in (int, Decimal, str):
            raise ValueError(f"expected {expected}, got {_shown(value)}")
        return of.parse(value)

    return structure


def _token_id(value: Any, _: Any) -> TokenId:  # noqa: ANN401  as cattrs calls it
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    if type(number) is not int or not 0 <= number < 2**256:
        raise ValueError(f"expected a token id, a whole number under 2^256 in quotes, got {_shown(value)}")
    return TokenId(number)


def _follower_id(value: Any, _: Any) -> FollowerId:  # noqa: ANN401  as cattrs calls it
    if (
        not isinstance(value, str)
        or not value
        or len(value) > 64
        or not value.replace("-", "").replace("_", "").isalnum()
    ):
        raise ValueError(f"expected a name of up to 64 letters, digits, - and _, got {_shown(value)}")
    return FollowerId(value)


def _address(value: Any, _: Any) -> Address:  # noqa: ANN401  as cattrs calls it
    if not isinstance(value, str):
        raise ValueError(f"expected an address, got {_shown(value)}")  # noqa: TRY004  one error type for bad values
    return checked_address(value)


def _side(value: Any, _: Any) -> Side:  # noqa: ANN401  as cattrs calls it
    if value not in ("BUY", "SELL"):
        raise ValueError(f"expected BUY or SELL, got {_shown(value)}")
    return Side(value)


def _sequence(of: type) -> Callable[[Any], Callable[[Any, Any], Any]]:
    def factory(annotation: Any) -> Callable[[Any, Any], Any]:  # noqa: ANN401  as cattrs calls it
        item = annotation.__args__[0]

        def structure(value: Any, _: Any) -> Any:  # noqa: ANN401  as cattrs calls it
            if not isinstance(value, list):
                raise ValueError(f"expected a list, got {_shown(value)}")  # noqa: TRY004  one error type
            errors, items = [], []
            for index, element in enumerate(value):
                try:
                    items.append(_CONVERTER.structure(element, item))
                except Exception as error:
                    error.add_note(IterableValidationNote("", index, item))
                    errors.append(error)
            if errors:
                raise IterableValidationError("", errors, annotation)
            return of(items)

        return structure

    return factory


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)
    hook, when = converter.register_structure_hook, converter.register_structure_hook_func
    hook(int, _strict(int, "a whole number"))
    hook(float, _strict(float, "a number", int, Decimal))
    hook(str, _strict(str, "text in quotes"))
    hook(bool, _strict(bool, "true or false"))
    hook(Side, _side)
    hook(PluginTable, lambda table, _: table)
    for money, expected in ((Usd, "an amount of USD"), (Price, "a price in USD"), (Ratio, "a factor such as 0.05")):
        hook(money, _micro(expected))
    named: tuple[tuple[Any, Any], ...] = ((Address, _address), (TokenId, _token_id), (FollowerId, _follower_id))
    for new_type, structure in named:
        when(partial(is_, new_type), structure)
    converter.register_structure_hook_factory(lambda of: getattr(of, "__origin__", None) is tuple, _sequence(tuple))
    converter.register_structure_hook_factory(
        lambda of: getattr(of, "__origin__", None) is frozenset, _sequence(frozenset)
    )
    converter.register_structure_hook_factory(attrs.has, lambda of: _class_hook(of, converter))
    return converter


def _class_hook(of: type, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    structure: Callable[[Any, Any], Any] = make_dict_structure_fn(
        of, converter, _cattrs_forbid_extra_keys=True, _cattrs_detailed_validation=True
    )

    def strict(value: Any, annotation: Any) -> Any:  # noqa: ANN401  as cattrs calls it
        if not isinstance(value, Mapping):
            raise ValueError(f"expected a table, got {_shown(value)}")  # noqa: TRY004  one error type for bad values
        try:
            instance = structure(value, annotation)
        except ClassValidationError as error:
            raise ClassValidationError("", [*error.exceptions, *_broken_parts(of, value, converter)], of) from None
        values = {field.name: getattr(instance, field.name) for field in attrs.fields(of)}
        errors = list(_broken_limits(of, values))
        if errors:
            raise ClassValidationError("", errors, of)
        return instance

    return strict


def _broken_parts(of: type, value: Mapping[str, Any], converter: cattrs.Converter) -> Iterator[Exception]:
    """Check the limits of those fields of a broken table that could be read."""
    for field in attrs.fields(of):
        if field.name in value and field.validator is not None:
            with suppress(ValueError, BaseValidationError):
                yield from _broken_limits(of, {field.name: converter.structure(value[field.name], field.type)})


def _broken_limits(of: type, values: Mapping[str, Any]) -> Iterator[Exception]:
    """Check every field, where attrs itself would stop at the first and not say which it was."""
    for field in attrs.fields(of):
        if field.name in values and field.validator is not None:
            try:
                field.validator(None, field, values[field.name])
            except ValueError as error:
                error.add_note(AttributeValidationNote("", field.name, field.type))
                yield error


def _structure(table: Mapping[str, Any], of: type) -> Any:  # noqa: ANN401  an instance of the class
    with attrs.validators.disabled():  # _broken_limits runs them instead
        return _CONVERTER.structure(table, of)


_CONVERTER = _make_converter()
