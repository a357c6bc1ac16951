"""Who follows a leader, at once, however large the book. One task writes it, everybody may read."""

from collections.abc import Iterable, Mapping, Sequence

from attrs import define, field

from trio_copy.copying.exits import may_leave
from trio_copy.model.follows import Follow, Terms, TermsOfFollows
from trio_copy.model.ids import Address, FollowerId


@define(eq=False)
class FollowBook:
    """Follows as their terms: the settings in force."""

    terms: TermsOfFollows = field(factory=TermsOfFollows)
    leaving: set[tuple[FollowerId, Address]] = field(factory=set)
    """Follows that end once their positions are closed."""
    may_leave: dict[FollowerId, set[Address]] = field(factory=dict)
    """Whose positions a follower may leave by himself: they have to be looked at."""
    _by_leader: dict[Address, dict[FollowerId, Terms]] = field(factory=dict)
    """Of each leader in the order of followers."""

    def replace_all(self, follows: Iterable[Follow]) -> list[Follow]:
        """Start over with these follows; return those whose follower is not known."""
        by_leader: dict[Address, dict[FollowerId, Terms]] = {}
        unknown = []
        self.leaving, self.may_leave = set(), {}
        for follow in follows:
            if follow.follower in self.terms.followers:
                terms = by_leader.setdefault(follow.leader, {})[follow.follower] = self.terms.of(follow)
                self._note(follow, terms)
            else:
                unknown.append(follow)
        self._by_leader = {leader: _ordered(of_leader) for leader, of_leader in by_leader.items()}
        return unknown

    def put(self, follow: Follow) -> bool:
        """Insert or replace one follow; False when its follower is not known."""
        if follow.follower not in self.terms.followers:
            return False
        others, terms = self._by_leader.get(follow.leader, {}), self.terms.of(follow)
        self._by_leader[follow.leader] = _ordered({**others, follow.follower: terms})
        self._note(follow, terms)
        return True

    def remove(self, follow: Follow) -> None:
        """Take one follow out; an unknown one changes nothing."""
        self._note(follow, None)
        of_leader = self._by_leader.get(follow.leader, {})
        of_leader.pop(follow.follower, None)
        if not of_leader:
            self._by_leader.pop(follow.leader, None)

    def of(self, leader: Address) -> tuple[Terms, ...]:
        """Return the terms of a leader's follows, ordered by follower."""
        return tuple(self._by_leader.get(leader, {}).values())

    def find(self, follower: FollowerId, leader: Address) -> Terms | None:
        """Return the terms of one follow."""
        of_leader = self._by_leader.get(leader)
        return None if of_leader is None else of_leader.get(follower)

    def _note(self, follow: Follow, terms: Terms | None) -> None:
        if terms is not None and terms.settings.status == "leaving":
            self.leaving.add(follow.key)
        else:
            self.leaving.discard(follow.key)
        leaders = self.may_leave.setdefault(follow.follower, set())
        if terms is not None and may_leave(terms.settings):
            leaders.add(follow.leader)
        else:
            leaders.discard(follow.leader)
        if not leaders:
            del self.may_leave[follow.follower]

    def __contains__(self, leader: Address) -> bool:
        return leader in self._by_leader

    def __len__(self) -> int:
        return sum(map(len, self._by_leader.values()))

    @property
    def leaders(self) -> Sequence[Address]:
        return sorted(self._by_leader)


def _ordered(terms: Mapping[FollowerId, Terms]) -> dict[FollowerId, Terms]:
    return {follower: terms[follower] for follower in sorted(terms)}
