"""Reads a catalog: one JSON object per line, one line per outcome token."""

from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from trio_copy.config.lines import bounded_lines
from trio_copy.errors import ConfigError
from trio_copy.files import trouble_of_place
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import TokenId
from trio_copy.model.units import MICRO, Micro, Price, Ratio, Shares

_PROBLEMS_MOST = 20
_AMOUNT_MOST = 10**9 * MICRO
_M = TypeVar("_M", bound=Micro)


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    token_id: str
    condition_id: str
    outcome: str = ""
    question: str = ""
    event: str = ""
    category: str = ""
    opposite: str | None = None
    slot: int = 0
    ends_at: float | None = None
    slug: str = ""
    neg_risk: bool | None = None
    exchange: int | None = None
    tick: Decimal | None = None
    minimum: Decimal | None = None
    fee_rate: Decimal | None = None
    fee_exponent: int | None = None


def read_catalog(path: Path) -> tuple[TokenFacts, ...]:
    """Read every token of a catalog.

    Raises:
        ConfigError: the file cannot be read, or a line is not a token; each is named by its number.
    """
    facts: list[TokenFacts] = []
    problems: list[str] = []
    more = -_PROBLEMS_MOST
    if (trouble := trouble_of_place(path)) is not None:
        raise ConfigError([f"{path}: {trouble}"])
    try:
        with path.open("rb") as file:
            for number, line in bounded_lines(file.readline, path):
                if line.strip():
                    try:
                        facts.append(_facts(msgspec.json.decode(line, type=_Line)))
                    except (msgspec.DecodeError, ValueError) as error:
                        more += 1
                        if more <= 0:
                            problems.append(f"{path}:{number}: not a token of the catalog: {error}")
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror or error}"]) from None
    if problems:
        raise ConfigError(problems + ([f"{path}: and {more} more"] if more > 0 else []))
    return tuple(facts)


def _facts(line: _Line) -> TokenFacts:
    return TokenFacts(
        token_id=_token(line.token_id),
        condition_id=line.condition_id.lower(),
        outcome=line.outcome,
        question=line.question,
        event=line.event,
        category=line.category,
        opposite=None if line.opposite is None else _token(line.opposite),
        slot=line.slot,
        ends_at=line.ends_at,
        slug=line.slug,
        neg_risk=line.neg_risk,
        exchange=line.exchange,
        tick=_amount(Price, line.tick),
        minimum=_amount(Shares, line.minimum),
        fee_rate=_amount(Ratio, line.fee_rate),
        fee_exponent=line.fee_exponent,
    )


def _amount(kind: type[_M], written: Decimal | None) -> _M | None:
    if written is None:
        return None
    amount = kind.parse(written)
    if not 0 <= amount.micro <= _AMOUNT_MOST:
        raise ValueError(f"expected an amount from 0 to {_AMOUNT_MOST // MICRO}, got {written:.6g}")
    return amount


def _token(text: Any) -> TokenId:  # noqa: ANN401  anything a file may hold
    number = int(text)
    if not 0 <= number < 2**256:
        raise ValueError(f"expected a token id under 2^256, got {text}")
    return TokenId(number)
