"""How much memory do 100,000 follows take?"""

import gc
import tracemalloc
from collections.abc import Callable, Sequence

from trio_copy.cli.synthetic import synthetic_address
from trio_copy.copying.follow_book import FollowBook
from trio_copy.model.follows import EVERYBODY, Follow, Follower, Followers, TermsOfFollows
from trio_copy.model.ids import Address, FollowerId
from trio_copy.model.layers import Layer, layer
from trio_copy.model.units import Ratio

FOLLOWS = 100_000
LEADERS = 1_000


def main() -> None:
    print(f"memory: a book of {FOLLOWS:,} follows of {LEADERS:,} leaders (goal: under 150 MB)")
    leaders = [synthetic_address("leader", number) for number in range(LEADERS)]
    baseline = _megabytes(lambda: [(f"follower-{n // 10}", leaders[n % LEADERS]) for n in range(FOLLOWS)])
    print(f"  baseline: a list of (follower, leader)          {baseline:7.1f} MB")
    shared = layer({"size.ratio": Ratio(1)})
    print(
        f"  book, everybody with equal settings             {_megabytes(lambda: _book(leaders, lambda n: shared)):7.1f} MB"
    )
    own = _megabytes(lambda: _book(leaders, lambda n: layer({"size.ratio": Ratio(n)})))
    print(f"  book, everybody with settings of his own        {own:7.1f} MB")


def _book(leaders: Sequence[Address], own: Callable[[int], Layer]) -> FollowBook:
    everybody = Followers({EVERYBODY: Follower(follower=EVERYBODY, executor="dry-run")})
    book = FollowBook(TermsOfFollows(followers=everybody))
    book.replace_all(
        Follow(follower=FollowerId(f"follower-{n // 10}"), leader=leaders[n % LEADERS], own=own(n))
        for n in range(FOLLOWS)
    )
    return book


def _megabytes(make: Callable[[], object]) -> float:
    gc.collect()
    tracemalloc.start()
    kept = make()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del kept
    return size / 1e6


if __name__ == "__main__":
    main()
