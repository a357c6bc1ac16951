"""A configuration with a store in a file, and what little is in it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import evolve

from tests.builders import LEADER, NOW, make_signal, make_task
from tests.cli.filled import Owner, open_owner
from trio_copy.accounts.commands import Pass
from trio_copy.accounts.names import position_name
from trio_copy.cli.opened import ask_store
from trio_copy.engine.plan import load_plan
from trio_copy.engine.shards.marks import plain_mark
from trio_copy.model.decisions import Code, CopyTask, Reason, Skip
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId
from trio_copy.model.positions import Mark
from trio_copy.model.units import Price, Shares
from trio_copy.ports import Document, Store
from trio_copy.records import write_plain

Capture = pytest.CaptureFixture[str]
CONF = """
[chain]
chain_id = 137
[devnet]
[store.sqlite]
path = "{path}"
[executor.dry-run]
[decoder.order-filled]
[defaults.caps]
max_order_usd = 50
[[follower]]
id = "alice"
executor = "dry-run"
[[follower]]
id = "*"
executor = "dry-run"
[[follow]]
follower = "alice"
leader = "{leader}"
[follow.size]
ratio = 0.05
"""


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration whose file of books exists already."""
    path = tmp_path / "conf.toml"
    path.write_text(CONF.format(path=tmp_path / "books.db", leader=LEADER))
    monkeypatch.setenv("TRIO_COPY_CONF", str(path))
    fill(path, lambda store: store.follows.put(load_plan(path).settings.follows()), make=True)
    return path


def fill(conf: Path, work: Callable[[Store], Any], *, make: bool = False) -> Any:
    """Do something with the file as a command would; the first time, as an engine."""
    plan = load_plan(conf)
    if not make:
        return ask_store(plan, work)

    async def run() -> Any:
        async with open_owner(plan) as owner:
            return await work(owner.store)

    return trio.run(run)


def own(conf: Path, work: Callable[[Owner], Any]) -> Any:
    """Do something with the accounts in the file as their owner would, and write it."""

    async def run() -> Any:
        async with open_owner(load_plan(conf)) as owner:
            return work(owner)

    return trio.run(run)


def rows(capsys: Capture) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def trade_a_little(owner: Owner) -> str:
    """Alice buys twice and sells once; bob is refused; returns the id of the first task."""
    buy, more, sell = (make_task(make_signal(number)) for number in (1, 2, 3))
    sell = make_task(make_signal(3, side=Side.SELL))
    sell = evolve(sell, intent=evolve(sell.intent, sell="sized", shares=Shares.parse("15")))
    for number, (task, shares, dollars) in enumerate(((buy, "10", "5"), (more, "10", "7"), (sell, "15", "12"))):
        owner.fill(task, shares=shares, dollars=dollars, fee="0.1", at=NOW + number)
    reason = Reason(code=Code.PRICE_TOO_HIGH, control="filters.price_max", value="0.99", limit="0.9")
    skip = Skip(signal_id=buy.signal.signal_id, follower=FollowerId("bob"), leader=LEADER, reason=reason)
    owner.do("bob", Pass(skip=skip, signal=buy.signal, at=NOW))
    mark = Mark(price=Price.parse("0.9"), peak=Price.parse("1"), at=NOW)
    name = position_name((LEADER, buy.intent.token_id))
    owner.documents.append(Document(FollowerId("alice"), "mark", name, write_plain(plain_mark(mark))))
    return buy.task_id


def place(owner: Owner, task: CopyTask) -> None:
    owner.place(task)
