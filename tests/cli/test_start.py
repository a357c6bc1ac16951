"""What a command imports before it begins: a list of verbs needs no engine, and no store needs the client of another."""

import inspect
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App

from trio_copy import registry
from trio_copy.cli import main
from trio_copy.cli.command_line import command_line
from trio_copy.cli.verbs import EXAMPLES, GROUPS, HEADINGS, ONLY_TELL, VERBS, only_tells, overview
from trio_copy.errors import PluginError
from trio_copy.registry import discover

ROOT = Path(__file__).parents[2]
HEAVY = {
    "rich",
    "structlog",
    "redis",
    "hiredis",
    "sqlite3",
    "eth_abi",
    "wsproto",
    "hypothesis",
    "pytest",
    "trio.testing",
}
LIBRARIES = {"trio", "cattrs", "cyclopts", "msgspec", "pluggy", "eth_hash"}
MEMORY_ONLY = """
[chain]
chain_id = 137
[devnet]
[store.memory]
[decoder.order-filled]
[executor.dry-run]
[[follower]]
id = "ann"
executor = "dry-run"
[[follow]]
follower = "ann"
leader = "0x1111111111111111111111111111111111111111"
"""


def _imported_by(*words: str) -> set[str]:
    script = "import sys; from trio_copy.cli import main; code = main(); print(*sys.modules); sys.exit(code)"
    ended = subprocess.run(
        [sys.executable, "-c", script, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return set(ended.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("--version",)], ids=str)
def test_a_list_of_verbs_imports_no_library_and_no_verb(words: tuple[str, ...]) -> None:
    """It would take fifteen times as long."""
    imported = _imported_by(*words)

    assert imported & (HEAVY | LIBRARIES) == set()
    ours = {name for name in imported if name.startswith("trio_copy.")}
    assert {name.split(".")[1] for name in ours} == {"cli", "errors", "secret_shapes", "telemetry"}
    assert ours & {f"trio_copy.cli.{verb.replace('-', '_')}" for verb in VERBS | GROUPS} == set()


def test_check_imports_what_the_configuration_names_and_no_more(tmp_path: Path) -> None:
    """A store in memory needs no database's client, a check no node and no terminal."""
    conf = tmp_path / "conf.toml"
    conf.write_text(MEMORY_ONLY)

    imported = _imported_by("check", str(conf))

    assert {"trio_copy_memory", "trio_copy_dry_run"} < imported
    assert imported & HEAVY == set()
    assert imported & {"trio_copy_redis", "trio_copy_sqlite", "trio_copy.testing", "trio_copy.engine.service"} == set()


def test_a_run_in_real_time_imports_no_test_tool() -> None:
    """The devnet of a demonstration is no test: pytest stays where it is."""
    imported = _imported_by("run", "conf/demo.toml", "--for", "1s", "--json")

    assert "trio_copy.engine.service" in imported
    assert imported & {"pytest", "hypothesis", "trio.testing", "redis", "sqlite3"} == set()


@pytest.mark.parametrize("name", VERBS | GROUPS)
def test_each_line_of_the_list_is_that_of_the_verb_itself(name: str) -> None:
    """The list is written down apart, so that it costs nothing; it must not say anything else."""
    function = name.replace("-", "_")
    module = import_module(f"trio_copy.cli.{function}")
    whole = module.app.help if name in GROUPS else getattr(module, function).__doc__
    first = " ".join(inspect.cleandoc(whole).split("\n\n")[0].split())

    assert {**VERBS, **GROUPS}[name] == first
    assert f"  {name} " in overview()


def test_every_verb_stands_under_one_heading_of_the_list() -> None:
    """What is named there exists, and nothing is named twice."""
    named = [name for names in HEADINGS.values() for name in names]

    assert len(named) == len(set(named))
    assert set(named) <= VERBS.keys() | GROUPS.keys()


@pytest.mark.parametrize("page", EXAMPLES)
def test_examples_on_a_page_of_help_are_command_lines(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is shown there, is about that page, and is understood as it stands; the page names its arguments."""
    assert main(["help", *page.split()]) == 0
    told = capsys.readouterr().out
    shown = " ".join(told.replace("\\\n", "").split())

    assert told.startswith(f"Usage: trio-copy {page}")
    assert not re.search(r"\[ARGS|--no-|--empty-|redacted", told)
    for example in EXAMPLES[page]:
        assert f"trio-copy {example}" in shown
        words = shlex.split(example)
        assert example.startswith(page)
        command_line(words).parse_args(words, exit_on_error=False, print_error=False)


def test_shells_are_told_what_can_be_typed(capsys: pytest.CaptureFixture[str]) -> None:
    """The script knows verbs and their options."""
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out

    assert "_trio_copy" in script
    assert "selftest" in script
    assert "--from-head" in script


def test_the_list_of_verbs_is_also_called_help(capsys: pytest.CaptureFixture[str]) -> None:
    """As with other programs."""
    assert main(["help"]) == 0
    assert capsys.readouterr().out == f"{overview()}\n"


def test_two_distributions_of_one_name_are_refused() -> None:
    """Who allowed tiny-executor meant one of them; a twin elsewhere on the path must not run in its shadow."""
    registry._expect_one_of_each({"tiny-executor"}, {"Tiny__Executor", "other"})
    with pytest.raises(PluginError, match="tiny-executor is the name of several distributions"):
        registry._expect_one_of_each({"tiny-executor"}, {"tiny-executor", "Tiny_Executor", "other"})


def test_metadata_is_read_once_until_something_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each plan asks for the plugins: of a hundred distributions it would read a hundred files each time."""
    reads = 0

    def count(**where: Any) -> Iterable[Distribution]:
        nonlocal reads
        reads += 1
        return distributions(**where)

    monkeypatch.setattr(registry, "distributions", count)
    monkeypatch.syspath_prepend(tmp_path)
    assert discover().installed == discover().installed
    assert reads == 1
    late = tmp_path / "late_plugin-1.0.dist-info"
    late.mkdir()
    (late / "METADATA").write_text("Metadata-Version: 2.1\nName: late-plugin\nVersion: 1.0\n")
    (late / "entry_points.txt").write_text("[trio_copy]\nlate = late_plugin\n")
    assert "late-plugin" in {source.distribution for source in discover().installed}


def test_each_entry_point_of_ours_has_the_name_of_what_it_registers() -> None:
    """Or of a kind: so a plugin is found without importing the others."""
    found = discover()
    found.load_all()
    sources = [
        *((name, "executors", source) for name, (_, source) in found.executors.items()),
        *((name, "stores", source) for name, (_, source) in found.stores.items()),
        *((name, "decoders", source) for name, (_, source) in found.decoders.items()),
    ]

    assert len(sources) > 5
    for name, kind, source in sources:
        assert source.entry_point in {name, kind}


def test_a_verb_shows_the_whole_of_its_help() -> None:
    """Only where it is one of many is it one line."""
    app = command_line(["run"])["run"]

    assert isinstance(app, App)
    assert "Ctrl-C" in app.help


def test_what_only_tells_is_named_as_it_is_called() -> None:
    for name in ONLY_TELL:
        assert main([*name.split(), "--help"]) == 0


@pytest.mark.parametrize(
    "words", [["fleet", "refuel"], ["verify", "dedup"], ["wallet", "approve", "hot"], ["follow"], ["status"]]
)
def test_what_does_something_or_judges_tells_not_only(words: list[str]) -> None:
    """Its exit code says whether that was done, or held: unread, nobody knows."""
    assert not only_tells(words)
    assert only_tells(["follow", "list", *words[1:]])


def test_nobody_reading_the_help_to_its_end_is_no_bug() -> None:
    """`trio-copy run --help | head -1` ends quietly."""
    command = f"{sys.executable} -m trio_copy run --help | true"

    ended = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)

    assert ended.stderr == ""
