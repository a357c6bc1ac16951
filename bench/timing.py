"""How the scripts measure: processor time, best of several runs, so that a busy machine disturbs less."""

import time
from collections.abc import Callable, Sequence

RUNS = 5


def cpu_per_item(run: Callable[[], object], items: int) -> float:
    """Return microseconds of processor time per item, of the best run."""
    best = float("inf")
    for _ in range(RUNS):
        started = time.process_time()
        run()
        best = min(best, time.process_time() - started)
    return 1e6 * best / items


def row(name: str, us: float, baseline_us: float | None = None) -> None:
    ratio = "" if baseline_us is None else f"   {baseline_us / us:5.1f} x the baseline"
    print(f"  {name:<46} {us:8.2f} us   {1e6 / us:12,.0f} /s{ratio}")


def percentile(ordered: Sequence[float], part: float) -> float:
    return ordered[round((len(ordered) - 1) * part)]
