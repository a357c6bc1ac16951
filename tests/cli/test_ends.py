"""How a run ends: with exit code 0 only when nothing is left behind that somebody has to look at."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from trio_copy.cli import main
from trio_copy.cli.ending import expect_all_ended
from trio_copy.errors import InvariantBroken
from trio_copy.model.units import Usd

ROOT = Path(__file__).parents[2]
SQLITE, MEMORY = '[store.sqlite]\npath = "{path}"', "[store.memory]"
Capture = pytest.CaptureFixture[str]


def _written(tmp_path: Path, store: str, venue: str) -> Path:
    """A demonstration whose venue is as it is told to be."""
    text = (ROOT / "conf" / "books.toml").read_text()
    text = re.sub(r"\[store.sqlite\]\npath = .*", lambda _: store.format(path=tmp_path / "books.db"), text)
    text = re.sub(r"\[executor.dry-run\](.|\n)*?\n\n", f"[executor.dry-run]\nlatency_ms = 1\n{venue}\n\n", text)
    text = text.replace("[engine]", "[engine]\ndrain_s = 0.3\nstartup_reconcile_s = 0.3\nreconcile_every_s = 0.1")
    path = tmp_path / "conf.toml"
    path.write_text(text.replace("block_every_s = 1.0", "block_every_s = 0.2"))
    return path


NEVER_PROVEN = 'faults = ["lose-request"]\nlate_s = 0\nprove_absence_s = 3600'


@pytest.mark.parametrize("store", [SQLITE, MEMORY], ids=["sqlite", "memory"])
def test_a_run_that_leaves_orders_unproven_does_not_end_well(tmp_path: Path, capfd: Capture, store: str) -> None:
    """The venue loses every request and never swears that nothing came."""
    conf = _written(tmp_path, store, NEVER_PROVEN)

    assert main(["run", str(conf), "--for", "2s", "--json"]) == 1
    heard = capfd.readouterr()
    summary = msgspec.json.decode(heard.out.splitlines()[-1])
    assert (summary["event"], summary["lost"]) == ("summary", 0)
    assert summary["unproven"] > 0
    assert f"ended, but {summary['unproven']} order" in heard.err
    assert len(re.findall(r"^  0x[0-9a-f]{64}  ", heard.err, re.MULTILINE)) == min(20, summary["unproven"])
    # In memory nobody can look afterwards.
    assert (f"trio-copy orders list --conf {conf}" in heard.err) == (store is SQLITE)


def test_the_next_run_does_not_arm_and_does_not_end_well_either(tmp_path: Path, capfd: Capture) -> None:
    """What is left open stays open until the venue answers or a person settles it."""
    conf = _written(tmp_path, SQLITE, NEVER_PROVEN + f'\nvenue_file = "{tmp_path / "venue"}"')
    assert main(["run", str(conf), "--for", "2s"]) == 1
    assert " UNPROVEN" in capfd.readouterr().out

    assert main(["run", str(conf), "--for", "2s"]) == 1
    assert "not armed: " in capfd.readouterr().err

    conf.write_text(conf.read_text().replace("startup_reconcile_s = 0.3", "startup_reconcile_s = 30"))
    assert main(["run", str(conf), "--for", "100ms"]) == 1
    said = capfd.readouterr()
    assert re.search(r"^ended, but \d+ orders? of an earlier run may have been filled", said.err, re.MULTILINE)
    assert "node" not in said.err


def test_a_signal_ends_it_no_better(tmp_path: Path) -> None:
    """Whoever supervises it sees the exit code only."""
    conf = _written(tmp_path, MEMORY, NEVER_PROVEN)
    command = [sys.executable, "-m", "trio_copy", "run", str(conf), "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if '"signal"' in line:
                break
        run.send_signal(signal.SIGTERM)
        _, said = run.communicate(timeout=60)

    assert run.returncode == 1
    assert "may have been filled" in said


@pytest.mark.parametrize("store", [SQLITE, MEMORY], ids=["sqlite", "memory"])
def test_a_run_that_proves_everything_ends_well(tmp_path: Path, capfd: Capture, store: str) -> None:
    """Lost replies are looked up while it drains."""
    conf = _written(tmp_path, store, 'faults = ["lose-reply"]\nfaults_bps = 5000\nlate_s = 0')

    assert main(["run", str(conf), "--for", "2s", "--json"]) == 0
    summary = msgspec.json.decode(capfd.readouterr().out.splitlines()[-1])
    assert summary["tasks"] > 0
    assert (summary["lost"], summary["unproven"]) == (0, 0)


@pytest.mark.parametrize("lost", [1, -1])
def test_a_lost_task_is_a_bug_and_no_good_end(lost: int) -> None:
    """One end too many is as wrong as one too few; where several instances share the work, it cannot be told."""
    expect_all_ended(0, [])
    expect_all_ended(None, [])
    with pytest.raises(InvariantBroken, match=f"^{lost} task"):
        expect_all_ended(lost, [])


def test_a_run_that_writes_files_ends_with_its_last_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording, and a log in a file, wait for nothing that could still come."""
    conf = _written(tmp_path, MEMORY, "")
    conf.write_text(f'{conf.read_text()}\n[log]\nfile = "{tmp_path / "kept.log"}"\n')
    monkeypatch.setattr("trio_copy.cli.running._SUMMARY_S", 120.0)
    began = time.monotonic()
    assert main(["record", str(tmp_path / "a.rec"), "--conf", str(conf), "--for", "300ms", "--json"]) == 0

    assert time.monotonic() - began < 60
    assert all((tmp_path / name).stat().st_size > 0 for name in ("a.rec", "kept.log"))


def test_what_one_run_has_matched_settles_in_the_next(tmp_path: Path, capfd: Capture) -> None:
    """The demonstration with books, twice: its venue outlives the process as its books do, and takes nothing back."""
    text = (ROOT / "conf" / "books.toml").read_text().replace('"books.', f'"{tmp_path}/books.')
    conf = tmp_path / "conf.toml"
    conf.write_text(text.replace("block_every_s = 1.0", "block_every_s = 0.2").replace('"settle-fail", ', ""))

    def run(seconds: str) -> tuple[dict[str, Any], dict[str, str]]:
        """Returns the summary, and how far each trade of the books is settled then."""
        assert main(["run", str(conf), "--for", seconds, "--json"]) == 0
        events = [msgspec.json.decode(line) for line in capfd.readouterr().out.splitlines()]
        assert {event["kind"] for event in events if event["event"] == "alert"} <= {"reorg", "endpoint-lost"}
        assert main(["trades", "--conf", str(conf), "--json"]) == 0
        trades = [msgspec.json.decode(line) for line in capfd.readouterr().out.splitlines()]
        return events[-1], {trade["task_id"]: trade["settlement"] for trade in trades}

    first, before = run("1500ms")
    assert first["ends"]["filled"]
    left = [task for task, settlement in before.items() if settlement == "provisional"]
    assert left
    second, after = run("3s")
    assert second["ends"]["filled"]
    assert {after[task] for task in left} == {"firm"}


def test_a_trial_leaves_the_venue_of_real_copies_alone(tmp_path: Path, capfd: Capture) -> None:
    """A selftest and a replay meet a venue of their own, whatever file the configuration names."""
    venue = tmp_path / "venue"
    conf = _written(tmp_path, MEMORY, f'venue_file = "{venue}"')
    assert main(["record", str(tmp_path / "a.rec"), "--conf", str(conf), "--for", "2s"]) == 0
    before = venue.read_bytes()
    assert before
    for trial in (["selftest", str(conf)], ["replay", str(tmp_path / "a.rec"), "--conf", str(conf)]):
        assert main(trial) == 0
    assert venue.read_bytes() == before


@pytest.mark.parametrize("faults", ["settle-fail", "lose-reply"])
def test_the_summary_and_the_books_tell_the_same_money(tmp_path: Path, capfd: Capture, faults: str) -> None:
    """Also where fills fail to settle: what the books take back, the summary does."""
    conf = _written(tmp_path, SQLITE, f'settle_s = 0.3\nfaults = ["{faults}"]\nfaults_bps = 5000\nlate_s = 0')
    assert main(["run", str(conf), "--for", "4s", "--json"]) == 0
    summary = msgspec.json.decode(capfd.readouterr().out.splitlines()[-1])
    assert main(["pnl", "--conf", str(conf), "--json"]) == 0
    (row,) = [msgspec.json.decode(line) for line in capfd.readouterr().out.splitlines()]
    assert float(row["bought"]) > 0
    assert {name: Usd.parse(row[name]).micro for name in ("bought", "sold")} == {
        name: summary[name] for name in ("bought", "sold")
    }
