"""What the open positions of a shard could be sold for. A lost mark costs a peak, never money. Sync."""

from collections.abc import Iterator

from attrs import define, field

from trio_copy.accounts.plain import Plain, PlainError
from trio_copy.model.ids import Address, FollowerId, TokenId
from trio_copy.model.positions import Mark, PositionKey
from trio_copy.model.units import Price

_WRITTEN_EVERY_S = 60.0
"""A bid that stays as it is, is written again after so long, so that others see that it still stands."""


@define(eq=False)
class Marks:
    _marks: dict[PositionKey, Mark] = field(factory=dict)
    _changed: dict[PositionKey, None] = field(factory=dict)
    _written_at: dict[PositionKey, float] = field(factory=dict)
    """When each mark that is known was noted that was written last."""

    def of(self, key: PositionKey) -> Mark | None:
        return self._marks.get(key)

    def note(self, key: PositionKey, bid: Price, at: float) -> bool:
        """Remember the best bid of a position, and the highest since it was opened; returns whether that is to be written."""
        before = self._marks.get(key)
        self._marks[key] = Mark(price=bid, peak=bid if before is None else max(bid, before.peak), at=at)
        # There may be thousands of positions, looked at every two seconds, of which most stand where they stood.
        if before is None or before.price != bid or at - self._written_at.get(key, at) >= _WRITTEN_EVERY_S:
            self._changed[key] = None
            self._written_at[key] = at
            return True
        return False

    def drop(self, key: PositionKey) -> None:
        """Forget the mark of a position that is closed."""
        self._written_at.pop(key, None)
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
        key = follower, Address(leader), TokenId(int(token))
        self._marks[key] = mark_of(body)
        self._written_at[key] = self._marks[key].at


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
