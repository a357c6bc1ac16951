"""What an account keeps of a task that has no order: one that waits, and one that a person has to decide about."""

from trio_copy.accounts.orders import Unsent
from trio_copy.model.decisions import CopyTask
from trio_copy.model.values import value


@value(kw_only=True)
class Waiting:
    """A task that waits durably."""

    task: CopyTask
    until: float | None = None
    """When it has waited for company in vain."""
    suspended: bool = False
    """Whether a reorg took its signal back."""
    tries: int = 0
    """How often it was taken up by a process that then ended uncleanly."""
    unsent: Unsent | None = None
    """Its last order, where that may go again."""


@value(kw_only=True)
class DeadLetter:
    """A task that a person has to decide about."""

    task: CopyTask
    why: str
    at: float
