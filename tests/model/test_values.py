"""What is made once is never changed: by the type checker's word, and what plugins are handed by its own."""

import pickle
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve, fields_dict
from attrs.exceptions import FrozenInstanceError

from tests.accounts.played import MARKET, entry, freeze, report_on
from trio_copy.model.budgets import Performance
from trio_copy.model.units import Shares, Usd

TASK = entry()
ORDER = freeze(TASK.key, TASK.intent)


def test_a_value_is_what_its_fields_are() -> None:
    """Equal fields are one key, a changed copy is another value, and a change is refused by the type checker."""
    one = Performance(realised=Usd(1))
    assert {one, Performance(realised=Usd(1))} == {one}
    assert evolve(one, realised=Usd(2)) == Performance(realised=Usd(2)) != one
    if TYPE_CHECKING:
        one.realised = Usd(2)  # type: ignore[misc]  # the point of the test


@pytest.mark.parametrize(
    "handed", [TASK, TASK.signal, TASK.intent, ORDER, ORDER.wallet, MARKET, report_on(ORDER)], ids=lambda one: type(one)
)
def test_what_a_plugin_is_handed_refuses_a_change(handed: Any) -> None:
    """What it is about to act upon stays what was decided, whatever a plugin tries."""
    for name in handed.__attrs_attrs__:
        with pytest.raises(FrozenInstanceError):
            setattr(handed, name.name, None)


@pytest.mark.parametrize("sealed", [TASK, TASK.intent, ORDER, report_on(ORDER)], ids=lambda one: type(one).__name__)
def test_what_is_sealed_is_a_value_like_any_other(sealed: Any) -> None:
    """Its copies are equal, of its very type and sealed as well, and nothing of it can be taken away."""
    again = (evolve(sealed), deepcopy(sealed), pickle.loads(pickle.dumps(sealed)))
    for one in again:
        assert type(one) is type(sealed)
        assert one == sealed
        assert (hash(one), repr(one)) == (hash(sealed), repr(sealed))
        for name in one.__attrs_attrs__:
            with pytest.raises(FrozenInstanceError):
                setattr(one, name.name, None)
            with pytest.raises(FrozenInstanceError):
                delattr(one, name.name)
    assert fields_dict(type(sealed)).keys() == {name.name for name in sealed.__attrs_attrs__}


def test_an_intent_of_another_size_is_the_same_wish() -> None:
    """In every other field."""
    intent = evolve(
        TASK.intent,
        sell="all",
        leader_shares=Shares(7),
        called_off=Shares(3),
        order_type="GTC",
        rest_until=9,
        post_only=True,
        leader_time=11,
    )
    assert intent.resized(Shares(5)) == evolve(intent, shares=Shares(5))
