"""What is known about tokens, at once."""

from collections.abc import Iterable, Mapping

from attrs import define, field

from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import TokenId


@define(eq=False)
class Catalog:
    """Facts by token. One task writes it, everybody may read."""

    _facts: dict[TokenId, TokenFacts] = field(factory=dict)
    _by_condition: dict[str, list[TokenFacts]] = field(factory=dict)

    def put(self, facts: Iterable[TokenFacts]) -> None:
        """Add facts, or replace those of a token."""
        for fact in facts:
            known = self._facts.get(fact.token_id)
            if known is not None:
                self._by_condition[known.condition_id].remove(known)
            self._facts[fact.token_id] = fact
            self._by_condition.setdefault(fact.condition_id, []).append(fact)

    def of(self, token_id: TokenId) -> TokenFacts | None:
        return self._facts.get(token_id)

    def tokens_of(self, condition_id: str) -> tuple[TokenFacts, ...]:
        """Return the tokens of a question."""
        return tuple(self._by_condition.get(condition_id, ()))

    def market_of(self, token_id: TokenId) -> str:
        """Name the question of a token; a token that nobody knows is its own."""
        facts = self._facts.get(token_id)
        return f"token {token_id}" if facts is None else facts.condition_id

    def labels(self) -> Mapping[TokenId, str]:
        """Name each token as a person would."""
        return {token: f"{fact.question} {fact.outcome}".strip() for token, fact in self._facts.items()}

    def __len__(self) -> int:
        return len(self._facts)
