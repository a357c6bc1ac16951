"""Seeded worlds that misbehave, compared with the truth: the chain they ended up with.

`tests/worlds` says what goes wrong and what is compared. A seed reproduces a run; many of them are played by hand with
`python -m tests.worlds --seeds 500`.
"""

import pytest

from tests.worlds.dice import ALL, OLD, STEPS, TRAITS, TROUBLES
from tests.worlds.instances import play as play_instances
from tests.worlds.onchain import play as play_onchain
from tests.worlds.play import play

# Coverage makes it three times slower, and what it plays is covered elsewhere.
pytestmark = pytest.mark.no_cover

KEPT = (0, 111, 161, 187, 206, 343, 458, 651)
"""All but the first once found fills that a lying node hid in a wide gap; they stay for ever, with the dice of then."""
SEEDS = range(5)
ONCHAIN_SEEDS = (0, 1, 5, 10039)
"""The last one once took a sale back in the books that had happened, after a journal was lost."""
SHARED_SEEDS = (0, 1, 5, 8, 24, 25)
"""All but the second once found a copy lost, a budget passed or an engine broken when a shard changed hands."""


@pytest.mark.parametrize("seed", KEPT)
def test_seeds_that_once_failed_stay_good(seed: int) -> None:
    """Ground truth against what was sent: no miss, no double, whatever the nodes did."""
    verdict = play(seed, OLD, steps=60)

    assert verdict.problems == ()
    assert verdict.fills > 30


@pytest.mark.parametrize("seed", SEEDS)
def test_every_canonical_fill_is_copied_exactly_once(seed: int) -> None:
    """With every die: manners of real nodes, several fills of one order, limits; and the nodes are asked with measure."""
    verdict = play(seed, ALL)

    assert verdict.problems == ()
    assert verdict.fills > 30


@pytest.mark.parametrize("seed", SHARED_SEEDS)
def test_engines_that_share_a_store_lose_nothing(seed: int) -> None:
    """They die, stand still for longer than their leases, wake up, join and drain; the books are as if one had lived."""
    verdict = play_instances(seed)

    assert (verdict.lost, verdict.doubled, verdict.wrong) == ([], [], [])


@pytest.mark.parametrize("seed", ONCHAIN_SEEDS)
def test_what_is_copied_by_transactions_is_booked_as_the_chain_has_it(seed: int) -> None:
    """Nothing twice, nothing over a cap, no end missing, gas counted once; through reorgs, lies, crashes and a journal that is lost."""
    verdict = play_onchain(seed)

    assert verdict.wrong == ()
    assert verdict.mined


def test_the_same_seed_gives_the_same_history() -> None:
    """A seed that does not reproduce would be a bug of this harness."""
    assert play(5, ALL, steps=15) == play(5, ALL, steps=15)


def test_every_die_can_be_switched_off() -> None:
    """A name that no die has would switch off nothing, and nobody would notice."""
    assert {*STEPS, *TROUBLES, *TRAITS} < ALL
    assert play(1, frozenset()).problems == ()
