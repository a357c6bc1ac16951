"""A folder in which the commands of the texts can be typed as they stand: configurations, books, recordings."""

import json
import shutil
from pathlib import Path

import pytest
import trio

from tests.builders import NOW, make_signal, make_task
from tests.cli.filled import open_owner
from tests.docs.commands import ROOT
from tests.past import record_market
from trio_copy.accounts.commands import Pass
from trio_copy.accounts.names import position_name
from trio_copy.chain.decoders.order_filled import V2_TOPIC
from trio_copy.chain.decoders.words import address_topic
from trio_copy.engine.plan import load_plan
from trio_copy.engine.shards.marks import plain_mark
from trio_copy.model.decisions import Code, Reason, Skip
from trio_copy.model.ids import Address, FollowerId
from trio_copy.model.positions import Mark
from trio_copy.model.units import Price
from trio_copy.ports import Document
from trio_copy.records import write_plain

FIRST, SECOND = (
    Address(leader.lower())
    for leader in ("0xa697d0b3FFf7D285a0F92d6Ee03a7f97809E59d5", "0x6031B6eed1C97e853c6e0F03Ad3ce3529351F96d")
)
MAIN = FollowerId("main")


def furnish(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Put everything there that the texts take for granted, and go there; returns the id of a task in the books."""
    monkeypatch.chdir(folder)
    shutil.copytree(ROOT / "conf", folder / "conf")
    for name in ("demo", "books"):
        conf = folder / "conf" / f"{name}.toml"
        quick = conf.read_text().replace("block_every_s = 1.0", "block_every_s = 0.03")
        conf.write_text(
            quick.replace("faults_bps = 1000", "faults_bps = 0")
        )  # a venue that loses answers is waited for
    record_market(folder / "week.rec", [SECOND, FIRST], 60)
    (folder / "receipt.json").write_text(json.dumps({"status": 1, "logs": _logs()}))
    (folder / "follows.csv").write_text(f"follower,leader,size.ratio\nzoe,{FIRST},0.02\n")
    (folder / "follows.jsonl").write_text(json.dumps({"follower": "yan", "leader": FIRST, "size.ratio": 0.02}) + "\n")
    return trio.run(_trade_a_little, folder / "conf" / "prod.toml")


async def _trade_a_little(conf: Path) -> str:
    async with open_owner(load_plan(conf)) as owner:
        tasks = [make_task(make_signal(number, leader=FIRST), "main") for number in (1, 2, 3)]
        for number, task in enumerate(tasks):
            owner.fill(task, shares="10", dollars=f"{5 + number}", fee="0.1", at=NOW + number)
            owner.look(task, "10", "5.1", "5.2", None, at=NOW + number)
        signal = make_signal(4, leader=FIRST)
        reason = Reason(code=Code.PRICE_TOO_HIGH, control="filters.price_max", value="0.99", limit="0.9")
        owner.do(
            "main",
            Pass(
                skip=Skip(signal_id=signal.signal_id, follower=MAIN, leader=FIRST, reason=reason), signal=signal, at=NOW
            ),
        )
        mark = Mark(price=Price.parse("0.9"), peak=Price.parse("1"), at=NOW)
        name = position_name((FIRST, signal.token_id))
        owner.documents.append(Document(MAIN, "mark", name, write_plain(plain_mark(mark))))
    return tasks[0].task_id


def _logs() -> list[object]:
    """Return logs as a node writes them."""
    exchange, order = "0xe111180000d2663c0091e4f400237545b87b996b", "0x" + "a1".rjust(64, "0")
    words = (0, 777, 50_000_000, 100_000_000, 0, 0, 0)
    return [
        {
            "address": exchange,
            "topics": [V2_TOPIC, order, address_topic(FIRST), address_topic(Address(exchange))],
            "data": "0x" + "".join(f"{word:064x}" for word in words),
            "blockNumber": "0x56a1d06",
            "blockHash": "0x" + "b" * 64,
            "transactionHash": "0x" + "c" * 64,
            "transactionIndex": "0x0",
            "logIndex": "0x0",
            "removed": False,
        }
    ]
