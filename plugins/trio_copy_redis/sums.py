"""Choosing facts of an entry, and adding them up: column by column, for there are many."""

from collections import defaultdict
from collections.abc import Sequence
from operator import add

from attrs import define, field

from trio_copy.model.facts import AMOUNTS, FactQuery, Sums
from trio_copy_redis.packing import Rows, Words, spread

_WORDS = {"follower": "followers", "leader": "leaders", "token_id": "tokens", "day": "days"}
_WIDTH = len(AMOUNTS)
_MOST_WAITING = 100_000
_Key = str | tuple[str, ...]
"""What it is added up by; a single word stands for itself."""


@define(eq=False)
class AddedUp:
    """Sums of facts, by some of their words."""

    by: Sequence[str]
    _columns: tuple[defaultdict[_Key, int], ...] = field(factory=lambda: tuple(defaultdict(int) for _ in AMOUNTS))
    """Of each amount: most facts leave half of them at nothing, and cost nothing there."""
    _alike: dict[tuple[bytes, ...], tuple[list[Words], list[list[int]]]] = field(factory=dict)
    """Words and amounts of whole entries whose words are the same in the same order, as those of one leader often are: these are
    added up entry by entry first."""
    _waiting: int = 0
    """Facts that `_alike` holds."""

    def add(self, rows: Rows, numbers: Sequence[int]) -> None:
        """Add some facts of an entry."""
        if not numbers:
            return
        amounts = rows.amounts
        whole = len(numbers) == len(rows.at)
        if not whole:
            amounts = [amount for number in numbers for amount in amounts[number * _WIDTH : (number + 1) * _WIDTH]]
        parts = [amounts[place::_WIDTH] for place in range(_WIDTH)]
        words: list[Words] = [getattr(rows, _WORDS[name]) for name in self.by]
        if not whole or all(not which for _, which in words):
            self._add(words, numbers, parts)
            return
        name = tuple(rows.packed(_WORDS[name]) for name in self.by)
        known = self._alike.get(name)
        if known is None:
            self._alike[name] = (words, parts)
            self._waiting += len(numbers)
            if self._waiting > _MOST_WAITING:
                self._settle()
        else:
            for place, part in enumerate(parts):
                if any(part):
                    known[1][place] = list(map(add, known[1][place], part))

    def _settle(self) -> None:
        alike, self._alike, self._waiting = self._alike, {}, 0
        for words, parts in alike.values():
            self._add(words, range(len(parts[0])), parts)

    def _add(self, words: Sequence[Words], numbers: Sequence[int], parts: Sequence[Sequence[int]]) -> None:
        keys = _keys(words, numbers)
        # All of them are one, as those of one signal often are.
        one = all(not which for _, which in words)
        for sums, part in zip(self._columns, parts, strict=True):
            if not any(part):
                continue
            if one:
                sums[keys[0]] += sum(part)
                continue
            for key, amount in zip(keys, part, strict=True):
                sums[key] += amount

    def merge(self, other: "AddedUp") -> None:
        """Add what others added up by the same words."""
        self._settle()
        other._settle()
        for sums, more in zip(self._columns, other._columns, strict=True):
            for key, amount in more.items():
                sums[key] += amount

    def told(self) -> Sums:
        """Return the sums."""
        self._settle()
        one, two, three, four, five, six = self._columns
        keys = dict.fromkeys(key for column in self._columns for key in column)
        return {
            (key,) if isinstance(key, str) else key: (
                one.get(key, 0),
                two.get(key, 0),
                three.get(key, 0),
                four.get(key, 0),
                five.get(key, 0),
                six.get(key, 0),
            )
            for key in keys
        }


def _keys(words: Sequence[Words], numbers: Sequence[int]) -> Sequence[_Key]:
    if not words:
        return [()] * len(numbers)
    if len(words) == 1:
        return spread(words[0], numbers)
    return list(zip(*[spread(one, numbers) for one in words], strict=True))


def wanted(rows: Rows, count: int, query: FactQuery) -> Sequence[int]:
    """Return which of so many facts a question is about."""
    numbers: Sequence[int] = range(count)
    token = None if query.token_id is None else (str(query.token_id),)
    for name, allowed in (
        ("kinds", query.kinds),
        ("followers", None if query.follower is None else (query.follower,)),
        ("leaders", None if query.leader is None else (query.leader,)),
        ("tokens", token),
    ):
        if allowed is None:
            continue
        table, which = getattr(rows, name)
        good = {number for number, text in enumerate(table) if text in allowed}
        if not good:
            return ()
        if len(good) < len(table):
            numbers = [number for number in numbers if which[number] in good]
    since, until = query.since, query.until
    if since is not None or until is not None:
        at = rows.at
        numbers = [
            number
            for number in numbers
            if (since is None or at[number] >= since) and (until is None or at[number] < until)
        ]
    return numbers
