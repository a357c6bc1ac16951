"""`trio-copy dlq stats | peek | replay | purge`: tasks that were under way too often when a process ended"""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, NoReturn

from cyclopts import App, Parameter

from trio_copy.accounts import DeadLetter
from trio_copy.cli.asked import asker_of, new_name
from trio_copy.cli.named_leaders import find_leaders, with_names
from trio_copy.cli.opened import Conf, ask_store, find_plan
from trio_copy.cli.output import out
from trio_copy.cli.queries import LeaderOption, TokenOption, read_query, utc, utc_short
from trio_copy.cli.redact import Redact
from trio_copy.cli.tables import Column, Csv, Json, short, show
from trio_copy.engine.books.books import dead_letters
from trio_copy.engine.people.asking import ask_all
from trio_copy.engine.people.requests import purge as purge_request
from trio_copy.engine.people.requests import replay as replay_request
from trio_copy.engine.plan import Plan
from trio_copy.errors import ConfigError
from trio_copy.model.counts import counted
from trio_copy.model.facts import FactQuery
from trio_copy.ports import Request, Store

app = App(name="dlq", help="Look at dead letters, queue them again, or forget them.")

ReasonOption = Annotated[str | None, Parameter(name="--reason", help="Only those whose reason contains this text.")]
DryRun = Annotated[bool, Parameter(name="--dry-run", negative=(), help="Only say what would be done.")]
_LETTERS: tuple[Column[DeadLetter], ...] = (
    Column("task", lambda letter: letter.task.task_id, shown=lambda name: str(name)[:12]),
    Column("follower", lambda letter: letter.task.follower),
    Column("leader", lambda letter: letter.task.signal.leader, shown=short),
    Column("token", lambda letter: str(letter.task.intent.token_id), shown=short, detail=True),
    Column("side", lambda letter: letter.task.intent.side.value),
    Column("shares", lambda letter: str(letter.task.intent.shares), right=True, detail=True),
    Column("at", lambda letter: utc(letter.at), shown=utc_short),
    Column("reason", lambda letter: letter.why, elastic=True),
)


@app.command
def stats(*, redactor: Redact, conf: Conf = None, json: Json = False, csv: Csv = False) -> int:
    """Count dead letters by their reason."""
    counts = Counter(letter.why for letter in _find(find_plan(conf, redactor), None, None))
    columns: tuple[Column[tuple[str, int]], ...] = (
        Column("letters", lambda row: row[1], right=True),
        Column("reason", lambda row: row[0], elastic=True),
    )
    show(columns, counts.most_common(), json=json, csv_=csv, empty="no dead letters")
    return 0


@app.command
def peek(
    *,
    reason: ReasonOption = None,
    leader: LeaderOption = None,
    token: TokenOption = None,
    redactor: Redact,
    conf: Conf = None,
    json: Json = False,
    csv: Csv = False,
) -> int:
    """List dead letters, oldest first; nothing is changed."""
    plan = find_plan(conf, redactor)
    names = find_leaders(plan)
    query = read_query(None, leader, token, None, None, 1, names)
    show(with_names(_LETTERS, names), _find(plan, reason, query), json=json, csv_=csv, empty="no such dead letters")
    return 0


@app.command
def replay(
    *,
    reason: ReasonOption = None,
    leader: LeaderOption = None,
    token: TokenOption = None,
    dry_run: DryRun = False,
    redactor: Redact,
    conf: Conf = None,
) -> int:
    """Queue dead letters again. What is too late ends as expired; what was sent before is never sent anew."""
    plan = find_plan(conf, redactor)
    query = read_query(None, leader, token, None, None, 1, find_leaders(plan))
    return _change("replay", reason, query, dry_run=dry_run, plan=plan)


@app.command
def purge(
    *,
    reason: ReasonOption = None,
    leader: LeaderOption = None,
    token: TokenOption = None,
    all_: Annotated[bool, Parameter(name="--all", negative=(), help="Really all of them.")] = False,
    dry_run: DryRun = False,
    redactor: Redact,
    conf: Conf = None,
) -> int:
    """Give dead letters up for good: each ends with a reason, `GIVEN_UP`. Orders that were sent for them stay in the books."""
    if not (all_ or reason or leader or token):
        _expect_choice()
    plan = find_plan(conf, redactor)
    query = read_query(None, leader, token, None, None, 1, find_leaders(plan))
    return _change("purge", reason, query, dry_run=dry_run, plan=plan)


def _expect_choice() -> NoReturn:
    raise ConfigError(["dlq purge: expected --reason, --leader, --token or --all: it cannot be undone"])


def _change(verb: str, reason: str | None, query: FactQuery, *, dry_run: bool, plan: Plan) -> int:
    async def ask(store: Store) -> tuple[int, int]:
        letters = _chosen(await dead_letters(store.history), reason, query)
        if dry_run or not letters:
            return len(letters), 0
        asker, wanted = asker_of(store, plan), replay_request if verb == "replay" else purge_request
        requests: list[tuple[int, Request]] = []
        for letter in letters:
            whose = letter.task.follower
            request = wanted(new_name(verb), whose, letter.task.task_id, asker.wall())
            requests.append((plan.shard_of(whose), request))
        return len(letters), await ask_all(asker, requests)

    found, changed = ask_store(plan, ask)
    past = {"replay": "queued again", "purge": "forgotten"}[verb]
    letters = counted(found, "dead letter")
    out(f"{letters} would be {past}" if dry_run else f"{changed} of {letters} {past}")
    return 0


def _find(plan: Plan, reason: str | None, query: FactQuery | None) -> Sequence[DeadLetter]:
    async def ask(store: Store) -> Sequence[DeadLetter]:
        return _chosen(await dead_letters(store.history), reason, query)

    return ask_store(plan, ask)


def _chosen(letters: Sequence[DeadLetter], reason: str | None, query: FactQuery | None) -> Sequence[DeadLetter]:
    return [
        letter
        for letter in letters
        if (reason is None or reason.lower() in letter.why.lower())
        and (query is None or query.leader in (None, letter.task.signal.leader))
        and (query is None or query.token_id in (None, letter.task.intent.token_id))
    ]
