"""`python -m tests.worlds --seeds 500`: plays seeded worlds and names the seeds whose books are wrong.

    --first N       begin with this seed
    --dice A,B      switch on these only; `old` and `all` are names too
    --without A,B   switch these off
    --jobs N        processes at once
    --instances     worlds in which several engines share one store, and die, stand still, join and drain
    --onchain       worlds in which followers copy by transactions; `--without` takes names of their fates

The last line counts worlds, failures and fills; the exit code is 0 only when nothing failed.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from functools import partial
from multiprocessing import Pool

from tests.worlds import instances, onchain
from tests.worlds.dice import ALL, OLD
from tests.worlds.play import Verdict, play

_SHOWN = 6
_NAMES = {**{name: frozenset({name}) for name in ALL}, "old": OLD, "all": ALL}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.worlds", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=30, help="how many worlds")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--dice", default="all")
    parser.add_argument("--without", default="")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--instances", action="store_true")
    parser.add_argument("--onchain", action="store_true")
    options = parser.parse_args()
    if options.onchain:
        without = frozenset(name for name in options.without.split(",") if name)
        unknown = sorted(without - {*onchain.FATES})
        if unknown:
            parser.error(f"expected some of {', '.join(onchain.FATES)}; got {', '.join(unknown)}")
        return _play_onchain(range(options.first, options.first + options.seeds), options.jobs, without)
    if options.instances:
        return _play_instances(range(options.first, options.first + options.seeds), options.jobs)
    try:
        dice = _dice(options.dice) - _dice(options.without)
    except KeyError as error:
        parser.error(f"expected one of {', '.join(sorted(_NAMES))}; got {error}")
    chosen = f" --dice {options.dice}" + (f" --without {options.without}" if options.without else "")
    played = failed = fills = 0
    taken, slowest, busiest = 0.0, 0.0, 0.0
    with Pool(options.jobs) as pool:
        todo = [(seed, dice) for seed in range(options.first, options.first + options.seeds)]
        for verdict, seconds in pool.imap_unordered(_timed, todo):
            played, fills = played + 1, fills + verdict.fills
            taken, slowest = taken + seconds, max(slowest, seconds)
            busiest = max(busiest, verdict.requests_per_block)
            if verdict.problems:
                failed += 1
                print(
                    f"seed {verdict.seed} failed: {len(verdict.missed)} missed and {len(verdict.doubled)} copied twice, of "
                    f"{verdict.fills} fills by two; met {', '.join(sorted(verdict.thrown)) or 'the steps only'}"
                )
                print(f"    again: python -m tests.worlds --seeds 1 --first {verdict.seed}{chosen}")
                for line in verdict.problems[:_SHOWN]:
                    print(f"    {line}")
            if sys.stderr.isatty():
                print(f"\r{played}/{len(todo)} worlds, {failed} failed", end="", file=sys.stderr, flush=True)
    print(
        f"worlds {played} failed {failed} fills {fills}; {taken / max(1, played):.1f} s a world, the slowest {slowest:.1f} s; "
        f"at most {busiest:.0f} requests per block"
    )
    return 1 if failed or not played else 0


def _play_instances(seeds: Sequence[int], jobs: int) -> int:
    failed = lost = doubled = wrong = 0
    with Pool(jobs) as pool:
        for seed, verdict in zip(seeds, pool.imap(instances.play, seeds), strict=True):
            failed += bool(verdict)
            lost, doubled, wrong = lost + len(verdict.lost), doubled + len(verdict.doubled), wrong + len(verdict.wrong)
            if verdict:
                print(f"seed {seed} failed; again: python -m tests.worlds --instances --seeds 1 --first {seed}")
                for line in (*verdict.lost, *verdict.doubled, *verdict.wrong)[:_SHOWN]:
                    print(f"    {line}")
    print(f"worlds {len(seeds)} failed {failed} lost {lost} doubled {doubled} wrong {wrong}")
    return 1 if failed or not seeds else 0


def _play_onchain(seeds: Sequence[int], jobs: int, without: frozenset[str]) -> int:
    failed = copies = mined = 0
    with Pool(jobs) as pool:
        worlds = pool.imap(partial(onchain.play, without=without), seeds)
        for seed, verdict in zip(seeds, worlds, strict=True):
            failed, copies, mined = failed + bool(verdict.wrong), copies + verdict.copies, mined + verdict.mined
            if verdict.wrong:
                print(f"seed {seed} failed; again: python -m tests.worlds --onchain --seeds 1 --first {seed}")
                for line in verdict.wrong[:_SHOWN]:
                    print(f"    {line}")
    print(f"worlds {len(seeds)} failed {failed} copies {copies} transactions {mined}")
    return 1 if failed or not seeds else 0


def _timed(world: tuple[int, frozenset[str]]) -> tuple[Verdict, float]:
    began = time.process_time()
    verdict = play(*world)
    return verdict, time.process_time() - began


def _dice(text: str) -> frozenset[str]:
    return frozenset().union(*(_NAMES[name] for name in text.split(",") if name))


if __name__ == "__main__":
    sys.exit(main())
