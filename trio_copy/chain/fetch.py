"""Asks nodes for logs, and believes as little as it can.

Every log is checked for shape, for the filter and for the place that was asked about. An empty answer is a negative, and
near the tip nodes give it for logs they have not indexed yet: where there is a second endpoint, it is asked too. An
answer that is longer than any before may have been cut without a word: it is compared with its halves. A node that does
not take a block's hash is asked for its number, and its answer has to carry the hash.

An answer with logs that cannot be read is none; only a block that no node gives otherwise for some time is read without
them, and a person is told.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress

import trio
from attrs import define, evolve, field, frozen

from trio_copy.chain import rpc
from trio_copy.chain.bloom import may_contain
from trio_copy.chain.endpoints import Endpoint, EndpointPool
from trio_copy.chain.filters import FilterBoard, passes
from trio_copy.chain.questions import Question
from trio_copy.chain.refusals import refuses_hashes
from trio_copy.config import ChainSettings
from trio_copy.errors import ChainError, MalformedFrame, PendingLog, RpcError, UndecodableLog, UnreadableLogs
from trio_copy.model.counts import counted
from trio_copy.model.ids import Hash32
from trio_copy.model.logs import BlockRef, EqualLogs, LogName, RawLog, numbers_repeat
from trio_copy.ports import LogFilter

_MOST_PARTS = 256
"""Questions that one may be cut into: a node that answers the smallest at full length would be asked for ever."""
_BLOCKS_KEPT = 16
_TIMES_KEPT = 4096
_UNREAD_KEPT = 1024
_UNREAD_TIMES = 3
_UNREAD_S = 30.0
"""A node that recovers by then loses nothing; whoever can write what no node can read stops a block for so long."""
_UNREAD_LONGEST_S = 300.0
"""The same while there is a node that might still give it, but fails in another way."""


@frozen
class Answer:
    logs: Sequence[RawLog]
    sure: bool = True
    """False when some may be missing, and this node cannot be made to say more."""


@define(eq=False)
class _Unread:
    """A block with logs that cannot be read."""

    since: float
    """Trio time of the first answer with them."""
    times: Counter[str] = field(factory=Counter)
    """How often each node gave such an answer."""
    told: bool = False


@define(eq=False)
class LogFetcher:
    settings: ChainSettings
    pool: EndpointPool
    board: FilterBoard
    _read: dict[tuple[Hash32, LogFilter], Sequence[RawLog]] = field(factory=dict)
    """What blocks gave for the filters that were read before another one failed."""
    _headers: dict[Hash32, BlockRef] = field(factory=dict)
    """Blocks whose logs came without a time."""
    _unread: dict[int, _Unread] = field(factory=dict)
    """By block number, because many answers carry nothing else."""

    async def block_logs(self, block: BlockRef) -> list[RawLog]:
        """Return the logs of one block that pass the filters in force, in its order. Raises `ChainError`."""
        filters = self.board.filters
        for log_filter in filters:
            if (block.hash, log_filter) not in self._read:
                self._read[block.hash, log_filter] = await self._block_logs(block, log_filter)
        found = [self._read.pop((block.hash, log_filter)) for log_filter in filters]
        while len(self._read) > _BLOCKS_KEPT * max(1, len(filters)):
            self._read.pop(next(iter(self._read)))  # of blocks that were never asked for again
        return sorted(filter(self.board.wants, union(*found)), key=lambda log: log.log_index)

    async def _block_logs(self, block: BlockRef, log_filter: LogFilter) -> Sequence[RawLog]:
        async def of_block(endpoint: Endpoint) -> Answer:
            return await self._of_block(endpoint, block, log_filter)

        answer, first = await self.pool.first_of(of_block)
        logs = answer.logs
        if not answer.sure or (not logs and may_contain(block.bloom, log_filter)):
            # An empty answer is a negative: the header says "maybe", so a second endpoint is asked. One that does not
            # answer holds nothing up: the re-scan will ask again.
            told = answer.sure
            with suppress(ChainError):
                second, other = await self.pool.first_of(of_block, avoid=(first,))
                logs = union(logs, second.logs)
                told = told or second.sure or other.manners.cuts_at is None
            if not told:
                self.cannot_tell(first, Question(log_filter, block.number, block.number))
        return [_with_time(log, block) for log in logs]

    async def _of_block(self, endpoint: Endpoint, block: BlockRef, log_filter: LogFilter) -> Answer:
        by_number = Question(log_filter, block.number, block.number)
        if endpoint.manners.takes_hashes(trio.current_time()):
            try:
                answer = await self.ask(endpoint, evolve(by_number, block_hash=block.hash))
            except RpcError as error:
                if not refuses_hashes(error):
                    raise
            else:
                if all(log.block_hash == block.hash for log in answer.logs):
                    return answer
                # It answered for another block: it does not read the hash.
            endpoint.manners.hashes_refused(trio.current_time())
        answer = await self.ask(endpoint, by_number)
        # Nothing in an empty answer says of which block it was: the header that has this number now does.
        hashes: set[Hash32 | None] = {log.block_hash for log in answer.logs}
        if (hashes or {await self._hash_at(endpoint, block.number)}) != {block.hash}:
            raise ChainError(f"{endpoint.name} has another block {block.number}")
        return answer

    async def _hash_at(self, endpoint: Endpoint, number: int) -> Hash32 | None:
        result = await self.pool.ask(endpoint, "eth_getBlockByNumber", hex(number), False)
        try:
            header = rpc.decode_block(result)
        except MalformedFrame as error:
            self.pool.quarantine("malformed-block", str(error))
            return None
        return None if header is None else header.hash

    async def ask(self, endpoint: Endpoint, question: Question) -> Answer:
        """Ask one endpoint, and look into an answer that may have been cut. Raises `ChainError`."""
        logs, length = await self._once(endpoint, question)
        manners = endpoint.manners
        if not manners.may_be_cut(length):
            return Answer(logs)
        if manners.cuts_at is None:
            whole = await self._is_whole(endpoint, question, length)
            if whole is not False:
                manners.looked_into(length)
                return Answer(logs, sure=whole is True)
            manners.cut(length)
            self._alert_cuts(endpoint, length)
        return await self._in_parts(endpoint, question, logs)

    async def _is_whole(self, endpoint: Endpoint, question: Question, length: int) -> bool | None:
        """Tell whether an answer has as many logs as its halves have; None when nothing can tell.

        Where all logs are in one half, that one may be cut at the same length, and is halved in turn.
        """
        while (halves := question.halves()) is not None:
            counts = [(await self._once(endpoint, half))[1] for half in halves]
            if sum(counts) > length:
                return False
            if all(counts):
                return True
            if not any(counts):
                return None
            question = halves[0] if counts[0] else halves[1]
        return None

    async def _in_parts(self, endpoint: Endpoint, question: Question, logs: Sequence[RawLog]) -> Answer:
        """Ask for an answer that was cut in parts that are short enough to be whole."""
        found, sure = list[RawLog](), True
        pending = list(question.halves() or ())
        if not pending:
            return Answer(logs, sure=False)
        asked = 0
        while pending:
            part, asked = pending.pop(), asked + 1
            logs, length = await self._once(endpoint, part)
            halves = part.halves() if endpoint.manners.may_be_cut(length) else ()
            if halves and asked + len(pending) < _MOST_PARTS:
                pending += halves
            else:
                sure = sure and halves == ()
                found += logs
        return Answer(found, sure)

    async def _once(self, endpoint: Endpoint, question: Question) -> tuple[list[RawLog], int]:
        """Ask one question; returns what can be used of the answer, and how many entries it had."""
        result = await self.pool.ask(endpoint, "eth_getLogs", question.params())
        try:
            entries = rpc.split_logs(result)
        except MalformedFrame as error:
            self.pool.put_aside(endpoint, "malformed-logs", str(error))
            raise ChainError(f"{endpoint.name} answered eth_getLogs with something else") from error
        self.pool.could_read(endpoint, "malformed-logs")
        logs, unread = list[RawLog](), 0
        for raw in entries:
            try:
                log = rpc.decode_log(raw, self.settings.chain_id)
            except UndecodableLog as error:
                # Asked for mined blocks, a log without one is no early word of what comes again: it may be of these.
                kind = "malformed-log" if isinstance(error, PendingLog) else error.kind
                self.pool.put_aside(endpoint, kind, str(error))
                unread += 1
                continue
            self.pool.could_read(endpoint, "malformed-log")
            if not passes(log, question.log_filter):
                self.pool.quarantine("unasked-log", f"{endpoint.name} sent a log that the filter excludes")
            elif question.block_hash is not None or question.start <= log.block_number <= question.stop:
                logs.append(log)
        if unread and not self._does_without(endpoint, question, unread):
            # Sealed without them they would be lost: a node that cannot be read is as good as away.
            raise UnreadableLogs(f"{endpoint.name} answered with {counted(unread, 'log')} that cannot be read")
        # Learned once and for good: an answer with nothing but equal logs could not show it by itself.
        endpoint.numbers_repeat = endpoint.numbers_repeat or numbers_repeat(logs)
        equals = EqualLogs(endpoint.numbers_repeat)
        return [equals.numbered(log) for log in logs], len(entries)

    def _does_without(self, endpoint: Endpoint, question: Question, logs: int) -> bool:
        """Tell whether to read a block without what cannot be read of it, because nobody gave it otherwise for long.

        Else one such log would stop all that comes after it for ever.
        """
        if question.blocks > 1:
            return False
        now, number = trio.current_time(), question.start
        unread = self._unread.setdefault(number, _Unread(now))
        if len(self._unread) > _UNREAD_KEPT:
            del self._unread[next(iter(self._unread))]
        unread.times[endpoint.name] += 1
        everybody = all(unread.times[other.name] >= _UNREAD_TIMES for other in self.pool.live)
        waited_s = now - unread.since
        if waited_s < (_UNREAD_S if everybody else _UNREAD_LONGEST_S):
            return False
        if not unread.told:
            unread.told = True
            detail = (
                f"block {number} is read without {counted(logs, 'log')} that {endpoint.name} gives and nobody can read"
            )
            self.pool.on_trouble("log-lost", f"{detail}, after {waited_s:.0f} s")
        return True

    async def timed(self, log: RawLog) -> RawLog:
        """Give a log its block's time, without which an old fill would look fresh. Raises `ChainError`."""
        if log.block_time is not None:
            return log
        block = self._headers.get(log.block_hash)
        if block is None:
            block, _ = await self.pool.block("eth_getBlockByHash", log.block_hash)
            self._headers[log.block_hash] = block
            if len(self._headers) > _TIMES_KEPT:
                del self._headers[next(iter(self._headers))]
        return _with_time(log, block)

    def _alert_cuts(self, endpoint: Endpoint, length: int) -> None:
        detail = f"{endpoint.name} leaves out what is beyond {counted(length, 'log')}, without an error; it is asked in parts"
        self.pool.troubles.note("cuts-answers", endpoint.name, detail, trio.current_time())

    def cannot_tell(self, endpoint: Endpoint, question: Question) -> None:
        """Tell a person that logs may be missing for good, where the node is known to leave some out."""
        if endpoint.manners.cuts_at is not None:
            detail = f"{endpoint.name} may have left out logs of blocks {question.start} to {question.stop}"
            self.pool.troubles.note("block-cut", endpoint.name, f"{detail}; no other node tells", trio.current_time())


def union(*answers: Iterable[RawLog]) -> list[RawLog]:
    """Put together what several questions or nodes brought; what two of them brought is one log."""
    logs: dict[LogName, RawLog] = {}
    for answer in answers:
        for log in answer:
            logs.setdefault(log.name, log)
    return list(logs.values())


def _with_time(log: RawLog, block: BlockRef) -> RawLog:
    # Many nodes write nonsense into a log's own time, which few look at; its block was read, and knows.
    return log if log.block_time == block.time else evolve(log, block_time=block.time)
