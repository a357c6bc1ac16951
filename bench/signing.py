"""How many orders a second are prepared and signed, against the official client, and how long does the loop stand still?

The client runs in an environment of its own, in the same minute: once as pip installs it, once with coincurve added.
"""

import time
from collections.abc import Sequence

import trio

from bench.timing import RUNS, cpu_per_item, row
from tests.clob.official import PROGRAM
from tests.clob.written import KEY, LEADER_TIME, SECRET, intent, maker, market
from tests.official import PY_CLOB, started
from trio_copy.model.fills import Side
from trio_copy.model.ids import IntentKey
from trio_copy_clob.orders.order import Maker
from trio_copy_clob.orders.prepare import prepare

COUNT = 1_000
_FEW = 60
"""Of the client's orders: one takes up to ten milliseconds."""
_AS_INSTALLED = "eth_keys.backends.NativeECCBackend"
_KEYS = [IntentKey(f"{number:064x}") for number in range(COUNT)]
_WANTED, _MARKET = intent(Side.BUY, "20", "0.5", "GTC"), market()


def ours(whose: Maker) -> None:
    for key in _KEYS:
        prepare(key, _WANTED, whose, _MARKET, LEADER_TIME, KEY.sign)


def official(**variables: str) -> float:
    """Return microseconds of the client's processor time per order, of its best run."""
    wish = {"do": "create_orders", "private_key": f"0x{SECRET.hex()}", "count": _FEW}
    with started(PROGRAM, PY_CLOB, **variables) as client:
        best = min(float(client.ask(wish)) for _ in range(RUNS))
    return 1e6 * best / _FEW


async def stalls() -> tuple[float, float]:
    """Return the longest that another task waited for its turn while orders were signed: seconds by the wall, of our work."""
    done, whose = trio.Event(), maker()
    worst = [0.0, 0.0]

    async def others() -> None:
        before: Sequence[float] = (time.perf_counter(), time.process_time())
        while not done.is_set():
            await trio.lowlevel.checkpoint()
            now = (time.perf_counter(), time.process_time())
            worst[:] = [max(most, new - old) for most, new, old in zip(worst, now, before, strict=True)]
            before = now

    async with trio.open_nursery() as nursery:
        nursery.start_soon(others)
        for key in _KEYS:
            prepare(key, _WANTED, whose, _MARKET, LEADER_TIME, KEY.sign)
            await trio.lowlevel.checkpoint()
        done.set()
    return worst[0], worst[1]


def main() -> None:
    print(f"signing: {COUNT} orders prepared and signed, processor time, best of {RUNS}")
    installed, native = official(ECC_BACKEND_CLASS=_AS_INSTALLED), official()
    mine = cpu_per_item(lambda: ours(maker()), COUNT)
    row("the official client's create_order, as installed", installed)
    row("the same with coincurve", native)
    row("ours, a key's own account, against the first", mine, installed)
    row("ours, against the second", mine, native)
    row("ours, a deposit wallet, against the second", cpu_per_item(lambda: ours(maker(3)), COUNT), native)
    found = [trio.run(stalls) for _ in range(RUNS)]
    wall, work = (1e3 * min(one[index] for one in found) for index in (0, 1))
    print(
        f"  longest stall of the loop while {COUNT} are signed: {wall:.2f} ms by the wall, {work:.2f} ms of our own work"
    )


if __name__ == "__main__":
    main()
