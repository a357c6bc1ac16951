"""What happens on a chain, and what nodes push of it by themselves."""

import trio
import trio.testing

from tests.harness import World
from trio_copy.model.decisions import Code


async def mine_steadily(world: World, seconds: float, every: float = 1.0) -> None:
    """Let empty blocks pass, as a chain does."""
    for _ in range(int(seconds / every)):
        await trio.sleep(every)
        world.chain.mine()


def expected_copies(world: World, signals: int, followers: int = 2) -> None:
    """Every signal was copied exactly once by everybody."""
    recorder = world.recorder
    assert signals == len(recorder.admitted)
    assert signals * followers == len(recorder.copies) == len(set(recorder.copies))


async def expect_a_fresh_copy_and_an_old_skip(world: World) -> None:
    """A fill that is heard of at once is copied; one that is read twenty seconds later is too old, by the time of its block."""
    world.chain.mine(world.buy())
    await world.recorder.wait_copies(2)
    world.down = {0}
    world.nodes[0].drop_connections()
    world.chain.mine(world.buy())
    await trio.sleep(20)
    world.down = set()
    await world.recorder.wait_until(lambda: len(world.recorder.skips) == 2)
    assert {skip.reason.code for skip in world.recorder.skips} == {Code.TOO_OLD}
    assert len(world.recorder.copies) == 2


def notification(subscription: str, result: object) -> dict[str, object]:
    return {
        "jsonrpc": "2.0",
        "method": "eth_subscription",
        "params": {"subscription": subscription, "result": result},
    }


def push_log(world: World, node: int, written: dict[str, object]) -> None:
    """Let one node send a log of its own making."""
    for client in world.nodes[node]._clients:
        for subscription in client.subscriptions.values():
            if subscription.log_filter is not None:
                client.push(notification(subscription.id, written))
