"""How long does a store take to tell its follows, and they to be a book? In a process of its own, for the memory they take.

python -m bench.follows sqlite FILE, or redis URL
"""

import sys
import time
from pathlib import Path

import trio

from trio_copy.cli.interpreter import tune_interpreter
from trio_copy.clock import anchored_wall_clock
from trio_copy.copying.follow_book import FollowBook
from trio_copy.model.follows import EVERYBODY, Follower, Followers, TermsOfFollows
from trio_copy.ports import StoreContext
from trio_copy.registry import discover

_PLACES = {"sqlite": "path", "redis": "url"}


def main() -> None:
    name, place = sys.argv[1:]
    trio.run(_load, name, place)


async def _load(name: str, place: str) -> None:
    plugin = discover().store(name)
    settings = plugin.settings(**{_PLACES[name]: place})
    everybody = Followers({EVERYBODY: Follower(follower=EVERYBODY, executor="dry-run")})
    tune_interpreter()  # as every run does first
    async with plugin.open(StoreContext(settings=settings, wall=anchored_wall_clock())) as store:
        book, before = FollowBook(TermsOfFollows(followers=everybody)), _peak_mb()
        began, cpu = time.perf_counter(), time.process_time()
        _, follows = await store.follows.load()
        loaded, loaded_cpu = time.perf_counter(), time.process_time()
        assert book.replace_all(follows) == []
        filled, filled_cpu = time.perf_counter(), time.process_time()
    print(
        f"  {name:<8} {len(book):,} follows of {len(book.leaders):,} leaders: read in {loaded - began:.2f} s"
        f" ({loaded_cpu - cpu:.2f} of ours), in the book in {filled - loaded:.2f} s more ({filled_cpu - loaded_cpu:.2f}),"
        f" {_peak_mb() - before:,.0f} MB more at the peak"
    )


def _peak_mb() -> float:
    # What `getrusage` tells begins with the peak of whoever started this process.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


if __name__ == "__main__":
    main()
