"""A person's word before money moves: given for a while, for limits that were seen, and taken back at once."""

import io
import json
import re
import sys
from pathlib import Path

import pytest

from tests.cli.live import OWN, write_conf
from trio_copy.cli import arm, live, main
from trio_copy.clock import anchored_wall_clock
from trio_copy.config import to_checksum
from trio_copy.signing.arming import Arming, disarm
from trio_copy.signing.guard import Guard
from trio_copy.signing.signers import _ArmingWatch

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def dumpable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests share the process."""
    monkeypatch.setattr("trio_copy.signing.keys.keep_out_of_dumps", lambda: None)


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = write_conf(tmp_path)
    monkeypatch.setenv("TRIO_COPY_CONF", str(path))
    return path


def type_in(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    """Let a person sit at a terminal and type this."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    monkeypatch.setattr(arm, "somebody_answers", lambda: True)


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let so much time pass for the command line."""
    real = anchored_wall_clock()
    for module in (live, arm):
        monkeypatch.setattr(module, "anchored_wall_clock", lambda: lambda: real() + seconds)


def run(conf: Path, *words: str) -> int:
    return main(["run", str(conf), *words])


def test_nothing_runs_live_until_somebody_has_armed_it(
    conf: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of the three is asked for, each by one line that says what to do; nothing is started."""
    assert run(conf) == 2
    assert "engine.mode is live: if real orders are meant" in capsys.readouterr().err
    assert run(conf, "--live") == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line == (
        f"{conf}: not armed: hot (never armed on this machine, or disarmed); to do so: trio-copy arm hot --conf {conf}"
    )
    assert not (conf.parent / "books.db").exists()
    assert main(["arm", "hot", "--yes", "--for", "2h"]) == 0
    later(monkeypatch, 7201)
    assert run(conf, "--live") == 2
    assert re.search(r"not armed: hot \(expired at 20..-..-.. ..:.. UTC\); to do so:", capsys.readouterr().err)


def test_an_armed_run_says_so_and_a_reload_signs_no_more_than_was_seen(conf: Path, capsys: Capture) -> None:
    """The banner names the wallet and its limits; each status says what is armed."""
    assert main(["arm", "hot", "--yes"]) == 0
    capsys.readouterr()
    assert run(conf, "--live", "--json", "--for", "700ms", "--verbose") == 0
    done = capsys.readouterr()
    assert "wallet hot trades with money for another 24.0 h, at most 50 USD an order, 1000 a day" in done.out
    assert "5afe5afe" not in done.out + done.err
    assert (conf.parent / "signing").stat().st_mode & 0o077 == 0


def test_what_an_alert_says_to_do_is_said_of_this_configuration(
    conf: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pasted elsewhere, a command without `--conf` would arm the wallet of another file, or none."""
    assert main(["arm", "hot", "--yes", "--for", "1h"]) == 0
    read = _ArmingWatch._read

    def disarmed_meanwhile(watch: _ArmingWatch) -> dict[Guard, Arming]:
        if watch._looks:
            disarm(watch.folder, OWN)
        return read(watch)

    monkeypatch.setattr(_ArmingWatch, "_read", disarmed_meanwhile)
    monkeypatch.setattr("trio_copy.signing.signers._LOOK_EVERY_S", 0.1)
    capsys.readouterr()
    assert run(conf, "--live", "--json", "--for", "700ms") == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [detail] = [one["detail"] for one in told if one["event"] == "alert" and one["kind"] == "disarmed"]
    assert detail.endswith(f"to go on: `trio-copy arm hot --conf {conf}`")


def test_without_what_was_signed_before_nothing_starts(conf: Path, capsys: Capture) -> None:
    """A journal that cannot be read is no empty one: one line says which, and a person looks."""
    assert main(["arm", "hot", "--yes"]) == 0
    (conf.parent / "signing" / "signed-00099999.jsonl").write_text("garbage\n")
    capsys.readouterr()
    assert run(conf, "--live", "--for", "1s", "--json") == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(
        f"signing.folder: what was signed cannot be remembered in {conf.parent}/signing, so nothing is signed"
    )
    assert "signed-00099999.jsonl: expected a line as it was written here, got 'garbage" in line


def test_arming_shows_the_limits_and_wants_the_names_typed(
    conf: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What else is typed arms nothing, and so does a pipe without --yes."""
    assert main(["arm", "hot"]) == 2
    assert (
        "--yes: expected it, because there is no terminal on which to ask; nothing was armed" in capsys.readouterr().err
    )
    for answer in ("", "y\n", "hot\n", "cold hot cold\n", "hot cold x\n"):
        type_in(monkeypatch, answer)
        assert main(["arm", "hot", "cold"]) == 2, answer
        assert "expected hot cold; nothing was armed" in capsys.readouterr().err
    assert run(conf, "--live") == 2
    capsys.readouterr()
    type_in(monkeypatch, " cold, hot \n")
    assert main(["arm", "hot", "cold", "hot"]) == 0
    told = capsys.readouterr().out
    assert (
        f"hot  {to_checksum(OWN)}  eoa: at most $50 an order, $250 an hour, $1000 a day, 60 orders a minute;"
        " buys up to 0.99, sells from 0.001; 3 contracts of chain 137; gas up to 0.5 a transaction, 20 a day, and as much for exits\n"
    ) in told
    assert "cold  0x00000000000000000000000000000000000000C0  safe: at most $50" in told
    assert re.search(r"hot is armed until .* UTC; to end it: trio-copy disarm hot --conf ", told)


def test_what_was_armed_is_told_to_a_program_in_json_alone(conf: Path, capsys: Capture) -> None:
    """A question is no JSON, so it has to be answered before."""
    assert main(["arm", "hot", "--json"]) == 2
    said = capsys.readouterr()
    assert not said.out
    assert "--yes: expected it beside --json" in said.err
    assert main(["arm", "hot", "--json", "--yes"]) == 0
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (row["wallet"], row["armed"]) == ("hot", "yes")
    assert row["until"]


def test_a_raised_limit_ends_it_and_a_lowered_one_does_not(conf: Path, capsys: Capture) -> None:
    """Whoever armed it had seen the smaller number."""
    assert main(["arm", "hot", "--yes"]) == 0
    text = conf.read_text()
    conf.write_text(text + "[wallet.hot.policy]\nmax_order_usd = 50.01\nmax_price = 0.995\n")
    assert run(conf, "--live") == 2
    assert "not armed: hot (raised since it was armed: max_price, max_order_usd)" in capsys.readouterr().err
    conf.write_text(text + "[wallet.hot.policy]\nmax_order_usd = 10\n")
    assert main(["arm", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["wallet"], row["armed"], row["why_not"]) for row in rows] == [
        ("hot", "yes", None),
        ("cold", "no", "never armed on this machine, or disarmed"),
    ]


def test_disarming_needs_no_name(conf: Path, capsys: Capture) -> None:
    """In a hurry, all of them."""
    assert main(["arm", "hot", "--yes"]) == 0
    capsys.readouterr()
    assert main(["disarm"]) == 0
    assert capsys.readouterr().out == "hot is disarmed\ncold was not armed\n"
    assert run(conf, "--live") == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["arm", "hut", "--yes"], 'WALLET: expected a live wallet (hot, cold), got "hut"; did you mean "hot"?'),
        (["arm", "hot", "0x5", "--yes"], 'WALLET: expected a live wallet (hot, cold), got "0x5"'),
        (["disarm", "alice"], 'WALLET: expected a live wallet (hot, cold), got "alice"'),
        (["arm", "hot", "--for", "31d", "--yes"], "--for: expected from 1m to 30d, got 31d"),
        (["arm", "hot", "--for", "5s", "--yes"], "--for: expected from 1m to 30d, got 5s"),
    ],
)
def test_what_cannot_be_armed_is_one_line(conf: Path, capsys: Capture, words: list[str], says: str) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err == f"{says}\n"
    assert not (conf.parent / "signing").exists()


def test_on_paper_nothing_is_armed_and_no_key_is_opened(tmp_path: Path, capsys: Capture) -> None:
    """The same file runs on paper without its key."""
    conf = write_conf(tmp_path, mode="paper")
    (tmp_path / "keys" / "hot.hex").unlink()
    assert main(["check", str(conf)]) == 0
    assert main(["arm", "hot", "--yes", "--conf", str(conf)]) == 2
    assert 'engine.mode: expected "live", got "paper": on paper nothing is armed' in capsys.readouterr().err
    assert main(["arm", "paper", "--yes", "--conf", str(conf)]) == 2


def test_check_says_what_is_wrong_with_the_places_of_keys(conf: Path, capsys: Capture) -> None:
    """All of it at once, with line and key, before anything trades."""
    assert main(["check", str(conf)]) == 0
    (conf.parent / "keys" / "hot.hex").chmod(0o644)
    conf.write_text(conf.read_text() + '[log]\nfile = "/nowhere/x.log"\n')
    capsys.readouterr()
    assert main(["check", str(conf)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert any("wallet.hot.key: expected" in line and "chmod 600" in line for line in lines)


def test_what_moves_money_pays_from_a_live_wallet(conf: Path, capsys: Capture) -> None:
    """Two problems that only show when the mode is live."""
    conf.write_text(conf.read_text().replace('wallet = "hot"\n', ""))
    assert main(["arm"]) == 0, "a wallet that nobody pays with is no mistake"
    assert run(conf, "--live", "--for", "100ms") in (0, 1), "and a simulation needs none"
    assert "armed" not in capsys.readouterr().err
