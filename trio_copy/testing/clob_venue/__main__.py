"""`python -m trio_copy.testing.clob_venue`: our venue as a process of its own, with a market that moves."""

import signal
import sys
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path

import trio
from attrs import define, evolve

from trio_copy.clock import anchored_wall_clock
from trio_copy.errors import ConfigError
from trio_copy.model.units import MICRO
from trio_copy.testing.clob_venue.core import POLYGON
from trio_copy.testing.clob_venue.faults import ClobFaults
from trio_copy.testing.clob_venue.network import ClobServer, open_clob_venue
from trio_copy.testing.devnet.market import ScriptedMarket, seeded_market
from trio_copy.testing.devnet.words import listed_faults, take_faults

_NAME = "python -m trio_copy.testing.clob_venue"
_LISTED = "\n".join(f"  {form}: {does}" for form, does in listed_faults(ClobFaults))


@define
class Asked:
    """What a command line asks for."""

    port: int = 0
    record: Path | None = None
    chain_id: int = POLYGON
    seed: int = 1
    usd: int = 1000
    every_s: int = 2
    fault: Sequence[str] = ()


def main(words: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C; 2 where something asked for cannot be."""
    asked = _read(words)
    try:
        take_faults(ClobFaults(), "--fault", asked.fault, f"{_NAME} --help")
        trio.run(serve, asked)
    except ConfigError as error:
        sys.stderr.write("\n".join(error.problems) + "\n")
        return 2
    return 0


async def serve(asked: Asked) -> None:
    """Serve until SIGTERM or SIGINT. Raises `ConfigError` where the port is taken."""
    wall = anchored_wall_clock()
    market = seeded_market([], asked.seed, fills_per_block=0, noise_per_block=0)
    try:
        async with open_clob_venue(wall, asked.port, record=asked.record, chain_id=asked.chain_id) as server:
            take_faults(server.faults, "--fault", asked.fault)
            server.clob.wallets.newcomers_have = asked.usd * MICRO
            _list(server, market)
            sys.stdout.write(_told(server))
            sys.stdout.flush()
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_move, server, market, asked.every_s)
                    await anext(signals)
                    nursery.cancel_scope.cancel()
    except* OSError as group:
        raise ConfigError([f"--port: cannot listen on {asked.port}: {group.exceptions[0]}"]) from None


def _list(server: ClobServer, market: ScriptedMarket) -> None:
    """List the market's tokens, some of them where one of several questions comes true: each exchange has its own."""
    chosen = {fact.condition_id for fact in market.facts if fact.exchange != 3}
    neg_risk = sorted(chosen)[::2]
    server.clob.market.put(evolve(fact, neg_risk=fact.condition_id in neg_risk) for fact in market.facts)
    server.clob.market.follow(market)


async def _move(server: ClobServer, market: ScriptedMarket, every_s: int) -> None:
    while every_s:
        await trio.sleep(every_s)
        market.next_block()
        server.clob.market.follow(market)
    await trio.sleep_forever()


def _told(server: ClobServer) -> str:
    """Write the port, alone on its line, and then the addresses as settings name them."""
    urls = {**server.addresses, "user_url": server.user_url}
    return f"{server.port}\n" + "".join(f'{name} = "{url}"\n' for name, url in urls.items())


def _read(words: Sequence[str] | None) -> Asked:
    parser = ArgumentParser(
        prog=_NAME,
        description="Our venue: Polymarket's CLOB on this machine only, with books that move. No money.",
        epilog=f"faults:\n{_LISTED}",
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=_port, default=0, help="where to listen; 0 for a free one, which is printed")
    parser.add_argument("--record", type=_record, help="a file to write what happens to, a JSON line each")
    parser.add_argument("--chain-id", type=int, default=POLYGON, help="that orders are signed for")
    parser.add_argument("--seed", type=int, default=1, help="the same seed plays the same market")
    parser.add_argument("--usd", type=int, default=1000, help="what each wallet has when it first comes")
    parser.add_argument("--every-s", type=int, default=2, help="how often the books move; 0 for never")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME[=VALUE]", help="what it does wrong")
    return Asked(**vars(parser.parse_args(words)))


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 1 << 16):
        raise ArgumentTypeError(f"expected a port from 0 to 65535, got {text!r}")
    return int(text)


def _record(text: str) -> Path:
    path = Path(text)
    try:
        path.open("a").close()
    except OSError as error:
        raise ArgumentTypeError(f"expected a file that can be written: {error}") from None
    return path


if __name__ == "__main__":
    sys.exit(main())
