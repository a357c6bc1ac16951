"""How long does the loop stand still while a running engine takes up its configuration again, and very many follows with it?

All of them in the file; then, on the stores that outlive a process, all of them from commands. Of each turn of a task its
processor time, so that what else runs on the machine counts for nothing; what a store does in a thread of its own is not in it.

python -m bench.reload [FOLLOWS [STORE ...]]
"""

import sys
import tempfile
import time
from collections.abc import Sequence

import trio
from attrs import define, evolve, field

from tests.harness import make_test_plan, open_world, running_engine
from tests.redis.server import running_redis
from trio_copy.cli.interpreter import tune_interpreter
from trio_copy.cli.synthetic import synthetic_address
from trio_copy.clock import anchored_wall_clock
from trio_copy.config import PluginTable
from trio_copy.config.settings import FollowerTable, FollowTable
from trio_copy.engine.plan import Plan
from trio_copy.model.follows import EVERYBODY, Follow
from trio_copy.model.ids import Address, FollowerId
from trio_copy.ports import StoreContext, to_thread_run_sync

FOLLOWS, FOLLOWERS, LEADERS = 200_000, 100_000, 10_000
_AT_ONCE = 10_000
_LONGEST = 5


@define(eq=False)
class _Turns(trio.abc.Instrument):
    """How long each turn of a task takes."""

    seconds: list[float] = field(factory=list)
    _began: float = 0.0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._began = time.thread_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.seconds.append(time.thread_time() - self._began)


def main() -> None:
    words = sys.argv[1:] if __name__ == "__main__" else []
    measure(int(words[0]) if words else FOLLOWS, words[1:] or ("memory", "sqlite", "redis"))


def measure(many: int, stores: Sequence[str]) -> None:
    print(f"reload: {many:,} follows of {LEADERS:,} leaders are taken up again; processor time of the loop")
    pairs = [_pair(number) for number in range(many)]
    with tempfile.TemporaryDirectory() as folder:
        for name in stores:
            for of_file in (True, False):
                with running_redis() as server:
                    options = {"sqlite": {"path": f"{folder}/{of_file}.db"}, "redis": {"url": server.url}}.get(name, {})
                    plan = _plan(PluginTable(name=name, plugin=name, options=options))
                    if of_file:
                        plan = evolve(plan, settings=evolve(plan.settings, follow=tuple(map(_table, pairs))))
                    elif plan.store.plugin.durable:
                        trio.run(_put, plan, pairs)
                    else:
                        continue  # no command reaches it
                    trio.run(_reload, plan, many)


def _plan(store: PluginTable) -> Plan:
    plan = make_test_plan(store=store)
    everybody = FollowerTable(id=EVERYBODY, executor="sim")
    return evolve(plan, settings=evolve(plan.settings, follower=(everybody,), follow=()))


async def _put(plan: Plan, pairs: Sequence[tuple[FollowerId, Address]]) -> None:
    context = StoreContext(settings=plan.store.settings, wall=anchored_wall_clock(), shards=plan.shard_count)
    async with plan.store.plugin.open(context) as store:
        for at in range(0, len(pairs), _AT_ONCE):
            await store.follows.put(
                [Follow(follower=follower, leader=leader) for follower, leader in pairs[at : at + _AT_ONCE]]
            )


async def _reload(plan: Plan, many: int) -> None:
    turns = _Turns()
    async with open_world() as world:
        # What a store does in a thread is not in the loop's way.
        seams = evolve(world.seams(), in_thread=to_thread_run_sync)
        async with running_engine(world, plan, seams) as service:
            tune_interpreter()  # as every run does first
            trio.lowlevel.add_instrument(turns)
            await trio.lowlevel.checkpoint()  # a turn is measured from its beginning
            turns.seconds.clear()
            began = time.perf_counter()
            await service.apply(plan.settings)
            whole = time.perf_counter() - began
            trio.lowlevel.remove_instrument(turns)
            assert len(service.book) == many
    longest = ", ".join(f"{1000 * one:.0f}" for one in sorted(turns.seconds, reverse=True)[:_LONGEST])
    where = "the file" if plan.settings.follow else "commands"
    print(
        f"  {plan.store.plugin.name:<7} {f'of {where}':<12} {sum(turns.seconds):6.2f} s in {len(turns.seconds):>6,} turns,"
        f" the longest {longest} ms; {whole:.1f} s by the wall",
        flush=True,
    )


def _table(pair: tuple[FollowerId, Address]) -> FollowTable:
    table = FollowTable(follower=pair[0], leader=pair[1])
    table.note_given({"follower": table.follower, "leader": table.leader})
    return table


def _pair(number: int) -> tuple[FollowerId, Address]:
    leader = (number * 7 + number // FOLLOWERS) % LEADERS
    return FollowerId(f"user-{number % FOLLOWERS}"), synthetic_address("leader", leader)


if __name__ == "__main__":
    main()
