"""Two supervisors on one Redis and one real node with the real contracts: exactly one of them copies each trade."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from attrs import define, evolve

from tests.harness import Recorder, make_test_plan, with_follow_settings
from tests.redis.server import RedisServer, running_redis
from tests.redis.stores import new_prefix
from trio_copy.chain.dial import dial_network
from trio_copy.clock import anchored_wall_clock
from trio_copy.config import EndpointSettings, PluginTable, ShardsSettings
from trio_copy.engine.opening import open_service
from trio_copy.engine.seams import Seams
from trio_copy.engine.service import Service
from trio_copy.entropy import seeded_entropy
from trio_copy.model.control import account_shard
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import Filters
from trio_copy.model.follows import Follower
from trio_copy.model.ids import Address, FollowerId
from trio_copy.testing.anvil import Amm, deploy_amm, open_chain, open_node

pytestmark = pytest.mark.anvil
LIMIT_S = 60


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@define(eq=False)
class Pair:
    amm: Amm
    leaders: tuple[Address, ...]
    services: list[Service]
    recorders: list[Recorder]

    @property
    def copies(self) -> list[tuple[str, str]]:
        return [copy for recorder in self.recorders for copy in recorder.copies]


@asynccontextmanager
async def open_pair(folder: Path, redis: RedisServer, shards: int) -> AsyncGenerator[Pair, None]:
    """Two engines on one market; the follower of each leader is chosen so that each shard has one of the accounts."""
    async with open_node(folder) as node, open_chain(node) as chain:
        amm = await deploy_amm(chain)
        leaders = tuple(Address(account.lower()) for account in chain.accounts[2 : 2 + shards])
        names = ("alice", "bob", "carol", "dave")
        followers = tuple(next(one for one in names if shard_of(one, shards) == shard) for shard in range(shards))
        for leader in leaders:
            await amm.prepare_trader(leader)
        plan = make_test_plan(
            followers=followers,
            leaders=leaders,
            decoders=[
                PluginTable(name="erc1155", plugin="erc1155", options={"contracts": [amm.ctf], "venues": [amm.pool]})
            ],
            chain={"silence_s": 3600.0},
            executor={"slippage_bps": 0},
            engine={"backoff_max_s": 0.5, "deadline_s": 60.0},
            store=PluginTable(name="redis", plugin="redis", options={"url": redis.url, "prefix": new_prefix()}),
            shards=ShardsSettings(count=shards, heartbeat_s=0.2),
        )
        plan = with_follow_settings(plan, filters=evolve(Filters(), max_age_s=600.0, unpriced="copy"))
        pairs = dict(zip(followers, leaders, strict=True))
        follow = tuple(one for one in plan.settings.follow if pairs[one.follower] == one.leader)
        plan = evolve(plan, settings=evolve(plan.settings, follow=follow))
        pair = Pair(amm, leaders, [], [])
        async with trio.open_nursery() as nursery:
            for number in range(2):
                recorder = Recorder()
                seams = Seams(
                    dial=dial_network,
                    wall=anchored_wall_clock(),
                    entropy=seeded_entropy(number),
                    observer=recorder,
                    instance=f"instance-{number}",
                )
                await nursery.start(_run, plan, seams, EndpointSettings(name="anvil", url=node.url), pair)
                pair.recorders.append(recorder)
            yield pair
            nursery.cancel_scope.cancel()


def label_of(service: Service) -> str:
    assert service.keeper is not None
    return service.keeper.label


def shard_of(name: str, shards: int) -> int:
    return account_shard(Follower(follower=FollowerId(name), executor="sim"), shards)


async def _run(  # noqa: ASYNC912
    plan: object,
    seams: Seams,
    endpoint: EndpointSettings,
    pair: Pair,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    async with open_service(plan, seams, [endpoint]) as service:  # type: ignore[arg-type]
        pair.services.append(service)
        async with trio.open_nursery() as nursery:
            await nursery.start(service.run)
            task_status.started()


async def test_two_supervisors_and_one_shard(tmp_path: Path, redis: RedisServer) -> None:
    """Real TransferSingle logs, a mint and a sale: one instance copies both, the other subscribes to nothing."""
    with trio.fail_after(LIMIT_S):
        async with open_pair(tmp_path, redis, 1) as pair:
            owner, idle = pair.services
            assert (label_of(owner), label_of(idle)) == ("1/1", "none of 1, paused")
            assert owner.board.filters != ()
            assert idle.board.filters == ()
            await pair.amm.buy(pair.leaders[0], 100)
            await pair.recorders[0].wait_copies(1)
            await pair.amm.sell(pair.leaders[0], 30)
            await pair.recorders[0].wait_copies(2)
            assert [signal.side for signal in pair.recorders[0].admitted] == [Side.BUY, Side.SELL]
            assert pair.recorders[1].finished == []
            assert len(set(pair.copies)) == len(pair.copies) == 2


async def test_two_supervisors_and_two_shards(tmp_path: Path, redis: RedisServer) -> None:
    """Each subscribes to the leaders of its own accounts only, and copies what they trade, once."""
    with trio.fail_after(LIMIT_S):
        async with open_pair(tmp_path, redis, 2) as pair:
            await pair.recorders[1].wait_until(lambda: "armed" in pair.recorders[1].steps)
            labels = [label_of(service) for service in pair.services]
            assert sorted(labels) == ["1/2", "2/2"]
            for leader in pair.leaders:
                readers = [service for service in pair.services if leader in service.intake.reads]
                assert len(readers) == 1
                topic = "0x" + leader[2:].rjust(64, "0")
                subscribed = [service for service in pair.services if topic in str(service.board.filters)]
                assert subscribed == readers
                await pair.amm.buy(leader, 50)
            for recorder in pair.recorders:
                await recorder.wait_copies(1)
            assert len(set(pair.copies)) == len(pair.copies) == 2
