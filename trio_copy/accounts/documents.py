"""An account as documents, and back: `account_of(documents of a) == a`.

A document is a list of plain values, which whoever stores it may write as JSON: see `records.write_plain`. Whole numbers may be
of any width, token ids are text. The lists are positional: each has its own version, so that an older one is recognised.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import evolve

from trio_copy.accounts.account import Account
from trio_copy.accounts.booking import note_position
from trio_copy.accounts.budgets import Spot, Window
from trio_copy.accounts.holdings import NOTHING_HELD
from trio_copy.accounts.names import MONEY, Part, bundle_name, order_name, place_of, position_name, waits_name
from trio_copy.accounts.orders import OpenOrder, OrderState, Unsent
from trio_copy.accounts.plain import (
    PlainError,
    bearing,
    borne_by,
    first,
    intent_of,
    number_of,
    order_of,
    plain_intent,
    plain_order,
    plain_reason,
    plain_report,
    plain_task,
    reason_of,
    report_of,
    task_of,
)
from trio_copy.accounts.unplaced import DeadLetter, Waiting
from trio_copy.accounts.written_positions import NO_BUNDLES, holding_of, plain_bundle, plain_holding
from trio_copy.model.budgets import Performance
from trio_copy.model.catalog import Catalog
from trio_copy.model.control import Mode, ModeChange
from trio_copy.model.fundings import Funding
from trio_copy.model.ids import FollowerId, IntentKey, SignalId, TaskId
from trio_copy.model.units import Usd
from trio_copy.model.values import value

Plain = list[Any]
_MISREAD = (ValueError, TypeError, KeyError, IndexError)
"""What is raised where a document is not what its kind promises."""
_ENDED, _BREACHED, _HANDED_OVER = 1, 2, 4
"""What may be said of an open order, in one number."""


@value
class PlainDocument:
    """One document of an account."""

    kind: str
    name: str
    body: Plain


def document_of(account: Account, part: Part) -> Plain | None:
    """Write one part of an account; None where there is nothing: then the document is to be deleted."""
    kind, name = part
    match kind:
        case "order":
            open_order = account.orders.get(IntentKey(name.partition("/")[0]))
            return None if open_order is None else plain_open_order(open_order)
        case "money":
            return _plain_money(account)
        case "position":
            spot, bundle = place_of(name)
            holding = account.holdings.get(spot)
            if holding is None:
                return None
            return plain_holding(holding) if bundle is None else plain_bundle(holding, bundle)
        case "waits":
            waits = account.waiting.get(TaskId(name.partition("/")[0]))
            return None if waits is None else plain_waiting(waits)
        case "dead":
            dead = account.dead.get(TaskId(name))
            return None if dead is None else plain_dead_letter(dead)
        case _:
            raise PlainError(f"expected a part of an account, was {kind}")


def documents_of(account: Account) -> Iterable[PlainDocument]:
    """Write a whole account."""
    parts = [
        MONEY,
        *(("order", order_name(open_order)) for open_order in account.orders.values()),
        *(("waits", waits_name(waits.task)) for waits in account.waiting.values()),
        *(("dead", task) for task in account.dead),
        *(("position", position_name(spot)) for spot in account.holdings),
        *(("position", bundle_name(spot, one)) for spot, held in account.holdings.items() for one in held.apart),
    ]
    for kind, name in parts:
        body = document_of(account, (kind, name))
        if body is not None:
            yield PlainDocument(kind, name, body)


def account_of(follower: FollowerId, catalog: Catalog, documents: Iterable[PlainDocument]) -> Account:
    """Read an account; one without documents is new.

    Raises:
        PlainError: a document is not what its kind promises.
    """
    account = Account(follower, catalog)
    positions: dict[Spot, Plain] = {}
    bundles: defaultdict[Spot, dict[int, Plain]] = defaultdict(dict)
    for document in documents:
        try:
            if document.kind == "position":
                spot, bundle = place_of(document.name)
                if bundle is None:
                    positions[spot] = document.body
                else:
                    bundles[spot][bundle] = document.body
            elif (read := _READERS.get(document.kind)) is not None:  # else others keep it by the follower
                read(account, document)
        except _MISREAD as error:
            raise _misread(follower, document, error) from error
    for spot in (*positions, *(one for one in bundles if one not in positions)):
        apart = bundles.get(spot, NO_BUNDLES)
        try:
            holding = account.holdings[spot] = holding_of(positions[spot], apart)
        except _MISREAD as error:
            document = PlainDocument("position", position_name(spot), positions.get(spot, []))
            raise _misread(follower, document, error) from error
        if len(holding.apart) > len(apart):
            note_position(account, spot, NOTHING_HELD)  # an earlier version wrote it whole
    account.recount()
    return account


def _misread(follower: FollowerId, document: PlainDocument, error: Exception) -> PlainError:
    what = f"{document.kind} {document.name} of {follower}"
    return PlainError(f"expected a stored {what}, was {str(document.body)[:80]}: {error}")


def plain_open_order(open_order: OpenOrder) -> Plain:
    """Write an open order."""
    return [
        1,
        plain_order(open_order.order),
        plain_task(open_order.task),
        list(open_order.members),
        open_order.cost.micro,
        open_order.state._value_,
        None if open_order.report is None else plain_report(open_order.report),
        _ENDED * open_order.ended + _BREACHED * open_order.breached + _HANDED_OVER * open_order.handed_over,
        open_order.placed_at,
        open_order.at,
        # Only where there is one: few orders rest.
        *([plain_reason(open_order.called_off)] if open_order.called_off is not None else ()),
    ]


def open_order_of(body: Plain) -> OpenOrder:
    """Read an open order."""
    _, order, task, members, cost, state, report, flags, placed_at, at, *called_off = first(body)
    return OpenOrder(
        order=order_of(order),
        task=task_of(task),
        members=tuple(map(TaskId, members)),
        cost=Usd(cost),
        state=OrderState(state),
        report=None if report is None else report_of(report),
        ended=bool(flags & _ENDED),
        breached=bool(flags & _BREACHED),
        placed_at=placed_at,
        at=at,
        called_off=reason_of(called_off[0]) if called_off else None,
        # Before there was a mark of it, it was said by the end of the task.
        handed_over=bool(flags & _HANDED_OVER or (flags & _ENDED and state == OrderState.UNKNOWN.value)),
    )


def plain_waiting(waits: Waiting) -> Plain:
    """Write a waiting task; with the order that may go again, as the task of the next one, which bears it.

    So a version that knew of no such order makes the next one, and no second body for its key.
    """
    task, unsent = waits.task, waits.unsent
    if unsent is None:
        plain = plain_task(task)
    else:
        plain = bearing(plain_task(task.anew()), [plain_order(unsent.order), plain_intent(unsent.intent)])
    return [1, plain, waits.until, int(waits.suspended), waits.tries]


def waiting_of(body: Plain) -> Waiting:
    """Read a waiting task."""
    _, plain, until, suspended, tries = first(body)
    task, unsent, borne = task_of(plain), None, borne_by(plain)
    if borne is not None:
        order, intent = borne
        task = evolve(task, attempt=task.attempt - 1, unsent=task.unsent - 1)
        unsent = Unsent(order=order_of(order), intent=intent_of(intent, task.signal))
    return Waiting(task=task, until=until, suspended=bool(suspended), tries=tries, unsent=unsent)


def plain_dead_letter(dead: DeadLetter) -> Plain:
    """Write a dead letter."""
    return [1, plain_task(dead.task), dead.why, dead.at]


def dead_letter_of(body: Plain) -> DeadLetter:
    """Read a dead letter."""
    _, task, why, at = first(body)
    return DeadLetter(task=task_of(task), why=why, at=at)


def performance_of(body: Plain) -> Performance:
    """Read what a follower realised, from the document about its money."""
    realised, peak, day, day_realised, *rest = first(body)[1]
    worth_peak = rest[0] if rest else 0
    return Performance(
        realised=Usd(realised),
        peak=Usd(peak),
        day=day,
        day_realised=Usd(day_realised),
        worth_peak=None if worth_peak is None else Usd(worth_peak),
    )


def _plain_money(account: Account) -> Plain:
    performance, mode = account.performance, account.mode
    worth_peak = None if performance.worth_peak is None else performance.worth_peak.micro
    return [
        1,
        [
            performance.realised.micro,
            performance.peak.micro,
            performance.day,
            performance.day_realised.micro,
            # As below: few are watched by mark.
            *([worth_peak] if worth_peak != 0 else ()),
        ],
        [(name, window.used, window.until) for name, window in account.windows.items() if window.used],
        list(account.recent.items()),
        None if mode is None else [mode.mode.value, mode.why, mode.at],
        # Only where there are any: few have a paper wallet, and this is written with every copy.
        *([[[one.amount.micro, one.why, one.at] for one in account.fundings]] if account.fundings else ()),
    ]


def mode_of(body: Plain) -> ModeChange | None:
    """Read a follower's mode from the document about its money."""
    mode = first(body)[4]
    return None if mode is None else ModeChange(mode=Mode(mode[0]), why=mode[1], at=mode[2])


def fundings_of(body: Plain) -> tuple[Funding, ...]:
    """Read what a person put into a follower's paper wallet, from the document about its money."""
    _, _, _, _, _, *rest = first(body)
    return tuple(Funding(amount=Usd(amount), why=why, at=at) for amount, why, at in (rest[0] if rest else ()))


def _read_money(account: Account, document: PlainDocument) -> None:
    _, _, windows, recent, _, *_ = first(document.body)
    account.performance = performance_of(document.body)
    account.windows = {name: Window(number_of(used), until) for name, used, until in windows}
    account.recent = {SignalId(signal): block for signal, block in recent}
    account.mode = mode_of(document.body)
    account.fundings = fundings_of(document.body)


def _read_order(account: Account, document: PlainDocument) -> None:
    open_order = open_order_of(document.body)
    account.orders[open_order.order.key] = open_order


def _read_waiting(account: Account, document: PlainDocument) -> None:
    waits = waiting_of(document.body)
    account.waiting[waits.task.task_id] = waits


def _read_dead(account: Account, document: PlainDocument) -> None:
    dead = dead_letter_of(document.body)
    account.dead[dead.task.task_id] = dead


_READERS: Mapping[str, Callable[[Account, PlainDocument], None]] = {
    "money": _read_money,
    "order": _read_order,
    "waits": _read_waiting,
    "dead": _read_dead,
}
