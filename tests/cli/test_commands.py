"""The commands as a person or a script uses them, in processes of their own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import trio

from trio_copy.cli import main
from trio_copy.cli.durations import Time, parse_duration
from trio_copy.cli.simulation import Load, missed
from trio_copy.cli.synthetic import leader_buys
from trio_copy.errors import ChainError, ConfigError, UnresolvedOrders
from trio_copy.model.ids import Address, ChainId
from trio_copy.telemetry.redaction import Redactor
from trio_copy.testing.devnet import DevNode, open_devnet

ROOT = Path(__file__).parents[2]
DEMO = str(ROOT / "conf" / "demo.toml")
Capture = pytest.CaptureFixture[str]


def start(*words: str, **options: Any) -> subprocess.Popen[str]:
    options.setdefault("stderr", subprocess.PIPE)
    command = [sys.executable, "-m", "trio_copy", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)


def wait_for(process: subprocess.Popen[str], wanted: str) -> list[dict[str, Any]]:
    """Read events until one of a kind comes."""
    events = []
    assert process.stdout is not None
    for line in process.stdout:
        events.append(json.loads(line))
        if events[-1]["event"] == wanted:
            return events
    raise AssertionError(f"no {wanted} event; stderr: {process.stderr and process.stderr.read()}")


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


def test_a_pipe_gets_plain_lines() -> None:
    """Without a terminal there are no escape sequences, and a tape that reads well."""
    process = start("run", DEMO, "--for", "3s")
    out, err = process.communicate(timeout=30)

    assert process.returncode == 0, err
    assert "\x1b" not in out
    assert "copies" in out
    assert "tasks" in out


def paper_conf(tmp_path: Path, first: str, second: str) -> str:
    """conf/paper.toml itself, with the URLs of its two nodes replaced."""
    text = (ROOT / "conf" / "paper.toml").read_text()
    text = text.replace("wss://polygon-bor-rpc.publicnode.com", first).replace("wss://polygon.drpc.org", second)
    conf = tmp_path / "conf.toml"
    conf.write_text(text)
    return str(conf)


def test_a_wrong_chain_is_refused_with_exit_code_two(tmp_path: Path) -> None:
    """A node of another chain is found out before anything is copied."""

    async def run() -> subprocess.CompletedProcess[bytes]:
        async with open_devnet(ChainId(1), lambda: 0.0) as devnet:
            conf = paper_conf(tmp_path, devnet.url, devnet.url)
            command = [sys.executable, "-m", "trio_copy", "run", conf]
            return await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)

    done = trio.run(run)
    assert done.returncode == 2
    assert b": expected chain id 137, the node serves 1" in done.stderr
    assert b"Traceback" not in done.stderr


def test_paper_runs_against_any_node_of_the_chain(tmp_path: Path) -> None:
    """conf/paper.toml itself, with its nodes' URLs replaced by two local ones, copies a real leader's fill."""

    async def run() -> list[dict[str, Any]]:
        async with open_devnet(ChainId(137), time.time) as one:
            second = DevNode(one.chain)
            async with trio.open_nursery() as nursery:
                listeners = await nursery.start(partial(trio.serve_tcp, second.handle, 0, host="127.0.0.1"))
                url = f"ws://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
                conf = paper_conf(tmp_path, one.url, url)

                async def trade() -> None:
                    await one.node.wait_log_filters(1)
                    await second.wait_log_filters(1)
                    # Until one is heard of: what is mined before the engine is armed is not copied.
                    for number in count(1):
                        one.chain.mine(leader_buys(Address("0x6031b6eed1c97e853c6e0f03ad3ce3529351f96d"), number))
                        await trio.sleep(0.3)

                nursery.start_soon(trade)
                process = start("run", conf, "--json", "--for", "60s", stderr=subprocess.DEVNULL)
                told = await trio.to_thread.run_sync(wait_for, process, "signal")
                process.send_signal(signal.SIGTERM)
                rest, _ = await trio.to_thread.run_sync(process.communicate)
                nursery.cancel_scope.cancel()
        return [*told, *(json.loads(line) for line in rest.splitlines())]

    events = trio.run(run)
    reports = [event for event in events if event["event"] == "report"]
    assert {report["follower"] for report in reports} == {"paper"}
    status = [event for event in events if event["event"] == "summary"][-1]
    assert (status["signals"], status["lost"]) == (len(reports), 0)


def last_json(capsys: Capture, *words: str) -> tuple[int, dict[str, Any]]:
    code = main([*words, "--json"])
    return code, json.loads(capsys.readouterr().out.splitlines()[-1])


def test_selftest_passes_and_shows_each_step(capsys: Capture) -> None:
    """The real nursery tree boots, narrows its subscription, copies one fill and ends by itself."""
    code, found = last_json(capsys, "selftest", DEMO)

    assert (code, found["ok"]) == (0, True)
    steps = [step["step"] for step in found["steps"]]
    assert {"accounts", "follows", "positions", "subscribed", "narrowed", "copied", "drained"} <= set(steps)
    assert found["seconds"] < 15


def only_tables(text: str, *, decoder: str = "order-filled", size: str = "", follow: bool = True) -> str:
    """A configuration with one follow and one decoder."""
    follows = f"""[[follow]]
follower = "alice"
leader = "0x6031B6eed1C97e853c6e0F03Ad3ce3529351F96d"
[follow.size]
{size}"""
    return f"""[chain]
chain_id = 137
[devnet]
[store.memory]
[executor.dry-run]
[decoder.{decoder}]
[[follower]]
id = "alice"
executor = "dry-run"
{follows if follow else text}"""


@pytest.mark.parametrize(
    ("conf", "says"),
    [
        (only_tables("", follow=False), "no follows: add a [[follow]]"),
        (only_tables("", decoder="fpmm"), "no decoder that the devnet can trade for"),
        (
            only_tables("", size="[follow.filters]\nleader_min_usd = 1000000000"),
            "nobody copied any of 6 trades: LEADER_TOO_SMALL x6; loosen",
        ),
    ],
)
def test_a_failing_selftest_says_what_to_do(tmp_path: Path, capsys: Capture, conf: str, says: str) -> None:
    """The failing step names the mistake; the exit code is not 0."""
    path = tmp_path / "conf.toml"
    path.write_text(conf)
    code, found = last_json(capsys, "selftest", str(path))

    assert (code, found["ok"]) == (1, False)
    assert says in found["steps"][-1]["detail"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["devnet", DEMO, "--block-every", "0s"], "--block-every: expected a value from 0.01 to 60.0"),
        (["devnet", DEMO, "--seed", "-1"], "--seed: expected a value from 0 to"),
        (["load", "simulate", "--rate", "nan"], "--rate: expected a number above 0, got nan"),
        (["load", "simulate", "--rate", "inf"], "--rate: expected a number above 0, got inf"),
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


def test_verify_dedup(capsys: Capture) -> None:
    """First OK, second DUPLICATE, OK again after the time to live."""
    code, found = last_json(capsys, "verify", "dedup", "--ttl", "50ms", "--wait", "80ms")
    assert (code, found["first"], found["second"], found["after_ttl"]) == (0, "OK", "DUPLICATE", "OK")
    code, found = last_json(capsys, "verify", "dedup", "--ttl", "5s", "--wait", "10ms")
    assert (code, found["after_ttl"]) == (0, "DUPLICATE")


def test_verify_backpressure(capsys: Capture) -> None:
    """Of 5,200 tasks a queue of 5,000 keeps 5,000 and sheds 200, each with a reason."""
    code, found = last_json(capsys, "verify", "backpressure", "--count", "5200")
    assert code == 0
    assert {key: found[key] for key in ("attempted", "kept", "shed", "reasons", "left_after_cleanup")} == {
        "attempted": 5200,
        "kept": 5000,
        "shed": 200,
        "reasons": {"QUEUE_FULL": 200},
        "left_after_cleanup": 0,
    }
    assert main(["verify", "backpressure", "--count", "12", "--capacity", "10"]) == 0
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["reasons", "2", "QUEUE_FULL"] in told
    assert ["left", "after", "cleanup", "0"] in told


def test_a_store_is_set_up_as_a_shell_hands_it_over(capsys: Capture, tmp_path: Path) -> None:
    """A path needs no second pair of quotes, and may have them."""
    for option in (f"path={tmp_path / 'one.db'}", f'path="{tmp_path / "two words.db"}"'):
        assert main(["verify", "backpressure", "--count", "3", "--store", "sqlite", "--store-option", option]) == 0
        assert capsys.readouterr().out.endswith("held\n")


def test_load_model_and_measure(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures of the load model, and instances only from a capacity that was measured here."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    _, before = last_json(capsys, "load", "model")
    assert tuple(
        before[key]
        for key in (
            "copies_per_day",
            "copies_per_s",
            "followers_per_leader",
            "leader_trades_per_s",
            "original_instances",
            "original_instances_with_headroom",
        )
    ) == (50_000_000, 578.7, 100, 5.787, 28.94, 58)
    assert before["instances"] is None
    code, measured = last_json(capsys, "load", "measure", "--events", "5")
    assert (code, measured["tasks"], measured["lost"]) == (0, 500, 0)
    _, after = last_json(capsys, "load", "model", "--users", "20000")
    assert after["copies_per_day"] == 100_000_000
    assert after["instances"] >= 1
    assert after["measured_on"] == measured["date"]


def test_load_simulate_loses_nothing(capsys: Capture) -> None:
    """A short run over a real socket, and the users' shape in virtual time."""
    code, found = last_json(capsys, "load", "simulate", "--events", "20", "--rate", "100", "--followers", "10")
    assert (found["tasks"], found["lost"], found["duplicates"]) == (200, 0, 0)
    # A machine that is busy with something else misses the rate, and is told so.
    assert code == (1 if found["missed"] else 0)
    words = [
        "load",
        "simulate",
        "--users",
        "200",
        "--leaders",
        "20",
        "--duration",
        "30s",
        "--copies",
        "50000",
        "--virtual",
    ]
    code, found = last_json(capsys, *words)
    assert (code, found["lost"], found["missed"]) == (0, 0, None)
    assert found["tasks"] > 1000


@pytest.mark.parametrize(
    ("words", "missed"),
    [
        (["--workers", "8", "--latency", "100ms"], ""),
        (
            ["--workers", "2", "--latency", "100ms"],
            "the last one ended 3.0 s after the last trade was due, 0.6 s are allowed",
        ),
        (
            ["--store-option", "facts_max=1000", "--workers", "8", "--latency", "1s"],
            "80 copies a second were offered, 8 were made",
        ),
    ],
)
def test_load_simulate_says_that_the_offered_rate_was_missed(capsys: Capture, words: list[str], missed: str) -> None:
    """In words, and with exit code 1; nothing needs to be lost for that."""
    shape = ["load", "simulate", "--virtual", "--events", "20", "--rate", "20", "--followers", "4", *words]
    assert main(shape) == bool(missed)
    said = capsys.readouterr().out

    assert ("THE OFFERED RATE WAS MISSED" in said) == bool(missed)
    assert missed in said
    assert "lost                               0" in said
    code, found = last_json(capsys, *shape)
    assert (code, found["lost"]) == (bool(missed), 0)
    assert missed in (found["missed"] or "")


@pytest.mark.parametrize(
    ("rate", "offered_s", "elapsed_s", "shed", "says"),
    [
        (0.0, 9.0, 90.0, 7, None),
        (100.0, 9.99, 10.4, 0, None),
        (100.0, 9.99, 10.6, 0, "the last one ended 0.6 s after"),
        (1.0, 999.0, 1048.0, 0, None),
        (1.0, 999.0, 1050.0, 0, "50.0 s are allowed"),
        (100.0, 9.99, 10.0, 3, "3 of 4,000 were shed"),
        (100.0, 12.0, 12.1, 0, "the trades themselves came late"),
    ],
)
def test_a_load_is_kept_up_with_or_missed(
    rate: float, offered_s: float, elapsed_s: float, shed: int, says: str | None
) -> None:
    """A moment is allowed, and a twentieth of a long run; what is shed was not made, and a late offer is one too."""
    load = Load(events=1000, rate_per_s=rate, leaders=(), seed=1)
    said = missed(load, 4000, offered_s=offered_s, elapsed_s=elapsed_s, shed=shed)

    assert (said is None) == (says is None)
    assert (says or "") in (said or "")


def test_decode_reads_every_form(tmp_path: Path, capsys: Capture, load_data: Callable[[str], Any]) -> None:
    """An array, lines, a receipt and an RPC answer give the same fills; the rest is counted."""
    logs = [event["log"] for event in load_data("polygon_events.json")["events"]]
    forms = {
        "array": json.dumps(logs),
        "lines": "\n".join(json.dumps(log) for log in logs),
        "receipt": json.dumps({"status": "0x1", "logs": logs}),
        "rpc": json.dumps({"jsonrpc": "2.0", "id": 1, "result": logs}),
    }
    answers = set()
    for name, text in forms.items():
        path = tmp_path / name
        path.write_text(text)
        assert main(["decode", str(path)]) == 0
        output = capsys.readouterr()
        answers.add(output.out)
        assert (
            "12 fills; logs that are no fills: 13 (3 exchange, 8 other-event, 2 split); dropped: 0 (none)" in output.err
        )
    (answer,) = answers
    first = json.loads(answer.splitlines()[0])
    assert list(first) == [
        "chain_id",
        "exchange",
        "owner",
        "role",
        "kind",
        "side",
        "token_id",
        "shares",
        "price",
        "notional",
        "fee",
        "order_hash",
        "tx_hash",
        "log_index",
        "signal_id",
    ]
    assert (first["shares"], first["price"], first["notional"], first["fee"]) == (
        9451729165,
        "0.48",
        4536829999,
        117957570,
    )


def test_decode_survives_bad_lines_and_refuses_no_json(tmp_path: Path, capsys: Capture) -> None:
    """One broken line among many is counted; a file without any JSON is bad input."""
    path = tmp_path / "logs"
    path.write_text('{"address": "0x1"}\nnot json\n[1, null]\n')
    assert main(["decode", str(path)]) == 0
    assert (
        "0 fills; logs that are no fills: 0 (none); dropped: 4 (3 malformed, 1 malformed-log)"
        in capsys.readouterr().err
    )
    path.write_text("hello")
    assert main(["decode", str(path)]) == 2
    assert "expected JSON" in capsys.readouterr().err


def test_plugins_lists_what_is_installed(capsys: Capture) -> None:
    """Name, distribution, version, active or not."""
    assert main(["plugins", DEMO, "--json"]) == 0
    rows = {row["name"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}

    assert tuple(rows["dry-run"][key] for key in ("kind", "distribution", "active")) == ("executor", "trio-copy", "yes")
    assert rows["fpmm"]["active"] == "no"
    assert main(["plugins"]) == 0
    shown = capsys.readouterr().out
    assert "order-filled" in shown
    assert not [line for line in shown.splitlines() if line != line.rstrip()]


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


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (KeyboardInterrupt(), 130, ""),
        (BaseExceptionGroup("", [KeyboardInterrupt()]), 130, ""),
        (SystemExit("leaving with redis://:hunter2@h"), 1, "redis://[redacted]@h"),
        (BaseExceptionGroup("", [KeyboardInterrupt(), RuntimeError("hunter2hunter2")]), 1, "this is a bug"),
        (ConfigError(["one: \n\x1b[2J", "two"]), 2, "one: \\n\\x1b[2J\ntwo\n"),
        (UnresolvedOrders("not armed:\n  order"), 1, "not armed:\n  order\n"),
        (ChainError("a node said\nfake: line"), 1, "a node said\\nfake: line\n"),
    ],
)
def test_every_way_to_fail_passes_the_outlet(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], error: BaseException, code: int, says: str
) -> None:
    """Nothing is left for Python to print by itself, and foreign text cannot forge a line."""

    def fail(words: object, redactor: Redactor) -> int:
        redactor.learn("hunter2hunter2")
        raise error

    monkeypatch.setattr("trio_copy.cli.app._run", fail)
    assert main(["x"]) == code
    said = capfd.readouterr().err
    assert says in said
    assert "hunter2" not in said
    assert bool(says) == bool(said)


def test_no_key_leaves_in_a_traceback_or_a_log() -> None:
    """A canary key and a URL in an error, at the verbosest level, come out redacted although nobody has loaded them."""
    code = """
import sys
from trio_copy.cli import app, main
from trio_copy.telemetry.log import configure_logs
from trio_copy.telemetry.redaction import Redactor
KEY = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
def fail(*a, **k): raise RuntimeError(f"key {KEY} at wss://node/v2/{KEY}")
import trio_copy.cli.app as module
module._run = fail
code = main(["x"])
log = configure_logs(sys.stderr, json=True, level=10, redactor=Redactor())
log.warning("event", detail=f"private key 0x{KEY}", password="hunter2 password=hunter2")
sys.exit(code)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**os.environ})

    assert done.returncode == 1
    assert "4c0883a6" not in done.stdout + done.stderr
    assert "this is a bug" in done.stderr
    assert "redacted" in done.stderr
