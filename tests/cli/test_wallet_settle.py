"""`trio-copy wallet settle`: what shares paid that no executor redeems leaves the books by a person's word, once."""

import json
from pathlib import Path

import pytest
import trio
from attrs import evolve

from tests.builders import make_signal, make_task
from tests.cli.filled import open_owner
from tests.cli.live import write_conf
from trio_copy.cli import main
from trio_copy.engine.plan import load_plan
from trio_copy.model.ids import TokenId

Capture = pytest.CaptureFixture[str]
OUTCOME = "0x" + "0a" * 20
TOKEN = int(OUTCOME, 16)


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A wallet of Alice that holds ten shares of an outcome that is an ERC-20, which cost 5 USD."""
    conf = write_conf(tmp_path)

    async def run() -> None:
        async with open_owner(load_plan(conf)) as owner:
            owner.fill(make_task(evolve(make_signal(1), token_id=TokenId(TOKEN))), shares="10", dollars="5")

    trio.run(run)
    return conf


def held(conf: Path, capsys: Capture) -> list[str]:
    capsys.readouterr()
    assert main(["positions", "--json", "--conf", str(conf)]) == 0
    return [json.loads(line)["token_id"] for line in capsys.readouterr().out.splitlines()]


def test_positions_say_how_such_an_outcome_leaves_the_books_and_the_command_does_it(
    conf: Path, capsys: Capture
) -> None:
    """As it stands there, pasted: with the wallet, the address and the configuration."""
    assert main(["positions", "--conf", str(conf)]) == 0
    hint = capsys.readouterr().out.splitlines()[-1]
    assert "redeemed where it was made" in hint
    command = hint.partition("written down by: ")[2]
    assert command == f"trio-copy wallet settle hot {OUTCOME} --payout 1 --conf {conf}"
    assert held(conf, capsys) == [str(TOKEN)]

    assert main([*command.split()[1:], "--yes"]) == 0

    shown, done = capsys.readouterr().out.splitlines()
    assert shown.startswith("alice holds 10 of token ")
    assert shown.endswith("which cost 5 USD: at 1 each they have brought 10 USD")
    assert done == f"alice: 10 of token {TOKEN} paid 1 each, written down by hand"
    assert held(conf, capsys) == []
    assert main([*command.split()[1:], "--yes"]) == 2
    assert "TOKEN: expected one that alice holds" in capsys.readouterr().err


def test_nothing_is_written_down_that_nobody_has_agreed_to(
    conf: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["wallet", "settle", "hot", str(TOKEN), "--payout", "0", "--conf", str(conf)]
    assert main(command) == 2
    assert "--yes: expected it" in capsys.readouterr().err
    monkeypatch.setattr("trio_copy.cli.question.somebody_answers", lambda: True)
    monkeypatch.setattr("sys.stdin.readline", lambda: "n\n", raising=False)
    assert main(command) == 1
    assert "nothing was written down" in capsys.readouterr().out
    assert held(conf, capsys) == [str(TOKEN)]
    assert main([*command, "--yes"]) == 0
    assert held(conf, capsys) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("hot", "0xzz", "--payout", "1"), "TOKEN: expected a token id, or an address"),
        (("hot", OUTCOME, "--payout", "1.5"), "--payout: expected USD of a share, from 0 to 1"),
        (("hot", OUTCOME, "--payout", "-0.1"), "--payout: expected USD of a share, from 0 to 1"),
        (("hot", OUTCOME, "--payout", "much"), "--payout: "),
        (("hut", OUTCOME, "--payout", "1"), "WALLET: expected a live wallet"),
        (("cold", OUTCOME, "--payout", "1"), "WALLET: expected"),
        (("hot", "7", "--payout", "1"), "TOKEN: expected one that alice holds, got 7; see: trio-copy positions"),
    ],
)
def test_what_cannot_be_meant_is_refused(conf: Path, capsys: Capture, words: tuple[str, ...], says: str) -> None:
    assert main(["wallet", "settle", *words, "--yes", "--conf", str(conf)]) == 2
    assert says in capsys.readouterr().err
