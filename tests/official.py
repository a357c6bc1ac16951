"""Clients by the venue itself, each in an environment of its own: what they need of libraries is not ours to choose.

An environment is made once on a machine, by uv where there is one and by pip else, and kept beside the other servers of
tests. A client is spoken to by lines of JSON, through a program that runs in there.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from attrs import frozen

from trio_copy.testing.anvil.packages import CACHE

PY_CLOB = ("py-clob-client-v2==1.2.1", "coincurve==21.0.0")
"""The official client, with native signatures: without them one takes 8 ms, see `environment`."""
POLYMARKET = ("polymarket-client==0.14.0", "coincurve==21.0.0")
"""The second opinion."""


def environment(requirements: Sequence[str]) -> Path:
    """Return the Python of an environment with these packages; whoever asks while it is made waits for it.

    With `ECC_BACKEND_CLASS=eth_keys.backends.NativeECCBackend` in its environment, eth-account signs as it does where
    nobody installs coincurve.
    """
    wanted = "\n".join((sys.version, *requirements))
    folder = CACHE / f"official-{hashlib.sha256(wanted.encode()).hexdigest()[:16]}"
    python, whole = folder / "bin" / "python", folder / "is-whole"
    CACHE.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)
            for command in _commands(folder, python, requirements):
                subprocess.run(command, check=True, capture_output=True)
            whole.touch()
    return python


def _commands(folder: Path, python: Path, requirements: Sequence[str]) -> Iterable[Sequence[str]]:
    uv = shutil.which("uv")
    if uv is not None:
        return (
            (uv, "venv", "--quiet", "--python", sys.executable, str(folder)),
            (uv, "pip", "install", "--quiet", "--python", str(python), *requirements),
        )
    return (
        (sys.executable, "-m", "venv", str(folder)),
        (str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", *requirements),
    )


@frozen
class Client:
    """A program in such an environment that answers each line with one."""

    process: "subprocess.Popen[bytes]"

    def ask(self, wish: Any) -> Any:
        """Return the answer to a wish. Raises `RuntimeError` where the program has ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(msgspec.json.encode(wish) + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the client has ended; standard error says why")
        return msgspec.json.decode(line)


@contextmanager
def started(program: Path, requirements: Sequence[str], **variables: str) -> Generator[Client, None, None]:
    """Start a program in an environment with these packages, and with these variables of the environment."""
    process = subprocess.Popen(
        [environment(requirements), program],
        env={"PATH": "/usr/bin:/bin", **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield Client(process)
    finally:
        process.kill()
        process.communicate()
