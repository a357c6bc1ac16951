"""What is known about an outcome token besides its number."""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from attrs import define, field, frozen

from trio_copy.model.ids import TokenId
from trio_copy.model.protocol_v2 import answer_of
from trio_copy.model.units import Price, Ratio, Shares


@frozen(kw_only=True)
class TokenFacts:
    """Public facts about one outcome token."""

    token_id: TokenId
    condition_id: str
    """The question it answers: 0x and 64 hex digits."""
    outcome: str = ""
    """The answer it stands for, such as Yes."""
    question: str = ""
    event: str = ""
    """What several questions may belong to, such as one election."""
    category: str = ""
    opposite: TokenId | None = None
    """The token of the other answer, where there are two."""
    slot: int = 0
    """Its place among the answers: which payout it gets."""
    ends_at: float | None = None
    """Unix seconds at which the question is expected to be decided."""
    slug: str = ""
    """What the venue's pages call the question."""
    neg_risk: bool | None = None
    """Whether it is one of several questions of which exactly one comes true; None where nobody tells, as below."""
    exchange: int | None = None
    """The generation of the exchange that trades it: 2 or 3."""
    tick: Price | None = None
    """What its prices are multiples of. It may change while it trades: a book that tells another one is right."""
    minimum: Shares | None = None
    """The smallest order."""
    fee_rate: Ratio | None = None
    """A taker pays shares x fee_rate x (price x (1 - price)) to the power of `fee_exponent`, in USD; 0 for no fee."""
    fee_exponent: int | None = None

    @property
    def label(self) -> str:
        """Return what people call it: the question and the answer."""
        return f"{self.question} {self.outcome}".strip()


_MOVES_KEPT = 10_000


@define(eq=False)
class Catalog:
    """Facts by token. One task writes it, everybody may read."""

    version: int = 0
    """How many tokens were moved to another question or event, for those who keep sums by these."""
    _moved: deque[TokenId] = field(factory=lambda: deque(maxlen=_MOVES_KEPT))
    """Those that were moved last, the newest last."""
    _facts: dict[TokenId, TokenFacts] = field(factory=dict)
    _pinned: set[TokenId] = field(factory=set)

    def put(self, facts: Iterable[TokenFacts]) -> Collection[TokenFacts]:
        """Add facts, or replace those of a token that are not pinned; returns what is new. What was known changes nothing."""
        new = {fact.token_id: fact for fact in facts if self._facts.get(fact.token_id) != fact}
        for token in self._pinned & new.keys():
            del new[token]
        self._put(new)
        return new.values()

    def pin(self, facts: Iterable[TokenFacts]) -> None:
        """Add facts that a person wrote down: nobody else replaces or drops them."""
        written = {fact.token_id: fact for fact in facts}
        self._pinned.update(written)
        self._put(written)

    def _put(self, facts: Mapping[TokenId, TokenFacts]) -> None:
        for token, fact in facts.items():
            before = self._facts.get(token)
            self._facts[token] = fact
            if before is None or (before.condition_id, before.event) != (fact.condition_id, fact.event):
                self._note_move(token)

    def is_pinned(self, token_id: TokenId) -> bool:
        return token_id in self._pinned

    def drop(self, token_id: TokenId) -> None:
        """Forget a token that nobody needs to know about any more."""
        if token_id not in self._pinned and self._facts.pop(token_id, None) is not None:
            self._note_move(token_id)

    def moved_since(self, version: int) -> Sequence[TokenId] | None:
        """Return the tokens that were moved since a version; None when that is too long ago to know."""
        moves = self.version - version
        if moves > len(self._moved):
            return None
        return tuple(islice(reversed(self._moved), moves))

    def _note_move(self, token_id: TokenId) -> None:
        self.version += 1
        self._moved.append(token_id)

    def of(self, token_id: TokenId) -> TokenFacts | None:
        return self._facts.get(token_id)

    def question_of(self, token_id: TokenId) -> tuple[str, int] | None:
        """Return the condition whose payouts a token gets, and its slot; None where nobody knows.

        Of Protocol V2 the token's own name says it, and nobody else has to, nor can tell another one.
        """
        named = answer_of(token_id)
        if named is not None:
            return named
        facts = self.of(token_id)
        return None if facts is None else (facts.condition_id, facts.slot)

    def name_of(self, token_id: TokenId) -> str:
        """Return what people call a token: by its question and answer or, where nobody knows them, by its number."""
        facts = self._facts.get(token_id)
        return (facts and facts.label) or f"token {token_id}"

    def __len__(self) -> int:
        return len(self._facts)

    def __iter__(self) -> Iterator[TokenId]:
        return iter(self._facts)


@frozen
class Labels(Mapping[TokenId, str]):
    """What people call tokens, as far as a catalog knows by now."""

    catalog: Catalog

    def __getitem__(self, token_id: TokenId) -> str:
        facts = self.catalog.of(token_id)
        if facts is None:
            raise KeyError(token_id)
        return facts.label

    def __iter__(self) -> Iterator[TokenId]:
        return iter(self.catalog)

    def __len__(self) -> int:
        return len(self.catalog)
