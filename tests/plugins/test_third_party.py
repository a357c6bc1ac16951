"""A separate distribution, installed by pip: listed, refused until allowed and named, then run."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from trio_copy.errors import PluginError
from trio_copy.registry import discover

ROOT = Path(__file__).parents[1]
Run = Callable[..., subprocess.CompletedProcess[str]]

CONF = """
[chain]
chain_id = 137
[devnet]
block_every_s = 0.2
fills_per_block = 2.0
reorg_at_block = 0
drop_at_block = 0
[store.memory]
[decoder.order-filled]
{plugins}
[executor.{executor}]
{options}
[[follower]]
id = "alice"
executor = "{executor}"
[[follow]]
follower = "alice"
leader = "0x6031b6eed1c97e853c6e0f03ad3ce3529351f96d"
[follow.size]
minimum_policy = "raise"
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distribution, built and installed by pip into a folder of its own."""
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*pip, "--target", str(target), str(ROOT / "third_party")], check=True)
    return target


@pytest.fixture
def run(site: Path) -> Run:
    """Runs the command line in a process that sees the installed distribution."""

    def run_command(*words: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "PYTHONPATH": str(site)}
        command = [sys.executable, "-m", "trio_copy", *words]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)

    return run_command


def conf(tmp_path: Path, *, executor: str = "tiny", plugins: str = "", options: str = "") -> Path:
    path = tmp_path / "conf.toml"
    path.write_text(CONF.format(executor=executor, plugins=plugins, options=options))
    return path


ALLOW = '[plugins]\nallow = ["tiny-executor"]'


def test_it_is_listed_and_not_loaded(run: Run) -> None:
    """What is merely installed is shown with its distribution and version, and none of its code runs."""
    rows = [msgspec.json.decode(line) for line in run("plugins", "--json").stdout.splitlines()]
    (row,) = [row for row in rows if row["distribution"] == "tiny-executor"]

    assert (row["kind"], row["version"], row["active"]) == ("not loaded", "1.2.3", "no: not in plugins.allow")


def test_it_is_refused_until_the_configuration_allows_it(run: Run, tmp_path: Path) -> None:
    """Naming its executor is not enough: loading code is a decision of its own, and the error says which."""
    done = run("check", str(conf(tmp_path)))

    assert done.returncode == 2
    assert (
        "no executor named 'tiny'; installed: clob, dry-run, onchain; installed but not in plugins.allow: tiny-executor"
        in done.stderr
    )


def test_its_settings_are_checked_like_ours(run: Run, tmp_path: Path) -> None:
    """Unknown keys and values out of range are refused with their path."""
    done = run("check", str(conf(tmp_path, plugins=ALLOW, options="fee_bp = 1")))
    assert 'executor.tiny.fee_bp: unknown key; did you mean "fee_bps"?' in done.stderr

    done = run("check", str(conf(tmp_path, plugins=ALLOW, options="fee_bps = 101")))
    assert "executor.tiny.fee_bps: expected a value from 0 to 100, got 101" in done.stderr


def test_it_trades_when_it_is_allowed_and_named(run: Run, tmp_path: Path) -> None:
    """The plugin's own executor fills the copies, and its failing observer stops nothing."""
    done = run("run", str(conf(tmp_path, plugins=ALLOW)), "--for", "2s", "--json")
    events = [msgspec.json.decode(line) for line in done.stdout.splitlines()]
    reports = [event for event in events if event["event"] == "report"]

    assert done.returncode == 0, done.stderr
    assert reports
    assert {"tiny"} == {report["executor"] for report in reports}
    assert {"tiny-"} == {report["order_id"][:5] for report in reports}
    assert events[-1]["lost"] == 0
    assert "observer-failed" in done.stderr

    rows = [
        msgspec.json.decode(line)
        for line in run("plugins", str(conf(tmp_path, plugins=ALLOW)), "--json").stdout.splitlines()
    ]
    assert [row["active"] for row in rows if row["name"] == "tiny"] == ["yes"]


def test_an_unknown_plugin_names_what_is_installed() -> None:
    """A typo in a name is answered with the names there are."""
    with pytest.raises(PluginError, match="no executor named 'clbo'; installed: clob, dry-run"):
        discover().executor("clbo")
