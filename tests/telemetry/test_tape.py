"""What a person reads."""

import errno
import io
import os
import re
import sys

import pytest
import trio
import trio.lowlevel
from attrs import evolve
from rich.text import Text

from tests.builders import LEADER, NOW, OTHER_LEADER, TOKEN, make_signal, make_task
from trio_copy.cli.printer import Above, Printer
from trio_copy.model.decisions import Code, End, Outcome, Reason, Skip
from trio_copy.model.fills import Kind, Side
from trio_copy.model.follows import Follow
from trio_copy.model.ids import FollowerId
from trio_copy.model.layers import layer
from trio_copy.model.leader_names import LeaderNames
from trio_copy.model.orders import ExecutionReport, Status
from trio_copy.model.units import Shares, Usd
from trio_copy.model.watches import Light, Watch
from trio_copy.telemetry.observer import Finished, Observers
from trio_copy.telemetry.render import finished_object
from trio_copy.telemetry.status import EndpointStatus, Phase
from trio_copy.telemetry.status import Status as EngineStatus
from trio_copy.telemetry.tally import Tally
from trio_copy.telemetry.tape import Tape, decimals, status_lines, summary_lines, summary_row

UNTRIED = EndpointStatus(name="one", live=False, head=None, connects=0, first=0, last_error="")
REASON = Reason(code=Code.PRICE_TOO_HIGH, control="filters.price_max", value="0.95", limit="0.9")


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def tape(lines: list[str]) -> Tape:
    return Tape(lambda text: lines.append(text.plain), lambda: NOW, {TOKEN: "Rain? YES"})


def finished(**changes: object) -> Finished:
    task = make_task(make_signal(), decided_at=NOW)
    report = ExecutionReport(
        order_id=task.key,  # type: ignore[arg-type]  # any text
        status=Status.FILLED,
        shares=Shares.parse(10),
        notional=Usd.parse("5.1"),
    )
    done = Finished(
        task=task, outcome=Outcome(end=End.FILLED), report=report, started_at=NOW + 0.001, ended_at=NOW + 0.04
    )
    return done._replace(**changes)  # type: ignore[arg-type]  # by name


def test_a_trade_reads_from_the_fill_to_each_copy(tape: Tape, lines: list[str]) -> None:
    """Who traded what at which price, who copied it at which price, and why others did not."""
    signal = make_signal()
    tape.on_signal(signal, "admitted", 1, NOW)
    tape.on_finished(finished())
    tape.on_skip(Skip(signal_id=signal.signal_id, follower="bob", leader=signal.leader, reason=REASON), signal)  # type: ignore[arg-type]  # a name

    assert lines[0].endswith("0xaaaa..aaaa BUY  100 @ 0.50  Rain? YES  1 copy")
    assert lines[1] == "  alice    filled   10.00 @ 0.51  $5.10  +200 bps  40 ms  0xaaaa..aaaa  Rain? YES"
    because = "PRICE_TOO_HIGH (filters.price_max: 0.95, limit 0.9)"
    assert lines[2] == f"  bob      skipped  {because}  0xaaaa..aaaa  Rain? YES"


@pytest.mark.parametrize(
    "code, control, value, limit, told",
    [
        ("PRICE_TOO_HIGH", "filters.price_max", "0.95", "0.9", "filters.price_max: 0.95, limit 0.9"),
        ("NOTHING_TO_SELL", "ledger.position", "0", "above 0", "ledger.position: 0, limit above 0"),
        (
            "DRAINED",
            "engine.drain_s",
            "rested at the end",
            "filled before the stop",
            "engine.drain_s: rested at the end, expected filled before the stop",
        ),
        ("MODE_FORBIDS", "mode", "BUY", "halt-new: by hand", "mode: BUY, because halt-new: by hand"),
        ("MODE_FORBIDS", "mode of bob", "BUY", "run: lost", "mode of bob: BUY, because run: lost"),
        ("FOLLOW_PAUSED", "pause", "follower:bob", "a holiday", "pause: follower:bob, because a holiday"),
        ("EXIT_FIRST", "exit", "e1" * 32, "filled before it", "exit: e1e1e1..e1e1, expected filled before it"),
        ("VENUE_REFUSED", "venue", "not enough balance", "accepted", "venue: not enough balance"),
    ],
)
def test_a_reason_is_a_sentence(
    tape: Tape, lines: list[str], code: str, control: str, value: str, limit: str, told: str
) -> None:
    """What is no figure is no limit, and what somebody said when he set it was no condition."""
    signal, reason = make_signal(), Reason(code=Code[code], control=control, value=value, limit=limit)
    tape.on_skip(Skip(signal_id=signal.signal_id, follower="bob", leader=signal.leader, reason=reason), signal)  # type: ignore[arg-type]  # a name
    assert lines[-1].startswith(f"  bob      skipped  {code} ({told})  0xaaaa..aaaa")


def test_a_reason_is_told_as_whoever_shows_it_wants_it(lines: list[str]) -> None:
    """What a command in it acts on, the engine that wrote it down did not know."""
    tape = Tape(lambda text: lines.append(text.plain), lambda: NOW, {}, told=lambda text: text.replace("bob`", "me`"))
    signal, reason = make_signal(), Reason(code=Code.GUARD_REFUSED, control="w", value="", limit="`trio-copy arm bob`")
    tape.on_skip(Skip(signal_id=signal.signal_id, follower="bob", leader=signal.leader, reason=reason), signal)  # type: ignore[arg-type]  # a name
    assert "`trio-copy arm me`" in lines[-1]


def test_an_order_is_named_as_far_as_a_command_needs_it(tape: Tape, lines: list[str]) -> None:
    """It can be pasted as it stands there."""
    tape.on_step("rests", f"bob: 4 of 10 filled at 0.5: Rain? YES; for up to 300 s, order 0x{'ab' * 32}")
    assert lines[-1].endswith("  rests: bob: 4 of 10 filled at 0.5: Rain? YES; for up to 300 s, order 0xabababab")


def test_no_copy_stands_under_the_trade_of_another_leader(tape: Tape, lines: list[str]) -> None:
    """Where another one's trade came between, the leader's own is told again first."""
    tape.on_signal(make_signal(), "admitted", 1, NOW)
    tape.on_signal(make_signal(2, leader=OTHER_LEADER), "admitted", 1, NOW)
    tape.on_finished(finished())
    tape.on_retracted(make_signal(2, leader=OTHER_LEADER), 0, 0)
    tape.on_finished(finished())

    assert [(line[10:22] if line[2] == ":" else "copy") for line in lines] == [
        "0xaaaa..aaaa",
        "0xbbbb..bbbb",
        "0xaaaa..aaaa",
        "copy",
        "reorg 0xbbbb",
        "0xaaaa..aaaa",
        "copy",
    ]
    assert lines[2].endswith("Rain? YES  goes on")


@pytest.mark.parametrize("width", [80, 120, 200])
@pytest.mark.parametrize("answer", ["YES", "NO"])
def test_a_copy_says_its_leader_and_market_on_every_terminal(lines: list[str], width: int, answer: str) -> None:
    """No line is too long, and what was answered is never what is cut off."""
    question = "Will the Los Angeles Lakers win the championship in the season of 2026-2027?"
    tape = Tape(
        lambda text: lines.append(text.plain), lambda: NOW, {TOKEN: f"{question} {answer}"}, width=lambda: width
    )
    signal = make_signal()
    tape.on_signal(signal, "admitted", 1, NOW)
    tape.on_finished(finished())
    tape.on_skip(Skip(signal_id=signal.signal_id, follower="bob", leader=signal.leader, reason=REASON), signal)  # type: ignore[arg-type]  # a name

    assert max(len(line.rstrip()) for line in lines) <= width
    assert sum(answer in line for line in lines) == 3
    assert sum(f"0xaaaa..aaaa  {question[:4]}" in line for line in lines) == 2
    assert any("40 ms" in line for line in lines) == (width >= 120)


def test_an_exit_of_ones_own_is_no_act_of_the_leader(tape: Tape, lines: list[str]) -> None:
    """The step says whose rule it is; what comes of it does not stand there as a copy of whatever the leader did last."""
    signal = make_signal(2, kind=Kind.EXIT)
    tape.on_signal(make_signal(), "admitted", 1, NOW)
    tape.on_signal(signal, "admitted", 1, NOW)
    tape.on_step("exit", "leaving.take_profit_bps takes alice out of Rain? YES at 0.5")
    tape.on_finished(finished(task=make_task(signal, decided_at=NOW)))
    tape.on_finished(finished())

    assert [(line[10:22] if line[2] == ":" else "copy") for line in lines] == [
        "0xaaaa..aaaa",
        "exit: leavin",
        "copy",
        "0xaaaa..aaaa",
        "copy",
    ]
    assert lines[2].endswith("own exit  Rain? YES")
    assert lines[4].endswith("0xaaaa..aaaa  Rain? YES")


@pytest.mark.parametrize("width", [40, 80, 120])
def test_what_is_longer_than_a_line_goes_on_below_it(lines: list[str], width: int) -> None:
    """Nothing is lost, nothing is too wide, and a row of the summary still looks like one."""
    detail = "a venue that answers " + "and answers " * 20 + "x" * 150
    tape = Tape(lambda text: lines.append(text.plain), lambda: NOW, {}, width=lambda: width)
    tape.on_alert("odd", detail)
    rows = [line.plain for line in summary_row("chain", detail, width)]
    for shown, indent in ((lines, 10), (rows, 11)):
        assert max(map(len, shown)) <= width
        assert all(line[:indent].isspace() for line in shown[1:])
        assert "".join("".join(shown).split()).endswith("".join(detail.split()))


def test_a_trade_without_a_price_has_no_slippage(tape: Tape, lines: list[str]) -> None:
    """The sizing takes it for one dollar a share; what the copy cost is not measured against that."""
    done = finished(task=make_task(make_signal(price=None), decided_at=NOW))
    tape.on_finished(done)

    assert "bps" not in lines[-1]
    assert finished_object(done)["slippage_bps"] is None
    assert finished_object(finished())["slippage_bps"] == 200


def test_a_leader_with_a_name_is_called_by_it(lines: list[str]) -> None:
    """On the tape alone, and before what is left of his address where a text tells it."""
    names, signal = LeaderNames(), make_signal()
    names.note(Follow(follower=FollowerId("bob"), leader=LEADER, own=layer({"name": "Big Fish"})))
    tape = Tape(lambda text: lines.append(text.plain), lambda: NOW, {}, names)
    observers = Observers([tape], names.in_text)
    observers.on_signal(signal, "admitted", 1, NOW)
    observers.on_retracted(signal, 1, 0)
    observers.on_alert("unknown-follower", f"zoe copies {LEADER}, not {OTHER_LEADER}, in 0x{'a' * 64}")

    assert " Big Fish BUY  100 @ 0.50 " in lines[0]
    assert "reorg Big Fish BUY taken back" in lines[1]
    assert lines[2].endswith(f"zoe copies Big Fish (0xaaaa..aaaa), not {OTHER_LEADER}, in 0x{'a' * 64}")


def test_an_alert_speaks_for_those_like_it(tape: Tape, lines: list[str]) -> None:
    """One per kind and object, whatever its figures; how many more is told when its time is over, and at the end."""
    now = 0.0
    observers = Observers([tape], wall=lambda: now, alert_every_s=60.0)
    told = [("late-log", "block 90000001 of one, 3 logs"), ("late-log", "block 90000001 of one, 4 logs")]
    others = [("late-log", "block 90000001 of node2, 3 logs"), ("unreadable", "block 90000001 of one, 3 logs")]
    for kind, detail in (*told, *others, told[0]):
        observers.on_alert(kind, detail)
    assert [line.partition("alert ")[2] for line in lines] == [
        f"{kind}: {detail}" for kind, detail in (told[0], *others)
    ]
    for _ in range(2):
        observers.on_alert("mode", "engine: halt-new: why")  # how things stand is told each time
    assert len(lines) == 5
    now = 59.0
    observers.look()
    assert len(lines) == 5
    now = 61.0
    observers.look()
    assert lines[5].endswith("late-log: block 90000001 of one, 3 logs (2 more within 61 s)")
    assert len(lines) == 6
    for kind, detail in (told[0], others[0], others[0]):  # the first goes on, the second begins anew
        observers.on_alert(kind, detail)
    assert lines[6].endswith(others[0][1])
    observers.look(end=True)
    assert [line.partition("alert ")[2] for line in lines[7:]] == [
        "late-log: block 90000001 of one, 3 logs (1 more within 0 s)",
        "late-log: block 90000001 of node2, 3 logs (1 more within 0 s)",
    ]
    always = Observers([tape])
    lines.clear()
    for _ in range(2):
        always.on_alert(*told[0])
    assert len(lines) == 2


def test_trouble_reads_as_one_line_each(tape: Tape, lines: list[str]) -> None:
    """Reorgs, alerts, quarantined input and refusals are told in words."""
    signal = make_signal(side=Side.SELL, price=None, token_id=10**30)
    tape.on_signal(signal, "adopted", 0, NOW)
    tape.on_signal(signal, "duplicate", 0, NOW)
    tape.on_signal(signal, "admitted", 0, NOW)
    tape.on_retracted(signal, 1, 2)
    tape.on_alert("endpoint-lost", "one: closed")
    tape.on_quarantined("malformed-log", "too short")
    tape.on_finished(finished(report=None, outcome=Outcome(end=End.EXPIRED, reason=REASON)))
    tape.on_step("armed", "at block 3")
    because = "PRICE_TOO_HIGH (filters.price_max: 0.95, limit 0.9)"
    texts = [line[10:] if line[2] == ":" else line.strip() for line in lines]

    assert texts == [
        "0xaaaa..aaaa SELL 100 no price  token 10000..0000  mined again",
        "0xaaaa..aaaa SELL 100 no price  token 10000..0000  nobody copies",
        "reorg 0xaaaa..aaaa SELL taken back; 1 copy waits, 2 under way",
        "alert endpoint-lost: one: closed",
        "alert unusable input, malformed-log: too short",
        f"alice    expired  {because}  0xaaaa..aaaa  Rain? YES",
        "armed: at block 3",
    ]


def engine_status(**changes: object) -> EngineStatus:
    status = EngineStatus(
        name="demo",
        trading="paper",
        mode="run",
        shard="1/1",
        block=7,
        feed_age_s=0.4,
        endpoints=(EndpointStatus(name="one", live=True, head=7, connects=1, first=3, last_error=""),),
        leaders=1,
        follows=2,
        queued=0,
        peak=0,
        suspended=0,
        dead=0,
        busy=1,
        unknown=0,
        left=0,
        late_logs=0,
        reorgs=0,
        quarantined=0,
    )
    return evolve(status, **changes)  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("name", ["demo", "a-name-as-long-as-somebody-likes-to-make-it-and-then-some"])
def test_a_terminal_shows_the_whole_status(width: int, name: str) -> None:
    """Also with the long numbers of a real chain and a long name: nothing is cut off, and no line is too long."""
    tally = Tally(signals=12_345, tasks=1_234_567)
    status = engine_status(name=name, block=81_234_567, queued=5000, busy=500, unknown=12)
    lines = [line.plain for line in status_lines(status, tally, width - 1)]

    assert max(map(len, lines)) < width
    for part in (
        "paper run",
        "shard 1/1",
        "block 81234567",
        "feed 0.4 s",
        "1/1 nodes",
        "queue 5000 busy 500 unproven 12",
    ):
        assert part in "\n".join(lines)
    assert any("signals 12345 tasks 1234567" in line for line in lines)
    assert lines[0].startswith(name[:24])


def test_the_status_is_one_line_in_a_pipe() -> None:
    """What matters first; trouble changes its colour."""
    tally = Tally()
    tally.on_finished(finished())
    (status,) = status_lines(engine_status(), tally)

    assert status.plain == (
        "demo paper run | shard 1/1 | block 7 | feed 0.4 s | 1/1 nodes | queue 0 busy 1"
        " | signals 0 tasks 0 done 1 skipped 0 | decide 0.0/0.0 copy 40/40 ms p50/p99"
    )
    dead = status_lines(engine_status(endpoints=(), feed_age_s=None, unknown=3), tally)[0]
    assert "no feed | NO NODE, NOTHING IS FOLLOWED" in dead.plain
    assert "unproven 3" in dead.plain
    assert "shard 1/1 | not armed | feed" in status_lines(engine_status(block=None), tally)[0].plain
    assert dead.style != status.style
    assert status_lines(engine_status(name="paper"), tally)[0].plain.startswith("paper run | shard")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"phase": Phase.DRAINING, "left": 3}, "| draining, 3 copies left |"),
        ({"phase": Phase.PROVING, "unknown": 1}, "| waits for proof of 1 order |"),
        ({"phase": Phase.PAUSED}, "| no shard here, nothing to follow |"),
        ({"endpoints": (UNTRIED,)}, "| connecting |"),
    ],
)
def test_who_closed_the_intake_on_purpose_misses_no_node(changes: dict[str, object], says: str) -> None:
    """A drain, a wait for proofs, a pause and the first moment are no alarm."""
    away = engine_status(**{"endpoints": (evolve(UNTRIED, connects=1),), **changes})
    shown = status_lines(away, Tally())[0]

    assert says in shown.plain
    assert "NO NODE" not in shown.plain
    assert shown.style == status_lines(engine_status(), Tally())[0].style
    lost = status_lines(engine_status(endpoints=(evolve(UNTRIED, last_error="refused"),)), Tally())[0]
    assert "NO NODE" in lost.plain


def test_the_status_shows_what_is_red_and_what_halts() -> None:
    """Something red changes the colour and is counted; a halt of entries is said in words."""
    watch = Watch(name="head_age_s", endpoint="one", light=Light.RED, value=12.0, limit=10.0)
    fine, red = status_lines(engine_status(), Tally())[0], status_lines(engine_status(watches=(watch,)), Tally())[0]
    halted = status_lines(engine_status(halted="watchdog.clock: 8.1 s ahead, limit 5 s"), Tally())[0]

    assert "1/1 nodes, 1 RED" in red.plain
    assert "NO ENTRIES, watchdog.clock: 8.1 s ahead, limit 5 s" in halted.plain
    assert fine.style != red.style == halted.style


def test_the_summary_accounts_for_everything() -> None:
    """Signals, tasks by their ends, reasons, money and the chain."""
    tally = Tally()
    tally.on_finished(finished())
    tally.on_booked((1, 5_100_000, 0, 0, 0, 0))
    status = engine_status(left_out={"a book": 3})
    text = "\n".join(line.plain for line in summary_lines(status, tally, 0, 2, 3))

    for part in (
        "left out   of what the venue wrote, for it could not be read or believed: 3 x a book",
        "1 filled; 2 left in the queue, 0 lost, 3 UNPROVEN",
        "bought $5.10, sold $0.00 (paper)",
        "nothing was refused",
    ):
        assert part in text
    unknown = "\n".join(line.plain for line in summary_lines(status, tally, None, 2, 3))
    assert "2 left in the queue, the rest with the accounts that went to other instances, 3 UNPROVEN" in unknown


@pytest.mark.parametrize(
    ("micro", "text"),
    [
        (0, "0.00"),
        (1_234_567_890, "1,234.57"),
        (-2_500_000, "-2.50"),
        (45_000, "0.045"),
        (510_000, "0.51"),
        (1, "0.000001"),
    ],
)
def test_shares_and_prices_are_written_for_people(micro: int, text: str) -> None:
    """Two decimals where they say enough, all of them where they do not."""
    assert text == decimals(micro)


async def test_a_terminal_gets_the_status_under_the_tape(capsys: pytest.CaptureFixture[str]) -> None:
    """The live line is redrawn below what scrolls, and gone at the end."""
    printer = Printer(sys.stdout, live=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(printer.run)
        printer.status(Text("status one"), Text("second"))
        printer.text(Text("first line", style="green"))
        await trio.lowlevel.checkpoint()
        printer.status(Text("status two"), Text("second"))
        printer.finish()
    output = capsys.readouterr().out
    assert "first line" in output
    assert output.index("status one") < output.index("first line")
    assert "\x1b[" in output


async def test_what_is_said_on_standard_error_stands_above_the_status(capsys: pytest.CaptureFixture[str]) -> None:
    """Logs come in pieces, plugins print from threads of their own: none of it runs into the status line."""
    printer = Printer(sys.stdout, live=True)
    above = Above(printer, sys.stderr)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(printer.run)
        printer.status(Text("status one"))
        above.write("half a ")
        above.write("line\nand ")
        await trio.to_thread.run_sync(above.write, "more\n\x1b[2Jrest")
        printer.status(Text("status two"))
        printer.finish()
        above.write("afterwards")
    said = capsys.readouterr()
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said.out).splitlines()

    assert [line for line in lines if line and "status" not in line] == ["half a line", "and more", "rest"]
    assert "\x1b[2J" not in said.out
    assert said.err == "afterwards"


async def test_a_reader_that_cannot_keep_up_costs_lines_not_time(capsys: pytest.CaptureFixture[str]) -> None:
    """Beyond a megabyte that nobody took, lines are dropped and counted."""
    printer = Printer(sys.stdout, live=False)
    for _ in range(3000):
        printer.line("x" * 1000)
    assert printer.dropped > 0
    printer.finish()
    await printer.run()
    assert len(capsys.readouterr().out) < 2 << 20


class _Failing(io.StringIO):
    """Takes nothing as long as it has an error."""

    failure: OSError | None

    def __init__(self, number: int) -> None:
        super().__init__()
        self.failure = OSError(number, os.strerror(number))

    def write(self, text: str) -> int:
        if self.failure is not None:
            raise self.failure
        return super().write(text)

    def fileno(self) -> int:
        raise AssertionError("expected nothing to be done to the stream")


async def test_a_closed_output_is_noticed() -> None:
    """When a terminal has gone, `closed` tells the engine to drain."""
    printer = Printer(_Failing(errno.EIO), live=False)
    printer.line("hello")
    printer.finish()
    await printer.run()
    assert printer.closed.is_set()
    assert not printer.failed.is_set()


async def test_a_full_disk_costs_lines_and_no_trades(nursery: trio.Nursery) -> None:
    """What it did not take is counted, and what comes once there is room is written."""
    disk = _Failing(errno.ENOSPC)
    printer = Printer(disk, live=False)
    nursery.start_soon(printer.run)
    printer.line("one")
    printer.line("two")
    await printer.failed.wait()
    disk.failure = None
    printer.line("three")
    printer.finish()
    await printer.wait_written()

    assert not printer.closed.is_set()
    assert (printer.dropped, printer.failure, disk.getvalue()) == (2, "No space left on device", "three\n")
