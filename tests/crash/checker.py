"""Reads what the chain and the venue did and what the file says, and finds what does not fit together."""

import sqlite3
from collections import Counter, defaultdict
from pathlib import Path

import msgspec
from attrs import define, field

from tests.builders import LEADER
from tests.crash.world import CALLED_OFF, FOLLOWERS, Script
from trio_copy.chain.decoders.order_filled import V2_TOPIC
from trio_copy.chain.decoders.words import address_topic
from trio_copy.model.decisions import CopyTask, Outcome
from trio_copy.model.orders import ExecutionReport, Order
from trio_copy.model.positions import EntryKind, LedgerEntry, Position, PositionKey, fold
from trio_copy.records import decode
from trio_copy_dry_run.venue_file import VenueFile
from trio_copy_sqlite.positions import read_positions

_FILLED = ("filled", "partial", "gathered")


@define
class Verdict:
    """What is wrong with one history; each list holds sentences."""

    lost: list[str] = field(factory=list)
    """Fills of the leader without a task or a skip, and tasks without an end."""
    doubled: list[str] = field(factory=list)
    """Fills of the leader that a follower paid for twice."""
    wrong: list[str] = field(factory=list)
    """Records that say something else than the venue, and budgets that do not add up."""

    def __bool__(self) -> bool:
        """Tell whether anything is wrong."""
        return bool(self.lost or self.doubled or self.wrong)


@define(eq=False)
class History:
    """Everything that is left when the last process has ended."""

    truth: dict[str, int]
    """The leader's orders on the chain, by hash, with their blocks."""
    armed: int | None
    venue: list[tuple[Order, ExecutionReport, bool, float]]
    """What the venue took: order, report, whether its settlement failed, and when."""
    db: sqlite3.Connection
    verdict: Verdict = field(factory=Verdict)
    positions: dict[PositionKey, Position] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.positions = read_positions(self.db)

    def check(self) -> Verdict:
        """Look at everything."""
        self._every_fill_was_decided()
        self._every_task_ended()
        self._nothing_was_paid_twice()
        self._records_say_what_the_venue_says()
        self._budgets_add_up()
        self._nothing_was_bought_that_he_had_sold()
        return self.verdict

    def _every_fill_was_decided(self) -> None:
        if self.armed is None:
            return
        decided = {
            (_order_hash(record), follower)
            for table in ("tasks", "skips")
            for record, follower in self.db.execute(
                f"SELECT s.record, x.follower FROM {table} x JOIN signals s ON s.signal_id = x.signal_id"
            )
        }
        for order_hash, block in self.truth.items():
            for follower in FOLLOWERS:
                if block > self.armed and (order_hash, follower) not in decided:
                    self.verdict.lost.append(f"nobody decided about {order_hash} for {follower}")

    def _every_task_ended(self) -> None:
        for task, state in self.db.execute("SELECT task_id, state FROM tasks WHERE state != 'ended'"):
            self.verdict.lost.append(f"task {task} never ended: {state}")

    def _nothing_was_paid_twice(self) -> None:
        known = self._orders()
        paid: dict[tuple[str, str], set[str]] = defaultdict(set)
        for order, report, failed, at in self.venue:
            if order.order_id not in known:
                self.verdict.wrong.append(f"the venue has {order.order_id}, the journal has not")
                continue
            task = known[order.order_id]
            if report.shares and not failed:
                paid[str(task.signal.order_hash), task.follower].add(order.order_id)
            if at > task.deadline + 1:
                self.verdict.wrong.append(f"{order.order_id} was sent {at - task.deadline:.0f} s after its deadline")
        for (order_hash, follower), orders in paid.items():
            if len(orders) > 1:
                self.verdict.doubled.append(f"{follower} paid {len(orders)} orders for {order_hash}")

    def _records_say_what_the_venue_says(self) -> None:
        entries = [decode(text, LedgerEntry) for (text,) in self.db.execute("SELECT record FROM entries ORDER BY seq")]
        reversed_keys = {entry.of for entry in entries if entry.kind is EntryKind.REVERSE}
        booked = {entry.key: entry for entry in entries if entry.kind is EntryKind.FILL}
        filled = {order.key: report for order, report, failed, _ in self.venue if report.shares and not failed}
        for key, report in filled.items():
            entry = booked.get(key)
            if entry is None or key in reversed_keys:
                self.verdict.wrong.append(f"the venue filled {report.order_id}, the ledger does not say so")
            elif (entry.shares, entry.notional, entry.fee) != (report.shares, report.notional, report.fee):
                self.verdict.wrong.append(f"the ledger has other figures for {report.order_id} than the venue")
        for unfounded in booked.keys() - filled.keys() - reversed_keys:
            self.verdict.wrong.append(f"the ledger has a fill that never happened: {unfounded}")
        self._ends_fit(set(filled), {order.key for order, report, failed, _ in self.venue if failed})
        self._positions_are_folds(entries)

    def _ends_fit(self, filled: set[str], failed: set[str]) -> None:
        rows = self.db.execute("SELECT task_id, outcome FROM tasks WHERE state = 'ended'").fetchall()
        for task, outcome in rows:
            keys = {
                key
                for (key,) in self.db.execute(
                    "SELECT key FROM orders WHERE task_id = ? UNION SELECT key FROM order_members WHERE task_id = ?",
                    (task, task),
                )
            }
            end = decode(outcome, Outcome).end.value
            if bool(keys & filled) and end not in _FILLED:
                self.verdict.wrong.append(f"task {task} was filled and ended as {end}")
            if end in ("filled", "partial") and not keys & (filled | failed):
                self.verdict.wrong.append(f"task {task} ended as {end} and was never filled")

    def _positions_are_folds(self, entries: list[LedgerEntry]) -> None:
        by_position = defaultdict(list)
        for entry in entries:
            by_position[entry.position].append(entry)
        for (follower, leader, token), mine in by_position.items():
            if self.positions.get((follower, leader, token)) != fold(mine):
                self.verdict.wrong.append(f"the position of {follower} in {token} is not the fold of its entries")

    def _budgets_add_up(self) -> None:
        for key, counter in self.db.execute("SELECT key, counter FROM claims"):
            self.verdict.wrong.append(f"{key} still holds a piece of {counter}")
        for follower in FOLLOWERS:
            positions = [held for key, held in self.positions.items() if key[0] == follower]
            wanted = Counter(
                {
                    f"open:{follower}": sum(position.cost.micro for position in positions),
                    f"open:{follower}:positions": sum(bool(position.lots) for position in positions) * 1_000_000,
                }
            )
            for counter, used in wanted.items():
                row = self.db.execute("SELECT used FROM counters WHERE counter = ?", (counter,)).fetchone()
                if (0 if row is None else row[0]) != used:
                    self.verdict.wrong.append(f"{counter} says {row}, the positions say {used}")

    def _nothing_was_bought_that_he_had_sold(self) -> None:
        for order, _, _, _ in self.venue:
            if order.token_id == CALLED_OFF:
                self.verdict.wrong.append(f"{order.order_id} buys or sells what was called off")

    def _orders(self) -> dict[str, CopyTask]:
        return {
            order_id: decode(text, CopyTask) for order_id, text in self.db.execute("SELECT order_id, task FROM orders")
        }


def check_history(folder: Path) -> Verdict:
    """Check what is left in a folder."""
    path = folder / "store.db"
    if not path.exists():
        return Verdict(lost=["there is no file"])
    db = sqlite3.connect(path)
    try:
        return History(_truth(), _armed(folder), list(_venue(folder)), db).check()
    finally:
        db.close()


def _truth() -> dict[str, int]:
    script = Script()
    while not script.over:
        script.catch_up(script.due)
    return {
        str(log.topics[1]): block.ref.number
        for block in script.chain.blocks
        for log in block.logs
        if log.topics[0] == V2_TOPIC and log.topics[2] == address_topic(LEADER)
    }


def _armed(folder: Path) -> int | None:
    path = folder / "events.jsonl"
    events = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []
    blocks = [int(event["detail"].split()[2].rstrip(";")) for event in events if event["event"] == "armed"]
    return min(blocks, default=None)


def _venue(folder: Path) -> list[tuple[Order, ExecutionReport, bool, float]]:
    return [
        (decode(bytes(line.order), Order), decode(bytes(line.report), ExecutionReport), line.fails, line.at)
        for line in VenueFile(folder / "venue.jsonl").lines()
    ]


def _order_hash(record: str) -> str:
    return str(msgspec.json.decode(record)["order_hash"])
