"""Reads every block once it is a head: subscriptions are for speed, this is the truth.

From each new head it walks back to a block it knows, so that a skipped head, a dead connection and a reorg are the same
case: a path from a common ancestor. Logs of blocks that fell off the path are sent again with `removed`, those of new
blocks are fetched by block hash, then the block is sealed. Every `rescan_every_s`, and after each connect or change of
filters, the window is read again, because nodes near the tip answer `[]` for logs they have not indexed yet; what turns
up then is counted as late. A gap wider than the window is read in ranges, by two endpoints where there are two, and
audited at the next re-scans, because an empty answer for a range cannot be told from a lie. Nothing is sealed before it
was read. After a failure of nodes it is tried again at growing times, and what was read before it is not read again.
"""

from collections.abc import Callable, Sequence
from typing import NoReturn

import trio
from attrs import define, field

from trio_copy.chain.agreement import Agreement
from trio_copy.chain.ancestry import Ancestry
from trio_copy.chain.arming import HOPELESS_WINDOWS, starting_block
from trio_copy.chain.audits import Audits
from trio_copy.chain.backfill import RangeReader
from trio_copy.chain.endpoints import EndpointPool
from trio_copy.chain.feed import Armed, FeedItem, TooDeep
from trio_copy.chain.fetch import LogFetcher
from trio_copy.chain.filters import FilterBoard
from trio_copy.chain.gaps import Gaps
from trio_copy.chain.pacing import Growing, spread
from trio_copy.chain.removals import Removals
from trio_copy.chain.rescan import Rescan
from trio_copy.chain.scan_line import ScanLine
from trio_copy.chain.troubles import Troubles
from trio_copy.chain.window import BlockWindow
from trio_copy.clock import WallClock
from trio_copy.config import ChainSettings
from trio_copy.errors import ChainError, CheckpointAhead
from trio_copy.model.counts import counted
from trio_copy.model.ids import Hash32
from trio_copy.model.logs import BlockRef, Checkpoint, RawLog

_SCAN_FAILED = "scan-failed"
_RETRY_S = 0.2
_LONGEST_RETRY_S = 5.0


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
    arming_refusal: Callable[[], str | None] = lambda: None
    """Tells why nothing may be armed yet, such as a clock that is wrong."""
    window: BlockWindow = field(init=False)
    fetch: LogFetcher = field(init=False)
    ranges: RangeReader = field(init=False)
    agreement: Agreement = field(init=False)
    not_armed: str = ""
    """Why arming failed last; empty before it was tried, and once it went well."""
    reorgs: int = 0
    deepest_reorg: int = 0
    _removals: Removals = field(init=False)
    _troubles: Troubles = field(init=False)
    _retries: Growing = field(factory=lambda: Growing(_RETRY_S, _LONGEST_RETRY_S))
    _ancestry: Ancestry = field(init=False)
    _armed: bool = False
    """Whether it was ever known where to start."""
    _dispute_muted_until: float = -float("inf")
    _line: ScanLine = field(init=False)
    _gaps: Gaps = field(init=False)
    _rescan: Rescan = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.window = BlockWindow(self.settings.window_blocks)
        self.fetch = LogFetcher(self.settings, self.pool, self.board)
        self.ranges = RangeReader(self.pool, self.fetch, self.settings.max_range_blocks)
        self._removals = Removals(self.window)
        self._ancestry = Ancestry(self.pool, 4 * self.settings.window_blocks)
        self._troubles = Troubles(self.on_trouble)
        self.agreement = Agreement(self.pool, self.wall, self.settings.window_blocks)
        audits = Audits()
        self._line = ScanLine(self.send, self.pool, self.wall)
        self._gaps = Gaps(
            pool=self.pool,
            window=self.window,
            fetch=self.fetch,
            ranges=self.ranges,
            agreement=self.agreement,
            audits=audits,
            line=self._line,
            on_trouble=self.on_trouble,
        )
        self._rescan = Rescan(
            board=self.board,
            window=self.window,
            ranges=self.ranges,
            removals=self._removals,
            audits=audits,
            line=self._line,
            on_trouble=self.on_trouble,
        )

    @property
    def late_logs(self) -> int:
        """How many logs only a re-scan found."""
        return self._rescan.late_logs

    async def arm(self, checkpoint: Checkpoint | None, shards: set[int] | None = None) -> None:
        """Decide where the story of some shards starts: below the stored checkpoint, or at the head when there is none.

        Retries until a node answers.

        Raises:
            CheckpointAhead: no node will come to the checkpoint soon.
        """
        await self.agreement.wait_second()
        while True:
            await self.pool.wait_live()
            if self.arming_refusal() is not None:
                await trio.sleep(_RETRY_S)
                continue
            try:
                start = await starting_block(checkpoint, self.agreement, self.pool, self.settings.window_blocks)
                break
            except ChainError as error:
                if isinstance(error, CheckpointAhead) and not self._armed:
                    raise  # what runs already waits for its nodes instead
                failure = error
            self.not_armed = str(failure)
            await self._failed("arm-failed", failure)
        self.not_armed = ""
        self._went_well("arm-failed")
        self._armed = True
        self.window.restart(start)
        self._rescan.armed(start)
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
                await self._look()
                if self.pool.rescan_wanted or trio.current_time() >= next_rescan:
                    self.pool.rescan_wanted = False
                    next_rescan = trio.current_time() + self.settings.rescan_every_s
                    try:
                        await self._rescan.run()
                    except ChainError:
                        self.pool.rescan_wanted = True
                        raise
            except ChainError as error:
                await self._failed(_SCAN_FAILED, error)
                await self.pool.wait_live()
                self.pool.announce_again()
                await self._gaps.glance()
            else:
                self._went_well(_SCAN_FAILED)

    async def _failed(self, kind: str, error: ChainError) -> None:
        """Wait longer after each failure, at least until some node may be asked; a new connection is tried sooner."""
        self._troubles.note(kind, "", str(error), trio.current_time())
        wait_s = max(spread(self._retries.next_s(), self.pool.entropy), self.pool.rest_s)
        # Connections that come and go must not keep it busy.
        await trio.sleep(min(wait_s, _RETRY_S))
        with trio.move_on_after(max(0.0, wait_s - _RETRY_S)):
            await self.pool.wait_connected()

    def _went_well(self, kind: str) -> None:
        self._retries.start_over()
        self._troubles.over(kind, "", trio.current_time())

    def look_again(self, log: RawLog, source: str) -> bool:
        """Somebody says that a log was taken back: look into its block, and pass the log on again if it is still there.

        False when the source said so in vain lately. If the chain did take the log back, following it will tell.
        """
        believed = self._removals.claim(log, source, trio.current_time())
        if believed:
            self.pool.wake()
        return believed

    async def _look(self) -> None:
        while (block := self._removals.next_block()) is not None:
            # By number: nodes still answer for the hash of a block that is no longer on the chain.
            found = self.window.note(await self.ranges.whole(block.number, block.number))
            for source, doubted_s in self._removals.looked(block, found, trio.current_time()).items():
                detail = (
                    f"{source} took back logs of block {block.number} that are there; not believed for {doubted_s:g} s"
                )
                self._troubles.note("false-removal", source, detail, trio.current_time())
            for log in found:
                await self._line.emit(log)

    async def _follow_all(self, heads: Sequence[BlockRef]) -> None:
        """Follow each announced head; one that leads nowhere, or is made up, does not stand in the way of the others."""
        failure, tip = None, self.window.tip
        for head in heads:
            try:
                await self._follow(head)
            except ChainError as error:
                failure = error
        if failure is not None:
            if self.window.tip == tip:
                raise failure
            # Another head led forward: one node's bad head, or one that is made up, must not make the good ones wait.
            self._troubles.note(_SCAN_FAILED, "", str(failure), trio.current_time())

    async def _follow(self, head: BlockRef) -> None:
        tip, oldest = self.window.tip, self.window.oldest
        if tip is None or oldest is None or head.hash in self.window:
            return
        if head.number < oldest.number:
            if oldest.number - head.number > HOPELESS_WINDOWS * self.settings.window_blocks:
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
        self._ancestry.forget()

    async def _path_to(self, head: BlockRef) -> list[BlockRef] | None:
        """Return the blocks from the youngest known ancestor's child up to a head; None below the window."""
        path = [head]
        while path[-1].parent not in self.window:
            oldest = self.window.oldest
            if oldest is None or path[-1].number <= oldest.number:
                return None
            path.append(await self._ancestry.parent_of(path[-1]))
        path.reverse()
        return path

    def _disputed(self, head: BlockRef, why: str) -> None:
        """Tell a person, once per re-scan, that nodes disagree about the chain: one of them is on a fork, or lies.

        Whoever says so is asked last until it says something else.
        """
        for endpoint in self.pool.endpoints:
            if endpoint.head is not None and endpoint.head.hash == head.hash:
                endpoint.disputed = head.hash
        if trio.current_time() >= self._dispute_muted_until:
            self._dispute_muted_until = trio.current_time() + self.settings.rescan_every_s
            self.on_trouble("disputed-head", f"block {head.number} {why}")

    async def _retract_above(self, ancestor: Hash32) -> None:
        blocks, logs = self.window.cut(ancestor)
        self._rescan.begin_anew()
        self.reorgs += 1
        self.deepest_reorg = max(self.deepest_reorg, len(blocks))
        if logs:  # or none of ours was in them: nobody has to look
            self.on_trouble("reorg", f"{counted(len(blocks), 'block')} taken back, {counted(len(logs), 'log')}")
        for log in logs:
            await self._line.emit(log, removed=True)

    async def _start_over(self, head: BlockRef) -> bool:
        """Begin again below the window, for a head that shares no block with it. False when nobody confirms the head."""
        oldest, tip = self.window.oldest, self.window.tip
        if oldest is None or tip is None or not await self.agreement.on(head):
            return False
        self.on_trouble(
            "reorg-too-deep", f"no common block within {self.settings.window_blocks} blocks of {tip.number}"
        )
        for log in self.window.take_all():
            await self._line.emit(log, removed=True)
        await self.send.send(TooDeep(head))
        base = await self.agreement.at(max(0, oldest.number - 1))
        self.window.restart(base)
        return head.number - base.number <= self.settings.window_blocks or await self._catch_up(base, head)

    async def _catch_up(self, tip: BlockRef, head: BlockRef) -> bool:
        """Read a gap wider than the window, up to where the window takes over.

        When the tip itself is no longer on the chain, the window is walked back first. False when nobody confirms that.
        """
        stored = await self.agreement.at(tip.number)
        if stored.hash != tip.hash:
            if not await self.agreement.on(head):
                return False
            ancestor = await self._youngest_known(tip)
            if ancestor is None:
                return await self._start_over(head)
            await self._retract_above(ancestor)
        await self._gaps.read(self.window.tip or tip, head)
        return True

    async def _youngest_known(self, tip: BlockRef) -> Hash32 | None:
        for number in range(tip.number - 1, tip.number - self.settings.window_blocks, -1):
            known = self.window.at(number)
            if known is None:
                return None
            if (await self.agreement.at(number)).hash == known.hash:
                return known.hash
        return None

    async def _read_block(self, block: BlockRef) -> None:
        logs = await self.fetch.block_logs(block)
        dropped = self.window.append(block)
        if dropped is not None:
            self._rescan.fell_out(*dropped)
        for log in self.window.note(logs):
            await self._line.emit(log)
        await self._line.seal(block)
