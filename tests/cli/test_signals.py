"""What a signal does to a run: one drains, a second one stops, SIGHUP reloads; and nothing holds up the exit."""

import json
import signal
import time
from pathlib import Path

import pytest

from tests.cli.processes import DEMO, start, wait_for


def test_ctrl_c_drains_and_prints_a_summary() -> None:
    """One SIGINT closes the intake, finishes what was admitted, and ends with exit code 0."""
    process = start("run", DEMO, "--json")
    wait_for(process, "report")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    events = [json.loads(line) for line in out.splitlines()]

    assert process.returncode == 0
    assert events[-1]["event"] == "summary"
    assert (events[-1]["lost"], events[-1]["left"]) == (0, 0)


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    """Two signals do not wait for a slow venue; the exit code says that it was interrupted."""
    conf = tmp_path / "slow.toml"
    conf.write_text(Path(DEMO).read_text().replace("latency_ms = 30", "latency_ms = 4000"))
    process = start("run", str(conf), "--json")
    wait_for(process, "signal")
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    wait_for(process, "step")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)

    assert process.returncode == 130
    assert time.monotonic() - started < 15


def test_sighup_reloads_and_a_bad_file_changes_nothing(tmp_path: Path) -> None:
    """Follows change while running; a broken file is reported and ignored."""
    conf = tmp_path / "demo.toml"
    text = Path(DEMO).read_text()
    conf.write_text(text)
    process = start("run", str(conf), "--json")
    wait_for(process, "report")
    conf.write_text(text + "\nnonsense")
    process.send_signal(signal.SIGHUP)
    assert wait_for(process, "alert")[-1]["kind"] == "reload-refused"
    conf.write_text(text[: text.rindex("[[follow]]")])
    process.send_signal(signal.SIGHUP)
    assert wait_for(process, "step")[-1]["step"] == "reloaded"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 0


@pytest.mark.parametrize("words", [[], ["--verbose"]])
def test_an_output_that_nobody_reads_does_not_hold_up_the_exit(words: list[str], tmp_path: Path) -> None:
    """A terminal that was stopped, or a log that is full, costs lines; a signal still ends the process."""
    conf = tmp_path / "busy.toml"
    text = Path(DEMO).read_text().replace("block_every_s = 1.0", "block_every_s = 0.02")
    conf.write_text(
        text.replace("fills_per_block = 1.4", "fills_per_block = 40").replace(
            "reorg_at_block = 6", "reorg_at_block = 0"
        )
    )
    process = start("run", str(conf), "--json", *words)
    wait_for(process, "report")
    time.sleep(2)  # both pipes are full by now: it writes, and nobody reads
    process.send_signal(signal.SIGTERM)
    try:
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.communicate()
