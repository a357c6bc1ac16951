"""What every store promises about what operators and instances agree on."""

import trio

from trio_copy.entropy import seeded_entropy
from trio_copy.errors import LeaseLost
from trio_copy.model.control import ENGINE, Heard, Instance, Mode, Modes, follower_scope
from trio_copy.model.watches import Light, Watch
from trio_copy.testing.conformance.terms import StoreCheck, StoreForTest, fresh, refused, two_owners

ME, YOU = "me", "you"
_DAY_S = 86_400.0


async def a_budget_is_never_drawn_over(backend: StoreForTest) -> None:
    """Each shard has what it asked for, as far as the others leave it; other budgets are not touched."""
    async with two_owners(backend) as (one, other):
        assert await one.control.draw("day", 0, 60, 100) == 60
        assert await other.control.draw("day", 1, 60, 100) == 40
        assert await other.control.draw("day", 2, 1, 100) == 0
        assert await other.control.draw("week", 1, 60, 100) == 60
        assert await one.control.draw("day", 0, 60, 100) == 60
        assert await other.control.draw("day", 1, 60, 100) == 40
        assert await other.control.draw("day", 1, 45, 105) == 45
        assert await one.control.draw("day", 3, 10**15, 10**15 + 106) == 10**15


async def what_was_drawn_is_kept(backend: StoreForTest) -> None:
    """A lower total changes nothing: it may come from an owner that was replaced, and the next one has spent it."""
    async with two_owners(backend) as (one, other):
        assert await one.control.draw("day", 0, 70, 100) == 70
        assert await other.control.draw("day", 0, 20, 100) == 70
        assert await other.control.draw("day", 1, 50, 100) == 30
        assert await one.control.draw("day", 0, 0, 100) == 70
        assert await other.control.draw("day", 1, 50, 100) == 30


async def a_lowered_limit_takes_nothing_away(backend: StoreForTest) -> None:
    """Where all have more than a new limit, nobody may spend more, and whoever draws keeps what it has."""
    async with fresh(backend) as store:
        draw = store.control.draw
        assert [await draw("day", shard, 50, 150) for shard in (0, 1, 2)] == [50, 50, 50]
        assert await draw("day", 0, 80, 120) == 20
        assert await draw("day", 1, 40, 100) == 0
        assert await draw("day", 3, 10, 100) == 0
        assert await draw("day", 0, 50, 0) == 0
        assert await draw("day", 0, 0, 150) == 50
        assert await draw("day", 0, 80, 155) == 55


async def what_is_told_again_leaves_the_others_less(backend: StoreForTest) -> None:
    """A store that forgot may have given one owner what another has: told of it, it lets neither spend it."""
    async with fresh(backend) as store:
        draw = store.control.draw
        assert await draw("day", 0, 60, 100) == 60
        assert await draw("day", 1, 70, 10**15) == 70
        assert await draw("day", 0, 60, 100) == 30
        assert await draw("day", 1, 70, 100) == 40
        assert await draw("day", 2, 10, 100) == 0
        assert await draw("day", 0, 0, 10**15) == 60


async def many_draw_at_once(backend: StoreForTest) -> None:
    """Whatever many tasks draw at the same time, what all have together never passes the limit, and nobody loses any."""
    luck, limit = seeded_entropy(7), 1000
    async with two_owners(backend) as stores:
        has = dict.fromkeys(range(8), 0)

        async def spend(shard: int) -> None:
            for _ in range(15):
                before, total = has[shard], luck.randint(0, 400)
                has[shard] = await stores[shard % 2].control.draw("day", shard, total, limit)
                assert before <= has[shard] <= max(before, total)
                assert sum(has.values()) <= limit
                await trio.sleep(luck.random())

        async with trio.open_nursery() as nursery:
            for shard in has:
                nursery.start_soon(spend, shard)
        held = [await stores[0].control.draw("day", shard, 0, 10**9) for shard in has]
        assert held == list(has.values())


async def a_lease_fences_out_its_old_owner(backend: StoreForTest) -> None:
    """Another owner gets a lease only when it ran out, with a higher token; the old token is worthless then."""
    async with two_owners(backend) as (one, other):
        mine = await one.control.acquire("shard-1", ME, 10)
        assert mine is not None
        assert await other.control.acquire("shard-1", YOU, 10) is None
        assert await other.control.acquire("shard-2", YOU, 10) is not None
        await trio.sleep(5)
        mine = await one.control.renew(mine, 10)
        await trio.sleep(8)
        assert await other.control.acquire("shard-1", YOU, 10) is None
        again = await one.control.acquire("shard-1", ME, 10)
        assert again is not None
        assert again.token == mine.token
        await trio.sleep(11)
        await refused(LeaseLost, one.control.renew(mine, 10))
        yours = await other.control.acquire("shard-1", YOU, 10)
        assert yours is not None
        assert yours.token > mine.token
        await refused(LeaseLost, one.control.renew(mine, 10))
        await one.control.release(mine)
        assert await one.control.acquire("shard-1", ME, 10) is None
        await other.control.release(yours)
        await refused(LeaseLost, other.control.renew(yours, 10))
        last = await one.control.acquire("shard-1", ME, 10)
        assert last is not None
        assert last.token > yours.token


async def a_lease_that_ran_out_comes_back_with_another_token(backend: StoreForTest) -> None:
    """Somebody else may have had it meanwhile and be gone: the same owner is a new one."""
    async with fresh(backend) as store:
        first = await store.control.acquire("shard-1", ME, 10)
        await trio.sleep(11)
        second = await store.control.acquire("shard-1", ME, 10)
        assert first is not None
        assert second is not None
        assert second.token > first.token


async def one_of_many_gets_a_lease(backend: StoreForTest) -> None:
    """However many want it at once."""
    async with two_owners(backend) as stores:
        got: list[object] = []

        async def want(number: int) -> None:
            got.append(await stores[number % 2].control.acquire("shard-1", f"owner {number}", 10))

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(want, number)
        assert sum(lease is not None for lease in got) == 1


async def held_leases_are_seen(backend: StoreForTest) -> None:
    """Everybody can see who holds a lease, as long as somebody does."""
    async with two_owners(backend) as (one, other):
        mine = await one.control.acquire("shard-1", ME, 10)
        assert mine is not None
        seen = await other.control.held(["shard-1", "shard-2"])
        assert {name: (lease.owner, lease.token) for name, lease in seen.items()} == {"shard-1": (ME, mine.token)}
        assert await other.control.held(["shard-2"]) == {}
        await trio.sleep(11)
        assert await other.control.held(["shard-1"]) == {}


async def a_mode_is_heard(backend: StoreForTest) -> None:
    """A change of mode reaches whoever waits, with its reason; of scopes that nobody set the mode is to run."""
    async with two_owners(backend) as (one, other):
        await trio.sleep(1)
        before = await one.control.modes()
        assert before.of(ENGINE).mode is Mode.RUN
        heard: list[Modes] = []

        async def listen() -> None:
            heard.append(await one.control.wait_modes(before.version))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await trio.sleep(1)
            assert heard == []
            change = await other.control.set_mode(Mode.REDUCE_ONLY, "test \u2713")
        assert heard[0].version > before.version
        assert heard[0].of(ENGINE) == change
        assert (change.mode, change.why) == (Mode.REDUCE_ONLY, "test \u2713")
        await other.control.set_mode(Mode.HALT_ALL, "alone", follower_scope("alice"))
        modes = await one.control.wait_modes(heard[0].version)
        assert modes.of(ENGINE) == change
        assert modes.of(follower_scope("alice")).mode is Mode.HALT_ALL
        assert modes.of(follower_scope("bob")).mode is Mode.RUN
        # Who is behind hears it at once.
        assert await one.control.wait_modes(before.version) == modes


async def instances_are_seen(backend: StoreForTest) -> None:
    """A heartbeat shows when an instance was last alive, what it owns and what its watchdogs say."""
    async with two_owners(backend) as (one, other):
        watch = Watch(name="head_age_s", endpoint="node", light=Light.RED, value=12.5, limit=10.0)
        first, second = (
            Instance(instance="one", shards=(1, 2), watches=(watch,), halted="why"),
            Instance(instance="two"),
        )
        assert await one.control.beat(first) == Heard(drain=False, new=True)
        await trio.sleep(3)
        await other.control.beat(second)
        assert await other.control.beat(second) == Heard(drain=False, new=False)
        seen = {instance.instance: instance for instance in await one.control.instances()}
        assert round(seen["two"].seen_at - seen["one"].seen_at) == 3
        assert (seen["one"].shards, seen["one"].watches, seen["one"].halted) == ((1, 2), (watch,), "why")
        assert (seen["two"].shards, seen["two"].watches) == ((), ())
        await trio.sleep(_DAY_S - 60)
        await other.control.beat(second)
        assert sorted(instance.instance for instance in await one.control.instances()) == ["one", "two"]
        await one.control.leave("one")
        await one.control.leave("nobody")
        assert [instance.instance for instance in await other.control.instances()] == ["two"]


async def an_instance_hears_that_it_shall_drain(backend: StoreForTest) -> None:
    """With its next heartbeats, and no other does; who left and comes back begins anew."""
    async with two_owners(backend) as (one, other):
        first, second = Instance(instance="one"), Instance(instance="two")
        for instance in (first, second):
            await one.control.beat(instance)
        assert await other.control.ask_drain("one")
        assert not await other.control.ask_drain("nobody")
        heard = [await one.control.beat(instance) for instance in (first, second, first)]
        assert [one.drain for one in heard] == [True, False, True]
        await one.control.leave("one")
        assert not await other.control.ask_drain("one")
        assert await one.control.beat(first) == Heard(drain=False, new=True)


CONTROL_CHECKS: tuple[StoreCheck, ...] = (
    a_budget_is_never_drawn_over,
    what_was_drawn_is_kept,
    a_lowered_limit_takes_nothing_away,
    what_is_told_again_leaves_the_others_less,
    many_draw_at_once,
    a_lease_fences_out_its_old_owner,
    a_lease_that_ran_out_comes_back_with_another_token,
    one_of_many_gets_a_lease,
    held_leases_are_seen,
    a_mode_is_heard,
    instances_are_seen,
    an_instance_hears_that_it_shall_drain,
)
