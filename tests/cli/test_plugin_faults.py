"""Plugins that do not let go, that keep the loop, or that fail where nobody expects it: real processes, real signals."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

import trio_copy_sqlite.accounts
from tests.plugins.stores import in_place
from trio_copy.cli import main
from trio_copy.cli.last_resort import LastResort
from trio_copy_sqlite.writer import Writer

PLUGIN = """
import os, time
from contextlib import asynccontextmanager
from pathlib import Path
import trio
from attrs import frozen
from trio_copy.hookspecs import hookimpl
from trio_copy.model.orders import Market, Order
from trio_copy.model.settings import setting
from trio_copy.model.units import Price, Shares
from trio_copy.ports import ExecutorPlugin

@frozen(kw_only=True)
class StuckSettings:
    fault: str = setting("", unit="text", why="What goes wrong.")

async def swallow():
    while True:
        try:
            await trio.sleep(0.05)
        except BaseException:
            pass

class Stuck:
    def __init__(self, name, fault):
        self.name, self.fault = name, fault

    async def market(self, token_id):
        return Market(token_id=token_id, tick=Price(10_000), minimum=Shares(0), fee_bps=0)

    def prepare(self, key, intent, wallet, market):
        if self.fault == "prepare":
            raise LookupError("no such key in the plugin")
        return Order(key=key, order_id=f"stuck-{key}", executor=self.name, wallet=wallet, side=intent.side,
                     token_id=intent.token_id, shares=intent.shares, limit_price=intent.limit_price, body=b"x")

    def lane(self, intent, wallet):
        return (wallet.follower, str(intent.token_id))

    async def submit(self, order):
        Path(os.environ["STUCK_MARK"]).touch()
        if self.fault == "swallow":
            await swallow()
        while self.fault == "compute":
            time.sleep(0.01)
        await trio.sleep_forever()

    async def find(self, order):
        return None

@asynccontextmanager
async def open_stuck(context):
    if context.settings.fault == "open":
        raise LookupError("no such key in the plugin")
    async with trio.open_nursery() as nursery:
        if context.settings.fault == "background":
            nursery.start_soon(swallow)
        yield Stuck(context.name, context.settings.fault)
        nursery.cancel_scope.cancel()

@hookimpl
def trio_copy_register_executors(register):
    register(ExecutorPlugin(name="stuck", open=open_stuck, settings=StuckSettings, moves_money=False))
"""

ROOT = Path(__file__).parents[2]
CONF = """
[engine]
send_timeout_s = 0.5
drain_s = 1.0
[chain]
chain_id = 137
[devnet]
block_every_s = 0.2
fills_per_block = 2.0
reorg_at_block = 0
drop_at_block = 0
[store.sqlite]
path = "{folder}/books.db"
[decoder.order-filled]
[plugins]
allow = ["stuck"]
[executor.stuck]
fault = "{fault}"
[[follower]]
id = "alice"
executor = "stuck"
[[follow]]
follower = "alice"
leader = "0x6031b6eed1c97e853c6e0f03ad3ce3529351f96d"
[follow.size]
minimum_policy = "raise"
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the command line where a distribution with a faulty executor is installed; ends what is left."""
    site = tmp_path / "site"
    meta = site / "stuck-1.0.dist-info"
    meta.mkdir(parents=True)
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: stuck\nVersion: 1.0\n")
    (meta / "entry_points.txt").write_text("[trio_copy]\nstuck = stuck\n")
    (site / "stuck.py").write_text(PLUGIN)
    started = []

    def start_one(verb: str, fault: str, *words: str) -> subprocess.Popen[str]:
        conf = tmp_path / "conf.toml"
        conf.write_text(CONF.format(folder=tmp_path, fault=fault))
        place = ["--conf", str(conf)] if verb == "orders" else [str(conf)]
        process = subprocess.Popen(
            [sys.executable, "-m", "trio_copy", verb, *words, *place],
            env={**os.environ, "PYTHONPATH": str(site), "STUCK_MARK": str(tmp_path / "mark")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start_one
    for process in started:
        process.kill()
        process.communicate()


def open_orders(start: Start) -> list[dict[str, Any]]:
    out, _ = start("orders", "", "list", "--json").communicate(timeout=20)
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.parametrize(
    ("fault", "call"), [("swallow", "submit"), ("compute", "submit"), ("background", "close")]
)  # fmt: skip
def test_the_second_signal_ends_the_process(start: Start, tmp_path: Path, fault: str, call: str) -> None:
    """Whatever a plugin does: exit code 130, one line that names the call, and what may have been sent is on the disk."""
    process = start("run", fault, "--json")
    until = time.monotonic() + 60
    # Until an order is on its way. It is not waited for what is told of it: the loop may be gone before that is written.
    while not (tmp_path / "mark").exists():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)  # two that come at once are one
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=15)

    assert process.returncode == 130
    last = said.splitlines()[-1]
    assert last.startswith("trio-copy: ended by the second signal; still under way: ")
    assert f'executor "stuck" (stuck 1.0), {call}' in last
    assert len(open_orders(start)) >= 1


def test_a_write_under_way_is_finished_before_the_process_ends() -> None:
    """The thread that ends the process waits for the store's, and no further write begins."""
    left: list[tuple[int, bool]] = []
    writing, done = False, threading.Event()

    def leave(code: int) -> None:
        left.append((code, writing))
        done.set()

    resort = LastResort(grace_s=0.0, under_way=list, leave=leave)

    async def write() -> None:
        def run() -> None:
            nonlocal writing
            writing = True
            resort.note_signal()
            resort.note_signal()
            assert not done.wait(0.1)
            writing = False

        await resort.watched(in_place)(run)

    trio.run(write)
    assert done.wait(5)
    assert left == [(130, False)]


@pytest.mark.parametrize("fault", ["open"])
def test_an_error_in_opening_a_plugin_is_one_line(start: Start, fault: str) -> None:
    """Distribution, call and line of a plugin that fails before it trades; no traceback of ours, exit code 1."""
    process = start("run", fault, "--json")
    _, said = process.communicate(timeout=20)

    assert process.returncode == 1
    (line,) = [line for line in said.splitlines() if not line.startswith("{")]
    assert line.startswith("plugin stuck 1.0, open_stuck (stuck:")
    assert line.endswith("LookupError: no such key in the plugin")


@pytest.mark.parametrize(
    ("of", "name", "starts"),
    [
        (Writer, "_begin", "the SQLite file failed: "),
        (trio_copy_sqlite.accounts, "encode", "plugin trio-copy "),
    ],
    ids=["in the thread", "before it"],
)
def test_a_bug_in_a_store_ends_the_run_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], of: Any, name: str, starts: str
) -> None:
    """Whoever waits for the store is told at the same moment; a line names the error, and whose it is."""
    right, called = getattr(of, name), list[float]()

    def fail_later(*given: Any) -> Any:
        called.append(time.monotonic())
        if len(called) > 20:
            raise OverflowError("Python int too large to convert to SQLite INTEGER")
        return right(*given)

    monkeypatch.setattr(of, name, fail_later)
    conf = tmp_path / "conf.toml"
    text = (ROOT / "conf" / "books.toml").read_text().replace("block_every_s = 1.0", "block_every_s = 0.2")
    conf.write_text(text.replace("books.", f"{tmp_path}/books."))
    code = main(["run", str(conf), "--json", "--for", "50s"])
    assert (code, time.monotonic() - called[20] < 10) == (1, True)
    lines = capfd.readouterr().err.splitlines()
    (line,) = [line for line in lines if line.startswith(starts)]
    assert "OverflowError" in line
    assert line.endswith("Python int too large to convert to SQLite INTEGER" + "')" * starts.startswith("the"))
    assert starts.startswith("the") or "(trio_copy_sqlite." in line


def test_a_bug_in_an_executor_does_not_end_the_run(start: Start) -> None:
    """The line is on the tape and among the events, the tasks end with it as their reason, and the run goes on."""
    process = start("run", "prepare", "--json", "--for", "2s")
    out, _ = process.communicate(timeout=20)
    events = [json.loads(line) for line in out.splitlines()]
    told = 'executor "stuck" (stuck 1.0), prepare: raised LookupError: no such key in the plugin'

    assert process.returncode == 0
    assert [event["detail"] for event in events if event.get("kind") == "contract-broken"] == [told]
    skipped = [event for event in events if event["event"] == "skip"]
    assert {("CONTRACT_BROKEN", told)} <= {(event["code"], event["value"]) for event in skipped}
    assert events[-1]["lost"] == 0
