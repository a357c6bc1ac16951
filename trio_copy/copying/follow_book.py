"""Who follows a leader, at once, however large the book. One task writes it, everybody may read."""

from collections.abc import Iterable, Mapping, Sequence

from attrs import define, field

from trio_copy.model.follows import Follow
from trio_copy.model.ids import Address, FollowerId


@define(eq=False)
class FollowBook:
    _by_leader: dict[Address, tuple[Follow, ...]] = field(factory=dict)

    def replace_all(self, follows: Iterable[Follow]) -> None:
        """Start over with these follows."""
        by_leader: dict[Address, dict[FollowerId, Follow]] = {}
        for follow in follows:
            by_leader.setdefault(follow.leader, {})[follow.follower] = follow
        self._by_leader = {leader: _ordered(of_leader) for leader, of_leader in by_leader.items()}

    def put(self, follow: Follow) -> None:
        """Insert or replace one follow."""
        others = {other.follower: other for other in self.of(follow.leader)}
        self._by_leader[follow.leader] = _ordered({**others, follow.follower: follow})

    def remove(self, follow: Follow) -> None:
        """Take one follow out; an unknown one changes nothing."""
        left = tuple(other for other in self.of(follow.leader) if other.follower != follow.follower)
        if left:
            self._by_leader[follow.leader] = left
        else:
            self._by_leader.pop(follow.leader, None)

    def of(self, leader: Address) -> tuple[Follow, ...]:
        """Return the follows of a leader, ordered by follower."""
        return self._by_leader.get(leader, ())

    def __contains__(self, leader: Address) -> bool:
        return leader in self._by_leader

    def __len__(self) -> int:
        return sum(map(len, self._by_leader.values()))

    @property
    def leaders(self) -> Sequence[Address]:
        return sorted(self._by_leader)


def _ordered(follows: Mapping[FollowerId, Follow]) -> tuple[Follow, ...]:
    return tuple(follows[follower] for follower in sorted(follows))
