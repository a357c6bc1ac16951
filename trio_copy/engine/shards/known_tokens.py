"""What a shard keeps of tokens that a market source told about, so that people see names at once after a restart. Sync."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from attrs import Factory, define, field

from trio_copy.accounts.plain import Plain, PlainError, first
from trio_copy.model.catalog import Catalog, TokenFacts
from trio_copy.model.ids import TokenId
from trio_copy.model.units import Micro, Price, Ratio, Shares

KIND = "token"
_M = TypeVar("_M", bound=Micro)
_MOST = 10_000
"""Tokens that are kept; those that were told of longest ago go first."""


@define(eq=False)
class KnownTokens:
    catalog: Catalog
    """Everybody's: what is read here is known everywhere."""
    learn: Callable[[Sequence[TokenFacts]], object] = Factory(lambda self: self.catalog.put, takes_self=True)
    """Puts facts into it."""
    _facts: dict[TokenId, TokenFacts] = field(factory=dict)
    _changed: dict[TokenId, None] = field(factory=dict)

    def note(self, facts: TokenFacts) -> None:
        """Keep what was told of a token; the newest counts."""
        token = facts.token_id
        if self._facts.pop(token, None) != facts:
            self._changed[token] = None
        self._facts[token] = facts
        if len(self._facts) > _MOST:
            oldest = next(iter(self._facts))
            del self._facts[oldest]
            self._changed[oldest] = None
            # What is held or traded is told again every few hours: this is neither, and new markets come every day.
            self.catalog.drop(oldest)

    def take_changes(self) -> Iterator[tuple[str, Plain | None]]:
        """Return the documents that changed since the last call, by name; None for those to be deleted."""
        for token in self._changed:
            facts = self._facts.get(token)
            yield str(token), None if facts is None else _plain(facts)
        self._changed.clear()

    def documents(self) -> Iterator[tuple[str, Plain]]:
        """Return all documents, by name."""
        for token, facts in self._facts.items():
            yield str(token), _plain(facts)

    def load(self, documents: Mapping[tuple[str, str], Plain]) -> None:
        """Read what was kept. Raises `PlainError` for what is no such document."""
        found = [facts_in(name, body) for (kind, name), body in documents.items() if kind == KIND]
        self._facts.update((facts.token_id, facts) for facts in found)
        self.learn([facts for facts in found if self.catalog.of(facts.token_id) is None])


def facts_in(name: str, body: Plain) -> TokenFacts:
    """Read what was kept of a token. Raises `PlainError` for what is no such document."""
    try:
        _, known = first(body)
        opposite = known.get("opposite")
        return TokenFacts(
            token_id=TokenId(int(name)),
            condition_id=known["condition_id"],
            outcome=known.get("outcome", ""),
            question=known.get("question", ""),
            event=known.get("event", ""),
            category=known.get("category", ""),
            opposite=None if opposite is None else TokenId(int(opposite)),
            slot=known.get("slot", 0),
            ends_at=known.get("ends_at"),
            slug=known.get("slug", ""),
            neg_risk=known.get("neg_risk"),
            exchange=known.get("exchange"),
            tick=_amount(Price, known.get("tick")),
            minimum=_amount(Shares, known.get("minimum")),
            fee_rate=_amount(Ratio, known.get("fee_rate")),
            fee_exponent=known.get("fee_exponent"),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise PlainError(f"expected stored facts of token {name}, was {str(body)[:80]}: {error}") from error


def _plain(facts: TokenFacts) -> Plain:
    # By name, and without what is not known: facts are added to from time to time, and an older program reads what it knows.
    known = {
        "condition_id": facts.condition_id,
        "outcome": facts.outcome,
        "question": facts.question,
        "event": facts.event,
        "category": facts.category,
        "opposite": None if facts.opposite is None else str(facts.opposite),
        "slot": facts.slot,
        "ends_at": facts.ends_at,
        "slug": facts.slug,
        "neg_risk": facts.neg_risk,
        "exchange": facts.exchange,
        "tick": None if facts.tick is None else facts.tick.micro,
        "minimum": None if facts.minimum is None else facts.minimum.micro,
        "fee_rate": None if facts.fee_rate is None else facts.fee_rate.micro,
        "fee_exponent": facts.fee_exponent,
    }
    # No fee is known as much as a fee is: only what nobody told is left out.
    return [1, {name: value for name, value in known.items() if value not in (None, "")}]


def _amount(kind: type[_M], micro: int | None) -> _M | None:
    return None if micro is None else kind(micro)
