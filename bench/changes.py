"""How long does the loop stand still for one change of a follow, and for all of them, where very many leaders are read?"""

import time
from collections.abc import Callable
from itertools import pairwise

from bench.timing import percentile
from tests.harness import make_test_plan
from trio_copy.chain.filters import FilterBoard
from trio_copy.cli.interpreter import tune_interpreter
from trio_copy.cli.synthetic import synthetic_address
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.gate.gate import alone
from trio_copy.engine.gate.read_leaders import ReadLeaders
from trio_copy.engine.intake import wanted_filters
from trio_copy.engine.plan import Plan
from trio_copy.model.follows import EVERYBODY, Follow, Follower, Followers, TermsOfFollows
from trio_copy.model.ids import Address, FollowerId

LEADERS, CHANGES = 200_000, 2_000


def main() -> None:
    tune_interpreter()  # as every run does first
    print(f"changes: {LEADERS:,} leaders are read, each with one follow, and some more come and go; processor time")
    leaders = [synthetic_address("leader", number) for number in range(LEADERS)]
    everybody = Followers({EVERYBODY: Follower(follower=EVERYBODY, executor="dry-run")})
    book = FollowBook(TermsOfFollows(followers=everybody))
    book.replace_all(_follow(number, leader) for number, leader in enumerate(leaders))
    shards: dict[int, object] = {0: None}
    reads = ReadLeaders(book=book, shards=shards, shard_of=alone, warm=False)  # type: ignore[arg-type]  # only whether it is there
    plan, board = make_test_plan(), FilterBoard()
    _all("all of them, as at a start", reads, plan, board)
    _all("as at a reload: nobody is another", reads, plan, board)
    shards.clear()
    _all("as when the last shard goes", reads, plan, board)
    shards[0] = None
    _all("as when it comes again", reads, plan, board)
    new = [synthetic_address("new", number) for number in range(CHANGES)]
    _row("a leader whom nobody had followed", [_cost(book.put, one, reads, plan, board) for one in new])
    _row("one more follow of a leader", [_cost(book.put, one, reads, plan, board) for one in leaders[:CHANGES]])
    _row("the only follow of a leader ends", [_cost(book.remove, one, reads, plan, board) for one in new])


def _all(name: str, reads: ReadLeaders, plan: Plan, board: FilterBoard) -> None:
    """Have everybody looked at; others run after each slice."""
    times = [time.process_time()]
    times += [time.process_time() for _ in reads.count()]
    board.replace(*wanted_filters(plan, reads))
    times.append(time.process_time())
    slices = [after - before for before, after in pairwise(times)]
    print(f"  {name:<34} {1000 * sum(slices):10.3f} ms, at most {1000 * max(slices):.2f} ms at once")


def _cost(
    change: Callable[[Follow], object], leader: Address, reads: ReadLeaders, plan: Plan, board: FilterBoard
) -> float:
    """Return how many seconds one change of a follow takes."""
    started = time.process_time()
    change(_follow(-1, leader))
    reads.look_at([leader])
    board.replace(*wanted_filters(plan, reads))
    return time.process_time() - started


def _follow(number: int, leader: Address) -> Follow:
    return Follow(follower=FollowerId(f"user-{number % 20_000}"), leader=leader)


def _row(name: str, seconds: list[float]) -> None:
    seconds.sort()
    print(f"  {name:<34} {1000 * percentile(seconds, 0.5):10.3f} ms, at most {1000 * seconds[-1]:.2f} ms")


if __name__ == "__main__":
    main()
