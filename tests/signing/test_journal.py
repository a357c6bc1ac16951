"""What leaves is on the disk before, shared by processes, and read again by the next one."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.builders import LEADER, NOW
from tests.signing.opened import Writes, arm_hot, lines_in, opened, try_to_leave, try_to_send, try_to_sign
from trio_copy.errors import ConfigError, OrderNotSent
from trio_copy.model.units import Usd

DAY_S = 86_400
HUNDREDTH = Usd.parse("0.01")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "signing"
    arm_hot(folder)
    return folder


def today(folder: Path) -> Path:
    [path] = folder.glob("signed-*")
    return path


async def test_nothing_counts_as_durable_before_it_is_on_the_disk(folder: Path, autojump_clock: MockClock) -> None:
    """Orders of one moment share one write, and each of those who wait sees its own line there; what is only signed has none."""
    writes = Writes(folder)
    async with opened(folder, in_thread=writes) as signers:

        async def copy(key: str) -> None:
            assert await try_to_send(signers, key, max_cost=HUNDREDTH)
            assert any(key in line for line in lines_in(folder))

        assert try_to_sign(signers, "denied", max_cost=HUNDREDTH)
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(copy, f"key-{number}")
        assert writes.count <= 2
        assert await try_to_leave(signers, "key-0"), "the same bytes once more are no second order"
        await trio.sleep(2)
        assert len(lines_in(folder)) == 5


async def test_what_leaves_is_synced_before_once_for_all_of_one_moment(
    folder: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that the system has not put on its disk is lost with the power, and the key would get a second body."""
    synced = list[int]()
    sync = os.fdatasync

    def seen(number: int) -> None:
        sync(number)
        synced.append(len(lines_in(folder)))

    monkeypatch.setattr(os, "fdatasync", seen)
    async with opened(folder) as signers:

        async def copy(key: str) -> None:
            assert await try_to_send(signers, key, max_cost=HUNDREDTH)
            assert synced
            assert any(key in line for line in lines_in(folder)[: synced[-1]])

        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(copy, f"key-{number}")
        assert len(synced) <= 2


async def test_the_next_run_remembers_bodies_and_spending(folder: Path, autojump_clock: MockClock) -> None:
    """A crash gives no second body to a key, and no second budget to an hour; a torn last line never left."""
    async with opened(folder) as signers:
        assert all([await try_to_send(signers, "a"), await try_to_send(signers, "b")])
    path = today(folder)
    assert path.stat().st_mode & 0o077 == 0
    with path.open("ab") as file:
        file.write(b'[1764000000.0,"0xabab')
    async with opened(folder) as signers:
        assert await try_to_send(signers, "a"), "the same body may go again"
        assert not try_to_sign(signers, "a", body=b"other")
        assert await try_to_send(signers, "c")
    assert [line.split(",")[2] for line in lines_in(folder)] == ['"a"', '"b"', '"c"']
    async with opened(folder) as signers:
        spent = [await try_to_send(signers, f"more-{number}", max_cost=Usd.parse(50)) for number in range(3)]
        assert spent == [True, False, False], "30 of 100 USD were spent within this hour"


async def test_an_order_that_another_process_signed_is_judged_and_counted_where_it_leaves(
    folder: Path, autojump_clock: MockClock
) -> None:
    """A process that dies between its books and its journal has placed orders that nobody counted: whoever sends one does."""
    async with opened(folder) as dies:
        assert try_to_sign(dies, "a", max_cost=Usd.parse(50))
        assert try_to_sign(dies, "b", max_cost=Usd.parse(50))
    assert lines_in(folder) == []
    async with opened(folder) as signers:
        assert await try_to_leave(signers, "a", max_cost=Usd.parse(50))
        assert [line.split(",")[2] for line in lines_in(folder)] == ['"a"']
        assert not try_to_sign(signers, "a", body=b"other"), "its key has its body"
        assert await try_to_send(signers, "c")
        assert not await try_to_leave(signers, "b", max_cost=Usd.parse(50)), "60 of 100 USD have left meanwhile"
        assert not await try_to_leave(signers, "d", maker=LEADER), "whoever signed it"
        assert await try_to_leave(signers, "a", max_cost=Usd.parse(50)), "it counts already"
    assert len(lines_in(folder)) == 2


async def test_processes_that_share_a_folder_know_what_the_others_signed(
    folder: Path, autojump_clock: MockClock
) -> None:
    """Whoever takes an account over refuses another body for what its owner had signed, and counts what he spent."""
    async with opened(folder) as one, opened(folder) as other:
        assert try_to_sign(other, "a", body=b"other")
        assert await try_to_send(one, "a")
        await trio.sleep(1.5)
        assert not await try_to_leave(other, "a", body=b"other"), "signed here, and too late"
        assert not try_to_sign(other, "a", body=b"other")
        assert await try_to_send(other, "b")
        assert await try_to_send(one, "c")
    assert [line.split(",")[2] for line in lines_in(folder)] == ['"a"', '"b"', '"c"']


async def test_two_bodies_of_one_key_in_one_moment_stop_the_second(folder: Path, autojump_clock: MockClock) -> None:
    """Two owners of one account, which must not be: the one that comes second sends nothing, then and later."""
    async with opened(folder) as one, opened(folder) as other:
        assert await try_to_send(one, "a")
        with pytest.raises(OrderNotSent, match="sent another body"):
            await try_to_send(other, "a", body=b"other")  # it cannot know yet
        assert not await try_to_leave(other, "a", body=b"other")
        assert not try_to_sign(other, "b")
        assert await try_to_send(one, "b"), "the first goes on"
    assert [line.split(",")[2] for line in lines_in(folder)] == ['"a"', '"b"']


async def test_a_disk_that_fails_lets_nothing_leave(folder: Path, autojump_clock: MockClock) -> None:
    """What cannot be remembered is not sent, now or later in this process."""
    broken = False

    async def failing(run: Callable[[], Any]) -> Any:
        await trio.lowlevel.checkpoint()
        if broken:
            raise OSError(28, "No space left on device")
        return run()

    async with opened(folder, in_thread=failing) as signers:
        assert await try_to_send(signers, "a")
        broken = True
        with pytest.raises(OrderNotSent, match="so nothing is signed: No space left on device"):
            await try_to_send(signers, "b")
        broken = False
        assert not try_to_sign(signers, "c")
        assert not await try_to_leave(signers, "b")


@pytest.mark.parametrize(
    "line",
    [
        b"garbage\n",
        b"[]\n",
        b"\n",
        b'{"at": 1}\n',
        b'[1,"0xab","k","zz","BUY",1]\n',
        b'[1,"0xab","k","00","HOLD",1]\n',
        b'[1,"0xab","k","00","BUY",1.5]\n',
        b'["1","0xab","k","00","BUY",1]\n',
        b'[1,"0xab","k","00","BUY",1,"7"]\n',
        b'[1,"0xab","k","00","BUY",1,7]\n',
        b'[1,"0xab","k","00","BUY",1,"",""]\n',
        b"\xff\xfe\n",
    ],
)
async def test_a_journal_that_cannot_be_read_is_no_empty_one(
    folder: Path, line: bytes, autojump_clock: MockClock
) -> None:
    """Starting afresh would give every key a second body: nothing is signed until a person has looked."""
    async with opened(folder) as signers:
        assert await try_to_send(signers, "a")
    path = today(folder)
    path.write_bytes(path.read_bytes() + line + b"[]")
    with pytest.raises(ConfigError, match="so nothing is signed: signed-"):
        async with opened(folder):
            raise AssertionError


async def test_what_can_never_be_asked_for_again_is_forgotten(folder: Path, autojump_clock: MockClock) -> None:
    """A file a day, and those of the last few days: the journal of years is no larger than that of a week."""
    for day in range(6):
        now = NOW + day * DAY_S
        arm_hot(folder, until=now + DAY_S)
        async with opened(folder, since=now) as signers:
            assert await try_to_send(signers, f"day-{day}", at=now)
    assert [line.split(",")[2] for line in lines_in(folder)] == [f'"day-{day}"' for day in range(2, 6)]


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o770])
async def test_a_folder_that_others_may_read_or_write_is_refused(
    tmp_path: Path, mode: int, autojump_clock: MockClock
) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 700"):
        async with opened(folder):
            raise AssertionError
