"""`trio-copy status`"""

from collections.abc import Mapping, Sequence

from attrs import define, frozen

from trio_copy.cli.opened import Conf, ask_store, find_plan
from trio_copy.cli.output import out, out_json
from trio_copy.cli.queries import When, utc, utc_short
from trio_copy.cli.redact import Redact
from trio_copy.cli.suggest import suggested
from trio_copy.cli.tables import Column, Json, Styled, show
from trio_copy.config import ShardsSettings
from trio_copy.engine.books.books import dead_letters, follower_modes, open_orders, waiting_tasks
from trio_copy.engine.plan import Plan
from trio_copy.model.control import (
    ENGINE,
    LEASE_BEATS,
    Instance,
    Lease,
    ModeChange,
    Modes,
    follower_scope,
    shard_lease,
)
from trio_copy.model.counts import counted
from trio_copy.model.decisions import CopyTask
from trio_copy.model.ids import FollowerId
from trio_copy.model.watches import Light, Watch
from trio_copy.ports import Store
from trio_copy.telemetry.render import watch_objects

_NO_SHARDS = ShardsSettings(count=1)
_ALIVE_S = 30.0
"""How long an instance without shards may be silent: it beats as often as it renews its tasks."""


@define(kw_only=True)
class Depth:
    """What the store keeps of one shard that is not over."""

    shard: int
    queued: int = 0
    """Tasks that wait for their time, or for company."""
    open: int = 0
    """Orders that may have been sent and are not proven, or not settled for good."""
    suspended: int = 0
    """Tasks whose signal a reorg took back."""
    dead: int = 0
    oldest_at: float | None = None
    """Unix seconds at which the oldest task was decided that has not ended; None where there is none."""

    def note(self, task: CopyTask) -> None:
        """Count the age of a task that has not ended."""
        self.oldest_at = task.decided_at if self.oldest_at is None else min(self.oldest_at, task.decided_at)


@frozen(kw_only=True)
class _Found:
    """All that a store knows of those who work on it."""

    now: float
    modes: Modes
    followers: Mapping[FollowerId, ModeChange]
    """The modes that hold for one of them each."""
    instances: Sequence[Instance]
    depths: Sequence[Depth]
    leases: Mapping[str, Lease]


@frozen(kw_only=True)
class _Row:
    instance: Instance
    age_s: float
    state: str


@frozen(kw_only=True)
class _Shard:
    depth: Depth
    owner: str | None
    standby: tuple[str, ...]
    oldest_s: float | None


@frozen(kw_only=True)
class _Watched:
    instance: str
    watch: Watch


def _held(row: _Row, shards: tuple[int, ...]) -> tuple[int, ...]:
    """What a dead instance owned is not its own any more."""
    return () if row.state == "dead" else shards


_INSTANCES: tuple[Column[_Row], ...] = (
    Column("instance", lambda row: row.instance.instance),
    Column("state", lambda row: row.state),
    Column("ready", lambda row: "yes" if row.state == "alive" and row.instance.ready else "no"),
    Column("seen_s_ago", lambda row: round(row.age_s, 1), right=True),
    Column(
        "since",
        lambda row: utc(row.instance.started_at) if row.instance.started_at else None,
        shown=utc_short,
        detail=True,
    ),
    Column("shards", lambda row: " ".join(map(str, _held(row, row.instance.shards))) or None, elastic=True),
    Column("standby", lambda row: " ".join(map(str, _held(row, row.instance.standby))) or None, elastic=True),
)
_STYLES: Mapping[str, str] = {Light.GREEN.value: "green", Light.RED.value: "bold red"}
_WATCHES: tuple[Column[_Watched], ...] = (
    Column("instance", lambda row: row.instance, tail=True),
    Column("watchdog", lambda row: row.watch.name),
    Column("of", lambda row: row.watch.endpoint or ("our clock" if row.watch.name == "clock_skew_s" else "the scan")),
    Column("light", lambda row: row.watch.light.value, shown=lambda light: Styled(light, _STYLES.get(light, ""))),
    Column("value", lambda row: row.watch.value, right=True),
    Column("limit", lambda row: row.watch.limit, right=True),
)
_SHARDS: tuple[Column[_Shard], ...] = (
    Column("shard", lambda row: row.depth.shard, right=True),
    Column("owner", lambda row: row.owner),
    Column("standby", lambda row: " ".join(row.standby) or None, detail=True),
    Column("queued", lambda row: row.depth.queued, right=True),
    Column("open", lambda row: row.depth.open, right=True),
    Column("suspended", lambda row: row.depth.suspended, right=True),
    Column("dead", lambda row: row.depth.dead, right=True),
    Column("oldest_s", lambda row: None if row.oldest_s is None else round(row.oldest_s, 1), right=True),
)


def status(*, redactor: Redact, conf: Conf = None, json: Json = False) -> int:
    """Show who works on the store: instances, what their watchdogs say, the shards they own, what waits in each, dead
    letters, and the mode.

    Exits with 1 when no instance lives, or a shard has no owner.
    """
    plan = find_plan(conf, redactor)
    settings = plan.shards or _NO_SHARDS

    async def ask(store: Store) -> _Found:
        return _Found(
            now=When.present().now,
            modes=await store.control.modes(),
            instances=await store.control.instances(),
            followers=await follower_modes(store.history),
            depths=await _depths(store, plan),
            leases=await store.control.held([shard_lease(shard) for shard in range(plan.shard_count)]),
        )

    found = ask_store(plan, ask)
    redactor.recognise(*(instance.instance for instance in found.instances))
    patience_s = _ALIVE_S if plan.shards is None else LEASE_BEATS * settings.heartbeat_s
    rows = [_row(instance, found.now, patience_s) for instance in found.instances]
    living = [row for row in rows if row.state != "dead"]
    # Where there are no shards to lease, whoever lives has the only one.
    alone = living[0].instance.instance if plan.shards is None and living else None
    shards = [_shard(depth, found, living, alone) for depth in found.depths]
    orphans = sum(shard.owner is None for shard in shards)
    if json:
        out_json(_object(found, rows, shards, orphans))
    else:
        _print(found, rows, shards, living, orphans, plan)
    return 0 if living and not orphans else 1


async def _depths(store: Store, plan: Plan) -> list[Depth]:
    depths = [Depth(shard=shard) for shard in range(plan.shard_count)]
    for waiting in await waiting_tasks(store.history):
        depth = depths[plan.shard_of(waiting.task.follower)]
        depth.note(waiting.task)
        if waiting.suspended:
            depth.suspended += 1
        else:
            depth.queued += 1
    for open_order in await open_orders(store.history):
        depth = depths[plan.shard_of(open_order.task.follower)]
        depth.open += 1
        if not open_order.ended:
            depth.note(open_order.task)
    for letter in await dead_letters(store.history):
        depths[plan.shard_of(letter.task.follower)].dead += 1
    return depths


def _row(instance: Instance, now: float, patience_s: float) -> _Row:
    age_s = max(0.0, now - instance.seen_at)
    state = "dead" if age_s > patience_s else "draining" if instance.draining else "alive"
    return _Row(instance=instance, age_s=age_s, state=state)


def _shard(depth: Depth, found: _Found, living: Sequence[_Row], alone: str | None) -> _Shard:
    owner = found.leases.get(shard_lease(depth.shard))
    standby = (row.instance.instance for row in living if depth.shard in row.instance.standby)
    return _Shard(
        depth=depth,
        owner=alone if owner is None else owner.owner,
        standby=tuple(standby),
        oldest_s=None if depth.oldest_at is None else max(0.0, found.now - depth.oldest_at),
    )


def _print(
    found: _Found,
    rows: Sequence[_Row],
    shards: Sequence[_Shard],
    living: Sequence[_Row],
    orphans: int,
    plan: Plan,
) -> None:
    mode = found.modes.of(ENGINE)
    dead = sum(shard.depth.dead for shard in shards)
    out(f"mode {mode.mode.value}" + (f": {mode.why}" if mode.at else ""))
    for follower, change in sorted(found.followers.items()):
        out(f"mode of {follower}: {change.mode.value}: {change.why}")
    for scope, change in found.modes.pauses().items():
        out(f"pause of {scope}: {change.why}")
    alive = f"{counted(len(living), 'instance')} alive"
    out(f"{alive}, {len(shards) - orphans} of {counted(len(shards), 'shard')} owned, {counted(dead, 'dead letter')}")
    if orphans:
        live = ["--live"] if plan.settings.engine.mode == "live" else []
        run = suggested("run", str(plan.path), *live)
        out(
            f"{counted(orphans, 'shard').upper()} WITHOUT AN OWNER: their followers copy nothing; start an instance: {run}"
        )
    for row in living:
        if row.instance.halted:
            out(f"{row.instance.instance} LETS NO ENTRY OUT: {row.instance.halted}")
    if dead:
        out(f"dead letters wait for a person: {suggested('dlq', 'stats', conf=plan.path)}")
    out("")
    show(_INSTANCES, rows, json=False, csv_=False, empty="no instance runs on this store")
    out("")
    watched = [
        _Watched(instance=row.instance.instance, watch=watch) for row in living for watch in row.instance.watches
    ]
    show(
        _WATCHES, watched, json=False, csv_=False, empty="no watchdog has looked yet" if living else "no watchdog looks"
    )
    out("")
    show(_SHARDS, shards, json=False, csv_=False, empty="no shards")


def _object(found: _Found, rows: Sequence[_Row], shards: Sequence[_Shard], orphans: int) -> dict[str, object]:
    mode = found.modes.of(ENGINE)
    return {
        "mode": mode.mode.value,
        "why": mode.why,
        "scopes": {
            **({ENGINE: mode.mode.value} if mode.at else {}),
            **{follower_scope(follower): change.mode.value for follower, change in found.followers.items()},
            **{f"pause of {scope}": change.mode.value for scope, change in found.modes.pauses().items()},
        },
        "instances": [
            {
                "instance": row.instance.instance,
                "state": row.state,
                "seen_s_ago": round(row.age_s, 3),
                "started_at": row.instance.started_at,
                "shards": row.instance.shards,
                "standby": row.instance.standby,
                "ready": row.state == "alive" and row.instance.ready,
                "halted": row.instance.halted,
                "watches": watch_objects(row.instance.watches),
            }
            for row in rows
        ],
        "shards": [
            {
                "shard": shard.depth.shard,
                "owner": shard.owner,
                "standby": shard.standby,
                "queued": shard.depth.queued,
                "open": shard.depth.open,
                "suspended": shard.depth.suspended,
                "dead": shard.depth.dead,
                "oldest_s": shard.oldest_s,
            }
            for shard in shards
        ],
        "orphans": orphans,
        "dead": sum(shard.depth.dead for shard in shards),
    }
