"""What is known about tokens, at once."""

from collections.abc import Iterable

from attrs import define, field

from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import TokenId


@define(eq=False)
class Catalog:
    """Facts by token. One task writes it, everybody may read."""

    _facts: dict[TokenId, TokenFacts] = field(factory=dict)

    def put(self, facts: Iterable[TokenFacts]) -> None:
        """Add facts, or replace those of a token."""
        self._facts.update({fact.token_id: fact for fact in facts})

    def of(self, token_id: TokenId) -> TokenFacts | None:
        return self._facts.get(token_id)

    def market_of(self, token_id: TokenId) -> str:
        """Name the question of a token; a token that nobody knows is its own."""
        facts = self._facts.get(token_id)
        return f"token {token_id}" if facts is None else facts.condition_id

    def __len__(self) -> int:
        return len(self._facts)
