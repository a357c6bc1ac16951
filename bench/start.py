"""How long does a command take before it begins? Processor time of whole processes, from compiled modules."""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.timing import RUNS

_ROOT = Path(__file__).parents[1]
_BASELINE = ("-c", "import trio")
_COMMANDS: dict[str, Sequence[str]] = {
    "trio-copy --help": ("-m", "trio_copy", "--help"),
    "trio-copy check --help": ("-m", "trio_copy", "check", "--help"),
    "trio-copy check conf/demo.toml": ("-m", "trio_copy", "check", "conf/demo.toml"),
    "trio-copy check conf/shards.toml": ("-m", "trio_copy", "check", "conf/shards.toml"),
}


def main() -> None:
    print("Start: processor seconds, the best of several processes; the baseline is `import trio`")
    with tempfile.TemporaryDirectory() as compiled:
        # An installed package is compiled; a checkout may be told not to keep what it compiles.
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": compiled}
        baseline = _cpu_s(_BASELINE, environment)
        print(f"  {'python -c import trio':<46} {baseline:6.2f} s")
        for name, arguments in _COMMANDS.items():
            cpu_s = _cpu_s(arguments, environment)
            print(f"  {name:<46} {cpu_s:6.2f} s   {cpu_s / baseline:5.1f} times the baseline")


def _cpu_s(arguments: Sequence[str], environment: dict[str, str]) -> float:
    best = float("inf")
    for _ in range(RUNS + 1):  # the first one compiles
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], cwd=_ROOT, env=environment, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best


if __name__ == "__main__":
    main()
