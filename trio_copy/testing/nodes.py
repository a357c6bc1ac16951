"""Nodes that say what a test wants; see `ports.Nodes`."""

from collections.abc import Callable, Mapping, Sequence

import msgspec
import trio
from attrs import define, field

from trio_copy.chain.filters import passes
from trio_copy.errors import ChainError, ConnectionLost, NoAnswer, RpcError
from trio_copy.model.logs import BlockRef, RawLog
from trio_copy.ports import LogFilter
from trio_copy.testing.devnet.chain import DevChain


def _knows_nothing(node: str, method: str, params: Sequence[object]) -> object:
    return RpcError(-32601, f"the method {method} does not exist")


@define(eq=False)
class ScriptedNodes:
    """Blocks and logs are those of a chain; everything else is what `says` returns, an error as a `ChainError`."""

    chain: DevChain
    says: Callable[[str, str, Sequence[object]], object] = _knows_nothing
    """Takes the node, the method and its parameters."""
    names: Sequence[str] = ("node-1", "node-2")
    unfinalized: int = 16
    """So many blocks from the newest finalized one to the head."""
    away: bool = False
    latency_s: float = 0.0
    """What each answer takes; one that comes later than it is waited for is none."""
    asked: list[tuple[str, str, Sequence[object]]] = field(factory=list)
    """Every question, with the node that it went to."""

    async def ask(self, method: str, params: Sequence[object], until: float) -> bytes:
        failure: ChainError = ConnectionLost("no node is connected")
        for node in self.names:
            answer = await self._ask(node, method, params, until)
            if isinstance(answer, bytes):
                return answer
            failure = answer
            if isinstance(failure, RpcError):
                break
        raise failure

    async def ask_all(self, method: str, params: Sequence[object], until: float) -> Mapping[str, bytes | ChainError]:
        return {node: await self._ask(node, method, params, until) for node in self.names}

    async def block(self, which: str, until: float) -> BlockRef:
        await self._answer_in_time(self.names[0], "eth_getBlockByNumber", (which,), until)
        head = self.chain.head.ref.number
        words = {"latest": head, "finalized": max(0, head - self.unfinalized)}
        block = self.chain.at(words[which] if which in words else int(which, 16))
        if block is None:
            raise ChainError(f"no node knows block {which}")
        return block.ref

    async def logs(self, log_filter: LogFilter, start: int, stop: int, until: float) -> Sequence[RawLog]:
        await self._answer_in_time(self.names[0], "eth_getLogs", (log_filter, start, stop), until)
        return [log for block in self.chain.blocks[start : stop + 1] for log in block.logs if passes(log, log_filter)]

    async def _ask(self, node: str, method: str, params: Sequence[object], until: float) -> bytes | ChainError:
        try:
            await self._answer_in_time(node, method, params, until)
        except ChainError as error:
            return error
        answer = self.says(node, method, params)
        return answer if isinstance(answer, ChainError) else msgspec.json.encode(answer)

    async def _answer_in_time(self, node: str, method: str, params: Sequence[object], until: float) -> None:
        self.asked.append((node, method, params))
        in_time = trio.current_time() + self.latency_s <= until
        await trio.sleep_until(min(until, trio.current_time() + self.latency_s))
        if self.away:
            raise ConnectionLost(f"{node} is away")
        if not in_time:
            raise NoAnswer(f"{node} did not answer {method} in time")
