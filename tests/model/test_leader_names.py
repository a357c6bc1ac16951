"""What leaders are called is learned in slices, and is what it was until the last of them."""

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import LEADER, OTHER_LEADER, make_follow
from trio_copy.model.follow_columns import FollowColumns
from trio_copy.model.follows import Follow, TermsOfFollows
from trio_copy.model.ids import Address
from trio_copy.model.layers import layer
from trio_copy.model.leader_names import NAME, LeaderNames

LEADERS = (LEADER, OTHER_LEADER)
FOLLOWS = st.builds(
    lambda follower, leader, name: make_follow(follower, leader, **({NAME: name} if name else {})),
    st.sampled_from("abcd"),
    st.sampled_from(LEADERS),
    st.sampled_from(("", "Whale", "whale", "Shark")),
)
BOOK = st.lists(FOLLOWS, unique_by=lambda follow: follow.key)


@given(st.lists(BOOK, max_size=2), st.dictionaries(st.sampled_from(LEADERS), st.sampled_from(("", "Ann", "Bob"))))
def test_the_last_by_follower_of_the_last_book_names_a_leader(
    books: list[list[Follow]], tables: dict[Address, str]
) -> None:
    """Unless his own table does; whoever has a name by any follow is found by it."""
    terms = TermsOfFollows(leaders={leader: layer({NAME: name}) for leader, name in tables.items() if name})
    for at_once, told in ((1, books), (3, [FollowColumns.of(book) for book in books])):
        fresh = LeaderNames()
        fresh.note(make_follow("old", LEADER, **{NAME: "Old"}))
        for _ in fresh.learn_in_slices(terms, *told, at_once=at_once):
            assert fresh.of(LEADER) == "Old"
        for leader in LEADERS:
            said = [
                dict(one.own).get(NAME) for book in books for one in sorted(book, key=_follower) if one.leader == leader
            ]
            of_follows = [name for name in said if name]
            assert fresh.of(leader) == (tables.get(leader) or (of_follows[-1] if of_follows else None))
            for name in {*of_follows, *filter(None, [tables.get(leader)])}:
                assert leader in fresh.called(name.upper())


def _follower(follow: Follow) -> str:
    return follow.follower
