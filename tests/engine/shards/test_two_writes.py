"""What a signal costs a store, however many copy it: once where they are placed, once where their ends are learned."""

from typing import Any

import pytest

from bench.instructions import play
from trio_copy_memory.accounts import MemoryAccounts


def test_a_signal_takes_two_writes_of_its_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred followers, and a block for each signal: how far all was read rides along with one of the two."""
    few, more = (_writes(monkeypatch, signals) for signals in (2, 6))
    assert more - few == 2 * 4


def _writes(monkeypatch: pytest.MonkeyPatch, signals: int) -> int:
    write, written = MemoryAccounts.write, list[int]()

    async def count(self: MemoryAccounts, shard: int, *args: Any) -> None:
        written.append(shard)
        await write(self, shard, *args)

    with monkeypatch.context() as patched:
        patched.setattr(MemoryAccounts, "write", count)
        play("memory", (), signals, 0.0)
    return len(written)
