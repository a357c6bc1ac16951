"""Commands as a person or a script uses them, in processes of their own, and what they print."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trio_copy.cli import main

ROOT = Path(__file__).parents[2]
DEMO = str(ROOT / "conf" / "demo.toml")
Capture = pytest.CaptureFixture[str]


def start(*words: str, **options: Any) -> subprocess.Popen[str]:
    """Start a command; what it writes is read by whoever started it."""
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


def last_json(capsys: Capture, *words: str) -> tuple[int, dict[str, Any]]:
    """Run a command with --json; returns its exit code and the object that it wrote last."""
    code = main([*words, "--json"])
    return code, json.loads(capsys.readouterr().out.splitlines()[-1])
