"""Followers that are named, and those whom `*` lends what it has."""

import pytest
from attrs import evolve

from trio_copy.model.follows import _LENT_MOST, EVERYBODY, Follower, Followers
from trio_copy.model.ids import FollowerId

ALICE, BOB = FollowerId("alice"), FollowerId("bob")
PATTERN = Follower(follower=EVERYBODY, executor="paper")


def test_who_is_not_named_is_the_same_each_time_and_not_for_ever() -> None:
    """Orders are compared with the very wallet that they were made for; and a million followers are not kept for that."""
    followers = Followers({EVERYBODY: PATTERN, ALICE: Follower(follower=ALICE, executor="clob")})
    bob = followers[BOB]
    assert bob == Follower(follower=BOB, executor="paper")
    assert followers[BOB] is bob
    assert followers[BOB].wallet is bob.wallet
    assert followers[ALICE].executor == "clob"
    for number in range(2 * _LENT_MOST):
        assert followers[FollowerId(f"user-{number}")].follower == f"user-{number}"
    assert len(followers._lent) <= _LENT_MOST + 1
    assert followers[BOB] == bob


def test_who_is_not_named_follows_what_the_pattern_becomes() -> None:
    followers = Followers({EVERYBODY: PATTERN})
    assert followers[BOB].executor == "paper"
    followers.named = {EVERYBODY: evolve(PATTERN, executor="clob")}
    assert followers[BOB].executor == "clob"
    followers.named = {BOB: Follower(follower=BOB, executor="onchain")}
    assert followers[BOB].executor == "onchain"
    with pytest.raises(KeyError):
        followers[ALICE]
