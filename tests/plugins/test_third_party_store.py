"""What docs/plugins.md shows is a distribution of its own: taken from the page, installed by pip, tried by the suite."""

import os
import re
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio.testing

from trio_copy.ports import Executor, ExecutorContext
from trio_copy.testing.conformance import EXECUTOR_CHECKS, name_of

ROOT = Path(__file__).parents[2]
_BUILD = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[tool.hatch.build.targets.wheel]
only-include = ["notebook_store.py"]
"""


def files_on_the_page() -> Mapping[str, str]:
    """The last code block of each name, as a reader would copy it."""
    page = (ROOT / "docs" / "plugins.md").read_text()
    return dict(re.findall(r"^```\w+\n# ([\w.]+)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distribution, built from the page and installed by pip into a folder of its own."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    files = files_on_the_page()
    (source / "pyproject.toml").write_text(_BUILD + files["pyproject.toml"])
    (source / "notebook_store.py").write_text(files["notebook_store.py"])
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*pip, "--target", str(target), str(source)], check=True)
    return target


def test_it_is_short() -> None:
    """A whole durable store fits on a page."""
    assert len(files_on_the_page()["notebook_store.py"].splitlines()) < 150


def test_it_is_tried_from_the_outside(site: Path, tmp_path: Path) -> None:
    """The command line loads the distribution once it is named there too, and not before."""
    words = ["verify", "dedup", "--ttl", "500ms", "--wait", "600ms", "--store", "notebook"]
    words += ["--store-option", f"path={tmp_path / 'tried.notebook'}"]
    answers = [
        subprocess.run(
            [sys.executable, "-m", "trio_copy", *words, *allow],
            env={**os.environ, "PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        for allow in ((), ("--allow", "notebook-store"), ("--allow", "notebok-store"))
    ]

    assert [done.returncode for done in answers] == [2, 0, 2]
    assert "not in plugins.allow: notebook-store" in answers[0].stderr
    assert answers[1].stdout.splitlines()[-1] == "held"
    assert "--allow: expected an installed plugin, got notebok-store" in answers[2].stderr


@pytest.mark.parametrize("check", EXECUTOR_CHECKS, ids=name_of)
async def test_the_executor_of_the_page_passes_its_suite(
    autojump_clock: trio.testing.MockClock, check: Callable[..., Awaitable[None]]
) -> None:
    """Whoever copies it has an executor that the engine takes."""
    tiny: dict[str, Any] = {}
    exec(files_on_the_page()["tiny_executor.py"], tiny)

    @asynccontextmanager
    async def open_for_test() -> AsyncGenerator[Executor, None]:
        context = ExecutorContext(name="tiny", settings=tiny["TinySettings"](), wall=lambda: 0.0, quotes=None)
        async with tiny["open_tiny"](context) as executor:
            yield executor

    await check(open_for_test)


def test_it_passes_the_suite(site: Path, tmp_path: Path) -> None:
    """Every check of a durable store, with the test of the page, in a process that sees the installed distribution."""
    (tmp_path / "test_notebook_store.py").write_text(files_on_the_page()["test_notebook_store.py"])
    (tmp_path / "pytest.ini").write_text("[pytest]\ntrio_mode = true\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
