"""What is written down is true: settings, hooks, events, commands, layers."""

import inspect
import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from tests.meta.every_setting import PATH, render
from trio_copy import hookspecs
from trio_copy.cli import main
from trio_copy.cli.command_line import command_line
from trio_copy.model.decisions import Code, End
from trio_copy.testing.conformance import EXECUTOR_CHECKS, MARKETS_CHECKS, RESTART_CHECKS, STORE_CHECKS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_every_setting_is_listed_with_its_unit_default_and_reason() -> None:
    """conf/every-setting.toml is exactly what the code declares."""
    assert render() == PATH.read_text(), "run: python -m tests.meta.every_setting"
    tomllib.loads(PATH.read_text())


@pytest.mark.parametrize("conf", sorted(ROOT.glob("conf/*.toml")), ids=lambda path: path.name)
def test_every_shipped_configuration_is_good(conf: Path) -> None:
    """Nobody starts from an example that does not check."""
    assert main(["check", str(conf)]) == 0


def test_every_hook_is_documented_with_its_signature() -> None:
    """docs/plugins.md shows each hook as it is."""
    text = (DOCS / "plugins.md").read_text()
    hooks = [hook for name, hook in vars(hookspecs).items() if name.startswith("trio_copy_")]

    assert len(hooks) == 7
    for hook in hooks:
        assert f"{hook.__name__}({', '.join(inspect.signature(hook).parameters)})" in text


def test_every_reason_code_and_end_is_documented() -> None:
    """The codes are an interface; docs/events.md says what each means."""
    text = (DOCS / "events.md").read_text()

    for code in Code:
        assert f"`{code.name}`" in text, code
    for end in End:
        assert f"`{end.value}`" in text, end


def test_every_event_field_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    """What `run --json` writes is described, name by name."""
    text = (DOCS / "events.md").read_text()
    assert main(["run", str(ROOT / "conf" / "demo.toml"), "--for", "7s", "--json"]) == 0
    events = [msgspec.json.decode(line) for line in capsys.readouterr().out.splitlines()]

    assert {"fill", "signal", "report", "status", "summary", "retraction"} <= {event["event"] for event in events}
    for event in events:
        for name in event:
            assert f"`{name}`" in text, (event["event"], name)
    for event in events:
        if event["event"] in ("skip", "report"):
            assert event["signal_id"]
            assert event["follower"]
    assert (events[-1]["lost"], events[-1]["left"]) == (0, 0)


def test_every_alert_is_in_the_operations_page() -> None:
    """Whoever is woken by an alert finds there what it means and what to do."""
    text = (DOCS / "operations.md").read_text()
    raised = re.compile(r'(?:\bon_alert|\bon_trouble|roubles\.note|\b_failed|\b_tell_once)\(\s*"([a-z-]+)"')
    files = [path for root in ("trio_copy", "plugins") for path in (ROOT / root).rglob("*.py")]
    kinds = {kind for path in files for kind in raised.findall(path.read_text())}

    assert {"arm-failed", "false-removal", "no-bid", "reload-refused", "store-back", "unreadable"} <= kinds
    assert sorted(kind for kind in kinds if f"`{kind}`" not in text) == []


def test_every_command_is_in_the_readme_or_the_operations_page() -> None:
    """A verb that nobody can find does not exist."""
    text = (ROOT / "README.md").read_text() + (DOCS / "operations.md").read_text()
    verbs = [name for name in command_line() if not name.startswith("-")]

    assert {"run", "check", "follow", "explain", "positions", "pnl", "record", "replay", "verify"} < set(verbs)
    for verb in verbs:
        assert f"trio-copy {verb}" in text, verb


def test_every_command_teaches() -> None:
    """Each verb and each of its options has a sentence of help."""
    app = command_line()
    verbs = [[name] for name in app if not name.startswith("-")]
    nested = [[*verb, name] for verb in verbs for name in app[verb[0]] if not name.startswith("-")]
    assert len(nested) > 10
    for words in (*verbs, *nested):
        assert main([*words, "--help"]) == 0


def test_every_command_reads_and_writes_through_the_redactor() -> None:
    """What reads secrets lets this call's redactor learn them; what writes tables has no markup of its own."""
    forbidden = re.compile(r"(?<!def )\b(load|find)_plan\((?!.*redactor)|\bConsole\(")
    allowed = {"printer.py", "progress.py"}
    files = [path for path in (ROOT / "trio_copy" / "cli").glob("*.py") if path.name not in allowed]

    assert len(files) > 20
    assert [
        f"{path.name}: {line}" for path in files for line in path.read_text().splitlines() if forbidden.search(line)
    ] == []


def test_no_day_is_that_of_a_time_zone() -> None:
    """Budgets, books and what is asked of them are in UTC, whatever TZ says; one function shows the reader's time of day."""
    zoned = re.compile(
        r"localtime|mktime|\.astimezone\(\)|\.today\(|fromtimestamp\((?![^()]*(\([^()]*\)[^()]*)*\bUTC\b)|'localtime'"
    )
    found = {
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for root in ("trio_copy", "plugins")
        for path in (ROOT / root).rglob("*.py")
        for line in path.read_text().splitlines()
        if zoned.search(line)
    }

    assert found == {'trio_copy/clock.py: return time.strftime("%H:%M:%S", time.localtime(unix_s))'}


def test_no_clock_entropy_or_socket_outside_its_seam() -> None:
    """Time, chance and the network enter through one module each; everything else can be simulated."""
    forbidden = re.compile(
        r"\btime\.(time|monotonic|perf_counter|process_time)\(|datetime\.now|\brandom\.|uuid4|os\.urandom|\bsecrets\.(token|choice)"
        r"|open_tcp_stream|open_unix_socket|socket\.socket"
    )
    allowed = {"clock.py", "entropy.py", "dial.py", "sockets.py"}
    files = [
        path for root in ("trio_copy", "plugins") for path in (ROOT / root).rglob("*.py") if path.name not in allowed
    ]
    offenders = [
        f"{path}: {line}" for path in files for line in path.read_text().splitlines() if forbidden.search(line)
    ]

    assert [line for line in offenders if "entropy.random()" not in line] == []


def test_every_check_of_the_contracts_is_in_its_suite() -> None:
    """A check that is written but not listed would never run."""
    from trio_copy.testing import conformance as suites

    stores = (suites.accounts, suites.control, suites.durability, suites.follows, suites.history, suites.interruptions)
    listed = (*STORE_CHECKS, *RESTART_CHECKS)
    for modules, checks in (
        (stores, listed),
        ((suites.executor,), EXECUTOR_CHECKS),
        ((suites.markets,), MARKETS_CHECKS),
    ):
        written = {
            function
            for module in modules
            for name, function in vars(module).items()
            if inspect.iscoroutinefunction(function)
            and function.__module__ == module.__name__
            and not name.startswith("_")
        }
        assert written == set(checks)
        assert all(check.__doc__ for check in checks)


def test_the_words_of_the_code_are_in_the_glossary() -> None:
    """A new word enters the glossary first."""
    text = (DOCS / "glossary.md").read_text()
    for word in (
        "leader",
        "follower",
        "follow",
        "raw log",
        "fill",
        "signal",
        "task",
        "intent",
        "order",
        "report",
        "lane",
    ):
        assert f"**{word}**" in text, word


def test_words_that_went_do_not_come_back() -> None:
    """Each had a second meaning, or none that anybody could guess."""
    gone = re.compile(r"\b_?(Desk|Bell|Crew|Parcel|Leaver|distrust\w*|wishes|Wish)\b")
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for package in ("trio_copy", "plugins")
        for path in sorted((ROOT / package).rglob("*.py"))
        for match in gone.finditer(path.read_text())
    ]

    assert found == []


def test_a_count_and_its_noun_agree() -> None:
    """What is counted in a message goes through `counted`: "1 accounts" reads like a bug."""
    counts = re.compile(r"(?<!/)\{len\([^{}]*\)\} [a-z]+s\b")
    found = [
        f"{path.name}: {match[0]}"
        for package in ("trio_copy", "plugins")
        for path in sorted((ROOT / package).rglob("*.py"))
        for match in counts.finditer(path.read_text())
    ]

    assert found == []
