"""Fixtures that many tests share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, is_hypothesis_test, settings

from tests.builders import NOW
from trio_copy.cli.interpreter import tune_interpreter
from trio_copy.clock import WallClock, wall_clock_from

DATA = Path(__file__).parent / "data"

LONG_PLAYS = (
    "accounts/test_machine.py",
    "chain/test_asking.py",
    "cli/test_backtest_is_live.py",
    "cli/test_canaries.py",
    "cli/test_ends.py",
    "cli/test_load.py",
    "cli/test_paper_nodes.py",
    "cli/test_past.py",
    "cli/test_plugin_faults.py",
    "cli/test_replay.py",
    "cli/test_signals.py",
    "cli/test_start.py",
    "cli/test_streaming.py",
    "cli/test_streams.py",
    "cli/test_suggestions.py",
    "cli/test_tried_out.py",
    "clob/test_chain_engine.py",
    "clob/test_clob_deaths.py",
    "clob/test_clob_hour.py",
    "clob/test_clob_kills.py",
    "clob/test_live_engine.py",
    "clob/test_shared_depth.py",
    "crash/test_crash.py",
    "docs/test_commands.py",
    "engine/borders/test_contract.py",
    "engine/gate/test_follows_change.py",
    "engine/gate/test_interleavings.py",
    "engine/gate/test_nodes_away.py",
    "engine/gate/test_nonsense.py",
    "engine/gate/test_odd_nodes.py",
    "engine/gate/test_subscription.py",
    "engine/sending/test_resting.py",
    "engine/shards/test_later_looks.py",
    "engine/shards/test_retelling.py",
    "engine/test_agreement.py",
    "engine/test_bounded.py",
    "engine/test_clock_watchdogs.py",
    "engine/test_simulation.py",
    "engine/test_watchdogs.py",
    "model_check/test_model_check.py",
    "onchain/test_acting_commands_anvil.py",
    "onchain/test_living.py",
    "onchain/test_proofs.py",
    "onchain/test_proofs_killed.py",
    "onchain/test_proofs_refused.py",
    "onchain/test_proofs_reorg.py",
    "onchain/test_proofs_shared.py",
    "onchain/test_redeeming_anvil.py",
    "onchain/test_redeeming_routed_anvil.py",
    "onchain/test_venues_anvil.py",
    "plugins/test_conformance.py",
    "plugins/test_sqlite_processes.py",
    "plugins/test_third_party.py",
    "plugins/test_third_party_store.py",
    "plugins/test_wrong_stores.py",
    "redis/test_faults.py",
    "redis/test_forgetting.py",
    "redis/test_instances.py",
    "redis/test_moving.py",
    "redis/test_open.py",
    "signing/test_transacting_properties.py",
)
"""Whole runs, and the like: coverage makes them two to three times slower, and what they play is covered by others, but for one
line or branch in six hundred. Which, `pytest --cov --cov-context=test` says."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        plays_long = item.path.relative_to(DATA.parent).as_posix() in LONG_PLAYS
        # Those with made-up examples play the same lines hundreds of times: without coverage they take half as long, and
        # of all lines and branches one in six hundred is seen by them alone.
        if plays_long or (isinstance(item, pytest.Function) and is_hypothesis_test(item.obj)):
            item.add_marker(pytest.mark.no_cover)


def pytest_collection_finish() -> None:
    """Let Python work as in a run. By default, up to a quarter of the time goes into looking for cycles."""
    tune_interpreter()


# How long an example takes says how busy the machine is, and nothing of the program.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def load_data() -> Callable[[str], Any]:
    """Reads a file of tests/data as JSON."""
    return lambda name: msgspec.json.decode((DATA / name).read_bytes())


@pytest.fixture
def clock(autojump_clock: trio.testing.MockClock) -> trio.testing.MockClock:
    """Virtual time that jumps when everybody waits. Sync on purpose: pytest-trio ignores an async one's clock."""
    return autojump_clock


@pytest.fixture
def wall() -> Callable[[], WallClock]:
    """Makes a wall clock that shows NOW at this moment; call it inside the test."""
    return lambda: wall_clock_from(NOW)
