"""Tasks that rest, on Redis: the scenarios that every store plays."""

from collections.abc import Iterator

import pytest
import trio.testing

from tests.engine.resting import SALES, SCENARIOS, WAITS, Sale, Scenario, an_exit_calls_off_what_waits
from tests.redis.server import RedisServer, running_redis
from tests.redis.stores import opener


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_redis() as one:
        yield one


@pytest.fixture
def patient_clock() -> trio.testing.MockClock:
    """Virtual time that jumps only when a real server has had time to answer."""
    return trio.testing.MockClock(autojump_threshold=0.03)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_what_rests(patient_clock: trio.testing.MockClock, server: RedisServer, scenario: Scenario) -> None:
    """What the scenario's docstring says holds on Redis."""
    await scenario(opener(server.url))


@pytest.mark.parametrize("how", WAITS)
@pytest.mark.parametrize("sale", [SALES[2], SALES[6]], ids=str)
async def test_an_exit_calls_off_what_waits(
    patient_clock: trio.testing.MockClock, server: RedisServer, how: str, sale: Sale
) -> None:
    """In proportion, of what waits alone and of what is held as well."""
    await an_exit_calls_off_what_waits(opener(server.url), how, sale)
