"""Small worlds, every history of them: nothing is lost, doubled, over a cap or sent before it is durable."""

import pytest
from attrs import evolve

from tests.model_check.engine import Engine
from tests.model_check.mutants import MUTANTS, hunt
from tests.model_check.search import search, wander
from tests.model_check.worlds import Scenario, scenarios

SCENARIOS = scenarios()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_no_history_breaks_a_promise(scenario: Scenario) -> None:
    """Two accounts, a reorg, a takeover and a crash: as many histories as fit, all over the world and in one corner of it."""
    wander(Engine(scenario), 60)
    found = search(Engine(evolve(scenario, answers=scenario.answers[:2])), most=3_000)
    assert found.histories > 1000
    assert not found.wrong


SMALL = [one for one in SCENARIOS if not one.hands_over]
"""Worlds of which all can be played here; `python -m tests.model_check` plays every one."""


@pytest.mark.parametrize("scenario", SMALL, ids=lambda one: one.name)
def test_every_history_of_one_account(scenario: Scenario) -> None:
    """A reorg, and a crash at every step: all of them."""
    found = search(Engine(evolve(scenario, followers=("alice",), zombie=False)))
    assert found.whole
    assert found.histories > 1000
    assert not found.wrong


@pytest.mark.parametrize("name", ["the purchase is mined again", "two purchases under caps for one"])
def test_every_history_of_two_accounts(name: str) -> None:
    """Two signals, a takeover from an owner that lives on, and a crash at every step; in the first world a reorg besides."""
    (scenario,) = [one for one in SCENARIOS if one.name == name]
    found = search(Engine(evolve(scenario, answers=scenario.answers[:1])))
    assert found.whole
    assert found.histories > 1_000_000_000
    assert not found.wrong


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.__name__)
def test_every_mutant_is_found(mutant: type[Engine]) -> None:
    """An engine without one of the rules is caught."""
    assert hunt(mutant) is not None
