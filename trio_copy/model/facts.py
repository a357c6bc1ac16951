"""What people ask about later: how tasks ended, what was skipped, what was booked.

A fact is written together with the change that made it true. Its key makes it count once: written again, it is
overwritten by the same.
"""

from collections.abc import Collection, Mapping

from trio_copy.model.ids import Address, FollowerId, OrderId, SignalId, TaskId, TokenId
from trio_copy.model.values import value

AMOUNTS = ("trades", "bought", "sold", "fees", "realised", "provisional")
"""What the amounts of a fact count: trades as a number, the others in millionths of a USD."""
Amounts = tuple[int, int, int, int, int, int]
NO_AMOUNTS: Amounts = (0, 0, 0, 0, 0, 0)
_NO_SIGNAL, _NO_TASK, _NO_ORDER = SignalId(""), TaskId(""), OrderId("")
Sums = Mapping[tuple[str, ...], Amounts]
"""Amounts by the values of what they were added up by, token ids as decimal text."""


@value
class Fact:
    key: str
    """Unique among all facts."""
    kind: str
    """filled and ended: how a task ended, with and without a fill; attempt: an order after which its task went on; skip: a
    signal that a follow did not want; entry: a booking apart from a task's end; looks: what the book was after an order."""
    at: float
    """Unix seconds; of looks the moment of the answer that they come after, so that they stand beside what ended then."""
    follower: FollowerId
    leader: Address
    token_id: TokenId
    body: bytes
    """Everything else; opaque to the store."""
    amounts: Amounts = NO_AMOUNTS
    """By how much the fact changed what `AMOUNTS` names; below zero where it took something back."""
    signal_id: SignalId = _NO_SIGNAL
    task_id: TaskId = _NO_TASK
    order_id: OrderId = _NO_ORDER
    """Empty where there is none."""


@value(kw_only=True)
class FactQuery:
    """Which facts are wanted; None wants all."""

    kinds: Collection[str]
    follower: FollowerId | None = None
    leader: Address | None = None
    token_id: TokenId | None = None
    since: float | None = None
    """Unix seconds, included."""
    until: float | None = None
    """Unix seconds, excluded."""
    limit: int = 1000
    """The newest so many."""
