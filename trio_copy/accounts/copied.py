"""What a venue made of one order, as far as prices go: read of a task's end by itself, for that is a fifth of the whole."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from trio_copy.accounts.facts import record_of
from trio_copy.accounts.plain import Plain, PlainError, number_of
from trio_copy.accounts.sighted import sighting_of
from trio_copy.accounts.telling import TaskEnd
from trio_copy.model.facts import Fact
from trio_copy.model.fills import Side
from trio_copy.model.orders import ExecutionReport, Settlement, Status
from trio_copy.model.sightings import Sighting
from trio_copy.model.units import Price, Shares, Usd
from trio_copy.model.values import value

_Part = TypeVar("_Part")
_SIDES = {side.value: side for side in Side}
_FAILED, _KILLED = Settlement.FAILED.value, Status.KILLED.value


@value
class Copied:
    attempt: int
    side: Side
    asked: Shares
    limit_price: Price
    shares: Shares
    """None where it was killed."""
    notional: Usd
    reference: Price | None
    """The leader's price; None where he told none, or nothing was filled."""
    sighting: Sighting | None


def copied_in(fact: Fact, body: Sequence[_Part], read: Callable[[_Part], Any]) -> Copied | None:
    """Read what a venue made of the order that a fact tells of; None where it filled nothing and did not kill it either.

    `body` has parts of which `read` makes plain values.

    Raises:
        PlainError: it is not what its kind promises.
    """
    try:
        if read(body[0]) == 2:
            return _of_parts(body, read)
        end = record_of(fact, [read(part) for part in body])
        return _of_end(end) if isinstance(end, TaskEnd) else None
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise PlainError(f"expected a stored order in a fact of kind {fact.kind}: {error}") from error


def _of_parts(body: Sequence[_Part], read: Callable[[_Part], Any]) -> Copied | None:
    order = read(body[4])
    if order is None or order[-1] is None:
        return None
    _, _, side, _, asked, limit, *_, (_, status, shares, notional, _, settlement, *_) = order
    if settlement == _FAILED or not (shares or status == _KILLED):
        return None
    task: Plain = read(body[2])
    reference = _reference(body, read, task) if shares else 0
    return Copied(
        task[-4],
        _SIDES[task[1] if side is None else side],
        Shares(asked),
        Price(limit),
        Shares(shares),
        Usd(notional),
        Price(reference) if reference else None,
        sighting_of(read(body[6])) if len(body) > 6 else None,
    )


def _reference(body: Sequence[_Part], read: Callable[[_Part], Any], task: Plain) -> int:
    """Return the leader's price in millionths, as it is booked; 0 where he told none."""
    entry = read(body[5])
    if entry is not None:
        return number_of(entry[2])
    # What an order fills while it rests is booked apart from its end, against the same price.
    return 0 if read(body[1])[6] is None else number_of(task[3])


def _of_end(end: TaskEnd) -> Copied | None:
    """Make one of what was told in the first form, which knew neither prices nor orders that rest."""
    order, report = end.order, None if end.order is None else end.order.report
    if order is None or not isinstance(report, ExecutionReport) or report.settlement is Settlement.FAILED:
        return None
    if not report.shares and report.status is not Status.KILLED:
        return None
    reference = None if end.entry is None else end.entry.reference
    return Copied(
        end.task.attempt,
        order.side,
        order.shares,
        order.limit_price,
        report.shares,
        report.notional,
        reference or None,
        end.sighting,
    )
