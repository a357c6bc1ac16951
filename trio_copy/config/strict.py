"""Turns plain TOML values into settings, strictly: nothing is coerced, and every mistake is found, not the first one."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from decimal import Decimal
from enum import Enum
from functools import partial
from operator import is_
from typing import Any, cast

import attrs
import cattrs
from cattrs.errors import (
    AttributeValidationNote,
    BaseValidationError,
    ClassValidationError,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn

from trio_copy.config.addresses import checked_address
from trio_copy.config.problems import lines_of, suggestion
from trio_copy.config.settings import LevelTable, PluginTable
from trio_copy.errors import ConfigError
from trio_copy.model.coins import Coins
from trio_copy.model.fills import Kind, Role, Side
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.follows import EVERYBODY
from trio_copy.model.ids import Address, FollowerId, TokenId
from trio_copy.model.layers import Layer, layer, leaves
from trio_copy.model.orders import SignatureType
from trio_copy.model.units import Micro, Price, Ratio, Usd


def shown(value: object) -> str:
    """Write a value as TOML does: whoever wrote the file never saw Python's way."""
    match value:
        case str():
            return f'"{value}"'
        case bool():
            return str(value).lower()
        case list():
            return f"[{', '.join(map(shown, value))}]"
        case dict():
            return f"{{{', '.join(f'{key} = {shown(inner)}' for key, inner in value.items())}}}"
        case _:
            return str(value)


def _strict(kind: type, expected: str, *also: type) -> Callable[[Any, Any], Any]:
    def structure(value: Any, _: Any) -> Any:  # noqa: ANN401  as cattrs calls it
        if type(value) is kind:
            return value
        if type(value) in also:
            return kind(value)
        raise ValueError(f"expected {expected}, got {shown(value)}")

    return structure


def _micro(expected: str) -> Callable[[Any, type[Micro]], Micro]:
    def structure(value: Any, of: type[Micro]) -> Micro:  # noqa: ANN401  as cattrs calls it
        if type(value) not in (int, Decimal, str):
            raise ValueError(f"expected {expected}, got {shown(value)}")
        return of.parse(value)

    return structure


def _coins(value: Any, _: Any) -> Coins:  # noqa: ANN401  as cattrs calls it
    if type(value) not in (int, Decimal, str):
        raise ValueError(f"expected an amount of the chain's coin, got {shown(value)}")
    return Coins.parse(value)


def _token_id(value: Any, _: Any) -> TokenId:  # noqa: ANN401  as cattrs calls it
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    if type(number) is not int or not 0 <= number < 2**256:
        raise ValueError(f"expected a token id, a whole number under 2^256 in quotes, got {shown(value)}")
    return TokenId(number)


def _follower_id(value: Any, _: Any) -> FollowerId:  # noqa: ANN401  as cattrs calls it
    if value != EVERYBODY and (
        not isinstance(value, str)
        or not value
        or len(value) > 64
        or not value.replace("-", "").replace("_", "").isalnum()
    ):
        raise ValueError(f"expected a name of up to 64 letters, digits, - and _, got {shown(value)}")
    return FollowerId(value)


def _address(value: Any, _: Any) -> Address:  # noqa: ANN401  as cattrs calls it
    if not isinstance(value, str):
        raise ValueError(f"expected an address, got {shown(value)}")  # noqa: TRY004  one error type for bad values
    return checked_address(value)


def _member(value: Any, of: type[Enum]) -> Enum:  # noqa: ANN401  as cattrs calls it
    words = [member.value for member in of]
    if value not in words:
        raise ValueError(f"expected {', '.join(words[:-1])} or {words[-1]}, got {shown(value)}")
    return of(value)


def _signature_type(value: Any, _: Any) -> SignatureType:  # noqa: ANN401  as cattrs calls it
    for one in SignatureType:
        if value == one.name.lower() or (type(value) is int and value == one):
            return one
    words = ", ".join(one.name.lower() for one in SignatureType)
    raise ValueError(f"expected one of {words}, or a number from 0 to 3, got {shown(value)}")


def _sequence(of: type) -> Callable[[Any], Callable[[Any, Any], Any]]:
    def factory(annotation: Any) -> Callable[[Any, Any], Any]:  # noqa: ANN401  as cattrs calls it
        item = annotation.__args__[0]

        def structure(value: Any, _: Any) -> Any:  # noqa: ANN401  as cattrs calls it
            if not isinstance(value, list):
                raise ValueError(f"expected a list, got {shown(value)}")  # noqa: TRY004  one error type
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


def _named_tables(annotation: Any) -> Callable[[Any, Any], Any]:  # noqa: ANN401  as cattrs calls it
    item = annotation.__args__[1]

    def structure(value: Any, _: Any) -> Any:  # noqa: ANN401  as cattrs calls it
        if not isinstance(value, Mapping):
            raise ValueError(f"expected tables with a name each, got {shown(value)}")  # noqa: TRY004  one error type
        errors, tables = [], {}
        for name, table in value.items():
            try:
                tables[name] = _CONVERTER.structure(table, item)
            except Exception as error:
                error.add_note(AttributeValidationNote("", name, item))
                errors.append(error)
        if errors:
            raise ClassValidationError("", errors, item)
        return tables

    return structure


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)
    hook, when = converter.register_structure_hook, converter.register_structure_hook_func
    hook(int, _strict(int, "a whole number"))
    hook(float, _strict(float, "a number", int, Decimal))
    hook(str, _strict(str, "text in quotes"))
    hook(bool, _strict(bool, "true or false"))
    for words in (Side, Role, Kind):
        hook(words, _member)
    hook(SignatureType, _signature_type)
    hook(PluginTable, lambda table, _: table)
    for money, expected in ((Usd, "an amount of USD"), (Price, "a price in USD"), (Ratio, "a factor such as 0.05")):
        hook(money, _micro(expected))
    hook(Coins, _coins)
    named: tuple[tuple[Any, Any], ...] = ((Address, _address), (TokenId, _token_id), (FollowerId, _follower_id))
    for new_type, structure in named:
        when(partial(is_, new_type), structure)
    converter.register_structure_hook_factory(lambda of: getattr(of, "__origin__", None) is tuple, _sequence(tuple))
    converter.register_structure_hook_factory(
        lambda of: getattr(of, "__origin__", None) is frozenset, _sequence(frozenset)
    )
    converter.register_structure_hook_factory(lambda of: getattr(of, "__origin__", None) is Mapping, _named_tables)
    converter.register_structure_hook_factory(attrs.has, lambda of: _class_hook(of, converter))
    return converter


def _class_hook(of: type, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    structure: Callable[[Any, Any], Any] = make_dict_structure_fn(
        of, converter, _cattrs_forbid_extra_keys=True, _cattrs_detailed_validation=True
    )

    def strict(value: Any, annotation: Any) -> Any:  # noqa: ANN401  as cattrs calls it
        if not isinstance(value, Mapping):
            raise ValueError(f"expected a table, got {shown(value)}")  # noqa: TRY004  one error type for bad values
        try:
            instance = structure(value, annotation)
        except ClassValidationError as error:
            raise ClassValidationError("", [*error.exceptions, *_broken_parts(of, value, converter)], of) from None
        values = {field.name: getattr(instance, field.name) for field in attrs.fields(of)}
        errors = list(_broken_limits(of, values))
        if errors:
            raise ClassValidationError("", errors, of)
        if isinstance(instance, LevelTable):
            instance.note_given(value)
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


def structure(table: Mapping[str, Any], of: type) -> Any:  # noqa: ANN401  an instance of the class
    with attrs.validators.disabled():  # _broken_limits runs them instead
        return _CONVERTER.structure(table, of)


def structure_follower_id(value: object) -> FollowerId:
    """Check the name of a follower. Raises `ValueError` when it is none."""
    return _follower_id(value, FollowerId)


def structure_layer(plain: Mapping[str, Any]) -> Layer:
    """Check plain values by dotted path, as a command line or a file of follows gives them.

    Raises:
        ConfigError: with one line for every problem, each starting with the path.
    """
    known, values, problems = leaves(FollowSettings), {}, []
    for path, value in plain.items():
        leaf = known.get(path)
        if leaf is None:
            problems.append(f"{path}: no such setting" + suggestion(path, known))
            continue
        try:
            values[path] = _CONVERTER.structure(value, cast("Any", leaf.type))
            if leaf.validator is not None:
                leaf.validator(None, leaf, values[path])
        except (ValueError, BaseValidationError) as error:
            inner = lines_of(error, path) if isinstance(error, BaseValidationError) else [f"{path}: {error}"]
            problems.extend(inner)
    if problems:
        raise ConfigError(problems)
    return layer(values)


_CONVERTER = _make_converter()
