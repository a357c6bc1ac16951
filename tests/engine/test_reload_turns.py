"""While very many follows are taken up again, others have their turn, whatever the store."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import trio
from attrs import define, evolve, field

from tests.harness import make_test_plan, open_world, running_engine
from tests.redis.server import running_redis
from trio_copy.cli.synthetic import synthetic_address
from trio_copy.config import PluginTable
from trio_copy.config.settings import FollowerTable, FollowTable
from trio_copy.model.follows import EVERYBODY
from trio_copy.model.ids import FollowerId
from trio_copy.ports import to_thread_run_sync

MANY = 10_000
PARTS = 5
"""A turn does a fifth of what all of them do at most; it is a tenth and less of most."""


@define(eq=False)
class _Turns(trio.abc.Instrument):
    """Counts the calls of each turn of a task: more than a fifth of a second of them is a stall, and no clock has to say so."""

    calls: list[int] = field(factory=list)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.calls.append(0)
        sys.setprofile(self._count)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        sys.setprofile(None)

    def _count(self, frame: FrameType, event: str, argument: object) -> None:
        self.calls[-1] += 1


@contextmanager
def _options(store: str, folder: Path) -> Iterator[dict[str, Any]]:
    match store:
        case "redis":
            with running_redis() as server:
                yield {"url": server.url}
        case "sqlite":
            yield {"path": str(folder / "books.db")}
        case _:
            yield {}


@pytest.mark.parametrize("store", ["memory", "sqlite", "redis"])
async def test_no_turn_takes_up_all_of_them(store: str, tmp_path: Path) -> None:
    """Follows come with a file, stay, and go with it: each time in turns of which none is long."""
    with _options(store, tmp_path) as options:
        plan = make_test_plan(store=PluginTable(name=store, plugin=store, options=options))
        none = evolve(plan.settings, follower=(FollowerTable(id=EVERYBODY, executor="sim"),), follow=())
        tables = [FollowTable(follower=FollowerId(f"user-{one}"), leader=_leader(one)) for one in range(MANY)]
        for table in tables:
            table.note_given({"follower": table.follower, "leader": table.leader})
        many = evolve(none, follow=tuple(tables))
        async with open_world() as world:
            # What a store does in a thread is not in the loop's way.
            seams = evolve(world.seams(), in_thread=to_thread_run_sync)
            async with running_engine(world, evolve(plan, settings=none), seams) as service:
                for settings in (many, many, none):
                    turns = _Turns()
                    trio.lowlevel.add_instrument(turns)
                    await trio.lowlevel.checkpoint()  # a turn is counted from its beginning
                    assert await service.apply(settings) == []
                    trio.lowlevel.remove_instrument(turns)
                    assert len(service.book) == len(settings.follow)
                    assert max(turns.calls) < sum(turns.calls) / PARTS, sorted(turns.calls)[-5:]


def _leader(number: int) -> Any:
    return synthetic_address("leader", number % 100)
