"""How long does a book of a million follows take to load, how big is it, and how fast is a leader found in it?"""

import gc
import resource
import tempfile
import time
from pathlib import Path

import trio

from bench.timing import percentile
from trio_copy.cli.synthetic import synthetic_address
from trio_copy.clock import anchored_wall_clock
from trio_copy.copying.follow_book import FollowBook
from trio_copy.model.follows import EVERYBODY, Follow, Follower, Followers, TermsOfFollows
from trio_copy.model.ids import Address, FollowerId
from trio_copy.model.layers import Layer, layer
from trio_copy.model.units import Ratio
from trio_copy.ports import Store, StoreContext
from trio_copy.registry import discover

FOLLOWS, LEADERS, KINDS = 1_000_000, 10_000, 1000
LOOKUPS = 20_000


def main() -> None:
    print(f"book: {FOLLOWS:,} follows of {LEADERS:,} leaders in SQLite, {KINDS:,} different settings")
    leaders = [synthetic_address("leader", number) for number in range(LEADERS)]
    own = [layer({"size.ratio": Ratio(10_000 + kind)}) for kind in range(KINDS)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "book.db"
        trio.run(_write, path, leaders, own)
        print(f"  file {path.stat().st_size / 1e6:.0f} MB")
        trio.run(_read, path, leaders)


async def _write(path: Path, leaders: list[Address], own: list[Layer]) -> None:
    async with discover().store("sqlite").open(_context(path)) as store:
        started = time.perf_counter()
        for chunk in range(0, FOLLOWS, 100_000):
            await store.follows.put(
                [
                    Follow(follower=FollowerId(f"user-{n // 10}"), leader=leaders[n % LEADERS], own=own[n % KINDS])
                    for n in range(chunk, chunk + 100_000)
                ]
            )
        print(f"  put              {time.perf_counter() - started:8.1f} s, in ten steps")


async def _read(path: Path, leaders: list[Address]) -> None:
    async with discover().store("sqlite").open(_context(path)) as store:
        gc.collect()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        book, load_s, put_s = await _load(store)
        size = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        print(f"  read             {load_s:8.1f} s")
        print(f"  into the book    {put_s:8.1f} s, {size:.0f} MB more at the peak")
    lookups = []
    for number in range(LOOKUPS):
        started = time.perf_counter()
        found = book.of(leaders[number * 7 % LEADERS])
        lookups.append(time.perf_counter() - started)
        assert found
    lookups.sort()
    print(
        f"  a leader         {1e6 * percentile(lookups, 0.5):8.2f} us p50, {1e6 * percentile(lookups, 0.99):.2f} us p99"
    )
    baseline = dict.fromkeys(leaders)
    started = time.perf_counter()
    for number in range(LOOKUPS):
        baseline[leaders[number * 7 % LEADERS]]
    print(f"  baseline: a dict {1e6 * (time.perf_counter() - started) / LOOKUPS:8.2f} us")


async def _load(store: Store) -> tuple[FollowBook, float, float]:
    started = time.perf_counter()
    _, follows = await store.follows.load()
    loaded = time.perf_counter()
    everybody = Followers({EVERYBODY: Follower(follower=EVERYBODY, executor="dry-run")})
    book = FollowBook(TermsOfFollows(followers=everybody))
    assert book.replace_all(follows) == []
    assert len(book) == FOLLOWS
    return book, loaded - started, time.perf_counter() - loaded


def _context(path: Path) -> StoreContext:
    settings = discover().store("sqlite").settings(path=str(path))
    return StoreContext(settings=settings, wall=anchored_wall_clock())


if __name__ == "__main__":
    main()
