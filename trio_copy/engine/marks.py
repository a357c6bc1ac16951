"""What the open positions of a shard could be sold for. A lost mark costs a peak, never money. Sync."""

from collections.abc import Iterator

from attrs import define, field

from trio_copy.accounts.plain import Plain, PlainError
from trio_copy.model.ids import Address, FollowerId, TokenId
from trio_copy.model.positions import Mark, PositionKey
from trio_copy.model.units import Price


@define(eq=False)
class Marks:
    _marks: dict[PositionKey, Mark] = field(factory=dict)
    _changed: dict[PositionKey, None] = field(factory=dict)

    def of(self, key: PositionKey) -> Mark | None:
        return self._marks.get(key)

    def note(self, key: PositionKey, bid: Price, at: float) -> None:
        """Remember the best bid of a position, and the highest since it was opened."""
        before = self._marks.get(key)
        self._marks[key] = Mark(price=bid, peak=bid if before is None else max(bid, before.peak), at=at)
        self._changed[key] = None

    def drop(self, key: PositionKey) -> None:
        """Forget the mark of a position that is closed."""
        if self._marks.pop(key, None) is not None:
            self._changed[key] = None

    def take_changes(self) -> Iterator[tuple[FollowerId, str, Plain | None]]:
        """Return the documents that changed since the last call, by follower and name; None for those to be deleted."""
        for key in self._changed:
            mark = self._marks.get(key)
            yield key[0], _name(key), None if mark is None else plain_mark(mark)
        self._changed.clear()

    def documents(self) -> Iterator[tuple[FollowerId, str, Plain]]:
        """Return all documents, by follower and name."""
        for key, mark in self._marks.items():
            yield key[0], _name(key), plain_mark(mark)

    def load(self, follower: FollowerId, name: str, body: Plain) -> None:
        """Read what was remembered of a position."""
        leader, _, token = name.partition("/")
        self._marks[follower, Address(leader), TokenId(int(token))] = mark_of(body)


def _name(key: PositionKey) -> str:
    return f"{key[1]}/{key[2]}"


def plain_mark(mark: Mark) -> Plain:
    """Write a mark."""
    return [1, mark.price.micro, mark.peak.micro, mark.at]


def mark_of(body: Plain) -> Mark:
    """Read a mark. Raises `PlainError` for what is none."""
    try:
        _, price, peak, at = body
        return Mark(price=Price(price), peak=Price(peak), at=at)
    except (ValueError, TypeError) as error:
        raise PlainError(f"expected a stored mark, was {str(body)[:80]}: {error}") from error
