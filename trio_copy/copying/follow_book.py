"""Who follows a leader, at once, however large the book. One task writes it, everybody may read."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

from attrs import define, field

from trio_copy.model.follows import Follow, Terms, TermsOfFollows
from trio_copy.model.ids import Address, FollowerId


@define(eq=False)
class FollowBook:
    """Follows as their terms: the settings in force."""

    terms: TermsOfFollows = field(factory=TermsOfFollows)
    leaving: set[tuple[FollowerId, Address]] = field(factory=set)
    """Follows that end once their positions are closed."""
    _by_leader: dict[Address, tuple[Terms, ...]] = field(factory=dict)

    def replace_all(self, follows: Iterable[Follow]) -> list[Follow]:
        """Start over with these follows; return those whose follower is not known."""
        by_leader: dict[Address, dict[FollowerId, Terms]] = {}
        unknown = []
        self.leaving = set()
        for follow in follows:
            if follow.follower in self.terms.followers:
                terms = by_leader.setdefault(follow.leader, {})[follow.follower] = self.terms.of(follow)
                self._note_leaving(follow, terms)
            else:
                unknown.append(follow)
        self._by_leader = {leader: _ordered(of_leader) for leader, of_leader in by_leader.items()}
        return unknown

    def put(self, follow: Follow) -> bool:
        """Insert or replace one follow; False when its follower is not known."""
        if follow.follower not in self.terms.followers:
            return False
        others, terms = {other.follower: other for other in self.of(follow.leader)}, self.terms.of(follow)
        self._by_leader[follow.leader] = _ordered({**others, follow.follower: terms})
        self._note_leaving(follow, terms)
        return True

    def remove(self, follow: Follow) -> None:
        """Take one follow out; an unknown one changes nothing."""
        self.leaving.discard(follow.key)
        left = tuple(other for other in self.of(follow.leader) if other.follower != follow.follower)
        if left:
            self._by_leader[follow.leader] = left
        else:
            self._by_leader.pop(follow.leader, None)

    def of(self, leader: Address) -> tuple[Terms, ...]:
        """Return the terms of a leader's follows, ordered by follower."""
        return self._by_leader.get(leader, ())

    def find(self, follower: FollowerId, leader: Address) -> Terms | None:
        """Return the terms of one follow."""
        terms = self.of(leader)
        at = bisect_left(terms, follower, key=_follower)
        return terms[at] if at < len(terms) and terms[at].follower == follower else None

    def _note_leaving(self, follow: Follow, terms: Terms) -> None:
        if terms.settings.status == "leaving":
            self.leaving.add(follow.key)
        else:
            self.leaving.discard(follow.key)

    def __contains__(self, leader: Address) -> bool:
        return leader in self._by_leader

    def __len__(self) -> int:
        return sum(map(len, self._by_leader.values()))

    @property
    def leaders(self) -> Sequence[Address]:
        return sorted(self._by_leader)


def _follower(terms: Terms) -> FollowerId:
    return terms.follower


def _ordered(terms: Mapping[FollowerId, Terms]) -> tuple[Terms, ...]:
    return tuple(terms[follower] for follower in sorted(terms))
