"""Facts of packed entries are added up exactly, whole or in part, alike or not."""

from itertools import product

import pytest

from trio_copy.entropy import seeded_entropy
from trio_copy.model.ids import FollowerId
from trio_copy.testing.conformance.terms import LEADER, OTHER_LEADER, START, fact
from trio_copy_redis import sums
from trio_copy_redis.packing import Rows, pack
from trio_copy_redis.sums import AddedUp


@pytest.mark.parametrize("by", [(), ("follower",), ("leader",), ("day",), ("follower", "day"), ("leader", "token_id")])
def test_entries_are_added_up(monkeypatch: pytest.MonkeyPatch, by: tuple[str, ...]) -> None:
    """Entries of the same followers in the same order, of one follower several times, of parts: each fact counts once."""
    monkeypatch.setattr(sums, "_MOST_WAITING", 40)
    luck, added = seeded_entropy(1), AddedUp(by)
    expected: dict[tuple[str, ...], int] = {}
    followers = (("a", "b", "c"), ("c", "b", "a"), ("a",), ("a", "a"))
    for number, (names, leader) in enumerate(product(followers * 5, (LEADER, OTHER_LEADER))):
        at = START + luck.choice((0.0, 86_400.0))
        told = [
            fact(
                f"{number} {i}", follower=FollowerId(name), leader=leader, at=at, amounts=(1, number, 0, 0, -number, 0)
            )
            for i, name in enumerate(names)
        ]
        wanted = range(len(told)) if number % 3 else range(1, len(told))
        rows = Rows(pack(told).columns)
        added.add(rows, wanted)
        for one in (told[place] for place in wanted):
            words = {"follower": one.follower, "leader": one.leader, "token_id": "7", "day": rows.days[0][0]}
            key = tuple(words[name] for name in by)
            expected[key] = expected.get(key, 0) + number
    assert {key: amounts[1] for key, amounts in added.told().items()} == expected
    assert {key: -amounts[4] for key, amounts in added.told().items()} == expected
