"""How the documents of an account are named, by the ids that people may ask for; and what a name says."""

from functools import lru_cache

from trio_copy.accounts.budgets import Spot
from trio_copy.accounts.orders import OpenOrder
from trio_copy.model.decisions import CopyTask
from trio_copy.model.ids import Address, TokenId, token_text

Part = tuple[str, str]
"""Kind and name of one of an account's documents."""
MONEY: Part = ("money", "")


def order_name(open_order: OpenOrder) -> str:
    """Name an order's document by all the ids that people may ask for."""
    order, task = open_order.order, open_order.task
    return f"{order.key}/{task.task_id}/{task.signal.signal_id}/{order.order_id}"


def waits_name(task: CopyTask) -> str:
    """Name a waiting task's document."""
    return f"{task.task_id}/{task.signal.signal_id}"


def position_name(spot: Spot) -> str:
    """Name a position's document."""
    leader, token = spot
    return f"{leader}/{token_text(token)}"


def bundle_name(spot: Spot, bundle: int) -> str:
    """Name the document of some of a position's lots: it comes after its position, and before that of any other."""
    return f"{position_name(spot)}/{bundle}"


@lru_cache(maxsize=4096)
def place_of(name: str) -> tuple[Spot, int | None]:
    """Read which position a document is about, and which bundle of its lots: None for what is not a bundle.

    Raises:
        ValueError: it is no name of such a document.
    """
    leader, _, rest = name.partition("/")
    token, _, bundle = rest.partition("/")
    return (Address(leader), TokenId(int(token))), int(bundle) if bundle else None
