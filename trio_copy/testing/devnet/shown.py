"""What a node shows of the chain: all of it, less of it, or more than there is."""

from collections.abc import Iterator
from typing import Any

from attrs import define

from trio_copy.chain.filters import passes
from trio_copy.model.ids import Hash32
from trio_copy.model.logs import BlockRef
from trio_copy.ports import LogFilter
from trio_copy.testing.devnet.chain import DevBlock, DevChain
from trio_copy.testing.devnet.manners import NodeFaults
from trio_copy.testing.devnet.wire import Refused, log_object, numbered

_INVENTED = "0xfa15e"


class Unanswered(Exception):
    """The request hangs for ever."""


class TooBig(Exception):
    """The connection ends instead of an answer."""


@define(eq=False)
class ShownChain:
    """The chain behind a node's manners."""

    chain: DevChain
    faults: NodeFaults
    _false_base: int | None = None
    """The last real block below the invented ones."""

    @property
    def head(self) -> BlockRef:
        return self._invented_head() or self.chain.blocks[self._newest].ref

    def after(self, block: DevBlock) -> BlockRef | None:
        """Return the head to announce when a block was mined; None while there is none yet."""
        shown = self.chain.at(block.ref.number - self.faults.behind)
        return self._invented_head() or (shown.ref if shown else None)

    def by_number(self, which: str) -> BlockRef | None:
        """Return a block by number or by a word such as "latest"; None for one that is not known. Raises `Refused`."""
        head = self.head
        match which:
            case "latest" | "pending":
                return head
            case "earliest":
                number = 0
            case "finalized" | "safe" if self.faults.without_finalized:
                raise Refused("finalized block not found", -32000)
            case "finalized" | "safe":
                number = max(0, head.number - self.faults.unfinalized)
            case _:
                number = int(which, 16)
        if number > head.number:
            return None
        if self._false_base is not None and number > self._false_base:
            return self._invented(number, self._false_base)
        block = self.chain.at(number)
        return block.ref if block else None

    def by_hash(self, block_hash: str) -> BlockRef | None:
        if self._false_base is not None and block_hash.startswith(_INVENTED):
            return self._invented(int(block_hash[len(_INVENTED) :], 16), self._false_base)
        block = self.chain.by_hash(block_hash)
        return block.ref if block else None

    def logs(self, wanted: dict[str, Any], log_filter: LogFilter) -> list[dict[str, Any]]:
        """Answer `eth_getLogs`. Raises `Refused`, `Unanswered` and `TooBig`, as the manners are."""
        faults = self.faults
        if faults.empty_logs > 0:
            faults.empty_logs -= 1
            return []
        logs = []
        for block in self._blocks(wanted):
            told = [log for log in block.logs if passes(log, log_filter)]
            for log, index in numbered(block.logs, told, faults.answer_index):
                written = log_object(log, faults, index=index)
                if faults.blockless_answers:
                    written["blockHash"] = None
                logs.append({**written, "padding": "x" * faults.pad_logs} if faults.pad_logs else written)
        return logs if faults.cut_logs is None else logs[: faults.cut_logs]

    @property
    def _newest(self) -> int:
        """Number of the newest real block that is shown."""
        return max(0, self.chain.head.ref.number - self.faults.behind)

    def range_of(self, wanted: dict[str, Any]) -> tuple[int, int]:
        """Return the numbers of the first and last block of a range; each may be a word, and is the newest by default."""
        start, stop = (self._number_of(wanted.get(end, "latest")) for end in ("fromBlock", "toBlock"))
        return start, stop

    def _number_of(self, which: str) -> int:
        if which.startswith("0x"):
            return int(which, 16)
        block = self.by_number(which)
        return self.head.number if block is None else block.number

    def _blocks(self, wanted: dict[str, Any]) -> Iterator[DevBlock]:
        faults = self.faults
        if "blockHash" in wanted:
            if faults.refuse_block_hash:
                raise Refused("invalid argument 0: unknown field blockHash", -32602)
            if wanted["blockHash"].startswith(_INVENTED):
                return  # of its own inventions it speaks as of any block
            newest = self.chain.blocks[self._newest]
            block = newest if faults.ignore_block_hash else self.chain.by_hash(wanted["blockHash"])
            if block is None:
                raise Refused("unknown block", -32000)
            yield block
            return
        start, stop = self.range_of(wanted)
        width = stop - start + 1
        if faults.hang_range is not None and width > faults.hang_range:
            raise Unanswered
        if faults.close_range is not None and width > faults.close_range:
            raise TooBig
        if faults.max_range is not None and width > faults.max_range:
            raise Refused(f"block range is too wide, at most {faults.max_range}")
        oldest = max(1, start)  # the first one is always there
        if oldest <= min(stop, self._newest) and self.chain.at(oldest) is None:
            raise Refused("pruned history unavailable", -32000)
        yield from self.chain.blocks[start : min(stop, self._newest) + 1]

    def _invented_head(self) -> BlockRef | None:
        """Return the head of a chain that only this node knows; it grows as the real one does."""
        top, real = self.faults.false_head, self.chain.head.ref.number
        if top is None or top <= real:
            self._false_base = None
            return None
        if self._false_base is None:
            self._false_base = real
        return self._invented(top + max(0, real - self._false_base), self._false_base)

    def _invented(self, number: int, base: int) -> BlockRef:
        """Return a header that fits the one below it; the same at each question. The newest ones carry true times."""
        below = self.chain.blocks[min(base, self.chain.head.ref.number)].ref
        twin = self.chain.at(base + number - (self.faults.false_head or 0))
        return BlockRef(
            number=number,
            hash=_invented_hash(number),
            parent=below.hash if number == base + 1 else _invented_hash(number - 1),
            time=below.time if twin is None else twin.ref.time,
        )


def _invented_hash(number: int) -> Hash32:
    return Hash32(f"{_INVENTED}{number:059x}")
