"""The log as a file: nothing waits for it, it grows no further than it is told, and it outlives a disk that fails."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tests.plugins.stores import in_place
from trio_copy.errors import ConfigError
from trio_copy.telemetry.log_file import LogFile

NOON = 1_764_072_000.0
"""2025-11-25, noon."""


def log_file(path: Path, **changes: Any) -> LogFile:
    troubles: list[str] = []
    given: dict[str, Any] = {
        "max_mib": 1,
        "keep": 2,
        "wall": lambda: NOON,
        "on_trouble": troubles.append,
        "in_thread": in_place,
    }
    return LogFile(path=path, **{**given, **changes})


def names(path: Path) -> list[str]:
    return sorted(one.name for one in path.parent.iterdir())


async def test_lines_are_written_within_a_second_and_behind_those_of_an_earlier_run(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """The last ones too, at an end that comes at once; nobody else may read them."""
    path = tmp_path / "run.log"
    for run in range(2):
        log = log_file(path)
        log.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(log.run)
            log.write(f"{run}: first\n")
            await trio.sleep(1.5)
            assert path.read_text().endswith(f"{run}: first\n")
            log.write(f"{run}: last\n")
            nursery.cancel_scope.cancel()
        os.utime(path, (NOON, NOON))
    assert path.read_text() == "0: first\n0: last\n1: first\n1: last\n"
    assert path.stat().st_mode & 0o077 == 0


async def test_a_file_ends_with_its_day_and_at_its_size(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    """Two that ended stay, the newest first; older ones go."""
    path, now = tmp_path / "run.log", [NOON]
    log = log_file(path, wall=lambda: now[0])
    log.open()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        for day in range(3):
            log.write(f"day {day}\n")
            await trio.sleep(1.5)
            now[0] += 86_400
        log.write("x" * (1 << 20))
        await trio.sleep(1.5)
        log.write("behind the large one\n")
        await trio.sleep(1.5)
        nursery.cancel_scope.cancel()
    assert names(path) == ["run.log", "run.log.1", "run.log.2"]
    assert path.read_text() == "behind the large one\n"
    assert (tmp_path / "run.log.1").stat().st_size == 1 << 20
    assert (tmp_path / "run.log.2").read_text() == "day 2\n"


async def test_what_failed_in_the_thread_is_told_outside_of_it(autojump_clock: trio.testing.MockClock) -> None:
    """Whoever hears it may wake tasks, and writes it where people look."""

    async def in_thread(write: Callable[[], object]) -> object:
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
        return None

    told: list[int] = []
    log = log_file(Path("/dev/full"), on_trouble=lambda _: told.append(threading.get_ident()), in_thread=in_thread)
    log.open()
    log.write("a line\n")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        await trio.sleep(1.5)
        nursery.cancel_scope.cancel()
    assert told == [threading.get_ident()]


async def test_a_disk_that_fails_ends_the_file_and_says_so_once(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """/dev/full takes nothing; the engine goes on."""
    troubles: list[str] = []
    log = log_file(Path("/dev/full"), on_trouble=troubles.append)
    log.open()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        for _ in range(3):
            log.write("a line\n")
            await trio.sleep(1.5)
        nursery.cancel_scope.cancel()
    assert troubles == ["/dev/full: nothing is logged any more: No space left on device"]


async def test_what_is_no_file_is_not_put_aside(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    """A device that root could give another name, and a pipe, which knows no place in it."""
    pipe, device, now = tmp_path / "pipe", tmp_path / "device", [NOON]
    os.mkfifo(pipe)
    device.symlink_to("/dev/null")
    reads = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    async with trio.open_nursery() as nursery:
        for path in (pipe, device):
            log = log_file(path, wall=lambda: now[0])
            log.open()
            nursery.start_soon(log.run)
            log.write("a line\n")
        await trio.sleep(1.5)
        now[0] += 86_400
        log.write("a line of the next day\n")
        await trio.sleep(1.5)
        nursery.cancel_scope.cancel()
    assert os.read(reads, 100) == b"a line\n"
    os.close(reads)
    assert names(pipe) == ["device", "pipe"]


async def test_what_a_slow_disk_has_no_time_for_is_dropped_and_counted(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Memory does not grow with it, and the file says how many are missing, where they are missing."""
    path = tmp_path / "run.log"
    log = log_file(path)
    log.open()
    for _ in range(100_010):
        log.write("a line\n")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        await trio.sleep(1.5)
        log.write("another\n")
        nursery.cancel_scope.cancel()
    assert path.read_text().splitlines()[100_000:] == ['{"event": "dropped", "lines": 10}', "another"]


def test_a_file_that_cannot_be_written_starts_nothing(tmp_path: Path) -> None:
    """One line, with the setting's name."""
    with pytest.raises(ConfigError, match=r"log.file: .* cannot be written: No such file or directory"):
        log_file(tmp_path / "nowhere" / "run.log").open()
