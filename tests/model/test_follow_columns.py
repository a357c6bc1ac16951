"""Follows by columns are a collection of them."""

from collections.abc import Iterable
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import LEADER, OTHER_LEADER, make_follow, make_layer
from trio_copy.model.follow_columns import ColumnsMaker, FollowColumns
from trio_copy.model.follows import Follow
from trio_copy.model.ids import FollowerId
from trio_copy.model.layers import NO_LAYER

FOLLOWS = st.builds(
    Follow,
    follower=st.sampled_from(tuple(map(FollowerId, "abc"))),
    leader=st.sampled_from((LEADER, OTHER_LEADER)),
    own=st.sampled_from((NO_LAYER, make_layer())),
    source=st.sampled_from(("file", "command")),
    version=st.integers(0, 2**40),
)


def _all(slices: Iterable[list[Follow]]) -> list[Follow]:
    return list(chain.from_iterable(slices))


@settings(deadline=None)
@given(st.lists(FOLLOWS))
def test_it_holds_what_it_was_given(follows: list[Follow]) -> None:
    """Each follow once, as it was given last, and in the order in which each was given first."""
    last = list({follow.key: follow for follow in follows}.values())
    table = FollowColumns.of(follows)

    assert list(table) == last
    assert len(table) == len(last)
    for at_once in (1, 2, 100):
        assert _all(table.of_source("file", at_once)) == [follow for follow in last if follow.source == "file"]
        assert _all(table.that_set("size.ratio", at_once)) == [follow for follow in last if follow.own]
        assert _all(table.of_source("nobody", at_once)) == []
        assert all(len(some) <= at_once for some in table.that_set("size.ratio", at_once))
    assert all(follow in table for follow in last)
    assert make_follow("stranger") not in table
    assert FollowColumns.of(table) is table
    assert table.latest() is table


@settings(deadline=None)
@given(st.lists(FOLLOWS), st.integers(1, 5))
def test_it_is_made_in_slices(follows: list[Follow], at_once: int) -> None:
    """However many are taken at once, each of them is there in the end."""
    slices = [len(table) for table in FollowColumns.in_slices(follows, at_once)]

    assert slices == [*range(0, len(follows), at_once), len(follows)]
    *_, table = FollowColumns.in_slices(follows, at_once)
    assert list(table) == follows
    *_, latest = table.latest_in_slices(at_once)
    assert list(latest) == list(FollowColumns.of(follows))


def test_what_is_alike_is_kept_once() -> None:
    """Names and layers of many follows are few objects."""
    names = [f"follower {number}" for number in range(3)]
    table = FollowColumns.of(make_follow("".join(name), leader) for name in names for leader in (LEADER, OTHER_LEADER))

    assert (table.followers, table.leaders) == (names, [LEADER, OTHER_LEADER])
    assert len({id(follow.own) for follow in table}) == 1


@pytest.mark.parametrize("short", range(4), ids=["followers", "leaders", "kinds", "versions"])
def test_columns_are_of_one_length(short: int) -> None:
    """A store that tells less of one thing than of the others is not guessed at."""
    maker: ColumnsMaker[str, str] = ColumnsMaker(str, lambda told: (told, NO_LAYER))
    columns: list[list[str]] = [["alice", "bob"], [LEADER, LEADER], ["file", "file"]]
    versions = [1, 2]
    (columns[short] if short < 3 else versions).pop()

    with pytest.raises(ValueError, match="expected as many followers as leaders"):
        maker.add(columns[0], columns[1], columns[2], versions)
