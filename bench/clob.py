"""What does a live order cost, and when does it leave? Beside it the official client at the same venue, in the same minutes.

The venue is `bench.instant_venue`: over TLS, on this machine, and in a process of its own, so that a round trip takes next to
no time and what it costs does not count.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio
from attrs import evolve

from bench.instant_venue import started as venue_started
from bench.live_copies import LiveCopies, unlimited
from bench.timing import percentile, row
from tests.clob.written import KEY, intent
from tests.official import PY_CLOB, Client
from tests.official import started as client_started
from trio_copy.cli.interpreter import tune_interpreter
from trio_copy.clock import anchored_wall_clock, cpu_seconds
from trio_copy.entropy import seeded_entropy
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId, IntentKey
from trio_copy.model.orders import Status, Wallet
from trio_copy.ports import ExecutorContext
from trio_copy.testing.signing import FakeSigner, FakeSigners
from trio_copy_clob.executor import ClobExecutor, open_executor
from trio_copy_clob.settings import ClobSettings

ORDERS = 200
"""In each run; of the client a part of that, for it takes long."""
RUNS = 3
IN_FLIGHT = (1, 10, 50)
SIGNALS = {1: 50, 10: 20, 100: 10, 1_000: 3}
"""By the number of followers."""
_PROGRAM = Path(__file__).with_name("official_orders.py")
_WALLET = Wallet(follower=FollowerId("bench"), address=KEY.address)
_TOKEN = "7"


def main() -> None:
    print(f"live orders, at a venue over TLS in a process of its own that matches at once; best of {RUNS}")
    tune_interpreter()
    with TemporaryDirectory() as folder, venue_started(Path(folder)) as address:
        with client_started(_PROGRAM, PY_CLOB, SSL_CERT_FILE=f"{folder}/venue.pem") as client:
            ask = partial(_official, client, address)
            theirs = {number: min(ask(number)["cpu_s"] for _ in range(2)) for number in IN_FLIGHT}
            left = sorted(ask(1, 100)["left_s"])
        costs(address, {number: 1e6 * cpu / ORDERS for number, cpu in theirs.items()})
        copies(address, Path(folder), left)


def costs(address: str, theirs: Mapping[int, float]) -> None:
    for number in IN_FLIGHT:
        mine = min(trio.run(_order_us, address, number) for _ in range(RUNS))
        row(f"the official client's order, {number} in flight", theirs[number])
        row(f"ours: prepared, signed, sent, answer read, {number}", mine, theirs[number])


def copies(address: str, folder: Path, theirs: list[float]) -> None:
    print(f"  the official client: 100 orders one after the other leave within {1e3 * theirs[-1]:.0f} ms")
    for followers, signals in SIGNALS.items():
        place = folder / f"live-{followers}"
        place.mkdir()
        run = LiveCopies(address=address, folder=place, followers=followers, signals=signals)
        run.run()
        every = sorted(at for signal in run.sent_s for at in signal)
        spread = sorted(signal[-1] - signal[0] for signal in run.sent_s)
        print(
            f"  {followers:>5} followers   {1e6 * run.cpu_s / (followers * signals):8.1f} us of processor time per copy"
            f"   decision to bytes p50 {_ms(every, 0.5)} p99 {_ms(every, 0.99)} ms"
            f"   first to last p50 {_ms(spread, 0.5)} p99 {_ms(spread, 0.99)} ms"
            f"   a look at each {run.look_us:6.1f} us"
        )


def _ms(ordered: list[float], part: float) -> str:
    return f"{1e3 * percentile(ordered, part):7.2f}"


def _official(client: Client, address: str, in_flight: int, count: int = ORDERS) -> Any:  # noqa: ANN401  of JSON
    wish = {"host": address, "private_key": f"0x{1:064x}", "token_id": _TOKEN}
    return client.ask({**wish, "in_flight": in_flight, "count": count // in_flight})


async def _order_us(address: str, in_flight: int) -> float:
    """Return microseconds of processor time per order."""
    wall = anchored_wall_clock()
    context = ExecutorContext(
        name="clob",
        settings=ClobSettings(clob_url=address, geoblock_url=f"{address}/api/geoblock"),
        wall=wall,
        quotes=None,
        wallets=(_WALLET,),
        signers=FakeSigners({"": FakeSigner(KEY, signs_orders=True)}),
        entropy=seeded_entropy(1),
    )
    wanted = evolve(intent(Side.BUY, "20", "0.5"), leader_time=int(wall()))
    async with open_executor(context) as executor:
        assert isinstance(executor, ClobExecutor)
        market = await executor.market(wanted.token_id)

        async def send(keys: range) -> None:
            for number in keys:
                order = executor.prepare(IntentKey(f"{number:064x}"), wanted, _WALLET, market)
                report = await executor.submit(order)
                assert report.status is Status.FILLED, report

        async def send_all(count: int) -> None:
            async with trio.open_nursery() as nursery:
                for lane in range(in_flight):
                    nursery.start_soon(send, range(lane * count, (lane + 1) * count))

        await send(range(1))
        unlimited(executor)
        await executor.caller.transport.warm(address, in_flight)
        await send_all(2)
        used = cpu_seconds()
        await send_all(ORDERS // in_flight)
        return 1e6 * (cpu_seconds() - used) / ORDERS


if __name__ == "__main__":
    main()
