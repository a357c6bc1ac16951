"""Follows by columns are a collection of them."""

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


@settings(deadline=None)
@given(st.lists(FOLLOWS))
def test_it_holds_what_it_was_given(follows: list[Follow]) -> None:
    """Each follow once, as it was given last, and in the order in which each was given first."""
    last = list({follow.key: follow for follow in follows}.values())
    table = FollowColumns.of(follows)

    assert list(table) == last
    assert len(table) == len(last)
    assert list(table.of_source("file")) == [follow for follow in last if follow.source == "file"]
    assert list(table.of_source("nobody")) == []
    assert all(follow in table for follow in last)
    assert make_follow("stranger") not in table
    assert FollowColumns.of(table) is table
    assert table.latest() is table


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
