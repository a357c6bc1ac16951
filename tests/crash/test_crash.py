"""The engine is killed at random points, for real, with whatever the venue does; then the records are checked."""

import subprocess
import sys
from pathlib import Path

from tests.crash.mutants import MUTANTS

ROOT = Path(__file__).parents[2]
BUDGET = "12s"


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.crash", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_no_crash_loses_doubles_or_misreports_anything() -> None:
    """As many histories as fit into the budget: no double fill, no lost task, no wrong record."""
    done = run("--budget", BUDGET)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith("lost 0 doubled 0 wrong 0")


def test_many_deaths_in_a_row_lose_nothing() -> None:
    """Each process dies while it takes up what the one before has left, on each kind of store."""
    done = run("--kills", "8")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_mutant_is_caught() -> None:
    """A broken engine shows in the same histories that the honest one passes."""
    done = run("--mutants")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("caught") == len(MUTANTS)
