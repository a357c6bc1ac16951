"""Text from outside never steers a terminal: control characters are shown as such in whatever a person reads."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from tests.builders import NOW, TOKEN, make_signal
from trio_copy.cli import main
from trio_copy.cli.output import out, out_json
from trio_copy.cli.plugins import _Row as PluginRow
from trio_copy.cli.printer import console
from trio_copy.cli.tables import Column, Styled, show
from trio_copy.telemetry.jsonlines import JsonLines
from trio_copy.telemetry.status import EndpointStatus, Status
from trio_copy.telemetry.tally import Tally
from trio_copy.telemetry.tape import Tape, status_lines, summary_lines
from trio_copy.telemetry.visible import escaped_json, visible, visible_lines

EVIL = "a\x1b[31mb\x07c\x9b2Jd\u202ee\u2028f\ng\rh\ti\x7fj\udc80"
SHOWN = r"a\x1b[31mb\x07c\x9b2Jd\u202ee\u2028f\ng\rh\ti\x7fj\udc80"
MARKUP = "[red]title[/red] [link=http://x]here[/link] :smile:"
Capture = pytest.CaptureFixture[str]


def test_control_characters_are_written_out() -> None:
    """C0, DEL, C1, directions, separators and halves of characters; letters of all scripts and emoji stay."""
    assert visible(EVIL) == SHOWN
    assert (
        visible("żółć 你好 \U0001f469\u200d\U0001f680 'quoted' \\n")
        == "żółć 你好 \U0001f469\u200d\U0001f680 'quoted' \\n"
    )
    assert visible_lines("one\x1b\ntwo") == "one\\x1b\ntwo"
    assert visible("\U000e0041") == r"\U000e0041"


def test_json_says_the_same_and_is_safe_on_a_terminal(capsys: Capture) -> None:
    """JSON escapes C0 itself; the rest is escaped for it, and reads back as it was."""
    text = EVIL[:-1] + "\U000e0041"
    out_json({"a": text})
    said = capsys.readouterr().out
    assert json.loads(said) == {"a": text}
    assert said.isprintable() or said[:-1].isprintable()
    lines: list[str] = []
    JsonLines(lines.append, lambda: NOW).on_alert("kind", text)
    assert lines[0].isprintable()
    assert json.loads(lines[0])["detail"] == text
    assert escaped_json('"\x85"') == '"\\u0085"'


def test_the_tape_shows_foreign_text_as_it_is() -> None:
    """A market's title, a node's error, a follower's id, an endpoint's name."""
    lines: list[Text] = []
    tape = Tape(lines.append, lambda: NOW, {TOKEN: EVIL + MARKUP})
    tape.on_signal(make_signal(), "admitted", 1, NOW)
    tape.on_alert("kind", EVIL + MARKUP)
    tape.on_quarantined("kind", EVIL + MARKUP)
    tape.on_step("step", EVIL + MARKUP)
    status = Status(
        name=EVIL + MARKUP, trading="paper", mode="run", shard="0/1", block=1, feed_age_s=1.0,
        endpoints=(EndpointStatus(name=EVIL + MARKUP, live=True, head=1, connects=1, first=0, last_error=""),),
        leaders=1, follows=1, queued=0, peak=0, suspended=0, dead=0, busy=0, unknown=0,
        left=0, late_logs=0, reorgs=0, quarantined=0,
    )  # fmt: skip
    lines += [status_lines(status, Tally())[0], summary_lines(status, Tally(), 0, 0, 0)[-1]]
    for line in lines:
        assert SHOWN + MARKUP in line.plain


@pytest.mark.parametrize("terminal", [True, False])
def test_tables_show_foreign_text_as_it_is(monkeypatch: pytest.MonkeyPatch, capsys: Capture, terminal: bool) -> None:
    """With and without colours; markup is text, and CSV has no escapes either."""
    columns = (
        Column[str]("name", lambda row: row),
        Column[str]("styled", lambda row: row, shown=lambda seen: Styled(seen, "bold")),
    )
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("COLUMNS", "500")
    show(columns, [EVIL + MARKUP], json=False, csv_=False, empty="")
    said = capsys.readouterr().out
    assert said.count(SHOWN + MARKUP) == 2
    show(columns, [EVIL + MARKUP], json=False, csv_=True, empty="")
    assert capsys.readouterr().out.splitlines()[1] == f"{SHOWN}{MARKUP},{SHOWN}{MARKUP}"
    out(EVIL)
    assert capsys.readouterr().out == SHOWN + "\n"


def test_consoles_take_no_text_for_markup() -> None:
    """Tables of foreign text go through one kind of console."""
    stream = io.StringIO()
    terminal: Console = console(width=200)
    terminal.file = stream
    terminal.print(MARKUP)
    assert stream.getvalue().strip() == MARKUP
    assert PluginRow(kind="k", name=MARKUP, distribution="d", version="1", active="no").name == MARKUP


def test_errors_show_foreign_text_as_it_is(tmp_path: Path, capsys: Capture) -> None:
    """A file's name, a key and a value of a file, a word of the command line: each problem is one line."""
    assert main(["check", f"{tmp_path}/\x1b[31m\n.toml"]) == 2
    assert main(["check", f"{tmp_path}/[red]x.toml"]) == 2
    assert main(["\x1b[2Jnope\n"]) == 2
    conf = tmp_path / "conf.toml"
    conf.write_text('"\\u001b[31m" = 1\n[chain]\nchain_id = "\\u009b31m\\nfake: line"\n')
    assert main(["check", str(conf)]) == 2
    said = capsys.readouterr().err
    assert "\\x1b[31m\\n.toml: cannot be read" in said
    assert "[red]x.toml: cannot be read" in said
    assert "\\x1b[2Jnope\\n" in said
    assert "\\x9b31m\\nfake: line" in said
    assert all(line.isprintable() for line in said.split("\n"))
