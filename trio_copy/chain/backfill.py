"""Reads a range of blocks in pieces that nodes accept, and lets the caller keep what was read.

Nodes refuse wide ranges and long answers in many ways, and all of them mean half as wide: an error, silence, a frame that
is too large, the end of the connection. How wide a node can be asked is remembered with it; within one piece nobody is
asked for more than somebody else has just refused, because the second connection would end over it like the first.
"""

from collections.abc import Sequence

import trio
from attrs import define

from trio_copy.chain.endpoints import Endpoint, EndpointPool
from trio_copy.chain.fetch import LogFetcher, union
from trio_copy.chain.questions import Question
from trio_copy.chain.refusals import Refusal, refusal_of
from trio_copy.errors import ChainError, ConnectionLost, NoAnswer, RpcError, UnreadableLogs
from trio_copy.model.logs import RawLog
from trio_copy.ports import LogFilter

_NARROWS = (Refusal.TOO_MUCH, Refusal.EITHER)


@define(eq=False)
class RangeReader:
    """Asks two endpoints where there are two, each at its own width: what either of them knows counts."""

    pool: EndpointPool
    fetch: LogFetcher
    most_blocks: int

    async def piece(self, start: int, stop: int) -> tuple[int, list[RawLog]]:
        """Read as much of a range as goes at once; returns the last block that was read, and the logs in order.

        Raises:
            ChainError: not even one block could be read.
        """
        filters = self.fetch.board.filters
        end, found = stop, list[Sequence[RawLog]]()
        for log_filter in filters:
            at = start
            while at <= end:
                reached, logs = await self._piece(log_filter, at, end)
                found.append(logs)
                if log_filter is filters[0]:
                    end = reached  # the others follow, in as many pieces as they need
                at = reached + 1
        logs = [await self.fetch.timed(log) for log in union(*found) if self.fetch.board.wants(log)]
        return end, sorted(logs, key=lambda log: (log.block_number, log.log_index))

    async def whole(self, start: int, stop: int) -> list[RawLog]:
        """Read a range to its end. Raises `ChainError`; what was read before is then lost."""
        logs: list[RawLog] = []
        while start <= stop:
            end, found = await self.piece(start, stop)
            logs += found
            start = end + 1
        return logs

    async def _piece(self, log_filter: LogFilter, start: int, stop: int) -> tuple[int, Sequence[RawLog]]:
        width = stop - start + 1
        failure: ChainError = ConnectionLost("no endpoint is connected")
        failed: list[Endpoint] = []
        while (endpoint := self._next(failed)) is not None:
            blocks = min(width, endpoint.manners.range_blocks(self.most_blocks))
            question = Question(log_filter, start, start + blocks - 1)
            try:
                logs = await self._ask(endpoint, question)
            except ChainError as error:
                failure = error
                # Only a node that refused and is still there is asked again, for less; a lost connection, a rate limit
                # and a block that is too much by itself are somebody else's turn, or wait for the next try.
                if refusal_of(error) is not Refusal.TOO_MUCH or blocks == 1 or not _goes_on(error):
                    failed.append(endpoint)
                if refusal_of(error) in _NARROWS:
                    width = max(1, blocks // 2)
                continue
            if width <= stop - start:
                endpoint.manners.keep_to(blocks)
            return question.stop, union(logs, await self._second(log_filter, question, endpoint))
        raise failure

    def _next(self, failed: Sequence[Endpoint]) -> Endpoint | None:
        now = trio.current_time()
        able = (endpoint for endpoint in self.pool.live if endpoint not in failed and not endpoint.pace.rest_s(now))
        return next(able, None)

    async def _second(self, log_filter: LogFilter, asked: Question, first: Endpoint) -> Sequence[RawLog]:
        """Ask another endpoint the same. One that does not answer holds nothing up: the re-scan will ask again."""
        endpoint, found, start = self._next((first,)), list[RawLog](), asked.start
        while endpoint is not None and start <= asked.stop:
            end = min(asked.stop, start + endpoint.manners.range_blocks(self.most_blocks) - 1)
            try:
                found += await self._ask(endpoint, Question(log_filter, start, end))
            except ChainError:
                break
            start = end + 1
        return found

    async def _ask(self, endpoint: Endpoint, question: Question) -> Sequence[RawLog]:
        """Ask one endpoint, and learn from the answer how wide it can be asked."""
        try:
            answer = await self.fetch.ask(endpoint, question)
        except ChainError as error:
            # A log that cannot be read says nothing about how wide the node can be asked elsewhere.
            narrows = refusal_of(error) in _NARROWS and not isinstance(error, UnreadableLogs)
            if question.blocks > 1 and narrows:
                endpoint.manners.range_refused(question.blocks, trio.current_time())
            raise
        endpoint.manners.range_answered(question.blocks, self.most_blocks, trio.current_time())
        if not answer.sure and len(self.pool.live) < 2:
            self.fetch.cannot_tell(endpoint, question)
        return answer.logs


def _goes_on(error: ChainError) -> bool:
    """Tell whether the connection is good after a failure."""
    return isinstance(error, RpcError | NoAnswer | UnreadableLogs)
