"""`trio-copy load model`, `trio-copy load measure` and `trio-copy load simulate`"""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import trio
from attrs import frozen
from cyclopts import App, Parameter

from trio_copy.cli.durations import Duration, Time
from trio_copy.cli.interpreter import tune_interpreter
from trio_copy.cli.numbers import expect_positive
from trio_copy.cli.output import out, out_json
from trio_copy.cli.progress import progress
from trio_copy.cli.redact import Redact
from trio_copy.cli.simulation import Load, simulate
from trio_copy.cli.stores import Allowed, RedisUrl, StoreName, StoreOptions, store_table
from trio_copy.cli.suggest import suggested
from trio_copy.cli.synthetic import synthetic_plan
from trio_copy.clock import anchored_wall_clock, utc_date, wall_clock_from
from trio_copy.config import EngineSettings, PluginTable
from trio_copy.engine.plan import Plan
from trio_copy.errors import ConfigError, TrioCopyError
from trio_copy.telemetry.redaction import Redactor
from trio_copy.testing.devnet import open_devnet, open_virtual_devnet
from trio_copy.testing.virtual import run_virtually

app = App(name="load", help="How many copies, how fast, on how many machines.")

_DAY_S = 86_400
_ORIGINAL_COPIES_PER_S = 20.0
"""Twenty workers of one second each: what one instance of the system before this one did."""
_HEADROOM = 2
_VIRTUAL_START = 1_764_000_000.0
"""Unix seconds at which virtual runs begin."""
_MEASURE_FOLLOWERS = 100

Json = Annotated[bool, Parameter(negative=(), help="Print one JSON object as the last line.")]
Users = Annotated[int, Parameter(help="Followers.")]
Follows = Annotated[int, Parameter(help="Leaders each follower follows.")]
Leaders = Annotated[int, Parameter(help="Leaders altogether.")]
Copies = Annotated[int, Parameter(help="Copies per user and day.")]


@frozen(kw_only=True)
class Measurement:
    """What this machine can do, and when that was found out."""

    date: str
    copies_per_s: float
    cpu_us_per_copy: float


@app.command
def model(
    *,
    users: Users = 10_000,
    follows: Follows = 10,
    leaders: Leaders = 1_000,
    copies: Copies = 5_000,
    json: Json = False,
) -> int:
    """Work out the load of a number of users, and the instances it needs.

    `instances` comes from the capacity that `trio-copy load measure` found on this machine. `original_instances` is what
    the system before this one would need: 20 workers that take one second each.
    """
    expect_positive(users=users, follows=follows, leaders=leaders, copies=copies)
    per_day = users * copies
    per_s = per_day / _DAY_S
    per_leader = users * follows / leaders
    measured = _read_measurement()
    fields: dict[str, Any] = {
        "copies_per_day": per_day,
        "copies_per_s": round(per_s, 2),
        "followers_per_leader": _whole(per_leader),
        "leader_trades_per_s": round(per_s / per_leader, 3),
        "original_instances": round(per_s / _ORIGINAL_COPIES_PER_S, 2),
        "original_instances_with_headroom": math.ceil(_HEADROOM * per_s / _ORIGINAL_COPIES_PER_S),
        "capacity_copies_per_s": measured and measured.copies_per_s,
        "measured_on": measured and measured.date,
        "instances": measured and math.ceil(per_s / measured.copies_per_s),
        "instances_with_headroom": measured and math.ceil(_HEADROOM * per_s / measured.copies_per_s),
    }
    _print(fields, json)
    if measured is None and not json:
        out(f"to learn the instances that this machine's kind would need: {suggested('load', 'measure')}")
    return 0


@app.command
def measure(
    *,
    events: Annotated[int, Parameter(help="Leader trades to push through.")] = 300,
    store: StoreName = "memory",
    store_option: StoreOptions = (),
    redis_url: RedisUrl = None,
    allow: Allowed = (),
    redactor: Redact,
    json: Json = False,
) -> int:
    """Measure how many copies a second one process on this machine can make, and keep it with its date.

    The venue answers at once, 100 followers copy each trade, and trades come as fast as they are taken.
    """
    expect_positive(events=events)
    plan = _plan(
        users=_MEASURE_FOLLOWERS,
        follows=1,
        leaders=1,
        latency_ms=0,
        workers=None,
        store=store_table(store, store_option, redis_url),
        allow=allow,
        redactor=redactor,
    )
    load = Load(events=events, rate_per_s=0, leaders=_leaders(plan), seed=1)
    found = _run_real(plan, load)
    measured = Measurement(
        date=utc_date(found.pop("wall")),
        copies_per_s=found["throughput_per_s"],
        cpu_us_per_copy=round(1e6 * found["cpu_s"] / max(1, found["tasks"]), 1),
    )
    path = _measurement_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode(measured))
    except OSError as error:
        raise TrioCopyError(f"{path}: the measurement cannot be kept: {error.strerror}; set XDG_STATE_HOME") from error
    kept = {"copies_per_s": measured.copies_per_s, "cpu_us_per_copy": measured.cpu_us_per_copy, "date": measured.date}
    _print({**kept, "tasks": found["tasks"], "lost": found["lost"], "kept_in": str(path)}, json)
    return 0 if found["lost"] == 0 else 1


@app.command(name="simulate")
def simulate_command(
    *,
    events: Annotated[int | None, Parameter(help="Leader trades. [default: 200, or rate times duration]")] = None,
    rate: Annotated[float | None, Parameter(help="Leader trades per second. [default: 20, or the users' rate]")] = None,
    followers: Annotated[int, Parameter(help="Followers of the one leader, when no --users are given.")] = 100,
    latency: Annotated[Duration, Parameter(help="How long the venue takes for an order.")] = Time(0.03),
    workers: Annotated[int | None, Parameter(help="Orders at once. [default: engine.workers]")] = None,
    users: Annotated[int | None, Parameter(help="Simulate so many users at their daily rate instead.")] = None,
    follows: Follows = 10,
    leaders: Leaders = 1_000,
    copies: Copies = 5_000,
    duration: Annotated[Duration, Parameter(help="With --users: how long.")] = Time(60),
    virtual: Annotated[bool, Parameter(negative=(), help="On a mock clock and memory streams: repeatable.")] = False,
    seed: Annotated[int, Parameter(help="Which leaders trade, and in --virtual the order of everything.")] = 1,
    store: StoreName = "memory",
    store_option: StoreOptions = (),
    redis_url: RedisUrl = None,
    allow: Allowed = (),
    redactor: Redact,
    json: Json = False,
) -> int:
    """Put a synthetic load on the real engine and say what came of it.

    Exits with 0 only when nothing was lost, nothing was copied twice, and the offered rate was kept up with.
    """
    expect_positive(events=events, rate=rate, duration=duration, workers=workers, followers=followers)
    if users is None:
        rate, events = rate or 20.0, 200 if events is None else events
        shape = {"users": followers, "follows": 1, "leaders": 1}
    else:
        expect_positive(users=users, follows=follows, leaders=leaders, copies=copies)
        rate = rate or users * copies / _DAY_S / (users * follows / leaders)
        events = max(1, round(rate * duration)) if events is None else events
        shape = {"users": users, "follows": follows, "leaders": leaders}
    table = store_table(store, store_option, redis_url)
    plan = _plan(
        **shape, latency_ms=round(1000 * latency), workers=workers, store=table, allow=allow, redactor=redactor
    )
    if virtual and plan.shards is not None:
        raise ConfigError(
            ["--virtual: expected a store inside this process, got a server: virtual time does not wait for it"]
        )
    load = Load(events=events, rate_per_s=rate, leaders=_leaders(plan), seed=seed, latency_s=latency)
    found = _run_virtual(plan, load) if virtual else _run_real(plan, load)
    found.pop("wall", None)
    missed = found["missed"]
    _print(found if json else {name: value for name, value in found.items() if name != "missed"}, json)
    if missed and not json:
        out(f"THE OFFERED RATE WAS MISSED: {missed}")
    return 0 if found["lost"] == 0 and found["duplicates"] == 0 and missed is None else 1


def _plan(
    *,
    users: int,
    follows: int,
    leaders: int,
    latency_ms: int,
    workers: int | None,
    store: PluginTable,
    allow: Sequence[str] = (),
    redactor: Redactor | None = None,
) -> Plan:
    engine = EngineSettings(name="load", deadline_s=3600.0)
    if workers is not None:
        engine = EngineSettings(name="load", deadline_s=3600.0, workers=workers)
    return synthetic_plan(
        followers=users,
        follows_each=follows,
        leaders=leaders,
        engine=engine,
        executor={"latency_ms": latency_ms, "latency_jitter_ms": 0, "price_source": "leader"},
        store=store,
        allow=allow,
        redactor=redactor,
    )


def _leaders(plan: Plan) -> list[Any]:
    return sorted({table.leader for table in plan.settings.follow})


def _run_real(plan: Plan, load: Load) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        wall = anchored_wall_clock()
        with progress("leader trades", load.events) as show:
            return {**await simulate(plan, load, open_devnet, wall, show), "wall": wall()}

    tune_interpreter()
    return trio.run(run)


def _run_virtual(plan: Plan, load: Load) -> dict[str, Any]:
    async def run() -> dict[str, Any]:

        wall = wall_clock_from(_VIRTUAL_START)
        with progress("leader trades", load.events) as show:
            return await simulate(plan, load, open_virtual_devnet, wall, show)

    # Processor time is not virtual; leaving it out keeps the result the same each time.
    return {**run_virtually(run, seed=load.seed), "cpu_s": None}


def _measurement_path() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "trio-copy" / "measurement.json"


def _read_measurement() -> Measurement | None:
    try:
        return msgspec.json.decode(_measurement_path().read_bytes(), type=Measurement)
    except (OSError, msgspec.MsgspecError):
        return None


def _whole(number: float) -> int | float:
    return int(number) if number == int(number) else round(number, 3)


def _print(fields: dict[str, Any], json: bool) -> None:
    if json:
        out_json(fields)
        return
    for name, value in fields.items():
        shown = ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, dict) else value
        out(f"{name:<34} {'unknown' if shown is None else shown}")
