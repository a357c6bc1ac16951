"""`trio-copy follow add | set | remove | list | import | export`"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from attrs import evolve
from cyclopts import App, Parameter

from trio_copy.cli.follow_files import make_follow, parse_value, read_follows, write_csv, write_json_lines
from trio_copy.cli.opened import Conf, ask_store, find_plan
from trio_copy.cli.output import out
from trio_copy.cli.progress import progress
from trio_copy.cli.queries import FollowerOption, LeaderOption, read_query
from trio_copy.cli.redact import Redact
from trio_copy.cli.suggest import suggested
from trio_copy.cli.tables import Column, Csv, Json, show
from trio_copy.config.lines import count_lines
from trio_copy.config.strict import structure_layer
from trio_copy.engine.books import open_orders, positions
from trio_copy.engine.plan import Plan
from trio_copy.errors import ConfigError
from trio_copy.model.counts import counted
from trio_copy.model.follows import Follow
from trio_copy.model.layers import layer
from trio_copy.ports import Store
from trio_copy.records import plain_layer

app = App(
    name="follow",
    help="""Say who copies whom. A running engine takes changes up within a second.

    A follow is named FOLLOWER:LEADER. Settings are given as PATH=VALUE, such as size.ratio=0.05 or
    filters.sides=BUY; conf/every-setting.toml lists them. Follows that stand in the configuration are changed there.
    """,
)
FollowName = Annotated[str, Parameter(help="FOLLOWER:LEADER.", show_default=False)]
_Change = Annotated[tuple[str, ...], Parameter(help="PATH=VALUE, several if you like.", show_default=False)]


@app.command
def add(
    follower: Annotated[str, Parameter(help="Id of the account that copies.")],
    leader: Annotated[str, Parameter(help="Wallet whose trades are copied.")],
    settings: _Change = (),
    /,
    *,
    redactor: Redact,
    conf: Conf = None,
) -> int:
    """Let a follower copy a leader."""
    plan = find_plan(conf, redactor)
    terms = plan.settings.terms()
    follow = make_follow(follower, leader, structure_layer(_changes(settings)), terms)

    async def put(store: Store) -> None:
        if (known := await _find(store, follow.name, plan)) is not None:
            _changeable(known, follow.name)
            change = settings or ("size.ratio=0.02",)
            raise ConfigError(
                [
                    f"{follow.name} exists already; change it, such as:"
                    f" {suggested('follow', 'set', follow.name, *change, conf=plan.path)}"
                ]
            )
        await store.follows.put([follow])

    ask_store(plan, put, make=True)
    out(f"{follow.name} added; what is in force: {suggested('explain', 'follow', follow.name, conf=plan.path)}")
    return 0


@app.command(name="set")
def set_(name: FollowName, settings: _Change, /, *, redactor: Redact, conf: Conf = None) -> int:
    """Change settings of a follow; PATH= with nothing behind it takes one back to what the other levels say."""
    plan = find_plan(conf, redactor)
    terms = plan.settings.terms()
    dropped = {text[:-1] for text in settings if text.endswith("=")}
    changed = dict(structure_layer(_changes([text for text in settings if not text.endswith("=")])))

    async def put(store: Store) -> Follow:
        follow = _changeable(await find_follow(store, name, plan), name)
        own = {path: value for path, value in follow.own if path not in dropped} | changed
        new = make_follow(follow.follower, follow.leader, layer(own), terms)
        await store.follows.put([new])
        return new

    new = ask_store(plan, put)
    shown = ", ".join(f"{path} = {value}" for path, value in plain_layer(new.own).items())
    out(f"{name}: {shown or 'nothing of its own any more'}")
    return 0


@app.command
def remove(name: FollowName, /, *, redactor: Redact, conf: Conf = None) -> int:
    """End a follow. What happens to open positions is `leaving.when_unfollowed`: keep, exits, or close."""
    plan = find_plan(conf, redactor)
    terms = plan.settings.terms()

    async def take_out(store: Store) -> str:
        follow = _changeable(await find_follow(store, name, plan), name)
        what = terms.of(follow).settings.leaving.when_unfollowed if follow.follower in terms.followers else "keep"
        held = any(
            key[:2] == follow.key and position.lots
            for key, position in (await positions(store.history, follow.follower)).items()
        )
        held = held or any(
            one.task.signal.leader == follow.leader for one in await open_orders(store.history, follow.follower)
        )
        if what == "keep" or not held:
            await store.follows.remove([follow.key])
            return "removed; positions that are open stay as they are" if held else "removed"
        await store.follows.put([evolve(follow, own=layer({**dict(follow.own), "status": "leaving"}))])
        how = "are sold" if what == "close" else "follow the leader out"
        return f"takes no entries any more; it is removed once its positions, which {how}, are closed"

    out(f"{name} {ask_store(plan, take_out)}")
    return 0


COLUMNS: tuple[Column[Follow], ...] = (
    Column("follower", lambda row: row.follower),
    Column("leader", lambda row: row.leader),
    Column("source", lambda row: row.source, detail=True),
    Column("version", lambda row: row.version, right=True, detail=True),
    Column(
        "settings",
        lambda row: " ".join(f"{path}={value}" for path, value in plain_layer(row.own).items()),
        elastic=True,
    ),
)


@app.command(name="list")
def list_(
    *,
    follower: FollowerOption = None,
    leader: LeaderOption = None,
    redactor: Redact,
    conf: Conf = None,
    json: Json = False,
    csv: Csv = False,
) -> int:
    """List follows with what is set for each alone."""
    query = read_query(follower, leader, None, None, None, 1)
    plan = find_plan(conf, redactor)
    follows = [
        follow
        for follow in ask_store(plan, lambda store: all_follows(store, plan))
        if query.follower in (None, follow.follower) and query.leader in (None, follow.leader)
    ]
    show(COLUMNS, follows, json=json, csv_=csv, empty="nobody follows anybody")
    return 0


@app.command(name="import")
def import_(
    file: Annotated[Path, Parameter(help="A .csv or .jsonl file.")], /, *, redactor: Redact, conf: Conf = None
) -> int:
    """Add or replace follows from a file: all of them, or none when a row is wrong.

    CSV needs a header: follower,leader and any settings by their path. JSON lines hold the same names.
    """
    plan = find_plan(conf, redactor)
    terms = plan.settings.terms()
    with progress("reading follows", count_lines(file)) as tell:
        follows = read_follows(file, terms, plan.settings.follows(), tell)
    ask_store(plan, lambda store: store.follows.put(follows), make=True)
    out(f"{counted(len(follows), 'follow')} imported from {file}")
    return 0


@app.command
def export(
    file: Annotated[
        Path | None, Parameter(help="Where to; - or left out, standard output.", allow_leading_hyphen=True)
    ] = None,
    /,
    *,
    format_: Annotated[
        Literal["csv", "jsonl"] | None, Parameter(name="--format", help="Default: by the file's name.")
    ] = None,
    redactor: Redact,
    conf: Conf = None,
) -> int:
    """Write all follows in a form that `import` reads."""
    plan = find_plan(conf, redactor)
    follows = ask_store(plan, lambda store: all_follows(store, plan))
    if file == Path("-"):
        file = None
    kind = format_ or ("jsonl" if file is not None and file.suffix == ".jsonl" else "csv")
    text = write_csv(follows) if kind == "csv" else "".join(f"{line}\n" for line in write_json_lines(follows))
    if file is None:
        sys.stdout.write(text)
        return 0
    try:
        file.write_text(text)
    except OSError as error:
        raise ConfigError([f"{file}: cannot be written: {error.strerror}"]) from None
    out(f"{counted(len(follows), 'follow')} written to {file}")
    return 0


async def all_follows(store: Store, plan: Plan) -> list[Follow]:
    """Return what the store holds, and what the file says that no run has put there yet."""
    _, held = await store.follows.load()
    follows = {follow.key: follow for follow in (*plan.settings.follows(), *held)}
    return [follows[key] for key in sorted(follows)]


async def _find(store: Store, name: str, plan: Plan) -> Follow | None:
    follower, _, leader = name.rpartition(":")
    wanted = (follower, leader.lower())
    return next((follow for follow in await all_follows(store, plan) if follow.key == wanted), None)


async def find_follow(store: Store, name: str, plan: Plan) -> Follow:
    """Return a follow by its name. Raises `ConfigError` when there is none."""
    found = await _find(store, name, plan)
    if found is None:
        raise ConfigError(
            [
                f'expected a follow, named FOLLOWER:LEADER, got "{name}"; they are listed by:'
                f" {suggested('follow', 'list', conf=plan.path)}"
            ]
        )
    return found


def _changeable(follow: Follow, name: str) -> Follow:
    if follow.source == "file":
        raise ConfigError([f"{name} stands in the configuration: change it there, then send SIGHUP or restart"])
    return follow


def _changes(settings: Sequence[str]) -> dict[str, object]:
    plain: dict[str, object] = {}
    for text in settings:
        path, equals, value = text.partition("=")
        if not equals:
            raise ConfigError([f'expected PATH=VALUE, such as size.ratio=0.05, got "{text}"'])
        plain[path] = parse_value(path, value)
    return plain
