"""Reads every block once it is a head: subscriptions are for speed, this is the truth.

From each new head it walks back to a block it knows, so that a skipped head, a dead connection and a reorg are the same
case: a path from a common ancestor. Logs of blocks that fell off the path are sent again with `removed`, those of new
blocks are fetched by block hash, then the block is sealed. Every `rescan_every_s`, and after each connect or change of
filters, the window is read again, because nodes near the tip answer `[]` for logs they have not indexed yet; what turns
up then is counted as late. A gap wider than the window is read in ranges, by two endpoints where there are two, and
audited at the next re-scans, because an empty answer for a range cannot be told from a lie. A failure of nodes is
retried by the next head; nothing is sealed before it was read.
"""

from collections.abc import Callable, Sequence
from typing import NoReturn

import trio
from attrs import define, evolve, field

from trio_copy.chain.agreement import Agreement
from trio_copy.chain.endpoints import EndpointPool
from trio_copy.chain.feed import Armed, FeedItem, Sealed, SeenLog, TooDeep
from trio_copy.chain.fetch import LogFetcher
from trio_copy.chain.filters import FilterBoard
from trio_copy.chain.window import BlockWindow
from trio_copy.clock import WallClock
from trio_copy.config import ChainSettings
from trio_copy.errors import ChainError, CheckpointAhead
from trio_copy.model.ids import Hash32
from trio_copy.model.logs import BlockRef, Checkpoint, LogName, RawLog

SCAN = "scan"
_RETRY_S = 0.2
_HOPELESS_WINDOWS = 10
"""A node that is so many windows behind the checkpoint does not come to it while somebody waits."""
_AUDITS = 2
"""Re-scans that must find nothing new before a range that was caught up with is believed."""


@define(eq=False)
class _Audit:
    """A range outside the window that was read once, and the logs that were found."""

    start: int
    stop: int
    known: set[LogName]
    left: int = _AUDITS


@define(eq=False)
class Scanner:
    """Owns the block window. One task runs it."""

    settings: ChainSettings
    pool: EndpointPool
    board: FilterBoard
    send: trio.MemorySendChannel[FeedItem]
    wall: WallClock
    on_trouble: Callable[[str, str], None]
    """Takes the kind and detail of something worth a log line."""
    window: BlockWindow = field(init=False)
    fetch: LogFetcher = field(init=False)
    agreement: Agreement = field(init=False)
    late_logs: int = 0
    reorgs: int = 0
    deepest_reorg: int = 0
    _audits: list[_Audit] = field(factory=list)
    _fallen: _Audit | None = None
    """The blocks that fell out of the window since the last re-scan, without having been in one."""
    _rescanned_to: int = -1
    _base: int = -1
    """The block below the first one that the window has read."""
    _rechecked: set[LogName] = field(factory=set)
    """Logs to be read again; finding one of them is no late find."""
    _dispute_muted_until: float = -float("inf")
    _scanned_filters: int = 0
    """Version of the filters that the window was last read with."""

    def __attrs_post_init__(self) -> None:
        self.window = BlockWindow(self.settings.window_blocks)
        self.fetch = LogFetcher(self.settings, self.pool, self.board)
        self.agreement = Agreement(self.pool, self.wall)

    async def arm(self, checkpoint: Checkpoint | None, shards: set[int] | None = None) -> None:
        """Decide where the story of some shards starts: below the stored checkpoint, or at the head when there is none.

        Retries until a node answers.

        Raises:
            CheckpointAhead: no node will come to the checkpoint soon.
        """
        await self.agreement.wait_second()
        while True:
            await self.pool.wait_live()
            try:
                start = await self._starting_block(checkpoint)
                break
            except CheckpointAhead:
                raise
            except ChainError as error:
                self.on_trouble("arm-failed", str(error))
                await trio.sleep(_RETRY_S)
        self._restart(start)
        self._scanned_filters, self._rescanned_to = self.board.version, start.number
        await self.send.send(Armed(start, shards, checkpoint))

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> NoReturn:
        """Follow the heads for ever; `arm` comes first."""
        task_status.started()
        next_rescan = trio.current_time() + self.settings.rescan_every_s
        while True:
            with trio.move_on_at(next_rescan):
                await self.pool.wait_news()
            try:
                await self._follow_all(self.pool.take_heads())
                if self.pool.rescan_wanted or trio.current_time() >= next_rescan:
                    self.pool.rescan_wanted = False
                    next_rescan = trio.current_time() + self.settings.rescan_every_s
                    await self._rescan()
            except ChainError as error:
                self.on_trouble("scan-failed", str(error))
                await trio.sleep(_RETRY_S)
                await self.pool.wait_live()
                self.pool.announce_again()

    def look_again(self, log: RawLog) -> None:
        """Somebody says that a log was taken back: read the window again, and pass the log on again if it is still there."""
        if self.window.forget(log):
            self._rechecked.add(log.name)
            self.pool.want_rescan()

    async def _follow_all(self, heads: Sequence[BlockRef]) -> None:
        """Follow each announced head; one that leads nowhere, or is made up, does not stand in the way of the others."""
        failure: ChainError | None = None
        for head in heads:
            try:
                await self._follow(head)
            except ChainError as error:
                failure = error
        if failure is not None:
            raise failure

    async def _starting_block(self, checkpoint: Checkpoint | None) -> BlockRef:
        head = await self.agreement.head()
        if checkpoint is None:
            return head
        ahead = checkpoint.number - head.number
        if ahead > _HOPELESS_WINDOWS * self.settings.window_blocks:
            raise CheckpointAhead(
                f"the checkpoint {checkpoint.number} is {ahead} blocks ahead of the nodes, whose head is {head.number}: "
                "use a node that is in step, or start with --from-head; what was traded in between is then not copied"
            )
        if ahead > 0:
            raise ChainError(f"the node's head {head.number} is behind the checkpoint {checkpoint.number}")
        # The window below the checkpoint is read again: nodes answered [] for blocks that they had not indexed yet, and
        # a reorg may have happened while nobody looked. The gate drops the doubles. Where the story began is kept.
        below = max(0, checkpoint.armed_at, checkpoint.number - self.settings.window_blocks)
        block, _ = await self.pool.block("eth_getBlockByNumber", hex(below))
        return block

    async def _follow(self, head: BlockRef) -> None:
        tip, oldest = self.window.tip, self.window.oldest
        if tip is None or oldest is None or head.hash in self.window:
            return
        if head.number < oldest.number:
            if oldest.number - head.number > _HOPELESS_WINDOWS * self.settings.window_blocks:
                self._disputed(head, f"is far below {tip.number}; if that was a lie, start again with --from-head")
            return
        if not await self.agreement.allows(tip, head):
            self._disputed(head, "is further ahead than time allows, and no second node knows it")
            return
        if head.number - tip.number > self.settings.window_blocks and not await self._catch_up(tip, head):
            return
        path = await self._path_to(head)
        if path is None and await self._start_over(head):
            path = await self._path_to(head)
        if path is None:
            return
        ancestor = path[0].parent if path else head.hash
        tip = self.window.tip
        if tip is not None and ancestor != tip.hash:
            if not await self.agreement.on(head):
                self._disputed(head, "would take blocks back, and no second node confirms it")
                return
            await self._retract_above(ancestor)
        for block in path:
            await self._read_block(block)

    async def _path_to(self, head: BlockRef) -> list[BlockRef] | None:
        """Return the blocks from the youngest known ancestor's child up to a head; None below the window."""
        path = [head]
        while path[-1].parent not in self.window:
            oldest = self.window.oldest
            if oldest is None or path[-1].number <= oldest.number:
                return None
            parent, _ = await self.pool.block("eth_getBlockByHash", path[-1].parent)
            if parent.hash != path[-1].parent or parent.number != path[-1].number - 1:
                raise ChainError(f"asked for the parent of block {path[-1].number}, got another block")
            path.append(parent)
        path.reverse()
        return path

    def _disputed(self, head: BlockRef, why: str) -> None:
        """Tell a person, once per re-scan, that nodes disagree about the chain: one of them is on a fork, or lies."""
        if trio.current_time() >= self._dispute_muted_until:
            self._dispute_muted_until = trio.current_time() + self.settings.rescan_every_s
            self.on_trouble("disputed-head", f"block {head.number} {why}")

    async def _retract_above(self, ancestor: Hash32) -> None:
        blocks, logs = self.window.cut(ancestor)
        self.reorgs += 1
        self.deepest_reorg = max(self.deepest_reorg, len(blocks))
        self.on_trouble("reorg", f"{len(blocks)} blocks taken back, {len(logs)} logs")
        for log in logs:
            await self._emit(log, removed=True)

    async def _start_over(self, head: BlockRef) -> bool:
        """Begin again below the window, for a head that shares no block with it. False when nobody confirms the head."""
        oldest, tip = self.window.oldest, self.window.tip
        if oldest is None or tip is None or not await self.agreement.on(head):
            return False
        self.on_trouble(
            "reorg-too-deep", f"no common block within {self.settings.window_blocks} blocks of {tip.number}"
        )
        for log in self.window.take_all():
            await self._emit(log, removed=True)
        await self.send.send(TooDeep(head))
        base, _ = await self.pool.block("eth_getBlockByNumber", hex(max(0, oldest.number - 1)))
        self._restart(base)
        return head.number - base.number <= self.settings.window_blocks or await self._catch_up(base, head)

    async def _catch_up(self, tip: BlockRef, head: BlockRef) -> bool:
        """Read a gap wider than the window in ranges, up to where the window takes over.

        When the tip itself is no longer on the chain, the window is walked back first. False when nobody confirms that.
        """
        stored, _ = await self.pool.block("eth_getBlockByNumber", hex(tip.number))
        if stored.hash != tip.hash:
            if not await self.agreement.on(head):
                return False
            ancestor = await self._youngest_known(tip)
            if ancestor is None:
                return await self._start_over(head)
            await self._retract_above(ancestor)
        start = self.window.tip or tip
        stop = head.number - self.settings.window_blocks // 2
        self.on_trouble("backfill", f"blocks {start.number + 1} to {stop}")
        last, _ = await self.pool.block("eth_getBlockByNumber", hex(stop))
        logs = await self.fetch.range_logs(start.number + 1, stop)
        for log in logs:
            await self._emit(log)
        # The window is given up here: what its re-scans have not come to is audited with the range.
        oldest = self.window.oldest or start
        known = self.window.known() | {log.name for log in logs}
        self._audits.append(_Audit(max(oldest.number, self._base + 1), stop, known))
        self._restart(last)
        await self._seal(last)
        return True

    async def _youngest_known(self, tip: BlockRef) -> Hash32 | None:
        for number in range(tip.number - 1, tip.number - self.settings.window_blocks, -1):
            known = self.window.at(number)
            if known is None:
                return None
            block, _ = await self.pool.block("eth_getBlockByNumber", hex(number))
            if block.hash == known.hash:
                return known.hash
        return None

    async def _read_block(self, block: BlockRef) -> None:
        logs = await self.fetch.block_logs(block)
        self._fell_out(self.window.append(block))
        for log in self.window.note(logs):
            await self._emit(log)
        await self._seal(block)

    def _restart(self, base: BlockRef) -> None:
        """Begin the window anew on a block that it does not read itself."""
        self.window.restart(base)
        self._base = base.number

    def _fell_out(self, dropped: tuple[BlockRef, set[LogName]] | None) -> None:
        """Audit a block that left the window before a re-scan came to it, as happens when many are read at once."""
        if dropped is None or dropped[0].number <= self._rescanned_to:
            return
        block, known = dropped
        if self._fallen is None:
            self._fallen = _Audit(block.number, block.number, known)
            self._audits.append(self._fallen)
        else:
            self._fallen.stop = block.number
            self._fallen.known |= known

    async def _seal(self, block: BlockRef) -> None:
        self.pool.followed = block
        await self.send.send(Sealed(block))

    async def _rescan(self) -> None:
        oldest, tip = self.window.oldest, self.window.tip
        if oldest is None or tip is None:
            return
        widened = self._scanned_filters != self.board.version
        version = self.board.version
        found = await self.fetch.range_logs(max(oldest.number, self._base + 1), tip.number)
        rechecked, self._rechecked = self._rechecked, set()
        for log in self.window.note(found):
            if not widened and log.name not in rechecked:
                self._late(log)
            await self._emit(log)
        self._scanned_filters, self._rescanned_to = version, tip.number
        self._fallen = None
        for audit in list(self._audits):
            await self._check(audit)

    async def _check(self, audit: _Audit) -> None:
        """Read a range that was caught up with once more, and believe it when nothing new turns up."""
        logs = await self.fetch.range_logs(audit.start, audit.stop)
        audit.left -= 1
        for log in logs:
            if log.name not in audit.known:
                audit.known.add(log.name)
                audit.left = _AUDITS
                self._late(log)
                await self._emit(log)
        if audit.left <= 0:
            self._audits.remove(audit)

    def _late(self, log: RawLog) -> None:
        self.late_logs += 1
        self.on_trouble("late-log", f"block {log.block_number}, tx {log.tx_hash}")

    async def _emit(self, log: RawLog, *, removed: bool = False) -> None:
        await self.send.send(SeenLog(evolve(log, removed=removed), SCAN, self.wall()))
