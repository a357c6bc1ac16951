"""Whatever the streams of a run are (closed, full, read by nobody, of another encoding, a pipe), it goes on or ends as it should."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.processes import DEMO, start


def test_a_reader_that_goes_away_ends_the_run() -> None:
    """`trio-copy run ... | head` drains and ends instead of running on unobserved."""
    process = start("run", DEMO, "--json")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.read() == ""
    assert process.wait(timeout=30) in (0, 1)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_command_runs_with_streams_closed(tmp_path: Path, closed: str) -> None:
    """As daemons are started; nothing that is opened later takes the number of a standard stream."""
    conf = tmp_path / "conf.toml"
    text = re.sub(r"\[store.*\]\n", f'[store.sqlite]\npath = "{tmp_path / "a.db"}"\n', Path(DEMO).read_text())
    conf.write_text(text)
    command = f'exec "$0" -m trio_copy run "$1" --for 1s {closed}'
    done = subprocess.run(["sh", "-c", command, sys.executable, str(conf)], capture_output=True, text=True, check=False)

    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert bool(done.stdout) == (">&-" not in closed.replace("2>&-", ""))
    assert (tmp_path / "a.db").read_bytes()[:6] == b"SQLite"


def test_an_encoding_without_a_letter_ends_no_run(tmp_path: Path) -> None:
    """Names come from outside, and a terminal of another time does not know all of their letters."""
    conf = tmp_path / "conf.toml"
    conf.write_text(Path(DEMO).read_text().replace('"alice"', '"alic\u00e9"'))
    environment = {**os.environ, "PYTHONIOENCODING": "ascii:strict"}
    done = subprocess.run(
        [sys.executable, "-m", "trio_copy", "run", str(conf), "--for", "3s"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "alic\\xe9" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--version"], 1, "the output cannot be written: No space left on device\n"),
        (["check", DEMO], 1, "the output cannot be written: No space left on device\n"),
        (["run", DEMO, "--for", "1s"], 0, "output-lost"),
        (["run", DEMO, "--for", "1s", "--json"], 0, "output-lost"),
    ],
)
def test_a_full_disk_is_told_and_ends_no_run(words: list[str], code: int, says: str) -> None:
    """A command whose whole point is its output fails with one line; an engine has positions to look after."""
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "trio_copy", *words]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        lines = done.stderr.splitlines()

    assert (done.returncode, len(lines)) == (code, 1), done.stderr
    assert says in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_log_on_a_full_disk_ends_and_the_run_does_not(tmp_path: Path) -> None:
    """The line on standard error says so, once."""
    conf = tmp_path / "conf.toml"
    conf.write_text(Path(DEMO).read_text() + '\n[log]\nfile = "/dev/full"\n')
    process = start("run", str(conf), "--for", "3s", "--json")
    out, err = process.communicate(timeout=60)

    assert process.returncode == 0, err
    assert [json.loads(line)["event"] for line in err.splitlines()] == ["log-ended"]
    assert json.loads(out.splitlines()[-1])["event"] == "summary"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_bad_input_has_its_exit_code_where_its_line_cannot_be_written() -> None:
    """A script looks at nothing else."""
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "trio_copy", "check", "no-such.toml"]
        assert subprocess.run(command, stderr=full, check=False).returncode == 2


def test_a_pipe_gets_plain_lines() -> None:
    """Without a terminal there are no escape sequences, and a tape that reads well."""
    process = start("run", DEMO, "--for", "3s")
    out, err = process.communicate(timeout=30)

    assert process.returncode == 0, err
    assert "\x1b" not in out
    assert "copies" in out
    assert "tasks" in out
