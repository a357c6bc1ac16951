"""Sightings and looks as lists of plain values, and back. By hand, because a sighting is on the way of every copy."""

from collections.abc import Sequence

from trio_copy.accounts.plain import Plain, PlainError, first, number_of
from trio_copy.model.books import Quote
from trio_copy.model.ids import TaskId
from trio_copy.model.sightings import LOOKS_S, Allotment, Look, Looks, Sighting
from trio_copy.model.units import Micro, Price, Shares, Usd

KIND = "looks"
"""The kind of facts that looks are."""
_MOMENTS = 3
"""So many prices stand in a sighting; what was allotted, if anything, behind them."""
_SAME = 0
"""Stands for the same prices as those before it: mostly nothing moves while a copy is made."""


def plain_sighting(sighting: Sighting) -> Plain:
    """Write a sighting."""
    plain: Plain = []
    told, last = None, None
    for quote in (sighting.seen, sighting.decided, sighting.answered):
        if quote is None:
            plain.append(None)
        elif quote is told:
            plain.append(_SAME)
        else:
            bid, ask = quote.bid, quote.ask
            pair = [None if bid is None else bid.micro, None if ask is None else ask.micro]
            plain.append(_SAME if pair == last else pair)
            told, last = quote, pair
    if (one := sighting.allotment) is not None:
        most, price = (None if part is None else part.micro for part in (one.most, one.price))
        plain.append([one.place, one.of, one.wanted.micro, one.offered.micro, one.own.micro, most, price])
    return plain


def sighting_of(plain: Plain) -> Sighting:
    """Read a sighting. Raises `PlainError` for what is none."""
    *moments, plain_allotment = plain if len(plain) > _MOMENTS else (*plain, None)
    quotes: list[Quote | None] = []
    last: Quote | None = None
    for pair in moments:
        if pair is None:
            quotes.append(None)
            continue
        if pair != _SAME:
            bid, ask = pair
            last = Quote(bid=None if bid is None else Price(bid), ask=None if ask is None else Price(ask))
        elif last is None:
            raise PlainError("expected prices before those that are the same")
        quotes.append(last)
    seen, decided, answered = quotes
    return Sighting(seen, decided, answered, None if plain_allotment is None else _allotment_of(plain_allotment))


def _allotment_of(plain: Plain) -> Allotment:
    place, of, wanted, offered, own, most, price = plain
    return Allotment(
        place=number_of(place),
        of=number_of(of),
        wanted=Micro(wanted),
        offered=Micro(offered),
        own=Micro(own),
        most=None if most is None else Micro(most),
        price=None if price is None else Price(price),
    )


def looks_key(task_id: TaskId, attempt: int) -> str:
    """Name the looks of a task's order; by its task, so that they are found with what else is told of that."""
    return f"{task_id}:{attempt}:{KIND}"


def plain_looks(shares: int, after: Sequence[tuple[int, int, bool] | None]) -> Plain:
    """Write looks: of how many millionths of shares, and each as millionths of shares and of a USD, and whether by the book."""
    return [1, shares, *(None if one is None else _plain_look(*one, shares) for one in after)]


def _plain_look(found: int, notional: int, by_book: bool, shares: int) -> Plain:
    return [notional, int(by_book)] if found == shares else [notional, int(by_book), found]


def looks_of(key: str, body: Plain) -> Looks:
    """Read looks. Raises `PlainError` for what is none."""
    try:
        _, shares, *after = first(body)
        task_id, attempt, kind = key.split(":")
        looks = [None if one is None else _look_of(one, shares) for one in after]
        if kind != KIND or len(looks) < len(LOOKS_S):
            raise PlainError("expected as many looks as are taken")
        return Looks(task_id=TaskId(task_id), attempt=int(attempt), shares=Shares(shares), after=tuple(looks))
    except (ValueError, TypeError) as error:
        raise PlainError(f"expected stored looks, was {str(body)[:80]}: {error}") from error


def _look_of(plain: Plain, shares: int) -> Look:
    notional, by_book, *rest = plain
    (found,) = rest or (shares,)
    return Look(Shares(found), Usd(notional), bool(number_of(by_book)))
