"""A real node on a port of this machine: anvil, which can be stopped, killed and started again with its chain."""

import shutil
import signal
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from attrs import define

from trio_copy.chain.dial import dial_network
from trio_copy.errors import ChainError, ConnectionLost
from trio_copy.model.ids import ChainId
from trio_copy.testing.anvil.packages import anvil

POLYGON = ChainId(137)
_START_S, _STOP_S = 10.0, 5.0
_LOG_TOLD = 500


@define(eq=False)
class Node:
    """An anvil that can be stopped and started again on its port, with its chain."""

    port: int
    folder: Path
    """Where it keeps its chain, and what it says of itself."""
    chain_id: ChainId = POLYGON
    base_fee: int = 0
    """Of the first block, in wei."""
    process: trio.Process | None = None
    _watch: trio.Process | None = None
    """Ends the node where this process is killed: nobody else would."""

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def _past(self) -> Path:
        """Where it puts the states of old blocks, for itself alone: a megabyte each, in the user's home if nobody says where."""
        return self.folder / "past"

    @property
    def command(self) -> list[str]:
        """What starts it; the program is fetched if need be. Raises `ConfigError` as `packages.anvil`."""
        return [
            str(anvil()), "--port", str(self.port), "--quiet", "--chain-id", str(self.chain_id),
            "--slots-in-an-epoch", "1", "--state", str(self.folder / "state.json"), "--cache-path", str(self._past),
            "--block-base-fee-per-gas", str(self.base_fee), "--gas-limit", "2000000000",
        ]  # fmt: skip

    async def start(self) -> None:
        """Start it, and wait until it answers. Raises `ConfigError` as `command`, and `ChainError` where it ends or is mute."""
        command = await trio.to_thread.run_sync(lambda: self.command)
        with (self.folder / "anvil.log").open("wb") as log:
            # Ctrl-C at a terminal is for whoever started it, and not for the node, on which orders are still to end.
            self.process = await trio.lowlevel.open_process(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        # It reads a pipe that ends with this process, however that ends.
        then = 'cat > /dev/null; kill -9 "$0"; rm -rf "$1"'
        watch = ["/bin/sh", "-c", then, str(self.process.pid), str(self._past)]
        self._watch = await trio.lowlevel.open_process(
            watch, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        await self.wait_ready()

    async def wait_ready(self) -> None:
        """Wait until it answers. Raises `ChainError` where it ends, or does not in time."""
        with trio.move_on_after(_START_S):
            while not await _answers(self.url):
                if self.process is not None and self.process.poll() is not None:
                    break
                await trio.sleep(0.02)
            else:
                return
        raise ChainError(f"anvil does not start{self._last_words}")

    @property
    def _last_words(self) -> str:
        log = self.folder / "anvil.log"
        words = log.read_text(errors="replace").strip()[-_LOG_TOLD:] if log.exists() else ""
        return f": {words}" if words else ""

    async def stop(self) -> None:
        """Stop it so that it writes its chain down first."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            with trio.move_on_after(_STOP_S):
                await self.process.wait()
            await self.kill()

    async def kill(self) -> None:
        """Let it die as a machine does; what it had not written down is gone."""
        if self._watch is not None:  # first: once the node is gone, its number may be another process's
            watch, self._watch = self._watch, None
            watch.kill()
            await watch.wait()
            if watch.stdin is not None:
                await watch.stdin.aclose()
        if self.process is not None:
            self.process.kill()
            await self.process.wait()
            # However it ends, it leaves them there, and the next one begins others.
            await trio.to_thread.run_sync(lambda: shutil.rmtree(self._past, ignore_errors=True))


async def _free_port() -> int:
    """Return a port that nobody listens at by now; anvil tells its own in no way that could be read."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = int(listener.socket.getsockname()[1])
    await listener.aclose()
    return port


async def _answers(url: str) -> bool:
    try:
        stream = await dial_network(url)
    except ConnectionLost:
        return False
    await trio.aclose_forcefully(stream)
    return True


@asynccontextmanager
async def open_node(folder: Path, chain_id: ChainId = POLYGON, base_fee: int = 0) -> AsyncGenerator[Node, None]:
    """Run a fresh anvil on a free port while the block runs; cancelled, it is killed. Raises as `Node.start`."""
    node = Node(await _free_port(), folder, chain_id, base_fee)
    try:
        await node.start()
        yield node
    finally:
        with trio.move_on_after(_STOP_S, shield=True):
            await node.kill()
