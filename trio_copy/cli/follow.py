"""`trio-copy follow add | set | remove | list | import | export`"""

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

from attrs import evolve
from cyclopts import App, Parameter

from trio_copy.cli.follow_changes import Change, changes, tell_changes
from trio_copy.cli.follow_files import STANDARD_INPUT, as_typed, make_follow, read_follows, write_csv, write_json_lines
from trio_copy.cli.follow_lookup import all_follows, changeable, find, find_follow, plain_changes
from trio_copy.cli.follow_set import set_
from trio_copy.cli.named_leaders import find_leaders, read_leader, with_names
from trio_copy.cli.opened import Conf, ask_store, find_plan
from trio_copy.cli.output import out
from trio_copy.cli.progress import progress
from trio_copy.cli.queries import FollowerOption, LeaderOption, nothing, read_query
from trio_copy.cli.redact import Redact
from trio_copy.cli.suggest import suggested
from trio_copy.cli.tables import Column, Csv, Json, show
from trio_copy.config.lines import count_lines
from trio_copy.config.strict import structure_layer
from trio_copy.engine.books.books import open_orders, positions
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
FollowName = Annotated[str, Parameter(help="FOLLOWER:LEADER, the leader by address or name.", show_default=False)]
_Change = Annotated[tuple[str, ...], Parameter(help="PATH=VALUE, several if you like.", show_default=False)]


@app.command
def add(
    follower: Annotated[str, Parameter(help="Id of the account that copies.")],
    leader: Annotated[str, Parameter(help="Wallet whose trades are copied, or the name it has.")],
    settings: _Change = (),
    /,
    *,
    redactor: Redact,
    conf: Conf = None,
) -> int:
    """Let a follower copy a leader."""
    plan = find_plan(conf, redactor)
    terms = plan.settings.terms()
    with suppress(ValueError):  # what is wrong with it is said of the follow
        leader = leader if leader.lower().startswith("0x") else read_leader(leader, find_leaders(plan))
    follow = make_follow(follower, leader, structure_layer(plain_changes(settings)), terms)

    async def put(store: Store) -> None:
        if (known := await find(store, follow.name, plan)) is not None:
            changeable(known, follow.name)
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


app.command(set_, name="set")


@app.command
def remove(name: FollowName, /, *, redactor: Redact, conf: Conf = None) -> int:
    """End a follow. What happens to open positions is `leaving.when_unfollowed`: keep, exits, or close."""
    plan = find_plan(conf, redactor)
    terms = plan.settings.terms()

    async def take_out(store: Store) -> str:
        follow = changeable(await find_follow(store, name, plan), name)
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
        lambda row: " ".join(f"{path}={as_typed(value)}" for path, value in plain_layer(row.own).items()),
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
    plan = find_plan(conf, redactor)
    names = find_leaders(plan)
    query = read_query(follower, leader, None, None, None, 1, names)
    follows = [
        follow
        for follow in ask_store(plan, lambda store: all_follows(store, plan))
        if query.follower in (None, follow.follower) and query.leader in (None, follow.leader)
    ]
    none = "nobody follows anybody" if follower is leader is None else "nobody follows anybody like that"
    empty = nothing(none, plan, follower)
    show(with_names(COLUMNS, names, whole=True), follows, json=json, csv_=csv, empty=empty)
    return 0


@app.command(name="import")
def import_(
    file: Annotated[Path, Parameter(help="A .csv or .jsonl file; - for standard input.", allow_leading_hyphen=True)],
    /,
    *,
    diff: Annotated[bool, Parameter(negative=(), help="Only show what would be added or changed.")] = False,
    redactor: Redact,
    conf: Conf = None,
) -> int:
    """Add or replace follows from a file: all of them, or none when a row is wrong.

    CSV needs a header: follower,leader and any settings by their path. JSON lines hold the same names. On standard input,
    what begins with { is JSON lines.
    """
    plan = find_plan(conf, redactor)
    terms = plan.settings.terms()
    with progress("reading follows", 0 if file == STANDARD_INPUT else count_lines(file)) as tell:
        follows = read_follows(file, terms, plan.settings.follows(), tell)

    async def put(store: Store) -> Sequence[Change]:
        _, held = await store.follows.load() if diff else (0, ())
        if not diff:
            await store.follows.put(follows)
        return tuple(changes(held, follows)) if diff else ()

    found = ask_store(plan, put, make=not diff)
    tell_changes(found, find_leaders(plan))
    whence = "standard input" if file == STANDARD_INPUT else file
    if diff:
        new = sum(old is None for old, _ in found)
        same = len(follows) - len(found)
        out(f"{whence}: {new} new, {len(found) - new} changed, {same} as they are; nothing was imported")
    else:
        out(f"{counted(len(follows), 'follow')} imported from {whence}")
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
    if file == Path("-"):
        file = None
    if file is not None and format_ is None and file.suffix not in (".csv", ".jsonl"):
        raise ConfigError([f"{file}: expected a name that ends in .csv or .jsonl, or --format"])
    follows = ask_store(plan, lambda store: all_follows(store, plan))
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
