"""One `eth_getLogs`, and how to ask for the same in two halves."""

from typing import Any

from attrs import evolve, frozen

from trio_copy.chain import rpc
from trio_copy.model.ids import Hash32
from trio_copy.ports import LogFilter


@frozen
class Question:
    log_filter: LogFilter
    start: int
    stop: int
    """The last block of the range."""
    block_hash: Hash32 | None = None
    """Asks for this block instead of the range."""

    @property
    def blocks(self) -> int:
        return self.stop - self.start + 1

    def params(self) -> dict[str, Any]:
        """Write it the way nodes want it."""
        params = rpc.filter_params(self.log_filter)
        if self.block_hash is not None:
            return {**params, "blockHash": self.block_hash}
        return {**params, "fromBlock": hex(self.start), "toBlock": hex(self.stop)}

    def halves(self) -> "tuple[Question, Question] | None":
        """Return two questions that no log answers both of, and that together ask the same; None when it is the smallest.

        Blocks first; the logs of one block are told apart by the filter, its longest list in two.
        """
        if self.block_hash is None and self.stop > self.start:
            middle = (self.start + self.stop) // 2
            return evolve(self, stop=middle), evolve(self, start=middle + 1)
        lists: list[tuple[Any, ...]] = [self.log_filter.addresses, *(topic or () for topic in self.log_filter.topics)]
        at = max(range(len(lists)), key=lambda index: len(lists[index]))
        if len(lists[at]) < 2:
            return None
        middle = len(lists[at]) // 2
        first, second = (self._with(at, part) for part in (lists[at][:middle], lists[at][middle:]))
        return first, second

    def _with(self, at: int, part: tuple[Any, ...]) -> "Question":
        if at == 0:
            return evolve(self, log_filter=evolve(self.log_filter, addresses=part))
        topics = list(self.log_filter.topics)
        topics[at - 1] = part
        return evolve(self, log_filter=evolve(self.log_filter, topics=tuple(topics)))
