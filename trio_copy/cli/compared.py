"""Backtests of several settings beside each other, each in a process of its own: the cores are what there is of them."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import trio

from trio_copy.cli.overrides import Setting
from trio_copy.cli.verdicts import Verdict
from trio_copy.errors import ConfigError, TrioCopyError


def compare(conf: Path, file: Path, settings: Sequence[Setting], tell: Callable[[int], None]) -> list[Verdict]:
    """Backtest a recording with each setting; returns what came of each, in their order. A Ctrl-C ends all of them.

    Raises:
        TrioCopyError: one of them failed; the others are ended.
    """
    return trio.run(_compare, conf, file, settings, tell)


async def _compare(conf: Path, file: Path, settings: Sequence[Setting], tell: Callable[[int], None]) -> list[Verdict]:
    verdicts: dict[int, Verdict] = {}
    cores = trio.CapacityLimiter(max(1, len(os.sched_getaffinity(0))))

    async def run(number: int, setting: Setting) -> None:
        async with cores:
            verdicts[number] = await _backtest(conf, file, setting)
            tell(len(verdicts))

    async with trio.open_nursery() as nursery:
        for number, setting in enumerate(settings):
            nursery.start_soon(run, number, setting)
    return [verdicts[number] for number in range(len(settings))]


async def _backtest(conf: Path, file: Path, setting: Setting) -> Verdict:
    tried = [word for one in setting for word in ("--set", str(one))]
    # -P: what lies in the working directory is no part of the program.
    command = [sys.executable, "-P", "-m", "trio_copy", "backtest", str(conf), str(file), "--json", *tried]
    ended = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    said = ended.stderr.decode(errors="replace").splitlines()
    if ended.returncode:
        problems = [f"{' '.join(map(str, setting))}: {line}" for line in said] or [f"exit code {ended.returncode}"]
        raise ConfigError(problems) if ended.returncode == 2 else TrioCopyError(problems[-1])
    return msgspec.json.decode(ended.stdout, type=Verdict)
