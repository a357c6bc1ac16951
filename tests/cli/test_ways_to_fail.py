"""Whatever fails, all that is said of it passes the outlet that keeps secrets back."""

import os
import subprocess
import sys

import pytest

from trio_copy.cli import main
from trio_copy.errors import ChainError, ConfigError, UnresolvedOrders
from trio_copy.telemetry.redaction import Redactor


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
