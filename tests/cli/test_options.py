"""Options are read as people write them, and one that makes no sense is one line."""

import re
from pathlib import Path

import pytest

from tests.cli.processes import DEMO
from trio_copy.cli import main
from trio_copy.cli.durations import Time, parse_duration

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["devnet", DEMO, "--block-every", "0s"], "--block-every: expected a value from 0.01 to 60.0"),
        (["devnet", DEMO, "--seed", "-1"], "--seed: expected a value from 0 to"),
        (["load", "simulate", "--rate", "nan"], "--rate: expected a number above 0, got nan"),
        (["load", "simulate", "--rate", "inf"], "--rate: expected a number above 0, got inf"),
        (["load", "simulate", "--followers", "0"], "--followers: expected a number above 0, got 0"),
        (["verify", "dedup", "--ttl", "soon"], 'expected a duration such as 20s, 5m or 250ms, got "soon"'),
        (["verify", "dedup", "--wait", "0ms"], "--wait: expected a number above 0, got 0"),
    ],
)
def test_an_option_that_makes_no_sense_is_one_line(words: list[str], says: str, capsys: Capture) -> None:
    """Nothing is started, and nothing is a bug of ours."""
    assert main(words) == 2
    told = capsys.readouterr().err
    assert says in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize("verb", ["check", "selftest", "plugins"])
def test_a_configuration_is_named_by_itself_or_by_its_option(verb: str, capsys: Capture) -> None:
    """Where other commands take --conf, nobody has to remember which do not."""
    assert main([verb, DEMO]) == main([verb, "--conf", DEMO]) == 0
    assert main(["help", verb]) == 0
    assert f"Usage: trio-copy {verb} [OPTIONS] [CONF]" in capsys.readouterr().out


def test_options_that_take_a_time_say_so(capsys: Capture) -> None:
    """Not that it is a number; and a default that says nothing is not told."""
    for page, option in {
        "run": "--for",
        "record": "--for",
        "verify dedup": "--ttl",
        "devnet": "--block-every",
        "leaders": "--latency",
        "load simulate": "--duration",
    }.items():
        assert main(["help", *page.split()]) == 0
        told = capsys.readouterr().out
        assert f"{option} TIME" in told
        assert not re.search(r"default:\s+(False|None|\(\))", told)


@pytest.mark.parametrize("text", ["250ms", "1.5s", "20s", "5m", "36h", "7d"])
def test_times_are_written_as_they_are_read(text: str) -> None:
    """In defaults and messages as on the command line."""
    assert str(Time(parse_duration(text))) == text


def test_a_store_is_set_up_as_a_shell_hands_it_over(capsys: Capture, tmp_path: Path) -> None:
    """A path needs no second pair of quotes, and may have them."""
    for option in (f"path={tmp_path / 'one.db'}", f'path="{tmp_path / "two words.db"}"'):
        assert main(["verify", "backpressure", "--count", "3", "--store", "sqlite", "--store-option", option]) == 0
        assert capsys.readouterr().out.endswith("held\n")


@pytest.mark.parametrize(
    "words",
    [["load", "simulate", "--rate", "0"], ["load", "measure", "--events", "0"],
     ["load", "measure", "--allow", "nobody"], ["load", "simulate", "--allow", "nobody"], ["verify", "backpressure", "--capacity", "0"],
     ["run", DEMO, "--live"], ["run", DEMO, "--for", "0s"], ["decode", DEMO], ["nonsense"],
     ["run", "one.toml", "two.toml"], ["run", DEMO, "--fro", "3s"], ["run", DEMO, "--for", "10"],
     ["devnet", DEMO, "--past", "7"], ["leaders", "week.rec", "--latency", "2"], ["verify", "dedup", "--ttl", "2"],
     ["backtest", DEMO, "week.rec", "--csv", "/nowhere/x.csv"], ["backtest", DEMO, "week.rec", "--plot", "/nowhere/x.svg"],
     ["follow", "export", "x.doc", "--conf", DEMO], ["exit", "--conf", DEMO],
     ["run", DEMO, "--for", "soon"], ["load", "simulate", "--events", "0"],
     ["verify", "dedup", "--store", "redsi"], ["verify", "dedup", "--store-option", "x"], ["verify", "dedup", "--store-option", "x=1"]],
)  # fmt: skip
def test_bad_words_exit_with_two(words: list[str], capsys: Capture) -> None:
    """A typo on the command line is bad input: one message, exit code 2."""
    assert main(words) == 2
    output = capsys.readouterr()
    assert "Traceback" not in output.out + output.err
    assert not re.search(r"[\[\]]'", output.err)  # Python's way to write lists
    assert len(output.err.splitlines()) == 1


@pytest.mark.parametrize(("text", "seconds"), [("20s", 20), ("1.5m", 90), ("250ms", 0.25), ("2h", 7200)])
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    """Numbers with a unit."""
    assert seconds == parse_duration(text)
