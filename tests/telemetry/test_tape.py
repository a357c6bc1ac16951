"""What a person reads."""

import sys

import pytest
import trio
import trio.lowlevel
from attrs import evolve
from rich.text import Text

from tests.builders import LEADER, NOW, OTHER_LEADER, TOKEN, make_signal, make_task
from trio_copy.cli.printer import Printer
from trio_copy.model.decisions import Code, End, Outcome, Reason, Skip
from trio_copy.model.fills import Side
from trio_copy.model.follows import Follow
from trio_copy.model.ids import FollowerId
from trio_copy.model.layers import layer
from trio_copy.model.leader_names import LeaderNames
from trio_copy.model.orders import ExecutionReport, Status
from trio_copy.model.units import Shares, Usd
from trio_copy.model.watches import Light, Watch
from trio_copy.telemetry.observer import Finished, Observers
from trio_copy.telemetry.status import EndpointStatus
from trio_copy.telemetry.status import Status as EngineStatus
from trio_copy.telemetry.tally import Tally
from trio_copy.telemetry.tape import Tape, money, status_lines, summary_lines

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
    assert lines[1].strip() == "alice        filled   10.00 @ 0.51  $5.10  +200 bps  40 ms"
    assert lines[2].strip() == "bob          skipped  PRICE_TOO_HIGH (filters.price_max: 0.95, limit 0.9)"


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
    texts = [line[10:] if line[2] == ":" else line.strip() for line in lines]

    assert texts == [
        "0xaaaa..aaaa SELL 100 no price  token 10000..0000  mined again",
        "0xaaaa..aaaa SELL 100 no price  token 10000..0000  nobody copies",
        "reorg 0xaaaa..aaaa SELL taken back; 1 copy waits, 2 under way",
        "alert endpoint-lost: one: closed",
        "alert unusable input, malformed-log: too short",
        "alice        expired  PRICE_TOO_HIGH (filters.price_max: 0.95, limit 0.9)",
        "ready armed: at block 3",
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


def test_the_status_fits_a_small_terminal() -> None:
    """Two lines of at most 79 columns, with what matters first; trouble changes its colour."""
    tally = Tally()
    tally.on_finished(finished())
    status, counts = status_lines(engine_status(), tally)

    assert status.plain == "demo paper run | shard 1/1 | block 7 | feed 0.4 s | 1/1 nodes | queue 0 busy 1"
    assert counts.plain == "signals 0 tasks 0 done 1 skipped 0 | decide 0.0/0.0 copy 40/40 ms p50/p99"
    assert max(len(status), len(counts)) < 80
    dead = status_lines(engine_status(endpoints=(), feed_age_s=None, unknown=3), tally)[0]
    assert "no feed" in dead.plain
    assert "unproven 3" in dead.plain
    assert "shard 1/1 | not armed | feed" in status_lines(engine_status(block=None), tally)[0].plain
    assert dead.style != status.style


def test_who_drains_misses_no_node() -> None:
    """The intake is closed on purpose: the last line of a run that ends well is no alarm."""
    end = status_lines(engine_status(endpoints=(), draining=True), Tally())[0]

    assert "| draining |" in end.plain
    assert "NO NODE" not in end.plain
    assert end.style == status_lines(engine_status(), Tally())[0].style


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
    text = "\n".join(line.plain for line in summary_lines(engine_status(), tally, 0, 2, 3))

    for part in (
        "1 filled; 2 left in the queue, 0 lost, 3 UNPROVEN",
        "bought $5.10, sold $0.00 (paper)",
        "nothing was refused",
    ):
        assert part in text


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
def test_money_is_written_for_people(micro: int, text: str) -> None:
    """Two decimals where they say enough, all of them where they do not."""
    assert text == money(micro)


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


async def test_a_reader_that_cannot_keep_up_costs_lines_not_time(capsys: pytest.CaptureFixture[str]) -> None:
    """Beyond a megabyte that nobody took, lines are dropped and counted."""
    printer = Printer(sys.stdout, live=False)
    for _ in range(3000):
        printer.line("x" * 1000)
    assert printer.dropped > 0
    printer.finish()
    await printer.run()
    assert len(capsys.readouterr().out) < 2 << 20


async def test_a_closed_output_is_noticed() -> None:
    """When writing fails, `closed` tells the engine to drain."""

    class Gone:
        def write(self, text: str) -> None:
            raise OSError("gone")

    printer = Printer(Gone(), live=False)  # type: ignore[arg-type]  # writing fails
    printer.line("hello")
    printer.finish()
    await printer.run()
    assert printer.closed.is_set()
