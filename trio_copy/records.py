"""Values of the model as JSON text and back, exactly: for stores that write to a disk or a wire.

Money is written as decimal text and token ids as text, so that no reader of the file loses digits. What is read back is
checked against the types of the model; a text that does not fit raises `StoreError`.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable
from functools import partial
from operator import is_
from typing import Any, TypeVar, cast

import cattrs
import msgspec
from cattrs.errors import BaseValidationError

from trio_copy.errors import StoreError
from trio_copy.model.decisions import Code
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.ids import TokenId
from trio_copy.model.layers import Layer, layer, leaves
from trio_copy.model.units import Count, Micro, Price, Ratio, Shares, Usd

_T = TypeVar("_T")
write_plain: Callable[[list[Any]], bytes] = msgspec.json.Encoder().encode
"""Write a list of plain values as JSON; see `accounts.documents` and `accounts.facts`."""
_LIST, _PARTS = msgspec.json.Decoder(list[Any]), msgspec.json.Decoder(list[msgspec.Raw])
read_part: "Callable[[msgspec.Raw], Any]" = msgspec.json.Decoder().decode


def encode(value: object) -> str:
    """Write a value of the model as one line of JSON."""
    return msgspec.json.encode(_CONVERTER.unstructure(value)).decode()


def decode(text: str | bytes, of: type[_T]) -> _T:
    """Read a value back.

    Raises:
        StoreError: the text is not such a value.
    """
    try:
        return _CONVERTER.structure(msgspec.json.decode(text), of)
    except (msgspec.DecodeError, BaseValidationError, ValueError, TypeError, KeyError) as error:
        raise StoreError(f"expected a stored {of.__name__}, was {str(text)[:80]}: {error}") from error


def encode_layer(values: Layer) -> str:
    """Write a layer of follow settings."""
    return msgspec.json.encode(plain_layer(values)).decode()


def decode_layer(text: str | bytes) -> Layer:
    """Read a layer of follow settings back. Raises `StoreError` for a setting that does not exist."""
    known = leaves(FollowSettings)
    try:
        plain = msgspec.json.decode(text, type=dict[str, Any])
        return layer(
            {path: _CONVERTER.structure(value, cast("Any", known[path].type)) for path, value in plain.items()}
        )
    except (msgspec.DecodeError, BaseValidationError, ValueError, TypeError, KeyError) as error:
        raise StoreError(f"expected stored follow settings, was {str(text)[:80]}: {error}") from error


def plain_layer(values: Layer) -> dict[str, Any]:
    """Return a layer as plain values by path, as people write them."""
    known = leaves(FollowSettings)
    return {path: _CONVERTER.unstructure(value, known[path].type) for path, value in values}


def read_plain(text: bytes) -> list[Any]:
    """Read a list of plain values back.

    Raises:
        StoreError: the text is not such a list.
    """
    try:
        return _LIST.decode(text)
    except msgspec.DecodeError as error:
        raise StoreError(f"expected a stored list, was {text[:80]!r}: {error}") from error


def read_parts(text: bytes) -> "list[msgspec.Raw]":
    """Read a list of plain values as parts, each to be read by `read_part`: of a long one, little may be wanted.

    Raises:
        StoreError: the text is not such a list.
    """
    try:
        return _PARTS.decode(text)
    except msgspec.DecodeError as error:
        raise StoreError(f"expected a stored list, was {text[:80]!r}: {error}") from error


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(omit_if_default=True)
    for unit in (Micro, Usd, Price, Ratio, Shares, Count):
        converter.register_unstructure_hook(unit, str)
        converter.register_structure_hook(unit, _micro)
    converter.register_unstructure_hook(bytes, lambda value: b64encode(value).decode())
    converter.register_structure_hook(bytes, lambda value, _: b64decode(value))
    # A reason's name is the stable part of it, its value a sentence.
    converter.register_unstructure_hook(Code, lambda code: code.name)
    converter.register_structure_hook(Code, lambda name, _: Code[name])
    token_id = partial(is_, TokenId)
    converter.register_unstructure_hook_func(token_id, str)
    converter.register_structure_hook_func(token_id, lambda value, _: TokenId(int(value)))
    converter.register_unstructure_hook(frozenset, lambda values: sorted(map(converter.unstructure, values), key=str))
    converter.register_unstructure_hook_factory(
        lambda of: getattr(of, "__origin__", None) is frozenset, lambda of: partial(_unstructure_set, converter, of)
    )
    return converter


def _unstructure_set(converter: cattrs.Converter, of: Any, values: frozenset[Any]) -> list[Any]:  # noqa: ANN401
    return sorted((converter.unstructure(value, of.__args__[0]) for value in values), key=str)


def _micro(value: object, of: type[Micro]) -> Micro:
    if not isinstance(value, str):
        raise ValueError(f"expected decimal text, was {value!r}")  # noqa: TRY004  one error type for bad values
    return of.parse(value)


_CONVERTER = _make_converter()
