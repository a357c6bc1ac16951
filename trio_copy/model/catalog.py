"""What is known about an outcome token besides its number."""

from attrs import frozen

from trio_copy.model.ids import TokenId


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
