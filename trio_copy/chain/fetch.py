"""Asks nodes for logs, and believes as little as it can.

Every log is checked for shape, for the filter and for the place that was asked about. An empty answer is a negative, and
near the tip nodes give it for logs they have not indexed yet: where there is a second endpoint, it is asked too.
"""

import msgspec
from attrs import define, evolve

from trio_copy.chain import rpc
from trio_copy.chain.backfill import RangePlan
from trio_copy.chain.bloom import may_contain
from trio_copy.chain.endpoints import Endpoint, EndpointPool
from trio_copy.chain.filters import FilterBoard, passes
from trio_copy.config import ChainSettings
from trio_copy.errors import ChainError, MalformedFrame, RpcError, UndecodableLog
from trio_copy.model.logs import BlockRef, EqualLogs, LogName, RawLog, numbers_repeat
from trio_copy.ports import LogFilter


@define(eq=False)
class LogFetcher:
    settings: ChainSettings
    pool: EndpointPool
    board: FilterBoard

    async def block_logs(self, block: BlockRef) -> list[RawLog]:
        """Return the logs of one block that pass the filters in force, in its order. Raises `ChainError`."""
        logs: dict[LogName, RawLog] = {}
        for log_filter in self.board.filters:
            for log in await self._block_logs(block, log_filter):
                logs[log.name] = log
        return sorted(logs.values(), key=lambda log: log.log_index)

    async def _block_logs(self, block: BlockRef, log_filter: LogFilter) -> list[RawLog]:
        params = {**rpc.filter_params(log_filter), "blockHash": block.hash}
        logs, endpoint = await self._ask_logs(log_filter, params)
        logs = [log for log in logs if log.block_hash == block.hash]
        if not logs and may_contain(block.bloom, log_filter):
            # An empty answer is a negative: the header says "maybe", so a second endpoint is asked.
            logs = [
                log for log in await self._second_opinion(log_filter, params, endpoint) if log.block_hash == block.hash
            ]
        return [_with_time(log, block) for log in logs]

    async def _ask_logs(self, log_filter: LogFilter, params: object) -> tuple[list[RawLog], Endpoint]:
        result, endpoint = await self.pool.request("eth_getLogs", params)
        return self._checked(result, log_filter, endpoint), endpoint

    async def _second_opinion(self, log_filter: LogFilter, params: object, first: Endpoint) -> list[RawLog]:
        """Ask another endpoint the same. One that does not answer holds nothing up: the re-scan will ask again."""
        if len(self.pool.live) < 2:
            return []
        try:
            result, endpoint = await self.pool.request("eth_getLogs", params, avoid=(first,))
            return self._checked(result, log_filter, endpoint)
        except ChainError:
            return []

    async def range_logs(self, start: int, stop: int) -> list[RawLog]:
        """Return the logs of a range of blocks, in order; with two endpoints, what either of them knows.

        It is read in pieces that nodes accept. Raises `ChainError`.
        """
        logs: dict[LogName, RawLog] = {}
        for log_filter in self.board.filters:
            plan = RangePlan(
                start, stop, width=self.settings.max_range_blocks, max_width=self.settings.max_range_blocks
            )
            while (wanted := plan.next_range()) is not None:
                try:
                    found = await self._piece(log_filter, *wanted)
                except RpcError:
                    if not plan.refused():
                        raise
                    continue
                for log in found:
                    if wanted[0] <= log.block_number <= wanted[1]:
                        logs[log.name] = await self._timed(log)
                plan.fetched()
        return sorted(logs.values(), key=lambda log: (log.block_number, log.log_index))

    async def _piece(self, log_filter: LogFilter, start: int, stop: int) -> list[RawLog]:
        params = {**rpc.filter_params(log_filter), "fromBlock": hex(start), "toBlock": hex(stop)}
        logs, endpoint = await self._ask_logs(log_filter, params)
        return logs + await self._second_opinion(log_filter, params, endpoint)

    async def _timed(self, log: RawLog) -> RawLog:
        """Give a log its block's time, without which an old fill would look fresh."""
        if log.block_time is not None:
            return log
        block, _ = await self.pool.block("eth_getBlockByHash", log.block_hash)
        return _with_time(log, block)

    def _checked(self, result: msgspec.Raw, log_filter: LogFilter, endpoint: Endpoint) -> list[RawLog]:
        logs = []
        try:
            entries = rpc.split_logs(result)
        except MalformedFrame as error:
            self.pool.quarantine("malformed-logs", str(error))
            raise ChainError(f"{endpoint.name} answered eth_getLogs with something else") from error
        for raw in entries:
            try:
                log = rpc.decode_log(raw, self.settings.chain_id)
            except UndecodableLog as error:
                self.pool.quarantine(error.kind, str(error))
                continue
            if passes(log, log_filter):
                logs.append(log)
            else:
                self.pool.quarantine("unasked-log", f"{endpoint.name} sent a log that the filter excludes")
        # Learned once and for good: an answer with nothing but equal logs could not show it by itself.
        endpoint.numbers_repeat = endpoint.numbers_repeat or numbers_repeat(logs)
        equals = EqualLogs(endpoint.numbers_repeat)
        return [equals.numbered(log) for log in logs]


def _with_time(log: RawLog, block: BlockRef) -> RawLog:
    return log if log.block_time is not None else evolve(log, block_time=block.time)
