"""How much memory do 100,000 follows take, and an account that has traded much, of which nothing is open any more?"""

import gc
import tracemalloc
from collections.abc import Callable, Sequence

from bench.account import ALICE, COPIES, NOW, copy_all, make_account, make_copies
from trio_copy.accounts import Account
from trio_copy.accounts.commands import Tick
from trio_copy.cli.synthetic import synthetic_address
from trio_copy.copying.follow_book import FollowBook
from trio_copy.model.catalog import Catalog
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
    _closed()  # what is kept of any copy, whoever makes it, is not counted
    print("memory: an account (goal: what is open counts, not what ever was)")
    print(f"  with 1,000 open positions                       {_megabytes(lambda: make_account(1_000)):7.3f} MB")
    print(f"  with {COPIES // 2:,} markets bought and sold               {_megabytes(_closed):7.3f} MB")


def _book(leaders: Sequence[Address], own: Callable[[int], Layer]) -> FollowBook:
    everybody = Followers({EVERYBODY: Follower(follower=EVERYBODY, executor="dry-run")})
    book = FollowBook(TermsOfFollows(followers=everybody))
    book.replace_all(
        Follow(follower=FollowerId(f"follower-{n // 10}"), leader=leaders[n % LEADERS], own=own(n))
        for n in range(FOLLOWS)
    )
    return book


def _closed() -> Account:
    account = Account(ALICE, Catalog())
    copies = make_copies()
    copy_all(account, copies, written=True)
    account.apply(account.decide(Tick(passed=max(copy.task.signal.block_number for copy in copies), at=NOW)))
    account.take_changes()
    return account


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
