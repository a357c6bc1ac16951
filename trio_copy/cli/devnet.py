"""`trio-copy devnet CONF`"""

import signal
from functools import partial
from typing import Annotated, Any

import trio
from cyclopts import Parameter

from trio_copy.cli.durations import Duration, Time
from trio_copy.cli.open_world import open_scripted_devnet
from trio_copy.cli.opened import ConfArgument, find_plan
from trio_copy.cli.output import out
from trio_copy.cli.redact import Redact
from trio_copy.clock import anchored_wall_clock
from trio_copy.config import DevnetSettings
from trio_copy.engine.plan import Plan
from trio_copy.errors import ConfigError
from trio_copy.model.counts import counted
from trio_copy.testing.devnet import NodeFaults, open_devnet
from trio_copy.testing.devnet.words import listed_faults, take_faults

_FAULTS = "What the node does wrong, as NAME or NAME=VALUE; may be said again. One of:\n\n" + "\n".join(
    f"- {form}: {does}" for form, does in listed_faults(NodeFaults)
)


_PAST_MOST_S = 90 * 86_400


def devnet(
    conf: ConfArgument = None,
    *,
    redactor: Redact,
    port: Annotated[int, Parameter(help="Where to listen, on this machine only.")] = 8545,
    seed: Annotated[int, Parameter(help="The same seed plays the same market.")] = 1,
    block_every: Annotated[Duration, Parameter(help="How long a block takes: 1.5s, 200ms.")] = Time(1.5),
    past: Annotated[
        Duration, Parameter(help="How long the leaders have traded already: 7d makes a week that can be fetched.")
    ] = Time(0),
    fault: Annotated[tuple[str, ...], Parameter(help=_FAULTS, negative="", show_default=False)] = (),
) -> int:
    """Play a scripted market on a node of its own, so that several instances can follow the same chain.

    The leaders of the configuration's [[follow]] tables trade until Ctrl-C. No money, no network: it is for trying out what
    one process cannot show.
    """
    if not 0 <= port < 1 << 16:
        raise ConfigError([f"--port: expected a port from 0 to 65535, got {port}"])
    checked: dict[str, dict[str, Any]] = {"--seed": {"seed": seed}, "--block-every": {"block_every_s": block_every}}
    for option, given in checked.items():
        try:
            DevnetSettings(**given)
        except ValueError as error:
            raise ConfigError([f"{option}: {error}"]) from None
    if not 0 <= past <= _PAST_MOST_S:
        raise ConfigError([f"--past: expected at most {Time(_PAST_MOST_S)}, got {past}"])
    take_faults(NodeFaults(), "--fault", fault)
    script = DevnetSettings(seed=seed, block_every_s=block_every, reorg_at_block=0, drop_at_block=0, faults=fault)
    return trio.run(_serve, find_plan(conf, redactor), script, port, past)


async def _serve(plan: Plan, script: DevnetSettings, port: int, past_s: float) -> int:
    wall, open_net = anchored_wall_clock(), partial(open_devnet, port=port)
    try:
        async with open_scripted_devnet(plan, wall, script, open_net, past_s) as (net, market):
            leaders = counted(len(market.leaders), "leader trades", "leaders trade")
            out(f"devnet on {net.url}: {leaders} every {script.block_every_s:g} s; Ctrl-C ends it")
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async for _ in signals:
                    break
    except* OSError as group:
        raise ConfigError([f"--port: cannot listen on {port}: {group.exceptions[0]}"]) from None
    return 0
