"""Who follows a leader, at once, however large the book. One task writes it, everybody may read.

In the book a follow is one number, made of that of its follower and that of its settings: a million of them take 8 MB. Terms
are made of them when somebody asks, and stay at hand while their leader is among those that were asked for last.
"""

from array import array
from bisect import bisect_left
from collections.abc import Generator, Iterable, Iterator, KeysView, Sequence
from itertools import chain

from attrs import define, field

from trio_copy.copying.exits import counts_by_mark, needs_looks
from trio_copy.model.follow_columns import FollowColumns
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.follows import Follow, Terms, TermsOfFollows
from trio_copy.model.ids import Address, FollowerId
from trio_copy.model.layers import NO_LAYER
from trio_copy.model.slices import slices

_BITS = 32
"""The lower half of a follow's number is that of its settings, the upper half that of its follower."""
_LOWER_HALF = (1 << _BITS) - 1
_SAMPLES_OF_SLICE = 20
"""How many names are looked at to find where a slice of them ends: it is some 20 % longer or shorter than it should be."""
_SCATTERS = 2_654_435_761
"""Steps over names by so many, of whatever order they are: stores tell them leader by leader, each in order."""
_AT_HAND_MOST = 50_000
"""Terms that are kept once they are made, some 150 bytes each; more where one leader alone has more."""


@define(eq=False)
class FollowBook:
    """Follows as their terms: the settings in force."""

    terms: TermsOfFollows = field(factory=TermsOfFollows)
    leaving: set[tuple[FollowerId, Address]] = field(factory=set)
    """Follows that end once their positions are closed."""
    by_mark: set[FollowerId] = field(factory=set)
    """Likewise of those some of whose settings count all that they hold at its marks."""
    watched: set[FollowerId] = field(factory=set)
    """Whose positions have to be looked at all the time are among them, and perhaps some whose had to be once: see `needs_looks`."""
    _by_leader: dict[Address, "array[int]"] = field(factory=dict)
    """Of each leader in the order of followers."""
    _followers: list[FollowerId] = field(factory=list)
    _settings: list[FollowSettings] = field(factory=list)
    _follower_numbers: dict[FollowerId, int] = field(factory=dict)
    _settings_numbers: dict[int, int] = field(factory=dict)
    """By identity: equal settings are one object already, and take long to compare."""
    _left: list[FollowerId] = field(factory=list)
    """Who followed somebody before a reload, and nobody since."""
    _count: int = 0
    _at_hand: dict[Address, dict[FollowerId, Terms]] = field(factory=dict)
    _count_at_hand: int = 0

    def set_terms(self, terms: TermsOfFollows) -> None:
        """Let follows that are put from now on have these terms; those in the book keep theirs until they are put again."""
        self.terms = terms

    def reload(self, follows: Iterable[Follow]) -> list[Follow]:
        """Take these follows for all there are now, and remember who followed; return those whose follower is not known."""
        return [one for unknown in self.reload_in_slices(follows) for one in unknown]

    def replace_all(self, follows: Iterable[Follow]) -> list[Follow]:
        """Start over with these follows; return those whose follower is not known."""
        unknown = self.reload(follows)
        self._left = []
        return unknown

    def reload_in_slices(self, follows: Iterable[Follow], at_once: int = 2_000) -> Generator[list[Follow], None, None]:
        """Do as `reload` does, with so many follows at once; each slice tells those whose follower is not known.

        Between two of them anything may be asked, and all of it is as before: the follows become others all at once, after the
        last. What is put or removed meanwhile is not in them, and has to be told again.
        """
        fresh = FollowBook(self.terms)
        yield from fresh._fill(FollowColumns.of(follows), at_once)
        left = list[FollowerId]()
        for names in (self._left, self._followers):
            done = 0
            while some := names[done : done + at_once]:
                left += [name for name in some if name not in fresh._follower_numbers]
                done += len(some)
                if done < len(names):  # more may come meanwhile, and behind the last of them nobody has a turn
                    yield []
        self._left = left
        self.leaving, self.by_mark, self.watched = fresh.leaving, fresh.by_mark, fresh.watched
        self._by_leader, self._count = fresh._by_leader, fresh._count
        self._followers, self._follower_numbers = fresh._followers, fresh._follower_numbers
        self._settings, self._settings_numbers = fresh._settings, fresh._settings_numbers
        self._at_hand, self._count_at_hand = {}, 0

    def _fill(self, follows: FollowColumns, at_once: int) -> Iterator[list[Follow]]:
        followers, leaders = self.terms.followers, self.terms.leaders
        # By name, so that the numbers of a leader's follows are in the order of followers, too.
        uppers, of_followers = [-1] * len(follows.followers), [0] * len(follows.followers)
        for places in _sorted_in_slices(follows.followers, at_once):
            for place in places:
                name = follows.followers[place]
                if name in followers:
                    uppers[place], of_followers[place] = self._number_follower(name) << _BITS, id(followers[name].own)
            yield []
        of_leaders = list[int]()
        filled: list[array[int]] = []
        for names in slices(follows.leaders, at_once):
            of_leaders += [id(leaders.get(name, NO_LAYER)) for name in names]
            filled += [array("Q") for _ in names]
            yield []
        # What is in force is worked out once for all whose levels say the same: there may be a million follows.
        known: dict[tuple[int, int, int], int] = {}
        for start in range(0, len(follows), at_once):
            rows = range(start, min(start + at_once, len(follows)))
            unknown, columns = list[Follow](), (follows.of_follower, follows.of_leader, follows.of_kind)
            named = (column[rows.start : rows.stop] for column in columns)
            for row, follower, leader, kind in zip(rows, *named, strict=True):
                upper = uppers[follower]
                if upper < 0:
                    unknown.append(follows.make(row))
                    continue
                levels = (of_leaders[leader], of_followers[follower], kind)
                lower = known.get(levels)
                if lower is None:
                    lower = known[levels] = self._number_settings(self.terms.of(follows.make(row)).settings)
                filled[leader].append(upper | lower)
            yield unknown
        noted = {number for number, settings in enumerate(self._settings) if needs_looks(settings)}
        done = 0
        for address in reversed(follows.leaders):
            column = sorted(filled.pop())  # so that there is never a whole second book
            self._count += len(column)
            if column:
                self._by_leader[address] = array("Q", column)
            for follow in column if noted else ():
                if follow & _LOWER_HALF in noted:
                    self._note(address, follow)
            done += 1 + len(column)
            if done >= at_once:
                done = 0
                yield []

    def put(self, follow: Follow) -> bool:
        """Insert or replace one follow; False when its follower is not known."""
        if follow.follower not in self.terms.followers:
            return False
        settings = self._number_settings(self.terms.of(follow).settings)
        number = self._number_follower(follow.follower) << _BITS | settings
        column = self._by_leader.setdefault(follow.leader, array("Q"))
        place = self._place(column, follow.follower)
        if place < len(column) and self._name_of(column[place]) == follow.follower:
            column[place] = number
        else:
            column.insert(place, number)
            self._count += 1
        self._forget(follow)
        self._note(follow.leader, number)
        return True

    def remove(self, follow: Follow) -> None:
        """Take one follow out; an unknown one changes nothing."""
        self._forget(follow)
        column = self._by_leader.get(follow.leader)
        if column is None:
            return
        place = self._place(column, follow.follower)
        if place < len(column) and self._name_of(column[place]) == follow.follower:
            del column[place]
            self._count -= 1
        if not column:
            del self._by_leader[follow.leader]

    def of(self, leader: Address) -> tuple[Terms, ...]:
        """Return the terms of a leader's follows, ordered by follower."""
        terms = self._at_hand.get(leader)
        if terms is None:
            terms = self._take_to_hand(leader)
        return tuple(terms.values())

    def find(self, follower: FollowerId, leader: Address) -> Terms | None:
        """Return the terms of one follow."""
        terms = self._at_hand.get(leader)
        if terms is not None:
            return terms.get(follower)
        column = self._by_leader.get(leader)
        if column is None:
            return None
        place = self._place(column, follower)
        found = self._terms_of(column[place]) if place < len(column) else None
        return found if found is not None and found.follower == follower else None

    def needs_looks(self, follower: FollowerId, leader: Address) -> bool:
        """Tell whether positions that a follower has copied from a leader have to be looked at all the time."""
        terms = self.find(follower, leader)
        return terms is not None and needs_looks(terms.settings)

    def followers_of(self, leader: Address) -> Iterator[FollowerId]:
        """Return who follows a leader, in order, without making their terms."""
        return map(self._name_of, self._by_leader.get(leader, ()))

    def count_of(self, leader: Address) -> int:
        """Return how many follow a leader."""
        return len(self._by_leader.get(leader, ()))

    def __contains__(self, leader: Address) -> bool:
        return leader in self._by_leader

    def __len__(self) -> int:
        """Return how many follows there are."""
        return self._count

    @property
    def followers(self) -> Iterator[FollowerId]:
        """Return everybody who follows somebody, or did since the book was begun: who left may come back, and what he spent counts.

        Who comes back after a reload may be told twice.
        """
        return chain(self._followers, self._left)

    @property
    def leaders(self) -> KeysView[Address]:
        """Whom somebody follows, in any order; they are others once the book is."""
        return self._by_leader.keys()

    def _take_to_hand(self, leader: Address) -> dict[FollowerId, Terms]:
        followers, settings, terms = self._followers, self._settings, dict[FollowerId, Terms]()
        for follow in self._by_leader.get(leader, ()):
            name = followers[follow >> _BITS]
            terms[name] = Terms(name, settings[follow & _LOWER_HALF])
        if terms:
            self._count_at_hand += len(terms)
            self._at_hand[leader] = terms
            while self._count_at_hand > _AT_HAND_MOST and len(self._at_hand) > 1:
                self._drop_from_hand(next(iter(self._at_hand)))
        return terms

    def _drop_from_hand(self, leader: Address) -> None:
        self._count_at_hand -= len(self._at_hand.pop(leader, ()))

    def _forget(self, follow: Follow) -> None:
        """Drop what is remembered of a follow besides its number."""
        self.leaving.discard(follow.key)
        self._drop_from_hand(follow.leader)

    def _note(self, leader: Address, follow: int) -> None:
        terms = self._terms_of(follow)
        if terms.settings.status == "leaving":
            self.leaving.add((terms.follower, leader))
        if needs_looks(terms.settings):
            self.watched.add(terms.follower)
        if counts_by_mark(terms.settings):
            self.by_mark.add(terms.follower)

    def _number_follower(self, name: FollowerId) -> int:
        number = self._follower_numbers.setdefault(name, len(self._followers))
        if number == len(self._followers):
            self._followers.append(name)
        return number

    def _number_settings(self, settings: FollowSettings) -> int:
        number = self._settings_numbers.setdefault(id(settings), len(self._settings))
        if number == len(self._settings):
            self._settings.append(settings)
        return number

    def _place(self, column: "array[int]", follower: FollowerId) -> int:
        """Return where a follower's follow stands among those of a leader, or would stand."""
        return bisect_left(column, follower, key=self._name_of)

    def _name_of(self, follow: int) -> FollowerId:
        return self._followers[follow >> _BITS]

    def _terms_of(self, follow: int) -> Terms:
        return Terms(self._followers[follow >> _BITS], self._settings[follow & _LOWER_HALF])


def _sorted_in_slices(names: Sequence[FollowerId], at_once: int) -> Iterator[Sequence[int]]:
    """Yield where each name stands, in the order of names, about so many at once; and nothing while they are parted by name."""
    samples = len(names) * _SAMPLES_OF_SLICE // at_once
    between = sorted(names[number * _SCATTERS % len(names)] for number in range(samples))[
        _SAMPLES_OF_SLICE::_SAMPLES_OF_SLICE
    ]
    parts: list[list[int]] = [[] for _ in range(len(between) + 1)]
    for places in slices(range(len(names)), at_once):
        for place in places:
            parts[bisect_left(between, names[place])].append(place)
        yield ()
    for part in parts:
        part.sort(key=names.__getitem__)
        yield part
