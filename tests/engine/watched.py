"""An engine whose clock a test turns, and what its watchdogs show."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import trio
import trio.testing
from attrs import define

from tests.harness import Recorder, World
from trio_copy.clock import AnchoredClock, WallClock
from trio_copy.engine.opening import open_service
from trio_copy.engine.plan import Plan
from trio_copy.engine.service import Service
from trio_copy.model.watches import Light


@define(eq=False)
class Turned:
    """A wall clock that goes wrong, or counts a sleep that Trio's clock does not."""

    right: WallClock
    by: float = 0.0

    def __call__(self) -> float:
        return self.right() + self.by


@asynccontextmanager
async def starting_engine(
    world: World, plan: Plan, clock: AnchoredClock | None = None
) -> AsyncGenerator[Service, None]:
    """Run an engine without waiting for it to arm."""
    seams = world.seams()
    seams.clock = clock
    async with open_service(plan, seams, world.endpoints) as service, trio.open_nursery() as nursery:
        nursery.start_soon(service.run)  # noqa: ASYNC113  it may never arm
        yield service
        service.drain()


def alarms(recorder: Recorder, kind: str) -> list[str]:
    return [detail for of, detail in recorder.alerts if of == kind]


def lights(service: Service, name: str) -> list[Light]:
    return [watch.light for watch in service.watchdogs.watches if watch.name == name]


async def until(reached: Callable[[], bool], within_s: float = 60) -> None:
    with trio.fail_after(within_s):
        while True:
            if reached():
                return
            await trio.sleep(0.5)


async def lit(
    service: Service, name: str, light: Light, endpoint: str = "node-1", within_s: float = 60
) -> float | None:
    """Wait until a watchdog shows a light; returns its figure."""
    with trio.fail_after(within_s):
        while True:
            for watch in service.watchdogs.watches:
                if (watch.name, watch.endpoint, watch.light) == (name, endpoint, light):
                    return watch.value
            await trio.sleep(0.5)
