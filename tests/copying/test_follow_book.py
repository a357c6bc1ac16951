"""The book is a plain dictionary of follows by leader and follower, however it keeps them."""

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import LEADER, OTHER_LEADER, make_follow, make_layer
from trio_copy.copying import follow_book
from trio_copy.copying.exits import needs_looks
from trio_copy.copying.follow_book import FollowBook
from trio_copy.model.follow_columns import FollowColumns
from trio_copy.model.follows import EVERYBODY, Follow, Follower, Followers, Terms, TermsOfFollows
from trio_copy.model.ids import Address, FollowerId
from trio_copy.model.layers import NO_LAYER, layer

NAMES = tuple(map(FollowerId, ("dora", "alice", "bob", "carol", "eve")))
LEADERS = (OTHER_LEADER, LEADER, Address("0x" + "cc" * 20))
OWN = (
    NO_LAYER,
    make_layer(),
    make_layer(slippage_bps=1),
    layer({"status": "leaving"}),
    layer({"leaving.stop_loss_bps": 100}),
)
FOLLOWS = st.builds(Follow, follower=st.sampled_from(NAMES), leader=st.sampled_from(LEADERS), own=st.sampled_from(OWN))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), FOLLOWS),
        st.tuples(st.just("remove"), FOLLOWS),
        st.tuples(st.just("look"), FOLLOWS),
        st.tuples(st.just("replace"), st.lists(FOLLOWS, max_size=15)),
        st.tuples(st.just("replace by columns"), st.lists(FOLLOWS, max_size=15)),
        st.tuples(st.just("reload"), st.lists(FOLLOWS, max_size=15)),
    ),
    max_size=20,
)
NAMED = {
    FollowerId("alice"): Follower(follower=FollowerId("alice"), executor="sim", own=make_layer(slippage_bps=7)),
    FollowerId("bob"): Follower(follower=FollowerId("bob"), executor="sim"),
    EVERYBODY: Follower(follower=EVERYBODY, executor="sim", own=layer({"leaving.max_hold_s": 9.0})),
}


@pytest.mark.parametrize("at_hand", [0, 4, 1000], ids=lambda most: f"{most} at hand")
@settings(deadline=None)
@given(steps=STEPS, strangers=st.booleans())
def test_it_is_a_dictionary(at_hand: int, steps: list[tuple[str, object]], strangers: bool) -> None:
    """Whatever is put, removed and replaced, every question has the answer that a dictionary gives."""
    named = {name: one for name, one in NAMED.items() if strangers or name != EVERYBODY}
    terms = TermsOfFollows(leaders={LEADER: layer({"status": "paused"})}, followers=Followers(named))
    book, held, ever = FollowBook(terms), dict[tuple[FollowerId, Address], Follow](), set[FollowerId]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(follow_book, "_AT_HAND_MOST", at_hand)
        for what, told in steps:
            match told:
                case Follow() as follow if what == "put":
                    known = strangers or follow.follower in named
                    assert book.put(follow) == known
                    held |= {follow.key: follow} if known else {}
                case Follow() as follow if what == "remove":
                    book.remove(follow)
                    held.pop(follow.key, None)
                case Follow() as follow:
                    book.of(follow.leader)  # takes its leader to hand, and perhaps another one away
                case list() as follows:
                    last = {follow.key: follow for follow in follows}
                    held = {key: one for key, one in last.items() if strangers or one.follower in named}
                    take = book.reload if what == "reload" else book.replace_all
                    if what != "reload":
                        ever.clear()
                    unknown = take(FollowColumns.of(follows) if what == "replace by columns" else follows)
                    assert sorted(one.key for one in unknown) == sorted(last.keys() - held.keys())
            ever |= {follower for follower, _ in held}
            assert set(book.followers) == ever
            _check(book, held)


def _check(book: FollowBook, held: dict[tuple[FollowerId, Address], Follow]) -> None:
    expected = {key: book.terms.of(follow) for key, follow in held.items()}
    for leader in LEADERS:
        of_leader = sorted(name for name, of in expected if of == leader)
        assert list(book.followers_of(leader)) == of_leader
        assert (leader in book) == bool(of_leader)
        for name in NAMES:
            terms = expected.get((name, leader))
            assert book.find(name, leader) == terms
            assert book.needs_looks(name, leader) == (terms is not None and needs_looks(terms.settings))
            assert not book.needs_looks(name, leader) or name in book.watched
    assert len(book) == len(held)
    assert sorted(book.leaders) == sorted({leader for _, leader in held})
    assert book.leaving == {key for key, terms in expected.items() if terms.settings.status == "leaving"}
    first = LEADERS[0]  # not all of them: that would leave nothing to chance of what is at hand
    assert list(book.of(first)) == [expected[name, first] for name in sorted(NAMES) if (name, first) in expected]


def test_equal_settings_are_one_object() -> None:
    """What a signal decides for one follow, it decides for all with the same settings: they have to be told by identity."""
    book = FollowBook(TermsOfFollows(followers=Followers({EVERYBODY: NAMED[EVERYBODY]})))
    book.replace_all([make_follow(name) for name in NAMES])
    book.put(make_follow("frank"))

    assert len({id(terms.settings) for terms in book.of(LEADER)}) == 1


def test_one_leader_alone_may_be_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """The terms of whoever was asked for last are at hand, also where they are more than those of several may be."""
    monkeypatch.setattr(follow_book, "_AT_HAND_MOST", 3)
    book = FollowBook(TermsOfFollows(followers=Followers({EVERYBODY: NAMED[EVERYBODY]})))
    book.replace_all([make_follow(name, leader) for name in NAMES for leader in LEADERS])

    def is_at_hand(leader: Address) -> bool:
        found: list[Terms | None] = [book.find(NAMES[0], leader) for _ in range(2)]
        return found[0] is found[1]  # else each is made for the one who asks

    for leader in LEADERS:
        assert len(book.of(leader)) == len(NAMES)
        assert [is_at_hand(one) for one in LEADERS] == [one == leader for one in LEADERS]


def test_new_terms_hold_for_what_is_put_from_then_on() -> None:
    """A reloaded configuration does not change what is in the book before its follows are replaced."""
    book = FollowBook(TermsOfFollows(followers=Followers({EVERYBODY: NAMED[EVERYBODY]})))
    book.replace_all([make_follow("alice"), make_follow("bob")])
    before = book.of(LEADER)
    book.terms = evolve(book.terms, engine=layer({"execution.attempts": 3}))
    book.put(make_follow("bob"))

    assert [terms.settings.execution.attempts for terms in before] == [1, 1]
    assert [terms.settings.execution.attempts for terms in book.of(LEADER)] == [1, 3]


def test_a_reload_in_slices_is_seen_all_at_once() -> None:
    """Until the last slice every question has the answer of before, and each slice is about a few follows."""
    named = Followers({EVERYBODY: NAMED[EVERYBODY]})
    book = FollowBook(TermsOfFollows(followers=named))
    before = {one.key: one for one in (make_follow(name, leader) for name in NAMES[:3] for leader in LEADERS[:2])}
    told = [evolve(make_follow(name, leader), own=OWN[3]) for name in NAMES[2:] for leader in LEADERS]
    after = {one.key: one for one in told}
    book.replace_all(before.values())
    slices = book.reload_in_slices(after.values(), at_once=1)
    count = 0
    for _ in slices:
        _check(book, before)
        count += 1

    assert count >= len(after)
    _check(book, after)
    assert set(book.followers) == set(NAMES)


def test_a_reload_that_is_given_up_changes_nothing() -> None:
    """An engine that ends meanwhile, for instance, judges by what held before."""
    book = FollowBook(TermsOfFollows(followers=Followers({EVERYBODY: NAMED[EVERYBODY]})))
    before = [make_follow(name) for name in NAMES]
    book.replace_all(before)
    slices = book.reload_in_slices([make_follow("frank", OTHER_LEADER)], at_once=1)
    next(slices)
    slices.close()

    _check(book, {one.key: one for one in before})
    assert set(book.followers) == set(NAMES)


@pytest.mark.parametrize("at_once", [2, 3, 100])  # with 1, as many come as are looked at, without end
def test_who_comes_during_a_reload_is_remembered_as_one_who_followed(at_once: int) -> None:
    """Whatever the slice in which he comes: what he spends until the end counts."""
    book = FollowBook(TermsOfFollows(followers=Followers({EVERYBODY: NAMED[EVERYBODY]})))
    book.replace_all([make_follow(name) for name in NAMES])
    came = set[str]()
    for number, _ in enumerate(book.reload_in_slices([make_follow("frank")], at_once)):
        came.add(f"came {number}")
        book.put(make_follow(f"came {number}"))
    assert came < set(book.followers)
    assert set(NAMES) < set(book.followers)
