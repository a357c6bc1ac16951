"""What stood in a token's book while a copy of it was made, and what its shares were worth by the book a little later."""

from trio_copy.model.books import Quote
from trio_copy.model.ids import TaskId
from trio_copy.model.units import Micro, Price, Shares, Usd
from trio_copy.model.values import value

LOOKS_S = (1.0, 5.0, 30.0)
"""How long after its answer the book is looked at for an order. Stored looks count on it: it may grow at its end."""


@value(kw_only=True)
class Allotment:
    """What an order may take of a book that was read once for all followers of its signal.

    Amounts are USD where shares are bought, for a purchase spends cash; shares where they are sold.
    """

    place: int
    """In the row in which they are sent, from 1 on; another row for each signal."""
    of: int
    """How many shared the book."""
    wanted: Micro
    """By all of them together."""
    offered: Micro
    """Within this order's limit."""
    own: Micro
    """What it wants itself."""
    most: Micro | None
    """What it may take: 0 where others were first; None where it is not held back."""
    price: Price | None
    """What a share costs, or brings, by that book, when those before it took what they may; None where nothing is left for it."""


@value
class Sighting:
    """The best prices of an order's token at three moments of its copy; None where nobody knew them."""

    seen: Quote | None
    """When the signal went through the gate here."""
    decided: Quote | None
    """When the order was placed."""
    answered: Quote | None
    """When the venue's first answer, if it said what became of the order, was learned."""
    allotment: Allotment | None = None
    """None where it was the only one that wanted something of its signal's book, or nobody showed that."""


@value
class Look:
    """What the book would have taken for an order's shares, or given for them, at one moment after its answer."""

    shares: Shares
    """As many as the book held of them."""
    notional: Usd
    """For these, before fees; rounded against ourselves."""
    by_book: bool
    """Whether the book was walked level by level; else its best price was taken for all shares, for nothing else was known."""


@value(kw_only=True)
class Looks:
    """What was seen of the book after an order's answer."""

    task_id: TaskId
    attempt: int
    shares: Shares
    """Those that were looked for: what was filled, or what was asked for where nothing was."""
    after: tuple[Look | None, ...]
    """One for each of `LOOKS_S`; None where nobody knew the book then, or the engine ended before."""
