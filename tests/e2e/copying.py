"""The engine on a real node, over real sockets."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio

from tests.harness import Recorder, make_test_plan, patient
from trio_copy.chain.dial import dial_network
from trio_copy.clock import anchored_wall_clock
from trio_copy.config import EndpointSettings, PluginTable
from trio_copy.engine.opening import open_service
from trio_copy.engine.plan import Plan
from trio_copy.engine.seams import Seams
from trio_copy.engine.service import Service
from trio_copy.entropy import seeded_entropy
from trio_copy.model.ids import Address

ON_ANVIL: Mapping[str, Mapping[str, Any]] = {
    # It mines on demand: no block is no news here. And nobody else asks it.
    "chain": {"silence_s": 3600.0, "requests_per_s": 10_000.0},
    "engine": {"backoff_max_s": 0.5, "deadline_s": 60.0},
}
"""Settings of an engine that follows an anvil."""


@asynccontextmanager
async def running(plan: Plan, url: str, **seams: Any) -> AsyncGenerator[tuple[Recorder, Service], None]:
    """Run an engine at a node, armed; drain it at the end. What is not said of its `Seams` is as usual."""
    recorder, wall = seams.pop("observer", None) or Recorder(), anchored_wall_clock()
    parts = {"dial": dial_network, "wall": wall, "entropy": seeded_entropy(1), "observer": recorder, **seams}
    endpoint = EndpointSettings(name="anvil", url=url)
    async with open_service(patient(plan), Seams(**parts), [endpoint]) as service, trio.open_nursery() as nursery:
        await nursery.start(service.run)
        await recorder.wait_until(lambda: "armed" in recorder.steps)
        yield recorder, service
        service.drain()


@asynccontextmanager
async def open_copying(
    url: str, leader: Address, decoder: PluginTable, followers: int = 3
) -> AsyncGenerator[tuple[Recorder, Service], None]:
    """Run an engine that copies a leader for everybody, on paper; drain it at the end."""
    plan = make_test_plan(
        followers=[f"follower-{number}" for number in range(followers)],
        leaders=(leader,),
        decoders=[decoder],
        chain=dict(ON_ANVIL["chain"]),
        engine=dict(ON_ANVIL["engine"]),
    )
    async with running(plan, url) as (recorder, service):
        yield recorder, service


def expect_one_copy_each(recorder: Recorder, fills: int, followers: int = 3) -> None:
    assert fills == len(recorder.admitted)
    assert fills * followers == len(recorder.copies) == len(set(recorder.copies))
