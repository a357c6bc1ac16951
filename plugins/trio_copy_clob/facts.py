"""What tokens are about: their questions by the Data API, dates and terms by Gamma, and terms by the CLOB where Gamma has none.

The Data API alone says which question a token belongs to, and which of its answers it is. What the other two say of a
question is believed only where they name the same tokens.
"""

from collections.abc import Collection, Sequence
from decimal import Decimal
from functools import partial

import msgspec
from attrs import evolve, frozen

from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import TokenId
from trio_copy.model.units import Price, Ratio, Shares
from trio_copy_clob.asking import Asker
from trio_copy_clob.pacing import CLOB_MARKET, GAMMA_MARKETS, TOKENS
from trio_copy_clob.together import batches, together
from trio_copy_clob.wire import (
    MISREAD,
    ClobMarketRow,
    GammaRow,
    TokenRow,
    clean,
    condition_of,
    each,
    enveloped,
    instant_of,
    listed,
    price_of,
    ratio_of,
    read,
    shares_of,
    token_of,
)

_TOKENS_PER_CALL = 50
"""The venue's own limit."""
_CONDITIONS_PER_CALL = 50
_TOKENS_AT_ONCE = 2 * _CONDITIONS_PER_CALL
"""A question has two tokens, as a rule: so many fill one call to Gamma, the slowest of the three."""
_SLOTS = range(256)
_EXCHANGES = {"v1_ctf": 2, "binary": 3, "neg_risk": 3, "combo": 3}
_NARROW = 64
"""How many letters a condition of exchange V3 has where Gamma is asked: its 31 bytes, without the zeros that fill it up."""


@frozen(kw_only=True)
class _Base:
    """What the Data API says of a token."""

    facts: TokenFacts
    closed: bool


@frozen(kw_only=True)
class _Terms:
    """What is known of a question besides."""

    tokens: frozenset[TokenId]
    """Whose question it is."""
    category: str = ""
    ends_at: float | None = None
    neg_risk: bool | None = None
    tick: Price | None = None
    minimum: Shares | None = None
    fee_rate: Ratio | None = None
    fee_exponent: int | None = None

    @property
    def complete(self) -> bool:
        return None not in (self.tick, self.minimum, self.fee_rate, self.fee_exponent)


async def read_facts(asker: Asker, tokens: Collection[TokenId]) -> list[TokenFacts]:
    """Ask for the facts of tokens; those that nobody knows are not among them.

    Raises:
        MarketsUnavailable: one of the three does not answer, or not so that it can be read.
    """
    calls = [partial(_read_batch, asker, batch) for batch in batches(sorted(set(tokens)), _TOKENS_AT_ONCE)]
    return [facts for batch in await together(calls) for facts in batch]


async def _read_batch(asker: Asker, tokens: Sequence[TokenId]) -> list[TokenFacts]:
    calls = [
        partial(asker.ask, TOKENS, enveloped, params=[("token_id", ",".join(map(str, batch)))])
        for batch in batches(tokens, _TOKENS_PER_CALL)
    ]
    rows = [row for answer in await together(calls) for row in answer or ()]
    bases = _bases(asker, rows, frozenset(tokens))
    terms = await _gamma(asker, bases)
    short = sorted(
        {
            base.facts.condition_id
            for base in bases.values()
            if not base.closed and not (base.facts.condition_id in terms and terms[base.facts.condition_id].complete)
        }
    )
    for condition, told in await together([partial(_clob, asker, condition) for condition in short]):
        if told is not None:
            terms[condition] = _filled(terms.get(condition), told)
    return [_joined(asker, base.facts, terms.get(base.facts.condition_id)) for base in bases.values()]


def _bases(asker: Asker, rows: Sequence[msgspec.Raw], asked: frozenset[TokenId]) -> dict[TokenId, _Base]:
    bases: dict[TokenId, _Base] = {}
    twofold: set[TokenId] = set()
    for row in each(rows, TokenRow):
        try:
            base = _base(row)
        except MISREAD as error:
            asker.troubles.leave_out("facts of a token", error)
            continue
        token = base.facts.token_id
        if token not in asked:
            asker.troubles.leave_out("facts of a token", "nobody asked for it")
        elif bases.setdefault(token, base) != base:
            twofold.add(token)
    for token in twofold:
        # Which of the two is true, nobody can say.
        asker.troubles.leave_out("facts of a token", "they are told twice, and differ")
        del bases[token]
    return bases


def _base(row: TokenRow | ValueError) -> _Base:
    if isinstance(row, ValueError):
        raise row
    token = token_of(row.token_id)
    opposite = None if row.opposite_token_id is None else token_of(row.opposite_token_id)
    if row.outcome_index not in _SLOTS or opposite == token:
        raise ValueError("expected a place among the answers, and another token opposite")
    facts = TokenFacts(
        token_id=token,
        condition_id=condition_of(row.condition_id),
        outcome=clean(row.outcome or ""),
        question=clean(row.title or ""),
        event=clean(row.event_slug or ""),
        slug=clean(row.market_slug or ""),
        opposite=opposite,
        slot=row.outcome_index,
        neg_risk=row.neg_risk,
        exchange=_EXCHANGES.get(row.module),
    )
    return _Base(facts=facts, closed=bool(row.closed))


async def _gamma(asker: Asker, bases: dict[TokenId, _Base]) -> dict[str, _Terms]:
    """Ask Gamma about the questions of tokens. It tells of closed ones only where they are asked for as such."""
    calls = []
    for closed in (False, True):
        names = {_gamma_name(base.facts) for base in bases.values() if base.closed is closed}
        for batch in batches(sorted(names), _CONDITIONS_PER_CALL):
            words = [("condition_ids", name) for name in batch]
            words += [("limit", str(len(batch))), ("include_tag", "true"), ("closed", str(closed).lower())]
            calls.append(partial(asker.ask, GAMMA_MARKETS, listed, params=words))
    terms: dict[str, _Terms] = {}
    for rows in await together(calls):
        for row in each(rows or [], GammaRow):
            try:
                condition, told = _gamma_terms(row)
            except MISREAD as error:
                asker.troubles.leave_out("terms of a question", error)
                continue
            terms[condition] = told
    return terms


def _gamma_name(facts: TokenFacts) -> str:
    name = facts.condition_id
    return name[:_NARROW] if facts.exchange == 3 and name.endswith("00") else name


def _gamma_terms(row: GammaRow | ValueError) -> tuple[str, _Terms]:
    if isinstance(row, ValueError):
        raise row
    match row.version:
        case "v2":
            tokens = row.position_ids or []
        case "v1" | None:
            tokens = msgspec.json.decode(row.clob_token_ids or "[]", type=list[str])
        case _:
            # Which of its two lists counts is said by the version alone.
            raise ValueError(f'expected version v1 or v2, got "{clean(row.version)}"')
    categories = (row.category, *(event.category for event in row.events), *(tag.label for tag in row.tags))
    rate, exponent = _fee(row)
    return condition_of(row.condition_id), _Terms(
        tokens=frozenset(map(token_of, tokens)),
        category=next((clean(category) for category in categories if category), ""),
        ends_at=None if row.end_date is None else instant_of(row.end_date),
        neg_risk=row.neg_risk,
        tick=None if row.order_price_min_tick_size is None else price_of(row.order_price_min_tick_size),
        minimum=None if row.order_min_size is None else shares_of(row.order_min_size),
        fee_rate=rate,
        fee_exponent=exponent,
    )


def _fee(row: GammaRow) -> tuple[Ratio | None, int | None]:
    if row.fees_enabled is False:
        return Ratio(0), 1
    if row.fee_schedule is None:
        return None, None
    return ratio_of(row.fee_schedule.rate), _exponent(row.fee_schedule.exponent)


def _exponent(value: Decimal) -> int:
    if not 0 <= value <= 8 or value != value.to_integral_value():
        raise ValueError(f"expected a small whole exponent of the fee, got {value:.6g}")
    return int(value)


async def _clob(asker: Asker, condition: str) -> tuple[str, _Terms | None]:
    def terms(body: bytes) -> _Terms:
        row = read(body, ClobMarketRow)
        if isinstance(row, ValueError):
            raise row
        return _clob_terms(row)

    return condition, await asker.ask(CLOB_MARKET, terms, below=f"/{condition}")


def _clob_terms(row: ClobMarketRow) -> _Terms:
    # A market without fees has no `fd` at all.
    rate, exponent = (row.fd.r, row.fd.e) if row.fd is not None else (Decimal(0), Decimal(1))
    return _Terms(
        tokens=frozenset(token_of(told.t) for told in row.t),
        neg_risk=row.nr,
        tick=None if row.mts is None else price_of(row.mts),
        minimum=None if row.mos is None else shares_of(row.mos),
        fee_rate=None if rate is None else ratio_of(rate),
        fee_exponent=None if exponent is None else _exponent(exponent),
    )


def _filled(known: _Terms | None, told: _Terms) -> _Terms:
    """Let the CLOB's terms come first, and keep what it does not say."""
    if known is None or known.tokens != told.tokens:
        return told
    return evolve(
        told,
        category=known.category,
        ends_at=known.ends_at,
        neg_risk=known.neg_risk if told.neg_risk is None else told.neg_risk,
    )


def _joined(asker: Asker, facts: TokenFacts, terms: _Terms | None) -> TokenFacts:
    if terms is None:
        return facts
    if facts.token_id not in terms.tokens:
        # A token that is not of this question must not get its date and its fee.
        asker.troubles.leave_out("terms of a question", "they are about other tokens")
        return facts
    return evolve(
        facts,
        category=terms.category,
        ends_at=terms.ends_at,
        neg_risk=terms.neg_risk if facts.neg_risk is None else facts.neg_risk,
        tick=terms.tick,
        minimum=terms.minimum,
        fee_rate=terms.fee_rate,
        fee_exponent=terms.fee_exponent,
    )
