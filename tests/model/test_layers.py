"""Settings in layers: which of several levels' values is in force, and where it came from."""

from typing import Any

import pytest

from tests.builders import LEADER, usd
from trio_copy.config.strict import structure_layer
from trio_copy.errors import ConfigError
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.follows import Follow, Follower, Followers, TermsOfFollows
from trio_copy.model.ids import FollowerId, TokenId
from trio_copy.model.layers import Merge, layer, leaves
from trio_copy.model.units import Price
from trio_copy.records import decode_layer, encode_layer

ALICE = FollowerId("alice")


def effective(path: str, *, engine: Any = None, leader: Any = None, follower: Any = None, follow: Any = None) -> Any:
    """Put one path at some levels and return (value, origin)."""

    def one(value: Any) -> Any:
        return () if value is None else layer({path: value})

    account = Follower(follower=ALICE, executor="sim", own=one(follower))
    terms = TermsOfFollows(one(engine), {LEADER: one(leader)}, Followers({ALICE: account}))
    found = Follow(follower=ALICE, leader=LEADER, own=one(follow))
    (explained,) = [row for row in terms.explain(found) if row.path == path]
    value: Any = terms.of(found).settings
    for name in path.split("."):
        value = getattr(value, name)
    assert value == explained.value
    return explained.value, explained.origin


def test_the_nearest_level_wins_for_ways_of_doing_things() -> None:
    """A mode is what the nearest level says, even when it says what the default is."""
    assert effective("size.mode", engine="fixed", follow="ratio") == ("ratio", "follow")
    assert effective("size.mode", engine="fixed") == ("fixed", "engine")
    assert effective("size.mode") == ("ratio", "default")


def test_the_smallest_cap_wins_and_a_default_takes_no_part() -> None:
    """Nobody lifts a cap that a farther level set; a default is not a level."""
    path = "caps.max_order_usd"
    assert (usd("20"), "engine") == effective(path, engine=usd("20"), follow=usd("500"))
    assert (usd("10"), "follower") == effective(path, engine=usd("20"), follower=usd("10"), follow=usd("15"))
    assert (usd("500"), "follow") == effective(path, follow=usd("500"))


def test_the_largest_floor_wins() -> None:
    """Floors tighten like caps do."""
    assert effective("filters.price_min", leader=Price.parse("0.3"), follow=Price.parse("0.1")) == (
        Price.parse("0.3"),
        "leader",
    )


def test_allow_lists_intersect_and_deny_lists_unite() -> None:
    """What one level denies stays denied; what one level does not allow is not allowed. None allows everything."""
    one, two, three = (frozenset(map(TokenId, ids)) for ids in ([1, 2], [2, 3], [2]))
    assert effective("filters.token_allow", engine=one, follow=two) == (three, "engine + follow")
    assert effective("filters.token_allow") == (None, "default")
    assert effective("filters.token_deny", engine=one, follow=two) == (one | two, "engine + follow")
    both, buys = frozenset(Side), frozenset({Side.BUY})
    assert effective("filters.sides", follower=buys, follow=both) == (buys, "follower + follow")


def test_equal_layers_share_one_result() -> None:
    """A hundred thousand follows with equal settings keep one object."""
    followers = Followers({ALICE: Follower(follower=ALICE, executor="sim")})
    terms = TermsOfFollows(followers=followers)
    own = layer({"size.mode": "fixed"})
    first, second = (terms.of(Follow(follower=ALICE, leader=LEADER, own=own)) for _ in range(2))
    assert first.settings is second.settings


def test_every_setting_declares_a_rule_that_fits_its_kind() -> None:
    """Caps are smallest, lists are sets; a rule that cannot work on its values would show only in production."""
    for path, leaf in leaves(FollowSettings).items():
        merge: Merge = leaf.metadata["merge"]
        if merge in (Merge.INTERSECTION, Merge.UNION):
            assert "frozenset" in str(leaf.type), path
        if path.startswith("caps.max_"):
            assert merge is Merge.SMALLEST, path
        if path.endswith("_deny"):
            assert merge is Merge.UNION, path
        if path.endswith("_allow"):
            assert merge is Merge.INTERSECTION, path


def test_a_layer_survives_the_store_exactly() -> None:
    """What a person set comes back as the same values."""
    plain = {
        "size.tiers": [{"from_usd": 10, "ratio": "0.5"}, {"from_usd": 100}],
        "filters.token_allow": [str(2**255), "7"],
        "filters.sides": ["BUY"],
        "caps.max_positions": 3,
        "execution.slippage_bps": 50,
        "leaving.redeem": False,
    }
    own = structure_layer(plain)
    assert own == decode_layer(encode_layer(own))


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("size.ratoi", "1", 'size.ratoi: no such setting; did you mean "size.ratio"?'),
        ("size.mode", "big", "size.mode: expected one of fixed, ratio"),
        ("caps.max_day_usd", "-1", "caps.max_day_usd: expected a value from 0"),
        ("filters.roles", ["WHALE"], "filters.roles[0]: expected MAKER, TAKER or UNKNOWN"),
    ],
)
def test_a_wrong_value_is_one_clear_line(path: str, value: object, says: str) -> None:
    """Where, what was expected, what was there."""
    with pytest.raises(ConfigError) as caught:
        structure_layer({path: value})
    (line,) = caught.value.problems
    assert line.startswith(says)
