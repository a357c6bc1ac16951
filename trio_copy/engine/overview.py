"""One look at everything that runs, for people."""

from collections import Counter
from collections.abc import Mapping

import trio
from attrs import define

from trio_copy.chain.endpoints import EndpointPool
from trio_copy.chain.scanner import Scanner
from trio_copy.chain.watchdogs import Watchdogs
from trio_copy.clock import WallClock
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.gate.gate import Gate
from trio_copy.engine.market_source.market_watch import MarketWatch
from trio_copy.engine.owning.holder import Holder
from trio_copy.engine.owning.keeper import Keeper
from trio_copy.engine.owning.sole_owner import SoleOwner
from trio_copy.engine.owning.taking_over import open_tasks
from trio_copy.engine.plan import Plan
from trio_copy.engine.sending.execution import Execution
from trio_copy.engine.sending.modes import ModeBoard
from trio_copy.engine.sending.reconciler import Reconciler
from trio_copy.engine.shards.lanes import Lanes
from trio_copy.signing.signers import OpenSigners
from trio_copy.telemetry.status import EndpointStatus, Phase, Status


@define(eq=False, kw_only=True)
class Overview:
    plan: Plan
    wall: WallClock
    book: FollowBook
    lanes: Mapping[str, Lanes]
    executions: Mapping[str, Execution]
    holder: Holder
    mode: ModeBoard
    pool: EndpointPool
    scanner: Scanner
    watchdogs: Watchdogs
    gate: Gate
    reconciler: Reconciler
    market_watch: MarketWatch | None
    owner: Keeper | SoleOwner
    quarantine: Counter[str]
    signers: OpenSigners | None

    def status(self, phase: Phase) -> Status:
        """Take one look at everything."""
        ages = [trio.current_time() - endpoint.head_at for endpoint in self.pool.endpoints if endpoint.heads_seen]
        sealed, reader, watch = self.gate.sealed, self.gate.reader, self.market_watch
        return Status(
            name=self.plan.settings.engine.name,
            trading=self.plan.settings.engine.mode,
            mode=self.mode.engine.mode.value,
            shard=self.owner.label if isinstance(self.owner, Keeper) else "1/1",
            block=None if sealed is None else sealed.number,
            feed_age_s=min(ages, default=None),
            endpoints=tuple(
                EndpointStatus(
                    name=endpoint.name,
                    live=endpoint.session is not None and not endpoint.unreadable,
                    head=None if endpoint.head is None else endpoint.head.number,
                    connects=endpoint.connects,
                    first=reader.first_by[endpoint.name],
                    last_error=self.plan.redactor.redact(endpoint.last_error),
                )
                for endpoint in self.pool.endpoints
            ),
            leaders=len(self.book.leaders),
            follows=len(self.book),
            queued=sum(lanes.unplaced.waiting for lanes in self.lanes.values()) + len(self.gate.undecided or ()),
            peak=max((lanes.unplaced.peak for lanes in self.lanes.values()), default=0),
            suspended=sum(lanes.unplaced.suspended for lanes in self.lanes.values()),
            dead=sum(len(account.dead) for shard in self.holder.shards.values() for account in shard.accounts.values()),
            busy=sum(execution.busy for execution in self.executions.values()),
            unknown=self.reconciler.unknown,
            left=self._count_open_tasks(),
            late_logs=self.scanner.late_logs,
            reorgs=self.scanner.reorgs,
            quarantined=self.quarantine.total(),
            left_out={} if watch is None else dict(watch.asks.left_out.counts),
            ready=self.watchdogs.ready,
            halted=self.watchdogs.why_halted,
            phase=phase,
            armed=None if self.signers is None else tuple(sorted(self.signers.armed(self.wall()))),
            watches=self.watchdogs.watches,
        )

    def _count_open_tasks(self) -> int:
        """Count the tasks that have not ended: each is in a lane, waits in an account, has an order, or is a dead letter."""
        tasks = {queued.task.task_id for lanes in self.lanes.values() for queued in lanes.unplaced}
        for shard in self.holder.shards.values():
            for account in shard.accounts.values():
                tasks |= open_tasks(account)
        return len(tasks)
