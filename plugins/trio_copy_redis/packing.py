"""The facts of one write, packed into one entry of the log: for Redis a few values, however many facts there are.

Columns lie one after the other and are read one by one, so that a question about one follower never looks at the amounts.
What only whole facts need, which is most of it, stands apart: a sum never reads it.
"""

import struct
from collections.abc import Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from itertools import chain

import msgspec
from attrs import frozen

from trio_copy.clock import utc_date
from trio_copy.errors import StoreError
from trio_copy.model.facts import AMOUNTS, Fact
from trio_copy.model.ids import Address, FollowerId, OrderId, SignalId, TaskId, TokenId
from trio_copy.ports import FORGOTTEN_TOKEN

_MASK = (1 << 60) - 1
"""Of a digest: what Python keeps in its smaller integers."""
_SHOWN = 12
"""Of an id so many characters stand in the index: enough to find the few entries that are worth a look."""
_BEGIN = "\n"
_DAY_S = 86_400
_encode = msgspec.msgpack.Encoder().encode
Words = tuple[list[str], list[int]]
"""Different words, and which of them each fact has; the second is empty where all have the first."""
TotalKey = tuple[str, str, str]
"""Kind, follower and leader."""


class _Columns(msgspec.Struct, array_like=True, gc=False):
    """What facts are chosen and added up by, as it is read: each column is still packed."""

    at: msgspec.Raw
    kinds: msgspec.Raw
    followers: msgspec.Raw
    leaders: msgspec.Raw
    tokens: msgspec.Raw
    amounts: msgspec.Raw
    """Those of the first fact, then those of the second."""


class Rest(msgspec.Struct, array_like=True, gc=False):
    """What else there is of each fact."""

    keys: list[str]
    signals: Words
    tasks: list[str]
    orders: list[str]
    bodies: list[bytes]

    def begins(self, number: int, prefix: str) -> bool:
        """Tell whether an id of a fact begins like this; an empty one is none."""
        ids = (_word(self.signals, number), self.tasks[number], self.orders[number])
        return any(id_ and id_.startswith(prefix) for id_ in ids)


_columns = msgspec.msgpack.Decoder(_Columns)
_rest = msgspec.msgpack.Decoder(Rest)
_floats = msgspec.msgpack.Decoder(list[float])
_integers = msgspec.msgpack.Decoder(list[int])
_words: "msgspec.msgpack.Decoder[Words]" = msgspec.msgpack.Decoder(Words)


@frozen
class Packed:
    """What is written of some facts."""

    count: int
    newest: float
    columns: bytes
    digests: bytes
    """Eight bytes a fact: equal for equal keys, and for no others that anybody will ever see."""
    ids: bytes
    """The beginnings of all ids, each after `_BEGIN`."""
    rest: bytes


def pack(facts: Sequence[Fact]) -> Packed:
    """Pack some facts; of those with the same key, the last."""
    if len({fact.key for fact in facts}) < len(facts):
        facts = list({fact.key: fact for fact in facts}.values())
    ids: set[str] = {fact.signal_id for fact in facts}
    ids.update([fact.task_id for fact in facts], [fact.order_id for fact in facts])
    keys = [fact.key for fact in facts]
    at = [fact.at for fact in facts]
    columns = (
        at,
        _different([fact.kind for fact in facts]),
        _different([fact.follower for fact in facts]),
        _different([fact.leader for fact in facts]),
        _different([str(fact.token_id) for fact in facts]),
        list(chain.from_iterable([fact.amounts for fact in facts])),
    )
    rest = (
        keys,
        _different([fact.signal_id for fact in facts]),
        [fact.task_id for fact in facts],
        [fact.order_id for fact in facts],
        [fact.body for fact in facts],
    )
    return Packed(
        count=len(facts),
        newest=max(at),
        columns=_encode(columns),
        digests=struct.pack(f"<{len(keys)}Q", *map(_digest, keys)),
        ids="".join([_BEGIN + id_[:_SHOWN] for id_ in ids if id_]).encode(),
        rest=_encode(rest),
    )


def pack_totals(day: int, totals: Mapping[TotalKey, Sequence[int]]) -> bytes:
    """Pack what facts of one day add up to, as columns of facts without a token that were told when the day began."""
    return _encode(
        (
            [float(day * _DAY_S)] * len(totals),
            *(_different([key[place] for key in totals]) for place in range(3)),
            _different([FORGOTTEN_TOKEN] * len(totals)),
            list(chain.from_iterable(totals.values())),
        )
    )


def _different(words: Sequence[str]) -> Words:
    table = {word: number for number, word in enumerate(dict.fromkeys(words))}
    return list(table), [table[word] for word in words] if len(table) > 1 else []


def _digest(key: str) -> int:
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "little") & _MASK


def read_digests(packed: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(packed) // 8}Q", packed)


def write_digest(digest: int) -> bytes:
    return struct.pack("<Q", digest)


def sought(prefix: str) -> bytes:
    """Return what stands in the `ids` of every entry that has an id that begins like this."""
    return (_BEGIN + prefix[:_SHOWN]).encode()


def read_rest(packed: bytes) -> Rest:
    try:
        return _rest.decode(packed)
    except msgspec.DecodeError as error:
        raise StoreError(f"expected packed facts: {error}") from error


class Rows:
    """The facts of one entry, as far as they are chosen and added up by; what is not looked at is not unpacked."""

    def __init__(self, packed: bytes) -> None:
        try:
            self._columns = _columns.decode(packed)
        except msgspec.DecodeError as error:
            raise StoreError(f"expected packed facts: {error}") from error

    @cached_property
    def at(self) -> list[float]:
        return _floats.decode(self._columns.at)

    @cached_property
    def kinds(self) -> Words:
        return _words.decode(self._columns.kinds)

    @cached_property
    def followers(self) -> Words:
        return _words.decode(self._columns.followers)

    @cached_property
    def leaders(self) -> Words:
        return _words.decode(self._columns.leaders)

    @cached_property
    def tokens(self) -> Words:
        """Token ids as decimal text."""
        return _words.decode(self._columns.tokens)

    @cached_property
    def amounts(self) -> list[int]:
        return _integers.decode(self._columns.amounts)

    @cached_property
    def days(self) -> Words:
        """The UTC date of each fact."""
        first = int(min(self.at) // _DAY_S)
        if max(self.at) < (first + 1) * _DAY_S:
            return [utc_date(first * _DAY_S)], []
        days = [int(at // _DAY_S) for at in self.at]
        table = {day: number for number, day in enumerate(dict.fromkeys(days))}
        return [utc_date(day * _DAY_S) for day in table], [table[day] for day in days] if len(table) > 1 else []

    def packed(self, name: str) -> bytes:
        """Return the words of all facts as they are packed: equal where they are the same in the same order."""
        return repr(self.days).encode() if name == "days" else bytes(getattr(self._columns, name))

    def total_key(self, number: int) -> TotalKey:
        """Return by what a fact is added up once it is let go."""
        return (_word(self.kinds, number), _word(self.followers, number), _word(self.leaders, number))

    def fact(self, number: int, rest: Rest) -> Fact:
        first = number * len(AMOUNTS)
        return Fact(
            key=rest.keys[number],
            kind=_word(self.kinds, number),
            at=self.at[number],
            follower=FollowerId(_word(self.followers, number)),
            leader=Address(_word(self.leaders, number)),
            token_id=TokenId(int(_word(self.tokens, number))),
            signal_id=SignalId(_word(rest.signals, number)),
            task_id=TaskId(rest.tasks[number]),
            order_id=OrderId(rest.orders[number]),
            amounts=tuple(self.amounts[first : first + len(AMOUNTS)]),  # type: ignore[arg-type]  # so many were packed
            body=rest.bodies[number],
        )


def _word(words: Words, number: int) -> str:
    table, which = words
    return table[which[number]] if which else table[0]


def spread(words: Words, numbers: Sequence[int]) -> list[str]:
    """Return the words of some facts."""
    table, which = words
    return [table[which[number]] for number in numbers] if which else table * len(numbers)
