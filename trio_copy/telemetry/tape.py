"""The live tape for people: a leader's fill, who copies it at what price, and why the others do not."""

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from attrs import define, field
from rich.text import Text

from trio_copy.clock import WallClock, local_time_of_day
from trio_copy.model.counts import counted
from trio_copy.model.decisions import Reason, Skip
from trio_copy.model.fills import Kind, Side
from trio_copy.model.ids import Address, TokenId
from trio_copy.model.leader_names import LeaderNames
from trio_copy.model.signals import Signal
from trio_copy.model.units import Rounding, Shares, Usd, divide
from trio_copy.model.watches import Light
from trio_copy.telemetry.observer import Finished, Observer
from trio_copy.telemetry.status import Phase, Status
from trio_copy.telemetry.tally import Tally
from trio_copy.telemetry.visible import cut_inside, visible, with_short_ids

_SIDE_STYLE = {Side.BUY: "green", Side.SELL: "red"}
_INDENT = " " * 2
_GAP = " " * 2
_LABEL_LEAST = 14
_ROW_INDENT = 11
_WIDE = 100
"""Columns from which on a copy's line has room for its latency."""
_BETWEEN = " | "
_NAME_MOST = 24
_ORDER = re.compile(r"\b(order (0x)?[0-9a-fA-F]{8})[0-9a-fA-F]{7,}\b")
"""Its beginning is enough for whoever wants to cancel or explain it."""


@define(eq=False)
class Tape(Observer):
    emit: Callable[[Text], None]
    wall: WallClock
    labels: Mapping[TokenId, str]
    names: LeaderNames = field(factory=LeaderNames)
    width: Callable[[], int | None] = lambda: None
    """How many columns a terminal has; None where lines may be as long as they are."""
    told: Callable[[str], str] = str
    """Writes a reason for people. Other texts come as they are to be shown."""
    _under: Address | None = None
    """The leader of the last line about a leader: what comes of others' trades must not stand right below it."""

    def on_step(self, step: str, detail: str) -> None:
        self._line(f"{step}:", _ORDER.sub(r"\1", detail), "dim")

    def on_signal(self, signal: Signal, admission: str, tasks: int, decided_at: float) -> None:
        if admission == "duplicate":
            return
        if signal.kind is Kind.EXIT:
            self._under = None  # the step that comes with it says whose rule it is, and is its headline
            return
        self._headline(signal, "mined again" if admission == "adopted" else _copies(tasks))

    def on_skip(self, skip: Skip, signal: Signal) -> None:
        self._outcome(signal, skip.follower, "skipped", "yellow", [self._because(skip.reason)])

    def on_finished(self, finished: Finished) -> None:
        task, report, outcome = finished.task, finished.report, finished.outcome
        if report is None or report.price is None:
            because = [self._because(outcome.reason)] if outcome.reason else []
            self._outcome(task.signal, task.follower, outcome.end.value, "yellow", because)
            return
        slipped = finished.slippage_bps
        parts = [f"{decimals(report.shares.micro)} @ {decimals(report.price.micro)}", f"${report.notional.cents}"]
        parts += [] if slipped is None else [f"{slipped:+d} bps"]
        if (self.width() or _WIDE) >= _WIDE and not task.intent.rest_until:
            parts.append(f"{1000 * (finished.ended_at - task.signal.seen_at):.0f} ms")
        self._outcome(task.signal, task.follower, outcome.end.value, _SIDE_STYLE[task.intent.side], parts)

    def on_retracted(self, signal: Signal, suspended: int, started: int) -> None:
        self._under = signal.leader
        detail = f"{self._name(signal.leader)} {signal.side.value} taken back"
        self._line(
            "reorg", f"{detail}; {counted(suspended, 'copy waits', 'copies wait')}, {started} under way", "magenta"
        )

    def on_alert(self, kind: str, detail: str) -> None:
        self._line("alert", f"{kind}: {detail}", "bold red")

    def on_quarantined(self, kind: str, detail: str) -> None:
        self._line("alert", f"unusable input, {kind}: {detail}", "red")

    def _headline(self, signal: Signal, comes_of_it: str) -> None:
        self._under = signal.leader
        text = self._stamp()
        text.append(f"{self._name(signal.leader)} ", "bold")
        text.append(f"{signal.side.value:<4} ", _SIDE_STYLE[signal.side])
        price = "no price" if signal.price is None else f"@ {decimals(signal.price.micro)}"
        text.append(f"{whole(signal.shares)} {price}  ")
        text.append(self._label(signal.token_id, len(text) + len(_GAP + comes_of_it)))
        text.append(_GAP + comes_of_it, "dim")
        self.emit(text)

    def _outcome(self, signal: Signal, follower: str, end: str, style: str, parts: Sequence[str]) -> None:
        own = signal.kind is Kind.EXIT
        if self._under != signal.leader and not own:
            self._headline(signal, "goes on")
        text = Text(_INDENT)
        text.append(f"{visible(follower):<8} ")
        text.append(f"{end:<9}", style)
        # The leader did nothing where a follower leaves by a rule of his own.
        whose = ("own exit" if own else self._name(signal.leader)) + _GAP
        said, width = "".join(visible(part) + _GAP for part in parts), self.width()
        below = len(text) + len(_GAP)
        if width is not None and width - len(text) - len(said) - len(whose) < _LABEL_LEAST:
            for line in hanging(text, said.rstrip(), width, below):
                self.emit(line)
            text, said = Text(" " * below), ""
        text.append(said)
        text.append(whose + self._label(signal.token_id, len(text) + len(whose)), "dim")
        self.emit(text)

    def _line(self, word: str, detail: str, style: str) -> None:
        text = self._stamp()
        indent = len(text)
        text.append(f"{word} ", style)
        for line in hanging(text, visible(detail), self.width(), indent):
            self.emit(line)

    def _stamp(self) -> Text:
        return Text(local_time_of_day(self.wall()) + "  ", style="")

    def _because(self, reason: Reason) -> str:
        """Write why not, as wide as a person reads: whoever needs a whole id finds it by `explain` and `skips`."""
        return self.told(with_short_ids(reason.text))

    def _name(self, leader: Address) -> str:
        return visible(self.names.of(leader) or short_address(leader))

    def _label(self, token_id: TokenId, used: int) -> str:
        """Name a market in what is left of a line after so many columns."""
        label, width = visible(self.labels.get(token_id) or f"token {short_token(token_id)}"), self.width()
        return label if width is None else cut_inside(label, max(width - used, _LABEL_LEAST))


def status_lines(status: Status, tally: Tally, width: int | None = None) -> list[Text]:
    """Write the status as one line or, for a terminal, as as many as it takes so that nothing is cut off."""
    decision, copy = tally.decision.percentiles(), tally.copy.percentiles()
    unproven = f" unproven {status.unknown}" if status.unknown else ""
    nodes, well = _nodes(status)
    name = visible(status.name)
    if width is not None and len(name) > _NAME_MOST:
        name = f"{name[:_NAME_MOST]}.."
    parts = (
        # A configuration called "paper" that trades on paper need not say so twice.
        f"{'' if name == status.trading else f'{name} '}{status.trading} {status.mode}{_armed(status)}",
        f"shard {status.shard}",
        "not armed" if status.block is None else f"block {status.block}",
        "no feed" if status.feed_age_s is None else f"feed {status.feed_age_s:.1f} s",
        nodes,
        f"queue {status.queued} busy {status.busy}{unproven}",
        f"signals {tally.signals} tasks {tally.tasks} done {tally.ends.total()} skipped {tally.skips.total()}",
        f"decide {decision.p50:.1f}/{decision.p99:.1f} copy {copy.p50:.0f}/{copy.p99:.0f} ms p50/p99",
    )
    style = "reverse" if well else "bold white on red"
    return [Text(line, style=style) for line in _flowed(map(visible, parts), width)]


def _armed(status: Status) -> str:
    if status.armed is None:
        return ""
    return f", {counted(len(status.armed), 'wallet')} armed" if status.armed else ", NO WALLET ARMED"


def _nodes(status: Status) -> tuple[str, bool]:
    """Say how the chain is followed, and whether that is as it should be."""
    match status.phase:
        # While the intake is closed on purpose no node is missed.
        case Phase.DRAINING:
            return f"draining, {counted(status.left, 'copy', 'copies')} left", True
        case Phase.PROVING:
            return f"waits for proof of {counted(status.unknown, 'order')}", True
        case Phase.PAUSED:
            return "no shard here, nothing to follow", True
    live = sum(endpoint.live for endpoint in status.endpoints)
    if not live and status.endpoints and not any(one.connects or one.last_error for one in status.endpoints):
        return "connecting", True
    if not live:
        return "NO NODE, NOTHING IS FOLLOWED", False
    if status.halted:
        return f"NO ENTRIES, {status.halted}", False
    red = sum(watch.light is Light.RED for watch in status.watches)
    return f"{live}/{len(status.endpoints)} nodes" + (f", {red} RED" if red else ""), not red


def _flowed(parts: Iterable[str], width: int | None) -> list[str]:
    """Put as many parts into each line as find room there."""
    lines: list[str] = []
    for part in parts:
        if lines and (width is None or len(lines[-1]) + len(_BETWEEN) + len(part) <= width):
            lines[-1] += _BETWEEN + part
        else:
            lines.append(part)
    return lines


def summary_lines(
    status: Status, tally: Tally, lost: int | None, left: int, unproven: int, width: int | None = None
) -> list[Text]:
    """Write what happened since the start, for the end of a run, on a terminal so wide."""
    ends = ", ".join(f"{count} {end.value}" for end, count in sorted(tally.ends.items(), key=lambda item: -item[1]))
    why = tally.skips + tally.refusals
    reasons = ", ".join(f"{count} {code}" for code, count in why.most_common(5))
    connects = ", ".join(f"{e.name} connected {e.connects}x" for e in status.endpoints)
    missing = ", the rest with the accounts that went to other instances" if lost is None else f", {lost} lost"
    missing += f", {unproven} UNPROVEN" if unproven else ""
    rows = (
        ("signals", f"{tally.signals} admitted, {tally.adopted} adopted after a reorg, {tally.retracted} retracted"),
        ("tasks", f"{tally.tasks} admitted: {ends or 'none ended'}; {left} left in the queue{missing}"),
        ("not copied", reasons or "nothing was refused"),
        ("money", f"bought ${Usd(tally.bought_micro).cents}, sold ${Usd(tally.sold_micro).cents} ({status.trading})"),
        *_own_acts(tally),
        (
            "chain",
            f"{connects}; reorgs {status.reorgs}, late logs {status.late_logs}, quarantined {status.quarantined}",
        ),
    )
    if status.left_out:
        kinds = ", ".join(f"{count} x {what}" for what, count in status.left_out.items())
        rows += (("left out", f"of what the venue wrote, for it could not be read or believed: {kinds}"),)
    return [line for name, value in rows for line in summary_row(name, value, width)]


def summary_row(name: str, value: str, width: int | None) -> Iterator[Text]:
    """Write one row of the summary of a run, in as many lines as a terminal of this width needs."""
    yield from hanging(Text(f"{visible(name):<10} ", style="bold"), visible(value), width, _ROW_INDENT)


def hanging(head: Text, detail: str, width: int | None, indent: int) -> Iterator[Text]:
    """Write a detail behind its head; what finds no room there goes on below it, this far from the left."""
    if width is None or len(head) + len(detail) <= width:
        yield head.append(detail, "not bold")
        return
    room = max(width, len(head) + _LABEL_LEAST)
    first, *others = textwrap.wrap(
        detail, room, initial_indent=" " * len(head), subsequent_indent=" " * indent, break_on_hyphens=False
    ) or [""]
    yield head.append(first[len(head) :], "not bold")
    yield from map(Text, others)


def _own_acts(tally: Tally) -> Iterator[tuple[str, str]]:
    """Tell what no leader did, where there was something."""
    if tally.exits:
        yield "exits", f"{counted(tally.exits, 'position')} left by own rules or by hand"
    if tally.ghosts:
        yield "ghosts", f"{counted(tally.ghosts, 'fill')} matched and never settled, in whole or in part: taken back"
    if tally.redeemed:
        worth = Usd(tally.redeemed_micro).cents
        yield "redeemed", f"{counted(tally.redeemed, 'position')} of decided questions for ${worth}, counted as sold"


def decimals(micro: int) -> str:
    """Write millionths with two decimals, or as many as a small number needs."""
    if abs(micro) >= 1_000_000 or micro % 10_000 == 0:
        cents = divide(abs(micro), 10_000, Rounding.NEAREST)
        return f"{'-' if micro < 0 else ''}{cents // 100:,}.{cents % 100:02d}"
    return str(Usd(micro))


def whole(shares: Shares) -> str:
    return f"{shares.micro // 1_000_000:,}" if shares.micro % 1_000_000 == 0 else decimals(shares.micro)


def short_address(address: Address) -> str:
    return f"{address[:6]}..{address[-4:]}"


def short_token(token_id: TokenId) -> str:
    digits = str(token_id)
    return digits if len(digits) <= 12 else f"{digits[:5]}..{digits[-4:]}"


def _copies(tasks: int) -> str:
    return "nobody copies" if tasks == 0 else counted(tasks, "copy", "copies")
