"""Words of a command line that cannot be meant: one line says where, what was expected and what was there, and what helps."""

import shlex

import pytest

from trio_copy.cli import main
from trio_copy.cli.verbs import EXAMPLES

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("pnl --since -7d", "--since: expected a value, got the option -7d; see: trio-copy help pnl"),
        ("pnl --since", "--since: expected a value, got none; see: trio-copy help pnl"),
        ("keys import", "keys import: expected NAME, got none; see: trio-copy help keys import"),
        ("orders settle 0x12", "orders settle: expected --shares, got none; see: trio-copy help orders settle"),
        ("check a.toml b.toml", 'expected nothing more, got "b.toml"'),
        ("pnl --sinse 7d", "Unknown option: --sinse. Did you mean --since?"),
    ],
)
def test_what_is_missing_or_too_much_is_named(capsys: Capture, words: str, says: str) -> None:
    assert main(words.split()) == 2
    assert capsys.readouterr().err == f"trio-copy: {says}\n"
    if "; see: trio-copy " in says:
        assert main(says.partition("; see: trio-copy ")[2].split()) == 0
        assert "Usage: trio-copy " in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["run", ""],
        ["check", "--conf="],
        ["decode", ""],
        ["export", "trades", ""],
        ["record", "", "--for", "1s"],
        ["backtest", "", "week.rec"],
        ["clob", "headers", ""],
    ],
    ids=" ".join,
)
def test_a_file_without_a_name_is_not_the_folder_one_is_in(capsys: Capture, words: list[str]) -> None:
    """As it comes of a variable that the shell does not know: run "$CONF"."""
    assert main(words) == 2
    assert capsys.readouterr().err == 'trio-copy: expected the name of a file, got ""\n'


def test_a_redis_needs_an_address(capsys: Capture) -> None:
    """What is missing is named as it is typed, and not as it would stand in a configuration."""
    assert main(["verify", "dedup", "--store", "redis"]) == 2
    assert capsys.readouterr().err.startswith("--redis-url: expected it beside --store redis, such as redis://")


@pytest.mark.parametrize("page", sorted(EXAMPLES))
def test_an_example_can_be_pasted(capsys: Capture, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    """A terminal of 80 columns breaks none of its lines, and behind a backslash stands nothing: a shell would begin another one."""
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*page.split(), "--help"]) == 0
    shown = capsys.readouterr().out.partition("Examples:")[2]
    pasted = shown.replace("\\\n", " ")
    commands = [shlex.split(line) for line in pasted.split("\n") if line.strip()]
    assert commands == [["trio-copy", *shlex.split(example)] for example in EXAMPLES[page]]
