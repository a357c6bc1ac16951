"""conf/paper.toml follows any node of its chain, and no other."""

import json
import signal
import subprocess
import sys
import time
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import trio

from tests.cli.processes import ROOT, start, wait_for
from trio_copy.cli.synthetic import leader_buys
from trio_copy.model.ids import Address, ChainId
from trio_copy.testing.devnet import DevNode, open_devnet


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
