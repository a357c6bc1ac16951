"""`python -m tests.crash`: kills the engine everywhere and checks what is left.

    --budget 45s    as many histories as fit, in a random order (the seed is printed)
    --all           the whole product
    --seed N        the order of an earlier run
    --mutants       engines that are broken on purpose: the checker must catch each
    --kills N       one history on each kind of store, in which N engines are killed one after the other

The last line counts histories, lost, doubled and wrong; the exit code is 0 only when the last three are 0.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator

import msgspec

from tests.crash.histories import Case, all_cases, kill_often, play, some_cases
from tests.crash.mutants import hunt
from tests.crash.stores import KINDS
from trio_copy.cli.durations import parse_duration


class _Line(msgspec.Struct):
    """What a worker found in one history."""

    case: str
    reached: bool
    lost: list[str]
    doubled: list[str]
    wrong: list[str]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__.split("\n")[0])
    parser.add_argument("--budget", type=parse_duration, default=45.0, help="how long, such as 45s or 3m (default 45s)")
    parser.add_argument("--all", action="store_true", help="play the whole product, however long it takes")
    parser.add_argument("--mutants", action="store_true", help="break the engine on purpose; each must be caught")
    parser.add_argument("--kills", type=int, default=0, help="kill so many engines one after the other")
    parser.add_argument("--seed", type=int, default=None, help="order of the histories")
    options = parser.parse_args()
    if options.mutants:
        return _hunt()
    seed = int.from_bytes(os.urandom(4), "big") if options.seed is None else options.seed
    if options.kills:
        return _kill(options.kills, seed)
    cases = all_cases() if options.all else list(some_cases(seed))
    until = float("inf") if options.all else time.monotonic() + options.budget
    print(f"{len(cases)} histories are possible; {'all of them' if options.all else f'seed {seed}'}")
    return _sum_up(_play(cases, until))


def _sum_up(lines: Iterator[_Line]) -> int:
    played = reached = lost = doubled = wrong = 0
    for line in lines:
        played, reached = played + 1, reached + line.reached
        lost, doubled, wrong = lost + len(line.lost), doubled + len(line.doubled), wrong + len(line.wrong)
        for kind in ("lost", "doubled", "wrong"):
            for sentence in getattr(line, kind):
                print(f"{kind:<8} {line.case}: {sentence}")
        if sys.stdout.isatty():
            print(f"\r{played} histories", end="", flush=True)
    if sys.stdout.isatty():
        print()
    print(f"histories {played} killed {reached} lost {lost} doubled {doubled} wrong {wrong}")
    return 0 if played and not lost and not doubled and not wrong else 1


def _kill(kills: int, seed: int) -> int:
    def lines() -> Iterator[_Line]:
        for store in KINDS:
            verdict, died = kill_often(kills, seed, store)
            case = f"{store}: {died} of {kills} engines killed, seed {seed}"
            print(case)
            yield _Line(case, died > 0, verdict.lost, verdict.doubled, verdict.wrong)

    return _sum_up(lines())


def _hunt() -> int:
    good = True
    for name, caught, honest_passes in hunt():
        good = good and caught and honest_passes
        print(f"{name:<32} {'caught' if caught else 'MISSED'}; honest engine {'passes' if honest_passes else 'FAILS'}")
    return 0 if good else 1


def _play(cases: list[Case], until: float) -> Iterator[_Line]:
    """Share the cases out to one process per processor and yield what each of them finds."""
    workers = os.cpu_count() or 1
    reader, writer = os.pipe()
    for number in range(workers):
        if os.fork() == 0:
            os.close(reader)
            with os.fdopen(writer, "wb") as out:
                for case in cases[number::workers]:
                    if time.monotonic() > until:
                        break
                    verdict, reached = play(case)
                    line = _Line(str(case), reached, verdict.lost, verdict.doubled, verdict.wrong)
                    out.write(msgspec.json.encode(line) + b"\n")
                    out.flush()
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as lines:
        for text in lines:
            yield msgspec.json.decode(text, type=_Line)
    failed = sum(os.wait()[1] != 0 for _ in range(workers))
    if failed:
        raise SystemExit(f"{failed} of {workers} workers broke; the lines above say where")


if __name__ == "__main__":
    sys.exit(main())
