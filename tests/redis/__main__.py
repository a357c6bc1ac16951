"""`python -m tests.redis --kills 50`: three instances under load, one of them killed at random again and again."""

import argparse
import random
import signal
import tempfile
from pathlib import Path

import trio

from tests.redis.fleet import losses, open_fleet
from tests.redis.server import running_redis


async def kill_many(kills: int, seed: int, folder: Path) -> None:
    """Kill `kills` times, -9, at random moments; then compare everything with the venue's own file."""
    luck = random.Random(seed)
    with running_redis(durable=True) as redis:
        async with open_fleet(folder, redis, shards=8, leaders=16, deadline_s=600.0) as fleet:
            for _ in range(3):
                fleet.start()
            await fleet.wait_owned(3)
            slowest = 0.0
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fleet.trade_for, 1e9, 20.0)
                for number in range(kills):
                    await trio.sleep(luck.uniform(0.2, 2.0))
                    living = [one for one in fleet.instances if one.alive]
                    victim = luck.choice(living)
                    victim.send(signal.SIGKILL)
                    began = trio.current_time()
                    fleet.start()
                    await fleet.wait_owned(3, within_s=30)
                    slowest = max(slowest, trio.current_time() - began)
                    print(f"kill {number + 1}/{kills}: owned by three again after {trio.current_time() - began:.1f} s")
                nursery.cancel_scope.cancel()
            await fleet.wait_quiet(within_s=300)
            # What a killed owner had placed and not sent is never sent later, and ends with that reason.
            sent = await fleet.check(ended_badly=kills + losses(fleet))
    print(
        f"kills {kills} trades {fleet.traded} venue {dict(sent)} lost 0 doubled 0 slowest {slowest:.1f} s seed {seed}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.redis", description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    asked = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="kills-")
    print(f"logs and the venue's file are kept in {folder}")
    trio.run(kill_many, asked.kills, asked.seed, Path(folder))


main()
