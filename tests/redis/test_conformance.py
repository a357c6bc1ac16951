"""The Redis store passes the suite that every store passes: on one server, and on a cluster of three."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio
import trio.testing

from tests.redis.server import RedisServer, running_cluster, running_redis
from tests.redis.stores import backend_on
from trio_copy.testing.conformance import checks_of, name_of

CHECKS = checks_of(backend_on(""))


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_redis() as one:
        yield one


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[RedisServer]]:
    with running_cluster() as nodes:
        yield nodes


@pytest.fixture
def patient_clock() -> trio.testing.MockClock:
    """Virtual time that jumps only when a real server has had time to answer."""
    return trio.testing.MockClock(autojump_threshold=0.03)


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
async def test_one_server(
    patient_clock: trio.testing.MockClock, server: RedisServer, check: Callable[..., Any]
) -> None:
    """Redis keeps the promise in the check's docstring."""
    await check(backend_on(server.url))


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
async def test_cluster(
    patient_clock: trio.testing.MockClock, cluster: list[RedisServer], check: Callable[..., Any]
) -> None:
    """So does a cluster: no step needs two of its servers at once."""
    nodes = ",".join(f"127.0.0.1:{node.port}" for node in cluster)
    await check(backend_on(f"redis+cluster://{nodes}"))
