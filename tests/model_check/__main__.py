"""`python -m tests.model_check`: every history of some small worlds, and engines that are broken on purpose.

    --most N    look at so many states of each world at most (default: 4,000,000), and then
    --wander N  play so many histories at random, all over it

Two accounts, two signals, a reorg, a takeover from an owner that lives on, and a crash at every step of every owner: every
interleaving of their steps. The exit code is 0 only when nothing is wrong and every mutant is found.
"""

import argparse
import time

from tests.model_check.engine import Engine
from tests.model_check.mutants import MUTANTS, hunt
from tests.model_check.search import search, wander
from tests.model_check.state import Wrong
from tests.model_check.worlds import BOUNDS, scenarios


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.model_check", description=__doc__.split("\n")[0])
    parser.add_argument("--most", type=int, default=4_000_000, help="states of each world, at most")
    parser.add_argument(
        "--wander", type=int, default=500, help="histories at random where not all states are looked at"
    )
    options = parser.parse_args()
    total, wrong = 0, 0
    for scenario in scenarios():
        for name, bounded in BOUNDS.items():
            started = time.monotonic()
            engine = Engine(bounded(scenario))
            found = search(engine, most=options.most)
            if not found.whole:
                try:
                    wander(engine, options.wander)
                except Wrong as broken:
                    found.wrong.append(str(broken))
            total, wrong = total + found.histories, wrong + len(found.wrong)
            print(
                f"{scenario.name}, {name}: {found.histories:,} histories, {found.states:,} states"
                f"{'' if found.whole else ' (not all)'}, {len(found.wrong)} wrong, {time.monotonic() - started:.0f} s",
                flush=True,
            )
            for sentence in sorted(set(found.wrong)):
                print(f"    {sentence}")
    missed = 0
    for mutant in MUTANTS:
        what = hunt(mutant)
        missed += what is None
        print(f"mutant {mutant.__name__}: {what or 'NOT FOUND'}", flush=True)
    print(f"histories {total:,} wrong {wrong} mutants missed {missed}")
    return 0 if total and not wrong and not missed else 1


if __name__ == "__main__":
    raise SystemExit(main())
